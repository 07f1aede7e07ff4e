"""Whether data are those of before: short texts that are the same only for the same data."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fastweights._rows import Examples, each

#: Of more, rows that are spread evenly over all of them stand for the rest.
MAX_BYTES = 256 << 20
#: What is looked at at a time.
_PIECE_BYTES = 4 << 20


def _new() -> Any:
    return hashlib.blake2b(digest_size=16)


def of_examples(rows: int, row_bytes: int, read: Callable[[np.ndarray], Examples]) -> str:
    """Of so many rows, of which `read` gives those of some numbers."""
    found = _new()
    found.update(repr(rows).encode())
    numbers = _spread(rows, row_bytes)
    at_once = max(1, _PIECE_BYTES // max(1, row_bytes))
    for first in range(0, len(numbers), at_once):
        examples = read(numbers[first : first + at_once])
        for array in (*each(examples.x), *each(examples.y), *(examples.weights or ())):
            _take_in(found, array)
    return found.hexdigest()


def of_given(*given: Any) -> str:
    """Of arrays, lists, frames and dicts of them, as they came."""
    found = _new()
    for one in given:
        _take_in(found, one)
    return found.hexdigest()


def _spread(rows: int, row_bytes: int) -> np.ndarray:
    """Numbers of all rows, or of as many as MAX_BYTES has, the last one among them."""
    most = max(1, MAX_BYTES // max(1, row_bytes))
    if rows <= most:
        return np.arange(rows)
    return (np.arange(1, most + 1, dtype=np.int64) * rows) // most - 1


def _take_in(found: Any, given: Any) -> None:
    if isinstance(given, np.ndarray):
        _take_in_array(found, given)
    elif isinstance(given, Mapping) or hasattr(given, "columns"):  # a frame
        names = list(given.columns if hasattr(given, "columns") else given)
        for name in names:
            found.update(repr(name).encode())
            _take_in(found, given[name])
    elif hasattr(given, "__array__"):
        _take_in_array(found, np.asarray(given))
    elif isinstance(given, (list, tuple)):
        found.update(f"[{len(given)}]".encode())
        for one in given:
            _take_in(found, one)
    else:
        found.update(f"{given!r},".encode())


def _take_in_array(found: Any, array: np.ndarray) -> None:
    found.update(f"{array.dtype.str}{array.shape}".encode())
    if array.dtype.hasobject:
        for one in array.ravel():
            found.update(f"{one!r},".encode())
        return
    if array.ndim == 0:
        found.update(array.tobytes())
        return
    row_bytes = array[:1].nbytes
    numbers, at_once = _spread(len(array), row_bytes), max(1, _PIECE_BYTES // max(1, row_bytes))
    for first in range(0, len(numbers), at_once):
        found.update(array[numbers[first : first + at_once]].tobytes())
