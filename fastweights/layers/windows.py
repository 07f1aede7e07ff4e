"""Windows that move over the axes of a row: where they stop, and what stands in their way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from fastweights import _check
from fastweights.layers.ops import Shape

#: A setting for each axis that a window moves along, or one for all.
Sizes = int | Sequence[int]

AXES = {1: "(steps, channels)", 2: "(height, width, channels)"}
KINDS_OF_ROWS = {1: "series", 2: "images"}

#: Whether pixels between others are mixed, by what the kernels know it by.
INTERPOLATIONS = {"nearest": 0, "bilinear": 1}

#: Channels that images and series have where they come from.
USUAL_CHANNELS = (1, 2, 3, 4)


class Window(NamedTuple):
    """How a window moves along one axis: what an op has to know of it."""

    #: Numbers that it moves over, and how often it stops.
    size: int
    stops: int
    taps: int
    stride: int
    dilation: int
    #: How far its first stop is before the first number.
    before: int


def extent(taps: int, dilation: int) -> int:
    """Numbers from a window's first to its last, both with them."""
    return (taps - 1) * dilation + 1


def window(padding: str, size: int, taps: int, stride: int = 1, dilation: int = 1) -> Window:
    """The window as that padding has it; it stops nowhere where it finds no room."""
    reach = extent(taps, dilation)
    if padding == "same":
        count = -(-size // stride)
        before = max((count - 1) * stride + reach - size, 0) // 2
    else:
        before = reach - 1 if padding == "causal" else 0
        count = max(size + before - reach + stride, 0) // stride
    return Window(size, count, taps, stride, dilation, before)


def per_axis(argument: str, got: Any, rank: int, minimum: int = 1) -> tuple[int, ...]:
    """A setting for each axis; one number is that of all."""
    sizes = tuple(got) if isinstance(got, (tuple, list)) else (got,) * rank
    if len(sizes) != rank:
        expected = f"one number, or {rank}" if rank > 1 else "one number"
        raise ValueError(_check.refusal(argument, _check.shown(got), expected))
    return tuple(_check.whole(argument, size, minimum) for size in sizes)


def padding_setting(got: Any, choices: Sequence[str] = ("valid", "same")) -> str:
    if isinstance(got, (int, tuple, list)):
        expected = f"one of {', '.join(choices)}; layers.ZeroPadding1D or 2D adds so many zeros"
        raise TypeError(_check.refusal("padding", _check.shown(got), expected))
    return _check.choice("padding", got, {name: name for name in choices}, ignore_case=True)


def check_interpolation(got: Any) -> str:
    """One of the interpolations that there are."""
    _check.choice("interpolation", got, INTERPOLATIONS)
    return str(got)


def refuse_channels_first(got: Any) -> None:
    """Raises ValueError for a `data_format` other than Keras's default."""
    if got not in (None, "channels_last"):
        expected = (
            "'channels_last': rows of (..., channels); np.moveaxis(x, 1, -1) or layers.Permute "
            "brings others into that order"
        )
        raise ValueError(_check.refusal("data_format", _check.shown(got), expected))


def axes_of(layer: str, shape: Shape, rank: int) -> tuple[int, ...]:
    """The axes of a row that windows move along, without that of the channels."""
    if len(shape) != rank + 1:
        got, expected = f"rows of shape {shape}", f"rows of {AXES[rank]}"
        raise ValueError(
            _check.refusal(f"input of {layer}", got, expected) + _hint_for_axes(layer, shape, rank)
        )
    return shape[:-1]


def _hint_for_axes(layer: str, shape: Shape, rank: int) -> str:
    """What to change about rows that have too few axes, or too many."""
    # Not each layer has a sister for rows of the other kind.
    sister = layer.replace(f"{rank}D", f"{3 - rank}D")
    other = "" if sister == layer else f"; {sister} is for {KINDS_OF_ROWS[3 - rank]}"
    if len(shape) == rank:
        channel = f"; x[..., None] or layers.Reshape({(*shape, 1)}) gives them a channel"
        return channel if rank == 1 else f"{channel}; x[None] makes a batch of one{other}"
    if len(shape) == 1:
        return f"; layers.Reshape({AXES[rank]}) makes {KINDS_OF_ROWS[rank]} of them"
    if len(shape) == 3:
        return other
    return "; a shape is that of one row, without the rows"


def looks_turned(shape: Shape, reach: Sequence[int]) -> bool:
    """Whether channels seem to come first: as few as they are, before what the window fits into."""
    rest = shape[1:]
    fits = all(size >= most for size, most in zip(rest, reach, strict=True))
    return shape[0] in USUAL_CHANNELS and fits and min(rest) > 4 * shape[0]


def bring_channels_last(shape: Shape) -> str:
    """What does, where they come first."""
    axes = (*range(2, len(shape) + 1), 1)
    return f"np.moveaxis(x, 1, -1) or layers.Permute({axes}) brings channels last"


def windows_over(
    layer: str,
    shape: Shape,
    padding: str,
    taps: Sequence[int],
    strides: Sequence[int],
    dilation: Sequence[int],
) -> list[Window]:
    """The windows along the axes of a row, each of which stops somewhere."""
    sizes = axes_of(layer, shape, len(taps))
    found = [window(padding, *axis) for axis in zip(sizes, taps, strides, dilation, strict=True)]
    if min(axis.stops for axis in found) < 1:
        reach = tuple(extent(axis.taps, axis.dilation) for axis in found)
        got = f"rows of shape {shape} for a window of {reach}"
        expected = "rows that the window fits into: larger ones, fewer pools before it, "
        expected += "a smaller window or padding='same'"
        if looks_turned(shape, reach):
            expected += f"; rows are {AXES[len(taps)]}: {bring_channels_last(shape)}"
        raise ValueError(_check.refusal(f"input of {layer}", got, expected))
    return found


def two(windows: Sequence[Window]) -> tuple[Window, Window]:
    """A series is an image of height 1."""
    along = Window(1, 1, 1, 1, 1, 0)
    return (along, windows[0]) if len(windows) == 1 else (windows[0], windows[1])


def sizes_of(windows: Sequence[Window], channels: int, filters: int) -> list[int]:
    """What ops over two axes know: both images, then window, strides, dilation and padding."""
    down, across = two(windows)
    images = [down.size, across.size, channels, down.stops, across.stops, filters]
    pairs = ((down[at], across[at]) for at in range(2, 6))
    return [*images, *(number for pair in pairs for number in pair)]
