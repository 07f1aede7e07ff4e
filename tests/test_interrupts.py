"""Ctrl-C at any line of the library: the model is as it was or as it was to become, and works.

An interrupt is raised where a line of the library begins, as Python raises one between two of its
instructions; what runs compiled looks for signals by itself (``test_training.py``). Every line of
each action is tried in the long form (``FASTWEIGHTS_LONG=1``), some of them in the short one.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import data, network, same_bits

import fastweights as fw
from fastweights import layers

pytestmark = pytest.mark.promises

LIBRARY = str(Path(fw.__file__).parent)
#: How many lines of each action are interrupted.
INTERRUPTS = 10**9 if os.environ.get("FASTWEIGHTS_LONG") else 40
#: Lines of an action at most, in any form; an epoch's are like the next one's.
MOST = 1500

X, Y = data(20)


class Interrupted:
    """Runs an action with an interrupt at its n-th line of the library; without, counts lines."""

    def __init__(self, at: int | None = None) -> None:
        self.at, self.lines = at, 0

    def trace(self, frame, event, argument):
        if not frame.f_code.co_filename.startswith(LIBRARY):
            return None
        if event == "line":
            if self.lines == self.at:
                self.at = None
                raise KeyboardInterrupt
            self.lines += 1
        return self.trace

    def run(self, action) -> bool:
        """Whether the action came to its end."""
        before = sys.gettrace()
        sys.settrace(self.trace)
        try:
            action()
        except KeyboardInterrupt:
            return False
        finally:
            sys.settrace(before)
        return True


def interrupted_everywhere(prepare, act, check):
    """`check(prepared, finished)` after `act(prepared)` was interrupted at each of its lines."""
    counter = Interrupted()
    prepared = prepare()
    assert counter.run(lambda: act(prepared))
    check(prepared, True)
    lines = range(min(counter.lines, MOST))
    chosen = np.unique(np.linspace(0, lines[-1], min(INTERRUPTS, len(lines))).astype(int))
    for line in chosen.tolist():
        prepared = prepare()
        finished = Interrupted(line).run(lambda prepared=prepared: act(prepared))
        check(prepared, finished)


def works(model):
    """Trains, predicts and evaluates as a fresh model of these weights does."""
    twin = network((5, 7, 3), optimizer="adam", metrics=("mae",))
    twin.set_weights(model.get_weights())
    model.compile("adam", "mse", ["mae"])
    for one in (model, twin):
        one.fit(X, Y, 8, 2, verbose=0, shuffle=False)
    same_bits(model.parameters, twin.parameters)
    same_bits(model.predict(X), twin.predict(X))
    assert model.evaluate(X, Y) == twin.evaluate(X, Y)
    assert [layer.kernel.shape for layer in model.layers] == [(5, 7), (7, 3)]
    assert np.shares_memory(model.layers[0].kernel, model.parameters)


def trained():
    model = network((5, 7, 3), optimizer="adam", metrics=("mae",))
    model.fit(X, Y, 8, 1, verbose=0)
    return model


def stack():
    return [layers.Dense(7, "tanh"), layers.Dense(3)]


def test_making_a_model():
    def act(made):
        made["model"] = fw.Sequential(made["layers"], 5, "float64", 0)

    def check(made, finished):
        # The layers belong to a model that is there, or to none.
        works(made.get("model") or fw.Sequential(made["layers"], 5, "float64", 0))

    interrupted_everywhere(lambda: {"layers": stack()}, act, check)


def test_building():
    def prepare():
        return fw.Sequential(stack(), dtype="float64", seed=0)

    def check(model, finished):
        if model.input_shape is None:
            model.build(5)
        works(model)

    interrupted_everywhere(prepare, lambda model: model.build(5), check)


@pytest.mark.parametrize("is_trained", [False, True])
@pytest.mark.parametrize("change", ["add", "pop", "add the first"])
def test_growing_and_shrinking(change, is_trained):
    """Layers that are there already keep their weights, which are 1."""

    def prepare():
        first, last = stack()
        of = {"add": [first], "pop": [first, last, layers.Dense(4)], "add the first": []}[change]
        model = fw.Sequential([fw.Input(5), *of], dtype="float64", seed=0)
        if of and is_trained:
            model.compile("adam", "mse", ["mae"])
            model.fit(X, np.zeros((len(X), *model.output_shape)), verbose=0)
        if of:
            model.parameters[:] = 1.0
        return {"model": model, "new": last if of else first, "last": last}

    def act(made):
        made["model"].pop() if change == "pop" else made["model"].add(made["new"])

    def check(made, finished):
        model, rest = made["model"], {"add": 1, "pop": 2, "add the first": 0}[change]
        assert not finished or len(model.layers) == {"pop": 2}.get(change, rest + 1)
        for layer in model.layers[:rest]:
            assert (layer.kernel == 1.0).all()
            assert np.shares_memory(layer.kernel, model.parameters)
        if rest and is_trained:  # plans and the optimizer's memory are of the layers that are there
            outputs = model.layers[-1].units
            assert model.predict(X).shape == (len(X), outputs)
            parameters = model.copy().parameters
            model.fit(X, np.zeros((len(X), outputs)), verbose=0)
            model.parameters[:] = parameters
        while len(model.layers) > 2:
            model.pop()
        while len(model.layers) < 2:
            model.add(made["new"] if made["new"] not in model.layers else made["last"])
        works(model)

    interrupted_everywhere(prepare, act, check)


def test_compiling():
    def act(model):
        model.compile("sgd", "mae", ["mse", "r2"])

    def check(model, finished):
        as_before = (type(model.optimizer).__name__, model.loss.name, len(model.metrics))
        assert as_before in (("Adam", "mean_squared_error", 1), ("SGD", "mean_absolute_error", 2))
        names = list(model.evaluate(X, Y, return_dict=True))
        assert names in (["loss", "mae"], ["loss", "mse", "r2"])
        model.fit(X, Y, verbose=0)
        works(model)

    interrupted_everywhere(trained, act, check)


def test_setting_weights():
    ones = [np.ones(weight.shape) for weight in trained().weights]

    def check(model, finished):
        old, new = trained().parameters, np.ones(model.count_params())
        assert any(np.array_equal(model.parameters, whole) for whole in (old, new))
        works(model)

    interrupted_everywhere(trained, lambda model: model.set_weights(ones), check)


@pytest.mark.parametrize("shape_known", [True, False])
def test_fitting(shape_known):
    def prepare():
        return fw.Sequential(stack(), 5 if shape_known else None, "float64", 0)

    def act(model):
        model.compile("adam", "mse", ["mae"])
        early = fw.callbacks.EarlyStopping("val_mae")
        model.fit(X, Y, 8, 3, verbose=0, validation_split=0.3, callbacks=[early])

    def check(model, finished):
        if model.input_shape is None:
            model.build(5)
        works(model)

    interrupted_everywhere(prepare, act, check)


@pytest.mark.parametrize(
    "act",
    [
        lambda model: model.predict(X),
        lambda model: model.evaluate(X, Y),
        lambda model: model.train_on_batch(X, Y),
        lambda model: model.loss_and_gradients(X, Y),
        lambda model: model.get_weights(),
        lambda model: model.copy(),
        lambda model: model.memory(9),
    ],
    ids=["predict", "evaluate", "train_on_batch", "loss_and_gradients", "get", "copy", "memory"],
)
def test_one_call(act):
    interrupted_everywhere(trained, act, lambda model, finished: works(model))


def test_forward_and_backward():
    def act(model):
        model.forward(X[:9])
        model.backward(Y[:9])
        model.apply_gradients()

    def check(model, finished):
        try:
            model.backward(Y)
        except ValueError:  # no forward pass, or one of nine rows
            pass
        else:
            pytest.fail("a backward pass of 20 rows, though 9 or none went forward")
        works(model)

    interrupted_everywhere(trained, act, check)


# An interrupt between the opening of a file and its first use leaves it to be closed by itself.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_saving_and_loading(tmp_path):
    path = tmp_path / "model.safetensors"
    old, new = trained(), trained()
    new.fit(X, Y, verbose=0)

    def prepare():
        old.save(path)
        return new

    def check(model, finished):
        assert list(tmp_path.iterdir()) == [path]
        stored = fw.load(path)
        assert any(np.array_equal(stored.parameters, m.parameters) for m in (old, new))
        works(stored)

    interrupted_everywhere(prepare, lambda model: model.save(path), check)
    old.save(path)
    interrupted_everywhere(
        lambda: None, lambda nothing: fw.load(path), lambda *_: works(fw.load(path))
    )


# As above; and a process that reads may have no one to wait for it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", ["safetensors", "keras"])
def test_loading_weights(tmp_path, kind):
    """All of a file's weights are there afterwards, or none."""
    path, new = tmp_path / "weights", trained()
    new.parameters[:] = np.linspace(-1.0, 1.0, new.parameters.size)
    if kind == "safetensors":
        new.save_weights(path)
    else:
        h5py = pytest.importorskip("h5py")
        with h5py.File(path, "w") as file:
            for name, layer in zip(("dense", "dense_1"), new.layers, strict=True):
                for number, weight in enumerate((layer.kernel, layer.bias)):
                    file[f"layers/{name}/vars/{number}"] = weight

    def check(model, finished):
        assert any(np.array_equal(model.parameters, m.parameters) for m in (trained(), new))
        works(model)

    interrupted_everywhere(trained, lambda model: model.load_weights(path), check)


