"""JSON of files that may be damaged or hostile: strict, and never larger than the file allows.

A few megabytes of ``[],[],[]`` would become a hundred times as much memory, and a number of a
million digits takes minutes; both are refused before anything is made of them.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

import numpy as np

from fastweights import _check

#: So many values may stand in any text; more only in a text that belongs to a large file. A list or
#: an object takes as much memory as several numbers or strings.
MAX_VALUES = 200_000
BYTES_A_VALUE = 32
CONTAINER = 4
#: What files of this library have is 6 deep.
MAX_DEPTH = 32
#: The largest seed has 20.
MAX_DIGITS = 40

_NO_MARKS = bytes(set(range(256)) - set(b'"[]{},'))
_STEP = np.zeros(256, np.int8)
_STEP[list(b"[{")] = 1
_STEP[list(b"]}")] = -1


def loads(argument: str, text: str | bytes, file_size: int = 0) -> Any:
    """What the JSON text says.

    Parameters
    ----------
    argument : str
        What the text is, for messages.
    text : str or bytes
        Bytes are UTF-8.
    file_size : int
        Of the file that the text belongs to.

    Raises
    ------
    ValueError
        It is not JSON, or has a name twice in an object, NaN, a number that is no float64 or too
        long, half a surrogate pair, too deep a nesting, or too many values for the file.
    """
    if isinstance(text, bytes):
        try:
            decoded = text.decode()
        except UnicodeDecodeError as error:
            got = f"byte 0x{text[error.start]:02x} at {error.start}"
            raise ValueError(_check.refusal(argument, got, "UTF-8")) from None
    else:
        decoded, text = text, text.encode(errors="surrogatepass")
    _refuse_bombs(argument, text, MAX_VALUES + file_size // BYTES_A_VALUE)
    escapes = b"\\ud" in text or b"\\uD" in text
    del text
    try:
        value = json.loads(
            decoded,
            object_pairs_hook=_without_duplicates,
            parse_int=_short_int,
            parse_float=_finite,
            parse_constant=_refuse_constant,
        )
        if escapes:
            _refuse_surrogates(value)
    except (ValueError, RecursionError) as error:
        raise ValueError(_check.refusal(argument, f"damaged JSON ({error})", "JSON")) from None
    return value


def shown(value: object) -> str:
    """A value from a file as a message can hold it, whatever its size."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _refuse_bombs(argument: str, text: bytes, most: int) -> None:
    """Raises ValueError where the text has more values than `most` or is nested too deep."""
    unescaped = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    marks = np.frombuffer(unescaped.translate(None, _NO_MARKS), np.uint8)
    marks = marks[~np.logical_xor.accumulate(marks == ord('"'))]  # but for those within strings
    marks = marks[marks != ord('"')]
    steps = _STEP[marks]
    values = 1 + np.count_nonzero(steps == 0) + CONTAINER * np.count_nonzero(steps > 0)
    if values > most:
        raise ValueError(_check.refusal(argument, f"about {values} values", f"at most {most}"))
    depth = int(steps.cumsum(dtype=np.int32).max(initial=0))
    if depth > MAX_DEPTH:
        got = f"JSON nested {depth} deep"
        raise ValueError(_check.refusal(argument, got, f"at most {MAX_DEPTH}"))


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique: dict[str, Any] = {}
    for name, value in pairs:
        if name in unique:
            raise ValueError(f"{shown(name)} twice in one object")
        unique[name] = value
    return unique


def _short_int(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"the number {digits:.40}, which is no float64")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name}, which JSON does not have")


def _refuse_surrogates(value: Any) -> None:
    if isinstance(value, str):
        value.encode()
    elif isinstance(value, dict):
        _refuse_surrogates(list(value))
        _refuse_surrogates(list(value.values()))
    elif isinstance(value, list):
        for entry in value:
            _refuse_surrogates(entry)
