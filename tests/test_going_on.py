"""What a fit that goes on leaves alone: whole backups, the model where it is refused, epochs."""

import itertools
import json
import os

import numpy as np
import pytest
from helpers import data, network, same_bits
from test_resuming import HELD_OUT, Fail, SaveAt, expect_the_same, model, trained

import fastweights as fw
from fastweights import callbacks, serialization

X, Y = data(50)
COLUMNS = "epoch,loss,val_loss"


def numbers_of(one):
    memory = one._compiled.memory
    return [one.parameters.copy(), one.state.copy(), *(a.copy() for a in memory.arrays())]


def test_a_damaged_backup_takes_no_whole_ones_place(tmp_path):
    def backup():
        return callbacks.BackupAndRestore(tmp_path, 3, double_checkpoint=True)

    whole = model()
    history = trained(whole)
    with pytest.raises(RuntimeError):
        trained(model(), backup(), Fail("on_train_batch_end", 20))
    latest, previous = (tmp_path / f"{name}.safetensors" for name in ("latest", "previous"))
    latest.write_bytes(latest.read_bytes()[:1000])
    with (
        pytest.warns(UserWarning, match="the file before it is taken"),
        pytest.raises(RuntimeError),  # after the first backup of this fit
    ):
        trained(model(), backup(), Fail("on_train_batch_end", 4))
    for path in (latest, previous):
        fw.load(path)
    with pytest.raises(RuntimeError):
        trained(model(), backup(), Fail("on_train_batch_end", 4))
    for path in (latest, previous):
        fw.load(path)
    again = model()
    expect_the_same(again, trained(again, backup()), whole, history)
    assert not tmp_path.exists()


@pytest.mark.parametrize("exists", [("next",), ("next", "previous"), ("next", "latest")])
def test_a_kill_between_two_backups_loses_neither(exists, tmp_path):
    whole = model()
    history = trained(whole)
    backup = callbacks.BackupAndRestore(tmp_path / "b", 3, double_checkpoint=True)
    with pytest.raises(RuntimeError):
        trained(model(), backup, Fail("on_train_batch_end", 20))
    latest = tmp_path / "b" / "latest.safetensors"
    content = latest.read_bytes()
    for path in (tmp_path / "b").iterdir():
        path.unlink()
    for name in exists:
        latest.with_stem(name).write_bytes(content)
    again = model()
    expect_the_same(again, trained(again, backup), whole, history)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("kind", ["backup", "checkpoint"])
def test_files_come_as_often_where_fewer_batches_are_counted(kind, tmp_path):
    saved = []

    def saver(save_freq):
        if kind == "backup":
            return callbacks.BackupAndRestore(tmp_path, save_freq)
        return callbacks.ModelCheckpoint(tmp_path / "a.safetensors", save_freq=save_freq)

    class Counts(callbacks.Callback):
        def on_train_batch_end(self, batch, logs):
            path = tmp_path / ("latest.safetensors" if kind == "backup" else "a.safetensors")
            saved.append(path.stat().st_mtime_ns if path.exists() else None)

    one, middle = network(optimizer="adam"), tmp_path / "middle.safetensors"
    with pytest.raises(KeyboardInterrupt):
        one.fit(X, Y, 5, 2, 0, [saver(9), SaveAt("on_train_batch_end", 5, middle)])
    two = network(optimizer="adam")
    # Five were counted up to 9: of 3, one file is due at the next batch, then every third.
    two.fit(X, Y, 5, 2, 0, [saver(3), Counts()], resume=middle)
    changes = [n for n in range(1, len(saved)) if saved[n] != saved[n - 1]]
    assert len(saved) == 16  # with the end of the batch in which the file was written
    assert changes == [1, 4, 7, 10, 13]


REFUSED = {
    "rows": (lambda fit, tensors: None, {"rows": 40}, "x: got 40 rows, expected 50"),
    "state": (
        lambda fit, tensors: fit["states"][0]["values"]["names"].remove("wait"), {},
        "the description of the fit is damaged",
    ),
    "sums": (
        lambda fit, tensors: tensors["fit.sums.tally"].__setitem__(0, np.nan), {},
        "the description of the fit is damaged",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "settings", "message"), REFUSED.values(), ids=REFUSED)
