"""Callbacks with Keras's names: what each does, what it writes, and what it refuses."""

import copy
import csv
import json
import math
import pickle
import re
import sys

import numpy as np
import pytest
from helpers import data, network, same_bits

import fastweights as fw
from fastweights import callbacks, optimizers, training
from fastweights.callbacks.base import HOOKS
from fastweights.callbacks.progress import MOST_LINES, FewLines, rare

X, Y = data(20)
HELD_OUT = data(10, seed=1)


class Figures(callbacks.Callback):
    """Puts figures of its own into the logs, and the epoch into the weights."""

    def __init__(self, name, figures):
        self.name, self.figures = name, figures

    def on_epoch_end(self, epoch, logs=None):
        logs[self.name] = self.figures[epoch]
        self.model.parameters[:] = epoch


class Recorder(callbacks.Callback):
    """Writes down every hook of Keras's that it hears."""

    def __init__(self, *hooks):
        self.heard = []
        for hook in hooks or [hook for hook in HOOKS if hook != "on_progress"]:
            setattr(self, hook, lambda *given, hook=hook: self.heard.append((hook, *given[:-1])))


def fitted(callback, figures, name="val_loss", **settings):
    model = network(optimizer=optimizers.SGD(1.0))
    told = [Figures(name, figures), callback]
    history = model.fit(X, Y, epochs=len(figures), verbose=0, callbacks=told, **settings)
    return model, history


# ---- hooks ---------------------------------------------------------------------------------------


def test_hooks_come_in_the_order_of_keras():
    recorder = Recorder()
    network().fit(X, Y, 8, 1, 0, recorder, validation_data=HELD_OUT)
    batches = [
        one
        for batch in range(3)
        for one in (("on_train_batch_begin", batch), ("on_train_batch_end", batch))
    ]
    tests = [
        one
        for batch in range(2)
        for one in (("on_test_batch_begin", batch), ("on_test_batch_end", batch))
    ]
    assert recorder.heard == [
        ("on_train_begin",), ("on_epoch_begin", 0), *batches, ("on_test_begin",), *tests,
        ("on_test_end",), ("on_epoch_end", 0), ("on_train_end",),
    ]  # fmt: skip


def test_hooks_of_evaluate_and_predict():
    model, recorder = network(metrics=("mae",)), Recorder()
    expected = model.evaluate(X, Y), model.predict(X)
    seen = {}

    class Seeing(callbacks.Callback):
        def on_test_batch_end(self, batch, logs=None):
            seen[batch] = logs

        def on_test_end(self, logs=None):
            seen["end"] = logs

        def on_predict_batch_end(self, batch, logs=None):
            seen["outputs"] = logs["outputs"]

    seeing = Seeing()
    found = model.evaluate(X, Y, 8, callbacks=[recorder, seeing])
    assert found == pytest.approx(expected[0], rel=1e-14)
    assert [one[0] for one in recorder.heard].count("on_test_batch_end") == 3
    assert seen[0] == pytest.approx(model.evaluate(X[:8], Y[:8], return_dict=True), rel=1e-14)
    assert seen["end"] == dict(zip(("loss", "mae"), found, strict=True))
    assert seeing.params == {"steps": 3, "rows": 20}
    recorder.heard.clear()
    same_bits(model.predict(X, 8, callbacks=[recorder, seeing]), expected[1])
    same_bits(seen["outputs"], expected[1][16:])
    assert recorder.heard[0] == ("on_predict_begin",)
    assert recorder.heard[-1] == ("on_predict_end",)
    assert recorder.heard[1:3] == [("on_predict_batch_begin", 0), ("on_predict_batch_end", 0)]
    assert seeing.model is model


def test_older_names_of_batches():
    recorder = Recorder("on_batch_begin", "on_batch_end")
    network().fit(X, Y, 8, 1, 0, recorder)
    assert recorder.heard == [
        one for batch in range(3) for one in (("on_batch_begin", batch), ("on_batch_end", batch))
    ]


