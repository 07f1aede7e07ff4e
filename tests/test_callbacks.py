"""What `fit` tells its callbacks, what they may do, and what is printed."""

import copy
import io
import pickle
import re
import sys

import numpy as np
import pytest
from helpers import data, network

from fastweights import callbacks, optimizers, training

X, Y = data(20)


class Recorder(callbacks.Callback):
    """Writes down all that it hears."""

    def __init__(self):
        self.heard = []

    def on_train_begin(self, logs):
        self.heard.append(("train begin", self.params["epochs"]))

    def on_epoch_begin(self, epoch, logs):
        self.heard.append(("epoch begin", epoch))

    def on_progress(self, epoch, rows, total, logs):
        self.heard.append(("progress", epoch, rows, total, dict(logs)))

    def on_epoch_end(self, epoch, logs):
        self.heard.append(("epoch end", epoch, dict(logs)))

    def on_train_end(self, logs):
        self.heard.append(("train end",))


class When(callbacks.Callback):
    """Calls `action(model)` at the first event of a name."""

    def __init__(self, event, action):
        def act(*arguments):
            if not self.acted:
                self.acted = True
                action(self.model)

        self.acted = False
        setattr(self, event, act)


def stop(model):
    model.stop_training = True


def fail(model):
    raise RuntimeError("own")


# ---- events --------------------------------------------------------------------------------------


def test_events_come_in_order_with_the_logs_of_the_history():
    model, recorder = network(metrics=("mae",)), Recorder()
    history = model.fit(
        X, Y, 8, 5, verbose=0, callbacks=[recorder], validation_split=0.25, initial_epoch=3
    )
    logs = [
        dict(zip(history.history, values, strict=True))
        for values in zip(*history.history.values(), strict=True)
    ]
    assert recorder.heard == [
        ("train begin", 5),
        ("epoch begin", 3),
        ("epoch end", 3, logs[0]),
        ("epoch begin", 4),
        ("epoch end", 4, logs[1]),
        ("train end",),
    ]
    assert list(logs[0]) == ["loss", "mae", "val_loss", "val_mae"]
    assert recorder.model is model
    assert history.epoch == [3, 4]


def test_callbacks_are_told_in_order_after_the_history():
    order = []
    first, second = (When("on_epoch_end", lambda model, n=n: order.append(n)) for n in (1, 2))
    network().fit(X, Y, verbose=0, callbacks=(first, second))
    assert order == [1, 2]


def test_progress_comes_between_batches(monkeypatch):
    monkeypatch.setattr(training, "STRETCH_SECONDS", 0.0)
    model, recorder = network(), Recorder()
    history = model.fit(X, Y, 8, 1, verbose=0, callbacks=[recorder], shuffle=False)
    progress = [event[1:4] for event in recorder.heard if event[0] == "progress"]
    assert progress == [(0, 8, 20), (0, 16, 20)]
    again = network()
    losses = [again.train_on_batch(X[i : i + 8], Y[i : i + 8]) for i in (0, 8, 16)]
    found = [event[4]["loss"] for event in recorder.heard if event[0] == "progress"]
    assert found == pytest.approx([losses[0], (losses[0] + losses[1]) / 2], rel=1e-15)
    assert history.history["loss"] == pytest.approx([np.dot(losses, [8, 8, 4]) / 20], rel=1e-15)
    np.testing.assert_array_equal(model.parameters, again.parameters)


def test_progress_is_told_during_a_long_epoch():
    model, recorder = network((50, 100, 3)), Recorder()
    x, y = data(100_000, 50)
    model.fit(x, y, 32, 1, verbose=0, callbacks=[recorder])
    rows = [event[2] for event in recorder.heard if event[0] == "progress"]
    assert rows
    assert rows == sorted(set(rows))
    assert all(row % 32 == 0 for row in rows)


def test_how_often_fit_looks_up_does_not_change_the_bits(monkeypatch):
    usual, stretched = (network(optimizer="adam") for _ in range(2))
    usual.fit(X, Y, 3, 3, verbose=0)
    monkeypatch.setattr(training, "STRETCH_SECONDS", 0.0)
    stretched.fit(X, Y, 3, 3, verbose=0)
    np.testing.assert_array_equal(usual.parameters, stretched.parameters)


