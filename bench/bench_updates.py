"""Every optimizer: one pass over the parameters, of a small network and of one beyond the cache."""

import numpy as np
import pytest

from fastweights import _dispatch, optimizers

OPTIMIZERS = {
    "sgd": optimizers.SGD(1e-6),
    "sgd with decay": optimizers.SGD(1e-6, weight_decay=1e-3),
    "momentum": optimizers.SGD(1e-6, momentum=0.9),
    "nesterov": optimizers.SGD(1e-6, momentum=0.9, nesterov=True),
    "adam": optimizers.Adam(1e-6),
    "amsgrad": optimizers.Adam(1e-6, amsgrad=True),
    "adamw": optimizers.AdamW(1e-6),
    "adamax": optimizers.Adamax(1e-6),
    "nadam": optimizers.Nadam(1e-6),
    "lion": optimizers.Lion(1e-6),
    "rmsprop": optimizers.RMSprop(1e-6),
    "rmsprop with momentum": optimizers.RMSprop(1e-6, momentum=0.9),
    "centered rmsprop": optimizers.RMSprop(1e-6, centered=True),
    "centered rmsprop with momentum": optimizers.RMSprop(1e-6, momentum=0.9, centered=True),
    "adagrad": optimizers.Adagrad(1e-6),
    "adadelta": optimizers.Adadelta(1e-6),
    "rprop": optimizers.Rprop(1e-6),
}


@pytest.mark.parametrize("parameters", [6_337, 1_000_000])
@pytest.mark.parametrize("name", OPTIMIZERS)
def bench_update(benchmark, dtype, name, parameters):
    benchmark.group = f"update of {parameters:,} parameters {dtype}"
    weights, gradients = np.random.default_rng(0).standard_normal((2, parameters)).astype(dtype)
    kernels = _dispatch.kernels(weights.dtype)
    optimizer = OPTIMIZERS[name]
    memory = optimizers.Memory.empty(optimizer, parameters, weights.dtype)
    benchmark(
        kernels.apply_update,
        optimizer.kernel,
        *(array.ctypes.data for array in (weights, gradients, memory.vectors)),
        parameters,
        memory.numbers.ctypes.data,
    )
