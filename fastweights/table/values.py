"""Columns of values to cells: as NumPy, pandas, Polars, PyArrow and Python have them.

None of these libraries is imported here: they are known by what their objects can do.
"""

from __future__ import annotations

import datetime
import numbers
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from fastweights import _check
from fastweights._json import shown
from fastweights.table.cells import Cells

#: What pandas has for missing values, besides what is not equal to itself.
_MISSING = frozenset({"NAType", "NaTType"})


def cells_of(name: str, column: Any, decimal: str = ".") -> Cells:
    """The cells of a column: numbers are numbers, also in texts with this mark; else its text.

    Missing values of any kind are empty cells; times are written as ISO 8601 has them, without the
    time of day where that is always midnight; durations are seconds.

    Raises TypeError where values are tables or lists themselves, or the column is none.
    """
    if isinstance(column, (str, bytes, Mapping)) or not isinstance(column, Iterable):
        got = f"{type(column).__name__} as column {shown(name)}"
        raise TypeError(_check.refusal("columns", got, "several values"))
    values = _array_of(column)
    if values is None:
        return _of_objects(name, column, decimal)
    if values.ndim != 1:
        got = f"shape {values.shape} as column {shown(name)}"
        raise ValueError(_check.refusal("columns", got, "one value a row"))
    if values.dtype.kind in "iuf":
        return Cells.from_numbers(values)
    if values.dtype.kind == "b":
        return Cells.from_codes(1 - values.astype(np.int32), ("True", "False"))
    if values.dtype.kind == "M":
        return _of_times(values)
    if values.dtype.kind == "m":
        seconds = values / np.timedelta64(1, "s")
        return Cells.from_numbers(seconds)
    return _of_objects(name, values.tolist(), decimal)


def texts_in(column: Any) -> set[str]:
    """The different texts that are values of a column; none where its dtype says what it holds."""
    if _array_of(column) is not None:
        return set()
    return {value.strip() for value in _objects_in(column) if isinstance(value, str)}


def _array_of(column: Any) -> np.ndarray | None:
    """The column as an array of a dtype that says what it holds, or None where it is objects."""
    if isinstance(column, np.ma.MaskedArray):
        if column.dtype.kind not in "iuf":
            return None
        return np.where(np.ma.getmaskarray(column), np.nan, column.data.astype(np.float64))
    if isinstance(column, np.ndarray):
        return None if column.dtype.kind in "OSUVc" else np.asarray(column)
    if hasattr(column, "to_arrow") and hasattr(column, "null_count"):  # Polars
        return _by_dtype(column, str(column.dtype), column.null_count())
    if hasattr(column, "combine_chunks") or hasattr(column, "to_pylist"):  # PyArrow
        return _by_dtype(column, str(column.type), column.null_count)
    dtype = getattr(column, "dtype", None)  # pandas
    if dtype is None or not hasattr(column, "to_numpy"):
        return None
    if isinstance(dtype, np.dtype):
        return None if dtype.kind in "OSUVc" else column.to_numpy()
    if getattr(dtype, "_is_numeric", False):
        if getattr(dtype, "_is_boolean", False):
            return None if column.isna().any() else column.to_numpy(dtype=bool)
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    return None


def _by_dtype(column: Any, dtype: str, missing: int) -> np.ndarray | None:
    """A column of Polars or PyArrow, whose dtype has this name and which lacks so many values."""
    words = dtype.lower()
    if words.startswith(("decimal", "time64", "time32")) or words == "time":
        return None
    plain = ("int", "uint", "float", "double", "halffloat", "timestamp", "date", "duration")
    if words.startswith(plain) or (words.startswith("bool") and not missing):
        copying = {"zero_copy_only": False} if hasattr(column, "to_pylist") else {}
        try:
            return np.asarray(column.to_numpy(**copying))
        except TypeError:  # older ones, in chunks, always copy
            return np.asarray(column.to_numpy())
    return None


def _of_times(values: np.ndarray) -> Cells:
    """Texts of datetime64 (rows,)."""
    different, places = np.unique(values, return_inverse=True)
    known = different[~np.isnat(different)]
    if (known == known.astype("M8[D]")).all():
        texts = np.datetime_as_string(different, unit="D")
    else:
        whole = (known == known.astype("M8[s]")).all()
        texts = np.datetime_as_string(different, unit="s" if whole else "us")
    words = ["" if text == "NaT" else text.replace("T", " ") for text in texts.tolist()]
    return Cells.from_codes(places.astype(np.int32), tuple(words))


def _of_objects(name: str, values: Iterable[Any], decimal: str) -> Cells:
    """Texts of Python's objects; one that occurs often is written once."""
    texts = (_text(name, value, decimal) for value in _objects_in(values))
    return Cells.from_texts(texts, decimal)


def _objects_in(column: Any) -> Iterable[Any]:
    """The values of a column as Python's objects."""
    if hasattr(column, "to_pylist"):
        return column.to_pylist()
    return column.to_list() if hasattr(column, "to_list") else column


def _text(name: str, value: Any, decimal: str) -> str:
    """A value's text; of one that is a number, with the decimal mark that texts have."""
    if isinstance(value, str):
        return value
    text = _text_of_object(name, value)
    is_number = isinstance(value, (numbers.Number, datetime.timedelta))
    return text.replace(".", decimal) if is_number else text


def _text_of_object(name: str, value: Any) -> str:
    if value is None or type(value).__name__ in _MISSING:
        return ""
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8", "replace")
    if isinstance(value, datetime.timedelta):
        return repr(value.total_seconds())
    if isinstance(value, Iterable):
        got = f"{type(value).__name__} in column {shown(name)}"
        raise TypeError(_check.refusal("columns", got, "one value a cell"))
    if isinstance(value, (float, np.floating)):
        return "" if value != value else repr(float(value))
    if isinstance(value, np.datetime64) and np.isnat(value):
        return ""
    return str(value)
