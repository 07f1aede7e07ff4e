"""What a callback remembers, as a file that may be damaged has it, checked."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastweights import _check
from fastweights.callbacks.base import State


def _refusal(name: str, value: Any, expected: str) -> ValueError:
    return ValueError(_check.refusal(f"state {name!r}", _check.shown(value), expected))


def of(state: State, name: str) -> Any:
    """What is there of that name; ValueError where nothing is."""
    if name not in state:
        raise ValueError(_check.refusal(f"state {name!r}", "none", "one"))
    return state[name]


def whole(state: State, name: str, minimum: int = 0) -> int:
    """A whole number."""
    value = of(state, name)
    if type(value) is not int or value < minimum:
        raise _refusal(name, value, f"a whole number from {minimum} on")
    return value


def number(state: State, name: str) -> float:
    """A number, perhaps an infinite one."""
    value = of(state, name)
    if type(value) not in (int, float) or math.isnan(value):
        raise _refusal(name, value, "a number")
    return float(value)


def texts(state: State, name: str) -> list[str]:
    """A list of texts of its own."""
    value = of(state, name)
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise _refusal(name, value, "a list of texts")
    return list(value)


def array_like(state: State, name: str, live: np.ndarray) -> np.ndarray:
    """An array of finite numbers, of the shape and dtype of one that is in use."""
    value = of(state, name)
    if not isinstance(value, np.ndarray) or (value.shape, value.dtype) != (live.shape, live.dtype):
        raise _refusal(name, value, f"an array of {live.shape} of {live.dtype}")
    _check.finite(f"state {name!r}", value)
    return value


def series(state: State, name: str, kind: str, longest: int) -> np.ndarray:
    """An array with an entry for each of at most so many epochs, of a kind of dtype."""
    value = of(state, name)
    is_one = isinstance(value, np.ndarray) and value.ndim > 0 and value.dtype.kind == kind
    if not is_one or len(value) > longest:
        raise _refusal(name, value, f"an array of at most {longest} epochs")
    return value
