"""Rows that stay on disk: the bits of arrays in memory, and how little memory they take."""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import expect_no_thread, run_python, same_bits

import fastweights as fw
from fastweights import _maps, _sources, callbacks, layers

ROWS = 307
RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((ROWS, 5)).astype(np.float32)
Y = RANDOM.standard_normal((ROWS, 3)).astype(np.float32)
W = RANDOM.uniform(0.1, 2.0, ROWS)


@pytest.fixture(autouse=True)
def _all_is_large(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pieces of a few batches, of which maps give back pages after a few rows."""
    monkeypatch.setattr(_maps, "LARGE", 100)
    monkeypatch.setattr(_maps, "NEAR_BYTES", 1 << 18)
    monkeypatch.setattr(_sources, "PIECE_BYTES", 1 << 11)
    yield
    expect_no_thread()


def model(metrics: Any = ("mae",), dtype: str = "float32") -> fw.Sequential:
    stack = [layers.Dense(8, "relu"), layers.Dropout(0.3), layers.BatchNormalization()]
    made = fw.Sequential([*stack, layers.Dense(3)], 5, dtype, 3)
    made.compile("adam", "mse", list(metrics))
    return made


def on_disk(folder: Path, array: np.ndarray, name: str = "x", mode: Any = "r") -> Any:
    np.save(folder / f"{name}.npy", array)
    return np.load(folder / f"{name}.npy", mmap_mode=mode)


def files(folder: Path, array: np.ndarray, name: str) -> list[Path]:
    """Of rows of several lengths."""
    paths = []
    for n, part in enumerate(np.split(array, [1, 40, 40, 200])):
        paths.append(folder / f"{name}{n}.npy")
        np.save(paths[-1], part)
    return paths


def given(kind: str, folder: Path) -> tuple[Any, Any]:
    if kind == "map":
        return on_disk(folder, X), Y
    if kind == "maps":
        return on_disk(folder, X), on_disk(folder, Y, "y")
    if kind == "targets alone":
        return X, on_disk(folder, Y, "y")
    if kind in ("c", "r+"):
        return on_disk(folder, X, mode=kind), Y
    if kind == "float64":
        return on_disk(folder, X.astype(float)), on_disk(folder, Y.astype(float), "y")
    if kind == "maps in lists":
        cuts = slice(0, 100), slice(100, ROWS)
        x = [on_disk(folder, X[cut], f"x{n}") for n, cut in enumerate(cuts)]
        return x, [on_disk(folder, Y[cut], f"y{n}") for n, cut in enumerate(cuts)]
    if kind == "strided":
        wide = np.zeros((ROWS, 10), np.float32)
        wide[:, ::2] = X
        return on_disk(folder, wide)[:, ::2], Y
    if kind == "backwards":
        return on_disk(folder, X[::-1])[::-1], Y
    if kind == "Fortran":
        return on_disk(folder, np.asfortranarray(X)), Y
    if kind == "path":
        on_disk(folder, X)
        on_disk(folder, Y, "y")
        return folder / "x.npy", str(folder / "y.npy")
    assert kind == "files"
    return files(folder, X, "x"), files(folder, Y, "y")


KINDS = (
    "map", "maps", "targets alone", "c", "r+", "float64", "strided", "backwards", "Fortran",
    "path", "files", "maps in lists",
)  # fmt: skip


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_the_bits_of_arrays(kind: str, shuffle: bool, tmp_path: Path) -> None:
    x, y = given(kind, tmp_path)
    whole, ours = model(), model()
    settings: dict[str, Any] = {
        "epochs": 3, "shuffle": shuffle, "verbose": 0, "validation_split": 0.2, "sample_weight": W,
    }  # fmt: skip
    expected = whole.fit(X, Y, 16, **settings)
    found = ours.fit(x, y, 16, **settings)
    same_bits(whole.parameters, ours.parameters)
    assert found.history == expected.history
    assert ours.evaluate(x, y, sample_weight=W) == whole.evaluate(X, Y, sample_weight=W)
    same_bits(ours.predict(x) if kind != "targets alone" else ours.predict(X), whole.predict(X))
    ours.fit(X, Y, 16, verbose=0, validation_data=(x, y))


def test_whole_numbers_and_bytes(tmp_path: Path) -> None:
    images = (np.abs(X) * 50).astype(np.uint8)
    labels = np.arange(ROWS) % 3
    stack = ([layers.Rescaling(1 / 255), layers.Dense(3, "softmax")] for _ in range(2))
    whole, ours = (fw.Sequential(one, 5, seed=0) for one in stack)
    for made in (whole, ours):
        made.compile("sgd", "sparse_categorical_crossentropy", ["accuracy"])
    expected = whole.fit(images, labels, 16, 2, verbose=0, class_weight="balanced")
    found = ours.fit(on_disk(tmp_path, images), labels, 16, 2, verbose=0, class_weight="balanced")
    assert found.history == expected.history
    on = on_disk(tmp_path, labels, "labels")
    assert ours.evaluate(images, on) == whole.evaluate(images, labels)


def test_several_inputs(tmp_path: Path) -> None:
    def several() -> fw.Model:
        a, b = fw.Input((5,), name="a"), fw.Input((3,), name="b")
        made = fw.Model([a, b], layers.Dense(3)(layers.Concatenate()([a, b])), seed=1)
        made.compile("sgd", "mse")
        return made

    whole, ours = several(), several()
    whole.fit({"a": X, "b": Y}, Y, 16, 2, verbose=0)
    ours.fit({"a": on_disk(tmp_path, X), "b": files(tmp_path, Y, "b")}, Y, 16, 2, verbose=0)
    same_bits(whole.parameters, ours.parameters)


def test_private_maps_keep_what_was_written(tmp_path: Path) -> None:
    x = on_disk(tmp_path, np.zeros_like(X), mode="c")
    x[:] = X
    whole, ours = model(), model()
    whole.fit(X, Y, 16, verbose=0)
    ours.fit(x, Y, 16, verbose=0)
    same_bits(whole.parameters, ours.parameters)
    same_bits(np.asarray(x), X)


def test_what_was_written_to_shared_maps_stays(tmp_path: Path) -> None:
    x = on_disk(tmp_path, np.zeros_like(X), mode="r+")
    x[:] = X
    model().fit(x, Y, 16, verbose=0)
    same_bits(np.asarray(x), X)


@pytest.mark.parametrize("row", [0, 300])
def test_numbers_that_are_none_are_refused_before_anything_is_done(
    row: int, tmp_path: Path
) -> None:
    x = X.copy()
    x[row, 2] = np.nan
    made = model()
    before = made.parameters.copy()
    with pytest.raises(ValueError, match="x: got 1 NaN or inf") as raised:
        made.fit(on_disk(tmp_path, x), Y, 16, verbose=0)
    assert ("rows are counted from row" in str(raised.value)) == (row > 0)
    same_bits(before, made.parameters)


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    paths = files(tmp_path, X, "x")
    np.save(paths[2], np.zeros((3, 4), np.float32))
    with pytest.raises(ValueError, match=r"x: got rows of shape \(4,\) and float32 in .*x2\.npy"):
        model().fit(paths, Y, verbose=0)
    paths[0].write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match=r"x0\.npy .*expected a file that np\.save wrote"):
        model().fit(paths, Y, verbose=0)
    with pytest.raises(OSError, match=r"none\.npy"):
        model().predict(tmp_path / "none.npy")
    np.save(tmp_path / "words.npy", np.array(["a", "b"]))
    with pytest.raises(ValueError, match="expected rows of real numbers"):
        model().predict(tmp_path / "words.npy")


def test_as_many_targets_as_rows(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="y: got 306 rows, expected as many as there are inputs"):
        model().fit(on_disk(tmp_path, X), on_disk(tmp_path, Y[1:], "y"), verbose=0)
    with pytest.raises(ValueError, match="y: got 306"):
        model().fit(on_disk(tmp_path, X), Y[1:], verbose=0)


def test_a_fit_goes_on_in_the_middle_of_an_epoch(tmp_path: Path) -> None:
    class Saving(callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any) -> None:
            if self.count == 25:
                self.model.save(tmp_path / "at.safetensors")
                raise KeyboardInterrupt
            self.count += 1

        count = 0

    x = on_disk(tmp_path, X)
    whole, first, second = model(), model(), model()
    expected = whole.fit(x, Y, 16, 3, verbose=0)
    with pytest.raises(KeyboardInterrupt):
        first.fit(x, Y, 16, 3, verbose=0, callbacks=Saving())
    found = second.fit(x, Y, 16, 3, verbose=0, resume=tmp_path / "at.safetensors")
    same_bits(whole.parameters, second.parameters)
    assert found.history == expected.history


@pytest.mark.parametrize("shuffle", [True, False])
def test_a_file_that_becomes_shorter_meanwhile(shuffle: bool, tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, X)

    class Cutting(callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            os.truncate(path, 1000)

    with pytest.raises(ValueError, match=r"x\.npy: got 1000 bytes, as it was cut meanwhile"):
        model().fit(path, Y, 16, 2, verbose=0, shuffle=shuffle, callbacks=Cutting())


def test_places_of_numbers_that_become_none_meanwhile(tmp_path: Path) -> None:
    x = on_disk(tmp_path, X)
    written = np.load(tmp_path / "x.npy", mmap_mode="r+")

    class Spoiling(callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            written[-1, 0] = np.nan

    with pytest.raises(ValueError, match=r"NaN .*; rows are counted from row \d+ on"):
        model().fit(x, Y, 16, 2, verbose=0, shuffle=False, callbacks=Spoiling())


@pytest.mark.skipif(not hasattr(mmap, "MADV_DONTNEED"), reason="pages cannot be given back")
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc says how much there is")
@pytest.mark.parametrize("shuffle", [True, False])
def test_memory(shuffle: bool, tmp_path: Path) -> None:
    """Of a map of 200 MB at most 60 MB are there at a time, of 260 bytes a row."""
    rows, columns = 800_000, 64
    for name, width in (("x", columns), ("y", 1)):
        array = np.lib.format.open_memmap(tmp_path / f"{name}.npy", "w+", np.float32, (rows, width))
        for first in range(0, rows, 100_000):
            array[first : first + 100_000] = np.arange(width) + first % 7
        array.flush()
    code = f"""
from pathlib import Path
import numpy as np
import fastweights as fw
from fastweights import layers

def most():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

model = fw.Sequential([layers.Dense(1)], {columns}, "float32", 0)
model.compile(fw.optimizers.SGD(1e-6), "mse")
before = most()
x = np.load({str(tmp_path / "x.npy")!r}, mmap_mode="r")
y = np.load({str(tmp_path / "y.npy")!r}, mmap_mode="r")
model.fit(x, y, 1024, verbose=0, shuffle={shuffle}, validation_split=0.2)
model.evaluate(x, y)
print(most() - before)
"""
    done = run_python(code)
    assert not done.stderr
    assert float(done.stdout) < 60