def test_logs_of_a_batch_are_means_of_the_epoch_so_far():
    found = []
    heard = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: found.append(logs))
    model, again = network(metrics=("mae",)), network(metrics=("mae",))
    history = model.fit(X, Y, 8, 1, 0, heard, shuffle=False)
    losses = [again.train_on_batch(X[i : i + 8], Y[i : i + 8]) for i in (0, 8, 16)]
    if not isinstance(losses[0], float):
        losses = [loss[0] for loss in losses]
    assert [one["loss"] for one in found] == pytest.approx(
        [losses[0], (losses[0] + losses[1]) / 2, np.dot(losses, [8, 8, 4]) / 20], rel=1e-14
    )
    assert found[-1] == {name: values[0] for name, values in history.history.items()}


@pytest.mark.parametrize("threads", [1, 3])
def test_hooks_of_batches_change_no_bit_and_cost_nobody_else(threads, monkeypatch, tmp_path):
    monkeypatch.setenv("FASTWEIGHTS_GRAIN", "0")
    usual, heard = (network(optimizer="adam", metrics=("mae", "r2")) for _ in range(2))
    with fw.threads(threads):
        expected = usual.fit(X, Y, 3, 4, 0)
        found = heard.fit(X, Y, 3, 4, 0, Recorder("on_train_batch_begin"))
    same_bits(usual.parameters, heard.parameters)
    assert found.history == expected.history
    calls = []
    train = training.ready_plan

    def counting(*given):
        plan = train(*given)

        class Counting:
            tally, set_rates, lines = plan.tally, plan.set_rates, plan.lines

            def train(self, *given):
                calls.append(given)
                return plan.train(*given)

        return Counting()

    monkeypatch.setattr(training, "ready_plan", counting)
    usual.fit(
        X,
        Y,
        3,
        1,
        0,
        [callbacks.EarlyStopping("loss"), callbacks.ModelCheckpoint(tmp_path / "a.safetensors")],
    )
    assert len(calls) == 1


@pytest.mark.parametrize("hook", [hook for hook in HOOKS if "predict" not in hook])
def test_an_error_in_any_hook_leaves_a_usable_model(hook, monkeypatch):
    monkeypatch.setattr(training, "STRETCH_SECONDS", 0.0)

    def fail(*given):
        raise RuntimeError("own")

    class Failing(callbacks.Callback):
        pass

    failing, recorder = Failing(), Recorder("on_train_end")
    setattr(failing, hook, fail)
    model = network()
    with pytest.raises(RuntimeError, match="own"):
        model.fit(X, Y, 8, 2, 0, [recorder, failing], validation_data=HELD_OUT)
    assert recorder.heard == [("on_train_end",)]
    assert model._loop is None
    assert np.isfinite(model.parameters).all()
    model.fit(X, Y, 8, 2, 0)
    model.evaluate(X, Y, callbacks=recorder)


@pytest.mark.parametrize("hook", [hook for hook in HOOKS if "predict" in hook])
def test_an_error_while_predicting(hook):
    model = network()
    failing = callbacks.LambdaCallback(**{hook: lambda *given: 1 / 0})
    with pytest.raises(ZeroDivisionError):
        model.predict(X, callbacks=failing)
    model.predict(X)
    model.fit(X, Y, verbose=0, callbacks=failing)


def test_stopping_between_batches():
    def stop(batch, logs):
        if batch == 1:
            model.stop_training = True

    model, other = network(), network()
    history = model.fit(
        X, Y, 8, 5, 0, callbacks.LambdaCallback(on_train_batch_end=stop), shuffle=False
    )
    other.fit(X[:16], Y[:16], 8, 1, 0, shuffle=False)
    same_bits(model.parameters, other.parameters)
    assert history.epoch == [0]


@pytest.mark.parametrize(
    ("hook", "function", "takes", "given"),
    [
        ("on_epoch_end", lambda epoch: None, "epoch", "epoch, logs"),
        ("on_train_begin", lambda: None, "", "logs"),
        ("on_train_batch_end", lambda batch, logs, more: None, "batch, logs, more", "batch, logs"),
    ],
)
def test_a_hook_of_other_arguments_is_refused(hook, function, takes, given):
    message = (
        rf"{hook}: got a hook of Own that takes \({takes}\), expected one that takes \({given}"
    )

    class Own(callbacks.Callback):
        pass

    own = Own()
    setattr(own, hook, function)
    with pytest.raises(TypeError, match=message):
        network().fit(X, Y, verbose=0, callbacks=own)
    with pytest.raises(TypeError, match=message):
        network().evaluate(X, Y, callbacks=own)


