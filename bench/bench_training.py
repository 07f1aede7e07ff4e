"""Whether training stays as fast as it begins: epochs of a network that has trained for long.

Units of a relu network die while it trains, and what Adam remembers of their gradients decays for
ever. A network after EPOCHS epochs takes turns with one that begins; `last_over_first` is the ratio
of their median times: 1, or less.
"""

import time

import numpy as np
import pytest

import fastweights as fw
from fastweights import layers

EPOCHS = 100
TURNS = 15

TASKS = {
    "regression": (1, None, "mse"),
    "classes": (2, "softmax", "sparse_categorical_crossentropy"),
}


def table(task, rows=5000, inputs=30):
    random = np.random.default_rng(0)
    x = random.standard_normal((rows, inputs))
    noise = 0.1 * random.standard_normal((rows, 1))
    return x, (x[:, :1] * x[:, 1:2] + noise if task == "regression" else (x[:, 0] > 0) * 1)


def network(task, inputs):
    outputs, activation, loss = TASKS[task]
    hidden = [layers.Dense(256, "relu"), layers.Dense(128, "relu")]
    model = fw.Sequential([*hidden, layers.Dense(outputs, activation)], inputs, "float32", seed=0)
    model.compile("adam", loss)
    return model


@pytest.mark.parametrize("task", TASKS)
def bench_relu_with_adam(benchmark, task):
    benchmark.group = "an epoch of relu with Adam float32"
    x, y = table(task)
    young, old = (network(task, x.shape[1]) for _ in range(2))
    young.fit(x, y, verbose=0)
    old.fit(x, y, epochs=EPOCHS - TURNS, verbose=0)
    seconds = []

    def timed(model):
        began = time.perf_counter()
        model.fit(x, y, verbose=0)
        seconds.append(time.perf_counter() - began)

    benchmark.pedantic(timed, setup=lambda: timed(young), args=(old,), rounds=TURNS)
    first, last = np.median(seconds[::2]), np.median(seconds[1::2])
    benchmark.extra_info["last_over_first"] = float(f"{last / first:.3g}")
