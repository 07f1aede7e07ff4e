"""Layers that make one value of several."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from fastweights import _check
from fastweights.layers.base import Layer
from fastweights.layers.normalizing import normalized
from fastweights.layers.ops import Shape, Value, axis_in, axis_setting, op
from fastweights.layers.shaping import permuted, repeated


def _listed(shapes: Sequence[Shape]) -> str:
    return f"shapes {', '.join(map(str, shapes))}"


def _of_all(value: Value, steps: Shape) -> Value:
    """A mask of these steps in which all of the value's count."""
    # No number of a step that is as it should be is infinite.
    lines = math.prod(steps)
    return op("mask_steps", value, shape=steps, lines=lines, options=(math.inf,))


class _Elementwise(Layer):
    """Base of those that work element by element; an axis of length 1 is repeated."""

    supports_masking = True

    _kind: ClassVar[str]

    def mask_of(self, *values: Any) -> Value | None:
        masks = [value.mask for value in values if value.mask is not None]
        if len(masks) < len(values):
            return None
        return _any_of(type(self).__name__, masks)

    def ops(self, *values: Value) -> Value:
        shape = self._common_shape([value.shape for value in values])
        for axis, size in enumerate(shape):
            values = tuple(
                value if value.shape[axis] == size else repeated(value, axis, size)
                for value in values
            )
        return op(self._kind, *values)

    def _common_shape(self, shapes: Sequence[Shape]) -> Shape:
        ranks = {len(shape) for shape in shapes}
        sizes = [set(axes) - {1} for axes in zip(*shapes, strict=False)]
        if len(ranks) != 1 or any(len(differing) > 1 for differing in sizes):
            expected = "one shape, of which an input may have any axis of length 1"
            raise ValueError(_check.refusal("inputs", _listed(shapes), expected))
        return tuple(max(differing, default=1) for differing in sizes)


def _any_of(kind: str, masks: Sequence[Value]) -> Value:
    """The mask of what counts in any of these; one step may stand for all along an axis."""
    shapes = [mask.shape for mask in masks]
    if len({len(shape) for shape in shapes}) > 1:
        got = f"masks of {', '.join(map(str, shapes))}"
        raise ValueError(_check.refusal(f"inputs of {kind}", got, "masks of as many axes"))
    for axis in range(len(shapes[0])):
        size = max(shape[axis] for shape in shapes)
        masks = [mask if mask.shape[axis] == size else repeated(mask, axis, size) for mask in masks]
    different = list({id(mask.op): mask for mask in masks}.values())
    return different[0] if len(different) == 1 else op("maximum", *different)


class Add(_Elementwise):
    """The sum of several values of one shape ``(rows, ...)``.

    An input may have length 1 along an axis where the others have more: it is repeated. All have
    the same number of axes. As in Keras a step of the result counts if it does in any of the
    inputs, and all do unless each input has a mask.
    """

    _kind = "add"


class Subtract(_Elementwise):
    """The first of two values minus the second; shapes as for :class:`Add`."""

    _kind = "subtract"

    def ops(self, *values: Value) -> Value:
        if len(values) != 2:
            raise ValueError(_check.refusal("inputs", f"{len(values)} values", "two"))
        return super().ops(*values)


class Multiply(_Elementwise):
    """The product of several values, element by element; shapes as for :class:`Add`."""

    _kind = "multiply"


class Average(_Elementwise):
    """The mean of several values, element by element; shapes as for :class:`Add`."""

    _kind = "average"


class Maximum(_Elementwise):
    """The largest of several values, element by element; shapes as for :class:`Add`.

    Of two that are equal each has half of the gradient, from the first pair on.
    """

    _kind = "maximum"


class Minimum(_Elementwise):
    """The smallest of several values, element by element; shapes and gradient as for
    :class:`Maximum`.
    """

    _kind = "minimum"