def test_a_refused_file_changes_nothing(spoil, settings, message, tmp_path):
    path = tmp_path / "a.safetensors"
    listeners = [callbacks.ReduceLROnPlateau("loss", 0.5, 1, min_delta=10.0)]
    saver = SaveAt("on_train_batch_end", 16, path)
    with pytest.raises(KeyboardInterrupt):
        model(5).fit(X, Y, 8, 4, 0, [*listeners, saver])
    tensors, metadata = serialization.read(path)
    tensors = {name: array.copy() for name, array in tensors.items()}
    description = json.loads(metadata["fastweights.model"])
    spoil(description["fit"], tensors)
    metadata["fastweights.model"] = json.dumps(description)
    serialization.write(path, tensors, metadata)
    rows = settings.get("rows", 50)
    one, twin = model(), model()
    for each in (one, twin):
        each.fit(X, Y, 8, 1, 0)
    before = numbers_of(one)
    with pytest.raises(ValueError, match=message):
        one.fit(X[:rows], Y[:rows], 8, 4, 0, listeners, resume=path)
    for old, new in zip(before, numbers_of(one), strict=True):
        same_bits(new, old)
    assert one.seed == 3
    assert one.optimizer.learning_rate == twin.optimizer.learning_rate
    history, other = (each.fit(X, Y, 8, 2, 0) for each in (one, twin))
    expect_the_same(one, history, twin, other)


def test_weights_to_restore_of_a_refused_file_are_not_restored(tmp_path):
    class Refuses(callbacks.Callback):
        def state(self):
            return {"a": 1}

        def load_state(self, state):
            raise ValueError("own")

    path = tmp_path / "a.safetensors"
    stopping = callbacks.EarlyStopping("loss", patience=9, restore_best_weights=True)
    with pytest.raises(KeyboardInterrupt):
        model(5).fit(X, Y, 8, 4, 0, [stopping, Refuses(), SaveAt("on_epoch_end", 2, path)])
    one = model()
    before = one.parameters.copy()
    with pytest.raises(ValueError, match="damaged: Refuses: own"):
        one.fit(X, Y, 8, 4, 0, [stopping, Refuses()], resume=path)
    same_bits(one.parameters, before)


@pytest.mark.parametrize("epochs", [0, 1, 2])
def test_no_row_of_an_epoch_beyond_epochs_is_trained_on(epochs, tmp_path):
    path = tmp_path / "a.safetensors"
    with pytest.raises(KeyboardInterrupt):
        model().fit(X, Y, 8, 5, 0, SaveAt("on_train_batch_end", 16, path))
    one = model()
    history = one.fit(X, Y, 8, epochs, 0, resume=path)
    assert history.epoch == [0, 1]
    same_bits(one.parameters, fw.load(path).parameters)


def test_many_go_on_from_their_backups(tmp_path):
    alone = [model(3), model(4)]
    histories = [one.fit(X, Y, 8, 5, 0) for one in alone]

    def told(make):
        backups = [callbacks.BackupAndRestore(tmp_path / str(number)) for number in range(2)]
        return [[backup, make()] for backup in backups]

    with pytest.raises(fw.FitManyError):
        fw.fit_many([model(3), model(4)], X, Y, 8, 5, 0, told(lambda: Fail("on_epoch_begin", 4)))
    begun = []

    class Notes(callbacks.Callback):
        def on_epoch_begin(self, epoch, logs):
            begun.append(epoch)

    models = [model(3), model(4)]
    found = fw.fit_many(models, X, Y, 8, 5, 0, told(Notes))
    assert sorted(begun) == [3, 3, 4, 4]
    for one, history, other, expected in zip(models, found, alone, histories, strict=True):
        expect_the_same(one, history, other, expected)


def test_many_refuse_held_out_rows_that_do_not_count():
    held_out = X[:10], Y[:10], np.zeros(10)
    for fit in (model().fit, lambda *given, **more: fw.fit_many([model()], *given, **more)):
        with pytest.raises(ValueError, match="validation sample_weight"):
            fit(X, Y, 8, 1, 0, validation_data=held_out)


