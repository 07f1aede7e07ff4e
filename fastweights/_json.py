"""JSON of files that may be damaged or hostile: strict, and never larger than the file allows.

A few megabytes of ``[],[],[]`` would become a hundred times as much memory, and a number of a
million digits takes minutes; both are refused before anything is made of them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
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

#: Characters that are looked at in one go.
_BLOCK = 2**18
_NO_MARKS = bytes(set(range(256)) - set(b'"[]{},'))
_STEP = np.zeros(256, np.int8)
_STEP[list(b"[{")] = 1
_STEP[list(b"]}")] = -1


def decoded(argument: str, content: bytes) -> str:
    """The text that the bytes are in UTF-8, or a ValueError."""
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        got = f"byte 0x{content[error.start]:02x} at {error.start}"
        raise ValueError(_check.refusal(argument, got, "UTF-8")) from None


def loads(argument: str, text: str, file_size: int = 0) -> Any:
    """What the JSON text says.

    Parameters
    ----------
    argument : str
        What the text is, for messages.
    text : str
    file_size : int
        Of the file that the text belongs to.

    Raises
    ------
    ValueError
        It is not JSON, or has a name twice in an object, NaN, a number that is no float64 or too
        long, half a surrogate pair, too deep a nesting, or too many values for the file.
    """
    _refuse_bombs(argument, text, MAX_VALUES + file_size // BYTES_A_VALUE)
    try:
        value = json.loads(
            text,
            object_pairs_hook=_without_duplicates,
            parse_int=_short_int,
            parse_float=_finite,
            parse_constant=_refuse_constant,
        )
        if "\\ud" in text or "\\uD" in text:
            _refuse_surrogates(value)
    except (ValueError, RecursionError) as error:
        raise ValueError(_check.refusal(argument, f"damaged JSON ({error})", "JSON")) from None
    return value


def shown(value: object) -> str:
    """A value from a file as a message can hold it, whatever its size."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _refuse_bombs(argument: str, text: str, most: int) -> None:
    """Raises ValueError where the text has more values than `most` or is nested too deep."""
    values, depth, deepest, within = 1, 0, 0, False
    for block in _blocks(text):
        unescaped = block.encode(errors="surrogatepass").replace(b"\\\\", b"").replace(b'\\"', b"")
        marks = np.frombuffer(unescaped.translate(None, _NO_MARKS), np.uint8)
        quotes = marks == ord('"')
        outside = np.logical_xor.accumulate(quotes) == within
        within ^= bool(np.count_nonzero(quotes) % 2)
        steps = _STEP[marks[outside & ~quotes]]
        values += np.count_nonzero(steps == 0) + CONTAINER * np.count_nonzero(steps > 0)
        depths = depth + steps.cumsum(dtype=np.int64)
        if depths.size:
            depth, deepest = int(depths[-1]), max(deepest, int(depths.max()))
    if values > most:
        raise ValueError(_check.refusal(argument, f"about {values} values", f"at most {most}"))
    if deepest > MAX_DEPTH:
        got = f"JSON nested {deepest} deep"
        raise ValueError(_check.refusal(argument, got, f"at most {MAX_DEPTH}"))


def _blocks(text: str) -> Iterator[str]:
    """The text in blocks, none of which ends within an escape."""
    begin = 0
    while begin < len(text):
        block = text[begin : begin + _BLOCK]
        if (len(block) - len(block.rstrip("\\"))) % 2:
            block = text[begin : begin + _BLOCK + 1]
        yield block
        begin += len(block)


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


def with_null(value: Any) -> Any:
    """The same with None, JSON's null, for numbers that JSON does not have."""
    if isinstance(value, dict):
        return {key: with_null(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [with_null(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
