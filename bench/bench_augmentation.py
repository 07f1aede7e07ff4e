"""Layers that change images in training, and rows that come as bytes."""

import numpy as np
import pytest

import fastweights as fw
from fastweights import layers
from fastweights._core import philox
from fastweights._plans import plan_for

ROWS = 256
SHAPES = [(28, 28, 1), (32, 32, 3)]
LAYERS = {
    "none": lambda: [],
    "flip": lambda: [layers.RandomFlip()],
    "translation": lambda: [layers.RandomTranslation(0.2, 0.2)],
    "nearest_translation": lambda: [layers.RandomTranslation(0.2, 0.2, interpolation="nearest")],
    "rotation": lambda: [layers.RandomRotation(0.1)],
    "zoom": lambda: [layers.RandomZoom(0.2)],
    "contrast": lambda: [layers.RandomContrast(0.2)],
    "brightness": lambda: [layers.RandomBrightness(0.2)],
    "erasing": lambda: [layers.RandomErasing()],
    "erasing_by_0": lambda: [layers.RandomErasing(fill_value=0.0)],
}


def step(name, dtype, shape, x):
    """A step of hardly anything but such a layer, the first one as it mostly is."""
    model = fw.Sequential(
        [*LAYERS[name](), layers.Flatten(), layers.Dense(1)], shape, dtype=dtype, seed=0
    )
    model.compile("sgd", "mse")
    y, order = np.zeros((len(x), 1), dtype), np.random.default_rng(1).permutation(len(x))
    train = plan_for(model, "fit", ROWS).train
    return lambda: train(x, y, order, 0, ROWS, ROWS, 0.0, None, 1, philox.STREAM_PASS)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
@pytest.mark.parametrize("name", LAYERS)
def bench_images(benchmark, dtype, name, shape):
    benchmark.group = f"step of {ROWS} images {shape} {dtype}"
    x = np.random.default_rng(0).uniform(0, 255, (ROWS, *shape)).astype(dtype)
    benchmark(step(name, dtype, shape, x))


@pytest.mark.parametrize("kind", ["bytes", "reals"])
def bench_rows_that_come_as(benchmark, dtype, kind):
    """Images picked from all over 60,000 of them."""
    benchmark.group = f"step of {ROWS} of 60,000 images {dtype}"
    x = np.random.default_rng(0).integers(0, 256, (60_000, 28, 28, 1), np.uint8)
    benchmark(step("none", dtype, x.shape[1:], x if kind == "bytes" else x.astype(dtype)))
