"""Tables: from a CSV file to arrays that a network learns from, and back.

`read` reads the file, `Preprocessor` finds out what its columns mean and encodes them, `split`
holds rows out, `score` says how good predictions are. `recipe_for` has the choices by which
networks are trained on a table, and `TableModel` does all of it.
"""

from fastweights.table.cells import Cells
from fastweights.table.models import TableModel
from fastweights.table.preprocessing import Preprocessor
from fastweights.table.reading import read
from fastweights.table.recipe import Recipe, recipe_for
from fastweights.table.scores import score
from fastweights.table.splitting import split
from fastweights.table.tables import Table
from fastweights.table.targets import find_task, has_target

__all__ = [
    "Cells",
    "Preprocessor",
    "Recipe",
    "Table",
    "TableModel",
    "find_task",
    "has_target",
    "read",
    "recipe_for",
    "score",
    "split",
]