def test_a_fit_that_is_interrupted_keeps_what_the_optimizer_remembers():
    """The next fit goes on: no step is half made, no epoch is counted twice."""
    x, y = data(64)

    def act(model):
        model.fit(x, y, 64, 2, verbose=0, shuffle=False)

    def check(model, finished):
        # One batch an epoch: the weights are those of 0, 1 or 2 whole steps.
        steps = []
        for count in range(3):
            other = network(optimizer="adam")
            other.fit(x, y, 64, count, verbose=0, shuffle=False)
            steps.append(other)
        (same,) = [one for one in steps if np.array_equal(one.parameters, model.parameters)]
        for one in (model, same):
            one.fit(x, y, 64, 2, verbose=0, shuffle=False)
        same_bits(model.parameters, same.parameters)

    interrupted_everywhere(lambda: network(optimizer="adam"), act, check)


def test_taking_in_another_model():
    """All models of a family move to the larger vector, or none does."""

    def prepare():
        x = fw.Input(5)
        hidden = layers.Dense(7, "tanh")(x)
        made = {"x": x, "base": fw.Model(x, layers.Dense(3)(hidden), "float64", 0)}
        made["features"] = fw.Model(x, hidden, "float64", 1)
        made["head"] = layers.Dense(2)(made["base"].output)
        return made

    def act(made):
        made["grown"] = fw.Model(made["x"], made["head"], "float64", 2)

    def check(made, finished):
        assert finished == ("grown" in made)
        if not finished:
            act(made)
        made["grown"].parameters[:] = 0.5
        for name in ("base", "features"):
            assert (made[name].parameters == 0.5).all()
            assert all((layer.kernel == 0.5).all() for layer in made[name].layers)
        made["features"].parameters[:] = 0.25
        assert (made["grown"].layers[0].kernel == 0.25).all()

    interrupted_everywhere(prepare, act, check)


