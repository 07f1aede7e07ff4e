"""One model in several threads, and forks in whatever state the threads are."""

from __future__ import annotations

import os
import signal
import sys
import threading

import numpy as np
import pytest
from helpers import data, network, run_python, same_bits

import fastweights as fw
from fastweights import layers

pytestmark = pytest.mark.promises

THREADS = 8
LONG = bool(os.environ.get("FASTWEIGHTS_LONG"))
ROUNDS = 300 if LONG else 30
FORKS = 300 if LONG else 30

X, Y = data(300)


@pytest.fixture(autouse=True)
def every_thread(monkeypatch):
    """Two threads for every step, however small; and Python's threads change places often."""
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    with fw.threads(2):
        yield
    sys.setswitchinterval(interval)


def together(*actions):
    """Runs each action in a thread of its own, all at once; returns what they raised."""
    errors = []
    start = threading.Barrier(len(actions))

    def run(action):
        start.wait()
        try:
            action()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def wide(**settings):
    return network((5, 64, 3), optimizer="adam", metrics=("mae", "r2"), **settings)


def test_predictions_and_figures_of_one_model():
    model = wide()
    batches = [data(rows, seed=rows) for rows in (2, 30, 257, 600)]
    expected = [(model.predict(x), model.evaluate(x, y)) for x, y in batches]

    def ask(first):
        for turn in range(ROUNDS):
            (x, y), (output, figures) = (
                which[(first + turn) % len(batches)] for which in (batches, expected)
            )
            if turn % 2:
                same_bits(model.predict(x), output)
            else:
                assert model.evaluate(x, y) == figures

    assert together(*[lambda i=i: ask(i) for i in range(THREADS)]) == []


