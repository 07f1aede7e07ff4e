"""Columns that nearly are the target."""

from __future__ import annotations

import numpy as np

#: Rows that are looked at.
_ROWS = 10_000
_MIN_ROWS = 20
#: From this correlation on a column of numbers, or its ranks, are the target's.
_SAME = 0.9995
#: A column of categories, each of so many rows on the average, is the target where knowing it
#: leaves such a share of the errors.
_ROWS_A_LEVEL = 10
_ERRORS_LEFT = 0.01


def equals_target(values: np.ndarray, truth: np.ndarray, is_class: bool) -> bool:
    """Whether values of a column nearly say the target, for better or worse.

    Parameters
    ----------
    values : (rows,)
        Numbers, NaN where missing, or places of categories, -1 where there is none.
    truth : (rows,)
        The target in its own units, or the numbers of its classes; known in every row.
    is_class : bool
    """
    step = max(1, len(values) // _ROWS)
    values, truth = values[::step].astype(np.float64), truth[::step]
    known = np.isfinite(values)
    values, truth = values[known], truth[known]
    if len(values) < _MIN_ROWS or known.sum() < 0.5 * len(known):
        return False
    if is_class:
        return _says_class(values, truth)
    ranks = _ranks(values), _ranks(truth)
    return _correlation(*ranks) > _SAME or _correlation(values, truth) > _SAME


def _ranks(values: np.ndarray) -> np.ndarray:
    """The rank of each value, the same for the same."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts + 1) / 2)[places]


def _correlation(one: np.ndarray, two: np.ndarray) -> float:
    """How far two columns go together, whichever way: 0 to 1."""
    units = []  # Sums, not products: this is too little for threads of a BLAS.
    for values in (one, two):
        small = values / (np.abs(values).max() or 1.0)
        small = small - small.mean()
        size = float(np.sqrt(np.square(small).sum()))
        if size == 0.0:
            return 0.0
        units.append(small / size)
    return abs(float((units[0] * units[1]).sum()))


def _says_class(values: np.ndarray, labels: np.ndarray) -> bool:
    different, places = np.unique(values, return_inverse=True)
    if not 1 < len(different) <= len(values) / _ROWS_A_LEVEL:
        return False
    classes = int(labels.max()) + 1
    counts = np.bincount(places * classes + labels, minlength=len(different) * classes)
    right = counts.reshape(-1, classes).max(axis=1).sum()
    commonest = np.bincount(labels).max()
    errors, baseline = len(labels) - right, len(labels) - commonest
    return bool(baseline > 0 and errors <= _ERRORS_LEFT * baseline)
