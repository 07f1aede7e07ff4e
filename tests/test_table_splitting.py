"""Which rows are held out: all of them once, each class with its share, groups and times whole."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastweights.table.splitting import folds, split, split_by_group, split_by_time


def is_cut(parts, rows):
    """Whether both parts are rising row numbers, and every row is in one of them."""
    rest, held = parts
    assert (np.diff(rest) > 0).all()
    assert (np.diff(held) > 0).all()
    return np.array_equal(np.sort(np.concatenate(parts)), np.arange(rows))


def counts(labels, rows):
    return np.bincount(labels[rows], minlength=labels.max() + 1)


@given(
    st.lists(st.integers(0, 4), min_size=2, max_size=80),
    st.floats(0.0, 0.95),
    st.integers(0, 5),
)
def test_a_split_is_stratified(labels, fraction, seed):
    labels = np.array(labels)
    parts = split(len(labels), fraction, seed, labels=labels)
    assert is_cut(parts, len(labels))
    everywhere, held = counts(labels, slice(None)), counts(labels, parts[1])
    assert (held[everywhere == 1] == 0).all()
    able = everywhere * (everywhere > 1)
    wanted = min(max(1, round(len(labels) * fraction)) if fraction else 0, able.sum())
    assert held.sum() == wanted
    if able.sum():
        assert (np.abs(held - able * wanted / able.sum()) < 1 + 1e-9).all()


@given(st.lists(st.integers(0, 4), min_size=4, max_size=80), st.integers(2, 4), st.integers(0, 5))
def test_folds_are_stratified_and_hold_every_row_out_once(labels, count, seed):
    labels = np.array(labels)
    cut = folds(len(labels), count, seed, labels=labels)
    assert len(cut) == count
    assert all(is_cut(parts, len(labels)) for parts in cut)
    everywhere = counts(labels, slice(None))
    held = np.array([counts(labels, part) for _, part in cut])
    np.testing.assert_array_equal(held.sum(axis=0), everywhere * (everywhere > 1))
    assert (np.ptp(held, axis=0) <= 1).all()
    assert np.ptp(held.sum(axis=1)) <= 1


def test_seeds_and_draws_split_otherwise():
    labels = np.arange(100) % 3
    for given_labels in (None, labels):
        draws = {
            tuple(split(100, 0.3, seed, draw, labels=given_labels)[1].tolist())
            for seed in range(2)
            for draw in range(2)
        }
        assert len(draws) == 4
        same = {tuple(split(100, 0.3, 1, labels=given_labels)[1].tolist()) for _ in range(2)}
        assert len(same) == 1


@given(
    st.lists(st.integers(0, 9), min_size=4, max_size=60).filter(lambda got: len(set(got)) > 2),
    st.integers(0, 5),
)
def test_groups_stay_whole(groups, seed):
    groups = np.array(groups)
    several = [split_by_group(groups, 0.3, seed), *folds(len(groups), 3, seed, groups=groups)]
    for parts in several:
        assert is_cut(parts, len(groups))
        assert not set(groups[parts[0]]) & set(groups[parts[1]])
        assert len(parts[0])
        assert len(parts[1])


def test_groups_of_one_size_fill_folds_evenly():
    groups = np.repeat(np.arange(12), 5)
    assert [len(held) for _, held in folds(60, 4, 0, groups=groups)] == [15] * 4
    assert len(split_by_group(groups, 0.25, 0)[1]) == 15
    with pytest.raises(ValueError, match="groups: got one group, expected at least two"):
        folds(60, 2, 0, groups=np.zeros(60, int))


@given(
    st.lists(st.integers(0, 30), min_size=2, max_size=60).filter(lambda got: len(set(got)) > 1),
    st.floats(0.01, 0.9),
)
def test_what_is_held_out_comes_later(times, fraction):
    times = np.array(times, dtype=np.float64)
    rest, held = split_by_time(times, fraction)
    assert is_cut((rest, held), len(times))
    assert times[rest].max() < times[held].min()


def test_times_that_differ_are_cut_at_the_share():
    assert split_by_time(np.arange(100.0)[::-1], 0.2)[1].tolist() == list(range(20))
    assert split_by_time(np.arange(10.0), 0.0)[1].tolist() == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: folds(5, 1, 0), "folds: got 1"),
        (lambda: folds(5, 6, 0), "folds: got 6"),
        (lambda: folds(6, 3, 0, groups=np.array([0, 0, 0, 1, 1, 1])), "folds: got 3"),
        (lambda: split_by_group(np.zeros(4, int), 0.5, 0), "groups: got one group"),
        (lambda: split_by_time(np.zeros(4), 0.5), "times: got one time in all rows"),
        (lambda: split(5, 1.0, 0), "fraction: got 1"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