def test_a_divergence_in_an_epoch_that_was_gone_on_with_tells_which_weights_are_kept(tmp_path):
    path = tmp_path / "a.safetensors"
    with pytest.raises(KeyboardInterrupt):
        network(optimizer="sgd").fit(X, Y, 5, 2, 0, SaveAt("on_train_batch_end", 13, path))

    class Breaks(callbacks.Callback):
        def on_train_batch_begin(self, batch, logs):
            self.model.optimizer.learning_rate = 1e300

    one = network(optimizer="sgd")
    with pytest.raises(fw.DivergenceError, match=r"weights of .*a.safetensors, in the middle"):
        one.fit(X, Y, 5, 2, 0, Breaks(), resume=path)
    same_bits(one.parameters, fw.load(path).parameters)


# ---- what is checked -----------------------------------------------------------------------------


def spoil_state(kind, name, value):
    """Makes something else of what a callback of that class remembers."""

    def spoil(fit, tensors):
        whose = [one["of"].partition(" ")[0].rpartition(".")[2] for one in fit["states"]]
        at = whose.index(kind)
        values = fit["states"][at]["values"]
        tensor = f"fit.{at}.{name}"
        assert name in values["names"]
        tensors.pop(tensor, None)
        values["plain"].pop(name, None)
        if isinstance(value, np.ndarray):
            tensors[tensor] = value
        else:
            values["plain"][name] = value

    return spoil


STATES = {
    "lowest NaN": spoil_state("EarlyStopping", "lowest", np.array(np.nan)),
    "lowest array": spoil_state("EarlyStopping", "lowest", np.zeros(2)),
    "lowest text": spoil_state("ReduceLROnPlateau", "lowest", "a"),
    "wait": spoil_state("EarlyStopping", "wait", -1),
    "best epoch": spoil_state("EarlyStopping", "best_epoch", "1"),
    "weights": spoil_state("EarlyStopping", "parameters", np.zeros(3)),
    "cooling": spoil_state("ReduceLROnPlateau", "cooling", np.array(0.5)),
    "seen": spoil_state("BackupAndRestore", "seen", None),
    "columns": spoil_state("CSVLogger", "columns", 3),
    "size": spoil_state("CSVLogger", "size", -3),
    "epochs of floats": spoil_state("History", "epoch", np.zeros(2)),
    "epochs of epochs": spoil_state("History", "epoch", np.zeros((2, 1), np.int64)),
    "long history": spoil_state("History", "of loss", np.zeros(3)),
    "history of text": spoil_state("History", "of loss", "abc"),
    "end": spoil_state("History", "ended", True),
    "epoch": lambda fit, tensors: fit.update(epoch=10**30),
    "row": lambda fit, tensors: fit.update(row=9),
    "learning rate": lambda fit, tensors: fit.update(learning_rate="a"),
    "of": lambda fit, tensors: fit["states"][0].update(of=3),
    "tally": lambda fit, tensors: tensors["fit.sums.tally"].__setitem__(1, 7.0),
}


@pytest.mark.parametrize("spoil", STATES.values(), ids=STATES)
def test_states_that_nobody_wrote_are_refused(spoil, tmp_path):
    def told(*more):
        return [
            callbacks.EarlyStopping("loss", patience=9, restore_best_weights=True),
            callbacks.ReduceLROnPlateau("loss"),
            callbacks.CSVLogger(tmp_path / "a.csv"),
            callbacks.BackupAndRestore(tmp_path / "backup", 100),
            *more,
        ]

    path = tmp_path / "a.safetensors"
    with pytest.raises(KeyboardInterrupt):
        model().fit(X, Y, 8, 4, 0, told(SaveAt("on_train_batch_end", 16, path)))
    tensors, metadata = serialization.read(path)
    tensors = {name: array.copy() for name, array in tensors.items()}
    description = json.loads(metadata["fastweights.model"])
    spoil(description["fit"], tensors)
    metadata["fastweights.model"] = json.dumps(description)
    serialization.write(path, tensors, metadata)
    one = model()
    before = one.parameters.copy()
    with pytest.raises(ValueError, match=r"description of the fit is damaged|^fit row: got 9"):
        one.fit(X, Y, 8, 4, 0, told(), resume=path)
    same_bits(one.parameters, before)


