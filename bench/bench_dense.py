"""The dense layer's kernels, bias and tanh included, beside the same in NumPy."""

import numpy as np
import pytest

from fastweights import _dispatch

#: rows, inputs, outputs
SHAPES = [(32, 64, 64), (32, 784, 128), (256, 128, 128)]


@pytest.fixture(params=SHAPES, ids=lambda shape: "x".join(map(str, shape)))
def layer(benchmark, request, dtype):
    """x, kernel, bias, and dz that is as large as the output."""
    rows, inputs, outputs = request.param
    what = request.function.__name__.split("_")[1]
    benchmark.group = f"dense {what} {rows}x{inputs}x{outputs} {dtype}"
    random = np.random.default_rng(0)
    x, dz = random.standard_normal((rows, inputs)), random.standard_normal((rows, outputs))
    kernel = random.standard_normal((inputs, outputs)) / np.sqrt(inputs)
    return tuple(array.astype(dtype) for array in (x, kernel, np.ones(outputs), dz))


def scratch_for(x, kernel):
    reals = _dispatch.kernels(x.dtype).apply_dense_scratch(len(x), *kernel.shape)
    return np.empty(reals, x.dtype)


def bench_forward_compiled(benchmark, layer):
    x, kernel, bias, dz = layer
    y, slope, scratch = np.empty_like(dz), np.empty_like(dz), scratch_for(x, kernel)
    benchmark(
        _dispatch.kernels(x.dtype).apply_dense_forward,
        *(array.ctypes.data for array in (y, slope, x, kernel, bias, scratch)),
        len(x), *kernel.shape, "tanh", (0.0, 0.0),
    )  # fmt: skip
    np.testing.assert_allclose(y, np.tanh(x @ kernel + bias), atol=1e-4)


def bench_forward_numpy(benchmark, layer):
    x, kernel, bias, dz = layer
    y, slope = np.empty_like(dz), np.empty_like(dz)

    def forward():
        np.matmul(x, kernel, out=y)
        np.add(y, bias, out=y)
        np.tanh(y, out=y)
        np.multiply(y, y, out=slope)
        np.subtract(1, slope, out=slope)

    benchmark(forward)


def bench_backward_compiled(benchmark, layer):
    x, kernel, bias, dz = layer
    dx, dkernel, dbias = map(np.empty_like, (x, kernel, bias))
    scratch = scratch_for(x, kernel)
    benchmark(
        _dispatch.kernels(x.dtype).apply_dense_backward,
        *(array.ctypes.data for array in (dx, dkernel, dbias, dz, x, kernel, scratch)),
        len(x), *kernel.shape,
    )  # fmt: skip
    np.testing.assert_allclose(dkernel, x.T @ dz, atol=1e-3)


def bench_backward_numpy(benchmark, layer):
    x, kernel, bias, dz = layer
    dx, dkernel, dbias = map(np.empty_like, (x, kernel, bias))

    def backward():
        np.matmul(dz, kernel.T, out=dx)
        np.matmul(x.T, dz, out=dkernel)
        dz.sum(axis=0, out=dbias)

    benchmark(backward)
