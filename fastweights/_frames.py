"""Frames, as pandas and polars have them: tables with a name and a dtype for each column.

They are known by what they can do, those of pandas by `iloc` and those of polars by `get_columns`:
neither library is ever imported here. Refusals name the column.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from fastweights import _objects
from fastweights._refusal import refusal, shown


def is_frame(x: Any) -> bool:
    """Whether `x` is a table of named columns, as pandas and polars have them."""
    kind = type(x)
    is_table = hasattr(kind, "columns") and hasattr(kind, "to_numpy")
    return is_table and (hasattr(kind, "iloc") or hasattr(kind, "get_columns"))


def is_column(x: Any) -> bool:
    """Whether `x` is one such column on its own."""
    return hasattr(type(x), "to_numpy") and hasattr(type(x), "dtype")


def labels(x: Any) -> tuple[str, ...] | None:
    """What a frame calls its columns, or a column itself; None for anything without such a name."""
    if type(x) is np.ndarray:
        return None
    if is_frame(x):
        return tuple(str(label) for label in x.columns)
    name = getattr(x, "name", None) if is_column(x) else None
    return (str(name),) if name is not None and str(name) else None


def _positions(n: int) -> tuple[str, ...]:
    """What columns are called that got no names: 0, 1, ..."""
    return tuple(str(i) for i in range(n))


def names(x: Any) -> tuple[str, ...] | None:
    """The names of a frame's columns; None for anything without, or labelled 0, 1, ..."""
    if type(x) is np.ndarray or not is_frame(x):
        return None
    found = labels(x)
    return None if found is None else meaning_something(found)


def meaning_something(found: tuple[str, ...]) -> tuple[str, ...] | None:
    """These labels; None where they are but 0, 1, ..."""
    return None if found == _positions(len(found)) else found


def arranged(argument: str, x: Any, names: tuple[str, ...] | None) -> Any:
    """A frame with its columns in the order of `names`; anything without names as it is.

    Parameters
    ----------
    argument : str
        What messages call `x`.
    x : array_like or frame
        Copied only where its columns stand in another order.
    names : tuple of str, or None
        As the function `names` gave them for the frame that `x` must be like. Where that had none,
        the labels 0, 1, ... are positions, and all others mean nothing.

    Raises
    ------
    ValueError
        Columns are missing or unexpected, or it cannot be told which of equal names is which.
    """
    found = None if type(x) is np.ndarray or not is_frame(x) else labels(x)
    order = None if found is None else order_of(argument, found, names)
    if order is None:
        return x
    return x.iloc[:, order] if hasattr(x, "iloc") else x[:, order]


def order_of(
    argument: str, found: tuple[str, ...], names: tuple[str, ...] | None
) -> list[int] | None:
    """Where the columns that were found have those of `names`; None: they stay as they are.

    Refuses what `arranged` refuses.
    """
    positions = _positions(len(found))
    wanted = positions if names is None else names
    if found == wanted:
        return None
    missing, unexpected = Counter(wanted) - Counter(found), Counter(found) - Counter(wanted)
    if missing or unexpected:
        if names is None or found == positions:
            return None
        again = Counter({name: unexpected[name] for name in unexpected if name in wanted})
        parts = [("without", missing), ("more than once", again), ("with", unexpected - again)]
        got = " and ".join(f"{word} {_listed(which)}" for word, which in parts if which)
        raise ValueError(refusal(argument, f"columns {got}", f"the columns {_listed(wanted)}"))
    place = {name: i for i, name in enumerate(found)}
    if len(place) < len(found):
        twice = _listed(Counter(found) - Counter(place))
        raise ValueError(
            refusal(argument, f"several columns {twice}", f"the order {_listed(wanted)}")
        )
    return [place[name] for name in wanted]


def _listed(names: Iterable[str]) -> str:
    """``'a', 'b'``, and how many more there are after the fourth."""
    known = [shown(name) for name in names]
    more = f" and {len(known) - 4} more" if len(known) > 4 else ""
    return ", ".join(known[:4]) + more


def from_frame(argument: str, frame: Any) -> np.ndarray:
    """The numbers of a frame, (rows, columns)."""
    if hasattr(frame, "get_columns"):
        columns = frame.get_columns()
    else:
        dtypes = set(frame.dtypes)
        if len(dtypes) == 1 and getattr(dtypes.pop(), "kind", "O") in _objects.REAL_KINDS:
            array = np.asarray(frame.to_numpy())
            if array.dtype.kind in _objects.REAL_KINDS:
                return array
        columns = [frame.iloc[:, i] for i in range(frame.shape[1])]
    if not columns:
        return np.empty(frame.shape)
    arrays = [from_column(argument, column) for column in columns]
    for column, array in zip(columns, arrays, strict=True):
        if array.ndim != 1:
            what = f"several numbers a row{_objects.in_column(str(column.name))}"
            raise TypeError(refusal(argument, what, _objects.EXPECTED))
    return np.stack(arrays, axis=1)


def from_column(argument: str, column: Any) -> np.ndarray:
    """The numbers of a column, (rows,)."""
    label = labels(column)
    if str(column.dtype).lower().startswith(("category", "categorical", "enum")):
        where = "" if label is None else _objects.in_column(label[0])
        is_polars = hasattr(column, "to_physical")
        ways = ".to_dummies() or .to_physical()" if is_polars else "pd.get_dummies or .cat.codes"
        raise TypeError(
            refusal(argument, f"categories{where}", _objects.EXPECTED)
            + f"; {ways} makes numbers of them"
        )
    return _objects.to_array(argument, column, label)
