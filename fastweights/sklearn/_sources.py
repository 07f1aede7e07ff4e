"""Rows in the order in which scikit-learn would take them, whole or made dense piece by piece."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import numpy as np

from fastweights import _digests
from fastweights._rows import Examples, row_bytes
from fastweights._sources import PIECE_BYTES, Part, Source, Whole


class Order:
    """The order of rows from pass to pass.

    Each is drawn as scikit-learn draws it: the last one, shuffled by a permutation of its places.

    Parameters
    ----------
    rows : int
    random_state : RandomState or None
        None: as they are.
    """

    def __init__(self, rows: int, random_state: np.random.RandomState | None) -> None:
        self._random_state, self._rows = random_state, rows
        self._last = np.arange(rows, dtype=np.int64)

    def next(self) -> np.ndarray | None:
        """That of one more pass; None where rows stay as they are."""
        if self._random_state is None:
            return None
        places = np.arange(self._rows)
        self._random_state.shuffle(places)
        self._last = self._last[places]
        return self._last


class DenseRows(Whole):
    """Examples that are all at hand."""

    def __init__(
        self, examples: Examples, batch_size: int, random_state: np.random.RandomState | None
    ) -> None:
        super().__init__(examples)
        self._order = Order(self.rows, random_state)
        #: It has an order of its own.
        self.shuffled = 0
        self.cut(batch_size)

    def cut(self, batch_size: int) -> None:
        self.batch_size = batch_size
        self.steps = -(-self.rows // batch_size)

    def parts(
        self, order: np.ndarray | None, row: int, epoch: int | None = None
    ) -> Generator[Part, None, None]:
        order = self._order.next()
        yield Part(self.first, row, self.rows, self.batch_size, 0, row // self.batch_size, order)


class SparseRows(Source):
    """Rows of a sparse matrix, of which some batches are dense at a time.

    Parameters
    ----------
    x : sparse matrix or array (rows, features) in rows, of `dtype`
    y, weights
        Of all rows, as plans take them.
    dtype : dtype
    batch_size, random_state
        As of `DenseRows`.
    """

    rows: int

    def __init__(
        self,
        x: Any,
        y: np.ndarray,
        weights: np.ndarray | None,
        dtype: np.dtype,
        batch_size: int,
        random_state: np.random.RandomState | None = None,
    ) -> None:
        self._x, self._y, self._weights, self._dtype = x, y, weights, dtype
        self.rows, self.shuffled, self.batch_size = x.shape[0], 0, batch_size
        self.steps = -(-self.rows // batch_size)
        self._order = Order(self.rows, random_state)
        self.first = self._examples(slice(0, 1))

    def _examples(self, which: np.ndarray | slice) -> Examples:
        weights = None if self._weights is None else (self._weights[which],)
        return Examples(dense(self._x[which], self._dtype), self._y[which], weights)

    def parts(
        self, order: np.ndarray | None, row: int, epoch: int | None = None
    ) -> Generator[Part, None, None]:
        order = self._order.next()
        for first, last in pieces(
            self.rows, self._x.shape[1] * self._dtype.itemsize, self.batch_size
        ):
            which = slice(first, last) if order is None else order[first:last]
            batch = first // self.batch_size
            yield Part(self._examples(which), 0, last - first, self.batch_size, first, batch)

    def digest(self) -> str:
        return _digests.of_examples(self.rows, row_bytes(self.first), self._examples)


def pieces(rows: int, bytes_of_row: int, batch_size: int = 1) -> Iterator[tuple[int, int]]:
    """Where stretches of whole batches begin and end that take some memory while they are dense."""
    batches = max(1, PIECE_BYTES // max(1, bytes_of_row * batch_size))
    for first in range(0, rows, batches * batch_size):
        yield first, min(first + batches * batch_size, rows)


def dense(x: Any, dtype: np.dtype) -> np.ndarray:
    """Rows as kernels read them."""
    return np.ascontiguousarray(x.toarray() if hasattr(x, "toarray") else x, dtype)


def dense_pieces(x: Any, y: np.ndarray, weights: np.ndarray | None, dtype: np.dtype) -> list[Any]:
    """Functions that give all rows in order, stretch by stretch: one where they are dense."""
    if not hasattr(x, "toarray"):
        whole = Examples(dense(x, dtype), y, None if weights is None else (weights,))
        return [lambda: whole]
    source = SparseRows(x, y, weights, dtype, 1)
    return [
        lambda part=part: source._examples(slice(*part))
        for part in pieces(x.shape[0], x.shape[1] * dtype.itemsize)
    ]
