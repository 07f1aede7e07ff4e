"""What a step costs with tables of few and of many rows, and NumPy's step on the rows that count.

With plain SGD a step is on the rows of the table that its batch touches, and the others should cost
nothing; Adam moves all of them.
"""

import numpy as np
import pytest

import fastweights as fw
from fastweights import layers
from fastweights._plans import plan_for

ROWS, BATCH, POSITIONS, WIDTH = 8192, 32, 4, 16


def data(vocabulary, dtype):
    random = np.random.default_rng(0)
    x = random.integers(0, vocabulary, (ROWS, POSITIONS), np.int32)
    return x, random.standard_normal((ROWS, 1)).astype(dtype)


@pytest.mark.parametrize("vocabulary", [1_000, 100_000])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def bench_steps(benchmark, dtype, optimizer, vocabulary):
    """256 steps, or 16 of Adam's."""
    steps = 256 if optimizer == "sgd" else 16
    benchmark.group = f"{steps} steps of {BATCH} rows, tables {WIDTH} wide, {optimizer} {dtype}"
    stack = [layers.Embedding(vocabulary, WIDTH), layers.Flatten(), layers.Dense(1)]
    model = fw.Sequential(stack, POSITIONS, dtype, seed=0)
    model.compile(optimizer, "mse")
    (x, y), order = data(vocabulary, dtype), np.random.default_rng(1).permutation(ROWS)
    plan = plan_for(model, "fit", BATCH)
    benchmark(plan.train, x, y, order, 0, steps * BATCH, BATCH, 60.0)


@pytest.mark.parametrize("vocabulary", [1_000, 100_000])
def bench_steps_numpy(benchmark, dtype, vocabulary):
    benchmark.group = f"256 steps of {BATCH} rows, tables {WIDTH} wide, sgd {dtype}"
    random = np.random.default_rng(0)
    table = random.standard_normal((vocabulary, WIDTH)).astype(dtype)
    kernel = random.standard_normal((POSITIONS * WIDTH, 1)).astype(dtype)
    (x, y), bias, rate = data(vocabulary, dtype), np.zeros(1, dtype), np.asarray(0.01, dtype)[()]

    def steps():
        for begin in range(0, 256 * BATCH, BATCH):
            rows = x[begin : begin + BATCH]
            read = table[rows].reshape(BATCH, -1)
            error = (read @ kernel + bias - y[begin : begin + BATCH]) / BATCH * 2
            by_read = (error @ kernel.T).reshape(-1, WIDTH)
            kernel[...] -= rate * (read.T @ error)
            bias[...] -= rate * error.sum(axis=0)
            np.subtract.at(table, rows.reshape(-1), rate * by_read)

    benchmark(steps)
