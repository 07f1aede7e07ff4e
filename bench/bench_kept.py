"""A step of a dense layer with each constraint and regularizer, and without any."""

import numpy as np
import pytest

import fastweights as fw
from fastweights import constraints, layers, regularizers
from fastweights._plans import plan_for

ROWS, INPUTS, UNITS = 128, 256, 256

KEPT = {
    "nothing": {},
    "NonNeg": {"kernel_constraint": constraints.NonNeg()},
    "MaxNorm of columns": {"kernel_constraint": constraints.MaxNorm()},
    "MaxNorm of rows": {"kernel_constraint": constraints.MaxNorm(axis=1)},
    "L1L2": {"kernel_regularizer": regularizers.L1L2(0.01, 0.01)},
    "orthogonal rows": {"kernel_regularizer": regularizers.OrthogonalRegularizer()},
    "orthogonal columns": {
        "kernel_regularizer": regularizers.OrthogonalRegularizer(mode="columns")
    },
    "activity": {"activity_regularizer": "l1_l2"},
}


@pytest.mark.parametrize("kept", KEPT)
def bench_step(benchmark, dtype, kept):
    benchmark.group = f"step of {ROWS} rows, {INPUTS}-{UNITS}, {dtype}"
    layer = layers.Dense(UNITS, **KEPT[kept])
    model = fw.Sequential([layer, layers.Dense(8)], INPUTS, dtype, seed=0)
    model.compile("adam", "mse")
    random = np.random.default_rng(0)
    x, y = (random.standard_normal((ROWS, n)).astype(dtype) for n in (INPUTS, 8))
    plan = plan_for(model, "fit", ROWS)
    memory = model._compiled.memory_for(model._built)
    memory.numbers[0] = 1e-6
    benchmark(plan.train, x, y, None, 0, ROWS, ROWS, 0.0)
