"""The features of a table's rows, made when they are asked for."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fastweights.table.columns import Column

#: So many rows are encoded at a time: what is in between stays in the cache.
_BLOCK = 2048


class Encoded:
    """Features of rows: as few numbers as the columns need, until some rows are asked for.

    Features are many times larger than the cells that they come from; a large table is therefore
    kept as it was read (8 bytes a cell), and ``encoded[rows]`` makes the features of a batch.

    Parameters
    ----------
    columns : sequence of columns
    reads : sequence of arrays (rows,) or (rows, n)
        What each column read from its cells.
    """

    def __init__(self, columns: Sequence[Column], reads: Sequence[np.ndarray]) -> None:
        self._columns = tuple(columns)
        self._reads = tuple(reads)
        ends = np.cumsum([0, *(len(column.features) for column in columns)]).tolist()
        self._places = [slice(*pair) for pair in itertools.pairwise(ends)]
        #: Rows and features.
        self.shape = (len(reads[0]), ends[-1])

    @property
    def reads(self) -> tuple[np.ndarray, ...]:
        """What the features are made of."""
        return self._reads

    def followed_by(self, other: Encoded) -> Encoded:
        """The features of these rows and then those of others, by the same columns."""
        reads = [np.concatenate(pair) for pair in zip(self._reads, other._reads, strict=True)]
        return Encoded(self._columns, reads)

    @property
    def pieces(self) -> np.ndarray:
        """Which features are pieces of a piecewise-linear encoding: bool (features,)."""
        return np.array([piece for column in self._columns for piece in column.pieces])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """The features of these rows, a slice, numbers or bool: float32 (rows, features)."""
        numbers = np.arange(len(self))[rows]
        out = np.empty((len(numbers), self.shape[1]), dtype=np.float32)
        for begin in range(0, len(numbers), _BLOCK):
            block = numbers[begin : begin + _BLOCK]
            of_block = out[begin : begin + _BLOCK]
            for column, read, place in zip(self._columns, self._reads, self._places, strict=True):
                column.encode(read[block], of_block[:, place])
        return out
