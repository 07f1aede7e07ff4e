"""Averages of weights in place of the weights: callbacks.SwapEMAWeights."""

import numpy as np
import pytest
from helpers import data, network

import fastweights as fw
from fastweights import callbacks, optimizers

X, Y = data(48)
HELD = data(20, seed=1)


def model_of(**settings):
    return network(optimizer=optimizers.SGD(0.05, use_ema=True, ema_momentum=0.9, **settings))


def averages_of(model):
    return model._compiled.memory.averages(model.parameters.size).copy()


class Looking(callbacks.Callback):
    """Keeps the weights of some moments."""

    def __init__(self):
        self.seen = {"test": [], "epoch": [], "begin": []}

    def on_test_begin(self, logs):
        self.seen["test"].append(self.model.parameters.copy())

    def on_epoch_end(self, epoch, logs):
        self.seen["epoch"].append((self.model.parameters.copy(), averages_of(self.model)))

    def on_epoch_begin(self, epoch, logs):
        self.seen["begin"].append(self.model.parameters.copy())


def by_hand(epochs):
    """Weights and averages after each epoch of plain SGD, averaged in NumPy."""
    model, found = network(optimizer=optimizers.SGD(0.05)), []
    average = None
    for _ in range(epochs):
        for first in range(0, 48, 16):
            model.train_on_batch(X[first : first + 16], Y[first : first + 16])
            w = model.parameters.copy()
            average = w if average is None else 0.9 * average + 0.1 * w
        found.append((model.parameters.copy(), average.copy()))
    return found


@pytest.mark.parametrize("on_epoch", [False, True])
def test_validation_and_checkpoints_see_averages(on_epoch, tmp_path):
    model, looking = model_of(), Looking()
    path = tmp_path / "{epoch}.safetensors"
    model.fit(
        X, Y, 16, 4, verbose=0, shuffle=False, validation_data=HELD,
        callbacks=[callbacks.SwapEMAWeights(on_epoch), looking, callbacks.ModelCheckpoint(path)],
    )  # fmt: skip
    close = {"rtol": 1e-12, "atol": 1e-14}
    for epoch, (weights, average) in enumerate(by_hand(4)):
        np.testing.assert_allclose(looking.seen["test"][epoch], average, **close)
        ends = looking.seen["epoch"][epoch]
        np.testing.assert_allclose(ends[0], average if on_epoch else weights, **close)
        np.testing.assert_allclose(ends[1], weights if on_epoch else average, **close)
        stored = fw.load(tmp_path / f"{epoch + 1}.safetensors").parameters
        np.testing.assert_array_equal(stored, ends[0])
        if epoch < 3:
            np.testing.assert_allclose(looking.seen["begin"][epoch + 1], weights, **close)
    np.testing.assert_allclose(model.parameters, average, **close)
    np.testing.assert_array_equal(averages_of(model), model.parameters)


def test_figures_are_those_of_averages():
    model, other = model_of(), model_of()
    model.fit(X, Y, 16, 1, verbose=0, shuffle=False)
    history = other.fit(
        X, Y, 16, 1, verbose=0, shuffle=False, validation_data=HELD,
        callbacks=callbacks.SwapEMAWeights(),
    ).history  # fmt: skip
    assert history["val_loss"] == [model.evaluate(*HELD)]


@pytest.mark.parametrize("call", ["evaluate", "predict"])
def test_a_call_alone_swaps_and_swaps_back(call):
    model = model_of()
    for _ in range(3):
        model.train_on_batch(X, Y)
    before, average = model.parameters.copy(), averages_of(model)
    given = HELD if call == "evaluate" else HELD[:1]
    found = getattr(model, call)(*given, callbacks=callbacks.SwapEMAWeights())
    np.testing.assert_array_equal(model.parameters, before)
    np.testing.assert_array_equal(averages_of(model), average)
    model.parameters[:] = average
    np.testing.assert_array_equal(found, getattr(model, call)(*given))


@pytest.mark.parametrize("hook", ["on_test_begin", "on_test_batch_end", "on_epoch_end"])
@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_an_exception_leaves_weights_in_their_place(hook, error):
    def raising(*_):
        raise error

    model, exact = model_of(), model_of()
    own = callbacks.LambdaCallback(**{hook: raising})
    with pytest.raises(error):
        model.fit(
            X, Y, 16, 1, verbose=0, shuffle=False, validation_data=HELD,
            callbacks=[callbacks.SwapEMAWeights(True), own],
        )  # fmt: skip
    for first in range(0, 48, 16):
        exact.train_on_batch(X[first : first + 16], Y[first : first + 16])
    np.testing.assert_array_equal(model.parameters, exact.parameters)
    np.testing.assert_array_equal(averages_of(model), averages_of(exact))
    if hook != "on_epoch_end":
        with pytest.raises(error):
            model.evaluate(*HELD, callbacks=[callbacks.SwapEMAWeights(), own])
        np.testing.assert_array_equal(model.parameters, exact.parameters)


def test_frozen_weights_stay():
    model = model_of()
    model.layers[0].trainable = False
    before = model.layers[0].kernel.copy()
    model.fit(X, Y, 16, 3, verbose=0, callbacks=callbacks.SwapEMAWeights(True))
    np.testing.assert_array_equal(model.layers[0].kernel, before)


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_it_goes_on_from_a_file(epochs, tmp_path):
    def fit(model, upto):
        return model.fit(
            X, Y, 16, upto, verbose=0, validation_data=HELD,
            callbacks=[
                callbacks.SwapEMAWeights(True),
                callbacks.BackupAndRestore(tmp_path / "backup", delete_checkpoint=False),
                callbacks.LambdaCallback(on_epoch_end=stop),
            ],
        )  # fmt: skip

    def stop(epoch, logs):
        if epoch == epochs - 1 and ends[0]:
            ends[0] = False
            raise ZeroDivisionError

    ends = [False]
    exact = model_of()
    fit(exact, 4)
    for file in (tmp_path / "backup").parent.glob("backup*"):
        if file.is_file():
            file.unlink()
        else:
            for one in file.iterdir():
                one.unlink()
    ends[0] = True
    with pytest.raises(ZeroDivisionError):
        fit(model_of(), 4)
    again = model_of()
    fit(again, 4)
    np.testing.assert_array_equal(again.parameters, exact.parameters)
    np.testing.assert_array_equal(averages_of(again), averages_of(exact))


def test_an_optimizer_without_averages_is_refused():
    model = network(optimizer="adam")
    with pytest.raises(ValueError, match=r"SwapEMAWeights: got Adam\(.*, expected one with use_e"):
        model.fit(X, Y, verbose=0, callbacks=callbacks.SwapEMAWeights())
    with pytest.raises(TypeError, match="swap_on_epoch: got 'yes'"):
        callbacks.SwapEMAWeights("yes")