def test_going_on_from_a_file(tmp_path, monkeypatch):
    """The model is wholly as it was, or wholly as it is in the file."""
    here = Path(fw.__file__).parent
    monkeypatch.setattr(
        sys.modules[__name__],
        "LIBRARY",
        tuple(str(here / name) for name in ("_restoring", "_loop")),
    )
    path = tmp_path / "a.safetensors"
    saved = network((5, 7, 3), optimizer="adam", seed=9)
    saved.optimizer.learning_rate = 0.02
    halved = fw.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    saved.fit(X, Y, 8, 2, 0, [halved, fw.callbacks.ModelCheckpoint(path)])

    def numbers(model):
        arrays = *model._built_or_refused().vectors, *model._compiled.memory.arrays()
        counts = model.seed, model._progress.epochs, model.optimizer.learning_rate
        return [array.tobytes() for array in arrays], counts

    def prepare():
        model = network((5, 7, 3), optimizer="adam", seed=1)
        model.optimizer.learning_rate = 0.02
        model.fit(X, Y, 8, 1, 0)
        return model

    ends = numbers(prepare()), numbers(saved)

    def check(model, finished):
        assert numbers(model) in (ends[1:] if finished else ends)

    interrupted_everywhere(prepare, lambda one: one.fit(X, Y, 8, 2, 0, resume=path), check)
