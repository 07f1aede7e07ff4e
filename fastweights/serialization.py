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
import stat
import sys
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple, TypeGuard

import numpy as np

from fastweights import _check

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

#: A longer header is refused, as by the format's other readers.
MAX_HEADER_BYTES = 100_000_000
#: As many as an array can have.
MAX_DIMENSIONS = 64

FilePath = str | os.PathLike[str]


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
    path : str or path-like
        Replaced if it exists.
    tensors : mapping of str to ndarray
        Of any shape and layout; bool, float16 to float64 or (u)int8 to (u)int64.
    metadata : mapping of str to str, optional
        Whatever else is worth keeping.

    Raises
    ------
    TypeError, ValueError
        Where a name, a dtype or the metadata does not fit the format.
    OSError
        Where the file cannot be written.
    """
    arrays = [_little_endian(name, tensor) for name, tensor in tensors.items()]
    # The widest first, which leaves every tensor aligned for readers that map the file.
    order = sorted(zip(tensors, arrays, strict=True), key=lambda item: -item[1].itemsize)
    header: dict[str, Any] = {}
    if metadata:
        header["__metadata__"] = _strings(metadata)
    offset = 0
    for name, array in order:
        header[name] = {
            "dtype": _CODES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [offset, offset + array.nbytes],
        }
        offset += array.nbytes
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)

    with _replacing(path) as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for _, array in order:
            file.write(array.data)


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


@contextlib.contextmanager
def _replacing(path: FilePath) -> Iterator[BinaryIO]:
    """A file to write that takes the place of ``path`` when the block ends without an error."""
    target = os.path.realpath(path)
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        mode = None
    if mode is not None and not stat.S_ISREG(mode):
        raise ValueError(_check.refusal("path", f"{target}, which is not a file", "a file"))
    folder = os.path.dirname(target)
    temporary = os.path.join(folder, f".{os.urandom(8).hex()}.tmp")
    try:
        file = open(temporary, "xb")  # noqa: SIM115
    except OSError as error:
        raise type(error)(error.errno, error.strerror, target) from None
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            os.chmod(temporary, stat.S_IMODE(mode))
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(folder)


def _sync_folder(folder: str) -> None:
    """Puts the new name on the disk too, where the system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


# ---- reading -------------------------------------------------------------------------------------


class _Entry(NamedTuple):
    """What the header says about one tensor."""

    begin: int
    end: int
    name: str
    dtype: np.dtype
    shape: tuple[int, ...]


def read(path: FilePath) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The tensors of a file, in the order they lie in it, and its metadata.

    Raises
    ------
    ValueError
        Where the file is not a whole and valid safetensors file; says what is wrong with it.
    OSError
        Where the file cannot be read.
    """
    with _reading(path) as file:
        entries, metadata = _read_header(file)
        return {entry.name: _read_tensor(file, entry) for entry in entries}, metadata


def read_metadata(path: FilePath) -> dict[str, str]:
    """The metadata of a file, whose header is checked as :func:`read` does; no tensor is read."""
    with _reading(path) as file:
        return _read_header(file)[1]


@contextlib.contextmanager
def _reading(path: FilePath) -> Iterator[io.BufferedReader]:
    """The opened file; a ValueError of the block becomes one that names the path."""
    with open(path, "rb") as file:
        try:
            yield file
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{os.fspath(path)}: not a valid safetensors file: {error}") from None


def _read_header(file: io.BufferedReader) -> tuple[list[_Entry], dict[str, str]]:
    """The tensors in the order they lie in, filling the file without a gap, and the metadata."""
    size = os.fstat(file.fileno()).st_size
    if size < 8:
        raise ValueError(_check.refusal("size", f"{size} bytes", "at least 8"))
    length = int.from_bytes(file.read(8), "little")
    room = size - 8
    if length > min(room, MAX_HEADER_BYTES):
        expected = f"at most {min(room, MAX_HEADER_BYTES)}, as the file has {size}"
        raise ValueError(_check.refusal("header", f"a length of {length} bytes", expected))
    text = file.read(length)
    if not text.startswith(b"{"):
        raise ValueError(_check.refusal("header", f"{text[:8]!r}", "a JSON object"))
    header = json.loads(text.decode(), object_pairs_hook=_without_duplicates)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ValueError(_check.refusal("__metadata__", "something else", "strings under strings"))

    entries = sorted(_entry(name, description) for name, description in header.items())
    position = 0
    for entry in entries:
        if entry.begin != position:
            raise ValueError(
                _check.refusal(f"tensor {entry.name!r}", f"a start at {entry.begin}", f"{position}")
            )
        position = entry.end
    if position != room - length:
        expected = f"{position} as the header says"
        raise ValueError(_check.refusal("data", f"{room - length} bytes", expected))
    return entries, metadata


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique: dict[str, Any] = {}
    for name, value in pairs:
        if name in unique:
            raise ValueError(_check.refusal("header", f"{name!r} twice", "every name once"))
        unique[name] = value
    return unique


def _entry(name: str, description: Any) -> _Entry:
    """One tensor's entry in the header, checked but for its place among the others."""
    tensor = f"tensor {name!r}"
    if not isinstance(description, dict):
        raise ValueError(_check.refusal(tensor, repr(description)[:40], "a JSON object"))
    code, shape, offsets = (description.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(code, str) or code not in DTYPES:
        raise ValueError(
            _check.refusal(tensor, f"dtype {code!r:.40}", f"one of {', '.join(DTYPES)}")
        )
    if not _are_sizes(shape) or len(shape) > MAX_DIMENSIONS:
        expected = f"a list of at most {MAX_DIMENSIONS} sizes"
        raise ValueError(_check.refusal(tensor, f"shape {shape!r:.40}", expected))
    if not _are_sizes(offsets) or len(offsets) != 2:
        expected = "its begin and its end"
        raise ValueError(_check.refusal(tensor, f"data_offsets {offsets!r:.40}", expected))
    begin, end = offsets
    nbytes = math.prod(shape) * DTYPES[code].itemsize
    if end - begin != nbytes:
        expected = f"{nbytes} as dtype and shape say"
        raise ValueError(_check.refusal(tensor, f"{end - begin} bytes", expected))
    return _Entry(begin, end, name, DTYPES[code], tuple(shape))


def _are_sizes(values: Any) -> TypeGuard[list[int]]:
    return isinstance(values, list) and all(
        type(v) is int and 0 <= v <= sys.maxsize for v in values
    )


def _read_tensor(file: io.BufferedReader, entry: _Entry) -> np.ndarray:
    array = np.empty(entry.shape, dtype=entry.dtype)
    data = array.reshape(-1).view(np.uint8)
    if file.readinto(data.data) != data.nbytes:
        raise ValueError(_check.refusal(f"tensor {entry.name!r}", "a part of it", "all of it"))
    if entry.dtype.kind == "b" and (data > 1).any():
        raise ValueError(_check.refusal(f"tensor {entry.name!r}", "other bytes", "bytes 0 and 1"))
    return array.astype(entry.dtype.newbyteorder("="), copy=False)
