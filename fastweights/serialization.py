"""Reads and writes the safetensors format: named tensors and metadata in one file, no code in it.

A file is the length of the header (8 bytes, little-endian), the header (JSON), and the tensors'
bytes one after the other (C order, little-endian)::

    {"__metadata__": {"key": "text"},
     "name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}

Offsets count from the header's end. The format: https://github.com/huggingface/safetensors.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple, Protocol, TypeGuard

import numpy as np

from fastweights import _check, _files, _json
from fastweights._files import FilePath

DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "I64": np.dtype("<i8"),
    "U64": np.dtype("<u8"),
    "F32": np.dtype("<f4"),
    "I32": np.dtype("<i4"),
    "U32": np.dtype("<u4"),
    "F16": np.dtype("<f2"),
    "I16": np.dtype("<i2"),
    "U16": np.dtype("<u2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
_CODES = {dtype: code for code, dtype in DTYPES.items()}
#: Read as float32, of which it is the upper half; NumPy has no such dtype, and none is written.
BFLOAT16 = "BF16"
#: What numbers take in a file.
_STORED = {**DTYPES, BFLOAT16: np.dtype("<u2")}

#: A longer header is refused, as by the format's other readers.
MAX_HEADER_BYTES = 100_000_000


# ---- writing -------------------------------------------------------------------------------------


def write(
    path: FilePath,
    tensors: Mapping[str, np.ndarray],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Writes ``tensors`` and ``metadata`` to ``path``, all or nothing.

    The file appears under its name only when it is complete and on the disk. Whatever goes wrong
    before that, a file that was there stays as it was.

    Parameters
    ----------
    path : str, bytes or path-like
        Replaced if it exists; permissions, owner and links stay.
    tensors : mapping of str to ndarray
        Of any shape and layout; bool, float16 to float64 or (u)int8 to (u)int64.
    metadata : mapping of str to str, optional
        Whatever else is worth keeping.

    Raises
    ------
    TypeError, ValueError
        Where a name, a dtype or the metadata does not fit the format, or the header's limits.
    OSError
        Where the file cannot be written; nothing is left behind.
    """
    arrays = [_little_endian(name, tensor) for name, tensor in tensors.items()]
    # The widest first, which leaves every tensor aligned for readers that map the file.
    order = sorted(zip(tensors, arrays, strict=True), key=lambda item: -item[1].itemsize)
    text, size = _header(order, metadata or {})

    def write_to(file: BinaryIO) -> None:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for _, array in order:
            file.write(array.data)

    _parsed(text.decode(), size)  # What is written can be read.
    _files.replace(path, write_to)


def _header(
    arrays: Sequence[tuple[str, np.ndarray]], metadata: Mapping[str, str]
) -> tuple[bytes, int]:
    """The header of a file of these arrays, one after the other, and the bytes they take."""
    header: dict[str, Any] = {}
    if metadata:
        header["__metadata__"] = _strings(metadata)
    offset = 0
    for name, array in arrays:
        header[name] = {
            "dtype": _CODES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [offset, offset + array.nbytes],
        }
        offset += array.nbytes
    try:
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError as error:
        got = f"{_json.shown(error.object[error.start])} in a name or in the metadata"
        raise ValueError(_check.refusal("header", got, "text that UTF-8 can hold")) from None
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER_BYTES:
        got, expected = f"{len(text)} bytes of names and metadata", f"at most {MAX_HEADER_BYTES}"
        raise ValueError(_check.refusal("header", got, expected))
    return text, offset


def _little_endian(name: str, tensor: np.ndarray) -> np.ndarray:
    """``tensor`` as the file holds it: C-contiguous and of one of DTYPES."""
    if not isinstance(name, str):
        raise TypeError(_check.refusal("tensors", f"the name {name!r}", "names that are strings"))
    if name == "__metadata__":
        raise ValueError(_check.refusal("tensors", repr(name), "a name not reserved"))
    array = np.asarray(tensor)
    dtype = array.dtype.newbyteorder("<")
    if dtype not in _CODES:
        expected = ", ".join(known.name for known in _CODES)
        raise TypeError(_check.refusal(f"tensors[{name!r}]", f"dtype {array.dtype}", expected))
    return array.astype(dtype, order="C", copy=False)


def _strings(metadata: Mapping[str, str]) -> dict[str, str]:
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str):
            got = f"{key!r}: {value!r}"
            raise TypeError(_check.refusal("metadata", got, "strings under strings"))
    return dict(metadata)


# ---- reading -------------------------------------------------------------------------------------


class Entry(NamedTuple):
    """What the header says about one tensor: where it lies, and what is read."""

    begin: int
    end: int
    name: str
    dtype: np.dtype
    shape: tuple[int, ...]
    code: str


class Tensors(Protocol):
    """Named tensors that can be read one by one, and metadata, of a file of so many bytes."""

    size: int
    metadata: dict[str, str]
    tensors: dict[str, Entry]

    def read(self, name: str) -> np.ndarray:
        """One tensor."""


class File:
    """A file of tensors whose header has been read and checked; made by :func:`opened`.

    Attributes
    ----------
    size : int
        Of the file, in bytes.
    metadata : dict of str to str
    tensors : dict of str to Entry
        In the order they lie in the file; ``dtype`` is in the machine's byte order.
    """

    def __init__(self, path: str, file: io.BufferedReader) -> None:
        self._path, self._file = path, file
        self.size = os.fstat(file.fileno()).st_size
        with _naming(path):
            self._start, entries, self.metadata = _read_header(file, self.size)
        self.tensors = {entry.name: entry for entry in entries}

    def read(self, name: str) -> np.ndarray:
        """One tensor, in memory of its own and the machine's byte order.

        Raises
        ------
        KeyError
            There is no tensor of this name.
        ValueError
            The file holds something else than the header says.
        OSError
            The file cannot be read.
        """
        entry = self.tensors[name]
        with _naming(self._path):
            self._file.seek(self._start + entry.begin)
            return _read_tensor(self._file, entry)


