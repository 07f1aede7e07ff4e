"""What layers look for in images, as images."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np

from fastweights import _check
from fastweights._building import Built
from fastweights._network import Network
from fastweights.layers import Layer
from fastweights.layers.ops import Shape
from fastweights.plotting.style import LINE, new_figure, wanted_ending, write

#: Images of filters at most, how many of them beside each other, and the side of one in inches.
MOST_FILTERS, ABREAST, TILE = 256, 16, 0.7


def plot_filters(
    layer: Layer | Network,
    shape: Shape | None = None,
    to_file: str | os.PathLike[str] | None = None,
) -> np.ndarray:
    """Draws the weights of a layer that reads images as images: what each unit looks for.

    Red is for weights above 0, blue for those below, white is 0, and one scale serves all. Of three
    channels each filter is one image in colours, grey where all are 0; of any other number each
    channel has a picture of its own.

    Parameters
    ----------
    layer : Layer or Model
        Built, with a kernel ``(height, width, channels, filters)``, or one ``(inputs, units)`` on
        images that were flattened; of a model the first layer that has either.
    shape : tuple of int, optional
        Of such an image, ``(height, width)`` or ``(height, width, channels)``; by default that of
        the network's input.
    to_file : path, optional
        Ends in ``.png``, ``.svg`` or ``.pdf``; the figure is written there too.

    Returns
    -------
    ndarray of matplotlib.axes.Axes
        One for each picture, filter after filter, up to 256; ``axes[0].figure`` is the figure.

    Raises
    ------
    ModuleNotFoundError
        There is no matplotlib: ``pip install 'fastweights[plot]'``.
    """
    if isinstance(shape, (str, os.PathLike)):
        expected = f"(height, width) or none; for a file write to_file={shape!r}"
        raise TypeError(_check.refusal("shape", _check.shown(shape), expected))
    ending = wanted_ending(to_file)
    pictures = _pictures(*_kernel_of(layer, shape))
    pictures = pictures[:MOST_FILTERS]
    columns = min(math.ceil(math.sqrt(2 * len(pictures))), len(pictures), ABREAST)
    rows = -(-len(pictures) // columns)
    figure = new_figure("plot_filters", (columns * TILE, rows * TILE))
    largest = float(np.abs(pictures).max()) or 1.0
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for empty in axes[len(pictures) :]:
        empty.set_axis_off()
    for one, picture in zip(axes, pictures, strict=False):
        one.set_xticks([])
        one.set_yticks([])
        one.spines[:].set_color(LINE)
        one.spines[:].set_linewidth(0.4)
        if picture.shape[-1] == 3:
            one.imshow(0.5 + picture / (2.0 * largest))
        else:
            one.imshow(picture[..., 0], cmap="RdBu_r", vmin=-largest, vmax=largest)
    figure.subplots_adjust(0.01, 0.01, 0.99, 0.99, 0.08, 0.08)
    write(figure, to_file, ending)
    return axes[: len(pictures)]


def _kernel_of(layer: Any, shape: Any) -> tuple[np.ndarray, Shape | None]:
    """The kernel to draw, and the shape of the images that it reads where they are flat."""
    if not isinstance(layer, (Layer, Network)):
        raise TypeError(_check.refusal("layer", _check.kind_of(layer), "a layer or a model"))
    built = layer._built
    if built is None:
        raise ValueError(_check.refusal("layer", "one that is not built", "one of a built model"))
    candidates = built.layers if isinstance(layer, Network) else (layer,)
    image = _image(shape, built)
    for one in candidates:
        kernel = one.weights.get("kernel")
        if kernel is None:
            continue
        if kernel.ndim == 4:
            return kernel, None
        if image is not None and kernel.ndim == 2 and len(kernel) == math.prod(image):
            return kernel, image
    got = "no kernel on images" if image is None else f"no kernel on images of {image}"
    expected = (
        "one of shape (height, width, channels, filters), or (inputs, units) and the shape of an "
        "image of so many inputs"
    )
    raise ValueError(_check.refusal("layer", got, expected))


def _image(shape: Any, built: Built) -> Shape | None:
    """The shape of an image that was given, or that of the first input if it is one."""
    if shape is None:
        row = built.input_shapes[0]
        return row if len(row) in (2, 3) else None
    image = _check.sizes("shape", shape)
    if len(image) not in (2, 3):
        expected = "(height, width) or (height, width, channels)"
        raise ValueError(_check.refusal("shape", f"{image}", expected))
    return image


def _pictures(kernel: np.ndarray, image: Shape | None) -> np.ndarray:
    """Of each filter, and of each channel unless there are three: (pictures, h, w, 1 or 3)."""
    if image is not None:
        kernel = kernel.reshape(*image[:2], -1, kernel.shape[-1])
    height, width, channels, filters = kernel.shape
    by_filter = np.moveaxis(kernel, 3, 0)
    if channels == 3:
        return np.array(by_filter, float)
    apart = np.moveaxis(by_filter, 3, 1).reshape(filters * channels, height, width, 1)
    return np.array(apart, float)
