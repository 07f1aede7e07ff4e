"""Rows of data as plans take them: one array, or a tuple of one for each input or output."""

from __future__ import annotations

from typing import Any

import numpy as np

Rows = np.ndarray | tuple[np.ndarray, ...]
#: The gradients by them, None by whole numbers.
Gradients = np.ndarray | None | tuple[np.ndarray | None, ...]


def each(rows: Rows) -> tuple[np.ndarray, ...]:
    """The array of each input or output."""
    return rows if isinstance(rows, tuple) else (rows,)


def count(rows: Rows) -> int:
    """How many rows there are."""
    return len(each(rows)[0])


def picked(rows: Rows, which: Any) -> Rows:
    """Some of the rows, by a slice."""
    if isinstance(rows, tuple):
        return tuple(array[which] for array in rows)
    return rows[which]
