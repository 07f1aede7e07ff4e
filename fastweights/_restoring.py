"""Takes on what a file has of a fit: the model as it was there, and where the fit was."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import Any

from fastweights import _check, _files, saving
from fastweights._plans import Compiled
from fastweights._resuming import Place
from fastweights.callbacks.base import Callback
from fastweights.models import Model


def restored(
    model: Model, resume: _files.FilePath | None, callbacks: Sequence[Callback]
) -> Place | None:
    """Makes a built model what it was in the file to go on from, and says where the fit was.

    That is the file `resume`, the newest in the folder `resume`, or what a callback has; None where
    there is none.
    """
    argument, files = "resume", []
    if resume is not None:
        files = _files_of(resume)
    else:
        for callback in callbacks:
            if files := callback._checkpoints():
                argument = type(callback).__name__
                break
    for number, file in enumerate(files):
        try:
            twin, place = saving.with_place(file)
        except ValueError as error:
            if number + 1 == len(files):
                raise
            warnings.warn(
                f"{argument}: {error}; the file before it is taken, {files[number + 1]}",
                stacklevel=4,
            )
            continue
        if place is None:
            expected = "one that was saved in a hook of fit; fastweights.load reads any model"
            raise ValueError(_check.refusal(argument, f"{file}, saved outside of a fit", expected))
        _take_on(argument, model, twin)
        if place.rows_states is not None:
            built = model._built_or_refused()
            built.lock.copy((built.state,), (place.rows_states,))
        return place
    return None


def _files_of(resume: _files.FilePath) -> list[str]:
    """The file of that name, or those in the folder of that name, the newest first."""
    path = _files.path_text(resume, "resume")
    if not os.path.isdir(path):
        return [path]
    found = [entry for entry in os.scandir(path) if entry.name.endswith(".safetensors")]
    return [
        entry.path
        for entry in sorted(found, key=lambda entry: entry.stat().st_mtime_ns, reverse=True)
    ]


def _take_on(argument: str, model: Model, twin: Model) -> None:
    """Makes the model as far trained as its twin from a file."""
    compiled, other = model._compiled, twin._compiled
    built, from_file = model._built_or_refused(), twin._built_or_refused()
    expected = "one that was made and compiled as this one"
    if _network(model) != _network(twin):
        raise ValueError(_check.refusal(argument, "a file of a model of other layers", expected))
    if _training(compiled) != _training(other):
        got = "a file of a model that was compiled otherwise"
        raise ValueError(_check.refusal(argument, got, expected))
    built.lock.copy(
        (*built.vectors, *compiled.memory_for(built).arrays()),
        (*from_file.vectors, *other.memory_for(from_file).arrays()),
    )
    if not other.training()._follows_a_schedule:
        compiled.training().learning_rate = other.training().learning_rate
    model._seed = twin.seed
    model._progress = twin._progress


def _network(model: Model) -> dict[str, Any]:
    """Its layers; the seed becomes that of the file."""
    return {key: value for key, value in model.config().items() if key != "seed"}


def _training(compiled: Compiled) -> dict[str, Any]:
    """How it is trained; a learning rate that is a number may have been changed by a callback."""
    found = saving.described_training(compiled)
    if not compiled.training()._follows_a_schedule:
        found["optimizer"].pop("learning_rate", None)
    return found