def test_first_calls_of_one_model():
    """Nothing is made twice in a way that shows."""
    for _ in range(ROUNDS // 10):
        model, expected = wide(), wide().evaluate(X, Y)
        found = []
        assert together(*[lambda: found.append(model.evaluate(X, Y))] * THREADS) == []  # noqa: B023
        assert found == [expected] * THREADS


def test_fits_of_models_of_their_own():
    expected = wide()
    expected.fit(X, Y, 50, 5, verbose=0)
    models = [wide() for _ in range(THREADS)]
    assert together(*[lambda m=m: m.fit(X, Y, 50, 5, verbose=0) for m in models]) == []
    for model in models:
        same_bits(model.parameters, expected.parameters)


def test_fits_of_one_model_do_not_mix():
    """One has it, the others are told."""
    model, expected = wide(), wide()
    errors = together(*[lambda: model.fit(X, Y, 50, 40, verbose=0)] * THREADS)
    assert {type(error) for error in errors} <= {RuntimeError}
    assert all("in the middle of a fit" in str(error) for error in errors)
    for _ in range(THREADS - len(errors)):
        expected.fit(X, Y, 50, 40, verbose=0)
    same_bits(model.parameters, expected.parameters)


def test_single_steps_of_one_model_wait_for_each_other():
    model, expected = wide(), wide()

    def step():
        for _ in range(ROUNDS):
            model.train_on_batch(X, Y)

    assert together(*[step] * THREADS) == []
    for _ in range(ROUNDS * THREADS):
        expected.train_on_batch(X, Y)
    same_bits(model.parameters, expected.parameters)


def test_gradients_of_one_model_are_each_callers_own():
    model = wide()
    batches = [data(100, seed=seed) for seed in range(THREADS)]
    expected = [model.loss_and_gradients(*batch) for batch in batches]

    def ask(i):
        for _ in range(ROUNDS):
            loss, gradient, dx = model.loss_and_gradients(*batches[i])
            assert loss == expected[i][0]
            same_bits(gradient, expected[i][1])
            same_bits(dx, expected[i][2])

    assert together(*[lambda i=i: ask(i) for i in range(THREADS)]) == []


def test_predictions_during_a_fit_are_those_of_whole_steps():
    """With SGD from zeros on constant data every prediction is one of a known list."""
    steps = 400
    x, y = np.ones((64, 1)), np.full((64, 1), 4.0)

    def line():
        model = network((1, 1), optimizer=fw.optimizers.SGD(1e-3))
        model.set_weights([np.zeros((1, 1)), np.zeros(1)])
        return model

    twin, known = line(), set()
    for _ in range(steps + 1):
        known.add(twin.predict(x[:1]).item())
        twin.train_on_batch(x, y)
    model, seen = line(), []
    done = threading.Event()

    def train():
        model.fit(x, y, 64, steps, verbose=0)
        done.set()

    def ask():
        while not done.is_set():
            seen.append(model.predict(x[:1]).item())

    assert together(train, *[ask] * 3) == []
    assert set(seen) <= known


def test_weights_are_read_and_written_whole_during_a_fit():
    model = network((40, 60, 3), optimizer=fw.optimizers.SGD(0.0))
    x, y = data(2000, 40)
    done = threading.Event()
    shapes = [weight.shape for weight in model.weights]

    def train():
        model.fit(x, y, 20, 6, verbose=0)
        done.set()

    def write(value):
        while not done.is_set():
            model.set_weights([np.full(shape, value) for shape in shapes])

    def read():
        while not done.is_set():
            weights = np.concatenate([w.ravel() for w in model.get_weights()])
            assert len(np.unique(weights)) == 1

    model.set_weights([np.ones(shape) for shape in shapes])
    assert together(train, lambda: write(1.0), lambda: write(2.0), read) == []


@pytest.mark.parametrize("call", ["fit", "train_on_batch", "loss_and_gradients", "forward"])
def test_training_in_the_middle_of_a_fit_is_refused(call, monkeypatch):
    monkeypatch.setattr(fw.training, "STRETCH_SECONDS", 0.0)
    arguments = (X,) if call == "forward" else (X, Y)

    class Nested(fw.callbacks.Callback):
        def on_progress(self, epoch, rows, total, logs):
            with pytest.raises(RuntimeError, match=f"{call}: got a model in the middle of its own"):
                getattr(self.model, call)(*arguments)
            self.model.evaluate(X, Y)
            self.model.predict(X)

    model, expected = wide(), wide()
    found = model.fit(X, Y, 50, 2, verbose=0, callbacks=[Nested()])
    assert found.history == expected.fit(X, Y, 50, 2, verbose=0).history
    same_bits(model.parameters, expected.parameters)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers on this system")
def test_a_handler_of_signals_may_not_use_the_model_it_interrupts():
    """It is told so, instead of waiting for itself."""
    model = network((200, 400, 3), dtype="float32")
    x, y = data(20_000, 200)
    found = []

    def handler(number, frame):
        try:
            found.append(model.predict(x[:1]))
        except RuntimeError as error:
            found.append(error)

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    try:
        for _ in range(3):
            model.loss_and_gradients(x, y)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert found
    for one in found:
        assert isinstance(one, np.ndarray) or "signal handler" in str(one)


#: Forks while threads do all kinds of things with one model and others; every child does the same.
FORKING = f"""
import os, random, signal, sys, threading, time, warnings
import numpy as np
import fastweights as fw
from fastweights import layers
from helpers import data, network
warnings.simplefilter("ignore", DeprecationWarning)
sys.setswitchinterval(1e-5)
fw.set_num_threads(2)
x, y = data(400)
model = network((5, 60, 3), optimizer="adam", metrics=("mae",))
done = threading.Event()

def keep(action):
    def run():
        while not done.is_set():
            try:
                action()
            except RuntimeError:
                time.sleep(1e-4)
    return threading.Thread(target=run)

def own():
    network((5, 30, 3)).fit(x, y, 50, 2, verbose=0)

actions = [
    lambda: model.predict(x), lambda: model.evaluate(x, y), own,
    lambda: model.fit(x, y, 50, 3, verbose=0), lambda: model.train_on_batch(x, y),
    lambda: model.loss_and_gradients(x, y),
    lambda: model.compile("adam", "mse", ["mae"]), lambda: model.set_weights(model.get_weights()),
]
threads = [keep(action) for action in actions]
for thread in threads:
    thread.start()
draw = random.Random(0)
for fork in range({FORKS}):
    time.sleep(draw.uniform(0, 0.01))
    child = os.fork()
    if child == 0:
        signal.alarm(100)
        for action in actions:
            action()
        model.forward(x)
        model.backward(y)
        assert np.isfinite(model.parameters).all()
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status == 0, (fork, status)
done.set()
for thread in threads:
    thread.join()
print("ok")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_fork_in_any_state_trains():
    done = run_python(FORKING, FASTWEIGHTS_GRAIN="0", timeout=600)
    assert done.stdout == "ok\n", done.stderr


#: A handler of signals that forks comes back in a child whose team has lost its other members.
FORKS_IN_HANDLER = """
import os, signal, warnings
import fastweights as fw
from fastweights import layers
from helpers import data, network
warnings.simplefilter("ignore", DeprecationWarning)
fw.set_num_threads({threads})
model = network((200, 400, 3), dtype="float32")
x, y = data(20_000, 200)
children = []
forks = []
def handler(number, frame):
    # Where a fork takes longer than the timer the next signal comes in the middle of it.
    if 0 in children or len(forks) == 3:
        return
    forks.append(len(forks))
    children.append(os.fork())
    if 0 in children:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(100)
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.06, 0.06)
try:
    while 0 not in children and len(children) < 3:
        model.loss_and_gradients(x, y)
        model.backward(model.forward(x))
    signal.setitimer(signal.ITIMER_REAL, 0)