def test_another_learning_rate_than_that_of_the_file_is_told(tmp_path):
    path = tmp_path / "a.safetensors"
    plateau = callbacks.ReduceLROnPlateau("loss", 0.5, 1, min_delta=10.0)

    def made(rate):
        one = network()
        one.compile(fw.optimizers.Adam(rate), "mse")
        return one

    with pytest.raises(KeyboardInterrupt):
        made(0.01).fit(X, Y, 8, 9, 0, [plateau, SaveAt("on_epoch_end", 4, path)])
    made(0.01).fit(X, Y, 8, 4, 0, plateau, resume=path)  # that with which it began
    one = made(0.5)
    with pytest.warns(UserWarning, match=r"resume: .* has a learning rate of 0.00125, .* of 0.5"):
        one.fit(X, Y, 8, 4, 0, plateau, resume=path)
    assert one.optimizer.learning_rate == 0.00125


def test_a_folder_is_looked_through_for_a_file_of_a_fit(tmp_path):
    whole = model()
    history = trained(whole)
    with pytest.raises(KeyboardInterrupt):
        trained(model(), SaveAt("on_epoch_end", 2, tmp_path / "a.safetensors"))
    model().save(tmp_path / "b.safetensors")
    again = model()
    with pytest.warns(UserWarning, match=r"b\.safetensors, saved outside of a fit"):
        found = trained(again, resume=tmp_path)
    expect_the_same(again, found, whole, history)
    (tmp_path / "a.safetensors").unlink()
    with pytest.raises(ValueError, match=r"b\.safetensors, saved outside of a fit"):
        trained(model(), resume=tmp_path)


def test_why_an_optimizer_ended_the_fit_is_in_the_file(tmp_path):
    path = tmp_path / "a.safetensors"
    first = network((5, 3), optimizer="lbfgs")
    history = first.fit(X, Y, epochs=500, verbose=0, callbacks=callbacks.ModelCheckpoint(path))
    assert history.ended is not None
    again = network((5, 3), optimizer="lbfgs")
    assert again.fit(X, Y, epochs=500, verbose=0, resume=path).ended == history.ended


@pytest.mark.parametrize(
    "callback",
    [callbacks.ReduceLROnPlateau("loss"), callbacks.LearningRateScheduler(lambda epoch: 0.1)],
)
def test_a_rate_that_cannot_be_changed_is_refused_before_the_first_step(callback):
    one = network(optimizer="levenbergmarquardt")
    before = one.parameters.copy()
    with pytest.raises(TypeError, match="optimizer: got LevenbergMarquardt, expected"):
        one.fit(X, Y, epochs=3, verbose=0, callbacks=callback)
    same_bits(one.parameters, before)


