"""Model files of the command line: a model, and in its metadata what prepares a table for it."""

from __future__ import annotations

import os

from fastweights import Model, saving, serialization
from fastweights.table import Preprocessor, Table, read_csv

TABLE_KEY = saving.TABLE


def save_model(path: str, model: Model, preprocessor: Preprocessor) -> None:
    """Writes both into one safetensors file."""
    model.save(path, metadata={TABLE_KEY: preprocessor.to_json()})


def load_model(path: str, table: str) -> tuple[Model, Preprocessor]:
    """Reads both; ValueError where the file has no preprocessing or the two do not fit.

    `table` is what the command line gave beside it: a message says where they were swapped.
    """
    try:
        text = serialization.read_metadata(path).get(TABLE_KEY)
    except ValueError:
        if is_model(table):
            raise ValueError(
                f"MODEL: got {path}, which is none, and the model {table} after it, "
                "expected the model first and then the table"
            ) from None
        raise
    if text is None:
        raise ValueError(f"{path}: this model was not written by 'fastweights train'")
    try:
        preprocessor = Preprocessor.from_json(text, os.path.getsize(path))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    model = saving.read(path)
    inputs, outputs = (len(preprocessor.features),), (preprocessor.target.outputs,)
    if model.input_shape != inputs or model.output_shape != outputs:
        raise ValueError(f"{path}: the network does not fit the preprocessing beside it")
    return model, preprocessor


def read_table(path: str) -> Table:
    """The table; ValueError that says so where the file is a model."""
    try:
        return read_csv(path)
    except ValueError:
        if is_model(path):
            raise ValueError(f"{path}: this is a model, expected a CSV table") from None
        raise


def is_model(path: str) -> bool:
    """Whether the file holds tensors."""
    try:
        serialization.read_metadata(path)
    except (ValueError, OSError):
        return False
    return True