def test_a_hook_that_is_set_in_a_fit_is_refused():
    def set_it(epoch, logs):
        late.on_epoch_end = print

    late = Recorder("on_epoch_end")
    with pytest.raises(AttributeError, match="on_epoch_end: is looked at when a fit begins"):
        network().fit(X, Y, verbose=0, callbacks=[late, callbacks.LambdaCallback(set_it)])
    late.on_epoch_end = lambda epoch, logs: None


@pytest.mark.parametrize("call", ["fit", "evaluate", "predict"])
def test_what_is_no_callback_is_refused(call):
    given = (X,) if call == "predict" else (X, Y)
    with pytest.raises(TypeError, match="callbacks: got an entry of"):
        getattr(network(), call)(*given, callbacks=[print])


def test_lambda_callback_refuses():
    with pytest.raises(TypeError, match="LambdaCallback: got on_batch=, expected one of on_train"):
        callbacks.LambdaCallback(on_batch=print)
    with pytest.raises(TypeError, match="on_epoch_end: got 3, expected a function"):
        callbacks.LambdaCallback(on_epoch_end=3)


# ---- figures -------------------------------------------------------------------------------------


def stopped_after(figures, patience=0, min_delta=0.0, baseline=None, start=0, sign=1.0):
    """How many epochs there are, the best one and how long it waited: Keras's rule, written down.

    But that a figure which is no number is never better.
    """
    best, best_epoch, wait = math.inf, -1, 0
    for epoch, figure in enumerate(figures):
        if epoch < start:
            continue
        wait += 1
        if sign * figure + abs(min_delta) < best:
            best, best_epoch = sign * figure, epoch
            if baseline is None or sign * figure + abs(min_delta) < sign * baseline:
                wait = 0
            continue
        if wait >= patience and epoch > 0:
            return epoch + 1, best_epoch, wait
    return len(figures), best_epoch, wait


SETTINGS = [
    {},
    {"patience": 2},
    {"min_delta": 0.3},
    {"min_delta": -0.3, "patience": 1},
    {"baseline": 0.4, "patience": 2},
    {"start_from_epoch": 4},
    {"patience": 3, "min_delta": 0.1, "baseline": 0.2, "start_from_epoch": 2},
]


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_early_stopping_is_the_rule(settings, mode):
    random = np.random.default_rng(7)
    rule = {{"start_from_epoch": "start"}.get(name, name): v for name, v in settings.items()}
    for trial in range(30):
        figures = np.round(random.random(9), 2)
        if trial % 5 == 0:
            figures[random.integers(9)] = math.nan
        early = callbacks.EarlyStopping(mode=mode, restore_best_weights=True, **settings)
        model, history = fitted(early, figures.tolist())
        epochs, best, wait = stopped_after(figures, sign=1.0 if mode == "min" else -1.0, **rule)
        assert (len(history.epoch), early.best_epoch, early.wait) == (epochs, best, wait)
        assert (model.parameters == (best if best >= 0 else epochs - 1)).all()


def test_early_stopping_has_the_defaults_of_keras(capsys):
    early = callbacks.EarlyStopping()
    assert (early.monitor, early.min_delta, early.patience, early.verbose, early.mode) == (
        "val_loss", 0.0, 0, 0, "auto",
    )  # fmt: skip
    assert (early.baseline, early.restore_best_weights, early.start_from_epoch) == (None, False, 0)
    loud = callbacks.EarlyStopping(verbose=1, restore_best_weights=True)
    model, _ = fitted(loud, [3.0, 1.0, 2.0, 0.0])
    assert loud.stopped_epoch == 2
    assert capsys.readouterr().out == (
        "Epoch 3: early stopping\nRestoring model weights from the end of the best epoch: 2.\n"
    )
    assert (model.parameters == 1).all()


def plateau(figures, rate, factor, patience, min_delta, cooldown, min_lr):
    """The learning rate of each epoch: Keras's rule, written down."""
    best, wait, cooling, found = math.inf, 0, 0, []
    for figure in figures:
        found.append(rate)
        if cooling > 0:
            cooling -= 1
            wait = 0
        if figure + min_delta < best:
            best, wait = figure, 0
        elif cooling == 0:
            wait += 1
            if wait >= patience and rate > min_lr:
                rate, cooling, wait = max(rate * factor, min_lr), cooldown, 0
    return found


