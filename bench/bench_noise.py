"""Layers that draw random numbers: there and back, and what a step with dropout costs more."""

import itertools
import time

import numpy as np
import pytest

import fastweights as fw
from fastweights import _dispatch, layers
from fastweights._core import philox
from fastweights._plans import plan_for

SEED, STREAM = 1, philox.STREAM_PASS
LAYERS = {
    "none": lambda: [],
    "dropout": lambda: [layers.Dropout(0.1)],
    "spatial_dropout": lambda: [layers.SpatialDropout1D(0.1)],
    "alpha_dropout": lambda: [layers.AlphaDropout(0.1)],
    "gaussian_noise": lambda: [layers.GaussianNoise(0.1)],
    "gaussian_dropout": lambda: [layers.GaussianDropout(0.1)],
}


def aligned(count, dtype):
    """Room for so many numbers that begins as the plan's arrays do."""
    room = np.ones(count + 64 // np.dtype(dtype).itemsize, dtype)
    return room[-room.ctypes.data % 64 // room.itemsize :][:count]


def seconds(work):
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@pytest.mark.parametrize("shape", [(32, 128), (128, 128)], ids=["L1", "L2"])
def bench_dropout_there_and_back(benchmark, dtype, shape):
    """Forward and backward once each, with the time of two calls from Python."""
    count = shape[0] * shape[1]
    benchmark.group = f"dropout of {count} elements {dtype}"
    kernels = _dispatch.kernels(np.dtype(dtype))
    x, y, dx = (aligned(count, dtype) for _ in range(3))
    saved = aligned(count // 8, "uint8")
    there = (y.ctypes.data, saved.ctypes.data, x.ctypes.data, *shape, 6553, 1.1, SEED, STREAM)
    back = (dx.ctypes.data, y.ctypes.data, saved.ctypes.data, *shape, 1.1)

    def there_and_back():
        kernels.apply_dropout(*there)
        kernels.apply_dropout_gradient(*back)

    benchmark(there_and_back)


def bench_normal_numbers(benchmark, dtype):
    z = aligned(4096, dtype)
    benchmark.group = f"4096 normal numbers {dtype}"
    kernel = _dispatch.kernels(z.dtype).apply_normals
    benchmark(kernel, z.ctypes.data, SEED, STREAM, 0, z.size)


def bench_dropout_in_a_step(benchmark, dtype):
    """What it adds to a step of four layers, by the best of turns: see ``extra_info``."""
    benchmark.group = f"step of 128 rows {dtype}"
    rows, features, count = 128, 64, 4
    random = np.random.default_rng(0)
    x, y = (random.standard_normal((rows, n)).astype(dtype) for n in (features, 1))

    def step(name):
        hidden = [[layers.Dense(features, "relu"), *LAYERS[name]()] for _ in range(count)]
        stack = [*itertools.chain.from_iterable(hidden), layers.Dense(1)]
        model = fw.Sequential(stack, features, dtype=dtype, seed=0)
        model.compile("sgd", "mse")
        train = plan_for(model, "fit", rows).train
        return lambda: train(x, y, None, 0, rows, rows, 0.0, None, SEED, STREAM)

    plain, dropping = step("none"), step("dropout")
    turns = [(seconds(plain), seconds(dropping)) for _ in range(400)]
    without, own = (min(times) for times in zip(*turns, strict=True))
    elements = rows * features * count
    benchmark.extra_info["ns_an_element"] = round((own - without) * 1e9 / elements, 3)
    benchmark(dropping)


@pytest.mark.parametrize("name", LAYERS)
def bench_step(benchmark, dtype, name):
    """A step on 256 rows of (4, 64), with such a layer after each of two layers or without."""
    benchmark.group = f"step of 256 rows {dtype}"
    stack = [layers.Dense(64, "relu"), *LAYERS[name](), layers.Dense(64, "relu"), *LAYERS[name]()]
    model = fw.Sequential([*stack, layers.Dense(1)], (4, 64), dtype=dtype, seed=0)
    model.compile("adam", "mse")
    random = np.random.default_rng(0)
    x, y = (random.standard_normal((256, 4, n)).astype(dtype) for n in (64, 1))
    step = plan_for(model, "fit", 256).train
    benchmark(step, x, y, None, 0, 256, 256, 0.0, None, SEED, STREAM)
