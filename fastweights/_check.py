"""Validation, all of it: every public function checks its arguments here, once, at the door.

A refusal is a ValueError or TypeError of one form, ``argument: got this, expected that``. Behind
the door values are not checked again; a plan looks at sizes alone.
"""

from __future__ import annotations

import math
import numbers
import operator
import sys
from collections.abc import Collection, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

from fastweights import _frames, _objects
from fastweights._absent import refuse_foreign
from fastweights._core import arrays, float_mode
from fastweights._importing import imported
from fastweights._refusal import LONGEST_REPR, hint_for_rows, listed, refusal, shown

T = TypeVar("T")

FLOATS = ("float32", "float64")
#: That an array may have.
MAX_AXES = 64


def kind_of(got: object) -> str:
    """What came, by its class; a class may have come where an object of it was meant."""
    return f"the class {got.__name__}" if isinstance(got, type) else type(got).__name__


#: Names that look like one that is known and mean something else.
ANOTHER_QUANTITY = frozenset({"auc", "mape", "msle"})
#: Words of others, and the names that they may stand for.
ANOTHER_WORD: dict[str, tuple[str, ...]] = {
    "cross_entropy": (
        "sparse_categorical_crossentropy",
        "categorical_crossentropy",
        "binary_crossentropy",
    ),
    "nll": ("sparse_categorical_crossentropy", "gaussian_nll"),
    "pinball": ("quantile",),
    "roc_auc": ("auc",),
}
#: Names that a refusal suggests at most.
MOST_MEANT = 3


def choice(argument: str, got: object, known: Mapping[str, T], ignore_case: bool = False) -> T:
    """``known[got]``, or a ValueError that lists what is known and suggests the nearest.

    With `ignore_case` capitals are as good as the small letters that are known.
    """
    if not isinstance(got, str):
        expected = f"a name, one of {listed(known)}, or an object of that kind"
        hint = f"; did you mean {got.__name__}()?" if isinstance(got, type) else ""
        raise TypeError(refusal(argument, kind_of(got), expected) + hint)
    name = str.__str__(got)  # a subclass may say that it is equal to anything
    key = name.lower() if ignore_case else name
    if key in known:
        return known[key]
    near = [] if key in ANOTHER_QUANTITY else _near(name[:LONGEST_REPR].lower(), known)
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
    raise ValueError(refusal(argument, shown(name), f"one of {listed(known)}") + hint)


def _near(name: str, known: Collection[str]) -> list[str]:
    """What is known by another word, or has all words of the name; else what is spelt like it."""
    meant = [one for one in ANOTHER_WORD.get(name, ()) if one in known]
    words = set(name.split("_"))
    having = [one for one in known if words <= set(one.split("_"))]
    if meant or having:
        return (meant or sorted(having, key=len))[:MOST_MEANT]
    difflib = imported("difflib")  # slow to import, and seldom used

    return difflib.get_close_matches(name, known, n=1)


def whole(argument: str, got: Any, minimum: int, maximum: int = sys.maxsize) -> int:
    """A whole number from ``minimum`` to ``maximum``."""
    if isinstance(got, (bool, np.bool_)):
        raise TypeError(refusal(argument, shown(got), "a whole number"))
    try:
        value = operator.index(got)  # an int, of no subclass
    except Exception:
        raise TypeError(refusal(argument, shown(got), "a whole number")) from None
    if value < minimum:
        raise ValueError(refusal(argument, shown(value), f"at least {minimum}"))
    if value > maximum:
        raise ValueError(refusal(argument, shown(value), f"at most {maximum}"))
    return value


def number(
    argument: str,
    got: Any,
    *,
    above: float | None = None,
    minimum: float | None = None,
    below: float | None = None,
    maximum: float | None = None,
) -> float:
    """A finite real number within the bounds given."""
    value = got if type(got) is float else _as_float(argument, got)
    if (
        math.isfinite(value)
        and (above is None or value > above)
        and (minimum is None or value >= minimum)
        and (below is None or value < below)
        and (maximum is None or value <= maximum)
    ):
        return value
    bounds = {"above": above, "at least": minimum, "below": below, "at most": maximum}
    words = [f"{word} {bound:g}" for word, bound in bounds.items() if bound is not None]
    raise ValueError(refusal(argument, shown(got), " and ".join(["a finite number", *words])))


