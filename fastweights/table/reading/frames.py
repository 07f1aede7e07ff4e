"""Tables that are in memory already: frames, mappings, and arrays of NumPy's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastweights import _check, _frames
from fastweights.table.naming import unique_names
from fastweights.table.reading.marks import find_marks, forms_of
from fastweights.table.tables import Table
from fastweights.table.values import cells_of, texts_in


def from_memory(source: Any, decimal: str | None = None) -> Table | None:
    """The table that an object holds, or None where it is none.

    The mark of numbers that are texts is `decimal`, or found from them.

    Raises ValueError or TypeError where it is a table that cannot be read.
    """
    if isinstance(source, Table):
        return source
    found = _columns_in(source)
    return None if found is None else _table_of(*found, decimal)


class _Labelled(NamedTuple):
    """Columns, what each is called, and what there is to say of them."""

    labels: list[Any]
    columns: list[Any]
    remarks: Sequence[str] = ()


def _columns_in(source: Any) -> _Labelled | None:
    if isinstance(source, np.ndarray):
        return _of_array(source)
    if isinstance(source, Mapping):
        return _Labelled(list(source), list(source.values()))
    if hasattr(source, "column_names") and hasattr(source, "itercolumns"):  # PyArrow
        return _Labelled(source.column_names, list(source.itercolumns()))
    if hasattr(source, "collect") and hasattr(source, "collect_schema"):
        got = "a frame of Polars that is not there yet"
        raise TypeError(_check.refusal("source", got, "the frame: collect() makes it"))
    if _frames.is_column(source):
        got, expected = _check.kind_of(source), "a table; of one row it is frame.iloc[[0]]"
        raise TypeError(_check.refusal("source", got, expected))
    if not _frames.is_frame(source):
        return None
    if hasattr(source, "get_columns"):  # Polars
        return _Labelled(source.columns, source.get_columns())
    return _of_pandas(source)


def _of_pandas(frame: Any) -> _Labelled:
    if getattr(frame.columns, "nlevels", 1) > 1:
        got = f"a frame whose columns have {frame.columns.nlevels} names each"
        raise ValueError(_check.refusal("source", got, "one name for a column"))
    columns = [frame.iloc[:, place] for place in range(frame.shape[1])]
    index = [repr(name) for name in frame.index.names if name is not None]
    remark = f"the index {', '.join(index)} is no column; reset_index() makes it one"
    return _Labelled(list(frame.columns), columns, [remark] if index else [])


def _of_array(array: np.ndarray) -> _Labelled:
    if array.dtype.names is not None and array.ndim == 1:
        return _Labelled(list(array.dtype.names), [array[name] for name in array.dtype.names])
    if array.ndim != 2:
        got = f"an array of shape {array.shape}"
        raise ValueError(_check.refusal("source", got, "one of shape (rows, columns)"))
    return _Labelled([""] * array.shape[1], list(array.T))


def _table_of(
    labels: list[Any], columns: list[Any], remarks: Sequence[str], decimal: str | None
) -> Table:
    names, renamed = unique_names("" if label is None else str(label) for label in labels)
    columns = [list(one) if isinstance(one, Iterator) else one for one in columns]
    table = Table.from_columns(dict(zip(names, columns, strict=True)))
    if not len(table):
        raise ValueError(_check.refusal("source", "no rows", "a table with rows"))
    marks = find_marks([forms_of(texts_in(one)) for one in columns], names, "", decimal)
    cells = dict(table.columns)
    for name, column, point in zip(names, columns, marks.points, strict=True):
        if point != ".":
            cells[name] = cells_of(name, column, point)
    said = (*renamed, *remarks, *marks.remarks)
    return Table(cells, marks.decimal, marks.thousands, table.source, said)
