"""Layers that see numbers in another shape or order, and change none of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fastweights import _check
from fastweights.layers.base import Layer
from fastweights.layers.ops import Value, axis_setting, op


def last_axis(axis: Any) -> int:
    """The setting of layers that know the last axis only."""
    if axis_setting("axis", axis) != -1:
        raise ValueError(_check.refusal("axis", axis, "-1, the last axis"))
    return -1


def permuted(value: Value, order: Sequence[int]) -> Value:
    """The value with its axes, counted from 0, in another order."""
    now = list(range(len(order)))
    sizes = value.shape

    def length(axes: Sequence[int]) -> int:
        return math.prod(sizes[axis] for axis in axes)

    at = 0
    while at < len(order):
        # As many axes as stay together go before those that stand in their place.
        begin = now.index(order[at])
        end = begin + 1
        while end < len(now) and now[end] == order[at + end - begin]:
            end += 1
        before, over, moved, after = now[:at], now[at:begin], now[begin:end], now[end:]
        now = [*before, *moved, *over, *after]
        if length(over) > 1 and length(moved) > 1:
            swap = (length(over), length(moved), length(after))
            value = op("swap", value, lines=length(before), sizes=swap)
        at += len(moved)
    return value.reshaped(tuple(sizes[axis] for axis in order))


def repeated(value: Value, axis: int, times: int) -> Value:
    """The value as often as that along an axis, counted from 0, of length 1."""
    before, after = value.shape[:axis], value.shape[axis + 1 :]
    lines = math.prod(before)
    return op("repeat", value, shape=(*before, times, *after), lines=lines, sizes=(times,))


class Flatten(Layer):
    """Takes each row, whatever its shape, as one vector of features."""

    def ops(self, x: Value) -> Value:
        return x.reshaped((math.prod(x.shape),))


class Identity(Layer):
    """Gives what it is given."""

    supports_masking = True

    def ops(self, x: Value) -> Value:
        return x


class Reshape(Layer):
    """The numbers of each row in another shape.

    Parameters
    ----------
    target_shape : sequence of int
        Of a row. One of them may be -1: what the others leave.
    name : str, optional
        Name in the model.
    """

    def __init__(self, target_shape: Sequence[int], name: str | None = None) -> None:
        super().__init__(name)
        self.target_shape = _sizes("target_shape", target_shape, -1)
        if 0 in self.target_shape or self.target_shape.count(-1) > 1:
            expected = "sizes of at least 1, and -1 once at most"
            raise ValueError(_check.refusal("target_shape", self.target_shape, expected))

    def ops(self, x: Value) -> Value:
        numbers = math.prod(x.shape)
        known = abs(math.prod(self.target_shape))
        if numbers % known or (numbers != known and -1 not in self.target_shape):
            expected = f"a shape of the {numbers} numbers of rows {x.shape}"
            raise ValueError(_check.refusal("target_shape", self.target_shape, expected))
        left = numbers // known
        return x.reshaped(tuple(left if size == -1 else size for size in self.target_shape))

    def config(self) -> dict[str, Any]:
        return {"target_shape": self.target_shape, "name": self.name}


class Permute(Layer):
    """The axes of each row in another order.

    Parameters
    ----------
    dims : sequence of int
        ``(2, 1)`` exchanges the two axes of a row: they are counted as in the batch, from 1 on.
    name : str, optional
        Name in the model.
    """

    def __init__(self, dims: Sequence[int], name: str | None = None) -> None:
        super().__init__(name)
        self.dims = _sizes("dims", dims, 1)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            expected = f"each of 1 to {len(self.dims)} once"
            raise ValueError(_check.refusal("dims", self.dims, expected))

    def ops(self, x: Value) -> Value:
        if len(x.shape) != len(self.dims):
            expected = f"one for each axis of rows {x.shape}"
            raise ValueError(_check.refusal("dims", self.dims, expected))
        return permuted(x, [axis - 1 for axis in self.dims])

    def config(self) -> dict[str, Any]:
        return {"dims": self.dims, "name": self.name}


class RepeatVector(Layer):
    """Each row ``(features,)`` as often as that: ``(n, features)``.

    Parameters
    ----------
    n : int
        At least 1.
    name : str, optional
        Name in the model.
    """

    def __init__(self, n: int, name: str | None = None) -> None:
        super().__init__(name)
        self.n = _check.whole("n", n, 1)

    def ops(self, x: Value) -> Value:
        if len(x.shape) != 1:
            got = f"rows of shape {x.shape}"
            raise ValueError(_check.refusal("input of RepeatVector", got, "rows (features,)"))
        return repeated(x.reshaped((1, *x.shape)), 0, self.n)

    def config(self) -> dict[str, Any]:
        return {"n": self.n, "name": self.name}


def _sizes(argument: str, got: Any, minimum: int) -> tuple[int, ...]:
    """A setting of several whole numbers; one alone may be given as it is."""
    sizes = got if isinstance(got, (tuple, list)) else (got,)
    if not sizes:
        raise ValueError(_check.refusal(argument, _check.shown(got), "at least one number"))
    return tuple(_check.whole(argument, size, minimum) for size in sizes)