@pytest.mark.parametrize(
    ("there", "kept"),
    [
        (f"{COLUMNS}\r\n0,1.5,NA\r\n1,0.", f"{COLUMNS}\r\n0,1.5,NA\r\n"),
        (f"{COLUMNS}\n0,1.5,NA", f"{COLUMNS}\n0,1.5,NA\r\n"),
        (COLUMNS, f"{COLUMNS}\r\n"),
        (f"{COLUMNS}\r\n0,1.5,NA\r\n", f"{COLUMNS}\r\n0,1.5,NA\r\n"),
    ],
)
def test_rows_are_appended_behind_whole_ones(there, kept, tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(there.encode())
    network().fit(X, Y, 8, 1, 0, callbacks.CSVLogger(path, append=True))
    found = path.read_bytes().decode()
    assert found.startswith(kept)
    lines = found[len(kept) :].split("\r\n")
    assert [line.split(",")[0] for line in lines] == ["0", ""]


@pytest.mark.parametrize("hook", ["on_epoch_end", "on_test_end"])
@pytest.mark.parametrize("spoil", [dict.clear, lambda logs: logs.update(loss="x")])
def test_figures_are_not_taken_out_of_the_logs(hook, spoil):
    class Spoils(callbacks.Callback):
        pass

    setattr(Spoils, hook, lambda self, *given: spoil(given[-1]))
    one = model()
    with pytest.raises(ValueError, match=f"logs: got .* as 'loss' after {hook} of Spoils"):
        one.fit(X, Y, 8, 2, 0, Spoils(), validation_data=(X, Y))


def test_layers_that_a_hook_freezes_stand_still_from_the_next_batch_on():
    seen = []

    class Freezes(callbacks.Callback):
        def on_train_batch_begin(self, batch, logs):
            self.model.layers[0].trainable = batch < 2

        def on_train_batch_end(self, batch, logs):
            seen.append(self.model.weights[0].copy())

    one = network(optimizer="sgd")
    one.fit(X, Y, 10, 1, 0, Freezes())
    same = [np.array_equal(a, b) for a, b in itertools.pairwise(seen)]
    assert same == [False, True, True, True]


# ---- whose state is whose ------------------------------------------------------------------------


def gone_on(before, after, path):
    """Two epochs, the file of which the others are gone on from with other callbacks."""
    one = model()
    with pytest.raises(KeyboardInterrupt):
        one.fit(X, Y, 8, 9, 0, [*before, SaveAt("on_epoch_end", 2, path)], validation_data=HELD_OUT)
    again = model()
    return again.fit(X, Y, 8, 2, 0, after, validation_data=HELD_OUT, resume=path).history


def test_callbacks_of_one_class_keep_to_their_own_figures(tmp_path):
    before = callbacks.EarlyStopping("val_loss", patience=9)
    new, own = callbacks.EarlyStopping("loss", patience=9), callbacks.EarlyStopping(patience=9)
    history = gone_on([before], [new, own], tmp_path / "a.safetensors")
    assert own.best == before.best
    assert new.best == history["loss"][-1]  # that of the epoch which only it had not heard of


@pytest.mark.parametrize("settings", [{"mode": "max"}, {"monitor": "loss"}])
def test_another_figure_begins_anew_and_is_told(settings, tmp_path):
    before, after = callbacks.EarlyStopping(patience=9), callbacks.EarlyStopping(**settings)
    with pytest.warns(UserWarning, match=r"EarlyStopping of .* begins anew: the file has one of "
                      r"val_loss, smaller is better"):  # fmt: skip
        history = gone_on([before], [after], tmp_path / "a.safetensors")
    assert after.best == history[after.monitor][-1]


def test_classes_of_one_name_keep_to_their_own_states(tmp_path):
    def counting(module):
        class Counter(callbacks.Callback):
            def __init__(self):
                self.count = 0

            def on_epoch_end(self, epoch, logs):
                self.count += len(module)

            def state(self):
                return {"count": self.count}

            def load_state(self, state):
                self.count = state["count"]

        Counter.__module__ = module
        return Counter

    short, long = counting("a"), counting("longer")
    first, second = long(), short()
    gone_on([short(), long()], [first, second], tmp_path / "a.safetensors")
    assert (first.count, second.count) == (2 * len("longer"), 2)


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
def test_a_disk_that_is_full_leaves_no_part_of_a_line_and_is_named(tmp_path):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def build(units):
        made = fw.Sequential([fw.layers.Dense(units), fw.layers.Dense(1)], X.shape[1])
        made.compile("sgd", "mse")
        return made

    path, log = tmp_path / "a.jsonl", tmp_path / "a.csv"
    settings = {"epochs": 1, "monitor": "loss", "path": path, "n_jobs": 1, "verbose": 0}
    space, y = {"units": [1, 2, 3]}, Y[:, :1]
    whole = fw.sweep(build, space, X, y, **settings)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0])
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(lines[0]) + 9, before[1]))
        with pytest.raises(OSError, match=r"a\.jsonl"):
            fw.sweep(build, space, X, y, **settings)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, before[1]))
        with pytest.raises(OSError, match=r"a\.csv"):
            model().fit(X, Y, 8, 3, 0, callbacks.CSVLogger(log))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == lines[0]
    again = fw.sweep(build, space, X, y, **settings)
    assert {one["trial"] for one in again} == {one["trial"] for one in whole}
