"""Tables: from a CSV file to arrays that a network learns from, and back.

`read` reads the file, `Preprocessor` finds out what its columns mean and encodes them, `split`
holds rows out, `score` says how good predictions are.
"""

from fastweights.table.cells import Cells
from fastweights.table.preprocessing import Preprocessor
from fastweights.table.reading import read
from fastweights.table.scores import score
from fastweights.table.splitting import split
from fastweights.table.tables import Table
from fastweights.table.targets import find_task, has_target

__all__ = ["Cells", "Preprocessor", "Table", "find_task", "has_target", "read", "score", "split"]
