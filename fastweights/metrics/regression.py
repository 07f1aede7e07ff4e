"""How well numbers follow numbers: scores of the spread, each output by itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from fastweights.metrics.base import Metric

R2_SUMS = 6


class R2Score(Metric):
    """Coefficient of determination: ``1 - sum((p - t)^2) / sum((t - mean(t))^2)``.

    With several outputs the mean of their scores. As in scikit-learn, an output whose targets are
    all the same scores 1.0 if every prediction is exact and else 0.0; fewer than two rows give NaN.
    """

    kind = "r2_score"
    larger_is_better = True

    def __init__(self, name: str = kind) -> None:
        super().__init__(name)

    def result(self, state: Sequence[float]) -> float:
        scores = [
            self._score(*state[first : first + R2_SUMS]) for first in range(0, len(state), R2_SUMS)
        ]
        return sum(scores) / len(scores)

    @staticmethod
    def _score(
        weights: float,
        shift: float,
        shifted: float,
        shifted_squares: float,
        residual: float,
        rows: float,
    ) -> float:
        if rows < 2 or math.isnan(residual):
            return math.nan
        return _share(residual, shifted_squares - shifted * (shifted / weights))


def _share(residual: float, spread: float) -> float:
    """How much of a spread is explained."""
    if spread <= 0.0:
        return 1.0 if residual == 0.0 else 0.0
    return 1.0 - residual / spread


class _Moments(NamedTuple):
    """Of two columns: what the kernel `moments` keeps, means from where their first numbers are."""

    weights: float
    first_a: float
    first_b: float
    mean_a: float
    mean_b: float
    squares_a: float
    squares_b: float
    products: float
    rows: float


class _OfMoments(Metric):
    """The mean over outputs of what moments of predictions and targets say."""

    larger_is_better = True
    #: Whether the kernel looks at errors in place of predictions.
    _of_errors: ClassVar[bool] = False

    @property
    def kernel(self) -> str:
        return "moments"

    @property
    def options(self) -> tuple[float, ...]:
        return (float(self._of_errors),)

    def result(self, state: Sequence[float]) -> float:
        size = len(_Moments._fields)
        columns = [_Moments(*state[k : k + size]) for k in range(0, len(state), size)]
        return sum(self._score(column) if column.rows > 1 else math.nan for column in columns) / (
            len(columns)
        )

    def _score(self, of: _Moments) -> float:
        raise NotImplementedError


class ExplainedVariance(_OfMoments):
    """``1 - var(t - p) / var(t)``: :class:`R2Score` but for what predictions are off on average.

    With several outputs the mean of their scores; where targets are all the same, and for fewer
    than two rows, as :class:`R2Score`.
    """

    kind = "explained_variance"
    _of_errors = True

    def __init__(self, name: str = kind) -> None:
        super().__init__(name)

    def _score(self, of: _Moments) -> float:
        if math.isnan(of.squares_a):
            return math.nan
        return _share(of.squares_a, of.squares_b)


class PearsonCorrelation(_OfMoments):
    """Correlation of predictions and targets over all rows, the mean over outputs.

    Keras's is one over the outputs of each row, which for one output is none. NaN where either are
    all the same, and for fewer than two rows.
    """

    kind = "pearson_correlation"

    def __init__(self, name: str = kind) -> None:
        super().__init__(name)

    def _score(self, of: _Moments) -> float:
        scale = math.sqrt(of.squares_a) * math.sqrt(of.squares_b)
        # Rounding may bring it beyond 1.
        return max(-1.0, min(1.0, of.products / scale)) if scale > 0.0 else math.nan


class ConcordanceCorrelation(_OfMoments):
    """``2 cov(p, t) / (var(p) + var(t) + (mean(p) - mean(t))^2)`` over all rows (Lin, 1989).

    The mean over outputs; Keras's is one over the outputs of each row.
    """

    kind = "concordance_correlation"

    def __init__(self, name: str = kind) -> None:
        super().__init__(name)

    def _score(self, of: _Moments) -> float:
        apart = of.weights * (of.first_a - of.first_b + of.mean_a - of.mean_b) ** 2
        scale = of.squares_a + of.squares_b + apart
        return 2.0 * of.products / scale if scale > 0.0 else math.nan
