"""Losses as metrics: means over rows of what a loss of :mod:`fastweights.losses` says of each."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from fastweights import _check, losses
from fastweights.metrics.base import Metric, reads_logits


class _OfLoss(Metric):
    """The mean of a loss, without what only its gradient is for."""

    def __init__(self, name: str) -> None:
        super().__init__(name)

    def _loss(self) -> losses.Loss:
        return losses.LOSSES[self.kind]()

    @property
    def of_classes(self) -> bool:
        return losses.LOSSES[self.kind].of_classes

    @property
    def kernel(self) -> str:
        return self._loss().kernel

    @property
    def options(self) -> tuple[float, ...]:
        return self._loss().options

    def check_targets(self, argument: str, targets: np.ndarray, outputs: int) -> None:
        if self._loss().suitable(argument, targets) is not targets:
            got = f"targets that {self.kind} would change"
            expected = f"-1 and 1 for the metric {self.name!r}, or the loss {self.kind} beside it"
            raise ValueError(_check.refusal(argument, got, expected))


class MeanSquaredError(_OfLoss):
    """``mean((p - t)^2)`` over rows and outputs."""

    kind = "mean_squared_error"

    def __init__(self, name: str = kind) -> None:
        super().__init__(name)


class RootMeanSquaredError(Metric):
    """The square root of :class:`MeanSquaredError` over all rows."""

    kind = "root_mean_squared_error"

    def __init__(self, name: str = kind) -> None:
        super().__init__(name)

    @property
    def kernel(self) -> str:
        return MeanSquaredError.kind

    def result(self, state: Sequence[float]) -> float:
        return math.sqrt(state[0] / state[1]) if state[1] else 0.0


class MeanAbsoluteError(_OfLoss):
    """``mean(|p - t|)`` over rows and outputs."""

    kind = "mean_absolute_error"

    def __init__(self, name: str = kind) -> None:
        super().__init__(name)


class MeanAbsolutePercentageError(_OfLoss):
    """``100 mean(|p - t| / max(|t|, 1e-7))`` over rows and outputs."""

    kind = "mean_absolute_percentage_error"

    def __init__(self, name: str = kind) -> None:
        super().__init__(name)


class MeanSquaredLogarithmicError(_OfLoss):
    """``mean((log(1 + p) - log(1 + t))^2)`` over rows and outputs, of targets of 0 or more."""

    kind = "mean_squared_logarithmic_error"

    def __init__(self, name: str = kind) -> None:
        super().__init__(name)


class LogCoshError(_OfLoss):
    """``mean(log(cosh(p - t)))`` over rows and outputs."""

    kind = "log_cosh"

    def __init__(self, name: str = "logcosh") -> None:
        super().__init__(name)


class Poisson(_OfLoss):
    """``mean(p - t log(p + 1e-7))`` over rows and outputs, of rates p and counts t."""

    kind = "poisson"

    def __init__(self, name: str = kind) -> None:
        super().__init__(name)


class Hinge(_OfLoss):
    """``mean(max(0, 1 - t p))`` over rows and outputs, of targets -1 and 1."""

    kind = "hinge"

    def __init__(self, name: str = kind) -> None:
        super().__init__(name)


class SquaredHinge(_OfLoss):
    """``mean(max(0, 1 - t p)^2)`` over rows and outputs, of targets -1 and 1."""

    kind = "squared_hinge"

    def __init__(self, name: str = kind) -> None:
        super().__init__(name)


class CategoricalHinge(_OfLoss):
    """``max(0, 1 + max((1 - t) p) - sum(t p))`` over the classes, the mean over rows."""

    kind = "categorical_hinge"

    def __init__(self, name: str = kind) -> None:
        super().__init__(name)


class KLDivergence(_OfLoss):
    """``sum(t log(t / p))`` over the classes, the mean over rows."""

    kind = "kl_divergence"

    def __init__(self, name: str = kind) -> None:
        super().__init__(name)


class CosineSimilarity(_OfLoss):
    """``sum(p t) / (|p| |t|)`` over the last axis, the mean over rows.

    Larger is better: the loss of that name is its negative.
    """

    kind = "cosine_similarity"
    larger_is_better = True

    def __init__(self, name: str = kind) -> None:
        super().__init__(name)

    def result(self, state: Sequence[float]) -> float:
        return -state[0] / state[1] if state[1] else 0.0


# ---- crossentropy --------------------------------------------------------------------------------


class Crossentropy(_OfLoss):
    """What the crossentropies share."""

    from_logits: bool | None

    def __init__(self, name: str, from_logits: bool | None = None) -> None:
        super().__init__(name)
        if from_logits is not None:
            from_logits = _check.flag("from_logits", from_logits)
        self._set(from_logits=from_logits)

    @property
    def kernel(self) -> str:
        return self.kind + "_logits" if self.from_logits else self.kind

    def beside(self, loss: losses.Loss) -> Metric:
        is_read_alike = self.from_logits is None and reads_logits(loss)
        return self._changed(from_logits=True) if is_read_alike else self


class BinaryCrossentropy(Crossentropy):
    """:class:`fastweights.losses.BinaryCrossentropy`, without label smoothing.

    Parameters
    ----------
    name : str
        What histories and logs call it.
    from_logits : bool, optional
        Whether the network's output are logits instead of probabilities; by default as the loss
        has it (in Keras they are not).
    """

    kind = "binary_crossentropy"

    def __init__(self, name: str = kind, from_logits: bool | None = None) -> None:
        super().__init__(name, from_logits)


class CategoricalCrossentropy(Crossentropy):
    """:class:`fastweights.losses.CategoricalCrossentropy`, without label smoothing.

    Parameters as for :class:`BinaryCrossentropy`.
    """

    kind = "categorical_crossentropy"

    def __init__(self, name: str = kind, from_logits: bool | None = None) -> None:
        super().__init__(name, from_logits)


class SparseCategoricalCrossentropy(Crossentropy):
    """:class:`fastweights.losses.SparseCategoricalCrossentropy`.

    Parameters as for :class:`BinaryCrossentropy`.
    """

    kind = "sparse_categorical_crossentropy"
    takes_labels = True

    def __init__(self, name: str = kind, from_logits: bool | None = None) -> None:
        super().__init__(name, from_logits)
