"""Means, scales and skewness of numbers of any size."""

from __future__ import annotations

import numpy as np

#: From this skewness on numbers lean to the right.
SKEWED = 1.0


def mean_and_scale(values: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation; the latter is 1 where all values are the same."""
    peak = float(np.abs(values).max())
    if values.min() == values.max():
        return float(values[0]), 1.0
    small = values / peak  # Squares of huge numbers would overflow.
    return peak * float(small.mean()), peak * float(small.std()) or 1.0


def standardised(values: np.ndarray, mean: float, scale: float) -> np.ndarray:
    """``(values - mean) / scale``, where the difference alone might overflow."""
    with np.errstate(over="ignore"):
        return values / scale - mean / scale


def skewness(values: np.ndarray) -> float:
    """The third moment of standardised values."""
    centred = standardised(values, *mean_and_scale(values))
    return float(np.mean(centred**3))
