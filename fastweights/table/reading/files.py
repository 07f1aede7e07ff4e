"""The bytes of a file that may be packed, or of what is open already."""

from __future__ import annotations

import io
import os
import sys
import zipfile
from collections.abc import Callable
from typing import IO, Any

from fastweights import _check, _files
from fastweights._importing import imported
from fastweights._json import shown
from fastweights._memory import total_memory
from fastweights.table.reading.formats import format_of

#: What an argument is called that stands for the standard input.
STANDARD_INPUT = "-"

_EXCEL = (".xlsx", ".xlsm")
_CHUNK = 1 << 24
#: What unpacks more than this must leave room for itself beside it: a bomb is no table.
_ALWAYS_UNPACKED = 1 << 30

#: How files of spreadsheets and their kin are told from other zip archives.
_IN_ZIP = {
    "xl/workbook.xml": "excel",
    "word/document.xml": "a Word document",
    "ppt/presentation.xml": "a PowerPoint presentation",
    "content.xml": "an OpenDocument file; save it as .xlsx or .csv",
    "xl/workbook.bin": "a binary Excel file; save it as .xlsx or .csv",
}


def contents(source: Any) -> tuple[bytes, str]:
    """All bytes of a path, of ``"-"`` or of an open file, and what messages call it."""
    if hasattr(source, "read"):
        name = getattr(source, "name", None)
        return _read_open(source), name if isinstance(name, str) else "table"
    if source == STANDARD_INPUT:
        return _read_open(sys.stdin.buffer), "standard input"
    if not isinstance(source, (str, bytes, os.PathLike)):
        expected = "a path, '-', an open file, a frame, columns by their names or an array"
        raise TypeError(_check.refusal("source", type(source).__name__, expected))
    path = _files.path_text(source)
    with _files.naming(path), _files.opened(path) as file:
        return file.read(), path


def _read_open(file: Any) -> bytes:
    data = file.read()
    if isinstance(data, str):
        return data.encode("utf-8", "surrogatepass")
    if not isinstance(data, (bytes, bytearray, memoryview)):
        got = f"a file whose read() gives {type(data).__name__}"
        raise TypeError(_check.refusal("source", got, "one that gives bytes"))
    return bytes(data)


def unpacked(data: bytes, source: str) -> tuple[bytes, str | None]:
    """The bytes that are packed in a file, if any are, and the `format_of` these.

    Raises ValueError where they are damaged, more than memory holds, or several files.
    """
    name = format_of(data)
    if name not in _OPENERS:
        return data, name
    if name == "zip" and source.lower().endswith(_EXCEL):
        return data, "excel"
    if name == "zip":
        kind = _kind_of_archive(data, source)
        if kind is not None:
            return data, kind
    with _OPENERS[name](data, source) as file:
        inner = _bounded(file, source, name)
    within = format_of(inner)
    if within in _OPENERS:
        raise ValueError(f"{source}: got {within} data within {name}, expected a table in it")
    return inner, within


def _bounded(file: IO[bytes], source: str, name: str | None) -> bytes:
    memory = total_memory()
    limit = max(_ALWAYS_UNPACKED, memory // 4) if memory else sys.maxsize
    chunks, size = [], 0
    while True:
        try:
            chunk = file.read(_CHUNK)
        except MemoryError:
            raise
        except Exception as error:  # Damaged data raise anything, from EOFError to zlib.error.
            got = f"damaged or cut off {name} data ({error})"
            raise ValueError(f"{source}: got {got}, expected a whole file") from None
        if not chunk:
            break
        chunks.append(chunk)
        size += len(chunk)
        if size > limit:
            got = f"more than {limit / 2**30:.1f} GiB once it is unpacked"
            raise ValueError(f"{source}: got {got}, expected what fits a quarter of memory")
    return b"".join(chunks)


#: What zipfile raises of files that are not as they were written.
_DAMAGED = (zipfile.BadZipFile, ValueError, OSError, EOFError)


def _members(data: bytes, source: str) -> tuple[zipfile.ZipFile, list[str]]:
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (*_DAMAGED, NotImplementedError) as error:
        got = f"a damaged or cut off zip archive ({error})"
        raise ValueError(f"{source}: got {got}, expected a whole file") from None
    return archive, [
        name
        for name in archive.namelist()
        if not name.endswith("/")
        and not name.startswith("__MACOSX/")
        and not os.path.basename(name).startswith(".")
    ]


def _kind_of_archive(data: bytes, source: str) -> str | None:
    """What kind of file is kept as a zip archive; None where it is one for its own sake."""
    _, names = _members(data, source)
    kinds = [kind for member, kind in _IN_ZIP.items() if member in names]
    if not kinds and names and all(name.endswith(".npy") for name in names):
        return "an archive of NumPy's arrays; load it and give an array"
    return kinds[0] if kinds else None


def _only_member(data: bytes, source: str) -> IO[bytes]:
    archive, names = _members(data, source)
    if len(names) != 1:
        got = f"an archive of {len(names)} files" + (f", {_check.listed(names)}" if names else "")
        raise ValueError(f"{source}: got {got}, expected a table alone in it; unpack it first")
    if archive.getinfo(names[0]).flag_bits & 1:
        raise ValueError(f"{source}: got {shown(names[0])} with a password, expected it open")
    try:
        return archive.open(names[0])
    except NotImplementedError as error:
        got = f"an archive that cannot be read ({error})"
        raise ValueError(f"{source}: got {got}, expected one packed by deflate") from None
    except _DAMAGED as error:
        got = f"a damaged or cut off zip archive ({error})"
        raise ValueError(f"{source}: got {got}, expected a whole file") from None


#: What opens the packed bytes that are in a file of each format.
_OPENERS: dict[str | None, Callable[[bytes, str], IO[bytes]]] = {
    "gzip": lambda data, source: imported("gzip").GzipFile(fileobj=io.BytesIO(data)),
    "bzip2": lambda data, source: imported("bz2").BZ2File(io.BytesIO(data)),
    "xz": lambda data, source: imported("lzma").LZMAFile(io.BytesIO(data)),
    "zip": _only_member,
}
