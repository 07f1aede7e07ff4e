"""Rows that stay on disk: memory maps and files of NumPy's, read piece by piece.

# Design: pages of a map that were read are memory of this process, until they are given back. So
# what is larger than LARGE is never gone through by kernels: pieces of it are copied out, and the
# pages given back after every NEAR_BYTES. Where rows are picked, those of a piece are read in the
# order in which they lie, since the system brings up to AROUND bytes with each.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastweights import _check, _objects

#: Maps up to so many bytes are arrays as all others.
LARGE = 32 << 20
#: What may be read before pages are given back ...
NEAR_BYTES = 8 << 20
#: ... and what comes with a page, on Linux.
AROUND = 64 << 10


def mapped(array: Any) -> np.memmap | None:
    """The map that an array is, or looks at."""
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap) and getattr(array, "_mmap", None) is not None:
            return array
        array = array.base
    return None


def is_large(array: Any) -> bool:
    """Whether these are numbers of a map that is to stay on disk."""
    return isinstance(array, OnDisk) or (
        isinstance(array, np.ndarray) and array.nbytes > LARGE and mapped(array) is not None
    )


class OnDisk:
    """Rows of one array or of several, one after the other, of which some are maps.

    Parameters
    ----------
    arrays : sequence of ndarray (rows, ...)
        All of one dtype and of rows of one shape.
    """

    def __init__(self, arrays: Sequence[np.ndarray]) -> None:
        self._homes = [mapped(array) for array in arrays]
        self._arrays = [np.asarray(array) for array in arrays]
        self._ends = np.cumsum([len(array) for array in arrays])
        first = self._arrays[0]
        self.shape = (int(self._ends[-1]), *first.shape[1:])
        self.dtype, self.ndim = first.dtype, first.ndim
        self.row_bytes = first[:1].nbytes

    def __len__(self) -> int:
        return self.shape[0]

    def stretch(self, first: int, last: int) -> np.ndarray:
        """A copy of rows that follow each other."""
        rows = np.empty((last - first, *self.shape[1:]), self.dtype)
        at_once, done = max(1, NEAR_BYTES // max(1, self.row_bytes)), first
        while done < last:
            which, begin = self._home_of(done)
            upto = min(last, done + at_once, int(self._ends[which]))
            self._refuse_shorter(which)
            rows[done - first : upto - first] = self._arrays[which][done - begin : upto - begin]
            self._give_back(which, done - begin, upto - begin)
            done = upto
        return rows

    def picked(self, numbers: np.ndarray) -> np.ndarray:
        """A copy of the rows of these numbers."""
        rows = np.empty((len(numbers), *self.shape[1:]), self.dtype)
        places = np.argsort(numbers, kind="stable")
        ascending = numbers[places]
        at_once, done = max(1, NEAR_BYTES // (self.row_bytes + AROUND)), 0
        while done < len(numbers):
            which, begin = self._home_of(int(ascending[done]))
            upto = min(done + at_once, int(np.searchsorted(ascending, self._ends[which])))
            own = ascending[done:upto] - begin
            self._refuse_shorter(which)
            rows[places[done:upto]] = self._arrays[which][own]
            self._give_back(which, int(own[0]), int(own[-1]) + 1)
            done = upto
        return rows

    def _home_of(self, number: int) -> tuple[int, int]:
        """Which array has the row of this number, and that of its first row."""
        which = int(np.searchsorted(self._ends, number, side="right"))
        return which, int(self._ends[which]) - len(self._arrays[which])

    def _refuse_shorter(self, which: int) -> None:
        """Raises ValueError where a file was cut: pages that are gone would end the process."""
        home = self._homes[which]
        path = None if home is None else home.filename
        if home is None or path is None or not os.path.exists(path):  # its pages are there still
            return
        least, size = home.offset + home.nbytes, os.path.getsize(path)
        if size < least:
            got = f"{size} bytes, as it was cut meanwhile"
            raise ValueError(_check.refusal(os.fspath(path), got, f"{least} bytes at least"))

    def _give_back(self, which: int, first: int, last: int) -> None:
        home, array = self._homes[which], self._arrays[which]
        if home is not None:
            step = array.strides[0]
            is_compact = step > 0 and array[0].flags.c_contiguous and array[0].nbytes <= step
            give_back(home, array[first:last] if is_compact else None)


def give_back(home: np.memmap, part: np.ndarray | None) -> None:
    """Lets go of the memory that a part of a map takes, or all of it; what is on disk stays.

    Not of a private map, whose pages may have what is nowhere else.
    """
    pages = home._mmap  # type: ignore[attr-defined]
    if home.mode == "c" or not hasattr(mmap, "MADV_DONTNEED"):
        return
    if part is None:
        pages.madvise(mmap.MADV_DONTNEED)
        return
    begin = part.ctypes.data - np.frombuffer(pages, np.uint8).ctypes.data
    first = begin // mmap.PAGESIZE * mmap.PAGESIZE
    size = (len(part) - 1) * part.strides[0] + part[:1].nbytes
    pages.madvise(mmap.MADV_DONTNEED, first, begin + size - first)


# ---- files ---------------------------------------------------------------------------------------


def is_path(given: Any) -> bool:
    """Whether this is the path of a file of NumPy's."""
    return isinstance(given, (str, os.PathLike)) and str(os.fspath(given)).endswith(".npy")


def opened(argument: str, given: Any) -> Any:
    """The numbers of a ``.npy`` file, or of several, as one array or `OnDisk`; all else as it is.

    Raises
    ------
    ValueError
        A file is none of NumPy's, or its rows are not of the shape and dtype of the first one's.
    OSError
        It cannot be read.
    """
    several = given if isinstance(given, (list, tuple)) else [given]
    if not several or not all(is_path(one) for one in several):
        return given
    arrays = [_opened(argument, Path(one)) for one in several]
    return (
        arrays[0] if len(arrays) == 1 else joined(argument, arrays, list(map(os.fspath, several)))
    )


def joined(argument: str, arrays: Sequence[np.ndarray], names: Sequence[str] = ()) -> Any:
    """Arrays whose rows follow each other as one, or as `OnDisk`; messages call them `names`."""
    names = names or [f"map {number}" for number in range(len(arrays))]
    for name, array in zip(names, arrays, strict=True):
        first = arrays[0]
        if array.shape[1:] != first.shape[1:] or array.dtype != first.dtype:
            got = f"rows of shape {array.shape[1:]} and {array.dtype} in {name}"
            expected = f"{first.shape[1:]} and {first.dtype}, as in {names[0]}"
            raise ValueError(_check.refusal(argument, got, expected))
    arrays = [array for array in arrays if len(array)] or arrays[:1]
    if sum(array.nbytes for array in arrays) > LARGE:
        return OnDisk(arrays)
    return np.concatenate(arrays)


def _opened(argument: str, path: Path) -> np.ndarray:
    """The file as a map, if it is large."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(
            _check.refusal(argument, f"{path} ({error})", "a file that np.save wrote")
        ) from None
    if array.ndim == 0 or array.dtype.kind not in _objects.REAL_KINDS:
        got = f"shape {array.shape} of {array.dtype} in {path}"
        raise ValueError(_check.refusal(argument, got, "rows of real numbers"))
    return array if array.nbytes > LARGE else np.array(array)
