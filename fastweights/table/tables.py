"""Tables: columns of cells, by their names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastweights import _check
from fastweights._json import shown
from fastweights.table.cells import Cells
from fastweights.table.values import cells_of


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of cells, all of one length.

    Parameters
    ----------
    columns : dict of str to Cells
        In the order of the file.
    decimal : str
        The decimal mark of its numbers, ``"."`` or ``","``.
    thousands : str
        What parts the thousands in its texts that are numbers, ``""`` where nothing does.
    source : str
        Where the table comes from; error messages begin with it.
    remarks : tuple of str
        What was decided in reading it without being asked, in words.
    """

    columns: dict[str, Cells]
    decimal: str = "."
    thousands: str = ""
    source: str = "table"
    remarks: tuple[str, ...] = ()

    @classmethod
    def from_columns(cls, columns: Mapping[str, Iterable[Any]]) -> Table:
        """A table of columns by their names: arrays, lists, or columns of frames.

        Missing values of any kind are empty cells; what is no number becomes its text.

        Raises
        ------
        ValueError
            There are none, or they differ in length.
        TypeError
            One is no column, or holds lists or the like.
        """
        if not columns:
            raise ValueError(_check.refusal("columns", "none", "at least one"))
        cells = {str(name): cells_of(str(name), values) for name, values in columns.items()}
        lengths = sorted({len(column) for column in cells.values()})
        if len(lengths) != 1:
            raise ValueError(
                _check.refusal("columns", f"lengths {lengths}", "columns of one length")
            )
        return cls(cells)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, name: str) -> Cells:
        """The cells of one column; ValueError that suggests the nearest where there is none."""
        if name in self.columns:
            return self.columns[name]
        near = self.nearest(name)
        hint = f"; did you mean {shown(near)}?" if near else ""
        raise ValueError(f"{self.source}: no column {shown(name)} among {len(self.columns)}{hint}")

    def nearest(self, name: str) -> str | None:
        """The column whose name is most like this one, where one is."""
        known = {column.lower(): column for column in self.columns}
        close = difflib.get_close_matches(name.lower(), known, n=1)
        return known[close[0]] if close else None

    def take(self, rows: np.ndarray) -> Table:
        """The table of these rows: an array of row numbers, or one of True and False."""
        chosen = {name: cells.take(rows) for name, cells in self.columns.items()}
        return replace(self, columns=chosen)

    def drop(self, names: Iterable[str]) -> Table:
        """The table without these columns; ValueError where there is no such column."""
        gone = set(names)
        for name in gone:
            self[name]
        kept = {name: cells for name, cells in self.columns.items() if name not in gone}
        return replace(self, columns=kept)
