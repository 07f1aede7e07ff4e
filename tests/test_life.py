"""A model's life in any order of calls, beside a plain record of what must hold.

Whatever a user does (compiles in the middle of a fit, forks, saves and goes on with the file,
changes threads, gives wrong data), the model does what a second one does to which only the calls
that were accepted happen, one after the other; and the record knows which are accepted.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from helpers import same_bits
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import fastweights as fw
from fastweights import layers

pytestmark = pytest.mark.promises

LONG = bool(os.environ.get("FASTWEIGHTS_LONG"))
SETTINGS = sys.modules["fastweights.config"]

INPUTS, OUTPUTS, ROWS = 5, 4, 24
_random = np.random.default_rng(0)
X = _random.standard_normal((ROWS, INPUTS)).astype(np.float32)
LABELS = _random.integers(OUTPUTS, size=ROWS)
#: Targets by what a loss takes.
TARGETS = {"numbers": np.eye(OUTPUTS, dtype=np.float32)[LABELS], "labels": LABELS}
TAKES = {
    "mse": "numbers",
    "huber": "numbers",
    "categorical_crossentropy": "numbers",
    "sparse_categorical_crossentropy": "labels",
}

losses = st.sampled_from(sorted(TAKES))
optimizers = st.sampled_from(["sgd", "adam", "momentum"])
batches = st.sampled_from([1, 7, ROWS])


def optimizer_of(name):
    return fw.optimizers.SGD(0.001, 0.9) if name == "momentum" else name


class Does(fw.callbacks.Callback):
    """Does something to its model before one epoch."""

    def __init__(self, epoch, action):
        self.epoch, self.action = epoch, action

    def on_epoch_begin(self, epoch, logs):
        if epoch == self.epoch:
            self.action(self.model)


class Life(RuleBasedStateMachine):
    """`model` lives; to `twin` only what was accepted happens; the rest is the record."""

    def __init__(self):
        super().__init__()
        self.model = self.twin = None
        self.loss = None
        self.kept = None  # rows that went forward since `compile`, and the weights they met
        self.folder = tempfile.TemporaryDirectory()

    def teardown(self):
        self.folder.cleanup()
        SETTINGS._settings["num_threads"] = None

    @initialize(
        built=st.booleans(), softmax=st.booleans(), hidden=st.sampled_from(["relu", "tanh"])
    )
    def make(self, built, softmax, hidden):
        def new():
            stack = [layers.Dense(9, hidden), layers.Dense(OUTPUTS, "softmax" if softmax else None)]
            return fw.Sequential(stack, INPUTS if built else None, seed=3)

        self.model, self.twin, self.softmax = new(), new(), softmax

    def both(self, call):
        """The same to both, with the same result."""
        found, expected = call(self.model), call(self.twin)
        if isinstance(expected, np.ndarray):
            same_bits(found, expected)
        else:
            assert found == expected
        return found

    def targets(self, kind=None):
        return TARGETS[kind or TAKES[self.loss]]

    def is_built(self):
        return self.twin.input_shape is not None

    # ---- calls that are accepted -----------------------------------------------------------------

    @precondition(lambda self: not self.is_built())
    @rule()
    def build(self):
        self.both(lambda model: model.build(INPUTS))

    def suits(self, loss):
        """Whether a loss is a number: a crossentropy wants probabilities."""
        return self.softmax or loss in ("mse", "huber")

    @rule(optimizer=optimizers, loss=losses, metric=st.sampled_from([(), ("accuracy",), ("mae",)]))
    def compile(self, optimizer, loss, metric):
        assume(self.suits(loss))
        if TAKES[loss] == "labels" or loss in ("mse", "huber"):
            metric = tuple(name for name in metric if (name == "mae") == (loss in ("mse", "huber")))
        self.both(lambda model: model.compile(optimizer_of(optimizer), loss, metric))
        self.loss, self.kept = loss, None

    @rule()
    def put_another_head(self):
        def change(model):
            model.pop()
            model.add(layers.Dense(OUTPUTS, "softmax" if self.softmax else None))

        self.both(change)
        self.kept = None

    @precondition(lambda self: self.loss)
    @rule(batch=batches, epochs=st.integers(0, 3), split=st.sampled_from([0.0, 0.25]))
    def fit(self, batch, epochs, split):
        y = self.targets()
        self.both(
            lambda model: model.fit(X, y, batch, epochs, verbose=0, validation_split=split).history
        )

    @precondition(lambda self: self.loss)
    @rule(rows=st.integers(1, ROWS))
    def train_on_batch(self, rows):
        y = self.targets()
        self.both(lambda model: model.train_on_batch(X[:rows], y[:rows]))

    @precondition(lambda self: self.loss)
    @rule(loss=losses, batch=batches, epochs=st.integers(1, 3), at=st.integers(0, 2))
    def fit_with_a_callback_that_compiles(self, loss, batch, epochs, at):
        assume(self.suits(loss))
        y = self.targets()
        change = Does(at, lambda model: model.compile("adam", loss))

        def live():
            self.model.fit(X, y, batch, epochs, verbose=0, callbacks=[change])

        if at >= epochs:
            live()
        else:
            with pytest.raises(RuntimeError, match="compile: got a model in the middle of its own"):
                live()
        self.twin.fit(X, y, batch, min(at, epochs), verbose=0)

    @precondition(lambda self: self.loss and self.is_built())
    @rule(call=st.sampled_from(["fit", "train_on_batch", "forward", "raise", "set", "labels"]))
    def fit_with_a_callback_that_does_worse(self, call):
        y = self.targets().copy()
        zeros = [np.zeros(w.shape) for w in self.twin.weights]

        def act(model):
            if call == "raise":
                raise KeyError("own")
            if call == "set":
                model.set_weights(zeros)
            elif call == "labels":
                y[:] = 10**9
            else:
                getattr(model, call)(*((X,) if call == "forward" else (X, y)))

        def live():
            self.model.fit(X, y, 7, 2, verbose=0, callbacks=[Does(1, act)])

        self.twin.fit(X, y.copy(), 7, 1, verbose=0)
        if call == "raise":
            with pytest.raises(KeyError, match="own"):
                live()
        elif call in ("set", "labels"):
            if call == "labels" and TAKES[self.loss] == "numbers":
                y = y.astype(np.float64)  # which is converted, so what is in it then has no effect
            live()
            if call == "set":
                self.twin.set_weights(zeros)
            self.twin.fit(X, self.targets(), 7, 2, verbose=0, initial_epoch=1)
        else:
            with pytest.raises(RuntimeError, match=f"{call}: got a model in the middle of its own"):
                live()

    @precondition(lambda self: self.loss and self.is_built())
    @rule(rows=st.integers(1, ROWS))
    def evaluate(self, rows):
        y = self.targets()
        self.both(lambda model: model.evaluate(X[:rows], y[:rows]))

    @precondition(lambda self: self.is_built())
    @rule(rows=st.integers(1, ROWS), double=st.booleans())
    def predict(self, rows, double):
        x = X[:rows].astype(np.float64) if double else X[:rows]
        self.both(lambda model: model.predict(x))

    @precondition(lambda self: self.loss)
    @rule(rows=st.integers(1, ROWS))
    def loss_and_gradients(self, rows):
        y = self.targets()
        self.both(lambda model: model.loss_and_gradients(X[:rows], y[:rows])[1])

    @precondition(lambda self: self.is_built())
    @rule(rows=st.integers(1, ROWS))
    def forward(self, rows):
        self.both(lambda model: model.forward(X[:rows]))
        self.kept = rows, self.twin.parameters.tobytes()

    @rule(rows=st.integers(1, ROWS))
    def backward(self, rows):
        dy = np.ones((rows, OUTPUTS), np.float32)
        if self.is_built() and self.kept == (rows, self.twin.parameters.tobytes()):
            self.both(lambda model: model.backward(dy))
            self.both(lambda model: model.gradients.copy())
        else:
            with pytest.raises(ValueError, match=r"backward: got|dy: got"):
                self.model.backward(dy)

    @precondition(lambda self: self.loss and self.is_built())
    @rule()
    def apply_gradients(self):
        self.both(lambda model: model.apply_gradients())

    @precondition(lambda self: self.is_built())
    @rule(value=st.floats(-1, 1))
    def set_weights(self, value):
        given = [np.full(w.shape, value) for w in self.twin.weights]
        self.both(lambda model: model.set_weights(given))

    # ---- calls that leave things as they are -----------------------------------------------------

    @precondition(lambda self: self.is_built())
    @rule(how=st.sampled_from(["shape", "nan", "count"]))
    def set_weights_that_do_not_fit(self, how):
        given = self.twin.get_weights()
        if how == "shape":
            given[1] = np.zeros(3)
        elif how == "nan":
            given[-1][0] = np.nan
        else:
            given.pop()
        with pytest.raises(ValueError, match="got"):
            self.model.set_weights(given)

    @precondition(lambda self: self.loss and self.is_built())
    @rule(call=st.sampled_from(["fit", "evaluate", "train_on_batch", "loss_and_gradients"]))
    def wrong_targets(self, call):
        other = "labels" if TAKES[self.loss] == "numbers" else "numbers"
        with pytest.raises(ValueError, match="y: got"):
            getattr(self.model, call)(X, TARGETS[other])

    @rule(name=st.sampled_from(["loss", "optimizer", "layers", "input_shape", "dtype", "seed"]))
    def set_what_is_fixed(self, name):
        with pytest.raises(AttributeError, match=name):
            setattr(self.model, name, None)

    # ---- other lives -----------------------------------------------------------------------------

    def goes_on(self, model):
        """With all but what the last backward and forward passes left."""
        self.model = model
        self.model.gradients[:] = self.twin.gradients
        self.both(lambda model: model.forward(X[:1]))
        self.kept = 1, self.twin.parameters.tobytes()

    @precondition(lambda self: self.is_built())
    @rule()
    def save_and_load(self):
        path = Path(self.folder.name) / "model.safetensors"
        self.model.save(path)
        self.goes_on(fw.load(path))

    @precondition(lambda self: self.is_built())
    @rule()
    def copy(self):
        self.goes_on(self.model.copy())

    @rule(threads=st.integers(1, 3))
    def change_threads(self, threads):
        fw.set_num_threads(threads)

    @precondition(lambda self: hasattr(os, "fork") and self.loss and self.is_built())
    @rule()
    def fork(self):
        y = self.targets()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            signal.alarm(30)
            code = 1
            try:
                self.both(lambda model: model.fit(X, y, 7, 1, verbose=0).history)
                self.both(lambda model: model.predict(X))
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0

    # ---- what always holds -----------------------------------------------------------------------

    @invariant()
    def weights_are_the_same(self):
        if self.twin is not None and self.is_built():
            same_bits(self.model.parameters, self.twin.parameters)
            assert self.model.epochs_trained == self.twin.epochs_trained
            assert self.model.layers[1].kernel.shape == (9, OUTPUTS)
            assert self.model._turns == []

    @invariant()
    def what_was_compiled_is_the_same(self):
        if self.twin is not None:
            assert self.model.loss == self.twin.loss
            assert self.model.metrics == self.twin.metrics


Life.TestCase.settings = settings(
    max_examples=2000 if LONG else 25,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=not LONG,
    database=None,
)


@pytest.fixture(autouse=True)
def every_thread(monkeypatch):
    monkeypatch.setattr(SETTINGS, "_grain", 0.0)


TestLife = Life.TestCase
