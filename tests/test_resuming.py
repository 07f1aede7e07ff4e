"""A fit that goes on from a file ends with the bits of one that was never interrupted."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers import data, network, same_bits

import fastweights as fw
from fastweights import callbacks, layers, saving, serialization

X, Y = data(50)
HELD_OUT = data(10, seed=1)
LONG = bool(os.environ.get("FASTWEIGHTS_LONG"))
#: Keeps all that a fit may remember: a running mean, noise, metrics, momenta.
LAST = 5


def model(seed=3):
    stack = [
        layers.Dense(7, "tanh"), layers.BatchNormalization(), layers.Dropout(0.3), layers.Dense(3),
    ]  # fmt: skip
    made = fw.Sequential(stack, 5, "float64", seed)
    made.compile("adam", "mse", ["mae", "r2"])
    return made


def listeners():
    return [
        callbacks.ReduceLROnPlateau("loss", 0.5, 1, min_delta=10.0),
        callbacks.EarlyStopping("val_mae", patience=4, restore_best_weights=True),
        callbacks.LearningRateScheduler(lambda epoch, rate: 0.9 * rate),
    ]


def trained(one, *more, epochs=LAST, **settings):
    kept = {"batch_size": 8, "epochs": epochs, "verbose": 0, "validation_data": HELD_OUT} | settings
    return one.fit(X, Y, callbacks=[*listeners(), *more], **kept)


def expect_the_same(one, history, other, other_history):
    same_bits(one.parameters, other.parameters)
    same_bits(np.asarray(one.state), np.asarray(other.state))
    memory, other_memory = one._compiled.memory, other._compiled.memory
    same_bits(memory.vectors, other_memory.vectors)
    same_bits(memory.numbers[1:], other_memory.numbers[1:])
    assert history.history == other_history.history
    assert history.epoch == other_history.epoch
    assert one.optimizer.learning_rate == other.optimizer.learning_rate
    assert (one._progress.epochs, one._progress.passes) == (
        other._progress.epochs, other._progress.passes,
    )  # fmt: skip


class SaveAt(callbacks.Callback):
    """Saves the model in a hook, when it comes for the `nth` time, and ends the fit."""

    def __init__(self, hook, nth, path, first=True):
        self.seen, self.nth, self.path = 0, nth, path
        setattr(self, hook, self.act)

    def act(self, *given):
        self.seen += 1
        if self.seen == self.nth:
            self.model.save(self.path)
            raise KeyboardInterrupt


class Notes(callbacks.Callback):
    """Writes down the hooks that it hears, and remembers them in files."""

    def __init__(self, *hooks):
        self.heard = []
        for hook in hooks:
            setattr(self, hook, lambda *given, hook=hook: self.heard.append(f"{hook} {given[0]}"))

    def state(self):
        return {"heard": list(self.heard)}

    def load_state(self, state):
        self.heard[:] = state["heard"]


HOOKS = {
    "on_epoch_begin": 3,
    "on_epoch_end": 2,
    "on_train_batch_begin": 10,
    "on_train_batch_end": 17,
    "on_test_begin": 2,
    "on_test_batch_end": 3,
    "on_test_end": 2,
}


@pytest.mark.parametrize("place", [0, 3], ids=["first", "last"])
@pytest.mark.parametrize(("hook", "nth"), HOOKS.items())
def test_a_fit_goes_on_from_where_a_hook_saved_it(hook, nth, place, tmp_path):
    path = tmp_path / "a.safetensors"
    # Batches that are evaluated one by one are added up one by one: all runs hear of them.
    noted = ("on_epoch_begin", "on_epoch_end", "on_train_batch_begin", "on_train_batch_end")
    whole, notes = model(), Notes(*noted, "on_test_batch_end")
    history = whole.fit(X, Y, 8, LAST, 0, [*listeners(), notes], validation_data=HELD_OUT)
    saver, told = SaveAt(hook, nth, path), [*listeners(), Notes(*noted, "on_test_batch_end")]
    told.insert(place, saver)
    with pytest.raises(KeyboardInterrupt):
        model().fit(X, Y, 8, LAST, 0, told, validation_data=HELD_OUT)
    again, late = model(seed=99), Notes(*noted, "on_test_batch_end")
    found = again.fit(X, Y, 8, LAST, 0, [*listeners(), late], validation_data=HELD_OUT, resume=path)
    expect_the_same(again, found, whole, history)
    assert again.seed == 3
    assert [one for one in late.heard if "test" not in one] == [
        one for one in notes.heard if "test" not in one
    ]


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_with_any_number_of_threads(threads, tmp_path, monkeypatch):
    monkeypatch.setenv("FASTWEIGHTS_GRAIN", "0")
    path = tmp_path / "a.safetensors"
    whole = model()
    history = trained(whole)
    with pytest.raises(KeyboardInterrupt):
        trained(model(), SaveAt("on_train_batch_end", 9, path))
    with fw.threads(threads):
        again = model()
        expect_the_same(again, trained(again, resume=path), whole, history)


def test_in_the_middle_of_an_epoch_without_hooks_of_batches(tmp_path, monkeypatch):
    monkeypatch.setattr(fw.training, "STRETCH_SECONDS", 0.0)
    path = tmp_path / "a.safetensors"
    whole = model()
    history = trained(whole)
    with pytest.raises(KeyboardInterrupt):
        trained(model(), SaveAt("on_progress", 8, path))
    _, place = saving.with_place(path)
    assert place.row % 8 == 0
    assert 0 < place.row < 50
    again = model()
    expect_the_same(again, trained(again, resume=path), whole, history)


@pytest.mark.parametrize("shuffle", [True, False])
def test_several_outputs_and_masks_of_rows(shuffle, tmp_path):
    def twin_outputs():
        inputs = fw.Input(5)
        hidden = layers.Dense(4, "tanh")(inputs)
        made = fw.Model(inputs, [layers.Dense(3)(hidden), layers.Dense(3)(hidden)], "float32", 1)
        made.compile("adam", "mse", metrics=[["mae"], ["r2"]])
        return made

    path = tmp_path / "a.safetensors"
    whole, again = twin_outputs(), twin_outputs()
    history = whole.fit(X, [Y, Y], 8, 3, 0, shuffle=shuffle)
    with pytest.raises(KeyboardInterrupt):
        twin_outputs().fit(
            X, [Y, Y], 8, 3, 0, SaveAt("on_train_batch_end", 9, path), shuffle=shuffle
        )
    found = again.fit(X, [Y, Y], 8, 3, 0, shuffle=shuffle, resume=path)
    expect_the_same(again, found, whole, history)


def test_states_of_rows(tmp_path):
    def stateful():
        made = fw.Sequential(
            [fw.Input((4, 5), batch_size=5), layers.LSTM(3, stateful=True), layers.Dense(3)],
            dtype="float64", seed=0,
        )  # fmt: skip
        made.compile("adam", "mse")
        return made

    x = np.random.default_rng(0).standard_normal((50, 4, 5))
    path = tmp_path / "a.safetensors"
    whole, again = stateful(), stateful()
    history = whole.fit(x, Y, epochs=3, verbose=0, shuffle=False)
    with pytest.raises(KeyboardInterrupt):
        stateful().fit(
            x,
            Y,
            epochs=3,
            verbose=0,
            shuffle=False,
            callbacks=SaveAt("on_train_batch_end", 13, path),
        )
    found = again.fit(x, Y, epochs=3, verbose=0, shuffle=False, resume=path)
    expect_the_same(again, found, whole, history)


def test_a_file_of_a_fit_is_a_model_like_any_other(tmp_path):
    path = tmp_path / "a.safetensors"
    one = model()
    with pytest.raises(KeyboardInterrupt):
        one.fit(X, Y, 8, 2, 0, SaveAt("on_train_batch_end", 9, path))
    loaded = fw.load(path)
    same_bits(loaded.parameters, one.parameters)
    loaded.save(tmp_path / "b.safetensors")
    with pytest.raises(ValueError, match=r"resume: got .*, saved outside of a fit, expected"):
        trained(model(), resume=tmp_path / "b.safetensors")


def test_a_fit_that_wanted_no_more_ends(tmp_path):
    path = tmp_path / "{epoch}.safetensors"

    class Enough(callbacks.Callback):
        def on_epoch_end(self, epoch, logs):
            self.model.stop_training = epoch == 1

    whole = model()
    history = trained(whole, Enough(), callbacks.ModelCheckpoint(path))
    again = model()
    found = trained(again, Enough(), resume=tmp_path / "2.safetensors")
    expect_the_same(again, found, whole, history)
    assert found.epoch == [0, 1]


def test_resume_refuses(tmp_path):
    path = tmp_path / "a.safetensors"
    with pytest.raises(KeyboardInterrupt):
        trained(model(), SaveAt("on_train_batch_end", 9, path))
    with pytest.raises(ValueError, match="initial_epoch: got 2, expected 0 with resume"):
        trained(model(), resume=path, initial_epoch=2)
    with pytest.raises(ValueError, match="batch_size: got 9, expected 8, as in the middle"):
        trained(model(), resume=path, batch_size=9)
    saved = network(optimizer="adam")
    with pytest.raises(KeyboardInterrupt):
        saved.fit(X[:49], Y[:49], 8, 2, 0, SaveAt("on_train_batch_end", 2, path))
    with pytest.raises(ValueError, match="x: got 50 rows, expected 49"):
        network(optimizer="adam").fit(X, Y, 8, 2, 0, resume=path)
    with pytest.raises(ValueError, match="resume: got a file of a model of other layers"):
        network((5, 6, 3), optimizer="adam").fit(X, Y, 8, 2, 0, resume=path)
    with pytest.raises(ValueError, match="compiled with optimizer 'Adam', expected 'SGD', as"):
        network(optimizer="sgd").fit(X, Y, 8, 2, 0, resume=path)
    slower = network(optimizer=fw.optimizers.Adam(beta_1=0.8))
    with pytest.raises(ValueError, match=r"compiled with optimizer beta_1 0.9, expected 0.8, as"):
        slower.fit(X, Y, 8, 2, 0, resume=path)
    with pytest.raises(ValueError, match=r"compiled with loss .*absolute"):
        network(optimizer="adam", loss="mae").fit(X, Y, 8, 2, 0, resume=path)
    with pytest.raises(FileNotFoundError):
        network().fit(X, Y, 8, 2, 0, resume=tmp_path / "none.safetensors")
    with pytest.raises(TypeError, match="resume: got int"):
        network().fit(X, Y, 8, 2, 0, resume=3)


OTHER_DATA = {
    "x": {"x": X + 1},
    "y": {"y": Y + 1},
    "rows": {"x": X[::-1], "y": Y[::-1]},
    "sample_weight": {"sample_weight": np.linspace(0, 1, 50)},
}


@pytest.mark.parametrize("other", OTHER_DATA)
def test_of_other_data_no_middle_of_an_epoch_is_gone_on_from(other, tmp_path):
    path = tmp_path / "a.safetensors"
    with pytest.raises(KeyboardInterrupt):
        trained(model(), SaveAt("on_train_batch_end", 9, path))
    given, one = {"x": X, "y": Y, **OTHER_DATA[other]}, model()
    before = one.parameters.copy()
    with pytest.raises(
        ValueError, match=r"resume: got .*other x, y, sample_weight or class_weight"
    ):
        one.fit(batch_size=8, epochs=LAST, verbose=0, resume=path, **given)
    same_bits(one.parameters, before)
    assert one.epochs_trained == 0
    between = tmp_path / "b.safetensors"
    with pytest.raises(KeyboardInterrupt):
        trained(model(), SaveAt("on_epoch_end", 1, between))
    one.fit(batch_size=8, epochs=LAST, verbose=0, resume=between, **given)
    assert one.epochs_trained == LAST


def test_class_weights_count_as_data(tmp_path):
    path, labels = tmp_path / "a.safetensors", np.arange(50) % 3

    def fit(class_weight, *own, **more):
        net = network(loss="sparse_categorical_crossentropy", last="softmax")
        return net.fit(X, labels, 8, 2, 0, own, class_weight=class_weight, **more)

    with pytest.raises(KeyboardInterrupt):
        fit({0: 1.0, 1: 2.0, 2: 1.0}, SaveAt("on_train_batch_end", 2, path))
    with pytest.raises(ValueError, match="or class_weight"):
        fit({0: 1.0, 1: 2.0, 2: 1.5}, resume=path)
    fit({0: 1.0, 1: 2.0, 2: 1.0}, resume=path)


def test_what_a_state_may_hold(tmp_path):
    class Holding(SaveAt):
        def state(self):
            return {"what": held}

    held = None
    for held in (object(), {"a": 1}, [1]):  # noqa: B007 (which state reads)
        with pytest.raises(TypeError, match="state 'what': got"):
            network().fit(X, Y, 8, 2, 0, Holding("on_epoch_end", 1, tmp_path / "a.safetensors"))
    given = []

    class Taking(callbacks.Callback):
        def state(self):
            return {
                "flag": True, "none": None, "text": "a", "texts": ["a", "b"], "whole": 3,
                "number": float("nan"), "array": np.arange(3, dtype=np.int16),
            }  # fmt: skip

        def load_state(self, state):
            given.append(state)

    path = tmp_path / "b.safetensors"
    with pytest.raises(KeyboardInterrupt):
        network().fit(X, Y, 8, 2, 0, [Taking(), SaveAt("on_epoch_end", 1, path)])
    network().fit(X, Y, 8, 2, 0, Taking(), resume=path)
    (state,) = given
    assert np.isnan(state.pop("number"))
    same_bits(state.pop("array"), np.arange(3, dtype=np.int16))
    assert state == {"flag": True, "none": None, "text": "a", "texts": ["a", "b"], "whole": 3}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda fit, tensors: fit.update(row=-1),
        lambda fit, tensors: fit.update(row=51),
        lambda fit, tensors: fit.update(epoch=1.5),
        lambda fit, tensors: fit.update(epoch=True),
        lambda fit, tensors: fit.pop("states"),
        lambda fit, tensors: fit["states"].pop(),
        lambda fit, tensors: fit.update(due={"hook": "on_train_end"}),
        lambda fit, tensors: fit["states"][1]["values"]["names"].append("more"),
        lambda fit, tensors: fit["due"].update(told="a"),
        lambda fit, tensors: fit.clear(),
        lambda fit, tensors: tensors.update({"fit.other": np.zeros(2)}),
    ],
)
def test_damaged_descriptions(spoil, tmp_path):
    import json

    path = tmp_path / "a.safetensors"
    with pytest.raises(KeyboardInterrupt):
        trained(model(), SaveAt("on_train_batch_end", 9, path))
    tensors, metadata = serialization.read(path)
    description = json.loads(metadata["fastweights.model"])
    spoil(description["fit"], tensors)
    metadata["fastweights.model"] = json.dumps(description)
    serialization.write(path, tensors, metadata)
    with pytest.raises(ValueError, match=r"a.safetensors: the description of the fit is damaged"):
        trained(model(), resume=path)


def test_sums_of_other_metrics_are_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    with pytest.raises(KeyboardInterrupt):
        trained(model(), SaveAt("on_train_batch_end", 9, path))
    tensors, metadata = serialization.read(path)
    tensors["fit.sums.tally"] = tensors["fit.sums.tally"][:-1]
    serialization.write(path, tensors, metadata)
    with pytest.raises(ValueError, match="tally: got"):
        trained(model(), resume=path)


# ---- files ---------------------------------------------------------------------------------------


def test_a_folder_gives_its_newest_whole_file(tmp_path):
    whole = model()
    history = trained(whole)
    with pytest.raises(RuntimeError):
        trained(
            model(),
            callbacks.ModelCheckpoint(
                tmp_path / "{epoch}-{batch}.safetensors", save_freq=4, keep=3
            ),
            Fail("on_epoch_end", 3),
        )
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["2-1.safetensors", "2-5.safetensors", "3-2.safetensors"] or len(names) == 3
    newest = max(tmp_path.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    newest.write_bytes(newest.read_bytes()[:-9])
    again = model()
    with pytest.warns(UserWarning, match=f"resume: .*{newest.name}.*; the file before it is taken"):
        found = trained(again, resume=tmp_path)
    expect_the_same(again, found, whole, history)
    empty = tmp_path / "empty"
    empty.mkdir()
    again = model()
    with pytest.warns(UserWarning, match="resume: .*empty is a folder without a file"):
        found = trained(again, resume=empty)
    expect_the_same(again, found, whole, history)


class Fail(callbacks.Callback):
    """Raises in a hook, when it comes for the `nth` time."""

    def __init__(self, hook, nth):
        self.left = nth
        setattr(self, hook, self.act)

    def act(self, *given):
        self.left -= 1
        if not self.left:
            raise RuntimeError("own")


@pytest.mark.parametrize("save_freq", ["epoch", 1, 3])
@pytest.mark.parametrize("double", [True, False])
def test_a_backup_is_gone_on_from_and_removed(save_freq, double, tmp_path):
    folder = tmp_path / "backup"

    def backup():
        return callbacks.BackupAndRestore(folder, save_freq, double)

    whole = model()
    history = trained(whole, backup())
    assert not folder.exists()
    for hook, nth in (("on_train_batch_begin", 2), ("on_train_batch_end", 11), ("on_test_end", 3)):
        with pytest.raises(RuntimeError, match="own"):
            trained(model(), backup(), Fail(hook, nth))
    again = model()
    expect_the_same(again, trained(again, backup()), whole, history)
    assert not folder.exists()


def test_of_a_damaged_backup_the_one_before_is_taken(tmp_path):
    def backup():
        return callbacks.BackupAndRestore(tmp_path, 3, double_checkpoint=True)

    whole = model()
    history = trained(whole)
    (tmp_path / "other").write_text("somebody else's")
    with pytest.raises(RuntimeError):
        trained(model(), backup(), Fail("on_train_batch_end", 20))
    latest = tmp_path / "latest.safetensors"
    latest.write_bytes(latest.read_bytes()[:1000])
    again = model()
    with pytest.warns(UserWarning, match="BackupAndRestore: .*latest.*; the file before it is"):
        found = trained(again, backup())
    expect_the_same(again, found, whole, history)
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_a_damaged_backup_alone_is_refused(tmp_path):
    with pytest.raises(RuntimeError):
        trained(model(), callbacks.BackupAndRestore(tmp_path), Fail("on_epoch_end", 2))
    latest = tmp_path / "latest.safetensors"
    latest.write_bytes(latest.read_bytes()[:1000])
    one = model()
    before = one.parameters.copy()
    with pytest.raises(ValueError, match="latest"):
        trained(one, callbacks.BackupAndRestore(tmp_path))
    same_bits(one.parameters, before)


def test_a_backup_of_another_fit_is_refused(tmp_path):
    def backup():
        return callbacks.BackupAndRestore(tmp_path)

    with pytest.raises(RuntimeError):
        trained(model(), backup(), Fail("on_epoch_end", 3))
    one, fold = model(), np.arange(50) % 3 > 0
    before = one.parameters.copy()
    with pytest.raises(
        ValueError, match=r"BackupAndRestore: got .*latest.*of other x, y.*of its own"
    ):
        one.fit(X[fold], Y[fold], 8, LAST, 0, backup())
    same_bits(one.parameters, before)
    with pytest.raises(ValueError, match=r"BackupAndRestore: got .*of seed 3, expected 4, that of"):
        trained(model(seed=4), backup())
    drawn, whole = model(seed=None), model()  # as in a program that leaves the seed to chance
    history = trained(whole)
    expect_the_same(drawn, trained(drawn, backup()), whole, history)


def test_a_backup_may_stay(tmp_path):
    def backup():
        return callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False)

    whole, again = model(), model()
    history = trained(whole, backup())
    found = trained(again, backup())
    expect_the_same(again, found, whole, history)
    assert found.epoch == list(range(LAST))


# ---- killed --------------------------------------------------------------------------------------

#: Batches take a while, so that most of a run is its fit.
PROGRAM = """
import sys, time
import numpy as np
import fastweights as fw
from fastweights import callbacks, layers

