"""What the columns of a table mean, one file a kind, and how they become numbers for a network.

# Design: a kind is a frozen dataclass that holds what was learnt from the training rows and nothing
else; its fields are what the model file keeps, under the same names. Every kind offers the same:

* ``fit`` learns from training rows;
* ``features`` are the names of what it gives, ``pieces`` which of these are pieces of a
  piecewise-linear encoding;
* ``read(cells, marks)`` takes from cells the little that matters, an array (rows,) or (rows, n);
* ``encode(values, out)`` writes features of what was read, float32 (rows, features), all finite;
* ``oddities(cells, marks)`` tells what training had nothing like;
* ``refuse_senseless(where)`` checks what a file says that it learnt.

`choosing` finds the kind of a column.
"""

from fastweights.table.columns.category import CategoryColumn
from fastweights.table.columns.date import DateColumn
from fastweights.table.columns.number import NumberColumn
from fastweights.table.columns.target_mean import TargetMeanColumn
from fastweights.table.columns.text import TextColumn

#: The kinds by the names that model files know them under.
COLUMNS = {
    column.kind: column
    for column in (NumberColumn, CategoryColumn, TargetMeanColumn, DateColumn, TextColumn)
}
Column = NumberColumn | CategoryColumn | TargetMeanColumn | DateColumn | TextColumn

__all__ = [
    "COLUMNS",
    "CategoryColumn",
    "Column",
    "DateColumn",
    "NumberColumn",
    "TargetMeanColumn",
    "TextColumn",
]
