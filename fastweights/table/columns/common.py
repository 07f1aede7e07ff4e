"""What all kinds of columns share: the marks of a file, and words about odd cells."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from fastweights._json import shown
from fastweights.table.cells import Cells
from fastweights.table.tables import Table


class Marks(NamedTuple):
    """The marks of a file's numbers."""

    decimal: str = "."
    thousands: str = ""

    @classmethod
    def of(cls, table: Table) -> Marks:
        """Those of a table."""
        return cls(table.decimal, table.thousands)


class Oddity(NamedTuple):
    """Cells that training had nothing like: what becomes of them, how many they are, and one.

    Some still are what their column is made of, numbers: these are ``read``.
    """

    fate: str
    rows: int
    example: str
    read: bool = False


def odd_texts(fate: str, cells: Cells, odd: np.ndarray) -> list[Oddity]:
    """The oddity of cells whose texts are odd, bool (texts,); none where there are none."""
    if not odd.any():
        return []
    count = int(cells.counts()[odd].sum())
    return [Oddity(fate, count, cells.texts[int(odd.argmax())])] if count else []


def odd_rows(fate: str, cells: Cells, odd: np.ndarray) -> list[Oddity]:
    """The oddity of cells that are odd, bool (rows,); none where there are none."""
    count = int(np.count_nonzero(odd))
    return [Oddity(fate, count, cells[int(odd.argmax())])] if count else []


def named(names: Iterable[str], most: int = 3) -> str:
    """Names as a sentence has them: ``a, b, c and 34 more``."""
    words = [shown(name) for name in names]
    more = len(words) - most
    return ", ".join(words[:most]) + (f" and {more:,} more" if more > 0 else "")