# ---- what callbacks may do -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "rows", "last"),
    [
        ("on_train_begin", 0, "train begin"),
        ("on_epoch_begin", 0, "epoch begin"),
        ("on_progress", 8, "epoch end"),
        ("on_epoch_end", 20, "epoch end"),
    ],
)
def test_stopping(event, rows, last, monkeypatch):
    monkeypatch.setattr(training, "STRETCH_SECONDS", 0.0)
    model, other, recorder = network(), network(), Recorder()
    history = model.fit(
        X, Y, 8, 9, verbose=0, callbacks=[When(event, stop), recorder], shuffle=False
    )
    assert history.epoch == ([0] if rows else [])
    assert [event[0] for event in recorder.heard[-2:]] == [last, "train end"]
    if rows:
        other.fit(X[:rows], Y[:rows], 8, 1, verbose=0, shuffle=False)
    np.testing.assert_array_equal(model.parameters, other.parameters)
    assert model.stop_training
    assert len(model.fit(X, Y, 8, 3, verbose=0).epoch) == 3


@pytest.mark.parametrize("event", ["on_epoch_end", "on_epoch_begin", "on_progress"])
def test_learning_rate_may_change_during_a_fit(event, monkeypatch):
    monkeypatch.setattr(training, "STRETCH_SECONDS", 0.0)

    def freeze(model):
        model.optimizer.learning_rate = 0.0
        frozen.append(model.parameters.copy())

    frozen = []
    model = network(optimizer=optimizers.SGD(0.1))
    model.fit(X, Y, 8, 4, verbose=0, callbacks=[When(event, freeze)])
    np.testing.assert_array_equal(model.parameters, frozen[0])


@pytest.mark.parametrize("event", ["on_epoch_begin", "on_epoch_end"])
def test_an_error_of_a_callback_ends_the_fit(event):
    model, recorder = network(), Recorder()
    with pytest.raises(RuntimeError, match="own"):
        model.fit(X, Y, 8, 3, verbose=0, callbacks=[recorder, When(event, fail)])
    assert recorder.heard[-1] == ("train end",)
    model.fit(X, Y, 8, 3, verbose=0)


@pytest.mark.parametrize("event", ["on_train_begin", "on_epoch_end", "on_train_end"])
def test_those_that_began_hear_the_end_whatever_another_raises(event):
    model, first, last = network(), Recorder(), Recorder()
    early = callbacks.EarlyStopping("loss")
    with pytest.raises(RuntimeError, match="own"):
        model.fit(X, Y, 8, 3, verbose=0, callbacks=[first, early, When(event, fail), last])
    assert first.heard[-1] == ("train end",)
    begun = event != "on_train_begin"
    assert last.heard == [] if not begun else last.heard[-1] == ("train end",)


def test_the_best_weights_are_back_though_another_fails_at_the_end():
    model, good = network(), network()
    early = callbacks.EarlyStopping(patience=1, restore_best_weights=True)
    script = Script([3.0, 1.0, 2.0])
    with pytest.raises(RuntimeError, match="own"):
        model.fit(X, Y, epochs=3, verbose=0, callbacks=[When("on_train_end", fail), script, early])
    assert (model.parameters == 1).all()
    assert good.input_shape == model.input_shape


def test_the_first_error_of_several_at_the_end_is_told():
    def other(model):
        raise ValueError("second")

    with pytest.raises(RuntimeError, match="own"):
        network().fit(
            X, Y, verbose=0, callbacks=[When("on_train_end", fail), When("on_train_end", other)]
        )


@pytest.mark.parametrize("event", ["on_train_begin", "on_epoch_begin", "on_epoch_end"])
def test_a_callback_may_not_compile(event):
    model, recorder = network(), Recorder()
    fewer = When(event, lambda model: model.compile("adam", "mse", ["mae"]))
    with pytest.raises(RuntimeError, match="compile: got a model in the middle of its own fit"):
        model.fit(X, Y, 8, 2, verbose=0, callbacks=[recorder, fewer])
    assert recorder.heard[-1] == ("train end",)
    assert model.metrics == ()


