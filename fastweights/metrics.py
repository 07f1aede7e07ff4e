"""Metrics: what is reported beside the loss. Names and definitions are Keras 3's.

A metric adds up sums over every row of an epoch (``src_pyx/kernels/metrics.pxi``) that are divided
once, at its end: it does not depend on how the rows were cut into batches. It looks at the
network's output; one asked for by name reads that output as the loss does, as probabilities, as
logits (a loss with ``from_logits``) or as a signed score (hinge).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from fastweights import _check, losses
from fastweights._description import Description, from_config, of_library
from fastweights.layers.base import takes

#: Sums that a metric keeps for each output: METRIC_STATE of src_pyx/ops.pxd.
SUMS_PER_OUTPUT = 8


class Metric(Description):
    """Base of all metrics. A subclass names its kernel and turns sums into a number.

    Parameters
    ----------
    name : str
        What histories and logs call it.
    """

    kind: ClassVar[str]
    #: Whether targets are class labels (rows,) instead of numbers (rows, outputs).
    takes_labels: ClassVar[bool] = False
    #: Whether outputs are classes, of which one is right: the last axis where there are several.
    of_classes: ClassVar[bool] = False
    larger_is_better: ClassVar[bool] = False
    _uncalled: ClassVar[dict[str, str]] = dict.fromkeys(
        ("update_state", "reset_state", "get_config"),
        "a metric of this library: one of your own is computed from model.predict(x)",
    )

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if not takes(cls.result, (None, ())):
            got = "a method result without the kernel's sums"
            raise TypeError(_check.refusal(cls.__name__, got, cls._uncalled["update_state"]))

    def __init__(self, name: str) -> None:
        _check.name("name", name)
        if name == "loss" or name.startswith("val_"):
            expected = "a name that no other figure of the history has"
            raise ValueError(_check.refusal("name", _check.shown(name), expected))
        self._set(name=name)

    @property
    def kernel(self) -> str:
        """Name of the compiled kernel."""
        return self.kind

    @property
    def options(self) -> tuple[float, ...]:
        """The kernel's numbers."""
        return ()

    def result(self, state: Sequence[float]) -> float:
        """The metric from the kernel's sums, SUMS_PER_OUTPUT for each output."""
        return state[0] / state[1] if state[1] else 0.0

    def config(self) -> dict[str, Any]:
        """Kind and settings, as JSON can hold them; :func:`get` turns them back."""
        return {"kind": self.kind, **vars(self)}

    def check_targets(self, argument: str, targets: np.ndarray, outputs: int) -> None:
        """Raises ValueError where this metric says nothing about such targets."""

    @classmethod
    def reading(cls, name: str, loss: losses.Loss) -> Metric:
        """The metric for a network that is trained with `loss`."""
        return cls(name)


# ---- regression ----------------------------------------------------------------------------------


class MeanSquaredError(Metric):
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
        return math.sqrt(super().result(state))


class MeanAbsoluteError(Metric):
    """``mean(|p - t|)`` over rows and outputs."""

    kind = "mean_absolute_error"

    def __init__(self, name: str = kind) -> None:
        super().__init__(name)


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
            self._score(*state[first : first + 6])
            for first in range(0, len(state), SUMS_PER_OUTPUT)
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
        spread = shifted_squares - shifted * shifted / weights
        if spread <= 0.0:
            return 1.0 if residual == 0.0 else 0.0
        return 1.0 - residual / spread


# ---- accuracy ------------------------------------------------------------------------------------


class BinaryAccuracy(Metric):
    """Share of outputs on the right side of a threshold; the positive class is a target of 1.

    Parameters
    ----------
    name : str
        What histories and logs call it.
    threshold : float
        Predictions above it are of the positive class.
    """

    kind = "binary_accuracy"
    larger_is_better = True
    threshold: float

    def __init__(self, name: str = kind, threshold: float = 0.5) -> None:
        super().__init__(name)
        self._set(threshold=_check.number("threshold", threshold))

    @property
    def options(self) -> tuple[float, ...]:
        return (self.threshold,)

    @classmethod
    def reading(cls, name: str, loss: losses.Loss) -> Metric:
        is_signed = isinstance(loss, losses.Hinge) or _reads_logits(loss)
        return cls(name, threshold=0.0 if is_signed else 0.5)


class _OfClasses(Metric):
    """What tells classes apart, of which there is one output each."""

    of_classes = True

    def check_targets(self, argument: str, targets: np.ndarray, outputs: int) -> None:
        if outputs < 2:
            got = f"{self.name!r} for a network with 1 output"
            raise ValueError(
                _check.refusal("metrics", got, "2 outputs or more, or binary_accuracy")
            )


class CategoricalAccuracy(_OfClasses):
    """Share of rows whose largest prediction stands where the largest target does."""

    kind = "categorical_accuracy"
    larger_is_better = True

    def __init__(self, name: str = kind) -> None:
        super().__init__(name)


class SparseCategoricalAccuracy(_OfClasses):
    """Share of rows whose largest prediction is the one of the class label."""

    kind = "sparse_categorical_accuracy"
    takes_labels = True
    larger_is_better = True

    def __init__(self, name: str = kind) -> None:
        super().__init__(name)


# ---- crossentropy --------------------------------------------------------------------------------