folder, out = sys.argv[1:]
random = np.random.default_rng(0)
x, y = random.standard_normal((400, 5)), random.standard_normal((400, 3))
model = fw.Sequential(
    [layers.Dense(16, "tanh"), layers.BatchNormalization(), layers.Dropout(0.2), layers.Dense(3)],
    5, "float32", 3,
)
model.compile("adam", "mse", ["mae"])
history = model.fit(
    x, y, 16, 12, 0,
    [callbacks.EarlyStopping("loss", patience=9, restore_best_weights=True),
     callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: time.sleep(0.003)),
     callbacks.CSVLogger(folder + "/log.csv"),
     callbacks.BackupAndRestore(folder + "/backup", save_freq=3, double_checkpoint=True)],
    validation_split=0.25,
)
model.save(out)
with open(out + ".json", "w") as file:
    file.write(repr((history.history, history.epoch)))
"""


def started(folder, out):
    root = str(Path(fw.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PROGRAM, str(folder), str(out)],
        env={**os.environ, "PYTHONPATH": root},
        stderr=subprocess.PIPE,
        text=True,
    )


def run_to_its_end(folder, out):
    folder.mkdir(exist_ok=True)
    process = started(folder, out)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 0, error


@pytest.mark.skipif(os.name != "posix", reason="kills a process as POSIX does")
def test_a_run_that_is_killed_at_random_moments_ends_with_the_same_bits(tmp_path):
    expected = tmp_path / "expected.safetensors"
    began = time.perf_counter()
    run_to_its_end(tmp_path / "whole", expected)
    seconds = time.perf_counter() - began
    draw, kills, backed_up, run = random.Random(5), 0, 0, 0
    while kills < (50 if LONG else 5):
        run += 1
        folder, out = tmp_path / f"run{run}", tmp_path / f"run{run}.safetensors"
        folder.mkdir()
        while kills < (50 if LONG else 5):
            process = started(folder, out)
            time.sleep(draw.uniform(0.2, 1.0) * seconds)
            if process.poll() is not None:
                process.communicate()
                break
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += 1
            backups = folder / "backup"
            for path in backups.glob("*.safetensors") if backups.exists() else ():
                saving.with_place(path)
                backed_up += 1
        run_to_its_end(folder, out)
        assert out.read_bytes() == expected.read_bytes()
        assert Path(f"{out}.json").read_text() == Path(f"{expected}.json").read_text()
        whole = (tmp_path / "whole" / "log.csv").read_text()
        assert (folder / "log.csv").read_text() == whole
        assert not (folder / "backup").exists()
    assert backed_up


def test_what_a_killed_writer_left_is_cleared_away(tmp_path):
    path = tmp_path / "a.safetensors"
    one = network()
    one.save(path)
    code = (
        "import os, sys; from fastweights import _files; "
        "_files.replace(sys.argv[1], lambda file: (file.write(b'x'), os.kill(os.getpid(), 9)))"
    )
    root = str(Path(fw.__file__).parents[1])
    subprocess.run(
        [sys.executable, "-c", code, str(path)], env={**os.environ, "PYTHONPATH": root}, check=False
    )
    assert len(list(tmp_path.iterdir())) == 2
    fw.load(path)
    one.save(path)
    assert [left.name for left in tmp_path.iterdir()] == ["a.safetensors"]


def test_metrics_that_look_at_all_rows_and_weights_of_rows(tmp_path):
    def binary():
        made = network((5, 4, 1), last="sigmoid", optimizer="adam", loss="binary_crossentropy")
        made.compile("adam", "binary_crossentropy", [fw.metrics.AUC(name="auc")])
        return made

    y = (Y[:, :1] > 0).astype(float)
    weight = np.random.default_rng(2).uniform(0.5, 2.0, 50)
    path = tmp_path / "a.safetensors"
    whole, again = binary(), binary()
    settings = {"batch_size": 8, "epochs": 3, "verbose": 0, "sample_weight": weight}
    history = whole.fit(X, y, **settings)
    with pytest.raises(KeyboardInterrupt):
        binary().fit(X, y, **settings, callbacks=SaveAt("on_train_batch_end", 10, path))
    expect_the_same(again, again.fit(X, y, **settings, resume=path), whole, history)
