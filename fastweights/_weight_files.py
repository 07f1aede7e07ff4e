"""Files of weights: safetensors, what `torch.save` wrote, and Keras's HDF5 and archives.

Which of them a file is its first bytes say. None of them runs code, what lies in a file is bounded
by its size or by what it is wanted for, and only what it holds itself is read.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from fastweights import _check, _files, serialization
from fastweights._network import snake_case
from fastweights.layers import LAYERS
from fastweights.layers.ops import Shape

_HDF5, _ZIP, _PICKLE = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"\x80"
#: In an archive of Keras's.
_KERAS_WEIGHTS = "model.weights.h5"
#: How much larger than its archive what is packed there may be; Keras packs nothing.
_MOST_PACKED = 16
#: Of a file in HDF5: groups and arrays, levels of them, bytes of lists of names, of one piece.
_MOST_OBJECTS, _MOST_LEVELS, _MOST_NAMES, _MOST_PIECE = 200_000, 16, 2**28, 2**20
#: Where a dict that was saved with other things keeps the weights.
_STATE_DICTS = ("state_dict", "model_state_dict", "model")

#: Within a layer of Keras's: what begins the names of our variables, and nothing for those that
#: have none.
_INNER = {
    **dict.fromkeys(("cell", "layer"), ""),
    **{f"{name}_dense": f"{name}_" for name in ("query", "key", "value", "output")},
    **{name: f"{name}_" for name in ("query", "key", "value")},
    "attention_output": "output_",
    "forward_layer": "forward_",
    "backward_layer": "backward_",
}


class Part(NamedTuple):
    """Where a number of a file's tensors belongs."""

    layer: str
    name: str


class WeightFile(NamedTuple):
    """What a file has.

    Attributes
    ----------
    shapes : dict of str to tuple
        Of tensors of reals, by their names.
    others : tuple of str
        Names of tensors that are none.
    read : callable
        Gives one of `shapes`.
    is_ordered : bool
        Whether they come in the order of the layers.
    parts : dict of str to Part, or None
        Of a file of Keras's, whose arrays have its shapes; None where they have torch's.
    are_numbered : bool
        Whether parts of layers are ``"0"``, ``"1"``, ... behind what begins their names.
    titles : dict of str to str
        What layers are called, where files say it besides their paths.
    kinds : dict of str to str
        The class of each layer in small letters; of none where it is not known of all.
    """

    shapes: dict[str, Shape]
    others: tuple[str, ...]
    read: Callable[[str], np.ndarray]
    is_ordered: bool = False
    parts: dict[str, Part] | None = None
    are_numbered: bool = False
    titles: Mapping[str, str] = {}
    kinds: Mapping[str, str] = {}


@contextlib.contextmanager
def opened(path: _files.FilePath) -> Iterator[WeightFile]:
    """A file of weights, whichever of these it is.

    Raises
    ------
    ValueError
        It is none of them, or damaged.
    ModuleNotFoundError
        The library that reads it is not there.
    OSError
        It cannot be read.
    """
    text = _files.path_text(path)
    with _files.opened(text) as file, _files.naming(text):
        start = file.read(len(_HDF5))
        file.seek(0)
        if start == _HDF5:
            with _of_keras(text, file) as found:
                yield found
        elif start.startswith(_ZIP) and (archived := _archived(text, file)) is not None:
            with _of_keras(text, io.BytesIO(archived)) as found:
                yield found
        elif start.startswith((_ZIP, _PICKLE)):
            yield _of_torch(text, file)
        else:
            with serialization.opened(text) as tensors:
                yield _of_safetensors(tensors)


def _of_safetensors(file: serialization.File) -> WeightFile:
    shapes = {name: tensor.shape for name, tensor in file.tensors.items()}
    reals = {name: shape for name, shape in shapes.items() if file.tensors[name].dtype.kind == "f"}
    return WeightFile(reals, tuple(name for name in shapes if name not in reals), file.read)


# ---- torch's own ---------------------------------------------------------------------------------


def _of_torch(path: str, file: BinaryIO) -> WeightFile:
    """What `torch.save` wrote, by torch, which is told to run nothing that it finds there."""
    try:
        import torch
    except ImportError:
        raise ModuleNotFoundError(
            f"load_weights: {path} is read by torch, which is not installed; where it is, "
            "safetensors.torch.save_file(model.state_dict(), path) writes what needs none"
        ) from None
    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
        tensors = _state_dict(found, torch.Tensor)
    except Exception as error:  # whatever it meets in a file that is damaged
        why = _told(error)
        raise ValueError(f"{path}: torch finds no weights in it that it may load: {why}") from None
    if tensors is None:
        expected = "a state_dict, or a dict that has one as 'state_dict'"
        raise ValueError(_check.refusal(path, _check.kind_of(found), expected))
    reals = {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point()}

    def read(name: str) -> np.ndarray:
        tensor = reals[name].detach()
        real = torch.float64 if tensor.dtype == torch.float64 else torch.float32
        with _refused(path):
            return tensor.to(real).contiguous().numpy()

    return WeightFile(
        {name: tuple(tensor.shape) for name, tensor in reals.items()},
        tuple(name for name in tensors if name not in reals),
        read,
        is_ordered=True,
    )


