"""How often predictions are right."""

from __future__ import annotations

import numpy as np

from fastweights import _check, losses
from fastweights.metrics.base import Metric, is_signed


class BinaryAccuracy(Metric):
    """Share of outputs on the right side of a threshold; the positive class is a target of 1.

    Parameters
    ----------
    name : str
        What histories and logs call it.
    threshold : float, optional
        Predictions above it are of the positive class: 0.5 by default, 0 of logits and of scores
        for hinge. Keras's is 0.5 for all.
    """

    kind = "binary_accuracy"
    larger_is_better = True
    threshold: float | None

    def __init__(self, name: str = kind, threshold: float | None = None) -> None:
        super().__init__(name)
        self._set(threshold=None if threshold is None else _check.number("threshold", threshold))

    @property
    def options(self) -> tuple[float, ...]:
        return (0.5 if self.threshold is None else self.threshold,)

    def beside(self, loss: losses.Loss) -> Metric:
        is_read_alike = self.threshold is None and is_signed(loss)
        return self._changed(threshold=0.0) if is_read_alike else self


class _OfSeveralClasses(Metric):
    """What tells classes apart, of which there is one output each."""

    of_classes = True
    larger_is_better = True

    @property
    def kernel(self) -> str:
        return "categorical_accuracy"

    @property
    def options(self) -> tuple[float, ...]:
        return (1.0,)

    def check_targets(self, argument: str, targets: np.ndarray, outputs: int) -> None:
        if outputs < 2:
            got = f"{self.name!r} for a network with 1 output"
            raise ValueError(
                _check.refusal("metrics", got, "2 outputs or more, or binary_accuracy")
            )


class CategoricalAccuracy(_OfSeveralClasses):
    """Share of rows whose largest prediction stands where the largest target does."""

    kind = "categorical_accuracy"

    def __init__(self, name: str = kind) -> None:
        super().__init__(name)


class SparseCategoricalAccuracy(_OfSeveralClasses):
    """Share of rows whose largest prediction is the one of the class label."""

    kind = "sparse_categorical_accuracy"
    takes_labels = True

    def __init__(self, name: str = kind) -> None:
        super().__init__(name)


class TopKCategoricalAccuracy(_OfSeveralClasses):
    """Share of rows with fewer than `k` predictions above that where the largest target is.

    Parameters
    ----------
    k : int
        At least 2; 1 is :class:`CategoricalAccuracy`.
    name : str
        What histories and logs call it.
    """

    kind = "top_k_categorical_accuracy"
    k: int

    def __init__(self, k: int = 5, name: str = kind) -> None:
        super().__init__(name, k=_check.whole("k", k, 2))

    @property
    def options(self) -> tuple[float, ...]:
        return (float(self.k),)

    def check_targets(self, argument: str, targets: np.ndarray, outputs: int) -> None:
        super().check_targets(argument, targets, outputs)
        if self.k >= outputs:
            got = f"k={self.k} of {self.name!r} for {outputs} outputs, of which it is always 1"
            raise ValueError(_check.refusal("metrics", got, f"k below {outputs}"))


class SparseTopKCategoricalAccuracy(TopKCategoricalAccuracy):
    """:class:`TopKCategoricalAccuracy` for class labels."""

    kind = "sparse_top_k_categorical_accuracy"
    takes_labels = True

    def __init__(self, k: int = 5, name: str = kind) -> None:
        super().__init__(k, name)