def _as_float(argument: str, got: Any) -> float:
    """A real number of any kind; inf where it is beyond all floats."""
    if isinstance(got, (bool, np.bool_)) or not isinstance(got, (numbers.Real, np.floating)):
        raise TypeError(refusal(argument, shown(got), "a number"))
    try:
        return float(got)
    except OverflowError:
        return math.inf
    except Exception:
        raise TypeError(refusal(argument, shown(got), "a number")) from None


def flag(argument: str, got: Any) -> bool:
    """True or False."""
    if not isinstance(got, (bool, np.bool_)):
        raise TypeError(refusal(argument, shown(got), "True or False"))
    return bool(got)


def name(argument: str, got: Any, expected: str = "a non-empty string") -> str:
    """A name: a string of whole characters that is not empty."""
    if not isinstance(got, str) or not got:
        raise TypeError(refusal(argument, shown(got), expected))
    return text(argument, got)


def name_or_none(argument: str, got: Any) -> str | None:
    """A `name`, or None where there is none."""
    return None if got is None else name(argument, got, "a non-empty string or None")


def text(argument: str, got: str) -> str:
    """A string that files can hold: half a surrogate pair is no character."""
    try:
        got.encode()
    except UnicodeEncodeError:
        raise ValueError(refusal(argument, shown(got), "whole characters")) from None
    return got


def instances(argument: str, got: Any, kind: type[T]) -> list[T]:
    """A list of objects of one class; an iterator might have no end, and is none."""
    expected = f"a list of {kind.__name__} objects"
    if not isinstance(got, Collection) or isinstance(got, (str, bytes, Iterator)):
        raise TypeError(refusal(argument, type(got).__name__, expected))
    try:
        found = list(got)
    except TypeError:  # as arrays of no dimension have it
        raise TypeError(refusal(argument, type(got).__name__, expected)) from None
    for item in found:
        if not isinstance(item, kind):
            refuse_foreign(argument, argument, item)
            raise TypeError(
                refusal(argument, f"an entry of {kind_of(item)}", f"{kind.__name__} objects")
            )
    return found


def verbosity(got: Any) -> str | int:
    """ "auto", 0, 1 or 2."""
    if isinstance(got, str) and str.__str__(got) == "auto":
        return "auto"
    try:
        return whole("verbose", int(got) if isinstance(got, bool) else got, 0, 2)
    except (TypeError, ValueError):
        raise ValueError(refusal("verbose", shown(got), "'auto', 0, 1 or 2")) from None


def batch_options(batch_size: Any, verbose: Any) -> None:
    """A batch size or None, and a verbosity."""
    if batch_size is not None:
        whole("batch_size", batch_size, 1)
    verbosity(verbose)


def dtype(argument: str, got: Any) -> np.dtype:
    """float32 or float64."""
    try:
        if got is None:  # which NumPy takes for float64
            raise TypeError
        value = np.dtype(got)
    except Exception:
        raise TypeError(refusal(argument, shown(got), " or ".join(FLOATS))) from None
    if value.name not in FLOATS or not value.isnative:
        raise ValueError(refusal(argument, value, " or ".join(FLOATS)))
    return np.dtype(value.name)


def real_dtype(argument: str, got: Any) -> None:
    """Any dtype of real numbers."""
    try:
        kind = np.dtype(got).kind
    except Exception:
        raise TypeError(refusal(argument, shown(got), "a dtype of numbers")) from None
    if kind not in _objects.REAL_KINDS:
        raise ValueError(refusal(argument, shown(got), "a dtype of real numbers"))


def numeric_array(argument: str, got: Any) -> np.ndarray:
    """Real numbers as an array of NumPy's own class; no numbers are copied that are in one already.

    What came is looked at once: callers go by what they get here and never by `got` again. It is a
    view at least, whose shape and dtype nobody else can change.
    """
    if type(got) is not np.ndarray:
        if _frames.is_frame(got):
            return _frames.from_frame(argument, got).view()
        if _frames.is_column(got):
            return _frames.from_column(argument, got).view()
    elif got.dtype.kind in _objects.REAL_KINDS:
        return got.view()
    return _objects.to_array(argument, got).view()