except RuntimeError as error:
    assert 0 in children and "has forked in the middle of a call" in str(error)
if 0 in children:
    model.train_on_batch(x, y)
    os._exit(0)
assert [os.waitpid(child, 0)[1] for child in children] == [0] * len(children)
print("ok")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.parametrize("threads", [1, 2])
def test_a_handler_of_signals_may_fork(threads):
    done = run_python(FORKS_IN_HANDLER.format(threads=threads), FASTWEIGHTS_GRAIN="0")
    assert done.stdout == "ok\n", done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_fork_that_python_is_told_nothing_of():
    done = run_python(
        "import ctypes, os, signal\n"
        "import fastweights as fw\n"
        "from helpers import data, network\n"
        "fw.set_num_threads(2)\n"
        "model = network()\n"
        "x, y = data(600)\n"
        "model.fit(x, y, verbose=0)\n"
        "child = ctypes.PyDLL(None).fork()\n"
        "if child == 0:\n"
        "    signal.alarm(100)\n"
        "    model.fit(x, y, verbose=0)\n"
        "    os._exit(0)\n"
        "print(os.waitpid(child, 0)[1])",
        FASTWEIGHTS_GRAIN="0",
    )
    assert done.stdout == "0\n", done.stderr


def test_what_is_saved_and_copied_is_of_one_compile(tmp_path):
    model = wide()
    done = threading.Event()

    def change():
        while not done.is_set():
            for optimizer in ("adam", fw.optimizers.SGD(0.01, 0.9), "sgd"):
                model.compile(optimizer, "mse")
                model.train_on_batch(X, Y)

    def keep():
        try:
            for _ in range(ROUNDS):
                model.save(tmp_path / "m.safetensors")
                fw.load(tmp_path / "m.safetensors").train_on_batch(X, Y)
                model.copy().train_on_batch(X, Y)
        finally:
            done.set()

    assert together(change, keep) == []


def test_ctrl_c_in_the_middle_of_a_batch():
    """Compiled code looks for signals between chunks, and makes no half of a step."""
    model = network((200, 300, 3), dtype="float32")
    x, y = data(20_000, 200)
    y = y.astype(np.float32)
    before = model.parameters.copy()

    def interrupt(number, frame):
        raise KeyboardInterrupt

    calls = {
        "fit": lambda: model.fit(x, y, len(x), 200, verbose=0, shuffle=False),
        "loss_and_gradients": lambda: [model.loss_and_gradients(x, y) for _ in range(200)],
        "forward": lambda: [model.forward(x) for _ in range(400)],
        "backward": lambda: [model.backward(y) for _ in range(400)],
        "predict": lambda: [model.predict(x) for _ in range(400)],
    }
    twin = network((200, 300, 3), dtype="float32")
    steps = [before]
    for name, call in calls.items():
        model.forward(x)
        handler = signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        try:
            with pytest.raises(KeyboardInterrupt):
                call()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, handler)
        while not np.array_equal(model.parameters, steps[-1]):
            assert len(steps) < 200, name
            twin.train_on_batch(x, y)
            steps.append(twin.parameters.copy())
    same_bits(model.predict(x[:50]), twin.predict(x[:50]))


def test_a_turn_that_was_not_given_back_is_over():
    """As when Ctrl-C comes between taking it and guarding it."""
    from fastweights._turns import Turn

    model = wide()

    def take():
        turn = Turn(model._turns, "fit", is_long=True)
        turn.__enter__()
        return turn

    turn = take()
    assert model._turns == [turn]
    model.train_on_batch(X, Y)
    other = threading.Thread(target=take)
    other.start()
    other.join()
    model.fit(X, Y, verbose=0)
    assert model._turns == []


def test_whoever_waits_for_a_model_hears_signals():
    """The model is in the middle of a layer's own function, which goes on once that was heard."""
    entered, heard = threading.Event(), threading.Event()

    class Waits(layers.NumpyLayer):
        def forward(self, x):
            entered.set()
            assert heard.wait(30)
            return x, None

        def backward(self, dy, kept):
            return dy

    model = fw.Sequential([layers.Dense(2), Waits()], 3, seed=0)
    x = np.ones((4, 3), np.float32)
    other = threading.Thread(target=model.predict, args=(x,))
    other.start()
    assert entered.wait(30)

    def handler(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(TimeoutError):
            model.predict(x)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        heard.set()
        other.join(30)
    assert not other.is_alive()
    assert model.predict(x).shape == (4, 2)
