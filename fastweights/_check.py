"""Validation, all of it: every public function checks its arguments here, once, at the door.

A refusal is a ValueError or TypeError of one form, ``argument: got this, expected that``. Behind
the door (plan, kernels) nothing is checked again.
"""

from __future__ import annotations

import numbers
import operator
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import numpy as np

from fastweights._core import arrays

T = TypeVar("T")

FLOATS = ("float32", "float64")


def refusal(argument: str, got: object, expected: str) -> str:
    """The message of every refusal."""
    return f"{argument}: got {got}, expected {expected}"


def choice(argument: str, got: object, known: Mapping[str, T]) -> T:
    """``known[got]``, or a ValueError that lists what is known and suggests the nearest."""
    if isinstance(got, str):
        if got in known:
            return known[got]
        import difflib  # slow to import, and seldom used

        near = difflib.get_close_matches(got.lower(), known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(refusal(argument, repr(got), f"one of {', '.join(known)}") + hint)
    raise TypeError(refusal(argument, type(got).__name__, f"a name, one of {', '.join(known)}"))


def whole(argument: str, got: Any, minimum: int, maximum: int | None = None) -> int:
    """A whole number of at least ``minimum`` and, where given, at most ``maximum``."""
    if isinstance(got, (bool, np.bool_)):
        raise TypeError(refusal(argument, repr(got), "a whole number"))
    try:
        value = operator.index(got)
    except TypeError:
        raise TypeError(refusal(argument, repr(got), "a whole number")) from None
    if value < minimum:
        raise ValueError(refusal(argument, value, f"at least {minimum}"))
    if maximum is not None and value > maximum:
        raise ValueError(refusal(argument, value, f"at most {maximum}"))
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
    if isinstance(got, (bool, np.bool_)) or not isinstance(got, (numbers.Real, np.floating)):
        raise TypeError(refusal(argument, repr(got), "a number"))
    value = float(got)
    bounds = []
    fits = bool(np.isfinite(value))
    if above is not None:
        bounds.append(f"above {above:g}")
        fits = fits and value > above
    if minimum is not None:
        bounds.append(f"at least {minimum:g}")
        fits = fits and value >= minimum
    if below is not None:
        bounds.append(f"below {below:g}")
        fits = fits and value < below
    if maximum is not None:
        bounds.append(f"at most {maximum:g}")
        fits = fits and value <= maximum
    if not fits:
        expected = " and ".join(["a finite number", *bounds])
        raise ValueError(refusal(argument, repr(got), expected))
    return value


def flag(argument: str, got: Any) -> bool:
    """True or False."""
    if not isinstance(got, (bool, np.bool_)):
        raise TypeError(refusal(argument, repr(got), "True or False"))
    return bool(got)


def instances(argument: str, got: Any, kind: type[T]) -> list[T]:
    """A list of objects of one class."""
    if not isinstance(got, Iterable) or isinstance(got, (str, bytes)):
        raise TypeError(refusal(argument, type(got).__name__, f"a list of {kind.__name__} objects"))
    found = list(got)
    for item in found:
        if not isinstance(item, kind):
            raise TypeError(
                refusal(argument, f"an entry of {type(item).__name__}", f"{kind.__name__} objects")
            )
    return found


def verbosity(got: Any) -> None:
    """ "auto", 0, 1 or 2."""
    if got != "auto" and (isinstance(got, str) or got not in (0, 1, 2)):
        raise ValueError(refusal("verbose", repr(got), "'auto', 0, 1 or 2"))


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
    except TypeError:
        raise TypeError(refusal(argument, repr(got), " or ".join(FLOATS))) from None
    if value.name not in FLOATS or not value.isnative:
        raise ValueError(refusal(argument, value, " or ".join(FLOATS)))
    return value


def numeric_array(argument: str, got: Any) -> np.ndarray:
    """Any array of real numbers; nothing is copied that is an array already."""
    try:
        array = np.asarray(got)
    except ValueError as error:
        raise ValueError(
            refusal(argument, f"rows of unequal length ({error})", "an array of numbers")
        ) from None
    if array.dtype.kind not in "fiub":
        raise TypeError(refusal(argument, f"dtype {array.dtype}", "an array of real numbers"))
    return array


def contiguous(array: np.ndarray, real: np.dtype) -> np.ndarray:
    """The array as kernels take it, C-contiguous and aligned; a copy only where it must be one."""
    with np.errstate(over="ignore"):
        return np.require(array, real, ("C", "A"))


def finite(argument: str, array: np.ndarray) -> None:
    """Raises ValueError where a C-contiguous ``array`` of float32 or float64 holds NaN or inf."""
    if arrays.finite(array):
        return
    bad = ~np.isfinite(array)
    where = tuple(int(i) for i in np.argwhere(bad)[0])
    raise ValueError(
        refusal(argument, f"{bad.sum()} NaN or inf, the first at {where}", "finite numbers")
    )


def rows(
    argument: str, got: Any, real: np.dtype, shape: tuple[int, ...] | None = None
) -> np.ndarray:
    """A batch: C-contiguous ``(rows, *shape)`` of ``real``, finite, at least one row.

    A copy is made only where the layout or dtype asks for one. With ``shape`` None any number of
    features of at least 1 is accepted, and 1-D input is taken as one feature a row.
    """
    if shape is not None and len(shape) == 1 and type(got) is np.ndarray:
        taken = arrays.taken(got, real.itemsize, shape[0])
        if taken is not None:
            return taken
    array = numeric_array(argument, got)
    expected = "(rows, features)" if shape is None else f"(rows, {', '.join(map(str, shape))})"
    if array.ndim == 1 and shape in (None, (1,)):
        array = array[:, np.newaxis]
    if array.ndim < 2 or (shape is not None and array.shape[1:] != shape):
        raise ValueError(refusal(argument, f"shape {array.shape}", f"shape {expected}"))
    if 0 in array.shape:
        raise ValueError(
            refusal(argument, f"shape {array.shape}", f"shape {expected}, none of it 0")
        )
    converted = contiguous(array, real)
    finite(argument, converted)
    return converted


def same_length(first: str, a: np.ndarray, second: str, b: np.ndarray) -> None:
    """Raises ValueError where two arrays differ in their number of rows."""
    if len(a) != len(b):
        raise ValueError(refusal(second, f"{len(b)} rows", f"as many as {first} has, {len(a)}"))


def out(
    argument: str,
    got: Any,
    shape: tuple[int, ...],
    real: np.dtype,
    apart_from: Mapping[str, np.ndarray] | None = None,
) -> np.ndarray:
    """An array that results are written into: exactly this shape and dtype, never a copy."""
    if not isinstance(got, np.ndarray):
        raise TypeError(refusal(argument, type(got).__name__, "a NumPy array"))
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
