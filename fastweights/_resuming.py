"""A fit that goes on in another process: what a model's file keeps of it, and takes on again.

# Design: a file that is written in a hook has, beside the model, where the fit is: the epoch, the
# rows of it that are done and their sums, and what each callback remembers. Everything else follows
# from the model: the order of rows and random numbers from its seed and how far it has come.
"""

from __future__ import annotations

import contextlib
import warnings
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastweights import _check
from fastweights.callbacks.base import Callback, State

#: Of the tensors in a file that belong to a fit.
PREFIX = "fit."
ROWS_STATES = f"{PREFIX}rows_states"
_FIELDS = {
    "epoch": int, "row": int, "rows": int, "batch_size": int, "shuffle": bool, "stop": bool,
    "data": str,
}  # fmt: skip
#: Epochs or rows of a fit, far beyond any.
_MOST = 2**48
#: Hooks of which, in a fit that goes on, those hear who had not heard them.
DUE_HOOKS = ("on_epoch_begin", "on_epoch_end", "on_train_batch_begin", "on_train_batch_end")
#: Values of a callback's state that stand in the description; numbers and arrays are tensors.
_PLAIN = (bool, int, str, type(None))


class Due(NamedTuple):
    """Who has yet to hear what some callbacks had heard when the file was written."""

    hook: str
    #: Of the epoch or the batch.
    number: int
    logs: dict[str, float]
    #: The last one of those who had heard it.
    told: int


class Place(NamedTuple):
    """Where a fit is.

    Attributes
    ----------
    epoch : int
        That is running, or to come.
    row : int
        How many rows of it are done; 0 between two epochs.
    rows, batch_size, shuffle
        Of the fit.
    stop : bool
        Whether a callback wants no more.
    learning_rate : float, optional
        With which the fit began, where it follows no schedule.
    data : str
        The digest of the examples; nothing where they come as they are.
    states : tuple of (str, dict)
        What each listener is, and its state.
    due : Due, optional
    sums : dict of str to ndarray, optional
        Of the rows that are done, and what metrics keep of them.
    rows_states : ndarray, optional
        What layers remember of rows, where they do.
    """

    epoch: int
    row: int
    rows: int
    batch_size: int
    shuffle: bool
    stop: bool
    data: str
    learning_rate: float | None
    states: tuple[tuple[str, State], ...]
    due: Due | None
    sums: dict[str, np.ndarray] | None
    rows_states: np.ndarray | None


# ---- in a file -----------------------------------------------------------------------------------


def described(place: Place) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The description of a place, as JSON can hold it, and its tensors."""
    arrays: dict[str, np.ndarray] = {}
    description: dict[str, Any] = {name: getattr(place, name) for name in _FIELDS}
    description["learning_rate"] = place.learning_rate
    description["states"] = [
        {"of": identity, "values": _put(arrays, f"{number}.", state)}
        for number, (identity, state) in enumerate(place.states)
    ]
    if place.due is not None:
        due = place.due
        logs = _put(arrays, "due.", due.logs)
        description["due"] = {
            "hook": due.hook, "number": due.number, "told": due.told, "logs": logs,
        }  # fmt: skip
    if place.sums is not None:
        description["sums"] = _put(arrays, "sums.", place.sums)
    if place.rows_states is not None:
        arrays[ROWS_STATES] = place.rows_states
    return description, arrays


def _put(arrays: dict[str, np.ndarray], where: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Puts numbers and arrays among the tensors; returns all names, and what JSON can hold."""
    plain: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, (float, np.floating, np.ndarray)):
            arrays[f"{PREFIX}{where}{name}"] = np.asarray(value)
        elif isinstance(value, (np.integer, np.bool_)):
            plain[name] = value.item()
        elif isinstance(value, _PLAIN) or _are_texts(value):
            plain[name] = value
        else:
            expected = "a number, text, True or False, None, list of texts or array"
            raise TypeError(_check.refusal(f"state {name!r}", _check.shown(value), expected))
    return {"names": list(values), "plain": plain}


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


