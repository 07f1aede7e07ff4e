"""Recurrent layers: a training step and a prediction, of short rows and of long ones."""

import numpy as np
import pytest

import fastweights as fw
from fastweights import layers

#: Kind, steps, features, units, rows.
SIZES = {
    "lstm": (layers.LSTM, 29, 12, 32, 32),
    "gru": (layers.GRU, 29, 12, 32, 32),
    "simple_rnn": (layers.SimpleRNN, 29, 12, 32, 32),
    "lstm_wide": (layers.LSTM, 100, 8, 128, 64),
    "lstm_one_row": (layers.LSTM, 29, 12, 32, 1),
}


def translator(kind, steps, features, units, dtype):
    """An encoder whose states a decoder begins with; both read the same series."""
    x = fw.Input((steps, features))
    _, *states = kind(units, return_state=True)(x)
    told = kind(units, return_sequences=True)(x, initial_state=states)
    last = layers.Cropping1D((steps - 1, 0))(told)
    return fw.Model(x, layers.Dense(9)(layers.Flatten()(last)), dtype, seed=0)


@pytest.fixture(params=[*SIZES, "lstm_masked", "lstm_both_ways", "lstm_begun"])
def contest(benchmark, request, dtype):
    """A compiled model and rows for it."""
    name, _, form = request.param.partition("_")
    known = request.param in SIZES
    kind, steps, features, units, rows = SIZES[request.param if known else name]
    what = request.function.__name__.removeprefix("bench_")
    benchmark.group = f"recurrent {what} {dtype}"
    random = np.random.default_rng(0)
    x = random.standard_normal((rows, steps, features)).astype(dtype)
    stack = [layers.Bidirectional(kind(units)) if form == "both_ways" else kind(units)]
    if form == "masked":
        # Half of all steps fill up short rows.
        x[np.arange(steps) >= random.integers(1, steps + 1, (rows, 1))] = 0.0
        stack.insert(0, layers.Masking())
    if form == "begun":
        model = translator(kind, steps, features, units, dtype)
    else:
        model = fw.Sequential([*stack, layers.Dense(9)], (steps, features), dtype, seed=0)
    model.compile("adam", fw.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model, x, random.integers(0, 9, rows)


def bench_step(benchmark, contest):
    model, x, y = contest
    benchmark(model.train_on_batch, x, y)


def bench_predict(benchmark, contest):
    model, x, _ = contest
    benchmark(model.predict, x)