def real_copy(argument: str, got: Any) -> np.ndarray:
    """A C-contiguous copy in float32 or float64, whichever NumPy promotes the numbers to."""
    array = numeric_array(argument, got)
    real = dtype(argument, np.result_type(array.dtype.newbyteorder("="), np.float32))
    return np.array(array, dtype=real, order="C")


def sizes(argument: str, got: Any) -> tuple[int, ...]:
    """The shape of an array, from a tuple of sizes or from the one there is."""
    several = got if isinstance(got, (list, tuple)) else (got,)
    return tuple(whole(argument, size, 0) for size in several)


def contiguous(array: np.ndarray, real: np.dtype) -> np.ndarray:
    """The array as kernels take it, C-contiguous and aligned; a copy only where it must be one."""
    with np.errstate(over="ignore"):
        return float_mode.in_default_float_mode(np.require, array, real, ("C", "A"))


def finite(argument: str, array: np.ndarray, labels: tuple[str, ...] | None = None) -> None:
    """Raises ValueError where an array of float32 or float64 holds NaN or inf.

    ``labels`` is what messages call the columns.
    """
    if arrays.finite(np.ascontiguousarray(array)):
        return
    bad = ~np.isfinite(array)
    what = "NaN or inf" if labels is None else "missing (NaN) or inf"
    raise ValueError(
        refusal(argument, f"{bad.sum()} {what}, the first{_first(bad, labels)}", "finite numbers")
    )


def reals(
    argument: str, array: np.ndarray, real: np.dtype, labels: tuple[str, ...] | None = None
) -> np.ndarray:
    """The array as kernels take it: `contiguous`, and `finite` both before and after that."""
    converted = contiguous(array, real)
    if array.dtype == real or arrays.finite(converted):
        finite(argument, converted, labels)
        return converted
    finite_before = np.isfinite(array)
    if not finite_before.all():
        finite(argument, np.where(finite_before, real.type(0), converted), labels)
    too_large = finite_before & ~np.isfinite(converted)
    first = str(array[np.unravel_index(too_large.argmax(), too_large.shape)])
    what = f"{too_large.sum()} too large for {real}, the first {first}{_first(too_large, labels)}"
    hint = '; scale them, or use dtype="float64"' if real.name == "float32" else "; scale them"
    raise ValueError(refusal(argument, what, f"numbers up to {np.finfo(real).max:.3g}") + hint)


def _first(found: np.ndarray, labels: tuple[str, ...] | None) -> str:
    """Where the first is, in the words of messages."""
    index = np.unravel_index(found.argmax(), found.shape)
    return _objects.place(tuple(int(i) for i in index), labels)


def rows(
    argument: str,
    got: Any,
    real: np.dtype,
    shape: tuple[int, ...] | None = None,
    hint: str = "",
) -> np.ndarray:
    """A batch: C-contiguous ``(rows, *shape)`` of ``real``, finite, at least one row.

    A copy is made only where the layout or dtype asks for one, and a view where not. With ``shape``
    None any number of features of at least 1 is accepted, and 1-D input is taken as one feature a
    row. ``hint`` ends the refusal of one number a row.
    """
    taken = _taken(got, real, shape)
    if taken is not None:
        return taken
    return reals(argument, shaped(argument, got, shape, hint), real, _frames.labels(got))


def fed_rows(
    argument: str, got: Any, real: np.dtype, shape: tuple[int, ...] | None = None
) -> np.ndarray:
    """As `rows`, but for whole numbers of 8 bits, which plans take as they are."""
    taken = _taken(got, real, shape)
    if taken is not None:
        return taken
    return fed(argument, shaped(argument, got, shape), real, _frames.labels(got))


def fed(
    argument: str, array: np.ndarray, real: np.dtype, labels: tuple[str, ...] | None = None
) -> np.ndarray:
    """As `reals`, but for numbers that take a byte each: as C-contiguous uint8."""
    if array.dtype in (np.uint8, np.bool_):
        return np.ascontiguousarray(array, np.uint8)
    return reals(argument, array, real, labels)


