"""Data that comes as no plain array of numbers: lists, subclasses of arrays, objects of any kind.

Everything becomes an array of NumPy's own class once, and only that is looked at from then on. What
holds no numbers is refused with the place of the first such thing and a word on how to make some.
"""

from __future__ import annotations

import functools
import numbers
import os
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Set, ValuesView
from typing import Any

import numpy as np

from fastweights._refusal import refusal, shown

#: Kinds of dtypes that are real numbers: floats, signed and unsigned whole numbers, truth values.
REAL_KINDS = "fiub"

EXPECTED = "an array of real numbers"

#: How to make numbers of dtypes that hold none, by their kind.
HINTS = {
    "M": "; subtract a date and divide by np.timedelta64(1, 'D') for numbers of days",
    "m": "; divide by np.timedelta64(1, 'D') for numbers of days",
    "fields": "; numpy.lib.recfunctions.structured_to_unstructured makes columns of fields",
}

#: How to get at the numbers of files, by the ends of their names.
FILES = {
    ".npy": "np.load({}, mmap_mode='r') opens it",
    ".npz": "np.load({}) opens it, and gives its arrays by their names",
    ".parquet": "fw.data.Parquet({}, target=...) gives batches of it",
    ".csv": "pandas.read_csv({}) makes a frame of it",
    ".tsv": "pandas.read_csv({}, sep='\\t') makes a frame of it",
    ".txt": "np.loadtxt({}) reads numbers",
}
_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, types.MethodType, functools.partial)


def refuse_no_data(argument: str, got: Any) -> None:
    """Raises TypeError for what stands for data and is none: a path, a function, a class."""
    several = got if isinstance(got, (list, tuple)) else [got]
    if several and all(_ending(one) is not None for one in several):
        raise _path_refusal(argument, got, several[0])
    if isinstance(got, (str, os.PathLike)):
        raise _path_refusal(argument, got, got)
    if isinstance(got, type):
        what, hint = f"the class {got.__name__}", f"{got.__name__}(...) makes an object of it"
    elif isinstance(got, _FUNCTIONS):
        name = getattr(got, "__name__", "it")
        what, hint = f"the function {name}", f"call it: {name}(...) gives what it makes"
    elif hasattr(type(got), "__getitem__") and not _is_gone_through(got):
        name = type(got).__name__
        what = f"an object of {name}, which has __getitem__ and no __len__"
        hint = "with __len__ it gives batches by their numbers"
    else:
        return
    raise TypeError(f"{refusal(argument, what, EXPECTED)}; {hint}")


def _is_gone_through(got: Any) -> bool:
    """Whether it has a length, can be iterated over, or is like an array."""
    ways = ("__len__", "__array__", "__dlpack__", "__array_interface__", "to_numpy")
    return isinstance(got, Iterable) or any(hasattr(type(got), way) for way in ways)


def _is_numbered(got: Any) -> bool:
    """Whether it is gone through by numbers alone."""
    kind = type(got)
    has_numbers = hasattr(kind, "__len__") and hasattr(kind, "__getitem__")
    ways = ("__iter__", "__array__", "__dlpack__", "__array_interface__", "__array_struct__")
    if not has_numbers or any(hasattr(kind, way) for way in ways):
        return False
    try:
        memoryview(got)
    except TypeError:
        return True
    return False


def _ending(got: Any) -> str | None:
    """How the name of a file ends; None for what is none."""
    if not isinstance(got, (str, os.PathLike)):
        return None
    end = os.path.splitext(os.fspath(got))[1]
    return end if end in FILES else None


def _path_refusal(argument: str, got: Any, first: str | os.PathLike[str]) -> TypeError:
    """About paths where numbers are expected, or about one text that may be a column's name."""
    text, end = os.fspath(first), _ending(first)
    what = f"the text {shown(text)}" if got is first else f"texts, the first {shown(text)}"
    if end is not None:
        hint = FILES[end].format(shown(text))
    elif os.path.isdir(text):
        hint = "it is a folder: fw.images.load_folder reads one of images"
    elif isinstance(first, os.PathLike):
        hint = "read the file first: pandas and polars make frames of many kinds"
    else:
        hint = f"a frame's column comes as itself: frame[{shown(text)}]"
    return TypeError(f"{refusal(argument, what, EXPECTED)}; {hint}")