@contextlib.contextmanager
def opened(path: FilePath) -> Iterator[File]:
    """A file to read tensors from, one by one.

    The header alone is read at first; what it takes in memory is bounded by the file's size.

    Raises
    ------
    ValueError
        The file is not a whole and valid safetensors file; says what is wrong with it.
    OSError
        The file cannot be read.
    """
    text = _files.path_text(path)
    with _files.opened(text) as file:
        yield File(text, file)


def read(path: FilePath) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The tensors of a file, in the order they lie in it, and its metadata; raises as `opened`."""
    with opened(path) as file:
        return {name: file.read(name) for name in file.tensors}, file.metadata


def read_metadata(path: FilePath) -> dict[str, str]:
    """The metadata of a file whose header is checked as `opened` does; no tensor is read."""
    with opened(path) as file:
        return file.metadata


@contextlib.contextmanager
def _naming(path: str) -> Iterator[None]:
    """Errors of the block name the file."""
    with _files.naming(path):
        try:
            yield
        except ValueError as error:
            raise ValueError(f"{path}: not a valid safetensors file: {error}") from None


def _read_header(file: io.BufferedReader, size: int) -> tuple[int, list[Entry], dict[str, str]]:
    """Where the tensors' bytes start, the tensors in their order, and the metadata."""
    if size < 8:
        raise ValueError(_check.refusal("size", f"{size} bytes", "at least 8"))
    length = int.from_bytes(file.read(8), "little")
    room = size - 8
    if length > min(room, MAX_HEADER_BYTES):
        expected = f"at most {min(room, MAX_HEADER_BYTES)}, as the file has {size}"
        raise ValueError(_check.refusal("header", f"a length of {length} bytes", expected))
    return 8 + length, *_parsed(_json.decoded("header", file.read(length)), room - length)


def _parsed(text: str, data_size: int) -> tuple[list[Entry], dict[str, str]]:
    """What a header says: the tensors, which fill the data without a gap, and the metadata."""
    if not text.startswith("{"):
        raise ValueError(_check.refusal("header", f"{text[:8]!r}", "a JSON object"))
    header = _json.loads("header", text, len(text) + data_size)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ValueError(_check.refusal("__metadata__", "something else", "strings under strings"))

    entries = sorted(_entry(name, description) for name, description in header.items())
    position = 0
    for entry in entries:
        if entry.begin != position:
            tensor = f"tensor {_json.shown(entry.name)}"
            raise ValueError(_check.refusal(tensor, f"a start at {entry.begin}", f"{position}"))
        position = entry.end
    if position != data_size:
        expected = f"{position} as the header says"
        raise ValueError(_check.refusal("data", f"{data_size} bytes", expected))
    return entries, metadata


def _entry(name: str, description: Any) -> Entry:
    """One tensor's entry in the header, checked but for its place among the others."""
    tensor = f"tensor {_json.shown(name)}"
    if not isinstance(description, dict):
        raise ValueError(_check.refusal(tensor, _json.shown(description), "a JSON object"))
    code, shape, offsets = (description.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(code, str) or code not in _STORED:
        got, expected = f"dtype {_json.shown(code)}", f"one of {', '.join(_STORED)}"
        raise ValueError(_check.refusal(tensor, got, expected))
    dtype = DTYPES["F32" if code == BFLOAT16 else code]
    if not _are_sizes(shape) or len(shape) > _check.MAX_AXES:
        got, expected = f"shape {_json.shown(shape)}", f"a list of at most {_check.MAX_AXES} sizes"
        raise ValueError(_check.refusal(tensor, got, expected))
    if math.prod(size for size in shape if size) * dtype.itemsize > sys.maxsize:
        got, expected = f"shape {_json.shown(shape)}", "one that an array can have"
        raise ValueError(_check.refusal(tensor, got, expected))
    if not _are_sizes(offsets) or len(offsets) != 2:
        got, expected = f"data_offsets {_json.shown(offsets)}", "its begin and its end"
        raise ValueError(_check.refusal(tensor, got, expected))
    begin, end = offsets
    nbytes = math.prod(shape) * _STORED[code].itemsize
    if end - begin != nbytes:
        expected = f"{nbytes} as dtype and shape say"
        raise ValueError(_check.refusal(tensor, f"{end - begin} bytes", expected))
    return Entry(begin, end, name, dtype.newbyteorder("="), tuple(shape), code)


def _are_sizes(values: Any) -> TypeGuard[list[int]]:
    return isinstance(values, list) and all(
        type(v) is int and 0 <= v <= sys.maxsize for v in values
    )


def _read_tensor(file: io.BufferedReader, entry: Entry) -> np.ndarray:
    """The tensor at the file's position."""
    array = np.empty(entry.shape, _STORED[entry.code])
    data = array.reshape(-1).view(np.uint8)
    tensor = f"tensor {_json.shown(entry.name)}"
    if file.readinto(data.data) != data.nbytes:
        raise ValueError(_check.refusal(tensor, "a part of it", "all of it"))
    if entry.dtype.kind == "b" and (data > 1).any():
        raise ValueError(_check.refusal(tensor, "other bytes", "bytes 0 and 1"))
    return widened(array) if entry.code == BFLOAT16 else array.astype(entry.dtype, copy=False)


def widened(halves: np.ndarray) -> np.ndarray:
    """The float32 numbers that bfloat16 ones, given as uint16, are."""
    numbers = halves.astype(np.uint32)
    numbers <<= 16
    return numbers.view(np.float32)