def test_a_callback_is_in_one_fit_at_a_time():
    early = callbacks.EarlyStopping("loss")
    message = "fit: got a callback in the middle of its own fit, expected"
    with pytest.raises(ValueError, match="callbacks: got one EarlyStopping twice"):
        network().fit(X, Y, verbose=0, callbacks=[early, early])
    other = When("on_epoch_end", lambda model: network().fit(X, Y, verbose=0, callbacks=early))
    with pytest.raises(RuntimeError, match=message):
        network().fit(X, Y, verbose=0, callbacks=[early, other])
    network().fit(X, Y, verbose=0, callbacks=early)


def test_params_are_a_copy():
    def change(model):
        recorder.params["epochs"] = 99

    recorder = Recorder()
    network().fit(X, Y, epochs=2, verbose=0, callbacks=[recorder, When("on_epoch_begin", change)])
    assert recorder.params == {"epochs": 2, "steps": 1, "rows": 20}


def test_a_history_is_kept_without_its_model():
    history = network().fit(X, Y, epochs=2, verbose=0)
    for again in (pickle.loads(pickle.dumps(history)), copy.deepcopy(history)):
        assert again.history == history.history
        assert again.epoch == [0, 1]
        with pytest.raises(AttributeError, match="model: this History has been in no fit yet"):
            _ = again.model


def test_one_callback_needs_no_list():
    recorder = Recorder()
    network().fit(X, Y, verbose=0, callbacks=recorder)
    assert recorder.heard[-1] == ("train end",)


# ---- early stopping ------------------------------------------------------------------------------


class Script(callbacks.Callback):
    """Puts losses of its own into the logs, and the epoch into the weights."""

    def __init__(self, losses):
        self.losses = losses

    def on_epoch_end(self, epoch, logs):
        logs["val_loss"] = self.losses[epoch]
        self.model.parameters[:] = epoch


@pytest.mark.parametrize(
    ("losses", "patience", "epochs", "best"),
    [
        ([3.0, 2.0, 1.0, 0.5], 1, 4, 3),
        ([3.0, 2.0, 2.5, 0.5], 1, 3, 1),
        ([3.0, 2.0, 2.5, 0.5], 2, 4, 3),
        ([3.0, 2.0, 2.0, 2.0, 0.0], 2, 4, 1),
        ([1.0, 2.0, 3.0, 4.0], 3, 4, 0),
        ([np.nan, np.nan, 1.0, 2.0], 5, 4, 2),
    ],
)
@pytest.mark.parametrize("restore", [True, False])
def test_early_stopping(losses, patience, epochs, best, restore):
    model = network()
    early = callbacks.EarlyStopping(patience=patience, restore_best_weights=restore)
    history = model.fit(X, Y, epochs=len(losses), verbose=0, callbacks=[Script(losses), early])
    assert len(history.epoch) == epochs
    assert (early.best_epoch, early.best) == (best, losses[best])
    assert (model.parameters == (best if restore else epochs - 1)).all()


def test_early_stopping_that_never_sees_a_number():
    model = network()
    early = callbacks.EarlyStopping(patience=2)
    model.fit(X, Y, epochs=9, verbose=0, callbacks=[Script([np.nan] * 9), early])
    assert (early.best_epoch, early.best) == (-1, np.inf)


def test_early_stopping_begins_anew_with_each_fit():
    early = callbacks.EarlyStopping("loss", patience=1)
    for seed in (0, 1):
        history = network(seed=seed).fit(X, Y, epochs=3, verbose=0, callbacks=[early])
        assert early.best == min(history.history["loss"])


@pytest.mark.parametrize(
    ("monitor", "mode", "best"),
    [
        ("val_accuracy", "auto", 2),
        ("val_accuracy", "max", 2),
        ("val_accuracy", "min", 0),
        ("val_loss", "auto", 0),
        ("val_loss", "max", 2),
    ],
)
def test_the_direction_is_that_of_the_figure(monitor, mode, best):
    class Figures(callbacks.Callback):
        def on_epoch_end(self, epoch, logs):
            logs[monitor] = [0.1, 0.5, 0.9, 0.4][epoch]
            self.model.parameters[:] = epoch

    model = network(last="softmax", loss="categorical_crossentropy", metrics=("accuracy",))
    early = callbacks.EarlyStopping(monitor, patience=3, mode=mode, restore_best_weights=True)
    y = np.eye(3)[np.arange(20) % 3]
    model.fit(X, y, epochs=4, verbose=0, callbacks=[Figures(), early])
    assert (early.best_epoch, early.best) == (best, [0.1, 0.5, 0.9][best])
    assert (model.parameters == best).all()