def to_array(argument: str, got: Any, labels: tuple[str, ...] | None = None) -> np.ndarray:
    """Real numbers as an array of NumPy's own class; what is one already is not copied.

    `labels` is what messages call the columns.
    """
    array = _unmasked(argument, got) if isinstance(got, np.ndarray) else _asarray(argument, got)
    kind = array.dtype.kind
    if kind in REAL_KINDS:
        return array
    if kind == "O":
        return _from_objects(argument, array, labels)
    if kind in "UST" and array.size:
        raise _text_refusal(argument, array, labels)
    where = "" if labels is None else in_column(labels[0])
    hint = HINTS.get("fields" if array.dtype.names else kind, "")
    raise TypeError(refusal(argument, f"dtype {array.dtype}{where}", EXPECTED) + hint)


def place(index: tuple[int, ...], labels: tuple[str, ...] | None = None) -> str:
    """Where an element is, in the words of messages, after a space; `labels` name the columns."""
    if not index:
        return ""
    column = index[1] if len(index) > 1 else 0
    if labels is None or len(index) > 2 or column >= len(labels):
        return f" at {index}"
    return f"{in_column(labels[column])}, row {index[0]}"


def in_column(label: str) -> str:
    return f" in column {shown(label)}"


def _unmasked(argument: str, got: np.ndarray, row: tuple[int, ...] = ()) -> np.ndarray:
    """The array, or row of a list, without its subclass, which must not hide entries."""
    array = np.asarray(got)
    if isinstance(got, np.ma.MaskedArray) and array.dtype.names is None:
        hidden = np.argwhere(np.ma.getmaskarray(got))
        if len(hidden):
            where = place((*row, *hidden[0].tolist()))
            raise ValueError(
                refusal(argument, f"a masked entry{where}", EXPECTED)
                + "; .filled(value) gives every such a value"
            )
    return array


def _asarray(argument: str, got: Any) -> np.ndarray:
    """What NumPy makes of an object that is no array."""
    kind = type(got).__name__
    if got is None:
        raise TypeError(refusal(argument, "None", EXPECTED))
    refuse_no_data(argument, got)
    if hasattr(type(got), "nnz") and hasattr(type(got), "toarray"):
        raise TypeError(
            refusal(argument, f"a sparse {kind}", EXPECTED) + f"; {argument}.toarray() makes one"
        )
    if callable(getattr(type(got), "collect", None)):
        raise TypeError(
            refusal(argument, f"a {kind}", EXPECTED) + f"; {argument}.collect() has the numbers"
        )
    if isinstance(got, (Iterator, ValuesView)):
        raise TypeError(
            refusal(argument, f"a {kind}", EXPECTED)
            + "; list(...) holds what it gives, or train_on_batch takes each batch"
        )
    if isinstance(got, Mapping):
        raise TypeError(
            refusal(argument, f"a {kind}", EXPECTED)
            + "; np.column_stack(list(columns.values())) makes one of columns"
        )
    if isinstance(got, Set):
        raise TypeError(
            refusal(argument, f"a {kind}", EXPECTED) + "; sorted(...) gives it an order"
        )
    if _is_numbered(got):
        # NumPy would ask for ever where no IndexError ends it.
        got = [got[number] for number in range(len(got))]
        if any(isinstance(part, tuple) for part in got):
            raise TypeError(
                refusal(argument, f"a {kind} of batches", EXPECTED) + "; model.fit takes batches"
            )
    if isinstance(got, (list, tuple)) and any(
        issubclass(part, np.ma.MaskedArray) for part in set(map(type, got))
    ):
        for row, part in enumerate(got):
            if isinstance(part, np.ndarray):
                _unmasked(argument, part, (row,))
    try:
        if hasattr(type(got), "__dlpack__") and not hasattr(type(got), "__array__"):
            return np.from_dlpack(got)
        return np.asarray(got)
    except MemoryError:
        raise
    except Exception as error:
        if isinstance(got, (list, tuple)) and isinstance(error, (ValueError, Warning)):
            what = f"rows of unequal length ({error})"
            hint = "; cut or pad them to one length, or resize them, before they are one array"
            raise ValueError(refusal(argument, what, EXPECTED) + hint) from None
        what = f"a {kind} that does not become an array ({type(error).__name__}: {error})"
        raise TypeError(refusal(argument, what, EXPECTED)) from error


