"""Rows of data as plans take them: one array, or a tuple of one for each input or output."""

from __future__ import annotations

from typing import Any

import numpy as np

Rows = np.ndarray | tuple[np.ndarray, ...]


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


def empty_like(rows: Rows) -> Rows:
    """Room for as many numbers."""
    if isinstance(rows, tuple):
        return tuple(np.empty_like(array) for array in rows)
    return np.empty_like(rows)
