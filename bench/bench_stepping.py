"""What an optimizer's settings cost: a step of 8-64-64-4 on 64 rows, beside plain Adam's.

Both networks take turns; `times_plain` is the ratio of the best CPU times of an epoch. The goal for
a schedule, decay, clipping and averages together is at most 1.25.
"""

import time

import numpy as np
import pytest

import fastweights as fw
from fastweights import layers, optimizers, schedules

STEPS = 200
TURNS = 20

SCHEDULE = schedules.CosineDecay(1e-4, 10**6)
TOGETHER = {"weight_decay": 0.01, "global_clipnorm": 1e-3, "use_ema": True}

SETTINGS = {
    "schedule": (SCHEDULE, {}),
    **{name: (1e-4, {name: setting}) for name, setting in TOGETHER.items()},
    "accumulation": (1e-4, {"gradient_accumulation_steps": 4}),
    "factors": (1e-4, {"learning_rate_factors": {"*/bias": 2.0}}),
    "schedule, decay, clipping and averages": (SCHEDULE, TOGETHER),
}


def network(rate, settings):
    hidden = [layers.Dense(64, "tanh"), layers.Dense(64, "tanh")]
    model = fw.Sequential([*hidden, layers.Dense(4)], 8, "float32", seed=0)
    model.compile(optimizers.Adam(rate, **settings), "mse")
    return model


@pytest.mark.parametrize("name", SETTINGS)
def bench_step_with(benchmark, name):
    benchmark.group = "200 steps of 8-64-64-4 on 64 rows float32"
    random = np.random.default_rng(0)
    x, y = (random.standard_normal((64 * STEPS, width)).astype(np.float32) for width in (8, 4))
    plain, other = network(1e-4, {}), network(*SETTINGS[name])
    seconds = {id(plain): [], id(other): []}

    def timed(model):
        began = time.thread_time()
        model.fit(x, y, 64, verbose=0, shuffle=False)
        seconds[id(model)].append(time.thread_time() - began)

    with fw.threads(1):
        benchmark.pedantic(timed, setup=lambda: timed(plain), args=(other,), rounds=TURNS)
    ratio = min(seconds[id(other)]) / min(seconds[id(plain)])
    benchmark.extra_info["times_plain"] = float(f"{ratio:.3g}")
