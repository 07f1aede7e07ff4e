"""From what a user has to a `Table`: files of many kinds, frames, arrays.

`files` gives bytes and unpacks them, `formats` says what they are, `encodings` makes them UTF-8,
`dialects` finds delimiter and header, `marks` decimal marks, `delimited` makes columns of them;
`columnar` reads what other libraries know, `frames` what is in memory.
"""

from fastweights.table.reading.reading import read

__all__ = ["read"]
