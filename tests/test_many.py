"""Many models at once: each with the bits that it has alone, whatever becomes of the others."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import tracemalloc

import numpy as np
import pytest
from helpers import data, network, run_python, same_bits

import fastweights as fw
from fastweights import layers
from fastweights.callbacks import Callback

CONFIG = sys.modules["fastweights.config"]

X, Y = data(60)
FOLDS = [(np.setdiff1d(np.arange(60), np.arange(k, 60, 3)), np.arange(k, 60, 3)) for k in range(3)]


def nets(count, **settings):
    """Of several widths and optimizers."""
    kinds = ("sgd", "adam")
    return [
        network((5, 4 + number, 3), optimizer=kinds[number % 2], seed=number, **settings)
        for number in range(count)
    ]


def alone(models, *arguments, **settings):
    return [model.fit(*arguments, verbose=0, **settings) for model in models]


def same_models(one, other):
    for a, b in zip(one, other, strict=True):
        same_bits(a.parameters, b.parameters)
        assert a.epochs_trained == b.epochs_trained


@pytest.mark.parametrize("n_jobs", [None, 1, 2, 3, 8, -1])
def test_each_has_the_bits_that_it_has_alone(n_jobs):
    one, other = nets(7, metrics=("mae",)), nets(7, metrics=("mae",))
    expected = alone(one, X, Y, 7, 3, validation_split=0.2)
    found = fw.fit_many(other, X, Y, 7, 3, 0, validation_split=0.2, n_jobs=n_jobs)
    same_models(one, other)
    assert [history.history for history in found] == [history.history for history in expected]


@pytest.mark.parametrize("grain", [0.0, None])
@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_threads_change_no_bit(monkeypatch, threads, grain):
    monkeypatch.setattr(CONFIG, "_grain", grain)
    one, other = nets(5, dtype="float32"), nets(5, dtype="float32")
    alone(one, X, Y, 16, 4)
    with fw.threads(threads):
        fw.fit_many(other, X, Y, 16, 4, 0)
    same_models(one, other)


def test_a_model_goes_on_after_it_as_after_its_own_fit():
    one, other = nets(3), nets(3)
    for _ in range(2):
        alone(one, X, Y, 8, 2)
        fw.fit_many(other, X, Y, 8, 2, 0, n_jobs=2)
    alone(one, X, Y)
    alone(other, X, Y)
    same_models(one, other)


def test_settings_of_each_model():
    one, other = nets(3), nets(3)
    settings = [(4, 1, 0, True), (None, 3, 1, False), (9, 2, 0, True)]
    for model, (batch, epochs, initial, shuffle) in zip(one, settings, strict=True):
        model.fit(X, Y, batch, epochs, 0, initial_epoch=initial, shuffle=shuffle)
    batches, epochs, initials, shuffles = map(list, zip(*settings, strict=True))
    found = fw.fit_many(
        other, X, Y, batches, epochs, 0, initial_epoch=initials, shuffle=shuffles, n_jobs=2
    )
    same_models(one, other)
    assert [history.epoch for history in found] == [[0], [1, 2], [0, 1]]


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_of_each_model_are_as_if_they_were_picked(shuffle, dtype):
    random = np.random.default_rng(1)
    rows = [
        random.integers(0, 60, 60),  # a bootstrap
        random.permutation(60)[:31],
        np.arange(10, 40),  # follow each other
        random.integers(0, 60, 90),  # more than there are
        np.arange(60) % 3 == 1,  # flags
        [-1, -2, -30],
        None,
    ]
    one, other = nets(len(rows), dtype=dtype), nets(len(rows), dtype=dtype)
    for model, own in zip(one, rows, strict=True):
        picked = slice(None) if own is None else np.asarray(own)
        model.fit(X[picked], Y[picked], 7, 3, 0, shuffle=shuffle, validation_split=0.3)
    found = fw.fit_many(
        other, X, Y, 7, 3, 0, rows=rows, shuffle=shuffle, n_jobs=3, validation_split=0.3
    )
    same_models(one, other)
    assert all("val_loss" in history.history for history in found)


def test_folds_are_validated_with():
    one, other = nets(3), nets(3)
    expected = [
        model.fit(X[train], Y[train], 7, 3, 0, validation_data=(X[held], Y[held]))
        for model, (train, held) in zip(one, FOLDS, strict=True)
    ]
    found = fw.fit_many(other, X, Y, 7, 3, 0, rows=FOLDS, n_jobs=2)
    same_models(one, other)
    assert [history.history for history in found] == [history.history for history in expected]


def test_several_inputs_outputs_labels_and_bytes():
    images = np.random.default_rng(0).integers(0, 256, (40, 6), np.uint8)
    labels = np.arange(40) % 3

    def model(seed):
        a, b = fw.Input(6, name="a"), fw.Input(6, name="b")
        small = layers.Rescaling(1 / 255)(a)
        both = layers.Add()([layers.Dense(4)(small), layers.Dense(4)(b)])
        ends = {"p": layers.Dense(3, "softmax")(both), "q": layers.Dense(1)(both)}
        made = fw.Model([a, b], ends, seed=seed)
        made.compile("adam", {"p": "sparse_categorical_crossentropy", "q": "mse"})
        return made

    x, y = {"a": images, "b": images[::-1] / 255.0}, {"p": labels, "q": labels / 2.0}
    rows = [np.arange(0, 40, 2), np.arange(1, 40, 3)]
    one, other = [model(0), model(1)], [model(0), model(1)]
    for net, own in zip(one, rows, strict=True):
        parts = ({key: array[own] for key, array in given.items()} for given in (x, y))
        net.fit(*parts, 5, 3, 0)
    fw.fit_many(other, x, y, 5, 3, 0, rows=rows, n_jobs=2)
    same_models(one, other)


def test_models_without_a_shape_are_built_and_frames_are_taken_by_their_columns():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcde"))

    def model(seed):
        made = fw.Sequential([layers.Dense(4, "tanh"), layers.Dense(3)], seed=seed)
        made.compile("sgd", "mse")
        return made

    one, other = [model(0), model(1)], [model(0), model(1)]
    alone(one, frame, Y, 7, 2)
    fw.fit_many(other, frame, Y, 7, 2, 0, n_jobs=2)
    same_models(one, other)
    assert other[1].feature_names == tuple("abcde")


def test_models_of_different_dtypes_and_losses_each_get_their_own_data():
    def models():
        labelled = network((5, 4, 3), last="softmax", loss="sparse_categorical_crossentropy")
        hot = network((5, 4, 3), last="softmax", loss="sparse_categorical_crossentropy",
                      dtype="float32", metrics=("accuracy",))  # fmt: skip
        return [labelled, hot]

    one, other, labels = models(), models(), np.arange(60) % 3
    alone(one, X, labels, 7, 2)
    fw.fit_many(other, X, labels, 7, 2, 0)
    same_models(one, other)


# ---- what goes wrong -----------------------------------------------------------------------------


class Failing(Callback):
    def __init__(self, error, epoch=1):
        self.error, self.at = error, epoch

    def on_epoch_end(self, epoch, logs):
        if epoch == self.at:
            raise self.error


def test_a_model_that_fails_stops_no_other():
    one, other = nets(5), nets(5)
    alone(one, X, Y, 7, 4)
    other[1].compile(fw.optimizers.SGD(1e300), "mse")
    callbacks = [None, None, [Failing(LookupError("mine"))], None, None]
    with pytest.raises(fw.FitManyError) as caught:
        fw.fit_many(other, X, Y, 7, 4, 0, callbacks=callbacks, n_jobs=2)
    error = caught.value
    assert set(error.errors) == {1, 2}
    assert isinstance(error.errors[1], fw.DivergenceError)
    assert isinstance(error.errors[2], LookupError)
    assert "2 of 5 models ended with an error: 1 (DivergenceError: " in str(error)
    assert error.__cause__ is error.errors[1]
    assert [history is None for history in error.histories] == [False, True, True, False, False]
    same_models([one[k] for k in (0, 3, 4)], [other[k] for k in (0, 3, 4)])
    other[2].fit(X, Y, verbose=0)
    assert np.isfinite(other[1].parameters).all()


@pytest.mark.promises
@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_what_is_no_error_ends_all(kind, n_jobs):
    models = nets(6)
    callbacks = [[Failing(kind(), 3)], *[None] * 5]
    with pytest.raises(kind):
        fw.fit_many(models, X, Y, 7, 10**6, 0, callbacks=callbacks, n_jobs=n_jobs)
    for model in models:
        assert np.isfinite(model.parameters).all()
        model.fit(X, Y, verbose=0)


@pytest.mark.promises
@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
def test_ctrl_c_stops_all_and_leaves_whole_batches():
    models, twins = nets(3), nets(3)
    before = threading.active_count()
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        fw.fit_many(models, X, Y, 7, 10**8, 0, n_jobs=3)
    timer.join()
    assert threading.active_count() == before
    for model, twin in zip(models, twins, strict=True):
        assert model.epochs_trained > 1
        twin.fit(X, Y, 7, model.epochs_trained - 1, verbose=0)
        goal = twin.parameters.copy()
        if (model.parameters != goal).any():  # the last epoch came to its end
            twin.fit(X, Y, 7, 1, verbose=0)
            same_bits(model.parameters, twin.parameters)


@pytest.mark.promises
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_fork_in_the_middle_trains():
    code = (
        "import os, threading, time, warnings\n"
        "import numpy as np\n"
        "import fastweights as fw\n"
        "from fastweights import layers\n"
        "warnings.simplefilter('ignore', DeprecationWarning)\n"
        "def net(seed):\n"
        "    made = fw.Sequential([layers.Dense(8, 'tanh'), layers.Dense(2)], 4, seed=seed)\n"
        "    made.compile('adam', 'mse')\n"
        "    return made\n"
        "x = np.random.default_rng(0).standard_normal((500, 4)); y = x[:, :2]\n"
        "nets = [net(seed) for seed in range(4)]\n"
        "def go():\n"
        "    try: fw.fit_many(nets, x, y, 8, 300, 0, n_jobs=2)\n"
        "    except RuntimeError: pass\n"
        "other = threading.Thread(target=go); other.start()\n"
        "for _ in range(5):\n"
        "    time.sleep(0.02)\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        fw.fit_many(nets, x, y, 8, 2, 0, n_jobs=2)\n"
        "        os._exit(0 if all(np.isfinite(n.parameters).all() for n in nets) else 1)\n"
        "    assert os.waitpid(child, 0)[1] == 0\n"
        "other.join()\n"
        "print('done')\n"
    )
    found = run_python(code)
    assert found.stdout == "done\n", found.stderr


def test_a_model_compiled_meanwhile_is_not_trained_on_targets_of_another_loss():
    models = nets(2)

    class Compiles(Callback):
        def on_train_begin(self, logs):
            models[1].compile("sgd", "mae")

    with pytest.raises(fw.FitManyError, match="got a model that was compiled meanwhile"):
        fw.fit_many(models, X, Y, 7, 2, 0, callbacks=[[Compiles()], None], n_jobs=1)


def test_early_stopping_of_one():
    models = nets(3)
    stops = fw.callbacks.EarlyStopping("loss", patience=1, mode="max")
    found = fw.fit_many(models, X, Y, 7, 6, 0, callbacks=[None, [stops], None], n_jobs=2)
    assert [len(history.epoch) for history in found] == [6, 2, 6]


def test_data_is_shared_and_not_copied_for_each():
    x = np.zeros((40_000, 50), np.float32)
    y = np.zeros((40_000, 1), np.float32)
    labels = np.zeros(40_000, int)

    def models(loss, outputs, last):
        return [
            network((50, 2, outputs), last=last, loss=loss, dtype="float32", seed=seed)
            for seed in range(8)
        ]

    rows = [np.arange(k, 40_000, 2) for k in (0, 1)] * 4
    folds = [(np.flatnonzero(np.arange(40_000) // 5000 != k),
              np.arange(5000 * k, 5000 * (k + 1))) for k in range(8)]  # fmt: skip
    for given, targets, nets_ in (
        (None, y, models("mse", 1, None)),
        (None, labels, models("sparse_categorical_crossentropy", 3, "softmax")),
        (rows, y, models("mse", 1, None)),
        (folds, y, models("mse", 1, None)),
    ):
        gc.collect()
        tracemalloc.start()
        fw.fit_many(nets_, x, targets, 256, 1, 0, rows=given, n_jobs=2)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        # Numbers of rows are 8 bytes each, of a row of 200: orders and what is chosen.
        assert peak < 0.8 * x.nbytes, (peak, x.nbytes)


def test_what_is_refused():
    models = nets(2)
    shared = fw.optimizers.Adam()
    both = nets(2)
    for model in both:
        model.compile(shared, "mse")
    x = fw.Input(5)
    hidden = layers.Dense(3)(x)
    family = [fw.Model(x, hidden, seed=0), fw.Model(x, layers.Dense(3)(hidden), seed=0)]
    for model in family:
        model.compile()
    history = fw.callbacks.EarlyStopping("loss")
    for error, match, given, settings in (
        (ValueError, "models: got none, expected at least one", [], {}),
        (TypeError, "models: got Sequential, expected a list of Model", models[0], {}),
        (ValueError, "models: got one model as 0 and 1, expected each", [models[0]] * 2, {}),
        (ValueError, "models: got models 0 and 1 with one optimizer", both, {}),
        (ValueError, "models: got models 0 and 1, which have layers in common", family, {}),
        (ValueError, "compile: got no loss yet", [fw.Sequential([layers.Dense(1)], 2)], {}),
        (ValueError, "epochs: got 3 entries, expected 2, one for", models, {"epochs": [1] * 3}),
        (ValueError, "epochs: got -1", models, {"epochs": [1, -1]}),
        (TypeError, "rows: got .*, expected a list of one for each", models, {"rows": X}),
        (ValueError, r"rows\[1\]: got 60, expected numbers of 60", models, {"rows": [[0], [60]]}),
        (ValueError, r"rows\[0\]: got shape \(0,\)", models, {"rows": [[], [1]]}),
        (ValueError, r"rows\[0\]: got .*, expected whole", models, {"rows": [[0.5], [1]]}),
        (ValueError, r"rows\[0\]: got a tuple of 3", models, {"rows": [([0], [1], [2]), None]}),
        (ValueError, r"rows\[0\]: got shape \(3,\), expected one flag",
         models, {"rows": [[True, False, True], None]}),
        (ValueError, r"rows\[0\]: got rows to validate with beside validation_split",
         models, {"rows": FOLDS[:2], "validation_split": 0.2}),
        (TypeError, "callbacks: got one callback", models, {"callbacks": history}),
        (ValueError, "callbacks: got one that models 0 and 1 have",
         models, {"callbacks": [[history], [history]]}),
        (TypeError, "callbacks: got one EarlyStopping in the place of those of model 0, exp",
         models, {"callbacks": [history, fw.callbacks.History()]}),
        (TypeError, "callbacks: got one EarlyStopping in the place of those of model 1",
         models, {"callbacks": [None, history]}),
        (ValueError, "callbacks: got one EarlyStopping twice",
         models, {"callbacks": [None, [history, history]]}),
        (ValueError, "n_jobs: got 0", models, {"n_jobs": 0}),
        (ValueError, "verbose: got 3", models, {"verbose": 3}),
    ):  # fmt: skip
        with pytest.raises(error, match=match):
            fw.fit_many(given, X, Y, **{"verbose": 0, **settings})
    assert all(model.epochs_trained == 0 for model in models)


WRITERS = {
    "CSVLogger": "log.csv",
    "ModelCheckpoint": "at-{epoch}.safetensors",
    "BackupAndRestore": "backup",
}


@pytest.mark.parametrize("kind", WRITERS)
def test_two_that_write_to_one_path_are_refused(kind, tmp_path):
    models, make = nets(2), getattr(fw.callbacks, kind)
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    path, same = tmp_path / WRITERS[kind], tmp_path / "link" / WRITERS[kind]
    with pytest.raises(ValueError, match=r"callbacks: got .*which model 0 and model 1 would write"):
        fw.fit_many(models, X, Y, verbose=0, callbacks=[[make(path)], [make(same)]])
    with pytest.raises(ValueError, match=f"which a {kind} and a {kind} would write"):
        models[0].fit(X, Y, verbose=0, callbacks=[make(path), make(path)])
    assert [one.name for one in tmp_path.iterdir()] == ["link"]
    fw.fit_many(models, X, Y, verbose=0, callbacks=[[make(path)], [make(f"{path}.safetensors")]])


def test_a_model_in_the_middle_of_another_fit_is_an_error_of_its_own():
    models = nets(3)
    started, end = threading.Event(), threading.Event()

    class Waits(Callback):
        def on_epoch_end(self, epoch, logs):
            started.set()
            end.wait()

    other = threading.Thread(
        target=models[1].fit, args=(X, Y), kwargs={"verbose": 0, "callbacks": Waits()}
    )
    other.start()
    started.wait()
    try:
        with pytest.raises(RuntimeError, match="in the middle of a fit"):
            fw.fit_many(models, X, Y, verbose=0)
    finally:
        end.set()
        other.join()


@pytest.mark.parametrize(("verbose", "lines"), [(0, 0), (2, 45), ("auto", 20)])
def test_lines_that_are_told(capsys, verbose, lines):
    fw.fit_many(nets(45), X, Y, 60, 1, verbose)
    told = capsys.readouterr().out.splitlines()
    assert len(told) == lines
    if told:
        assert told[-1].startswith("45/45 models - ")
        assert " - loss: " in told[-1] or ": loss: " in told[-1]


def test_a_bar(capsys):
    pytest.importorskip("tqdm")
    fw.fit_many(nets(3), X, Y, 60, 2, 1)
    assert "3/3 models" in capsys.readouterr().out


def test_the_limit_of_a_thread_is_that_thread_s_own():
    found = []
    models = nets(2)

    class Asks(Callback):
        def on_train_begin(self, logs):
            found.append(CONFIG.budget().threads)

    with fw.threads(2):
        expected = CONFIG.budget().threads
        fw.fit_many(models, X, Y, verbose=0, n_jobs=2, callbacks=[[Asks()], [Asks()]])
        assert found == [1, 1]
        fw.fit_many(models, X, Y, verbose=0, n_jobs=1, callbacks=[[Asks()], [Asks()]])
        assert found[2:] == [expected, expected] == 2 * [CONFIG.budget().threads]


def test_advice_points_at_the_call():
    images = np.random.default_rng(0).integers(0, 256, (60, 5), np.uint8)
    with pytest.warns(UserWarning, match="bytes up to") as caught:
        fw.fit_many(nets(2), images, Y, verbose=0)
    assert [warning.filename for warning in caught] == [__file__]
