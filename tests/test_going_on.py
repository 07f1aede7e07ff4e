"""What a fit that goes on leaves alone: whole backups, the model where it is refused, epochs."""

import numpy as np
import pytest
from helpers import data, network, same_bits
from test_resuming import Fail, SaveAt, expect_the_same, model, trained

import fastweights as fw
from fastweights import callbacks, serialization

X, Y = data(50)


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

    one = network(optimizer="adam")
    with pytest.raises(KeyboardInterrupt):
        one.fit(
            X, Y, 5, 2, 0, [saver(9), SaveAt("on_train_batch_end", 5, tmp_path / "mid.safetensors")]
        )
    two = network(optimizer="adam")
    # Five were counted up to 9: of 3, one file is due at the next batch, then every third.
    two.fit(X, Y, 5, 2, 0, [saver(3), Counts()], resume=tmp_path / "mid.safetensors")
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
    import json

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
    with pytest.raises(ValueError, match="damaged: own"):
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