@pytest.mark.parametrize("cooldown", [0, 2])
@pytest.mark.parametrize("patience", [0, 1, 3])
def test_reduce_lr_on_plateau_is_the_rule(patience, cooldown):
    random = np.random.default_rng(3)
    for _ in range(20):
        figures = random.random(12).tolist()
        settings = {
            "factor": 0.5, "patience": patience, "min_delta": 0.05, "cooldown": cooldown,
            "min_lr": 0.1,
        }  # fmt: skip
        _, history = fitted(callbacks.ReduceLROnPlateau(**settings), figures)
        assert history.history["learning_rate"] == plateau(figures, 1.0, **settings)


def test_reduce_lr_on_plateau_says_so(capsys):
    fitted(callbacks.ReduceLROnPlateau(patience=1, verbose=1), [1.0, 1.0])
    found = capsys.readouterr().out
    assert found == "Epoch 2: ReduceLROnPlateau reducing learning rate to 0.1.\n"


def test_a_schedule_of_learning_rates(capsys):
    def halving(epoch, rate):
        return rate / 2 if epoch else rate

    model, history = fitted(callbacks.LearningRateScheduler(halving, verbose=1), [0.0] * 3)
    assert history.history["learning_rate"] == [1.0, 0.5, 0.25]
    assert model.optimizer.learning_rate == 0.25
    assert capsys.readouterr().out.splitlines()[1] == (
        "Epoch 2: LearningRateScheduler setting learning rate to 0.5."
    )
    _, history = fitted(callbacks.LearningRateScheduler(lambda epoch: 1.0 + epoch), [0.0] * 3)
    assert history.history["learning_rate"] == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: callbacks.ReduceLROnPlateau(factor=1.0), ValueError, "factor: got 1.0, expected"),
        (lambda: callbacks.ReduceLROnPlateau(cooldown=-1), ValueError, "cooldown: got -1"),
        (lambda: callbacks.ReduceLROnPlateau(min_lr=-1.0), ValueError, "min_lr: got -1"),
        (lambda: callbacks.EarlyStopping(verbose=2), ValueError, "verbose: got 2, expected at mo"),
        (lambda: callbacks.EarlyStopping(baseline="a"), TypeError, "baseline: got 'a'"),
        (lambda: callbacks.EarlyStopping(min_delta=math.nan), ValueError, "min_delta: got nan"),
        (lambda: callbacks.LearningRateScheduler(0.1), TypeError, "schedule: got 0.1, expected"),
        (lambda: callbacks.CSVLogger("a", ""), ValueError, "separator: got '', expected one char"),
        (lambda: callbacks.CSVLogger(3), TypeError, "path: got int"),
        (lambda: callbacks.ModelCheckpoint("a.h5"), ValueError, "filepath: got 'a.h5', expected a"),
        (lambda: callbacks.ModelCheckpoint("{a.safetensors"), ValueError, "filepath: got"),
        (
            lambda: callbacks.ModelCheckpoint("a.safetensors", keep=2),
            ValueError,
            "keep: got 2, expected None for a filepath without placeholders",
        ),
        (
            lambda: callbacks.ModelCheckpoint("a.safetensors", save_freq="batch"),
            ValueError,
            "save_freq: got 'batch', expected one of epoch",
        ),
        (lambda: callbacks.BackupAndRestore("a", 0), ValueError, "save_freq: got 0, expected at l"),
        (lambda: callbacks.BackupAndRestore(""), ValueError, "path: got ''"),
        (
            lambda: callbacks.ModelCheckpoint("a.safetensors", initial_value_threshold=1.0),
            ValueError,
            "initial_value_threshold: got 1, expected None without save_best_only",
        ),
        (lambda: callbacks.OptunaPruning(3), TypeError, "trial: got 3, expected a trial of Optuna"),
        (lambda: callbacks.TerminateOnNaN(1), TypeError, "raise_error: got 1, expected True or F"),
    ],
)  # fmt: skip
def test_settings_that_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_schedule_that_gives_no_rate_is_refused():
    with pytest.raises(TypeError, match="schedule: got None, expected a number"):
        fitted(callbacks.LearningRateScheduler(lambda epoch, rate: None), [0.0])


# ---- files ---------------------------------------------------------------------------------------