@contextlib.contextmanager
def telling_of_damage(name: str) -> Iterator[None]:
    """Errors of the block say that the description of the fit in the file of this name is damaged.

    Those of a description that is not what was written: other types, missing names, sizes that
    do not fit.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        why = " ".join(str(error).split())[:400]
        raise ValueError(f"{name}: the description of the fit is damaged: {why}") from error


def place_of(
    description: Any, tensors: Collection[str], read: Callable[[str], np.ndarray]
) -> Place:
    """The place that `described` told of; ValueError, TypeError or LookupError where damaged.

    `tensors` are the names of all that the file has of it, which `read` gives.
    """
    left = set(tensors)
    for name, kind in _FIELDS.items():
        is_bad = type(description[name]) is not kind
        if is_bad or (kind is int and not 0 <= description[name] <= _MOST):
            raise ValueError(_check.refusal(f"fit {name}", repr(description[name]), kind.__name__))
    if description["learning_rate"] is not None:
        _check.number("fit learning_rate", description["learning_rate"])
    if description["row"] > description["rows"]:
        raise ValueError(_check.refusal("fit row", description["row"], "one of the rows"))

    def taken(where: str, values: Mapping[str, Any]) -> State:
        state, plain = {}, values["plain"]
        for name in values["names"]:
            if name in plain:
                state[name] = plain[name]
                continue
            tensor = f"{PREFIX}{where}{name}"
            array = read(tensor)
            left.discard(tensor)
            state[name] = array if array.shape else array.item()
        return state

    states = tuple(
        (_text("of", one["of"]), taken(f"{number}.", one["values"]))
        for number, one in enumerate(description["states"])
    )
    due, told = None, description.get("due")
    if told is not None:
        if told["hook"] not in DUE_HOOKS:
            raise ValueError(_check.refusal("fit due", repr(told["hook"]), "a hook"))
        number, listener = (
            _check.whole(f"fit {name}", told[name], 0) for name in ("number", "told")
        )
        logs = taken("due.", told["logs"])
        if not all(isinstance(figure, (int, float, np.ndarray)) for figure in logs.values()):
            raise ValueError(_check.refusal("fit due", _check.shown(logs), "figures"))
        due = Due(told["hook"], number, logs, listener)
    sums = taken("sums.", description["sums"]) if "sums" in description else None
    if unknown := left.difference((ROWS_STATES,)):
        got = f"unknown tensors {sorted(unknown)!r:.80}"
        raise ValueError(_check.refusal("fit", got, "only those of its description"))
    rows_states = read(ROWS_STATES) if ROWS_STATES in tensors else None
    fields = {name: description[name] for name in _FIELDS}
    fields["learning_rate"] = description["learning_rate"]
    return Place(**fields, states=states, due=due, sums=sums, rows_states=rows_states)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(_check.refusal(f"fit {name}", _check.shown(value), "a text"))
    return value


# ---- in a fit ------------------------------------------------------------------------------------


def give_back(place: Place, listeners: Sequence[Callback]) -> frozenset[int]:
    """Gives each listener the state of what is as it in the file; of several alike by their order.

    Returns the numbers of those who had heard what the file was written in.
    """
    told = -1 if place.due is None else place.due.told
    known: dict[str, deque[tuple[int, State]]] = defaultdict(deque)
    for at, (identity, state) in enumerate(place.states):
        known[identity].append((at, state))
    heard, anew = set(), []
    for number, listener in enumerate(listeners):
        if not (found := known[listener._identity()]):
            anew.append(listener)
            continue
        at, state = found.popleft()
        try:
            listener.load_state(state)
        except ValueError as error:
            raise ValueError(f"{type(listener).__name__}: {error}") from error
        if at <= told:
            heard.add(number)
    _warn_of_others(anew, [identity for identity, left in known.items() if left])
    return frozenset(heard)


def _warn_of_others(anew: Sequence[Callback], left: Sequence[str]) -> None:
    """Warns of callbacks whose class the file has about something else."""
    for listener in anew:
        kind = type(listener)
        whole = f"{kind.__module__}.{kind.__qualname__} of "
        for identity in left:
            if identity.startswith(whole):
                warnings.warn(
                    f"callbacks: {kind.__name__} of {listener._identity().removeprefix(whole)}, "
                    f"begins anew: the file has one of {identity.removeprefix(whole)}",
                    stacklevel=6,
                )
