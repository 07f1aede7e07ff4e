"""What a step costs with tables of few and of many rows, and NumPy's step on the rows that count.

With plain SGD a step is on the rows of the table that its batch touches, and the others should cost
nothing; Adam moves all of them.
"""

import numpy as np
import pytest

import fastweights as fw
from fastweights import layers
from fastweights._plans import plan_for

ROWS, BATCH, POSITIONS, WIDTH, UNITS = 8192, 32, 4, 16, 64


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
    head = [layers.Flatten(), layers.Dense(UNITS, "relu"), layers.Dense(1)]
    stack = [layers.Embedding(vocabulary, WIDTH), *head]
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
    kernel = 0.1 * random.standard_normal((POSITIONS * WIDTH, UNITS)).astype(dtype)
    last = 0.1 * random.standard_normal((UNITS, 1)).astype(dtype)
    bias, shift = np.zeros(UNITS, dtype), np.zeros(1, dtype)
    (x, y), rate = data(vocabulary, dtype), np.asarray(1e-3, dtype)[()]

    def steps():
        for begin in range(0, 256 * BATCH, BATCH):
            rows = x[begin : begin + BATCH]
            read = table[rows].reshape(BATCH, -1)
            hidden = np.maximum(read @ kernel + bias, 0)
            error = (hidden @ last + shift - y[begin : begin + BATCH]) / BATCH * 2
            by_hidden = (error @ last.T) * (hidden > 0)
            by_read = (by_hidden @ kernel.T).reshape(-1, WIDTH)
            last[...] -= rate * (hidden.T @ error)
            shift[...] -= rate * error.sum(axis=0)
            kernel[...] -= rate * (read.T @ by_hidden)
            bias[...] -= rate * by_hidden.sum(axis=0)
            np.subtract.at(table, rows.reshape(-1), rate * by_read)

    benchmark(steps)
