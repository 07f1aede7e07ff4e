"""Layers that change images in training: what they draw, and what they make of it."""

import math

import numpy as np
import pytest
from helpers import error_with_noise, same_bits
from scipy import ndimage

import fastweights as fw
from fastweights import layers
from fastweights._core import philox

SEED = 0x123456789ABCDEF0
EPS = {"float32": 2.0**-23, "float64": 2.0**-52}

#: As scipy calls what is beyond the edges.
MODES = {
    "constant": "grid-constant",
    "nearest": "nearest",
    "reflect": "reflect",
    "wrap": "grid-wrap",
}
SHAPES = [(28, 28, 1), (9, 13, 3), (17, 5, 2), (1, 7, 1), (6, 1, 4), (1, 1, 1), (40, 33, 5)]

every_dtype = pytest.mark.parametrize("dtype", EPS)
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
every_mode = pytest.mark.parametrize("mode", MODES)


# ---- the oracle ----------------------------------------------------------------------------------


def units(rows, blocks=1):
    """What each row draws in the first pass of a model's first op: numbers from 0 up to 1."""
    words = [
        [philox.block(SEED, philox.STREAM_PASS, row * blocks + k) for k in range(blocks)]
        for row in range(rows)
    ]
    return np.reshape(words, (rows, -1)) / 2.0**32


def between(unit, least, most):
    return least + (most - least) * unit


def translation(shape, unit, height, width):
    return np.eye(2), (-between(unit[0], *height) * shape[0], -between(unit[1], *width) * shape[1])


def about_the_middle(shape, matrix):
    middle = (np.array(shape[:2]) - 1) / 2
    return matrix, middle - matrix @ middle


def rotation(shape, unit, factor):
    angle = 2 * math.pi * between(unit[0], *factor)
    sine, cosine = math.sin(angle), math.cos(angle)
    return about_the_middle(shape, np.array([[cosine, sine], [-sine, cosine]]))


def zoom(shape, unit, height, width=None):
    down = 1 + between(unit[0], *height)
    along = down if width is None else 1 + between(unit[1], *width)
    return about_the_middle(shape, np.diag([down, along]))


def warped(image, matrix, offset, mode, interpolation, value):
    """The image at matrix @ (line, column) + offset, each channel by itself."""
    lines, columns = np.indices(image.shape[:2])
    places = np.einsum("ij,jlc->ilc", matrix, [lines, columns]) + np.reshape(offset, (2, 1, 1))
    order = 1
    if interpolation == "nearest":
        places, order = np.floor(places + 0.5), 0
    channels = [
        ndimage.map_coordinates(channel, places, order=order, mode=MODES[mode], cval=value)
        for channel in np.moveaxis(image.astype(float), -1, 0)
    ]
    return np.stack(channels, axis=-1)


WARPS = {
    "translation": (
        lambda **how: layers.RandomTranslation((-0.4, 0.7), 0.3, **how),
        lambda shape, unit: translation(shape, unit, (-0.4, 0.7), (-0.3, 0.3)),
    ),
    "far translation": (
        lambda **how: layers.RandomTranslation(1, (-1, 0.9), **how),
        lambda shape, unit: translation(shape, unit, (-1, 1), (-1, 0.9)),
    ),
    "rotation": (
        lambda **how: layers.RandomRotation(0.4, **how),
        lambda shape, unit: rotation(shape, unit, (-0.4, 0.4)),
    ),
    "whole turns": (
        lambda **how: layers.RandomRotation((-1, 0.9), **how),
        lambda shape, unit: rotation(shape, unit, (-1, 0.9)),
    ),
    "zoom": (
        lambda **how: layers.RandomZoom(0.6, **how),
        lambda shape, unit: zoom(shape, unit, (-0.6, 0.6)),
    ),
    "zoom of both": (
        lambda **how: layers.RandomZoom((-0.3, 1), (-0.9, -0.1), **how),
        lambda shape, unit: zoom(shape, unit, (-0.3, 1), (-0.9, -0.1)),
    ),
}
every_warp = pytest.mark.parametrize("name", WARPS)


def alone(layer, shape, dtype="float64", seed=SEED):
    return fw.Sequential([layer], shape, dtype=dtype, seed=seed)


def images(rows, shape, dtype="float64", seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (rows, *shape)).astype(dtype)


# ---- places --------------------------------------------------------------------------------------


@every_warp
@every_mode
@every_shape
@every_dtype
def test_pixels_come_from_where_the_map_says(name, mode, shape, dtype):
    make, map_of = WARPS[name]
    x, drawn = images(12, shape, dtype), units(12)
    y = alone(make(fill_mode=mode, fill_value=77.5), shape, dtype).forward(x, training=True)
    for image, found, unit in zip(x, y, drawn, strict=True):
        expected = warped(image, *map_of(shape, unit), mode, "bilinear", 77.5)
        # A place is off by as much as its sine is, and so is what stands there.
        np.testing.assert_allclose(found, expected, rtol=0, atol=255 * 2 * max(shape) * EPS[dtype])


@every_warp
@every_mode
@every_shape
def test_the_nearest_pixel(name, mode, shape):
    make, map_of = WARPS[name]
    how = {"fill_mode": mode, "fill_value": 77.5, "interpolation": "nearest"}
    x, drawn = images(12, shape), units(12)
    y = alone(make(**how), shape).forward(x, training=True)
    for image, found, unit in zip(x, y, drawn, strict=True):
        np.testing.assert_array_equal(
            found, warped(image, *map_of(shape, unit), mode, "nearest", 77.5)
        )