def test_larger_is_better_for_r2():
    model = network(metrics=("r2",))
    early = callbacks.EarlyStopping("val_r2", patience=9)
    history = model.fit(X, Y, epochs=5, verbose=0, validation_split=0.5, callbacks=[early])
    assert early.best == max(history.history["val_r2"])


def test_early_stopping_of_an_unknown_figure():
    with pytest.raises(ValueError, match="monitor: got 'val_loss', expected one of loss, mae"):
        network(metrics=("mae",)).fit(X, Y, verbose=0, callbacks=[callbacks.EarlyStopping()])


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"patience": -1}, ValueError, "patience: got -1, expected at least 0"),
        ({"monitor": 3}, TypeError, "monitor: got 3, expected a key of the history"),
        ({"mode": "best"}, ValueError, "mode: got 'best', expected one of auto, min, max"),
        ({"patience": 1.5}, TypeError, "patience: got 1.5, expected a whole number"),
        (
            {"restore_best_weights": 1},
            TypeError,
            "restore_best_weights: got 1, expected True or False",
        ),
    ],
)
def test_early_stopping_refuses(settings, error, message):
    with pytest.raises(error, match=message):
        callbacks.EarlyStopping(**settings)


# ---- what is printed -----------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_silence(capsys):
    network().fit(X, Y, epochs=3, verbose=0)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("verbose", [2, "auto"])
def test_a_line_an_epoch(capsys, verbose):
    network(metrics=("mae",)).fit(X, Y, epochs=2, verbose=verbose, validation_split=0.5)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    number = r"[\d.e+-]+"
    figures = " - ".join(f"{key}: {number}" for key in ("loss", "mae", "val_loss", "val_mae"))
    for epoch, line in enumerate(lines):
        assert re.fullmatch(rf"Epoch {epoch + 1}/2 - {number}s - {figures}", line)


@pytest.mark.parametrize("verbose", [1, "auto"])
def test_a_bar_on_a_terminal(verbose, monkeypatch):
    pytest.importorskip("tqdm")
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setattr(training, "STRETCH_SECONDS", 0.0)
    network().fit(X, Y, 3, 3, verbose=verbose, validation_split=0.5)
    last = sys.stdout.getvalue().split("\r")[-1]
    assert "100%" in last
    assert "3.0/3 epochs" in last
    assert re.search(r"<00:00, [\d,]+ rows/s, loss: [\d.]+ - val_loss: [\d.]+\]", last)


def test_a_bar_in_the_middle_of_an_epoch(monkeypatch):
    pytest.importorskip("tqdm")
    monkeypatch.setattr(training, "STRETCH_SECONDS", 0.0)
    bar, seen = callbacks.ProgbarLogger(io.StringIO()), []
    look = When("on_progress", lambda model: seen.append(str(bar._bar)))
    network().fit(X, Y, 8, 3, verbose=0, callbacks=[bar, look])
    assert "| 0.4/3 epochs [" in seen[0]
    assert "13%" in seen[0]


def test_lines_where_tqdm_is_missing(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    network().fit(X, Y, epochs=2, verbose=1)
    assert len(capsys.readouterr().out.splitlines()) == 2


class Bare:
    """What some programs put in the place of standard output."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text


@pytest.mark.parametrize("verbose", ["auto", 2])
def test_a_standard_output_that_can_write_and_no_more(monkeypatch, verbose):
    monkeypatch.setattr(sys, "stdout", Bare())
    network().fit(X, Y, epochs=2, verbose=verbose)
    assert sys.stdout.text.count("Epoch") == 2


def test_without_standard_output(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    network().fit(X, Y, verbose="auto")
