"""Layers that make one number of each window of a channel: its largest, or the mean."""

from __future__ import annotations

from typing import Any, ClassVar

from fastweights import _check
from fastweights.layers.base import Layer
from fastweights.layers.ops import Value, op
from fastweights.layers.windows import (
    Sizes,
    Window,
    axes_of,
    padding_setting,
    per_axis,
    refuse_channels_first,
    two,
    windows_over,
)


def _pooled(kind: str, x: Value, windows: list[Window]) -> Value:
    """What such an op makes of each channel."""
    down, across = two(windows)
    channels = x.features
    sizes = (
        *(down.size, across.size, channels, down.stops, across.stops),
        *(down.taps, across.taps, down.stride, across.stride, down.before, across.before),
    )
    return op(kind, x, shape=(*(axis.stops for axis in windows), channels), sizes=sizes)


class _Pooling(Layer):
    """What pooling layers have in common."""

    _rank: ClassVar[int]
    _kind: ClassVar[str]

    def __init__(
        self,
        pool_size: Sizes = 2,
        strides: Sizes | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        refuse_channels_first(data_format)
        self.pool_size = per_axis("pool_size", pool_size, self._rank)
        self.strides = (
            self.pool_size if strides is None else per_axis("strides", strides, self._rank)
        )
        self.padding = padding_setting(padding)

    def ops(self, x: Value) -> Value:
        ones = (1,) * self._rank
        layer, sizes = type(self).__name__, self.pool_size
        windows = windows_over(layer, x.shape, self.padding, sizes, self.strides, ones)
        return _pooled(self._kind, x, windows)

    def config(self) -> dict[str, Any]:
        own = {"pool_size": self.pool_size, "strides": self.strides, "padding": self.padding}
        return {**own, "name": self.name}


class MaxPooling1D(_Pooling):
    """The largest number of each channel in windows of some steps.

    Parameters
    ----------
    pool_size : int
        Steps of a window.
    strides : int, optional
        Steps from one window to the next; by default one window begins where another ends.
    padding : {"valid", "same"}
        Whether windows stay within the series, or make ``ceil(steps / strides)`` steps of it; those
        at the ends look at what there is.
    data_format : {"channels_last"}, optional
        As Keras has it; there is no other.
    name : str, optional
        Name in the model.

    Notes
    -----
    Input ``(rows, steps, channels)``, output ``(rows, new steps, channels)``. The gradient goes to
    the first number of a window that is as large.
    """

    _rank, _kind = 1, "max_pool"


class MaxPooling2D(_Pooling):
    """The largest number of each channel in windows of an image.

    Parameters
    ----------
    pool_size : int or (int, int)
        Height and width of a window.
    strides : int or (int, int), optional
        From one window to the next; by default one begins where another ends.
    padding, data_format, name
        As for `MaxPooling1D`.

    Notes
    -----
    Input ``(rows, height, width, channels)``, output ``(rows, new height, new width, channels)``.
    The gradient goes to the first number of a window that is as large, row by row.
    """

    _rank, _kind = 2, "max_pool"


class AveragePooling1D(_Pooling):
    """The mean of each channel in windows of some steps.

    Parameters
    ----------
    pool_size, strides, padding, data_format, name
        As for `MaxPooling1D`; windows at the ends are means of what there is.

    Notes
    -----
    Input ``(rows, steps, channels)``, output ``(rows, new steps, channels)``.
    """

    _rank, _kind = 1, "average_pool"


class AveragePooling2D(_Pooling):
    """The mean of each channel in windows of an image.

    Parameters
    ----------
    pool_size, strides, padding, data_format, name
        As for `MaxPooling2D`; windows at the ends are means of what there is.

    Notes
    -----
    Input ``(rows, height, width, channels)``, output ``(rows, new height, new width, channels)``.
    """

    _rank, _kind = 2, "average_pool"


class _GlobalPooling(Layer):
    """What layers have in common that make one number of each channel."""

    _rank: ClassVar[int]
    _kind: ClassVar[str]

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, name: str | None = None
    ) -> None:
        super().__init__(name)
        refuse_channels_first(data_format)
        self.keepdims = _check.flag("keepdims", keepdims)

    def ops(self, x: Value) -> Value:
        sizes = axes_of(type(self).__name__, x.shape, self._rank)
        y = _pooled(self._kind, x, [Window(size, 1, size, 1, 1, 0) for size in sizes])
        return y if self.keepdims else y.reshaped((x.features,))

    def config(self) -> dict[str, Any]:
        return {"keepdims": self.keepdims, "name": self.name}


class GlobalMaxPooling1D(_GlobalPooling):
    """The largest number of each channel of a series.

    Parameters
    ----------
    data_format : {"channels_last"}, optional
        As Keras has it; there is no other.
    keepdims : bool
        Whether the axes that are gone through stay, with length 1.
    name : str, optional
        Name in the model.

    Notes
    -----
    Input ``(rows, steps, channels)``, output ``(rows, channels)`` or ``(rows, 1, channels)``.
    """

    _rank, _kind = 1, "max_pool"


class GlobalMaxPooling2D(_GlobalPooling):
    """The largest number of each channel of an image.

    Parameters
    ----------
    data_format, keepdims, name
        As for `GlobalMaxPooling1D`.

    Notes
    -----
    Input ``(rows, height, width, channels)``, output ``(rows, channels)`` or ``(rows, 1, 1,
    channels)``.
    """

    _rank, _kind = 2, "max_pool"


class GlobalAveragePooling1D(_GlobalPooling):
    """The mean of each channel of a series.

    Parameters
    ----------
    data_format, keepdims, name
        As for `GlobalMaxPooling1D`.

    Notes
    -----
    Input ``(rows, steps, channels)``, output ``(rows, channels)`` or ``(rows, 1, channels)``.
    Steps that are masked (see `Masking`) are left out; of a row without others the mean is 0.
    """

    _rank, _kind = 1, "average_pool"

    def ops(self, x: Value) -> Value:
        if x.mask is None or len(x.shape) != 2:
            return super().ops(x)
        y = op("masked_mean", x, x.mask, shape=(x.features,), sizes=(x.shape[0],))
        return y.reshaped((1, x.features)) if self.keepdims else y


class GlobalAveragePooling2D(_GlobalPooling):
    """The mean of each channel of an image.

    Parameters
    ----------
    data_format, keepdims, name
        As for `GlobalMaxPooling1D`.

    Notes
    -----
    Input ``(rows, height, width, channels)``, output ``(rows, channels)`` or ``(rows, 1, 1,
    channels)``.
    """

    _rank, _kind = 2, "average_pool"
