"""Splitting rows: which to learn from, and which to hold out."""

from __future__ import annotations

import numpy as np

from fastweights import _check
from fastweights._core import philox


def split(rows: int, fraction: float, seed: int, draw: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers of the rest and of a random part, each in rising order.

    Parameters
    ----------
    rows : int
        How many rows there are.
    fraction : float
        The part's share, at least 0 and below 1; rounded, but at least one row unless it is 0.
    seed : int
        The same seed takes the same rows, on every machine.
    draw : int
        One seed gives many draws that have nothing to do with each other.

    Returns
    -------
    rest, part : int64 arrays
    """
    fraction = _check.number("fraction", fraction, minimum=0.0, below=1.0)
    seed = _check.whole("seed", seed, 0, maximum=philox.MAX_SEED)
    count = max(1, round(rows * fraction)) if fraction else 0
    order = np.empty(rows, dtype=np.int64)
    philox.permutation(order, seed, philox.STREAM_SPLIT + draw)
    return np.sort(order[count:]), np.sort(order[:count])
