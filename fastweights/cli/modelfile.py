"""Model files of the command line: a model, and in its metadata what prepares data for it."""

from __future__ import annotations

import argparse
import os
from typing import Any

from fastweights import Model, _check, _weight_files, saving, serialization
from fastweights.cli.images import ImageFiles
from fastweights.cli.kinds import Kind, Preparation, is_model
from fastweights.cli.tables import Tables

#: The first that is meant is taken.
KINDS: tuple[Kind, ...] = (ImageFiles(), Tables())


def kind_meant(args: argparse.Namespace) -> Kind:
    """What the arguments of ``train`` are about; options that were not given get its defaults."""
    kind = next(kind for kind in KINDS if kind.is_meant(args))
    kind.settle(args, KINDS)
    return kind


def save_model(path: str, model: Model, kind: Kind, preprocessor: Preparation) -> None:
    """Writes model and preparation into one safetensors file."""
    model.save(path, metadata={kind.key: preprocessor.to_json()})


def model_meant(args: argparse.Namespace) -> tuple[Kind, Model, Any]:
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


def load_model(path: str, data: str = "") -> tuple[Kind, Model, Any]:
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
    model = saving.read(path)
    outputs = (preprocessor.target.outputs,)
    if model.input_shape != preprocessor.input_shape or model.output_shape != outputs:
        raise ValueError(f"{path}: the network does not fit the preprocessing beside it")
    return kind, model, preprocessor
