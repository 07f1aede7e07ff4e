"""What each of many models learns from: rows of data that is checked once for all of them."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fastweights import _check, _feeding, _row_weights, training
from fastweights._batches import gives_batches
from fastweights._core import philox
from fastweights._core.float_mode import in_default_float_mode
from fastweights._plans import Compiled
from fastweights._rows import Examples, count, picked_examples
from fastweights._sources import Source, Whole
from fastweights._turns import Turn
from fastweights.models import Model


class Task(NamedTuple):
    """A model, and the examples that it is to learn from."""

    model: Model
    course: training.Course
    examples: Examples
    held_out: Examples | None
    #: Which of the examples; None: all.
    chosen: np.ndarray | None
    #: For what the examples were checked, and what their columns are called.
    compiled: Compiled
    names: _feeding.Names

    def sources(self) -> tuple[Source, Source | None]:
        """What is trained on and what is validated with, in the batches of the course."""
        source = Whole(self.examples, self.chosen)
        rows = self.model._built_or_refused().batch_rows
        source.cut(self.course.batch_size or rows or training.DEFAULT_BATCH)
        if self.held_out is None:
            return source, None
        held_out = Whole(self.held_out)
        held_out.cut(source.batch_size)
        return source, held_out


def refuse_batches(argument: str, given: Any) -> None:
    """Raises TypeError for what gives batches where several models go through the same rows."""
    if gives_batches(given):
        hint = "; model.fit takes what gives batches, for one model at a time"
        expected = "arrays or frames in memory, which several models go through"
        raise TypeError(_check.refusal(argument, _check.kind_of(given), expected) + hint)


class Data:
    """What models are trained on, checked once for all that take the same."""

    def __init__(
        self,
        x: Any,
        y: Any,
        share: float,
        held_out: tuple[Any, ...] | None,
        class_weight: Any = None,
        sample_weight: Any = None,
    ) -> None:
        for argument, data in (("x", x), ("validation_data", held_out)):
            refuse_batches(argument, data)
        #: As it came.
        self.given = x, y, share, held_out, class_weight, sample_weight
        self.x, self.y, self.held_out = x, y, held_out
        self.class_weight, self.sample_weight = class_weight, sample_weight
        self.share = _check.number("validation_split", share, minimum=0.0, below=1.0)
        self._lock = threading.Lock()
        self._known: list[tuple[tuple[Any, ...], _Shared]] = []

    def task(self, model: Model, course: training.Course, given: Any, argument: str) -> Task:
        """What a model learns from, of all rows or of those `given`."""
        share = 0.0 if given is not None or self.held_out is not None else self.share
        with self._lock, Turn(model._turns, "fit_many"):
            compiled = model._compiled
            shared = self._for(model, share)
            names = _feeding.names_of(model, self.x, self.y)
            examples, held_out = shared.examples, shared.held_out
            if given is None:
                examples = shared.weighed(model, compiled, self.class_weight)
        task = Task(model, course, examples, held_out, None, compiled, names)
        if given is None:
            return _with_some_held_out(task)
        whole = count(examples.x)
        if callable(given):
            given = given(whole)
        if isinstance(given, tuple):
            if len(given) != 2:
                got, expected = f"a tuple of {len(given)}", "a pair: to train on, to validate with"
                raise ValueError(_check.refusal(argument, got, expected))
            if self.held_out is not None or self.share:
                beside = "validation_data" if self.held_out is not None else "validation_split"
                expected = "the rows to train on alone"
                got = f"rows to validate with beside {beside}"
                raise ValueError(_check.refusal(argument, got, expected))
            chosen, held = (_numbers(argument, part, whole) for part in given)
            held_out = _picked(examples, held)
        else:
            chosen = _numbers(argument, given, whole)
            if self.share and self.held_out is None:
                chosen, held = self._split(chosen)
                held_out = _picked(examples, held)
        stretch = _stretch(chosen)
        if stretch is not None or len(chosen) > whole:  # as views, or where an order is too long
            examples, order = _picked(examples, chosen), None
            examples = _feeding.by_class(model, examples, self.class_weight, compiled)
        else:
            examples, order = self._weighed_among(model, compiled, examples, chosen), chosen
        return _with_some_held_out(
            task._replace(examples=examples, held_out=held_out, chosen=order)
        )

    def _weighed_among(
        self, model: Model, compiled: Compiled, examples: Examples, chosen: np.ndarray
    ) -> Examples:
        """All examples with what those chosen count, as if there were no others."""
        if self.class_weight is None and examples.weights is None:
            return examples
        apart = picked_examples(examples._replace(x=()), chosen)  # classes are those of targets
        apart = _feeding.by_class(model, apart, self.class_weight, compiled)
        if self.class_weight is None or apart.weights is None:
            return examples
        weights = []
        for own in apart.weights:
            all_rows = None if own is None else np.zeros((count(examples.x), *own.shape[1:]))
            if all_rows is not None:
                all_rows[chosen] = own
            weights.append(all_rows)
        return examples._replace(weights=tuple(weights))

    def _split(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        kept = in_default_float_mode(lambda: math.floor(len(chosen) * (1.0 - self.share)))
        if not 0 < kept < len(chosen):
            got = f"{self.share:g} of {len(chosen)} rows"
            expected = "a share that leaves rows to train on and rows to hold out"
            raise ValueError(_check.refusal("validation_split", got, expected))
        return chosen[:kept], chosen[kept:]

    def _for(self, model: Model, share: float) -> _Shared:
        """The examples as this model takes them, and those held out; builds it for them."""
        found, given = None, (self.x, self.y, share, self.held_out, self.sample_weight)
        if model._built is None:
            known = self._known[0][1].examples.x if self._known else None
            if not isinstance(known, np.ndarray):
                found = _Shared(*training.split(model, *given))
                known = found.examples.x
            model._built_for(known)
        key = (share, *_taken_by(model))
        for other, shared in self._known:
            if other == key:
                return shared
        if found is None:
            found = _Shared(*training.split(model, *given))
        self._known.append((key, found))
        return found


class _Shared:
    """Examples as several models take them, and those that are held out."""

    def __init__(self, examples: Examples, held_out: Examples | None) -> None:
        self.examples, self.held_out = examples, held_out
        self._weighed: Examples | None = None

    def weighed(self, model: Model, compiled: Compiled, class_weight: Any) -> Examples:
        """The examples, all of them, with what their classes count."""
        if self._weighed is None:
            self._weighed = _feeding.by_class(model, self.examples, class_weight, compiled)
        return self._weighed


def _with_some_held_out(task: Task) -> Task:
    """The task; ValueError where it would be validated with rows of which none counts."""
    if task.held_out is not None:
        _row_weights.expect_some("validation sample_weight", task.held_out.weights)
    return task


def _taken_by(model: Model) -> tuple[Any, ...]:
    """What examples look like to a built model: those of models where it is equal are the same."""
    built = model._built_or_refused()
    return (
        model.dtype,
        built.input_shapes,
        built.output_shapes,
        tuple(built.limits),
        tuple(built.masks),
        model._compiled.objectives,
        _feeding.known_names(model),
        model.input_names,
        model.output_names,
    )


def _numbers(argument: str, given: Any, whole: int) -> np.ndarray:
    """Numbers of rows, of so many that there are, in an array of their own."""
    array = _check.numeric_array(argument, given)
    if array.dtype == np.bool_:
        if array.shape != (whole,):
            expected = f"one flag for each of {whole} rows"
            raise ValueError(_check.refusal(argument, f"shape {array.shape}", expected))
        array = np.flatnonzero(array)
    if array.ndim != 1 or not array.size or array.dtype.kind not in "iu":
        got = f"shape {array.shape} of {array.dtype}"
        raise ValueError(_check.refusal(argument, got, "whole numbers of rows, at least one"))
    numbers = array.astype(np.int64)
    is_bad = (numbers < -whole) | (numbers >= whole) | (numbers != array)
    if is_bad.any():
        got, expected = str(array[is_bad.argmax()]), f"numbers of {whole} rows"
        raise ValueError(_check.refusal(argument, got, expected))
    return np.where(numbers < 0, numbers + whole, numbers)


def _stretch(numbers: np.ndarray) -> slice | None:
    """Rows that follow each other, as a slice; None where they do not."""
    if (np.diff(numbers) == 1).all():
        return slice(int(numbers[0]), int(numbers[-1]) + 1)
    return None


def _picked(examples: Examples, numbers: np.ndarray) -> Examples:
    """Some of the examples: a view where they follow each other."""
    stretch = _stretch(numbers)
    return picked_examples(examples, numbers if stretch is None else stretch)


# ---- rows that are drawn -------------------------------------------------------------------------


def bootstrap(seeds: Sequence[int], number: int, whole: int) -> np.ndarray:
    """As many rows as there are, drawn with replacement by the model's own seed."""
    drawn = np.empty(whole)
    philox.uniform(drawn, seeds[number], philox.STREAM_SPLIT)
    return np.minimum((drawn * whole).astype(np.int64), whole - 1)


def fold(seeds: Sequence[int], number: int, whole: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on and to validate with, both in their order."""
    if not 1 < len(seeds) <= whole:
        got = f"'folds' of {whole} rows for {len(seeds)} models"
        raise ValueError(_check.refusal("rows", got, "two models at least, and a row for each"))
    order = np.empty(whole, np.int64)
    philox.permutation(order, seeds[0], philox.STREAM_SPLIT)
    parts = np.array_split(order, len(seeds))
    held = parts.pop(number)
    return np.sort(np.concatenate(parts)), np.sort(held)
