"""What all metrics are: those that add up sums in the kernels, and those that see all rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from fastweights import _check, losses
from fastweights._description import Description
from fastweights.layers.base import takes

#: A metric's value: a number, or an array of some.
Figure = float | np.ndarray


class Metric(Description):
    """Base of all metrics. A subclass names its kernel and turns sums into a number.

    Parameters
    ----------
    name : str
        What histories and logs call it.
    """

    kind: ClassVar[str]
    #: Whether targets are class labels (rows,) instead of numbers (rows, outputs); None: either.
    takes_labels: ClassVar[bool | None] = False
    #: Whether it is for losses alone that have a target for each output, or a label.
    needs_target_of_each: ClassVar[bool] = True
    #: Which way a callback takes for better.
    larger_is_better: bool = False
    _uncalled: ClassVar[dict[str, str]] = dict.fromkeys(
        ("update_state", "reset_state", "get_config"),
        "a metric of this library, or a function (y_true, y_pred) of your own",
    )

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if not takes(cls.result, (None, ())):
            got = "a method result without the kernel's sums"
            raise TypeError(_check.refusal(cls.__name__, got, cls._uncalled["update_state"]))

    def __init__(self, name: str, **before: Any) -> None:
        """`before` are settings that stand before the name."""
        _check.name("name", name)
        if name == "loss" or name.startswith("val_"):
            expected = "a name that no other figure of the history has"
            raise ValueError(_check.refusal("name", _check.shown(name), expected))
        self._set(**before, name=name)

    @property
    def of_classes(self) -> bool:
        """Whether outputs are classes, of which each line of the last axis has one."""
        return False

    @property
    def kernel(self) -> str | None:
        """Name of the compiled kernel, a metric's or a loss's; None: `figure` sees all rows."""
        return self.kind

    @property
    def options(self) -> tuple[float, ...]:
        """The kernel's numbers."""
        return ()

    def result(self, state: Sequence[float]) -> Figure:
        """The metric from the kernel's sums."""
        return state[0] / state[1] if state[1] else 0.0

    def figure(self, y_true: np.ndarray, y_pred: np.ndarray, weights: np.ndarray | None) -> Figure:
        """The metric from all rows of a pass that count, where there is no kernel.

        Parameters
        ----------
        y_true, y_pred : ndarray (rows, ...)
            Targets as kernels take them, and predictions; neither may be written to.
        weights : ndarray (rows,) of float64 or None
            How much each row counts, more than 0; None: all alike.
        """
        raise NotImplementedError

    def config(self) -> dict[str, Any]:
        """Kind and settings, as JSON can hold them; `fastweights.metrics.get` turns them back."""
        return {"kind": self.kind, **vars(self)}

    def check_targets(self, argument: str, targets: np.ndarray, outputs: int) -> None:
        """Raises ValueError where this metric says nothing about such targets."""

    def beside(self, loss: losses.Loss) -> Metric:
        """The metric for a network that is trained with `loss`."""
        return self

    @classmethod
    def reading(cls, name: str, loss: losses.Loss) -> Metric:
        """The metric of this kind that a name stands for beside `loss`."""
        return cls(name)


def reads_logits(loss: losses.Loss) -> bool:
    """Whether a loss takes outputs for logits."""
    return getattr(loss, "from_logits", False)


def border(name: str, loss: losses.Loss) -> float:
    """Where outputs change from one class to the other."""
    if reads_logits(loss) and loss.of_classes:
        got = f"{name!r} beside logits of several classes, which have no threshold"
        raise ValueError(_check.refusal("metrics", got, "softmax as the last activation"))
    return 0.0 if is_signed(loss) else 0.5


#: Of which networks answer what class a row is of.
_OF_CLASSES = (
    losses.BinaryCrossentropy,
    losses.CategoricalCrossentropy,
    losses.SparseCategoricalCrossentropy,
    losses.KLDivergence,
    losses.Hinge,
    losses.CategoricalHinge,
)


def is_classifier(loss: losses.Loss) -> bool:
    """Whether a network that is trained with this loss tells classes apart."""
    return isinstance(loss, _OF_CLASSES)


def is_signed(loss: losses.Loss) -> bool:
    """Whether outputs are on either side of 0: scores, as hinge takes them, or logits."""
    return "hinge" in loss.name or reads_logits(loss)


def refuse_several_classes(metric: Metric, argument: str, targets: np.ndarray) -> None:
    """Raises ValueError for rows of targets of which no single one is the largest."""
    if targets.dtype.kind == "i" or targets.ndim < 2:
        return
    is_bad = (targets == targets.max(axis=1, keepdims=True)).sum(axis=1) > 1
    if is_bad.any():
        row = is_bad.argmax()
        expected = f"one class in each row for the metric {metric.name}"
        raise ValueError(_check.refusal(argument, f"{targets[row]} in row {row}", expected))


def refuse_part_of_class(metric: Metric, argument: str, targets: np.ndarray) -> None:
    """Raises ValueError for targets that are neither of a class nor not of it."""
    if targets.dtype.kind == "i":
        return
    is_bad = (targets != 0) & (np.abs(targets) != 1)
    if is_bad.any():
        where = np.unravel_index(is_bad.argmax(), is_bad.shape)
        expected = f"targets of 0 and 1, or of -1 and 1, for the metric {metric.name}"
        raise ValueError(_check.refusal(argument, f"{targets[where]} in row {where[0]}", expected))
