"""Every activation: value and slope of a batch, as a layer asks for them in training."""

import numpy as np
import pytest

from fastweights import _dispatch
from fastweights.activations import ACTIVATIONS

SHAPE = (32, 512)


@pytest.fixture
def batch(benchmark, request, dtype):
    what = request.function.__name__.removeprefix("bench_")
    benchmark.group = f"activation {what} {SHAPE[0]}x{SHAPE[1]} {dtype}"
    return 2 * np.random.default_rng(0).standard_normal(SHAPE).astype(dtype)


@pytest.mark.parametrize("name", [name for name, a in ACTIVATIONS.items() if a.is_elementwise])
def bench_value_and_slope(benchmark, batch, name):
    y, slope = batch.copy(), np.empty_like(batch)
    kernel = _dispatch.kernels(batch.dtype).apply_activation
    options = ACTIVATIONS[name]().options
    benchmark.pedantic(
        kernel,
        (name, y.ctypes.data, slope.ctypes.data, y.size, options),
        setup=lambda: np.copyto(y, batch),  # it works in place
        rounds=300,
        warmup_rounds=3,
    )


along_rows = pytest.mark.parametrize(
    "name", [name for name, a in ACTIVATIONS.items() if not a.is_elementwise]
)


@along_rows
def bench_forward(benchmark, batch, name):
    y = np.empty_like(batch)
    kernel = _dispatch.kernels(batch.dtype).apply_row_activation
    benchmark(kernel, name, y.ctypes.data, batch.ctypes.data, *SHAPE)


@along_rows
def bench_backward(benchmark, batch, name):
    y, dy, dx = ACTIVATIONS[name]()(batch), np.ones_like(batch), np.empty_like(batch)
    kernel = _dispatch.kernels(batch.dtype).apply_row_activation_gradient
    addresses = (array.ctypes.data for array in (dx, dy, y))
    benchmark(kernel, name, *addresses, *SHAPE)
