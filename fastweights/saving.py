"""Models as safetensors files.

Tensors carry the names and the layout of the equal ``torch.nn.Sequential``, in which every
activation is a module of its own: ``0.weight`` (out, in) and ``0.bias`` of a first Linear, and so
on. The architecture is JSON in the file's metadata.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from fastweights import _check, serialization
from fastweights.activations import LINEAR
from fastweights.models import Sequential, Weight

FORMAT = "1"
_TORCH_NAMES = {"kernel": "weight", "bias": "bias"}


def _torch_names(model: Sequential) -> Iterator[tuple[str, Weight]]:
    """The tensor name of each of the model's weights, in order."""
    weights = iter(model.weights)
    module = 0
    for layer in model.layers:
        for name in layer.weights:
            yield f"{module}.{_TORCH_NAMES[name]}", next(weights)
        own_module = bool(layer.weights) or not hasattr(layer, "activation")
        follows = getattr(layer, "activation", LINEAR) != LINEAR
        module += own_module + follows


def save(model: Sequential, path: str | os.PathLike[str], metadata: Mapping[str, str]) -> None:
    """What `Sequential.save` does."""
    description: dict[str, Any] = {"model": model.config()}
    if model.optimizer is not None and model.loss is not None:
        description["compile"] = {
            "optimizer": model.optimizer.config(),
            "loss": model.loss.config(),
            "metrics": [metric.config() for metric in model.metrics],
        }
    tensors = {name: weight.T for name, weight in _torch_names(model)}
    own = {
        "format": "pt",
        "fastweights.format": FORMAT,
        "fastweights.model": json.dumps(description),
    }
    for key in metadata:
        if key in own:
            raise ValueError(_check.refusal("metadata", f"the key {key!r}", "a key of your own"))
    serialization.write(path, tensors, {**metadata, **own})


def load(path: str | os.PathLike[str]) -> Sequential:
    """Reads a model that `Sequential.save` wrote, compiled as it was.

    Raises
    ------
    ValueError
        The file is damaged, or no model of this library.
    OSError
        The file cannot be read.
    """
    tensors, metadata = serialization.read(path)
    file = os.fspath(path)
    if metadata.get("fastweights.format") != FORMAT:
        found = metadata.get("fastweights.format", "none")
        raise ValueError(
            _check.refusal(file, f"model format {found}", f"a fastweights model of format {FORMAT}")
        )
    try:
        description = json.loads(metadata["fastweights.model"])
        model = Sequential.from_config(description["model"])
        if "compile" in description:
            model.compile(**description["compile"])
        weights = dict(_torch_names(model))
    except (KeyError, TypeError, ValueError, MemoryError, RecursionError) as error:
        raise ValueError(f"{file}: the description of the model is damaged ({error})") from error
    for name, weight in weights.items():
        stored = tensors.pop(name, None)
        if stored is None:
            raise ValueError(_check.refusal(file, f"no tensor {name!r}", "one for each weight"))
        if stored.shape != weight.T.shape or stored.dtype != model.dtype:
            got = f"{name!r} of shape {stored.shape}, {stored.dtype}"
            raise ValueError(_check.refusal(file, got, f"shape {weight.T.shape}, {model.dtype}"))
        np.copyto(weight, stored.T)
    if tensors:
        raise ValueError(
            _check.refusal(file, f"unknown tensors {sorted(tensors)}", "only the model's")
        )
    return model