def test_checkpoints_are_named_by_epoch_and_figures(tmp_path):
    saver = callbacks.ModelCheckpoint(tmp_path / "deep" / "{epoch:02d}-{val_loss:.2f}.safetensors")
    fitted(saver, [3.0, 1.25, 2.0])
    names = sorted(path.name for path in (tmp_path / "deep").iterdir())
    assert names == ["01-3.00.safetensors", "02-1.25.safetensors", "03-2.00.safetensors"]
    assert (fw.load(tmp_path / "deep" / names[1]).parameters == 1).all()


@pytest.mark.parametrize("keep", [1, 2, 9])
def test_the_newest_checkpoints_are_kept(keep, tmp_path):
    (tmp_path / "0.safetensors").write_text("somebody else's")
    fitted(callbacks.ModelCheckpoint(tmp_path / "{epoch}.safetensors", keep=keep), [0.0] * 4)
    left = sorted(int(path.stem) for path in tmp_path.iterdir())
    assert left == [0, *range(max(1, 5 - keep), 5)]


def test_files_of_others_that_a_checkpoint_names_are_not_removed(tmp_path):
    """Neither those of another run, nor what a file that was made up says."""
    first = callbacks.ModelCheckpoint(tmp_path / "a" / "{epoch:02d}.safetensors", keep=3)
    network().fit(X, Y, 8, 3, 0, first)
    others = sorted((tmp_path / "a").iterdir())
    second = callbacks.ModelCheckpoint(tmp_path / "b" / "{epoch:02d}.safetensors", keep=1)
    network().fit(X, Y, 8, 5, 0, second, resume=others[-1])
    assert sorted((tmp_path / "a").iterdir()) == others
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["05.safetensors"]
    victim = tmp_path / "victim.txt"
    second.load_state({**first.state(), "saved": [str(victim), f"{tmp_path}/b/../a/1.safetensors"]})
    assert second.state()["saved"] == []


def test_weights_that_overflow_are_taken_back_before_a_hook_sees_them(tmp_path):
    seen = []

    class Looks(callbacks.Callback):
        def on_train_batch_end(self, batch, logs):
            seen.append(np.isfinite(self.model.parameters).all())

    model = network(optimizer=optimizers.SGD(1e37), dtype="float32")
    before = model.parameters.copy()
    saves = callbacks.BackupAndRestore(tmp_path, save_freq=1)
    with pytest.raises(fw.DivergenceError, match="overflowed"):
        model.fit(X, 1e3 * Y, len(X), 2, 0, [Looks(), saves])
    np.testing.assert_array_equal(model.parameters, before)
    assert all(seen)


@pytest.mark.parametrize(
    ("settings", "saved"),
    [
        ({}, [0, 1, 3]),
        ({"mode": "max"}, [0, 2]),
        ({"initial_value_threshold": 2.5}, [1, 3]),
        ({"initial_value_threshold": 0.1}, []),
        ({"mode": "max", "initial_value_threshold": 3.0}, [2]),
    ],
)
def test_only_the_best_is_saved(settings, saved, tmp_path):
    path = tmp_path / "{epoch}.safetensors"
    saver = callbacks.ModelCheckpoint(path, save_best_only=True, **settings)
    fitted(saver, [3.0, 2.0, 4.0, 1.0])
    assert sorted(int(path.stem) - 1 for path in tmp_path.iterdir()) == saved


def test_a_file_every_so_many_batches(tmp_path, capsys):
    path = tmp_path / "{epoch}-{batch}.safetensors"
    saver = callbacks.ModelCheckpoint(path, save_freq=4, verbose=1)
    network().fit(X, Y, 8, 4, 0, saver)
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["2-1", "3-2", "4-3"]
    assert f"Epoch 2: saving model to {tmp_path}" in capsys.readouterr().out


def test_weights_alone(tmp_path):
    path = tmp_path / "a.safetensors"
    model, _ = fitted(callbacks.ModelCheckpoint(path, save_weights_only=True), [1.0])
    other = network(seed=9)
    other.load_weights(path)
    same_bits(other.parameters, model.parameters)
    with pytest.raises(ValueError, match="expected a fastweights model"):
        fw.load(path)


def test_a_placeholder_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match=r"filepath: got .*\{f1\}.*expected placeholders of loss"):
        fitted(callbacks.ModelCheckpoint(tmp_path / "{f1}.safetensors"), [1.0])


