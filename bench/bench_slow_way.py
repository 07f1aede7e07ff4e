"""Training the fast way, and the slow way that nudges each weight and looks at a loss in NumPy.

Both make the same steps from the same weights; `tests/test_slow_way.py` proves that they end at the
same ones, and ``extra_info`` says how far apart they do here.
"""

import numpy as np
import pytest
import reference

import fastweights as fw
from fastweights import layers, optimizers

STEPS, LEARNING_RATE = 100, 0.1


@pytest.fixture
def case(benchmark):
    benchmark.group = f"training 4-8-1, batch 32, {STEPS} steps float64"
    random = np.random.default_rng(0)
    network = reference.MLP((4, 8, 1), ("tanh", "linear"))
    return network, random.normal(size=(32, 4)), random.normal(size=(32, 1))


def bench_fast_way(benchmark, case):
    network, x, y = case
    model = fw.Sequential([layers.Dense(8, "tanh"), layers.Dense(1)], 4, "float64")
    model.compile(optimizers.SGD(LEARNING_RATE), "mse")
    benchmark.pedantic(
        model.fit,
        (x, y),
        {"batch_size": len(x), "epochs": STEPS, "shuffle": False, "verbose": 0},
        setup=lambda: model.set_weights(network.arrays),
        rounds=20,
    )
    reference.train_by_nudging(network, x, y, LEARNING_RATE, STEPS)
    away = float(np.abs(model.parameters - network.parameters).max())
    benchmark.extra_info["away_from_the_slow_way"] = away
    assert away < 1e-6


def bench_slow_way(benchmark, case):
    network, x, y = case
    start = network.parameters

    def restart():
        network.parameters = start

    benchmark.pedantic(
        reference.train_by_nudging, (network, x, y, LEARNING_RATE, STEPS), setup=restart, rounds=3
    )