class Concatenate(Layer):
    """Several values one after the other along an axis, whose lengths add up.

    Parameters
    ----------
    axis : int
        Counted as in the batch ``(rows, ...)``: not 0, which are the rows; -1 is the last one.
    name : str, optional
        Name in the model.

    Notes
    -----
    Steps that are masked stay so, one after the other; along the features a step counts if it does
    in any of the inputs. An input without a mask counts.
    """

    supports_masking = True

    def __init__(self, axis: int = -1, name: str | None = None) -> None:
        super().__init__(name)
        self.axis = axis_setting("axis", axis)

    def goes_on(self, reads: int, **settings: Any) -> bool:
        return self.axis == -1 or self.axis > 1

    def ops(self, *values: Value) -> Value:
        shapes = [value.shape for value in values]
        axis = axis_in(shapes[0], "axis", self.axis)
        before, after = shapes[0][:axis], shapes[0][axis + 1 :]
        for shape in shapes:
            if (shape[:axis], shape[axis + 1 :]) != (before, after):
                expected = f"shapes that differ along axis {self.axis} alone"
                raise ValueError(_check.refusal("inputs", _listed(shapes), expected))
        length = sum(shape[axis] for shape in shapes)
        return op("concatenate", *values, shape=(*before, length, *after), lines=math.prod(before))

    def mask_of(self, *values: Any) -> Any:
        axis = axis_in(values[0].shape, "axis", self.axis)
        given = [value.mask for value in values if value.mask is not None]
        if not given:
            return None
        if len({len(mask.shape) for mask in given}) > 1:
            return super().mask_of(*values)
        axes = len(given[0].shape)
        if axis >= axes:
            return _any_of("Concatenate", given) if len(given) == len(values) else None
        masks = [
            _of_all(value, value.shape[:axes]) if value.mask is None else value.mask
            for value in values
        ]
        before, after = masks[0].shape[:axis], masks[0].shape[axis + 1 :]
        shape = (*before, sum(mask.shape[axis] for mask in masks), *after)
        return op("concatenate", *masks, shape=shape, lines=math.prod(before))

    def config(self) -> dict[str, Any]:
        return {"axis": self.axis, "name": self.name}


class Dot(Layer):
    """Products of two values, added up along an axis of each: of ``(rows, a, k)`` and
    ``(rows, b, k)`` along their last axes ``(rows, a, b)``, and of ``(rows, k)`` and ``(rows, k)``
    ``(rows, 1)``.

    Parameters
    ----------
    axes : int or pair of int
        That of the first value and that of the second one, of equal length; one number is both.
        Counted as in the batch: not 0, which are the rows.
    normalize : bool
        Whether both are first brought to norm 1 along their axis: their cosine.
    name : str, optional
        Name in the model.

    Notes
    -----
    The result has the axes of the first value that are left, then those of the second one.
    """

    #: The least norm that is divided by.
    _EPSILON: ClassVar[float] = 1e-7

    def __init__(
        self, axes: int | Sequence[int], normalize: bool = False, name: str | None = None
    ) -> None:
        super().__init__(name)
        pair = (axes, axes) if not isinstance(axes, (tuple, list)) else tuple(axes)
        if len(pair) != 2:
            raise ValueError(_check.refusal("axes", _check.shown(axes), "one number or two"))
        self.axes = tuple(axis_setting("axes", axis) for axis in pair)
        self.normalize = _check.flag("normalize", normalize)

    def ops(self, *values: Value) -> Value:
        if len(values) != 2:
            raise ValueError(_check.refusal("inputs", f"{len(values)} values", "two"))
        lines = [
            self._along_last(value, axis) for value, axis in zip(values, self.axes, strict=True)
        ]
        one, other = lines
        if one.features != other.features:
            got = _listed([value.shape for value in values])
            expected = f"equal lengths along axes {self.axes}"
            raise ValueError(_check.refusal("inputs", got, expected))
        shape = (*one.shape[:-1], *other.shape[:-1]) or (1,)
        return op("dot", one, other, shape=shape, sizes=(one.lines, other.lines, one.features))

    def _along_last(self, value: Value, axis: int) -> Value:
        """The value with that axis last, of norm 1 along it where that is wanted."""
        at = axis_in(value.shape, "axes", axis)
        order = [number for number in range(len(value.shape)) if number != at]
        value = permuted(value, (*order, at))
        return normalized("unit_normalize", value, self._EPSILON) if self.normalize else value

    def config(self) -> dict[str, Any]:
        return {"axes": self.axes, "normalize": self.normalize, "name": self.name}
