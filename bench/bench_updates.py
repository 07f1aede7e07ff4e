"""Every optimizer: one pass over the parameters, of a small network and of one beyond the cache."""

import numpy as np
import pytest

from fastweights import _dispatch, optimizers

OPTIMIZERS = {
    "sgd": optimizers.SGD(1e-6),
    "momentum": optimizers.SGD(1e-6, momentum=0.9),
    "nesterov": optimizers.SGD(1e-6, momentum=0.9, nesterov=True),
    "adam": optimizers.Adam(1e-6),
}


@pytest.mark.parametrize("parameters", [6_337, 1_000_000])
@pytest.mark.parametrize("name", OPTIMIZERS)
def bench_update(benchmark, dtype, name, parameters):
    benchmark.group = f"update of {parameters:,} parameters {dtype}"
    weights, gradients = np.random.default_rng(0).standard_normal((2, parameters)).astype(dtype)
    kernels = _dispatch.kernels(weights.dtype)
    memory = optimizers.Memory.empty(OPTIMIZERS[name], parameters, weights.dtype)
    benchmark(
        kernels.apply_update,
        name,
        *(array.ctypes.data for array in (weights, gradients, memory.vectors)),
        parameters,
        memory.numbers.ctypes.data,
    )