def test_csv_of_the_history(tmp_path):
    path = tmp_path / "log.csv"
    model = network(metrics=("mae",))
    history = model.fit(X, Y, 8, 3, 0, callbacks.CSVLogger(path), validation_data=HELD_OUT).history
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["epoch", "loss", "mae", "val_loss", "val_mae"]
    assert [int(row["epoch"]) for row in rows] == [0, 1, 2]
    for name, values in history.items():
        assert [float(row[name]) for row in rows] == values
    more = callbacks.CSVLogger(path, append=True)
    model.fit(X, Y, 8, 5, 0, more, initial_epoch=3)
    lines = path.read_text().splitlines()
    assert len(lines) == 6
    assert lines[4].startswith("3,")
    assert lines[5].endswith("NA,NA")
    model.fit(X, Y, 8, 1, 0, callbacks.CSVLogger(path, separator=";"))
    assert path.read_text().splitlines()[0] == "epoch;loss;mae;val_loss;val_mae"
    assert len(path.read_text().splitlines()) == 2


@pytest.mark.parametrize("lost", ["removed", "cut"])
def test_a_csv_that_is_not_there_any_more_begins_anew(lost, tmp_path):
    path, file = tmp_path / "log.csv", tmp_path / "{epoch}.safetensors"
    network().fit(X, Y, 8, 2, 0, [callbacks.CSVLogger(path), callbacks.ModelCheckpoint(file)])
    if lost == "removed":
        path.unlink()
    else:
        path.write_text("")
    network().fit(X, Y, 8, 4, 0, callbacks.CSVLogger(path), resume=tmp_path / "2.safetensors")
    lines = path.read_text().splitlines()
    assert lines[0] == "epoch,loss,val_loss"
    assert [line[0] for line in lines[1:]] == ["2", "3"]


