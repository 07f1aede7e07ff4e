"""Reads arrays of an HDF5 file in a process of its own, told by its parent which.

# Design: the library below h5py may crash, or take any memory, on a file that is damaged. So this
# program, which `_weight_files` starts, holds the file: it has little memory, and its end is a
# refusal there. It is run by its path and imports nothing of the package. On its standard output it
# says in a line of JSON what there is, and then, for each line of JSON that names an array, in a
# line how many bytes it has or what is wrong, and the bytes.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import sys
import zipfile
from collections.abc import Iterator
from typing import Any, BinaryIO

import h5py
import numpy as np

#: In an archive of Keras's.
WEIGHTS = "model.weights.h5"
#: Groups and arrays, and levels of them; bytes of lists of names, and of one piece of an array.
MOST_OBJECTS, MOST_LEVELS, MOST_NAMES, MOST_PIECE = 200_000, 16, 2**28, 2**20
#: Bytes of memory beside those for 16 times the file, and seconds of work beside one a megabyte.
MEMORY, SECONDS = 2**30, 60


def serve(path: str, requests: BinaryIO, answers: BinaryIO) -> None:
    """Tells what there is, then answers one request after the other."""

    def tell(what: dict[str, Any], content: bytes = b"") -> None:
        answers.write(json.dumps(what).encode() + b"\n" + content)
        answers.flush()

    try:
        _limit(os.path.getsize(path))
        held = h5py.File(_content(path), "r")
        found = _description(held)
    except Exception as error:
        tell({"error": _told(error)})
        return
    tell(found)
    for request in requests:
        try:
            content = _numbers(held[json.loads(request)]).tobytes()
        except Exception as error:
            tell({"error": _told(error)})
        else:
            tell({"bytes": len(content)}, content)


def _limit(size: int) -> None:
    """Of memory and time, where the system knows such limits."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        with open("/proc/self/statm") as file:
            in_use = int(file.read().split()[0]) * resource.getpagesize()
        room = in_use + MEMORY + 16 * size
        resource.setrlimit(resource.RLIMIT_AS, (room, room))
        seconds = SECONDS + size // 2**20
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]


def _content(path: str) -> Any:
    """The file, or the one with the weights in an archive."""
    if not zipfile.is_zipfile(path):
        return path
    with zipfile.ZipFile(path) as archive:
        return io.BytesIO(archive.read(WEIGHTS))


def _description(file: Any) -> dict[str, Any]:
    """Of the arrays of reals: their paths, shapes and dtypes, and what else is known of them."""
    root = file["model_weights"] if _has_group(file, "model_weights") else file
    is_old = root is not file or "layer_names" in root.attrs
    size, arrays = file.id.get_filesize(), {}
    for array in _arrays(root):
        if (dtype := _dtype(array)) is not None:
            arrays[array.name[1:]] = (array.shape, dtype)
    return {
        "root": "" if root is file else f"{root.name[1:]}/",
        "is_old": is_old,
        "arrays": [[name, list(shape), dtype] for name, (shape, dtype) in arrays.items()],
        "order": _order(root, size) if is_old else None,
        "titles": {} if is_old else _titles(file, arrays),
    }


def _here(held: Any, name: str) -> Any:
    """What a group has of this name; None where it has but a link."""
    # A soft link may lead anywhere, an external one to another file.
    link = held.get(name, getlink=True)
    return held[name] if isinstance(link, h5py.HardLink) else None


def _has_group(held: Any, name: str) -> bool:
    return isinstance(_here(held, name), h5py.Group)


def _arrays(root: Any) -> Iterator[Any]:
    """All below, but for what an optimizer remembers."""
    waiting, count = [(root, 0)], 0
    while waiting:
        group, level = waiting.pop()
        for name in sorted(group):
            count += 1
            if count > MOST_OBJECTS or level > MOST_LEVELS:
                raise ValueError(f"more than {MOST_OBJECTS} objects, or {MOST_LEVELS} levels")
            if level == 0 and name in ("optimizer", "optimizer_weights"):
                continue
            one = _here(group, name)
            if isinstance(one, h5py.Group):
                waiting.append((one, level + 1))
            elif isinstance(one, h5py.Dataset):
                yield one


def _dtype(array: Any) -> str | None:
    """In which its numbers are told; None where they are no reals."""
    if array.dtype.kind == "f":
        return "<f8" if array.dtype.itemsize > 4 else "<f4"
    return "<f4" if array.attrs.get("dtype") == "bfloat16" and array.dtype.itemsize == 2 else None


def _numbers(array: Any) -> np.ndarray:
    """What an array has, if it is in this file and in pieces of no more than it needs."""
    if array.external or array.is_virtual:
        raise ValueError("an array whose numbers are in another file")
    width = array.dtype.itemsize
    if math.prod(array.chunks or ()) * width > max(array.size * width, MOST_PIECE):
        raise ValueError("an array in pieces that are larger than it")
    found, dtype = array[()], _dtype(array)
    if array.dtype.kind == "f":
        return np.asarray(found, dtype)
    halves = np.asarray(found).view("<u2").astype("<u4")
    halves <<= 16
    return halves.view("<f4")


def _titles(file: Any, arrays: Any) -> dict[str, str]:
    """What each ``vars`` says of its layer's name."""
    found = {}
    for path in {name.rpartition("/")[0] for name in arrays}:
        title = file[path or "/"].attrs.get("name")
        if isinstance(title, str):
            found[path] = title
    return found


def _order(root: Any, size: int) -> list[str] | None:
    """The arrays by the lists of names that the file has; None where they might be too long."""
    layers = _names(root, "layer_names", size)
    if layers is None:
        return None
    order = []
    for layer in layers:
        if _has_group(root, layer):
            names = _names(root[layer], "weight_names", size) or ()
            order += [f"{root[layer].name[1:]}/{name}" for name in names]
    return order


def _names(held: Any, key: str, size: int) -> list[str] | None:
    if key not in held.attrs:
        return None
    # Each of them may be the whole file.
    if math.prod(held.attrs.get_id(key).shape) * size > MOST_NAMES:
        return None
    names = np.ravel(held.attrs[key]).tolist()
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


if __name__ == "__main__":
    serve(sys.argv[1], sys.stdin.buffer, sys.stdout.buffer)
