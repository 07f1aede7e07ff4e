"""Rows of data as plans take them: one array, or a tuple of one for each input or output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

Rows = np.ndarray | tuple[np.ndarray, ...]
#: The gradients by them, None by whole numbers.
Gradients = np.ndarray | None | tuple[np.ndarray | None, ...]
#: A weight for each row, or each line of a row, of each output; None where all are 1.
Weights = tuple[np.ndarray | None, ...] | None


class Examples(NamedTuple):
    """Rows, what a model should make of them, and how much each counts."""

    x: Rows
    y: Rows
    weights: Weights = None


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


def picked_examples(examples: Examples, which: Any) -> Examples:
    """Some of the examples, by a slice."""
    weights = examples.weights
    if weights is not None:
        weights = tuple(None if array is None else array[which] for array in weights)
    return Examples(picked(examples.x, which), picked(examples.y, which), weights)


def joined_examples(several: Sequence[Examples]) -> Examples:
    """Examples one after the other."""
    if len(several) == 1:
        return several[0]

    def joined(parts: Sequence[Rows]) -> Rows:
        if isinstance(parts[0], tuple):
            return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return np.concatenate([*parts])

    weights = None
    if several[0].weights is not None:
        of_outputs = zip(*(one.weights or () for one in several), strict=True)
        weights = tuple(
            None if arrays[0] is None else np.concatenate([*arrays]) for arrays in of_outputs
        )
    return Examples(joined([one.x for one in several]), joined([one.y for one in several]), weights)


def nbytes(examples: Examples) -> int:
    """What their numbers take."""
    weights = [array for array in examples.weights or () if array is not None]
    return sum(array.nbytes for array in (*each(examples.x), *each(examples.y), *weights))


def row_bytes(examples: Examples) -> int:
    """What the numbers of one row take."""
    return nbytes(picked_examples(examples, slice(0, 1)))
