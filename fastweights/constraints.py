"""What a step leaves of weights; Keras's names and definitions."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from fastweights import _check
from fastweights._core.float_mode import in_default_float_mode
from fastweights._description import Description, identified

Shape = tuple[int, ...]

#: Added to every norm that is divided by.
EPSILON = 1e-7


class Groups(NamedTuple):
    """The weights of an array, group by group: so many, each `along` weights, `inner` apart."""

    groups: int
    along: int
    inner: int


def norms_of(weights: np.ndarray, axes: int | tuple[int, ...]) -> np.ndarray:
    """Norms along axes, which stay with length 1: in float64, and right where squares overflow."""
    values = weights.astype(np.float64)
    largest = np.abs(values).max(axis=axes, keepdims=True, initial=0.0)
    _, exponents = np.frexp(largest)
    squares = np.square(np.ldexp(values, -exponents))
    return np.ldexp(np.sqrt(squares.sum(axis=axes, keepdims=True)), exponents)


class Constraint(Description):
    """Base of all constraints: what the weights become after each step.

    `fit`, `train_on_batch` and `apply_gradients` apply it once the optimizer has moved the weights
    of a layer that is trainable, and nothing else does: weights that are set stay as they are set.
    """

    #: The compiled function.
    kernel: ClassVar[str]
    _uncalled: ClassVar[dict[str, str]] = dict.fromkeys(
        ("__call__", "call", "get_config"),
        "max_norm, non_neg, unit_norm or min_max_norm with settings of your own: kinds of your own "
        "cannot be compiled; a callback or a loop of your own may set layer.kernel[...]",
    )

    @property
    def numbers(self) -> tuple[float, ...]:
        """What that is told."""
        return ()

    def groups(self, argument: str, shape: Shape) -> Groups:
        """How an array of this shape is gone through; ValueError where it does not suit."""
        raise NotImplementedError

    def __call__(self, weights: Any) -> np.ndarray:
        """What these weights become, an array of their own: as a step leaves them.

        Parameters
        ----------
        weights : array_like of real numbers
            float32 and float64 stay what they are.
        """
        array = _check.real_copy("weights", weights)
        self.groups("weights", array.shape)
        return in_default_float_mode(self._kept, array)

    def _kept(self, weights: np.ndarray) -> np.ndarray:
        """What weights of a shape that suits become."""
        raise NotImplementedError


class NonNeg(Constraint):
    """``max(w, 0)``."""

    name = "non_neg"
    kernel = "non_neg"

    def groups(self, argument: str, shape: Shape) -> Groups:
        size = math.prod(shape)
        return Groups(size, 1, size)

    def _kept(self, weights: np.ndarray) -> np.ndarray:
        return np.where(weights < 0, weights.dtype.type(0), weights)


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
            last = len(shape) - 1
            expected = f"some from 0 to {last} that follow each other" if shape else "an array"
            raise ValueError(_check.refusal(argument, got, expected))
        along = math.prod(shape[axes[0] : axes[-1] + 1])
        return Groups(math.prod(shape) // max(along, 1), along, math.prod(shape[axes[-1] + 1 :]))

    def _kept(self, weights: np.ndarray) -> np.ndarray:
        least, most, rate = self.numbers
        real = weights.dtype
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            norms = norms_of(weights, self.axis)
            kept = rate * np.clip(norms, least, most) + (1.0 - rate) * norms
            scaled = weights * (kept / (norms + EPSILON)).astype(real)
        # Subnormal numbers become 0, as in a step.
        return np.where(np.abs(scaled) < np.finfo(real).smallest_normal, real.type(0), scaled)


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
