"""Files of weights: safetensors, what `torch.save` wrote, and Keras's HDF5 and archives.

Which of them a file is its first bytes say. None of them runs code, what is made of a file is
bounded by its size or by what it is wanted for, and only what it holds itself is read.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

import numpy as np

from fastweights import _apart, _check, _files, serialization
from fastweights._network import snake_case
from fastweights.layers import LAYERS
from fastweights.layers.ops import Shape

if TYPE_CHECKING:
    import subprocess

_SAFETENSORS, _KERAS, _TORCH = "safetensors", "a file of Keras's", "one such as torch.save writes"
_HDF5, _ZIP, _PICKLE = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"\x80"
#: What begins a file of torch's before 1.6.
_TORCH_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
#: What begins what zlib packed.
_ZLIB = (b"x\x01", b"x\x5e", b"x\x9c", b"x\xda")
#: In an archive of Keras's.
_KERAS_WEIGHTS = "model.weights.h5"
#: How much larger than its archive what is packed there may be; Keras and torch pack nothing.
_MOST_PACKED = 16
#: The longest line that the reader of HDF5 says.
_MOST_TOLD = 100_000_000
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
        whose = _whose(text, file)
        if whose == _SAFETENSORS:
            with serialization.opened(text) as tensors:
                yield _of_safetensors(tensors)
        elif whose == _KERAS:
            with _of_keras(text) as found:
                yield found
        elif whose == _TORCH:
            yield _of_torch(text, file)
        else:
            got = f"{text}, which begins with {file.read(8)!r}"
            expected = "safetensors, what torch.save wrote, or a file of Keras's"
            raise ValueError(_check.refusal("filepath", got, expected))


def _whose(path: str, file: BinaryIO) -> str | None:
    """Which of these a file is, which is then at its begin; None where it is none."""
    start, after = file.read(8), file.read(1)
    file.seek(0)
    if after == b"{":
        return _SAFETENSORS
    if start == _HDF5 or (start.startswith(_ZIP) and _is_of_keras(path, file)):
        return _KERAS
    return _TORCH if start.startswith((_ZIP, _PICKLE)) else None


def refuse_models_of_others(path: _files.FilePath) -> None:
    """Raises ValueError for a file of another library's, of which weights alone can be read."""
    text = _files.path_text(path)
    with _files.opened(text) as file, _files.naming(text):
        whose = _whose(text, file)
        is_pickle = whose in (_TORCH, None) and _is_pickle_of_others(file)
    if is_pickle:
        expected = (
            "a model that save wrote; joblib.load, or pickle.load, reads a pickle of an estimator, "
            "which runs code of the file's, and its save(path) writes a file that this reads"
        )
        raise ValueError(_check.refusal(text, "a pickle, or a packed one", expected))
    if whose in (_KERAS, _TORCH):
        expected = (
            "a model that Model.save wrote; build the model of layers and call "
            "model.load_weights, which reads the weights of such files"
        )
        raise ValueError(_check.refusal(text, whose, expected))


def _is_pickle_of_others(file: BinaryIO) -> bool:
    """Whether a file, which is at its begin, has a pickle that torch did not write.

    Joblib packs them by zlib.
    """
    start = file.read(len(_TORCH_MAGIC))
    file.seek(0)
    return start.startswith((_PICKLE, *_ZLIB)) and start != _TORCH_MAGIC


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
    reals = {
        name: tensor
        for name, tensor in tensors.items()
        if tensor.is_floating_point() and not tensor.is_nested
    }

    def read(name: str) -> np.ndarray:
        tensor = reals[name].detach()
        kind = "meta" if tensor.is_meta else str(tensor.layout).removeprefix("torch.")
        if kind != "strided":
            argument = f"{path}: tensor {_check.shown(name)}"
            got = "one without numbers" if kind == "meta" else f"a sparse tensor ({kind})"
            raise ValueError(_check.refusal(argument, got, "a dense one"))
        real = torch.float64 if tensor.dtype == torch.float64 else torch.float32
        with _refused(path):
            return tensor.to(real).resolve_neg().contiguous().numpy()

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


