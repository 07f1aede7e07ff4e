"""Batches as they came, those that are alike side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastweights import _check, _frames, _objects


class Given(NamedTuple):
    """A batch, or several: arrays, lists or dicts of them, or anything else that came."""

    x: Any
    y: Any
    weights: Any


def as_arrays(argument: str, given: Any) -> Any:
    """What came, with all that is like an array as one of NumPy's own class; frames as they are."""
    if _is_plain(given) or given is None or _frames.is_frame(given) or _frames.is_column(given):
        return given
    if isinstance(given, Mapping):
        return {name: as_arrays(f"{argument}[{name!r}]", one) for name, one in given.items()}
    if isinstance(given, (list, tuple)) and any(not _is_list(one) for one in given):
        return [as_arrays(argument, one) for one in given]
    return _check.numeric_array(argument, given)


def _is_list(given: Any) -> bool:
    """Whether this is a number, or a row of them that is no array."""
    return isinstance(given, (int, float)) or (
        isinstance(given, (list, tuple)) and all(map(_is_list, given[:1]))
    )


def _is_plain(given: Any) -> bool:
    return type(given) is np.ndarray and given.dtype.kind in _objects.REAL_KINDS


def _leaves(given: Any) -> list[Any]:
    """The arrays of one argument, of several, or of a part of one."""
    if type(given) is np.ndarray:
        return [given]
    if isinstance(given, dict):
        given = list(given.values())
    if not isinstance(given, (list, tuple)):
        return [] if given is None else [given]
    return [leaf for one in given for leaf in _leaves(one)]


def rows_in(x: Any) -> int:
    """How many rows a batch has, or seems to have."""
    leaves = _leaves(x)
    return len(leaves[0]) if leaves and np.ndim(leaves[0]) else 0


class Group:
    """Batches that came one after the other and are alike: copies, side by side.

    Parameters
    ----------
    given : Given
        The first one.
    form : list
        As `form_of` gives it.
    done, number : int
        Rows of the pass before it, and its own number.
    most_bytes : int
        Of all of them, unless one has more.
    """

    def __init__(
        self, given: Given, form: list[Any], done: int, number: int, most_bytes: int
    ) -> None:
        self.done, self.number, self.batches = done, number, 1
        self.rows, self._form = rows_in(given.x), form
        self._most = max(1, most_bytes // sum(leaf.nbytes for leaf in _leaves(given)))

        def room(leaf: np.ndarray) -> np.ndarray:
            return np.empty((self._most * self.rows, *leaf.shape[1:]), leaf.dtype)

        self._room = Given(*(_each(part, room) for part in given))
        self._places = _leaves(self._room)
        arrays = [part for part in given if part is not None]
        is_plain = all(type(part) is np.ndarray for part in arrays)
        self._plain = [(part.dtype, part.shape) for part in arrays] if is_plain else None
        self._copy(_leaves(given))

    @property
    def is_full(self) -> bool:
        return self.batches >= self._most

    def takes(self, form: list[Any] | None) -> bool:
        """Whether there is room for a batch of this form, and it is as the first one."""
        return not self.is_full and form == self._form

    def put(self, given: Given) -> None:
        """Copies one that it takes."""
        self.batches += 1
        self._copy(_leaves(given))

    def has_put(self, batch: Any) -> bool:
        """Copies what came, where that is a tuple of arrays just like the first one's; or not.

        Most batches are like this, and nothing more need be asked about them.
        """
        plain = self._plain
        if plain is None or self.is_full or type(batch) is not tuple or len(batch) != len(plain):
            return False
        for array, (dtype, shape) in zip(batch, plain, strict=True):
            if type(array) is not np.ndarray or array.shape != shape or array.dtype != dtype:
                return False
        self.batches += 1
        self._copy(batch)
        return True

    def _copy(self, arrays: Sequence[np.ndarray]) -> None:
        first, last = (self.batches - 1) * self.rows, self.batches * self.rows
        for to, come in zip(self._places, arrays, strict=True):
            to[first:last] = come

    def given(self, number: int | None = None) -> Given:
        """All of them as one batch, or the one of this number."""
        first, last = 0, self.batches * self.rows
        if number is not None:
            first, last = number * self.rows, (number + 1) * self.rows
        return Given(*(_each(part, lambda leaf: leaf[first:last]) for part in self._room))


def form_of(given: Given) -> list[Any] | None:
    """What is equal of batches that can lie side by side; None of those that cannot."""
    rows = rows_in(given.x)
    form: list[Any] = []
    for part in given:
        if type(part) is not np.ndarray:
            form.append(list(part) if isinstance(part, dict) else type(part))
        for leaf in _leaves(part):
            if not _is_plain(leaf) or leaf.ndim == 0 or len(leaf) != rows or not leaf.size:
                return None
            form.append((leaf.dtype, leaf.shape))
    return form


def _each(given: Any, function: Callable[[np.ndarray], np.ndarray]) -> Any:
    """The same with something else in the place of each array."""
    if given is None:
        return None
    if isinstance(given, dict):
        return {name: _each(one, function) for name, one in given.items()}
    if isinstance(given, (list, tuple)):
        return [_each(one, function) for one in given]
    return function(given)
