"""The oracle's convolutions and pooling: NumPy, tap by tap, on images whose channels come last.

Like `reference` it calls nothing of fastweights. A series is an image of height 1.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Array = np.ndarray
Pair = tuple[int, int]


def as_images(function: Callable[..., Array], x: Array, *rest: Array, **settings: object) -> Array:
    """What a function of images makes of series, whose weights have no height either."""
    if x.ndim == 4:
        return function(x, *rest, **settings)
    lifted = [one if one.ndim == 1 else one[None] for one in rest]
    return function(x[:, None], *lifted, **settings)[:, 0]


def pair(setting: int | Pair, series: bool) -> Pair:
    if isinstance(setting, int):
        return (1, setting) if series else (setting, setting)
    return setting


def placed(padding: str, size: int, taps: int, stride: int, dilation: int) -> Pair:
    """How many windows there are along an axis, and how far the first is before it."""
    reach = dilation * (taps - 1) + 1
    if padding == "valid":
        return (size - reach) // stride + 1, 0
    if padding == "causal":
        return (size - 1) // stride + 1, reach - 1
    count = -(-size // stride)
    return count, max((count - 1) * stride + reach - size, 0) // 2


def windows(
    x: Array, window: Pair, stride: Pair, dilation: Pair, padding: str, fill: float = 0.0
) -> dict[Pair, Array]:
    """For each tap of a window, what it sees of x in all places of the window."""
    height, width = x.shape[1:3]
    (rows, top), (columns, left) = (
        placed("valid" if padding == "causal" and size == 1 else padding, size, *axis)
        for size, *axis in zip((height, width), window, stride, dilation, strict=True)
    )
    far = [(n - 1) * s + d * (k - 1) + 1 for n, s, d, k in zip(
        (rows, columns), stride, dilation, window, strict=True)]  # fmt: skip
    large = np.full((len(x), top + height + far[0], left + width + far[1], x.shape[3]), fill)
    large[:, top : top + height, left : left + width] = x
    seen = {}
    for tap in np.ndindex(*window):
        begin = [dilation[axis] * tap[axis] for axis in (0, 1)]
        seen[tap] = large[
            :,
            begin[0] : begin[0] + (rows - 1) * stride[0] + 1 : stride[0],
            begin[1] : begin[1] + (columns - 1) * stride[1] + 1 : stride[1],
        ]
    return seen


def convolution(
    x: Array,
    kernel: Array,
    bias: Array | float = 0.0,
    strides: Pair = (1, 1),
    dilation: Pair = (1, 1),
    padding: str = "valid",
    groups: int = 1,
) -> Array:
    seen = windows(x, kernel.shape[:2], strides, dilation, padding)
    channels, filters = x.shape[3] // groups, kernel.shape[3] // groups
    parts = []
    for group in range(groups):
        own = slice(group * channels, (group + 1) * channels)
        weights = kernel[..., group * filters : (group + 1) * filters]
        parts.append(sum(part[..., own] @ weights[tap] for tap, part in seen.items()))
    return np.concatenate(parts, axis=-1) + bias


def depthwise(
    x: Array,
    kernel: Array,
    bias: Array | float = 0.0,
    strides: Pair = (1, 1),
    dilation: Pair = (1, 1),
    padding: str = "valid",
) -> Array:
    seen = windows(x, kernel.shape[:2], strides, dilation, padding)
    y = sum(part[..., None] * kernel[tap] for tap, part in seen.items())
    return y.reshape(*y.shape[:3], -1) + bias


def transposed(
    x: Array,
    kernel: Array,
    bias: Array | float = 0.0,
    strides: Pair = (1, 1),
    dilation: Pair = (1, 1),
    cut: tuple[Pair, Pair] = ((0, 0), (0, 0)),
) -> Array:
    """Each pixel spread over its window; `cut` is what is left out above, below, left and right.

    Below and to the right that may be less than nothing: rows and columns of zeros.
    """
    height, width = (
        (x.shape[axis] - 1) * strides[axis - 1] + dilation[axis - 1] * (kernel.shape[axis - 1] - 1)
        + 1 for axis in (1, 2)
    )  # fmt: skip
    (top, below), (left, right) = cut
    y = np.zeros((len(x), height + max(-below, 0), width + max(-right, 0), kernel.shape[2]))
    for tap in np.ndindex(*kernel.shape[:2]):
        spread = x @ kernel[tap].T
        for i, j in np.ndindex(*x.shape[1:3]):
            at = i * strides[0] + tap[0] * dilation[0], j * strides[1] + tap[1] * dilation[1]
            y[:, at[0], at[1]] += spread[:, i, j]
    return y[:, top : height - below, left : width - right] + bias


def max_pooling(x: Array, window: Pair, strides: Pair, padding: str = "valid") -> Array:
    seen = windows(x, window, strides, (1, 1), padding, -np.inf)
    return np.max(list(seen.values()), axis=0)


def average_pooling(x: Array, window: Pair, strides: Pair, padding: str = "valid") -> Array:
    total, count = (
        sum(windows(one, window, strides, (1, 1), padding).values()) for one in (x, np.ones_like(x))
    )
    return total / count


def upsampled(x: Array, size: Pair) -> Array:
    return x.repeat(size[0], axis=1).repeat(size[1], axis=2)


def resized(x: Array, size: Pair, interpolation: str = "bilinear") -> Array:
    """By a matrix for each axis, of which each line says what a pixel is mixed of."""
    by_axis = []
    for n, m in zip(x.shape[1:3], size, strict=True):
        middles = (np.arange(m) + 0.5) * n / m - 0.5
        apart = np.abs(middles.clip(0, n - 1)[:, np.newaxis] - np.arange(n))
        if interpolation == "nearest":
            by_axis.append(np.eye(n)[np.floor(middles + 0.5 + 1e-9).astype(int)])
        else:
            by_axis.append(np.maximum(1 - apart, 0))
    return np.einsum("ih,jw,rhwc->rijc", *by_axis, x)