def _taken(got: Any, real: np.dtype, shape: tuple[int, ...] | None) -> np.ndarray | None:
    """What kernels can take without a further look."""
    if shape is not None and len(shape) == 1 and type(got) is np.ndarray:
        return arrays.taken(got.view(), real.itemsize, shape[0])
    return None


def shaped(
    argument: str, got: Any, shape: tuple[int, ...] | None = None, hint: str = ""
) -> np.ndarray:
    """Real numbers of the shape that `rows` describes, whatever their layout and dtype."""
    array = numeric_array(argument, got)
    expected = "(rows, features)" if shape is None else f"(rows, {', '.join(map(str, shape))})"
    if array.ndim == 1 and shape in (None, (1,)):
        array = array[:, np.newaxis]
    if array.ndim < 2 or (shape is not None and array.shape[1:] != shape):
        is_column = array.ndim == 1 or array.shape[1:] == (1,)
        if not (hint and is_column):
            hint = "" if shape is None else hint_for_rows(argument, array.shape, shape)
        raise ValueError(refusal(argument, f"shape {array.shape}", f"shape {expected}") + hint)
    if 0 in array.shape:
        raise ValueError(
            refusal(argument, f"shape {array.shape}", f"shape {expected}, none of it 0")
        )
    return array


def mask(argument: str, array: np.ndarray, labels: tuple[str, ...] | None = None) -> None:
    """Raises ValueError for numbers that do not say what counts, and what does not."""
    is_bad = (array != 0) & (array != 1)
    if is_bad.any():
        first = array[np.unravel_index(is_bad.argmax(), is_bad.shape)]
        hint = "; it is added to nothing: of a mask of 0 and -inf, as of PyTorch, give mask == 0"
        got, expected = f"{first:g}{_first(is_bad, labels)}", "0 or 1, where 1 is seen"
        raise ValueError(refusal(argument, got, expected) + (hint if first < 0 else ""))


def tokens(
    argument: str, array: np.ndarray, below: int, labels: tuple[str, ...] | None = None
) -> np.ndarray:
    """Whole numbers of at least 0 and less than ``below`` as kernels take them, in whatever dtype.

    A C-contiguous copy as int32, checked after it was made: kernels read memory at what they say.
    """
    if array.dtype.kind == "f":
        array = reals(argument, array, np.dtype(np.float64), labels)
    numbers = array.copy()
    is_bad = (numbers < 0) | (numbers >= below)
    if numbers.dtype.kind == "f":
        is_bad |= numbers != np.floor(numbers)
    if is_bad.any():
        first = numbers[np.unravel_index(is_bad.argmax(), is_bad.shape)]
        expected = f"whole numbers from 0 to {below - 1}"
        hint = "; an Embedding reads places in its table"
        if first == np.floor(first):
            hint = "; the input_dim of the Embedding that reads them is one more than the largest"
        raise ValueError(refusal(argument, f"{first}{_first(is_bad, labels)}", expected) + hint)
    return numbers.astype(np.int32)


def out(
    argument: str,
    got: Any,
    shape: tuple[int, ...],
    real: np.dtype,
    apart_from: Mapping[str, np.ndarray] | None = None,
) -> np.ndarray:
    """An array that results are written into: exactly this shape and dtype, never a copy.

    It is of NumPy's own class, a view where a subclass came.
    """
    if not isinstance(got, np.ndarray):
        raise TypeError(refusal(argument, type(got).__name__, "a NumPy array"))
    got = np.asarray(got)
    if got.dtype != real:
        raise TypeError(refusal(argument, f"dtype {got.dtype}", f"dtype {real}"))
    if got.shape != shape:
        raise ValueError(refusal(argument, f"shape {got.shape}", f"shape {shape}"))
    if not got.flags.c_contiguous:
        raise ValueError(refusal(argument, f"strides {got.strides}", "a C-contiguous array"))
    if not got.flags.aligned:
        raise ValueError(refusal(argument, "an unaligned array", "an aligned array"))
    if not got.flags.writeable:
        raise ValueError(refusal(argument, "a read-only array", "a writeable array"))
    for name, other in (apart_from or {}).items():
        if np.may_share_memory(got, other):
            raise ValueError(
                refusal(argument, f"an array that overlaps {name}", "memory of its own")
            )
    return got
