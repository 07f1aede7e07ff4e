"""Bytes of text in any encoding to UTF-8."""

from __future__ import annotations

import codecs
import re

from fastweights import _check
from fastweights._json import shown

_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}

#: How much is looked at to tell UTF-16 without a mark, and binary files.
_SAMPLE = 1 << 16
_CHUNK = 1 << 24
#: What no text has, whatever its encoding: all below the space but white space and escape.
_CONTROLS = bytes({*range(32)} - {*b"\t\n\v\f\r\x1a\x1b"})
#: Whole characters of UTF-8 beyond ASCII.
_CHARACTERS = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)
_WORDS = re.compile(r"\S{0,20}[^\x00-\x7f]\S{0,20}")


def to_utf8(data: bytes, encoding: str | None, source: str) -> tuple[bytes, int, list[str]]:
    """The text in UTF-8, where in it the text begins, and remarks on how its encoding was found.

    Raises ValueError where there is no such encoding, or the bytes are no text in it.
    """
    if encoding is not None:
        return _decoded(data, _known(encoding), source), 0, []
    for mark, name in _MARKS.items():
        if data.startswith(mark):
            if name == "utf-8" and _is_utf8(data):
                return _without_nul(data, source), len(mark), []
            if name != "utf-8":
                return _decoded(data, name, source), 0, [f"the text is in {name}"]
    wide = _utf16_without_mark(data)
    if wide is not None:
        remark = f"it is read as {wide}, which it looks like; `encoding` says what else it is"
        return _decoded(data, wide, source), 0, [remark]
    _without_nul(data, source)
    if _is_utf8(data):
        return data, 0, []
    controls = len(data[:_SAMPLE]) - len(data[:_SAMPLE].translate(None, _CONTROLS))
    if controls:
        raise ValueError(f"{source}: got a binary file, expected a table in a text file")
    return _unmarked(data)


def _known(encoding: str) -> str:
    try:
        codec = codecs.lookup(_check.name("encoding", encoding))
        bytes(4).decode(codec.name, "replace")  # which those are refused by that are not of texts
    except (LookupError, UnicodeError):
        expected = "the name of an encoding, such as 'utf-8', 'cp1252' or 'utf-16'"
        raise ValueError(_check.refusal("encoding", shown(encoding), expected)) from None
    return codec.name


def _decoded(data: bytes, encoding: str, source: str) -> bytes:
    try:
        text = data.decode(encoding)
    except UnicodeError as error:
        got = f"text that is not in {encoding} ({error})"
        raise ValueError(f"{source}: got {got}, expected another `encoding`") from None
    return _without_nul(text.removeprefix("\ufeff").encode("utf-8", "replace"), source)


def _without_nul(data: bytes, source: str) -> bytes:
    if b"\0" in data:
        got = "a binary file (it holds NUL characters)"
        raise ValueError(f"{source}: got {got}, expected a table in a text file")
    return data


def _is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for first in range(0, len(data), _CHUNK):
            decoder.decode(data[first : first + _CHUNK], first + _CHUNK >= len(data))
    except UnicodeDecodeError:
        return False
    return True


def _utf16_without_mark(data: bytes) -> str | None:
    """The name of UTF-16 whose characters are mostly of one byte, where data looks like it."""
    sample = data[: min(_SAMPLE, len(data) // 2 * 2)]
    pairs = len(sample) // 2
    for name, high in (("utf-16-le", sample[1::2]), ("utf-16-be", sample[::2])):
        low = sample[::2] if name == "utf-16-le" else sample[1::2]
        if (
            pairs
            and high.count(0) > 0.7 * pairs
            and 0 not in low
            and any(b in low for b in b"\r\n")
        ):
            return name
    return None


def _unmarked(data: bytes) -> tuple[bytes, int, list[str]]:
    """Text of 8 bits a character, of which nothing says what it is."""
    characters = len(_CHARACTERS.findall(data))
    strange = _CHARACTERS.sub(b"", data)
    damaged = len(strange) - len(strange.translate(None, bytes(range(128, 256))))
    if characters > damaged:
        remark = f"{damaged:,} bytes are not UTF-8, as all else is, and are read as \ufffd"
        return data.decode("utf-8", "replace").encode(), 0, [remark]
    try:
        name, text = "Windows-1252", data.decode("cp1252")
    except UnicodeDecodeError:
        name, text = "Latin-1", data.decode("latin-1")
    sample = _WORDS.search(text)
    such = f" ({shown(sample[0])})" if sample else ""
    remark = f"it is not UTF-8 and read as {name}{such}; `encoding` says what else it is"
    return text.encode(), 0, [remark]
