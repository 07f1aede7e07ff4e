"""Model files of the command line: a model, and in its metadata what prepares data for it."""

from __future__ import annotations

import argparse
import os
from typing import Any, NamedTuple

import numpy as np

from fastweights import Ensemble, Model, _check, _json, _weight_files, saving, serialization
from fastweights.cli.images import ImageFiles
from fastweights.cli.kinds import Kind, is_model
from fastweights.cli.tables import Tables
from fastweights.table.models import HISTORY, RECIPE, predictions
from fastweights.table.recipe import Recipe, restored

#: The first that is meant is taken.
KINDS: tuple[Kind, ...] = (ImageFiles(), Tables())


def kind_meant(args: argparse.Namespace) -> Kind:
    """What the arguments of ``train`` are about; options that were not given get its defaults."""
    if args.data is None:
        raise ValueError("the following arguments are required: DATA")
    kind = next(kind for kind in KINDS if kind.is_meant(args))
    kind.settle(args, KINDS)
    return kind


class Loaded(NamedTuple):
    """A model file: what it is about, the model, its preparation; of a table how it was trained."""

    kind: Kind
    model: Model | Ensemble
    preprocessor: Any
    recipe: Recipe | None

    @property
    def quantiles(self) -> tuple[float, ...]:
        """What is predicted of a number instead of it; none as a rule."""
        return () if self.recipe is None else self.recipe.quantiles_asked

    def predict(self, source: Any) -> np.ndarray:
        """What the model makes of rows, some at a time: values, quantiles, or probabilities."""
        return predictions(self.model, self.preprocessor, source, self.quantiles)


def model_meant(args: argparse.Namespace) -> Loaded:
    """What the arguments of ``predict`` and ``evaluate`` are about.

    ValueError for data and options of other kinds.
    """
    loaded = load_model(args.model, args.data)
    for other in KINDS:
        if other is not loaded.kind and other.is_called(args.data):
            expected = f"{loaded.kind.name}, which {args.model} is for"
            raise ValueError(_check.refusal("DATA", f"{args.data}, {other.name}", expected))
    loaded.kind.settle(args, KINDS)
    return loaded


def load_model(path: str, data: str = "") -> Loaded:
    """What a model file of ``train``, or of `TableModel.save`, holds.

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
        size, recipe = os.path.getsize(path), None
        preprocessor = kind.restored(metadata[kind.key], size)
        if RECIPE in metadata:
            described = _json.loads("the recipe", metadata[RECIPE], size)
            recipe = restored(described["recipe"])
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None
    model = read_model(path)
    several = () if recipe is None else recipe.quantiles_asked
    outputs = (len(several) or preprocessor.target.outputs,)
    first = model[0] if isinstance(model, Ensemble) else model
    if first.input_shape != preprocessor.input_shape or first.output_shape != outputs:
        raise ValueError(f"{path}: the network does not fit the preprocessing beside it")
    return Loaded(kind, model, preprocessor, recipe)


def read_model(path: str) -> Model | Ensemble:
    """The model in a file, whoever wrote it."""
    return saving.loaded(path)


def history_of(path: str) -> dict[str, Any]:
    """How the model was trained, as it was saved; empty where the file does not say."""
    text = serialization.read_metadata(path).get(HISTORY)
    found = {} if text is None else _json.loads("history", text, os.path.getsize(path))
    return found if isinstance(found, dict) else {}


def is_of_train(path: str) -> bool:
    """Whether the file has a preparation beside the model."""
    metadata = serialization.read_metadata(path)
    return any(kind.key in metadata for kind in KINDS)
