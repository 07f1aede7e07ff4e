"""Figures of the confusion of classes: the class of a row beside the one that is predicted.

The predicted class is that of the largest output, of one output the positive one above a threshold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastweights import _check, losses
from fastweights.metrics.base import Metric, is_signed, refuse_part_of_class, refuse_several_classes


class _OfClasses(Metric):
    """What looks at the predicted class alone."""

    takes_labels = None
    of_classes = True
    #: By which the distance to a wrong class counts.
    _power = 0.0
    threshold: float | None

    def __init__(self, name: str, threshold: float | None, **before: Any) -> None:
        super().__init__(name, **before)
        self._set(threshold=None if threshold is None else _check.number("threshold", threshold))

    @property
    def options(self) -> tuple[float, ...]:
        return (0.5 if self.threshold is None else self.threshold, self._power)

    def check_targets(self, argument: str, targets: np.ndarray, outputs: int) -> None:
        if outputs == 1:
            refuse_part_of_class(self, argument, targets)
        else:
            refuse_several_classes(self, argument, targets)

    def beside(self, loss: losses.Loss) -> Metric:
        is_read_alike = self.threshold is None and is_signed(loss)
        return self._changed(threshold=0.0) if is_read_alike else self


class _OfClassCounts(_OfClasses):
    """What depends on how many rows each class has, are taken for it, and are rightly so."""

    larger_is_better = True

    @property
    def kernel(self) -> str:
        return "class_counts"


def counts_of(state: Sequence[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each class what `class_counts` keeps: rows found, its rows, rows taken for it."""
    found, own, taken = np.reshape(state[1:], (-1, 3)).T
    return found, own, taken


def shares(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """``part / whole``, 0 where there is nothing to share."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


class BalancedAccuracy(_OfClassCounts):
    """The mean over classes of the share of their rows that is found.

    Classes without rows are left out.

    Parameters
    ----------
    name : str
        What histories and logs call it.
    threshold : float, optional
        Of one output: above it is the positive class. 0.5 by default, 0 of logits and of scores
        for hinge.
    """

    kind = "balanced_accuracy"

    def __init__(self, name: str = kind, threshold: float | None = None) -> None:
        super().__init__(name, threshold)

    def result(self, state: Sequence[float]) -> float:
        found, own, _ = counts_of(state)
        if not (own > 0).any():
            return 0.0
        return float((found[own > 0] / own[own > 0]).mean())


class MatthewsCorrelation(_OfClassCounts):
    """Correlation of the classes and those predicted, for any number of classes (Gorodkin, 2004).

    0 where either are all the same, as in scikit-learn.
    Parameters as for :class:`BalancedAccuracy`.
    """

    kind = "matthews_correlation"

    def __init__(self, name: str = kind, threshold: float | None = None) -> None:
        super().__init__(name, threshold)

    def result(self, state: Sequence[float]) -> float:
        found, own, taken = counts_of(state)
        if min(np.count_nonzero(own), np.count_nonzero(taken)) < 2:
            return 0.0
        # In shares of all rows, whose products cannot overflow.
        found, own, taken = found / own.sum(), own / own.sum(), taken / own.sum()
        spreads = (own @ (1.0 - own)) * (taken @ (1.0 - taken))
        return float((found.sum() - own @ taken) / math.sqrt(spreads))


class CohenKappa(_OfClassCounts):
    """Agreement beyond chance of the classes and those predicted (Cohen, 1960).

    ``1 - observed / expected`` disagreement; NaN where none is expected, all being of one class.

    Parameters
    ----------
    weights : {None, "linear", "quadratic"}
        What a wrong class counts: 1, how far off it is, or the square of that.
    name : str
        What histories and logs call it.
    threshold : float, optional
        Of one output: above it is the positive class. 0.5 by default, 0 of logits and of scores
        for hinge.
    """

    kind = "cohen_kappa"
    weights: str | None

    def __init__(
        self, weights: str | None = None, name: str = kind, threshold: float = 0.5
    ) -> None:
        if weights is not None:
            _check.choice("weights", weights, dict.fromkeys(("linear", "quadratic")))
        super().__init__(name, threshold, weights=weights)

    @property
    def _power(self) -> float:  # type: ignore[override]
        return {None: 0.0, "linear": 1.0, "quadratic": 2.0}[self.weights]

    def result(self, state: Sequence[float]) -> float:
        _, own, taken = counts_of(state)
        numbers = np.arange(len(own))
        apart = (
            np.abs(numbers[:, None] - numbers) ** self._power
            if self._power
            else (numbers[:, None] != numbers)
        )
        rows = own.sum()
        if not rows > 0:
            return math.nan
        # In shares of all rows, whose products cannot overflow.
        expected = (own / rows) @ apart @ (taken / rows)
        return float(1.0 - state[0] / rows / expected) if expected > 0 else math.nan


class ConfusionMatrix(_OfClasses):
    """How many rows of each class were taken for which: an array (classes, classes), rows first.

    Of a weight each row counts as much. A prediction of NaN is in no column. Histories hold the
    array; lines of progress leave it out, and no callback can monitor it. A network with very many
    outputs has as many sums squared, for each thread.
    Parameters as for :class:`BalancedAccuracy`.
    """

    kind = "confusion_matrix"

    def __init__(self, name: str = kind, threshold: float | None = None) -> None:
        super().__init__(name, threshold)

    def result(self, state: Sequence[float]) -> np.ndarray:
        classes = math.isqrt(len(state))
        return np.reshape(state, (classes, classes))
