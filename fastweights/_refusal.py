"""What refusals say: one form, of a bounded length, whatever came."""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Iterable

#: The longest account of what came, and the longest repr within one, in characters.
LONGEST = 200
LONGEST_REPR = 80
#: Of names to choose from.
LONGEST_LIST = 300

_LINE_BREAKS = re.compile(r"\s*\n\s*")
_repr = reprlib.Repr()
_repr.maxlevel = 2
_repr.maxstring = _repr.maxlong = _repr.maxother = LONGEST_REPR


def _clipped(text: str, longest: int) -> str:
    half = (longest - 3) // 2
    return text if len(text) <= longest else f"{text[:half]}...{text[-half:]}"


def shown(value: object) -> str:
    """A value's repr in one line, without its middle where that is long; else its class."""
    try:
        return _clipped(_LINE_BREAKS.sub(" ", _repr.repr(value)), LONGEST_REPR)
    except Exception:  # whatever the value does when it is asked
        return f"an object of {type(value).__name__}"


def listed(names: Iterable[str]) -> str:
    """Names one after the other, without those in the middle where there are many."""
    return _clipped(", ".join(names), LONGEST_LIST)


class UnknownError(ValueError):
    """A description is of something of somebody's own that is not here, or is another one here."""


def refusal(argument: str, got: object, expected: str) -> str:
    """The message of every refusal."""
    return f"{argument}: got {_clipped(str(got), LONGEST)}, expected {expected}"


def hint_for_rows(argument: str, got: tuple[int, ...], row: tuple[int, ...]) -> str:
    """What to change about an array of shape `got` where rows of shape `row` are expected."""
    grey, turned = row[:-1] if row[-1] == 1 else None, (row[-1], *row[:-1])
    if got == row:
        return f"; {argument}[None] makes a batch of one row"
    if got[1:] == grey:
        return f"; {argument}[..., None] gives rows their last axis"
    if got == grey:
        return f"; {argument}[None, ..., None] makes a batch of one row, with its last axis"
    if got[1:] == turned:
        return f"; np.moveaxis({argument}, 1, -1) brings channels last"
    if got == turned:
        return f"; np.moveaxis({argument}, 0, -1)[None] makes a batch of one row, channels last"
    if 1 in (len(row), len(got) - 1) and math.prod(got[1:]) == math.prod(row):
        return f"; {argument}.reshape{(-1, *row)} has such rows"
    if len(got) != len(row) + 1 or len(row) == 1:
        return ""
    if got[1:-1] == row[:-1] and {got[-1], row[-1]} == {1, 3}:
        makes = f"{argument}.mean(axis=-1, keepdims=True)", "grey"
        if row[-1] == 3:
            makes = f"np.repeat({argument}, 3, axis=-1)", "images of three channels"
        return "; {} makes them {}".format(*makes)
    if got[-1] == row[-1]:
        return "; all rows have the shape that the model was built for: cut, pad or resize them"
    return ""


def refuse_uncalled(cls: type) -> None:
    """Raises TypeError where a new class overrides what nobody would call.

    Its base says by ``_uncalled`` which names these are, and what to write instead.
    """
    base = next((base for base in cls.__mro__ if "_uncalled" in vars(base)), cls)
    for name, expected in vars(base).get("_uncalled", {}).items():
        if getattr(cls, name, None) is not getattr(base, name, None):
            got = f"a method {name}, which nobody calls"
            raise TypeError(refusal(cls.__name__, got, expected))
