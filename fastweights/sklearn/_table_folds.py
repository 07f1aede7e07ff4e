"""Which rows are scored by a model of which others."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.model_selection import TimeSeriesSplit, check_cv

from fastweights import _check
from fastweights.table import Table
from fastweights.table.fitting import groups_of, refuse_one_time, times_of
from fastweights.table.splitting import Parts, folds


def folds_of(
    cv: Any, table: Table, targets: np.ndarray, split: Any, task: str, seed: int
) -> list[Parts] | None:
    """The numbers of the rows to learn from and of those to score, fold by fold.

    Parameters
    ----------
    cv : int, splitter, iterable of pairs, or None
        A number of folds leaves rows out as `split` says: in an order by the seed, each class with
        its share; or group by group; or what is later than all that is learnt from.
    table : Table
    targets : ndarray (rows,)
        Those of the rows, or the numbers of classes.
    split : str, optional
        As `fastweights.table.Recipe` has it.
    task : {"regression", "classification"}
    seed : int
    """
    if cv is None:
        return None
    is_classes = task == "classification"
    if not isinstance(cv, Integral) or isinstance(cv, (bool, np.bool_)):
        splitter = check_cv(cv, targets, classifier=is_classes)
        return list(splitter.split(np.empty(len(table)), targets))
    kind, _, column = str(split).partition(":")
    if kind == "time":
        times = times_of(table, column)
        if times.min() == times.max():
            refuse_one_time(column)
        order = np.argsort(times, kind="stable")
        return [(order[train], order[test]) for train, test in TimeSeriesSplit(cv).split(order)]
    groups = groups_of(table[column]) if kind == "group" else None
    most, what = len(table), "rows"
    if groups is not None:
        most, what = len(np.unique(groups)), f"groups in column {_check.shown(column)}"
    if not 2 <= int(cv) <= most:
        expected = f"2 to {most}, as there are {most:,} {what}"
        raise ValueError(_check.refusal("cv", cv, expected))
    labels = targets if is_classes and groups is None else None
    return folds(len(table), int(cv), seed, labels=labels, groups=groups)
