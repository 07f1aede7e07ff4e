"""Rows of Parquet files by the names of their columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import same_bits

import fastweights as fw
from fastweights import layers

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


def test_what_does_not_fit(paths: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="paths: got no column 'z' in"):
        fw.data.Parquet(paths, "z")
    with pytest.raises(ValueError, match="paths: got none"):
        fw.data.Parquet([], "y")
    with pytest.raises(ValueError, match="batch_size: got 0"):
        fw.data.Parquet(paths, "y", batch_size=0)
    with pytest.raises(FileNotFoundError):
        fw.data.Parquet(tmp_path / "none.parquet", "y")
    words = tmp_path / "words.parquet"
    parquet.write_table(pyarrow.table({"y": [1.0, 2.0], "a": ["p", "q"]}), words)
    with pytest.raises(TypeError, match="got the text 'p' in column 'a'"):
        model().fit(fw.data.Parquet(words, "y"), verbose=0)
    missing = tmp_path / "missing.parquet"
    parquet.write_table(pyarrow.table({"y": [1.0, 2.0], "a": [1.0, None]}), missing)
    made = fw.Sequential([layers.Dense(1)], 1)
    made.compile("sgd", "mse")
    with pytest.raises(ValueError, match="NaN"):
        made.fit(fw.data.Parquet(missing, "y"), verbose=0)