def _from_objects(argument: str, cells: np.ndarray, labels: tuple[str, ...] | None) -> np.ndarray:
    wrong = {kind for kind in set(map(type, cells.flat)) if not _is_number(kind)}
    if wrong:
        raise _kinds_refusal(argument, cells, labels, wrong)
    try:
        with np.errstate(over="ignore"):
            array = cells.astype(np.float64)
        is_lost = np.isinf(array) & (cells != array)  # a Decimal becomes infinite without a word
    except Exception:
        raise _lost_refusal(argument, cells, labels) from None
    if is_lost.any():
        raise _lost_refusal(argument, cells, labels)
    return array


def _is_number(kind: type) -> bool:
    if issubclass(kind, numbers.Complex):
        return issubclass(kind, numbers.Real)
    return issubclass(kind, (numbers.Number, np.bool_))


def _is_missing(kind: type) -> bool:
    return kind is type(None) or kind.__name__ in ("NAType", "NaTType")


def _first(cells: np.ndarray, is_meant: Callable[[Any], bool]) -> tuple[tuple[int, ...], Any]:
    """Index and value of the first such element; everything, where objects changed their minds."""
    return next((found for found in np.ndenumerate(cells) if is_meant(found[1])), ((), cells))


def _kinds_refusal(
    argument: str, cells: np.ndarray, labels: tuple[str, ...] | None, wrong: set[type]
) -> Exception:
    """About the first object that is no number; about a missing one only where that is all."""
    others = {kind for kind in wrong if not _is_missing(kind)}
    index, cell = _first(cells, lambda cell: type(cell) in (others or wrong))
    where = place(index, labels)
    if not others and index:
        return ValueError(
            refusal(argument, f"a missing value ({shown(cell)}){where}", EXPECTED)
            + "; fill in what is missing, or leave out its rows"
        )
    if isinstance(cell, (str, bytes)):
        return _text_refusal(argument, cells, labels)
    what = f"an entry of {type(cell).__name__}{where}" if index else type(cell).__name__
    if isinstance(cell, (list, tuple, np.ndarray)):
        return ValueError(refusal(argument, what, f"{EXPECTED}, all rows of one length"))
    return TypeError(refusal(argument, what, EXPECTED))


def _text_refusal(argument: str, cells: np.ndarray, labels: tuple[str, ...] | None) -> TypeError:
    """About the first text that is not even a number in writing, if there is one."""
    texts = [found for found in np.ndenumerate(cells) if isinstance(found[1], (str, bytes))]
    words = [found for found in texts if not _is_written_number(found[1])]
    index, text = (words or texts)[0]
    hint = (
        "a dict made once, of the rows to train on, numbers names alike in all rows: "
        "{name: i for i, name in enumerate(sorted(set(names)))}"
        if words
        else ".astype(float) reads numbers in writing"
    )
    plain = text.item() if isinstance(text, np.generic) else text
    what = f"the text {shown(plain)}{place(index, labels)}"
    return TypeError(f"{refusal(argument, what, EXPECTED)}; {hint}")


def _is_written_number(text: str | bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _lost_refusal(argument: str, cells: np.ndarray, labels: tuple[str, ...] | None) -> ValueError:
    """About the first number that is none any more as a float64."""

    def is_lost(cell: Any) -> bool:
        try:
            return abs(float(cell)) == np.inf and abs(cell) != np.inf
        except Exception:
            return True

    index, cell = _first(cells, is_lost)
    what = f"{shown(cell)}{place(index, labels)}"
    return ValueError(refusal(argument, what, "numbers that float64 can hold"))
