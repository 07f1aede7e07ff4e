"""Tables that are in memory already: frames, mappings, and arrays of NumPy's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fastweights import _check, _frames
from fastweights.table.naming import unique_names
from fastweights.table.tables import Table


def from_memory(source: Any) -> Table | None:
    """The table that an object holds, or None where it is none.

    Raises ValueError or TypeError where it is a table that cannot be read.
    """
    if isinstance(source, Table):
        return source
    if isinstance(source, np.ndarray):
        return _of_array(source)
    if isinstance(source, Mapping):
        return _of_columns(list(source), list(source.values()))
    if hasattr(source, "column_names") and hasattr(source, "itercolumns"):  # PyArrow
        return _of_columns(source.column_names, list(source.itercolumns()))
    if hasattr(source, "collect") and hasattr(source, "collect_schema"):
        got = "a frame of Polars that is not there yet"
        raise TypeError(_check.refusal("source", got, "the frame: collect() makes it"))
    if _frames.is_column(source):
        got, expected = _check.kind_of(source), "a table; of one row it is frame.iloc[[0]]"
        raise TypeError(_check.refusal("source", got, expected))
    if not _frames.is_frame(source):
        return None
    if hasattr(source, "get_columns"):  # Polars
        return _of_columns(source.columns, source.get_columns())
    return _of_pandas(source)


def _of_pandas(frame: Any) -> Table:
    if getattr(frame.columns, "nlevels", 1) > 1:
        got = f"a frame whose columns have {frame.columns.nlevels} names each"
        raise ValueError(_check.refusal("source", got, "one name for a column"))
    columns = [frame.iloc[:, place] for place in range(frame.shape[1])]
    index = [repr(name) for name in frame.index.names if name is not None]
    remark = f"the index {', '.join(index)} is no column; reset_index() makes it one"
    return _of_columns(list(frame.columns), columns, [remark] if index else [])


def _of_array(array: np.ndarray) -> Table:
    if array.dtype.names is not None and array.ndim == 1:
        return _of_columns(list(array.dtype.names), [array[name] for name in array.dtype.names])
    if array.ndim != 2:
        got = f"an array of shape {array.shape}"
        raise ValueError(_check.refusal("source", got, "one of shape (rows, columns)"))
    return _of_columns([""] * array.shape[1], list(array.T))


def _of_columns(labels: list[Any], columns: list[Any], remarks: Sequence[str] = ()) -> Table:
    names, renamed = unique_names("" if label is None else str(label) for label in labels)
    table = Table.from_columns(dict(zip(names, columns, strict=True)))
    if not len(table):
        raise ValueError(_check.refusal("source", "no rows", "a table with rows"))
    return replace(table, remarks=(*renamed, *remarks))
