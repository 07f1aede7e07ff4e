"""Those that hear of one fit, evaluation or prediction."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastweights import _check
from fastweights.callbacks.base import HOOKS, Callback, refuse_other_arguments

if TYPE_CHECKING:
    from fastweights.models import Model


class Telling(NamedTuple):
    """A hook that is being called: by what, and of the listener of which number."""

    hook: str
    given: tuple[Any, ...]
    listener: int


class Listeners:
    """Tells callbacks, in order, what happens; each only what it has a hook for.

    Attributes
    ----------
    all : tuple of Callback
    telling : Telling or None
        What is told at the moment.

    Raises
    ------
    TypeError
        A hook does not take what hooks are given.
    """

    def __init__(self, callbacks: Sequence[Callback] = ()) -> None:
        self.all = tuple(callbacks)
        for callback in self.all:
            refuse_other_arguments(callback)
        self._hearing = {
            hook: [(n, callback) for n, callback in enumerate(self.all) if callback._hears(hook)]
            for hook in (HOOKS if self.all else ())
        }
        self.telling: Telling | None = None

    def join(self, model: Model, rows: int | None, steps: int | None, **params: int) -> None:
        """Has all take part in a call of a model, on so many rows, where that is known."""
        for listener in self.all:
            listener._join(model, {**params, "steps": steps, "rows": rows})

    def hear(self, *hooks: str) -> bool:
        """Whether anybody has one of these hooks."""
        return any(self._hearing.get(hook) for hook in hooks)

    def tell(self, hook: str, *given: Any, but: Collection[int] = ()) -> None:
        """Calls a hook of all but those of these numbers."""
        for number, listener in self._hearing.get(hook, ()):
            if number not in but:
                self.telling = Telling(hook, given, number)
                figures = _figures_of(given[-1]) if hook in _TELL_FIGURES else []
                getattr(listener, hook)(*given)
                _refuse_lost(listener, hook, figures, given[-1])
        self.telling = None

    @contextlib.contextmanager
    def released(self) -> Iterator[None]:
        """A call whose end nobody hears where an exception ends it."""
        try:
            yield
        except BaseException:
            for listener in self.all:
                listener._release()
            raise

    def batches(
        self,
        kind: str,
        rows: int,
        batch_size: int,
        logs: Callable[[int, int], dict[str, Any]],
        first_number: int = 0,
    ) -> Iterator[int]:
        """Where batches end, whose hooks are called around them; all rows are one if nobody hears.

        `logs` gives what the hook after a batch is told of its rows, from the first to the last.
        """
        begin, end = f"on_{kind}_batch_begin", f"on_{kind}_batch_end"
        if not self.hear(begin, end):
            yield rows
            return
        for number, first in enumerate(range(0, rows, batch_size), first_number):
            last = min(first + batch_size, rows)
            self.tell(begin, number, {})
            yield last
            self.tell(end, number, logs(first, last))


def _figures_of(logs: Mapping[str, Any]) -> list[str]:
    """Names of what are numbers or arrays of them."""
    return [name for name, figure in logs.items() if isinstance(figure, (Real, np.ndarray))]


def _refuse_lost(
    listener: Callback, hook: str, names: Sequence[str], logs: Mapping[str, Any]
) -> None:
    """Raises ValueError where a hook took figures out of `logs`, or made something else of them."""
    if lost := set(names).difference(_figures_of(logs)):
        name = min(lost)
        got = (
            f"{_check.shown(logs.get(name))} as {name!r} after {hook} of {type(listener).__name__}"
        )
        raise ValueError(
            _check.refusal("logs", got, "the figure; own ones have names of their own")
        )


#: Hooks whose logs go on to others, and into the history.
_TELL_FIGURES = ("on_epoch_end", "on_test_end")
#: That nobody hears.
NOBODY = Listeners()


def checked(callbacks: Any) -> list[Callback]:
    """The argument `callbacks` of a call: one, several, or none."""
    if isinstance(callbacks, Callback):
        return [callbacks]
    if isinstance(callbacks, type):
        expected = f"an object of it: {callbacks.__name__}(...)"
        raise TypeError(_check.refusal("callbacks", _check.kind_of(callbacks), expected))
    if isinstance(callbacks, (list, tuple)) and any(one is None for one in callbacks):
        got, expected = "None in a list", "callbacks alone: [one for one in callbacks if one]"
        raise TypeError(_check.refusal("callbacks", got, expected))
    found = [] if callbacks is None else _check.instances("callbacks", callbacks, Callback)
    for number, callback in enumerate(found):
        if any(callback is other for other in found[:number]):
            got = f"one {type(callback).__name__} twice"
            raise ValueError(_check.refusal("callbacks", got, "each of them once"))
    owners: dict[str, str] = {}
    for callback in found:
        refuse_common_paths(callback, f"a {type(callback).__name__}", owners)
    return found


def refuse_common_paths(callback: Callback, owner: str, owners: dict[str, str]) -> None:
    """Raises ValueError where a callback writes to a path that has an owner already."""
    for path in callback._writes():
        other = owners.setdefault(os.path.realpath(path), owner)
        if other is not owner:
            got = f"{path!r}, which {other} and {owner} would write"
            raise ValueError(_check.refusal("callbacks", got, "a path of its own for each"))
