"""The plan on the ladder: forward, backward, update, a whole step, and an epoch of `fit`.

The first four are one call of the compiled plan, arguments checked beforehand; the epoch is what a
user calls.
"""

import numpy as np
import pytest

from fastweights import _feeding
from fastweights._plans import plan_for

#: Steps of an epoch.
STEPS = 100


@pytest.fixture
def case(benchmark, request, network, dtype):
    benchmark.group = f"{request.function.__name__.removeprefix('bench_')} {dtype}"
    model = network.model(dtype)
    examples = _feeding.examples(model, *network.batch())
    return model, examples.x, examples.y


def bench_forward(benchmark, case):
    model, x, _ = case
    out = np.empty((len(x), *model.output_shape), model.dtype)
    benchmark(plan_for(model, "infer", len(x)).infer, x, None, out, 0, len(x), 0.0)


def bench_backward(benchmark, case):
    model, x, _ = case
    dy = np.full((len(x), *model.output_shape), 0.1, model.dtype)
    model.forward(x)
    benchmark(plan_for(model, "keep", len(x)).backward, dy, np.empty_like(x), len(x))


def bench_update(benchmark, case):
    model, x, y = case
    model.loss_and_gradients(x, y)
    benchmark(plan_for(model, "fit", len(x)).apply_update)


def bench_step(benchmark, case):
    model, x, y = case
    benchmark(plan_for(model, "fit", len(x)).train, x, y, None, 0, len(x), len(x), 0.0)


def bench_epoch(benchmark, case):
    model, x, y = case
    rows = np.tile(x, (STEPS, 1))
    targets = np.concatenate([y] * STEPS)
    benchmark.extra_info["steps"] = STEPS
    benchmark(model.fit, rows, targets, batch_size=len(x), verbose=0)


@pytest.mark.parametrize("given", ["float32", "float64"])
def bench_predict_one_row(benchmark, network, given):
    """Rows of another dtype than the model's are converted on the way."""
    benchmark.group = "predict one row, float32 model"
    model = network.model("float32")
    x, _ = network.batch()
    benchmark(model.predict, x[:1].astype(given))
