"""Rows and labels as scikit-learn's users have them, to tables and back."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.utils.validation import check_array

from fastweights import _check, _frames
from fastweights.table import Cells, Table, read
from fastweights.table.columns.category import key_of
from fastweights.table.numerals import missing
from fastweights.table.targets import class_name, has_target

#: What the target is called that has no name.
TARGET = "target"


def table_of(x: Any, names: Sequence[str] | None = None) -> Table:
    """The table of a frame, an array or a list of rows.

    Parameters
    ----------
    x : frame, array_like (rows, columns)
        Objects may be numbers, texts, dates, booleans, and missing values of any kind.
    names : sequence of str, optional
        Of the columns; unless given a frame's own, and ``x0``, ``x1``, ... of what has none.

    Raises ValueError or TypeError where it is no table.
    """
    if _frames.is_frame(x):
        table = replace(read(x), source="X")
    else:
        if isinstance(x, (list, tuple)):
            x = np.asarray(x, dtype=object)
        x = check_array(x, dtype=None, ensure_all_finite=False)
        try:
            columns = {f"x{place}": x[:, place] for place in range(x.shape[1])}
            table = replace(read(columns), source="X")
        except TypeError as error:
            raise TypeError(f"X: {error}; the argument must be a string or a number") from None
    if names is None:
        return table
    return replace(table, columns=dict(zip(names, table.columns.values(), strict=True)))


def has_names(x: Any) -> bool:
    """Whether columns have names that tell: those of a frame, but 0, 1, ... or Polars' own."""
    names = _frames.names(x)
    return names is not None and names != tuple(f"column_{place}" for place in range(len(names)))


def kinds_of_unnamed(table: Table) -> dict[str, str]:
    """The kinds of columns that have no names: numbers are used, whatever they look like.

    Whether whole numbers that are all different name the rows is told by a name alone.
    """
    kinds = {}
    for name, cells in table.columns.items():
        plain = np.isfinite(cells.values)
        if plain.any() and (plain | missing(cells)).all():
            kinds[name] = "keep"
    return kinds


def name_of_target(y: Any, columns: Sequence[str]) -> str:
    """What the target is called: as the column that it was, if that is none of the others."""
    name = (_frames.labels(y) or ("",))[0] if _frames.is_column(y) else ""
    name = name.strip() or TARGET
    while name in columns:
        name += "_"
    return name


def labels_of(y: Any) -> np.ndarray:
    """Labels as an array: of objects that are all numbers, or booleans, it is one of these.

    Raises ValueError where a label is missing.
    """
    labels = np.asarray(y)
    if labels.dtype != object or labels.ndim != 1:
        return labels
    values = labels.tolist()
    kinds = {type(value) for value in values}
    for row, value in enumerate(values):
        if value is None or type(value).__name__ == "NAType":
            raise ValueError(_check.refusal("y", f"{value} in row {row}", "a label in every row"))
    return np.array(values) if len(kinds) == 1 and kinds <= {bool, int, float} else labels


def refuse_times(y: Any) -> None:
    """Raises ValueError for targets that are dates or durations, whose numbers say little."""
    values = np.asarray(y)
    first = values.ravel()[0] if values.size else None
    is_time = isinstance(first, (datetime.date, datetime.timedelta, np.datetime64, np.timedelta64))
    if values.dtype.kind in "mM" or is_time:
        got = f"dates or durations, the first {first}"
        expected = "numbers, such as (y - y.min()) / np.timedelta64(1, 'D'), days since the first"
        raise ValueError(_check.refusal("y", got, expected))


def names_of_classes(labels: np.ndarray) -> tuple[str, ...]:
    """What labels are called in a table, each otherwise: as they are where a table reads them so.

    A table takes some texts as no class at all (``NA``), and others as the same one (``Yes`` and
    ``yes``); labels, of which there is one like that, have their numbers before them.
    """
    names = tuple(str(label) for label in labels.tolist())
    if _are_read_as_they_are(names):
        return names
    return tuple(f"{place}: {' '.join(name.split())}".strip() for place, name in enumerate(names))


def _are_read_as_they_are(names: Sequence[str]) -> bool:
    for name in names:
        cells = Cells.from_texts([name])
        alone = Table({TARGET: cells})
        if cells[0] != name or class_name(name) != name:
            return False
        if not has_target(alone, TARGET, "classification").all():
            return False
    keys = [{key_of(name, merging) for name in names} for merging in ("words", "truths")]
    return all(len(of_names) == len(names) for of_names in keys)


def places_of(labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The place of each label among the classes, which are in order.

    Raises ValueError for one that is none of them.
    """
    places = np.searchsorted(classes, labels)
    known = classes[np.minimum(places, len(classes) - 1)] == labels
    if not known.all():
        got = f"the label {labels[~known].tolist()[0]!r}"
        raise ValueError(_check.refusal("eval_set", got, "labels of y"))
    return places