def test_event_files(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    board = callbacks.TensorBoard(tmp_path, update_freq=2)
    model = network(metrics=("mae",))
    history = model.fit(X, Y, 8, 3, 0, board, validation_data=HELD_OUT).history

    def scalars(folder):
        events = accumulator.EventAccumulator(str(tmp_path / folder))
        events.Reload()
        return {
            tag: [(event.step, event.value) for event in events.Scalars(tag)]
            for tag in events.Tags()["scalars"]
        }

    for folder, prefix in (("train", ""), ("validation", "val_")):
        found = scalars(folder)
        for name in ("loss", "mae"):
            expected = np.float32(history[prefix + name]).tolist()
            assert found[f"epoch_{name}"] == list(zip(range(3), expected, strict=True))
    assert [step for step, _ in scalars("train")["batch_loss"]] == [0, 2, 4, 6, 8]


def test_tensorboard_that_is_not_there(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto", None)
    with pytest.raises(ModuleNotFoundError, match=r"fastweights\[tensorboard\]"):
        callbacks.TensorBoard()


# ---- endings -------------------------------------------------------------------------------------


def test_a_loss_that_is_no_number_ends_the_fit(capsys):
    def diverging():
        model = network(optimizer=optimizers.SGD(1e200))
        return model, model.parameters.copy()

    recorder = Recorder("on_train_end")
    model, before = diverging()
    history = model.fit(X, Y, 8, 5, 0, [recorder, callbacks.TerminateOnNaN()])
    assert re.match(r"Batch \d: Invalid loss, terminating training\n", capsys.readouterr().out)
    assert len(history.epoch) < 5
    assert model.stop_training
    assert np.isfinite(model.parameters).all()
    if not history.epoch:
        same_bits(model.parameters, before)
    assert recorder.heard == [("on_train_end",)]
    for told in ([], [callbacks.TerminateOnNaN(raise_error=True)]):
        model, _ = diverging()
        with pytest.raises(fw.DivergenceError):
            model.fit(X, Y, 8, 5, 0, told)


def test_trials_of_optuna_are_pruned():
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    models = []

    def objective(trial):
        rate = [0.1, 1e-6, 1e-6][trial.number]
        model = network(optimizer=optimizers.SGD(rate))
        models.append(model)
        pruning = callbacks.OptunaPruning(trial, "loss")
        return model.fit(X, Y, 8, 6, 0, pruning).history["loss"][-1]

    pruner = optuna.pruners.MedianPruner(n_startup_trials=1, n_warmup_steps=2)
    study = optuna.create_study(pruner=pruner)
    study.optimize(objective, n_trials=3)
    states = [trial.state.name for trial in study.trials]
    assert states == ["COMPLETE", "PRUNED", "PRUNED"]
    assert [len(trial.intermediate_values) for trial in study.trials] == [6, 3, 3]
    for model in models:
        model.fit(X, Y, verbose=0)
    with pytest.raises(ValueError, match="monitor: got 'val_loss', expected one of loss"):
        network().fit(X, Y, verbose=0, callbacks=callbacks.OptunaPruning(study.ask()))


# ---- what is printed -----------------------------------------------------------------------------


@pytest.mark.parametrize("epochs", [1, 2, 7, 20, 21, 100, 12_345, 10**6])
def test_which_epochs_are_told(epochs):
    told = rare(epochs)
    assert len(told) == min(epochs, MOST_LINES)
    assert told == sorted(set(told))
    assert (told[0], told[-1]) == (0, epochs - 1)
    steps = np.diff(told)
    assert (np.diff(steps) >= -1).all()


def test_few_lines_where_output_is_no_terminal(capsys):
    network().fit(X, Y, epochs=300)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == MOST_LINES
    assert lines[0].startswith("Epoch 1/300 - ")
    assert lines[-1].startswith("Epoch 300/300 - ")
    network().fit(X, Y, epochs=300, callbacks=Figures("mae", [0.0] * 300), initial_epoch=298)
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_the_last_epoch_of_a_fit_that_ends_early_is_told(capsys):
    class Enough(callbacks.Callback):
        def on_epoch_end(self, epoch, logs):
            self.model.stop_training = epoch == 100

    network().fit(X, Y, epochs=300, callbacks=Enough())
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= MOST_LINES
    assert lines[-1].startswith("Epoch 101/300 - ")


def test_a_notebook_has_the_line_that_follows(monkeypatch):
    pytest.importorskip("tqdm")

    class ZMQInteractiveShell:
        pass

    class IPython:
        get_ipython = staticmethod(ZMQInteractiveShell)

    monkeypatch.setitem(sys.modules, "IPython", IPython)
    (reporter,) = callbacks.progress.reporters("auto")
    assert isinstance(reporter, callbacks.ProgbarLogger)
    monkeypatch.delitem(sys.modules, "IPython")
    (reporter,) = callbacks.progress.reporters("auto")
    assert type(reporter) is FewLines


def test_figures_that_are_no_numbers_are_not_printed(capsys):
    class Words(callbacks.Callback):
        def on_epoch_end(self, epoch, logs):
            logs["what"] = "word"

    history = network().fit(X, Y, epochs=1, verbose=2, callbacks=Words())
    assert "what" not in capsys.readouterr().out
    with pytest.raises(TypeError, match="logs: got 'word' as 'what', expected a number"):
        history.state()


# ---- copies --------------------------------------------------------------------------------------


def test_what_was_in_a_fit_can_be_pickled(tmp_path):
    model = network()
    told = [
        callbacks.EarlyStopping("loss", patience=3, restore_best_weights=True),
        callbacks.ReduceLROnPlateau("loss"),
        callbacks.CSVLogger(tmp_path / "a.csv"),
        callbacks.ModelCheckpoint(tmp_path / "a.safetensors"),
        callbacks.BackupAndRestore(tmp_path / "b"),
    ]
    history = model.fit(X, Y, 8, 2, 0, told)
    for one in [*told, history]:
        for again in (pickle.loads(pickle.dumps(one)), copy.deepcopy(one)):
            assert type(again) is type(one)
            assert json.dumps(sorted(again.state())) == json.dumps(sorted(one.state()))
    assert pickle.loads(pickle.dumps(model))._loop is None


# ---- Keras's own ---------------------------------------------------------------------------------


class Net:
    """What Keras's callbacks ask of a model."""

    def __init__(self, rate=1.0):
        self.stop_training = False
        self.optimizer = type("Rate", (), {"learning_rate": rate})()

    def get_weights(self):
        return self.epoch

    def set_weights(self, epoch):
        self.epoch = epoch


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_early_stopping_as_in_keras(settings, mode):
    keras = pytest.importorskip("keras")
    random = np.random.default_rng(11)
    for _ in range(20):
        figures = np.round(random.random(9), 2).tolist()
        theirs = keras.callbacks.EarlyStopping(mode=mode, restore_best_weights=True, **settings)
        net = Net()
        theirs.set_model(net)
        theirs.on_train_begin()
        for epoch, figure in enumerate(figures):
            net.epoch = epoch
            theirs.on_epoch_end(epoch, {"val_loss": figure})
            if net.stop_training:
                break
        theirs.on_train_end()
        ours = callbacks.EarlyStopping(mode=mode, restore_best_weights=True, **settings)
        model, history = fitted(ours, figures)
        assert (len(history.epoch), ours.best, ours.best_epoch, ours.wait) == (
            epoch + 1, theirs.best, theirs.best_epoch, theirs.wait,
        )  # fmt: skip
        assert (model.parameters == net.epoch).all()


def test_lines_are_added_to_a_file_of_the_same_columns_alone(tmp_path):
    path = tmp_path / "log.csv"
    network(metrics=("mae",)).fit(X, Y, 8, 2, 0, callbacks.CSVLogger(path))
    text = path.read_text()
    more = callbacks.CSVLogger(path, append=True)
    for other in (network(), network(metrics=("mse",)), network(metrics=("mae", "mse"))):
        with pytest.raises(ValueError, match=r"filename: got append=True to .*of .*mae, val_.*exp"):
            other.fit(X, Y, 8, 2, 0, more)
        assert path.read_text() == text
    with pytest.raises(ValueError, match="expected 'epoch' as the first of them, parted by ';'"):
        network(metrics=("mae",)).fit(X, Y, 8, 2, 0, callbacks.CSVLogger(path, ";", append=True))
    path.write_text("epoch,val_loss,mae,loss,val_mae\n7,1,2,3,4")
    logs = network(metrics=("mae",)).fit(X, Y, 8, 1, 0, more).history
    rows = [line.split(",") for line in path.read_text().splitlines()]
    assert rows[1] == ["7", "1", "2", "3", "4"]
    assert rows[2] == ["0", "NA", str(logs["mae"][0]), str(logs["loss"][0]), "NA"]
    assert len(rows) == 3
    path.write_text("")
    network(metrics=("mae",)).fit(X, Y, 8, 2, 0, more)
    assert path.read_text() == text


def test_a_figure_that_first_comes_later_is_warned_of(tmp_path):
    class Adds(callbacks.Callback):
        def on_epoch_end(self, epoch, logs):
            if epoch:
                logs["late"] = 1.0

    path = tmp_path / "log.csv"
    with pytest.warns(UserWarning, match="CSVLogger: late first came in epoch 1") as told:
        network().fit(X, Y, 8, 4, 0, [Adds(), callbacks.CSVLogger(path)])
    assert len(told) == 1
    assert path.read_text().splitlines()[0] == "epoch,loss,val_loss"


def own_metric(y_true, y_pred):
    return np.abs(y_true - y_pred).mean(-1)


@pytest.mark.parametrize("kind", ["ModelCheckpoint", "BackupAndRestore"])
def test_what_cannot_be_saved_is_told_before_anything_is_trained(kind, tmp_path):
    model = network(metrics=(own_metric,))
    saver = getattr(callbacks, kind)(tmp_path / "a.safetensors")
    with pytest.raises(TypeError, match=f"{kind}: save: got .*own_metric.*save_weights_only=True"):
        model.fit(X, Y, 8, 2, 0, saver)
    assert model.epochs_trained == 0
    weights = callbacks.ModelCheckpoint(tmp_path / "b.safetensors", save_weights_only=True)
    model.fit(X, Y, 8, 2, 0, weights)
    assert [path.name for path in tmp_path.iterdir()] == ["b.safetensors"]


def test_what_stops_a_fit_is_the_model_s():
    class Stops(callbacks.Callback):
        def on_epoch_end(self, epoch, logs):
            self.stop_training = True

    with pytest.raises(
        AttributeError, match=r"stop_training: is the model's; set self\.model\.stop"
    ):
        network().fit(X, Y, 8, 2, 0, Stops())


def test_lists_of_callbacks_that_are_refused():
    stops = callbacks.EarlyStopping("loss")
    for given, error, match in (
        (callbacks.EarlyStopping, TypeError, r"got the class EarlyStopping, expected an object of"),
        ([stops, stops], ValueError, "got one EarlyStopping twice, expected each of them once"),
    ):
        with pytest.raises(error, match=f"callbacks: {match}"):
            network().fit(X, Y, 8, 2, 0, given)
