"""From what a user has to a `Table`: `read`."""

from fastweights.table.reading.delimited import read

__all__ = ["read"]
