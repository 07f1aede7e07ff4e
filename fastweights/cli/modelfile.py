"""Model files of the command line: a model, and in its metadata what prepares a table for it."""

from __future__ import annotations

from fastweights import Sequential, load
from fastweights.serialization import read_metadata
from fastweights.table import Preprocessor

TABLE_KEY = "fastweights.table"


def save_model(path: str, model: Sequential, preprocessor: Preprocessor) -> None:
    """Writes both into one safetensors file."""
    model.save(path, metadata={TABLE_KEY: preprocessor.to_json()})


def load_model(path: str) -> tuple[Sequential, Preprocessor]:
    """Reads both; ValueError where the file has no preprocessing or the two do not fit."""
    text = read_metadata(path).get(TABLE_KEY)
    if text is None:
        raise ValueError(f"{path}: this model was not written by 'fastweights train'")
    try:
        preprocessor = Preprocessor.from_json(text)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    model = load(path)
    if model.input_shape != (len(preprocessor.features),):
        raise ValueError(f"{path}: the network does not fit the preprocessing beside it")
    return model, preprocessor