def _state_dict(found: Any, kind: type) -> dict[str, Any] | None:
    """The tensors of a state_dict, or of the one that a dict has."""
    if not isinstance(found, Mapping):
        return None
    for held in (found, *(found.get(key) for key in _STATE_DICTS)):
        if isinstance(held, Mapping):
            tensors = {
                name: tensor
                for name, tensor in held.items()
                if isinstance(name, str) and isinstance(tensor, kind)
            }
            if tensors:
                return tensors
    return None


# ---- Keras's -------------------------------------------------------------------------------------


def _archived(path: str, file: BinaryIO) -> bytes | None:
    """The weights in an archive of Keras's; None where it is none."""
    size = os.fstat(file.fileno()).st_size
    try:
        with zipfile.ZipFile(file) as archive:
            if _KERAS_WEIGHTS not in archive.namelist():
                file.seek(0)
                return None
            packed = archive.getinfo(_KERAS_WEIGHTS)
            if packed.file_size > _MOST_PACKED * size:
                got = f"{packed.file_size} bytes packed in {size}"
                expected = f"at most {_MOST_PACKED} times as many"
                raise ValueError(_check.refusal(path, got, expected))
            return archive.read(packed)
    except ValueError:
        raise
    except OSError:
        raise
    except Exception as error:  # whatever comes of a damaged one
        raise ValueError(f"{path}: not a whole archive: {_told(error)}") from None


@contextlib.contextmanager
def _of_keras(path: str, file: BinaryIO) -> Iterator[WeightFile]:
    try:
        import h5py
    except ImportError:
        raise ModuleNotFoundError(
            f"load_weights: {path} is read by h5py, which is not installed: "
            "pip install 'fastweights[keras-files]'"
        ) from None
    with _refused(path):
        held = h5py.File(file, "r")
    try:
        with _refused(path):
            found = _Hdf5(held, h5py).weights(path)
        yield found
    finally:
        with contextlib.suppress(Exception):
            held.close()


class _Hdf5:
    """An HDF5 file of Keras's that is open."""

    def __init__(self, file: Any, h5py: Any) -> None:
        self._file, self._h5py = file, h5py
        self._size = file.id.get_filesize()

    def weights(self, path: str) -> WeightFile:
        """In whichever of Keras's ways they lie there."""
        root = self._file
        if self._has_group(root, "model_weights"):
            root = root["model_weights"]
        is_legacy = root is not self._file or "layer_names" in root.attrs
        arrays = dict(self._arrays(root))
        reals = {name: array for name, array in arrays.items() if _is_real(array)}
        parts = {name: _legacy_part(name) if is_legacy else _part(name) for name in reals}
        titles: dict[str, str] = {}
        order = self._legacy_order(root, reals) if is_legacy else None
        if order is not None:
            reals = {name: reals[name] for name in order}
        if not is_legacy:
            parts = _counted(parts)
            titles = self._titles(parts)

        def read(name: str) -> np.ndarray:
            with _refused(path):
                return _numbers(reals[name])

        return WeightFile(
            {name: tuple(array.shape) for name, array in reals.items()},
            (),
            read,
            order is not None,
            parts,
            not is_legacy,
            titles,
            {} if is_legacy else _kinds({part.layer for part in parts.values()}),
        )

    def _is_here(self, held: Any, name: str, kind: type) -> bool:
        # A soft link may lead anywhere, an external one to another file.
        link = held.get(name, getlink=True)
        return isinstance(link, self._h5py.HardLink) and isinstance(held[name], kind)

    def _has_group(self, held: Any, name: str) -> bool:
        return self._is_here(held, name, self._h5py.Group)

    def _arrays(self, root: Any) -> Iterator[tuple[str, Any]]:
        """All below, by their paths, but for what an optimizer remembers."""
        waiting, count = [("", root, 0)], 0
        while waiting:
            path, group, level = waiting.pop()
            for name in sorted(group):
                count += 1
                if count > _MOST_OBJECTS or level > _MOST_LEVELS:
                    expected = f"at most {_MOST_OBJECTS} objects, {_MOST_LEVELS} deep"
                    raise ValueError(_check.refusal("groups", "more", expected))
                if level == 0 and name in ("optimizer", "optimizer_weights"):
                    continue
                below = f"{path}/{name}" if path else name
                if self._has_group(group, name):
                    waiting.append((below, group[name], level + 1))
                elif self._is_here(group, name, self._h5py.Dataset):
                    yield below, group[name]

    def _titles(self, parts: Mapping[str, Part]) -> dict[str, str]:
        found = {}
        for layer in {part.layer for part in parts.values()}:
            group = self._file[layer] if layer else self._file
            title = group["vars"].attrs.get("name") if self._has_group(group, "vars") else None
            if isinstance(title, str):
                found[layer] = title
        return found

    def _legacy_order(self, root: Any, arrays: Mapping[str, Any]) -> list[str] | None:
        """The arrays by the lists of names that the file has; None where it has not all."""
        layers = self._names(root, "layer_names")
        if layers is None:
            return None
        order = []
        for layer in layers:
            if self._has_group(root, layer):
                names = self._names(root[layer], "weight_names") or ()
                order += [f"{layer}/{name}" for name in names]
        return order if sorted(order) == sorted(arrays) else None

    def _names(self, held: Any, key: str) -> list[str] | None:
        """A list of names, unless so many might be too long."""
        if key not in held.attrs:
            return None
        count = math.prod(held.attrs.get_id(key).shape)
        if count * self._size > _MOST_NAMES:
            return None
        names = np.ravel(held.attrs[key]).tolist()
        return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def _is_real(array: Any) -> bool:
    is_bfloat16 = array.attrs.get("dtype") == "bfloat16" and array.dtype.itemsize == 2
    return array.dtype.kind == "f" or is_bfloat16


