"""What refusals say: one form, of a bounded length, whatever came."""

from __future__ import annotations

import re
import reprlib

#: The longest account of what came, and the longest repr within one, in characters.
LONGEST = 200
LONGEST_REPR = 80

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


def refusal(argument: str, got: object, expected: str) -> str:
    """The message of every refusal."""
    return f"{argument}: got {_clipped(str(got), LONGEST)}, expected {expected}"


def refuse_uncalled(cls: type) -> None:
    """Raises TypeError where a new class overrides what nobody would call.

    Its base says by ``_uncalled`` which names these are, and what to write instead.
    """
    base = next((base for base in cls.__mro__ if "_uncalled" in vars(base)), cls)
    for name, expected in vars(base).get("_uncalled", {}).items():
        if getattr(cls, name, None) is not getattr(base, name, None):
            got = f"a method {name}, which nobody calls"
            raise TypeError(refusal(cls.__name__, got, expected))
