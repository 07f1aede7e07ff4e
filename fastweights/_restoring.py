"""Takes on what a file has of a fit: the model as it was there, and where the fit was."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from fastweights import _check, _files, _minimizing, _resuming, saving
from fastweights._homes import assign
from fastweights._plans import Compiled
from fastweights._resuming import Place
from fastweights._sources import Source
from fastweights.models import Model

if TYPE_CHECKING:
    from fastweights._core.plan import Copies
    from fastweights.training import Course

#: What to do about a file of another fit.
_OF_ONE_FIT = "; give each fit a path of its own, or remove what another one left there"


class Found(NamedTuple):
    """What a fit goes on from, of which is known that it fits the model.

    Attributes
    ----------
    argument : str
        What asked for it.
    file : str
    twin : Model
        As it was in the file.
    place : Place
    """

    argument: str
    file: str
    twin: Model
    place: Place

    def take_on(self, model: Model, good: Copies, back: contextlib.ExitStack) -> None:
        """Makes a built model as far trained as its twin; `back`, closed, makes it what it was.

        `good` is room for all that training moves.
        """
        compiled, other = model._compiled, self.twin._compiled
        built, from_file = model._built_or_refused(), self.twin._built_or_refused()
        optimizer, memory = compiled.training(), compiled.memory_for(built)
        rate = optimizer._given_rate
        kept = [(model, "_seed", model._seed), (model, "_progress", model._progress)]
        parameters, state = from_file.vectors
        if self.place.rows_states is not None:
            state = self.place.rows_states

        def bring_back() -> None:
            good.bring_back()
            assign(kept)
            if rate is not None:
                optimizer.learning_rate = rate

        good.keep()
        back.callback(bring_back)
        built.lock.copy(
            (*built.vectors, *memory.arrays()),
            (parameters, state, *other.memory_for(from_file).arrays()),
        )
        if rate is not None:
            optimizer.learning_rate = other.training().learning_rate
        assign([(model, "_seed", self.twin.seed), (model, "_progress", self.twin._progress)])


def restored(
    model: Model, resume: _files.FilePath | None, course: Course, source: Source
) -> Found | None:
    """The file that the fit of a built model goes on from, checked; None where there is none.

    That is the file `resume`, the newest in the folder `resume`, or what a callback has. What a
    callback has is of this fit alone: one of other data or another seed is refused. A file that was
    asked for may be of others, but not in the middle of an epoch.
    """
    found: Found | None = None
    if resume is not None:
        files = _files_of(resume)
        if not files:
            warnings.warn(
                f"resume: {_files.path_text(resume)} is a folder without a file to go on from; "
                "the fit begins anew",
                stacklevel=5,
            )
        found = _first_whole("resume", files, lambda path: None)
    else:
        for callback in course.callbacks:
            if files := callback._checkpoints():
                name = type(callback).__name__
                found = _first_whole(name, files, callback._leave_behind)
                break
    if found is None:
        return None
    argument, file, twin, place = found
    _refuse_other_model(argument, model, twin)
    if place.row or resume is None:
        _refuse_other_kind(file, source, place)
    if place.row:
        _refuse_other_pass(model, course, source, place)
    if resume is None:
        _refuse_other_seed(argument, file, model, twin)
    if place.row or resume is None:
        _refuse_other_data(argument, file, source, place)
    _warn_of_other_rate(argument, file, model, twin, place)
    return found


def _first_whole(
    argument: str, files: list[str], leave_behind: Callable[[str], None]
) -> Found | None:
    """The first of the files that a fit can go on from; of those before it warnings tell."""
    for number, file in enumerate(files):
        try:
            twin, place = saving.with_place(file)
            if place is None:
                expected = "one that was saved in a hook of fit; fastweights.load reads any model"
                got = f"{file}, saved outside of a fit"
                raise ValueError(_check.refusal(argument, got, expected))
            with _resuming.telling_of_damage(file):
                _refuse_other_states(twin, place)
            return Found(argument, file, twin, place)
        except ValueError as error:
            if number + 1 == len(files):
                raise
            leave_behind(file)
            warnings.warn(
                f"{argument}: {error}; the file before it is taken, {files[number + 1]}",
                stacklevel=6,
            )
    return None


def _refuse_other_states(twin: Model, place: Place) -> None:
    """Raises ValueError where what layers remember of rows is not as the model has it."""
    states, own = place.rows_states, twin._built_or_refused().state
    if states is None:
        return
    if (states.shape, states.dtype) != (own.shape, own.dtype):
        got, expected = f"{states.shape} of {states.dtype}", f"{own.shape} of {own.dtype}"
        raise ValueError(_check.refusal("rows_states", got, expected))
    _check.finite("rows_states", states)


def _files_of(resume: _files.FilePath) -> list[str]:
    """The file of that name, or those in the folder of that name, the newest first."""
    path = _files.path_text(resume, "resume")
    if not os.path.isdir(path):
        return [path]
    with os.scandir(path) as entries:
        found = [one for one in entries if one.name.endswith(".safetensors") and one.is_file()]
    return [
        entry.path
        for entry in sorted(found, key=lambda entry: entry.stat().st_mtime_ns, reverse=True)
    ]


def _refuse_other_model(argument: str, model: Model, twin: Model) -> None:
    """Raises ValueError where the model was not made and compiled as its twin from a file."""
    if _network(model) != _network(twin):
        expected = "one that was made and compiled as this one"
        raise ValueError(_check.refusal(argument, "a file of a model of other layers", expected))
    now, then = _training(model._compiled), _training(twin._compiled)
    if now != then:
        what, here, there = _first_difference(now, then)
        got = f"a file of a model that was compiled with {what} {_check.shown(there)}"
        raise ValueError(_check.refusal(argument, got, f"{_check.shown(here)}, as this one"))


def _first_difference(one: Any, other: Any, where: str = "") -> tuple[str, Any, Any]:
    """Where two descriptions differ, in words, and what is there in each."""
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        one, other = dict(enumerate(one)), dict(enumerate(other))
    if isinstance(one, dict) and isinstance(other, dict) and one.get("name") == other.get("name"):
        for key in {**one, **other}:
            if one.get(key) != other.get(key):
                return _first_difference(one.get(key), other.get(key), f"{where} {key}".lstrip())

    def told(value: Any) -> Any:
        return value.get("name", value) if isinstance(value, dict) else value

    return where, told(one), told(other)


def _refuse_other_kind(file: str, source: Source, place: Place) -> None:
    """Raises ValueError where batches come as they are and then were arrays, or the reverse."""
    kinds = {False: "arrays", True: "batches that come as they are"}
    now, then = source.comes_as_it_is, not place.data
    if now != then:
        expected = f"{kinds[then]}, as the fit of {file} had"
        raise ValueError(_check.refusal("x", kinds[now], expected))


def _refuse_other_pass(model: Model, course: Course, source: Source, place: Place) -> None:
    """Raises ValueError where the middle of an epoch of other batches would be gone on from."""
    is_one_batch = _minimizing.minimizer_of(model._compiled) is not None
    is_shuffled = course.shuffle and source.shuffled > 0 and not is_one_batch
    batch_size = source.rows if is_one_batch else source.batch_size
    sizes = [("shuffle", f"{is_shuffled}", f"{place.shuffle}")]
    if not source.comes_as_it_is:
        sizes.insert(0, ("x", f"{source.rows} rows", f"{place.rows} rows"))
        sizes.insert(1, ("batch_size", f"{batch_size}", f"{place.batch_size}"))
    for what, got, stored in sizes:
        if got != stored:
            expected = f"{stored}, as in the middle of whose epoch the fit is to go on"
            raise ValueError(_check.refusal(what, got, expected))
    if not source.comes_as_it_is and place.row < place.rows and place.row % place.batch_size:
        expected = f"one between batches of {place.batch_size}"
        raise ValueError(_check.refusal("fit row", place.row, expected))


def _refuse_other_seed(argument: str, file: str, model: Model, twin: Model) -> None:
    """Raises ValueError where a model that was given a seed would get another one."""
    if model._is_seed_given and model.seed != twin.seed:
        got, expected = f"{file}, of a fit of seed {twin.seed}", f"{model.seed}, that of this model"
        raise ValueError(_check.refusal(argument, got, expected) + _OF_ONE_FIT)


def _refuse_other_data(argument: str, file: str, source: Source, place: Place) -> None:
    """Raises ValueError where x, y, or how much rows count are others than those of the file."""
    digest = source.digest()
    if digest and place.data and digest != place.data:
        got = f"{file}, of a fit of other x, y, sample_weight or class_weight"
        raise ValueError(_check.refusal(argument, got, "one of the data of this fit") + _OF_ONE_FIT)


def _warn_of_other_rate(argument: str, file: str, model: Model, twin: Model, place: Place) -> None:
    """Warns of a learning rate that is neither that of the file nor that its fit began with."""
    own, taken = model._compiled.training()._given_rate, twin._compiled.training()._given_rate
    if own not in (taken, place.learning_rate) and taken is not None:
        warnings.warn(
            f"{argument}: {file} has a learning rate of {taken:g}, with which the fit goes on, "
            f"instead of {own:g}; a callback may set another, such as LearningRateScheduler",
            stacklevel=6,
        )


def _network(model: Model) -> dict[str, Any]:
    """Its layers; the seed becomes that of the file."""
    return {key: value for key, value in model.config().items() if key != "seed"}


def _training(compiled: Compiled) -> dict[str, Any]:
    """How it is trained; a learning rate that is a number may have been changed by a callback."""
    found = saving.described_training(compiled)
    if not compiled.training()._follows_a_schedule:
        found["optimizer"].pop("learning_rate", None)
    return found
