"""Which rows serve for what: held out at random, by time or by group, once or in folds.

Rows are given by their numbers in rising order. One seed takes the same rows on every machine.
Where labels are given each class has its share of both parts; a class of one row is learnt from
and never held out, as nobody could know it otherwise.
"""

from __future__ import annotations

import numpy as np

from fastweights import _check
from fastweights._core import philox

#: The numbers of the rows to learn from, and of those held out.
Parts = tuple[np.ndarray, np.ndarray]


def split(
    rows: int, fraction: float, seed: int, draw: int = 0, *, labels: np.ndarray | None = None
) -> Parts:
    """Row numbers of the rest and of a random part.

    Parameters
    ----------
    rows : int
        How many rows there are.
    fraction : float
        The part's share, at least 0 and below 1; rounded, but at least one row unless it is 0.
    seed : int
        From 0.
    draw : int
        One seed gives many draws that have nothing to do with each other.
    labels : int array (rows,), optional
        Each row's class.

    Returns
    -------
    rest, part : int64 arrays
    """
    fraction = _check.number("fraction", fraction, minimum=0.0, below=1.0)
    order = _order(rows, seed, draw)
    if labels is None:
        count = _count(rows, fraction)
        return np.sort(order[count:]), np.sort(order[:count])
    order, alone = _by_class(order, labels)
    count = min(_count(rows, fraction), len(order))
    # Every so manieth row of those that lie by class: just `count` of them, from anywhere on.
    places = np.arange(len(order), dtype=np.int64) * count + (alone.sum() + seed) % max(rows, 1)
    held = order[places % max(len(order), 1) < count]
    return _apart(rows, held)


def folds(
    rows: int,
    count: int,
    seed: int,
    draw: int = 0,
    *,
    labels: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> list[Parts]:
    """The rows cut into parts of one size: for each, all other rows, and the part.

    Parameters
    ----------
    rows, seed, draw, labels
        As for `split`.
    count : int
        How many parts, at least 2 and at most as many as there are rows (or groups).
    groups : int array (rows,), optional
        Rows of one group are of one part; parts are then as even as the groups allow, and classes
        are as they come.

    Returns
    -------
    list of (rest, part)
    """
    most = rows if groups is None else len(np.unique(groups))
    count = _check.whole("folds", count, 2, maximum=max(2, most))
    order = _order(rows, seed, draw)
    if groups is not None:
        part = _even_groups(order, groups, count)
    else:
        part = np.full(rows, -1)
        if labels is not None:
            order, _ = _by_class(order, labels)
        part[order] = np.arange(len(order)) % count
    return [_apart(rows, np.flatnonzero(part == number)) for number in range(count)]


def split_by_group(groups: np.ndarray, fraction: float, seed: int, draw: int = 0) -> Parts:
    """As `split`, of whole groups: those of the part have about that share of the rows.

    Parameters
    ----------
    groups : int array (rows,)
        Which group each row is of.
    fraction, seed, draw
        As for `split`.
    """
    fraction = _check.number("fraction", fraction, minimum=0.0, below=1.0)
    names, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(names) < 2:
        raise ValueError(_check.refusal("groups", "one group", "at least two"))
    order = _order(len(names), seed, draw)
    before = np.concatenate([[0], np.cumsum(sizes[order])])
    most = int(np.abs(before[:-1] - _count(len(groups), fraction)).argmin())
    chosen = order[: max(most, 1 if fraction else 0)]
    return _apart(len(groups), np.flatnonzero(np.isin(group, chosen)))


def split_by_time(times: np.ndarray, fraction: float) -> Parts:
    """The rows before a time, and those from it on, which are about this share of all.

    Parameters
    ----------
    times : float array (rows,)
        Finite; rows of one time stay together.
    fraction : float
        As for `split`.
    """
    fraction = _check.number("fraction", fraction, minimum=0.0, below=1.0)
    count = _count(len(times), fraction)
    if not count:
        return _apart(len(times), np.zeros(0, np.int64))
    ordered = np.sort(times)
    first = ordered[len(times) - count]
    if first == ordered[0]:
        later = ordered[ordered > first]
        if not len(later):
            raise ValueError(_check.refusal("times", "one time in all rows", "at least two"))
        first = later[0]
    return _apart(len(times), np.flatnonzero(times >= first))


def _count(rows: int, fraction: float) -> int:
    return max(1, round(rows * fraction)) if fraction else 0


def _order(rows: int, seed: int, draw: int) -> np.ndarray:
    seed = _check.whole("seed", seed, 0, maximum=philox.MAX_SEED)
    order = np.empty(rows, dtype=np.int64)
    philox.permutation(order, seed, philox.STREAM_SPLIT + draw)
    return order


def _by_class(order: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows class by class, each in this order, less those alone in theirs; and which these are."""
    alone = np.bincount(labels)[labels] == 1
    order = order[np.argsort(labels[order], kind="stable")]
    return order[~alone[order]], alone


def _even_groups(order: np.ndarray, groups: np.ndarray, count: int) -> np.ndarray:
    """The part of each row: the larger a group the earlier it goes to the smallest part so far."""
    _, first, group, sizes = np.unique(
        groups[order], return_index=True, return_inverse=True, return_counts=True
    )
    room = np.zeros(count, np.int64)
    part_of_group = np.empty(len(sizes), np.int64)
    for number in np.lexsort((first, -sizes)):
        part_of_group[number] = room.argmin()
        room[part_of_group[number]] += sizes[number]
    part = np.empty(len(order), np.int64)
    part[order] = part_of_group[group]
    return part


def _apart(rows: int, held: np.ndarray) -> Parts:
    rest = np.ones(rows, bool)
    rest[held] = False
    return np.flatnonzero(rest), np.sort(held)