class _Crossentropy(Metric):
    """The loss of that name, as a metric."""

    from_logits: bool

    def __init__(self, name: str, from_logits: bool = False) -> None:
        super().__init__(name)
        self._set(from_logits=_check.flag("from_logits", from_logits))

    @property
    def kernel(self) -> str:
        return self.kind + "_logits" if self.from_logits else self.kind

    @property
    def options(self) -> tuple[float, ...]:
        return (0.0,)  # no label smoothing

    def check_targets(self, argument: str, targets: np.ndarray, outputs: int) -> None:
        losses.LOSSES[self.kind]().suitable(argument, targets)

    @classmethod
    def reading(cls, name: str, loss: losses.Loss) -> Metric:
        return cls(name, from_logits=_reads_logits(loss))


class BinaryCrossentropy(_Crossentropy):
    """:class:`fastweights.losses.BinaryCrossentropy`, without label smoothing.

    Parameters
    ----------
    name : str
        What histories and logs call it.
    from_logits : bool
        Whether the network's output are logits instead of probabilities.
    """

    kind = "binary_crossentropy"

    def __init__(self, name: str = kind, from_logits: bool = False) -> None:
        super().__init__(name, from_logits)


class CategoricalCrossentropy(_Crossentropy):
    """:class:`fastweights.losses.CategoricalCrossentropy`, without label smoothing.

    Parameters as for :class:`BinaryCrossentropy`.
    """

    kind = "categorical_crossentropy"
    of_classes = True

    def __init__(self, name: str = kind, from_logits: bool = False) -> None:
        super().__init__(name, from_logits)


class SparseCategoricalCrossentropy(_Crossentropy):
    """:class:`fastweights.losses.SparseCategoricalCrossentropy`.

    Parameters as for :class:`BinaryCrossentropy`.
    """

    kind = "sparse_categorical_crossentropy"
    of_classes = True
    takes_labels = True

    def __init__(self, name: str = kind, from_logits: bool = False) -> None:
        super().__init__(name, from_logits)


# ---- names ---------------------------------------------------------------------------------------

KINDS: dict[str, type[Metric]] = {
    kind.kind: kind
    for kind in (
        MeanSquaredError,
        RootMeanSquaredError,
        MeanAbsoluteError,
        R2Score,
        BinaryAccuracy,
        CategoricalAccuracy,
        SparseCategoricalAccuracy,
        BinaryCrossentropy,
        CategoricalCrossentropy,
        SparseCategoricalCrossentropy,
    )
}

#: What "accuracy" means beside a loss.
ACCURACIES: dict[type[losses.Loss], type[Metric]] = {
    losses.Hinge: BinaryAccuracy,
    losses.BinaryCrossentropy: BinaryAccuracy,
    losses.CategoricalCrossentropy: CategoricalAccuracy,
    losses.SparseCategoricalCrossentropy: SparseCategoricalAccuracy,
}

#: Every metric by its name and short name; "accuracy" and "acc" are what suits the loss.
METRICS: dict[str, type[Metric] | None] = {
    "accuracy": None,
    **KINDS,
    "acc": None,
    "mse": MeanSquaredError,
    "rmse": RootMeanSquaredError,
    "mae": MeanAbsoluteError,
    "r2": R2Score,
    "bce": BinaryCrossentropy,
}


def _reads_logits(loss: losses.Loss) -> bool:
    return getattr(loss, "from_logits", False)


def _accuracy(name: str, loss: losses.Loss) -> type[Metric]:
    if type(loss) not in ACCURACIES:
        raise ValueError(
            _check.refusal(
                "metrics",
                f"{name!r} beside the loss {loss.name}",
                "a loss of classes; or name binary_accuracy or categorical_accuracy",
            )
        )
    return ACCURACIES[type(loss)]


def _check_fit(metric: Metric, loss: losses.Loss) -> None:
    """Refuses a metric that reads other targets than the loss has."""
    got = f"{metric.name!r} beside the loss {loss.name}"
    if metric.takes_labels and not loss.takes_labels:
        raise ValueError(
            _check.refusal("metrics", got, "the loss sparse_categorical_crossentropy beside it")
        )
    if loss.takes_labels and not metric.takes_labels:
        known = ", ".join(name for name, kind in KINDS.items() if kind.takes_labels)
        raise ValueError(_check.refusal("metrics", got, f"a metric of class labels: {known}"))
    if isinstance(loss, losses.Hinge) and isinstance(metric, _Crossentropy):
        raise ValueError(
            _check.refusal("metrics", got, "a loss whose targets are from 0 to 1 beside it")
        )


def get(identifier: str | Metric | Mapping[str, Any], loss: losses.Loss) -> Metric:
    """A metric from its name, its `config` or itself, fit to stand beside `loss`.

    Raises
    ------
    ValueError
        The name is not known, or the metric reads other targets than the loss.
    """
    if isinstance(identifier, Metric):
        metric = of_library("metrics", identifier, KINDS)
    elif isinstance(identifier, Mapping):
        metric = from_config("metrics", identifier, KINDS, "kind")
    else:
        kind = _check.choice("metrics", identifier, METRICS, ignore_case=True) or _accuracy(
            identifier, loss
        )
        metric = kind.reading(identifier, loss)
    _check_fit(metric, loss)
    return metric
