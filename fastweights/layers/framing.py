"""Layers that make images and series larger or smaller."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from fastweights import _check
from fastweights.layers.base import Layer
from fastweights.layers.ops import Shape, Value, op
from fastweights.layers.windows import (
    INTERPOLATIONS,
    Sizes,
    axes_of,
    check_interpolation,
    per_axis,
    refuse_channels_first,
)

#: What is before and behind along each axis; one pair, or one number, for all.
Margins = int | Sequence[int] | Sequence[Sequence[int]]

Pairs = tuple[tuple[int, int], ...]


def _margins(argument: str, got: Any, rank: int) -> Pairs:
    """Before and behind for each axis, as Keras takes it."""
    each = got if isinstance(got, (tuple, list)) else (got,) * (2 if rank == 1 else rank)
    if rank == 1:
        return (_pair(argument, each),)
    if len(each) != rank:
        expected = f"one number, {rank} numbers or {rank} pairs"
        raise ValueError(_check.refusal(argument, _check.shown(got), expected))
    return tuple(
        _pair(argument, one if isinstance(one, (tuple, list)) else (one, one)) for one in each
    )


def _pair(argument: str, got: Sequence[Any]) -> tuple[int, int]:
    if len(got) != 2:
        raise ValueError(_check.refusal(argument, _check.shown(got), "a pair: before and behind"))
    before, behind = (_check.whole(argument, one, 0) for one in got)
    return before, behind


def _framed(kind: str, x: Value, large: Shape, small: Shape, margins: Pairs) -> Value:
    """The large image of the small one that x is, or the other way round."""
    shape = (*(large if kind == "zero_pad" else small), x.features)
    if sum(map(sum, margins)) == 0:
        return x
    # A series is an image of height 1.
    one = (1,) * (2 - len(large))
    begins = tuple(before for before, _ in margins)
    top_left = (0,) * (2 - len(large)) + begins
    sizes = (*one, *large, x.features, *one, *small, *top_left)
    return op(kind, x, shape=shape, sizes=sizes)


class _ZeroPadding(Layer):
    _rank: ClassVar[int]

    def __init__(
        self, padding: Margins = 1, data_format: str | None = None, name: str | None = None
    ) -> None:
        super().__init__(name)
        refuse_channels_first(data_format)
        self.padding = _margins("padding", padding, self._rank)

    def ops(self, x: Value) -> Value:
        small = axes_of(type(self).__name__, x.shape, self._rank)
        large = tuple(size + sum(pair) for size, pair in zip(small, self.padding, strict=True))
        return _framed("zero_pad", x, large, small, self.padding)

    def config(self) -> dict[str, Any]:
        return {"padding": _described(self.padding), "name": self.name}


class _Cropping(Layer):
    _rank: ClassVar[int]

    def __init__(
        self, cropping: Margins, data_format: str | None = None, name: str | None = None
    ) -> None:
        super().__init__(name)
        refuse_channels_first(data_format)
        self.cropping = _margins("cropping", cropping, self._rank)

    def ops(self, x: Value) -> Value:
        large = axes_of(type(self).__name__, x.shape, self._rank)
        small = tuple(size - sum(pair) for size, pair in zip(large, self.cropping, strict=True))
        if min(small) < 1:
            got, expected = self.cropping, f"less than there is of rows {x.shape}"
            raise ValueError(_check.refusal("cropping", got, expected))
        return _framed("crop", x, large, small, self.cropping)

    def config(self) -> dict[str, Any]:
        return {"cropping": _described(self.cropping), "name": self.name}


def _described(margins: Pairs) -> Any:
    """As the constructor takes it: a pair for a series, pairs for an image."""
    return margins[0] if len(margins) == 1 else margins


class ZeroPadding1D(_ZeroPadding):
    """Zeros before and behind the steps of a series.

    Parameters
    ----------
    padding : int or (int, int)
        How many on each side, or before and behind.
    data_format : {"channels_last"}, optional
        As Keras has it; there is no other.
    name : str, optional
        Name in the model.

    Notes
    -----
    Input ``(rows, steps, channels)``, output ``(rows, more steps, channels)``.
    """

    _rank = 1


class ZeroPadding2D(_ZeroPadding):
    """Zeros around an image.

    Parameters
    ----------
    padding : int, (int, int) or ((int, int), (int, int))
        How many on all sides; above and below, and on both sides; or ``((above, below), (left,
        right))``.
    data_format, name
        As for `ZeroPadding1D`.

    Notes
    -----
    Input ``(rows, height, width, channels)``, output likewise, larger.
    """

    _rank = 2


class Cropping1D(_Cropping):
    """A series without its first and last steps.

    Parameters
    ----------
    cropping : int or (int, int)
        How many are left out on each side, or before and behind.
    data_format, name
        As for `ZeroPadding1D`.

    Notes
    -----
    Input ``(rows, steps, channels)``, output ``(rows, fewer steps, channels)``.
    """

    _rank = 1

    def __init__(
        self, cropping: Margins = (1, 1), data_format: str | None = None, name: str | None = None
    ) -> None:
        super().__init__(cropping, data_format, name)


class Cropping2D(_Cropping):
    """An image without its rim.

    Parameters
    ----------
    cropping : int, (int, int) or ((int, int), (int, int))
        As the padding of `ZeroPadding2D`.
    data_format, name
        As for `ZeroPadding1D`.

    Notes
    -----
    Input ``(rows, height, width, channels)``, output likewise, smaller.
    """

    _rank = 2

    def __init__(
        self,
        cropping: Margins = ((0, 0), (0, 0)),
        data_format: str | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(cropping, data_format, name)


def resized(x: Value, height: int, width: int, interpolation: str) -> Value:
    """An image of that size."""
    if x.shape[:2] == (height, width):
        return x
    sizes = (*x.shape, height, width, INTERPOLATIONS[interpolation])
    return op("resize", x, shape=(height, width, x.shape[2]), sizes=sizes)


def cropped(x: Value, margins: Pairs) -> Value:
    """An image without so much of each side."""
    large = x.shape[:2]
    small = tuple(size - sum(pair) for size, pair in zip(large, margins, strict=True))
    return _framed("crop", x, large, small, margins)


def _upsampled(x: Value, size: Sequence[int]) -> Value:
    shape = tuple(length * times for length, times in zip(x.shape, (*size, 1), strict=True))
    if math.prod(size) == 1:
        return x
    one = (1,) * (2 - len(size))
    return op("upsample", x, shape=shape, sizes=(*one, *x.shape, *one, *size))


class UpSampling1D(Layer):
    """Each step of a series as often as that.

    Parameters
    ----------
    size : int
        At least 1.
    name : str, optional
        Name in the model.

    Notes
    -----
    Input ``(rows, steps, channels)``, output ``(rows, steps * size, channels)``.
    """

    def __init__(self, size: int = 2, name: str | None = None) -> None:
        super().__init__(name)
        self.size = _check.whole("size", size, 1)

    def ops(self, x: Value) -> Value:
        axes_of("UpSampling1D", x.shape, 1)
        return _upsampled(x, (self.size,))

    def config(self) -> dict[str, Any]:
        return {"size": self.size, "name": self.name}


class UpSampling2D(Layer):
    """Images that are that many times as high and wide.

    Parameters
    ----------
    size : int or (int, int)
        At least 1.
    data_format : {"channels_last"}, optional
        As Keras has it; there is no other.
    interpolation : {"nearest", "bilinear"}
        Whether each pixel comes as often as that, or pixels between are mixed of the four around
        them, as in Keras and, with ``align_corners=False``, in PyTorch.
    name : str, optional
        Name in the model.

    Notes
    -----
    Input ``(rows, height, width, channels)``, output ``(rows, height * size[0], width * size[1],
    channels)``.
    """

    def __init__(
        self,
        size: Sizes = 2,
        data_format: str | None = None,
        interpolation: str = "nearest",
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        refuse_channels_first(data_format)
        self.size = per_axis("size", size, 2)
        self.interpolation = check_interpolation(interpolation)

    def ops(self, x: Value) -> Value:
        height, width = axes_of("UpSampling2D", x.shape, 2)
        if self.interpolation == "nearest":
            return _upsampled(x, self.size)
        return resized(x, height * self.size[0], width * self.size[1], self.interpolation)

    def config(self) -> dict[str, Any]:
        return {"size": self.size, "interpolation": self.interpolation, "name": self.name}