def _is_of_keras(path: str, file: BinaryIO) -> bool:
    """Whether an archive is one of Keras's; no numbers of it are read."""
    import zipfile  # here, as those who only predict need not wait for it

    size = os.fstat(file.fileno()).st_size
    try:
        with zipfile.ZipFile(file) as archive:
            packed = [entry.file_size for entry in archive.infolist()]
            is_of_keras = _KERAS_WEIGHTS in archive.namelist()
    except Exception as error:  # whatever comes of a damaged one
        raise ValueError(f"{path}: not a whole archive: {_told(error)}") from None
    file.seek(0)
    unpacked = sum(packed)
    if unpacked > _MOST_PACKED * size:
        got, expected = (
            f"{unpacked} bytes packed in {size}",
            f"at most {_MOST_PACKED} times as many",
        )
        raise ValueError(_check.refusal(path, got, expected))
    return is_of_keras


@contextlib.contextmanager
def _of_keras(path: str) -> Iterator[WeightFile]:
    import subprocess

    if importlib.util.find_spec("h5py") is None:
        raise ModuleNotFoundError(
            f"load_weights: {path} is read by h5py, which is not installed: "
            "pip install 'fastweights[keras-files]'"
        )
    command = [sys.executable, str(Path(_apart.__file__).with_name("read_hdf5.py"))]
    places = os.pathsep.join(os.path.abspath(place) for place in sys.path)
    environment = {**os.environ, "PYTHONPATH": places}
    process = subprocess.Popen(
        [*command, os.path.abspath(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    try:
        yield _told_by(process, path)
    finally:
        process.kill()
        process.communicate()


def _answer(process: subprocess.Popen[bytes], path: str) -> dict[str, Any]:
    """The next line that the reader says."""
    line = cast("BinaryIO", process.stdout).readline(_MOST_TOLD)
    if not line.endswith(b"\n"):
        raise ValueError(f"{path}: not a whole file of weights: HDF5's library ended at it")
    told = json.loads(line)
    if "error" in told:
        why = _check.shown(told["error"])
        raise ValueError(f"{path}: not a whole file of weights: {why}")
    return told


def _told_by(process: subprocess.Popen[bytes], path: str) -> WeightFile:
    """What is in a file of Keras's, in whichever of its ways."""
    requests, answers = cast("BinaryIO", process.stdin), cast("BinaryIO", process.stdout)
    told = _answer(process, path)
    root, is_old = told["root"], told["is_old"]
    found = {name: (tuple(shape), np.dtype(dtype)) for name, shape, dtype in told["arrays"]}
    order = [name for name in told["order"] or () if name in found]
    is_ordered = sorted(order) == sorted(found)
    names = order if is_ordered else list(found)
    parts = {name: (_old_part if is_old else _part)(name.removeprefix(root)) for name in names}
    titles = {_part(f"{path}/0").layer: title for path, title in told["titles"].items()}

    def read(name: str) -> np.ndarray:
        shape, dtype = found[name]
        with contextlib.suppress(BrokenPipeError):
            requests.write(json.dumps(name).encode() + b"\n")
            requests.flush()
        size = _answer(process, path)["bytes"]
        content = answers.read(size)
        if size != math.prod(shape) * dtype.itemsize or len(content) != size:
            raise ValueError(f"{path}: array {_check.shown(name)}: got {size} bytes of it")
        return np.frombuffer(content, dtype).reshape(shape)

    return WeightFile(
        {name: found[name][0] for name in names},
        (),
        read,
        is_ordered,
        parts if is_old else _counted(parts),
        not is_old,
        titles,
        {} if is_old else _kinds({part.layer for part in parts.values()}),
    )


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


def _old_part(path: str) -> Part:
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