def _numbers(array: Any) -> np.ndarray:
    """What an array in HDF5 has, which is in this file and in pieces of no more than it needs."""
    if array.external or array.is_virtual:
        raise ValueError(_check.refusal("an array", "one in another file", "numbers of its own"))
    piece = math.prod(array.chunks or ()) * array.dtype.itemsize
    if piece > max(array.size * array.dtype.itemsize, _MOST_PIECE):
        raise ValueError(_check.refusal("an array", "pieces larger than it", "smaller ones"))
    found = array[()]
    if array.dtype.kind == "f":
        return np.asarray(found, np.float64 if array.dtype.itemsize > 4 else np.float32)
    return serialization.widened(np.asarray(found).view("<u2"))


def _part(path: str) -> Part:
    """Of ``layers/lstm/cell/vars/0``."""
    steps = path.split("/")
    number = steps.pop()
    if steps and steps[-1] == "vars":
        steps.pop()
    begin = ""
    while len(steps) > 1 and (inner := steps[-1].lstrip("_")) in _INNER:
        begin = _INNER[inner] + begin
        steps.pop()
    return Part("/".join(steps), begin + number)


def _kinds(layers: Iterable[str]) -> dict[str, str]:
    """Of paths such as ``layers/dense_1``, which are made of the names of classes."""
    found = {path: re.sub(r"_[0-9]+$", "", path.rpartition("/")[2]) for path in layers}
    known = {snake_case(name) for name in LAYERS}
    return found if known.issuperset(found.values()) else {}


#: What begins the names of variables that Keras's layer has within another one.
_BEGINS = tuple({begin for begin in _INNER.values() if begin})


def numbered(variables: Sequence[str]) -> list[str]:
    """What the parts of a layer that has these variables are called where they are numbered."""
    counts: dict[str, int] = {}
    found = []
    for variable in variables:
        begin = next((begin for begin in _BEGINS if variable.startswith(begin)), "")
        found.append(f"{begin}{counts.setdefault(begin, 0)}")
        counts[begin] += 1
    return found


def _counted(parts: Mapping[str, Part]) -> dict[str, Part]:
    """The same, numbered as if there were none that are no reals."""
    counts: dict[tuple[str, str], int] = {}
    found = {}
    for path, part in sorted(parts.items(), key=lambda item: (len(item[0]), item[0])):
        begin = part.name.rstrip("0123456789")
        place = (part.layer, begin)
        found[path] = Part(part.layer, f"{begin}{counts.setdefault(place, 0)}")
        counts[place] += 1
    return found


def _legacy_part(path: str) -> Part:
    """Of ``lstm/lstm_1/lstm_cell/kernel:0``."""
    steps = path.split("/")
    name, begin = re.sub(r":\d+$", "", steps.pop()), ""
    while len(steps) > 1 and not begin and steps[-1] != steps[0]:
        if steps[-1] in _INNER:
            begin = _INNER[steps.pop()]
        elif side := re.match(r"(forward|backward)_", steps[-1]):
            steps.pop()
            begin = side[0]
        elif re.search(r"_cell(_\d+)?$", steps[-1]):
            steps.pop()
        else:
            break
    return Part("/".join(steps), begin + name)


# ---- what goes wrong -----------------------------------------------------------------------------


def _told(error: Exception) -> str:
    """In one line of a bounded length."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


@contextlib.contextmanager
def _refused(path: str) -> Iterator[None]:
    """Whatever another library raises about a damaged file is a refusal of it."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        raise ValueError(f"{path}: not a whole file of weights: {_told(error)}") from None
