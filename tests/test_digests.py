"""Data are told from other data."""

import numpy as np
import pytest
from helpers import network

from fastweights import _digests, _maps, callbacks
from fastweights._rows import Examples
from fastweights._sources import Whole


def test_what_came_as_it_is_told_from_all_else():
    pandas = pytest.importorskip("pandas")
    kinds = [
        None,
        [1.0, 2.0],
        [1.0, 3.0],
        [[1.0], [2.0]],
        ["a", "b"],
        ["a,'b"],
        np.arange(4.0),
        np.arange(4.0).reshape(2, 2),
        np.arange(4),
        np.array([1.0, 2.0, 3.0, 0.0]),
        np.array(["a", None], object),
        np.float64(3),
        {"a": np.arange(2), "b": np.arange(2)},
        {"a": np.arange(2), "c": np.arange(2)},
        pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]}),
        pandas.DataFrame({"a": [1, 2], "b": ["x", "z"]}),
        pandas.Series([1, None, 3], dtype="Int64"),
        pandas.Series([1, 2, 3], dtype="Int64"),
        pandas.Series(["x", "y"], dtype="category"),
    ]
    assert len({_digests.of_given(one) for one in kinds}) == len(kinds)
    assert _digests.of_given(kinds[6]) == _digests.of_given(np.arange(8.0)[:4])
    assert _digests.of_given(kinds[7]) == _digests.of_given(np.asfortranarray(kinds[7]))
    assert _digests.of_given(kinds[14]) == _digests.of_given(kinds[14].copy())


def test_examples_are_told_by_rows_targets_and_weights(monkeypatch):
    x, y = np.arange(60.0).reshape(20, 3), np.arange(20.0).reshape(20, 1)

    def digest(x=x, y=y, weights=None, chosen=None):
        return Whole(Examples(x, y, weights), chosen).digest()

    order = np.random.default_rng(0).permutation(20)[:9]
    assert digest(chosen=order) == digest(x[order], y[order])
    weights = (np.ones(20),)
    others = [
        digest(), digest(x + 1), digest(x, y + 1), digest(x, y, weights), digest(chosen=order),
        digest(x[:19], y[:19]), digest(x[::-1], y[::-1]),
    ]  # fmt: skip
    assert len(set(others)) == len(others)
    monkeypatch.setattr(_digests, "MAX_BYTES", 5 * 32)  # five rows of so many
    assert digest() == digest()
    assert digest() != digest(x, y + 1)
    later = y.copy()
    later[-1] = 7
    assert digest() != digest(x, later)


def test_rows_on_disk_are_told_as_those_in_memory(tmp_path, monkeypatch):
    x, y = np.random.default_rng(0).normal(size=(50, 5)), np.arange(150.0).reshape(50, 3)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "other.npy", x + 1)
    at = tmp_path / "a.safetensors"
    stop = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: 1 / (3 - batch))
    kept = callbacks.ModelCheckpoint(at, save_freq=2)
    with pytest.raises(ZeroDivisionError):
        network().fit(x, y, 8, 2, 0, [kept, stop])
    whole = network()
    whole.fit(x, y, 8, 2, 0)
    monkeypatch.setattr(_maps, "LARGE", 100)
    with pytest.raises(ValueError, match="of other x, y"):
        network().fit(tmp_path / "other.npy", y, 8, 2, 0, resume=at)
    again = network()
    again.fit(tmp_path / "x.npy", y, 8, 2, 0, resume=at)
    np.testing.assert_array_equal(again.parameters, whole.parameters)
