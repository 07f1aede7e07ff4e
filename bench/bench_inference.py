"""What predictions cost: of layers that do something in training alone, and of normalised ones.

``plain_over_this`` in ``extra_info`` is the time of the same network without such layers over a
row's own: both take turns, and the best of each counts.
"""

import time

import numpy as np
import pytest

import fastweights as fw
from fastweights import layers
from fastweights._plans import plan_for

ROUNDS = 200

KINDS = {
    "plain": lambda: [layers.Dense(256, "relu")],
    "normalised": lambda: [layers.Dense(256), layers.BatchNormalization(), layers.ReLU()],
    "idle": lambda: [layers.Dense(256, "relu"), layers.Dropout(0.5), layers.GaussianNoise(0.1)],
}


def prediction(kind, dtype, rows):
    """Predicts so many rows by 64-256-256-10."""
    stack = [*KINDS[kind](), *KINDS[kind](), layers.Dense(10)]
    model = fw.Sequential(stack, 64, dtype, seed=0)
    x = np.random.default_rng(0).standard_normal((rows, 64)).astype(dtype)
    plan, out = plan_for(model, "infer", rows), np.empty((rows, 10), dtype)
    return lambda: plan.infer(x, None, out, 0, rows, 60.0)


def seconds(work):
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@pytest.mark.parametrize("rows", [1, 128, 4096])
@pytest.mark.parametrize("kind", KINDS)
def bench_predict(benchmark, dtype, kind, rows):
    benchmark.group = f"64-256-256-10, {rows} rows {dtype}"
    work, plain = prediction(kind, dtype, rows), prediction("plain", dtype, rows)
    turns = [(seconds(plain), seconds(work)) for _ in range(ROUNDS)]
    without, own = (min(times) for times in zip(*turns, strict=True))
    benchmark.extra_info["plain_over_this"] = round(without / own, 3)
    benchmark(work)
