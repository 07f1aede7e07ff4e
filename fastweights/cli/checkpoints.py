"""How far a training has come, in a file beside its model, and going on from there.

The file is a model's of the library, with what the callbacks remember; its metadata say which
options and which rows it belongs to. It is written now and then, and gone when all is done.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastweights import _check, _json, callbacks, serialization
from fastweights._json import shown
from fastweights.cli.kinds import Data, is_model
from fastweights.cli.output import note
from fastweights.cli.runs import differing

#: Between two files; what was learnt since the last one is learnt again.
SECONDS_BETWEEN = 1.0
#: Under which metadata keep the options and the rows.
KEY = "fastweights.checkpoint"


def path_of(out: str, checkpoint: str | None) -> str:
    """Where the checkpoint of a model that is written to `out` is, unless it is said."""
    return checkpoint or str(Path(out).with_suffix(".checkpoint.safetensors"))


def paths_of(out: str, checkpoint: str | None, networks: int) -> list[str]:
    """Where the checkpoints of so many networks are."""
    first = Path(path_of(out, checkpoint))
    others = (first.with_suffix(f".{number}{first.suffix}") for number in range(2, networks + 1))
    return [str(first), *map(str, others)]


class Checkpoint(callbacks.Callback):
    """Saves the model now and then, after epochs and in the middle of long ones.

    It comes behind all callbacks whose memory goes with it. With `goes_on` the fit begins where
    the file says, if there is one.
    """

    def __init__(self, path: str, belongs_to: str, goes_on: bool = False) -> None:
        self.path, self.belongs_to, self.goes_on = path, belongs_to, goes_on

    def _checkpoints(self) -> list[str]:
        return [self.path] if self.goes_on and os.path.exists(self.path) else []

    def _writes(self) -> list[str]:
        return [self.path]

    def on_train_begin(self, logs: callbacks.Logs) -> None:
        self._next = time.perf_counter() + SECONDS_BETWEEN

    def on_epoch_end(self, epoch: int, logs: callbacks.Logs) -> None:
        self._save_if_due()

    def on_progress(self, epoch: int, rows: int, total: int, logs: callbacks.Logs) -> None:
        self._save_if_due()

    def _save_if_due(self) -> None:
        if time.perf_counter() >= self._next:
            self.model.save(self.path, metadata={KEY: self.belongs_to})
            self._next = time.perf_counter() + SECONDS_BETWEEN


def identity(options: dict[str, Any], data: Data) -> str:
    """Options and rows of a training, as text."""
    digest = hashlib.sha256()
    for array in data.arrays():
        if array is not None:
            digest.update(f"{array.dtype}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
    return json.dumps({"options": options, "rows": digest.hexdigest()})


def found(path: str, belongs_to: str) -> str | None:
    """The file that a training goes on from; None, which is said, where there is none.

    ValueError where it belongs to a training with other options, or on other rows.
    """
    refuse_others([path], belongs_to)
    return path if os.path.exists(path) else None


def refuse_others(paths: Sequence[str], belongs_to: str) -> None:
    """Raises ValueError where one of the files belongs to another training.

    Says so where there is none of them.
    """
    there = [path for path in paths if os.path.exists(path)]
    if not there:
        note(f"--resume: there is no {paths[0]}: beginning at the first epoch")
    for path in there:
        _refuse_another(path, belongs_to)


def _refuse_another(path: str, belongs_to: str) -> None:
    try:
        text = serialization.read_metadata(path)[KEY]
        stored = _json.loads("options", text, os.path.getsize(path))
        options, rows = dict(stored["options"]), stored["rows"]
    except (KeyError, TypeError, ValueError):
        expected = "what a training of 'fastweights train' left there"
        raise ValueError(_check.refusal("--resume", path, expected)) from None
    own = json.loads(belongs_to)
    for name in differing(own["options"], options):
        got, before = (
            "none" if one.get(name) is None else shown(one[name])
            for one in (own["options"], options)
        )
        spelt = f"--{name.replace('_', '-')}"
        expected = f"{before}, as {path} has it, which --resume goes on from"
        raise ValueError(_check.refusal(spelt, got, expected))
    if rows != own["rows"]:
        expected = f"the rows that {path} was trained on"
        raise ValueError(_check.refusal("--resume", "other rows in DATA", expected))


def refuse_to_lose(path: str) -> None:
    """Raises ValueError where a training would write over what another one, or anybody, left."""
    if os.path.exists(path) and not is_one(path):
        got = f"{path}, which is there and is no checkpoint"
        raise ValueError(_check.refusal("--checkpoint", got, "another name"))
    if is_one(path):
        got = f"{path}, where a training that was interrupted has left how far it came"
        expected = "--resume, which goes on from it, another --checkpoint, or the file removed"
        raise ValueError(_check.refusal("--checkpoint", got, expected))


def is_one(path: str) -> bool:
    """Whether there is a checkpoint."""
    return is_model(path) and KEY in serialization.read_metadata(path)


def remove(path: str) -> None:
    """Removes the file where it is a checkpoint; what a link leads to, if it is one."""
    if is_one(path):
        os.unlink(os.path.realpath(path))
        if os.path.islink(path):
            os.unlink(path)
