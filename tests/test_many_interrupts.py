"""Ctrl-C while worker threads are in the middle of long calls: nobody waits for their ends."""

from __future__ import annotations

import os
import signal
import sys

import numpy as np
import pytest
from helpers import network, same_bits

import fastweights as fw
from fastweights._core.plan import OF_THREAD
from fastweights.callbacks import Callback

pytestmark = [
    pytest.mark.promises,
    pytest.mark.skipif(sys.platform == "win32", reason="no such signals"),
]

#: Seconds of work for a CPU, which is cut short.
ROWS, WIDTHS = 40_000, (64, 1024, 1024, 1)


def net(seed):
    return network(WIDTHS, dtype="float32", seed=seed, optimizer="adam")


def many_rows(rows=ROWS):
    x = np.random.default_rng(0).standard_normal((rows, WIDTHS[0]), np.float32)
    return x, x[:, :1].copy()


class CtrlC(Callback):
    """Comes with a hook, and keeps which were called after it."""

    def __init__(self, hook):
        self.hook, self.later = hook, []

    def on_train_batch_begin(self, batch, logs):
        self.come("on_train_batch_begin")

    def on_train_batch_end(self, batch, logs):
        self.come("on_train_batch_end")

    def on_test_begin(self, logs):
        self.come("on_test_begin")

    def on_test_end(self, logs):
        self.come("on_test_end")

    def come(self, hook):
        if self.later or hook == self.hook:
            self.later.append(hook)
        if hook == self.hook:
            os.kill(os.getpid(), signal.SIGINT)


def test_in_the_middle_of_a_large_batch():
    x, y = many_rows()
    models = [net(seed) for seed in range(2)]
    before = [model.parameters.copy() for model in models]
    comes = CtrlC("on_train_batch_begin")
    with pytest.raises(KeyboardInterrupt):
        fw.fit_many(models, x, y, ROWS, 1, 0, callbacks=[[comes], None], n_jobs=2)
    assert comes.later == ["on_train_batch_begin"]
    for model, weights in zip(models, before, strict=True):
        same_bits(model.parameters, weights)
        assert np.isfinite(model.fit(x[:40], y[:40], verbose=0).history["loss"]).all()


def test_in_the_middle_of_a_validation():
    x, y = many_rows(100_000)
    models = [net(seed) for seed in range(2)]
    comes = CtrlC("on_test_begin")
    with pytest.raises(KeyboardInterrupt):
        fw.fit_many(
            models, x[:40], y[:40], 40, 1, 0, callbacks=[[comes], None], validation_data=(x, y),
            n_jobs=2,
        )  # fmt: skip
    assert comes.later == ["on_test_begin"]
    for model in models:
        assert np.isfinite(model.fit(x[:40], y[:40], verbose=0).history["loss"]).all()


def test_what_a_thread_asks_ends_a_call_as_a_signal_does():
    x, y = many_rows()
    model = net(0)
    before = model.parameters.copy()

    def refuse():
        raise LookupError("asked")

    OF_THREAD.ask = refuse
    try:
        with pytest.raises(LookupError, match="asked"):
            model.fit(x, y, ROWS, verbose=0)
        with pytest.raises(LookupError, match="asked"):
            model.evaluate(x, y, verbose=0)
    finally:
        OF_THREAD.ask = None
    same_bits(model.parameters, before)
