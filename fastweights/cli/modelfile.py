"""Model files of the command line: a model, and in its metadata what prepares data for it."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from typing import Any

import fastweights as fw
from fastweights._json import with_null
from fastweights import Ensemble, Model, _check, _json, _weight_files, saving, serialization
from fastweights.cli.images import ImageFiles
from fastweights.cli.kinds import Kind, Preparation, is_model
from fastweights.cli.tables import Tables

#: Under which key model files keep how they were trained.
HISTORY = "fastweights.history"

#: The first that is meant is taken.
KINDS: tuple[Kind, ...] = (ImageFiles(), Tables())


def kind_meant(args: argparse.Namespace) -> Kind:
    """What the arguments of ``train`` are about; options that were not given get its defaults."""
    kind = next(kind for kind in KINDS if kind.is_meant(args))
    kind.settle(args, KINDS)
    return kind


def save_model(
    path: str,
    model: Model | Ensemble,
    kind: Kind,
    preprocessor: Preparation,
    history: Mapping[str, Any],
) -> None:
    """Writes model, preparation and how it was trained into one safetensors file."""
    text = json.dumps(with_null(history), allow_nan=False)
    model.save(path, metadata={kind.key: preprocessor.to_json(), HISTORY: text})


def model_meant(args: argparse.Namespace) -> tuple[Kind, Model | Ensemble, Any]:
    """What the arguments of ``predict`` and ``evaluate`` are about, the model, its preparation.

    ValueError for data and options of other kinds.
    """
    kind, model, preprocessor = load_model(args.model, args.data)
    for other in KINDS:
        if other is not kind and other.is_called(args.data):
            expected = f"{kind.name}, which {args.model} is for"
            raise ValueError(_check.refusal("DATA", f"{args.data}, {other.name}", expected))
    kind.settle(args, KINDS)
    return kind, model, preprocessor


def load_model(path: str, data: str = "") -> tuple[Kind, Model | Ensemble, Any]:
    """What a model file is about, the model, and its preparation.

    `data` is what the command line gave beside it: a message says where they were swapped.
    ValueError where the file has no preparation or the two do not fit.
    """
    try:
        _weight_files.refuse_models_of_others(path)
        metadata = serialization.read_metadata(path)
    except ValueError:
        if is_model(data):
            raise ValueError(
                f"MODEL: got {path}, which is none, and the model {data} after it, "
                "expected the model first and then the data"
            ) from None
        raise
    kind = next((kind for kind in KINDS if kind.key in metadata), None)
    if kind is None:
        raise ValueError(f"{path}: this model was not written by 'fastweights train'")
    try:
        preprocessor = kind.restored(metadata[kind.key], os.path.getsize(path))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    model = read_model(path)
    outputs = (preprocessor.target.outputs,)
    first = model[0] if isinstance(model, Ensemble) else model
    if first.input_shape != preprocessor.input_shape or first.output_shape != outputs:
        raise ValueError(f"{path}: the network does not fit the preprocessing beside it")
    return kind, model, preprocessor


def read_model(path: str) -> Model | Ensemble:
    """The model in a file, whoever wrote it."""
    if not is_model(path) or saving.ENSEMBLE not in serialization.read_metadata(path):
        return saving.read(path)
    ensemble = fw.load(path)
    assert isinstance(ensemble, Ensemble)
    return ensemble


def history_of(path: str) -> dict[str, Any]:
    """How the model was trained, as `save_model` was told; empty where the file does not say."""
    text = serialization.read_metadata(path).get(HISTORY)
    found = {} if text is None else _json.loads("history", text, os.path.getsize(path))
    return found if isinstance(found, dict) else {}


def is_of_train(path: str) -> bool:
    """Whether the file has a preparation beside the model."""
    metadata = serialization.read_metadata(path)
    return any(kind.key in metadata for kind in KINDS)
