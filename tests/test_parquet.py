"""Rows of Parquet files by the names of their columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import same_bits

import fastweights as fw
from fastweights import layers

pd = pytest.importorskip("pandas")

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((100, 3)).astype(np.float32)
Y = RANDOM.standard_normal(100).astype(np.float32)
W = RANDOM.uniform(0.1, 1.0, 100)


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    found = []
    for n, part in enumerate((slice(0, 60), slice(60, 100))):
        columns: dict[str, Any] = {name: X[part, i] for i, name in enumerate("abc")}
        table = pyarrow.table({"y": Y[part], **columns, "w": W[part]})
        found.append(tmp_path / f"{n}.parquet")
        parquet.write_table(table, found[-1], row_group_size=20)
    return found


def model() -> fw.Sequential:
    made = fw.Sequential([layers.Dense(4, "tanh"), layers.Dropout(0.2), layers.Dense(1)], 3, seed=0)
    made.compile("adam", "mse")
    return made


def test_the_bits_of_arrays(paths: list[Path]) -> None:
    rows = fw.data.Parquet(paths, "y", sample_weight="w", batch_size=10, shuffle=False)
    assert len(rows) == 10
    whole, ours = model(), model()
    whole.fit(X, Y, 10, 3, shuffle=False, verbose=0, sample_weight=W)
    ours.fit(rows, epochs=3, verbose=0)
    same_bits(whole.parameters, ours.parameters)
    assert ours.evaluate(rows) == whole.evaluate(X, Y, sample_weight=W)
    same_bits(ours.predict(rows), whole.predict(X))


def test_all_rows_come_in_another_order_each_time(paths: list[Path]) -> None:
    def passes(seed: int) -> list[np.ndarray]:
        rows = fw.data.Parquet(paths, "y", ["c", "a"], batch_size=8, seed=seed)
        return [np.concatenate([x for x, _ in rows]) for _ in range(2)]

    first, second = passes(1)
    same_bits(first, passes(1)[0])
    assert (first != second).any()
    assert (first != passes(2)[0]).any()
    for one in (first, second):
        np.testing.assert_array_equal(np.sort(one, axis=0), np.sort(X[:, [2, 0]], axis=0))


def others(paths: list[Path], order: str) -> list[Path]:
    """The same files with their columns in another order."""
    found = [path.with_name(f"{order}{path.name}") for path in paths]
    for path, other in zip(paths, found, strict=True):
        table = parquet.read_table(path).select(list(order))
        parquet.write_table(table, other, row_group_size=20)
    return found


def test_columns_are_taken_by_their_names(paths: list[Path]) -> None:
    ours, turned = model(), others(paths, "wcbya")
    ours.fit(fw.data.Parquet(paths, "y", sample_weight="w"), verbose=0)
    there = ours.predict(X)
    same_bits(ours.predict(fw.data.Parquet(turned, "y", sample_weight="w")), there)
    assert ours.evaluate(fw.data.Parquet(turned, "y", ["b", "c", "a"])) == ours.evaluate(X, Y)
    frame = pd.DataFrame({name: X[:, i] for i, name in reversed(list(enumerate("abc")))})
    same_bits(ours.predict(frame), there)
    with pytest.raises(ValueError, match="x: got columns without 'b' and with 'w', expected"):
        ours.predict(fw.data.Parquet(paths, "y", ["a", "w", "c"]))
    other = model()
    validated = fw.data.Parquet(turned, "y", list("cba"))
    rows = fw.data.Parquet(paths, "y", list("abc"))
    history = other.fit(rows, validation_data=validated, verbose=0).history
    assert history["val_loss"] == [other.evaluate(X, Y)]
    again, other = model(), model()
    for files, names in ((paths, "abc"), (turned, "cab")):  # goes on by what it has learnt
        again.fit(fw.data.Parquet(paths, "y", list("abc")), verbose=0)
        other.fit(fw.data.Parquet(files, "y", list(names)), verbose=0)
    same_bits(other.parameters, again.parameters)


def test_several_targets_are_taken_by_their_names(paths: list[Path]) -> None:
    made = fw.Sequential([layers.Dense(2)], 2, seed=0)
    made.compile("sgd", "mse", ["mae"])
    made.fit(fw.data.Parquet(paths, ["y", "w"], ["a", "b"]), verbose=0)
    there = made.evaluate(X[:, :2], np.stack([Y, W], axis=1))
    assert made.evaluate(fw.data.Parquet(paths, ["w", "y"], ["b", "a"])) == there


def test_all_but_training_goes_in_the_order_of_the_files(paths: list[Path]) -> None:
    ours, rows = model(), fw.data.Parquet(paths, "y", list("abc"))
    history = ours.fit(rows, verbose=0, validation_data=rows, epochs=2).history
    assert history["val_loss"][-1] == ours.evaluate(X, Y) == ours.evaluate(rows)
    same_bits(ours.predict(rows), ours.predict(X))
    same_bits(ours.predict(fw.data.Parquet(paths, features=list("abc"))), ours.predict(X))
    same_bits(ours.predict(rows, steps=1), ours.predict(X[:20]))


@pytest.mark.parametrize("steps", [None, 3])
def test_the_order_follows_seed_and_epoch_alone(
    paths: list[Path], steps: int | None, tmp_path: Path
) -> None:
    def rows() -> Any:
        return fw.data.Parquet(paths, "y", list("abc"), batch_size=10)

    class Saving(fw.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.model.save(tmp_path / f"{self.model._progress.epochs}.{batch}.safetensors")

    whole, source = model(), rows()
    for _ in source:
        pass
    whole.evaluate(X, Y)
    history = whole.fit(
        source, epochs=5, steps_per_epoch=steps, verbose=0, callbacks=[Saving()]
    ).history
    plain, used = model(), rows()
    plain.evaluate(used)
    plain.fit(used, epochs=5, steps_per_epoch=steps, verbose=0)
    same_bits(plain.parameters, whole.parameters)
    for file in ("3.1", "4.2"):
        again = model()
        path = tmp_path / f"{file}.safetensors"
        found = again.fit(rows(), epochs=5, steps_per_epoch=steps, verbose=0, resume=path).history
        same_bits(again.parameters, whole.parameters)
        assert found == history


def test_epochs_of_some_batches_go_on_where_the_last_one_ended(paths: list[Path]) -> None:
    def losses(steps: int, epochs: int) -> np.ndarray:
        """Of a model that learns nothing."""
        made = fw.Sequential([layers.Dense(1)], 3, "float64", seed=0)
        made.compile(fw.optimizers.SGD(1e-300), "mse")
        rows = fw.data.Parquet(paths, "y", list("abc"), batch_size=10)
        found = made.fit(rows, epochs=epochs, steps_per_epoch=steps, verbose=0).history["loss"]
        return np.array(found)

    whole, thirds = losses(10, 3), losses(3, 10)
    np.testing.assert_allclose(whole, whole[0], rtol=1e-12)
    np.testing.assert_allclose(thirds.mean(), whole[0], rtol=1e-12)
    assert len(set(thirds.tolist())) == 10
    rows = fw.data.Parquet(paths, "y", list("abc"), batch_size=8)
    for first in (1, 3, 4, 14):
        rest = [x for x, _ in rows.batches(0)][first:]
        same_bits(np.concatenate([x for x, _ in rows.batches(0, first)]), np.concatenate(rest))


def test_the_index_of_pandas_is_no_feature(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "y": Y}, index=np.arange(100)[::-1] * 1000)
    frame.to_parquet(tmp_path / "unnamed.parquet")
    frame.rename_axis("id").to_parquet(tmp_path / "named.parquet")
    frame.reset_index(drop=True).to_parquet(tmp_path / "range.parquet")
    for name in ("unnamed", "named", "range"):
        rows = fw.data.Parquet(tmp_path / f"{name}.parquet", "y")
        assert rows.features == ("a", "b")
    rows = fw.data.Parquet(tmp_path / "named.parquet", "y", ["id", "a"])
    assert rows.features == ("id", "a")


def test_files_that_are_none_or_have_changed(paths: list[Path], tmp_path: Path) -> None:
    none = tmp_path / "none.parquet"
    none.write_bytes(b"a,b\n1,2\n" * 9)
    with pytest.raises(ValueError, match=r"paths: got .*none\.parquet .*, expected a Parquet file"):
        fw.data.Parquet(none, "y")
    rows = fw.data.Parquet(paths, "y", list("abc"))
    table = parquet.read_table(paths[1])
    parquet.write_table(table.slice(0, 15), paths[1])
    with pytest.raises(ValueError, match=r"1\.parquet, row group 0: got a file that has changed"):
        model().evaluate(rows)
    parquet.write_table(table.select(["a", "b", "y"]), paths[1], row_group_size=20)
    with pytest.raises(ValueError, match=r"1\.parquet, row group 0: got a file that has changed"):
        model().evaluate(rows)


def test_names_that_do_not_fit(paths: list[Path], tmp_path: Path) -> None:
    for refused, settings in (
        (r"target: got 'yy', expected one of .*; did you mean 'y'\?", {"target": "yy"}),
        ("target: got no name", {"target": []}),
        ("target: got int", {"target": 3}),
        ("target: got int", {"target": [3]}),
        ("target: got 'y' twice", {"target": ["y", "y"]}),
        ("features: got no name", {"target": "y", "features": []}),
        ("features: got 'a' twice", {"target": "y", "features": ["a", "b", "a"]}),
        ("features: got 'y', which is a target", {"target": "y", "features": ["a", "y"]}),
        ("features: got 'w', which is the sample_weight",
         {"target": "y", "features": ["a", "w"], "sample_weight": "w"}),
        ("features: got 'z', expected one of", {"target": "y", "features": ["a", "z"]}),
        ("features: got no column that is left", {"target": list("yabcw")}),
        ("sample_weight: got 'z'", {"target": "y", "sample_weight": "z"}),
        ("sample_weight: got 'y'", {"target": "y", "sample_weight": "y"}),
        ("sample_weight: got 'w', expected None", {"features": "a", "sample_weight": "w"}),
    ):  # fmt: skip
        with pytest.raises((ValueError, TypeError), match=refused):
            fw.data.Parquet(paths, **settings)
    assert fw.data.Parquet(paths, "y", features="a").features == ("a",)
    with pytest.raises(ValueError, match=r"x \(batch 0\): got ndarray, expected \(x, y\)"):
        model().fit(fw.data.Parquet(paths, features=list("abc")), verbose=0)
    twice = tmp_path / "twice.parquet"
    table = pyarrow.Table.from_arrays([pyarrow.array([1.0])] * 3, names=["a", "a", "y"])
    parquet.write_table(table, twice)
    with pytest.raises(ValueError, match=r"paths: got several columns 'a' in .*twice"):
        fw.data.Parquet(twice, "y")


def test_what_does_not_fit(paths: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"paths: got no column 'b' in .*ay"):
        fw.data.Parquet([paths[0], *others(paths[1:], "ay")], "y")
    with pytest.raises(ValueError, match="paths: got none"):
        fw.data.Parquet([], "y")
    with pytest.raises(ValueError, match="batch_size: got 0"):
        fw.data.Parquet(paths, "y", batch_size=0)
    with pytest.raises(FileNotFoundError):
        fw.data.Parquet(tmp_path / "none.parquet", "y")
    words = tmp_path / "words.parquet"
    parquet.write_table(pyarrow.table({"y": [1.0, 2.0], "a": ["p", "q"]}), words)
    with pytest.raises(
        TypeError, match=r"words\.parquet, row group 0: got the text 'p' in column 'a'"
    ):
        model().fit(fw.data.Parquet(words, "y"), verbose=0)
    missing = tmp_path / "missing.parquet"
    parquet.write_table(pyarrow.table({"y": [1.0, 2.0], "a": [1.0, None]}), missing)
    made = fw.Sequential([layers.Dense(1)], 1)
    made.compile("sgd", "mse")
    with pytest.raises(ValueError, match="NaN"):
        made.fit(fw.data.Parquet(missing, "y"), verbose=0)
