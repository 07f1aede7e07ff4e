"""Tables: from a CSV file to arrays that a network learns from, and back.

`read_csv` reads the file, `Preprocessor` finds out what its columns mean and encodes them, `split`
holds rows out, `score` says how good predictions are.
"""

from fastweights.table.preprocessing import Preprocessor
from fastweights.table.reading import Table, read_csv, split
from fastweights.table.scores import score
from fastweights.table.targets import find_task, has_target

__all__ = ["Preprocessor", "Table", "find_task", "has_target", "read_csv", "score", "split"]
