"""What a step leaves of weights; Keras's names and definitions."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from fastweights import _check
from fastweights._description import Description, identified

Shape = tuple[int, ...]

#: Added to every norm that is divided by.
EPSILON = 1e-7


class Groups(NamedTuple):
    """The weights of an array, group by group: so many, each `along` weights, `inner` apart."""

    groups: int
    along: int
    inner: int


class Constraint(Description):
    """Base of all constraints: what the weights become after each step.

    `fit`, `train_on_batch` and `apply_gradients` apply it once the optimizer has moved the weights
    of a layer that is trainable, and nothing else does: weights that are set stay as they are set.
    """

    #: The compiled function.
    kernel: ClassVar[str]

    @property
    def numbers(self) -> tuple[float, ...]:
        """What that is told."""
        return ()

    def groups(self, argument: str, shape: Shape) -> Groups:
        """How an array of this shape is gone through; ValueError where it does not suit."""
        raise NotImplementedError

    def __call__(self, weights: Any) -> np.ndarray:
        """What these weights become, an array of their own."""
        raise NotImplementedError


class NonNeg(Constraint):
    """``max(w, 0)``."""

    name = "non_neg"
    kernel = "non_neg"

    def groups(self, argument: str, shape: Shape) -> Groups:
        size = math.prod(shape)
        return Groups(size, 1, size)

    def __call__(self, weights: Any) -> np.ndarray:
        return np.maximum(np.asarray(weights), 0.0)


def _axes(got: Any) -> int | tuple[int, ...]:
    """One axis or several, negative ones from the end on."""
    if isinstance(got, (list, tuple)) and got:
        return tuple(_check.whole("axis", axis, -sys.maxsize) for axis in got)
    return _check.whole("axis", got, -sys.maxsize)


class _Norm(Constraint):
    """Base of those that bring norms into bounds.

    ``w * ((1 - rate) * norm + rate * clip(norm, least, most)) / (norm + 1e-7)``
    """

    kernel = "norm"
    axis: int | tuple[int, ...]

    def groups(self, argument: str, shape: Shape) -> Groups:
        wanted = (self.axis,) if isinstance(self.axis, int) else self.axis
        axes = sorted(axis + len(shape) if axis < 0 else axis for axis in wanted)
        follow = axes == list(range(axes[0], axes[0] + len(axes)))
        if not follow or axes[0] < 0 or axes[-1] >= len(shape):
            got = f"axis {self.axis} for weights {shape}"
            expected = f"some from 0 to {len(shape) - 1} that follow each other"
            raise ValueError(_check.refusal(argument, got, expected))
        along = math.prod(shape[axes[0] : axes[-1] + 1])
        return Groups(math.prod(shape) // along, along, math.prod(shape[axes[-1] + 1 :]))

    def __call__(self, weights: Any) -> np.ndarray:
        least, most, rate = self.numbers
        w = np.asarray(weights)
        norms = np.sqrt(np.sum(np.square(w), axis=self.axis, keepdims=True))
        kept = rate * np.clip(norms, least, most) + (1.0 - rate) * norms
        return w * (kept / (norms + EPSILON))


class MaxNorm(_Norm):
    """Norms are at most `max_value`: ``w * min(norm, max_value) / (norm + 1e-7)``.

    Parameters
    ----------
    max_value : float
        At least 0.
    axis : int or sequence of int
        Along which norms are taken, of an array of weights, without the members of a `MemberDense`.
        0: those of all that goes into a unit of a `Dense`. Several follow each other.
    """

    name = "max_norm"
    max_value: float

    def __init__(self, max_value: float = 2, axis: int | Sequence[int] = 0) -> None:
        self._set(max_value=_check.number("max_value", max_value, minimum=0.0), axis=_axes(axis))

    @property
    def numbers(self) -> tuple[float, ...]:
        return (0.0, self.max_value, 1.0)


class UnitNorm(_Norm):
    """Norms are 1: ``w / (norm + 1e-7)``.

    Parameters
    ----------
    axis : int or sequence of int
        As for :class:`MaxNorm`.
    """

    name = "unit_norm"

    def __init__(self, axis: int | Sequence[int] = 0) -> None:
        self._set(axis=_axes(axis))

    @property
    def numbers(self) -> tuple[float, ...]:
        return (1.0, 1.0, 1.0)


class MinMaxNorm(_Norm):
    """Norms come into bounds, or nearer to them:
    ``w * ((1 - rate) * norm + rate * clip(norm, min_value, max_value)) / (norm + 1e-7)``.

    Parameters
    ----------
    min_value, max_value : float
        At least 0; max_value is no less than min_value.
    rate : float
        From 0 to 1: what part of the way they come.
    axis : int or sequence of int
        As for :class:`MaxNorm`.
    """

    name = "min_max_norm"
    min_value: float
    max_value: float
    rate: float

    def __init__(
        self,
        min_value: float = 0.0,
        max_value: float = 1.0,
        rate: float = 1.0,
        axis: int | Sequence[int] = 0,
    ) -> None:
        least = _check.number("min_value", min_value, minimum=0.0)
        self._set(
            min_value=least,
            max_value=_check.number("max_value", max_value, minimum=least),
            rate=_check.number("rate", rate, minimum=0.0, maximum=1.0),
            axis=_axes(axis),
        )

    @property
    def numbers(self) -> tuple[float, ...]:
        return (self.min_value, self.max_value, self.rate)


#: Every constraint by its name.
CONSTRAINTS: dict[str, type[Constraint]] = {
    kind.name: kind for kind in (MaxNorm, NonNeg, UnitNorm, MinMaxNorm)
}


def get(
    identifier: str | Constraint | Mapping[str, Any] | None, argument: str = "constraint"
) -> Constraint | None:
    """A constraint from its name, its `config` or itself; None for none."""
    return identified(argument, identifier, Constraint, CONSTRAINTS)
