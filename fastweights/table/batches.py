"""Batches of a table whose features are too many to be held: each is encoded at its turn."""

from __future__ import annotations

import math

import numpy as np

from fastweights._core import philox
from fastweights.callbacks import Callback
from fastweights.callbacks.base import Logs, State
from fastweights.table.encoded import Encoded

#: Features of more bytes are encoded batch by batch.
MOST_HELD = 256 * 2**20
#: Rows that are encoded at a time.
BLOCK = 4096


class EncodedBatches:
    """Batches of features, targets and weights, as `Model.fit` takes them.

    Parameters
    ----------
    encoded : Encoded
    targets : ndarray (rows, ...)
    weights : ndarray (rows,), optional
    rows : int array
        Which rows there are.
    batch_size : int
    seed : int, optional
        Brings the rows in a new order each epoch, a function of the seed and the epoch's number;
        None: they keep theirs.
    """

    def __init__(
        self,
        encoded: Encoded,
        targets: np.ndarray,
        weights: np.ndarray | None,
        rows: np.ndarray,
        batch_size: int,
        seed: int | None = None,
    ) -> None:
        self._encoded, self._targets, self._weights = encoded, targets, weights
        self._rows, self._batch_size, self._seed = rows, batch_size, seed
        self._order = rows
        self._batches_a_block = max(1, BLOCK // batch_size)
        self._block: tuple[int, np.ndarray, np.ndarray] | None = None
        #: That is running, from 0; `Epochs` sets it.
        self.epoch = 0

    def __len__(self) -> int:
        return math.ceil(len(self._rows) / self._batch_size)

    def on_epoch_begin(self) -> None:
        """Shuffles the rows."""
        if self._seed is not None:
            order = np.empty(len(self._rows), dtype=np.int64)
            philox.permutation(order, self._seed, philox.STREAM_SHUFFLE + self.epoch)
            self._order = self._rows[order]
        self._block = None

    def __getitem__(self, number: int) -> tuple[np.ndarray, ...]:
        """Batch of this number: (features, targets) or (features, targets, weights)."""
        block, place = divmod(number, self._batches_a_block)
        if self._block is None or self._block[0] != block:
            size = self._batches_a_block * self._batch_size
            rows = self._order[block * size : (block + 1) * size]
            self._block = (block, rows, self._encoded[rows])
        _, rows, features = self._block
        part = slice(place * self._batch_size, (place + 1) * self._batch_size)
        batch = (features[part], self._targets[rows[part]])
        return batch if self._weights is None else (*batch, self._weights[rows[part]])


class Epochs(Callback):
    """Tells batches which epoch they are for, also in a fit that goes on from a file."""

    def __init__(self, batches: EncodedBatches) -> None:
        self._batches = batches

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        self._batches.epoch = epoch

    def state(self) -> State:
        return {"epoch": self._batches.epoch}

    def load_state(self, state: State) -> None:
        self._batches.epoch = int(state["epoch"])
