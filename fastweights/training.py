"""What trains and evaluates a model: steps, passes over rows, and how a fit is begun."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastweights import (
    _advice,
    _check,
    _feeding,
    _listening,
    _loop,
    _minimizing,
    _plans,
    _row_weights,
    _sources,
    _sources_of,
)
from fastweights._core import arrays, philox
from fastweights._figures import Figures
from fastweights._files import FilePath
from fastweights._listening import NOBODY, Listeners
from fastweights._plans import STRETCH_SECONDS
from fastweights._rows import Examples, Gradients, Weights, count, each, picked_examples
from fastweights._sources import Part, Source
from fastweights._sources_of import Given
from fastweights.callbacks import Callback, History, Logs, progress

if TYPE_CHECKING:
    from fastweights._building import Built
    from fastweights._core.plan import Copies, Plan
    from fastweights._plans import Compiled
    from fastweights.models import Model
    from fastweights.optimizers import Minimizer

#: Rows a step where nothing else is said.
DEFAULT_BATCH = 32
#: More than go through a plan at a time, of rows of which nobody knows how many there are.
_MANY = 1 << 16


class DivergenceError(ArithmeticError):
    """The loss stopped being a finite number.

    Attributes
    ----------
    epoch, batch : int
        Where, both from 0; None outside `fit`.
    learning_rate : float or None
        None where the optimizer finds by itself how far to go.
    what : str
        What happened.
    kept : str
        Of what in a fit the model has the weights.
    """

    def __init__(
        self,
        epoch: int | None,
        batch: int | None,
        learning_rate: float | None,
        what: str,
        kept: str = "the last good epoch",
    ) -> None:
        super().__init__(epoch, batch, learning_rate, what, kept)
        self.epoch, self.batch, self.learning_rate, self.what = epoch, batch, learning_rate, what
        self.kept = kept

    def __str__(self) -> str:
        where = kept = ""
        if self.epoch is not None and self.batch is not None:
            where = f" in epoch {self.epoch + 1}, batch {self.batch + 1}"
            kept = f"; the model has the weights of {self.kept}"
        if self.learning_rate is None:
            return f"{self.what}{where}{kept}; try other initial weights, or scale the data"
        if not math.isfinite(self.learning_rate):
            return f"{self.what}{where}{kept}; give the schedule other settings"
        return (
            f"{self.what}{where} at learning rate {self.learning_rate:g}{kept}; "
            "try a smaller learning rate, or scale the data"
        )


class Progress:
    """How far a model's training has come; its random numbers, and the order of rows, follow it.

    Attributes
    ----------
    epochs : int
        Of all fits.
    passes : int
        Over data in training, each of which has random numbers of its own.
    """

    __slots__ = ("epochs", "passes")

    def __init__(self) -> None:
        self.epochs = self.passes = 0

    def next_pass(self) -> int:
        """The stream of the random numbers of one more pass."""
        stream = philox.STREAM_PASS + self.passes * philox.PASS_OPS
        self.passes += 1
        return stream

    def last_pass(self) -> int:
        """The stream of the last pass, in the middle of which a fit goes on."""
        return philox.STREAM_PASS + (self.passes - 1) * philox.PASS_OPS

    def copy(self) -> Progress:
        """One that goes on from here by itself."""
        return copy.copy(self)


def evaluate(
    model: Model, compiled: Compiled, source: Source, listeners: Listeners = NOBODY
) -> Logs:
    """Loss and metrics over a pass, by batches where somebody hears of those."""
    built, weights = model._built_or_refused(), source.first.weights
    _sources.refuse_parts_of_batches(built, "x", source)
    rows = _MANY if source.is_in_pieces else count(source.first.x)
    plan = _plans.plan_for(model, "infer", rows, compiled, weights=weights)
    figures = Figures(built, compiled, plan, weights)

    def with_cost(logs: Logs) -> Logs:
        return {**logs, "loss": logs["loss"] + plan.parameters_cost(figures.tally)}

    def so_far(*_: int) -> Logs:
        return with_cost(figures.so_far())

    with listeners.released():
        listeners.tell("on_test_begin", {})
        with contextlib.closing(source.parts(None, 0)) as parts:
            remembers = built.batch_rows > 0
            for examples, size, number in _stretches(
                parts, source, plan.room, listeners, remembers
            ):
                x, y, weights = examples
                figures.go_on(examples)
                first = 0
                for last in listeners.batches("test", count(x), size, so_far, number):
                    out, told = figures.until(last)
                    while first < last:
                        first = plan.infer(
                            x, y, out, first, last, STRETCH_SECONDS, figures.tally, weights, told
                        )
        if not figures.tally.rows_seen:
            raise _sources.NothingLeftError(_nothing_left(source))
        logs = with_cost(figures.logs())
        listeners.tell("on_test_end", logs)
    return logs


def _nothing_left(source: Source) -> str:
    expected = "one at least; an iterator that was gone through has none any more"
    return _check.refusal(source.argument, "no batch", expected)


def _stretches(
    parts: Iterable[Part], source: Source, room: int, listeners: Listeners, remembers: bool
) -> Iterator[tuple[Examples, int, int]]:
    """Examples of a pass, the size of their batches and the number of the first one.

    Where nobody hears of batches, and no layer remembers those before, a plan's chunks of `room`
    rows are those of a pass over all rows at once, and so are the bits of the sums.
    """
    by_batches = listeners.hear("on_test_batch_begin", "on_test_batch_end")
    if source.is_in_pieces and not by_batches and not remembers:
        for examples in _sources.regrouped(parts, room):
            yield examples, count(examples.x), 0
        return
    for part in parts:
        yield part.examples, part.batch_size, part.batch


def predict(
    model: Model,
    compiled: Compiled,
    built: Built,
    source: Source,
    listeners: Listeners,
    shown: Callable[[Sequence[np.ndarray]], Any],
) -> tuple[np.ndarray, ...]:
    """The outputs, told by batches where somebody hears of those, who get what `shown` gives."""
    _sources.refuse_parts_of_batches(built, "x", source)
    rows = _MANY if source.is_in_pieces else count(source.first.x)
    plan = _plans.plan_for(model, "infer", rows, compiled, built)
    found: list[tuple[np.ndarray, ...]] = []

    def outputs(first: int, last: int) -> dict[str, Any]:
        return {"outputs": shown([array[first:last] for array in found[-1]])}

    with listeners.released():
        listeners.tell("on_predict_begin", {})
        with contextlib.closing(source.parts(None, 0)) as parts:
            for part in parts:
                x, first = part.examples.x, 0
                out = tuple(
                    np.empty((count(x), *shape), model.dtype) for shape in built.output_shapes
                )
                found.append(out)
                for last in listeners.batches(
                    "predict", count(x), part.batch_size, outputs, part.batch
                ):
                    so_far = tuple(array[:last] for array in out)
                    while first < last:
                        first = plan.infer(x, None, so_far, first, last, STRETCH_SECONDS)
        if not found:
            raise _sources.NothingLeftError(_nothing_left(source))
        listeners.tell("on_predict_end", {})
    if len(found) == 1:
        return found[0]
    return tuple(np.concatenate(arrays) for arrays in zip(*found, strict=True))


def gradients(
    model: Model, compiled: Compiled, examples: Examples
) -> tuple[float, np.ndarray, Gradients]:
    """Loss of checked examples and its gradients by parameters and x, arrays of their own."""
    x, y, weights = examples
    built, rows = model._built_or_refused(), count(x)
    _feeding.refuse_other_batch(built, "x", rows)
    dx = built.input_gradients(rows)
    plan = _plans.plan_for(model, "check", rows, compiled, weights=weights)
    loss = plan.gradients_of(x, y, dx, rows, weights=weights)
    (gradient,) = built.lock.room_for((built.gradients,)).keep()
    return loss, gradient, dx


def ready_plan(model: Model, compiled: Compiled, batch_size: int, weights: Weights = None) -> Plan:
    """The plan that trains, with the optimizer's rates as they are now."""
    plan = _plans.plan_for(model, "fit", batch_size, compiled, weights=weights)
    optimizer = compiled.training()
    optimizer._batches = compiled.memory_for(model._built_or_refused()).batches
    plan.set_rates(optimizer._rates)
    return plan


def _refuse_overflow(built: Built, compiled: Compiled, good: Copies) -> None:
    """Takes back a step that has left weights that are no numbers, with a DivergenceError."""
    if not built.has_finite_numbers():
        good.bring_back()
        what = "the step made weights NaN or inf, and was taken back"
        raise DivergenceError(None, None, compiled.training().learning_rate, what)


def step(model: Model, compiled: Compiled, examples: Examples) -> Logs:
    """One step on checked examples; loss and metrics before it."""
    x, y, weights = examples
    rows, built = count(x), model._built_or_refused()
    _feeding.refuse_other_batch(built, "x", rows)
    if (minimizer := _minimizing.minimizer_of(compiled)) is not None:
        return _minimizing_step(model, compiled, minimizer, examples)
    plan, good = ready_plan(model, compiled, rows, weights), compiled.good_for(built)
    good.keep()
    stream = model._progress.next_pass()
    figures = Figures(built, compiled, plan, weights) if len(compiled.log_names) > 1 else None
    if figures is not None:
        figures.go_on(examples)
    seen = (None, None, None) if figures is None else (figures.tally, figures.out, figures.told)
    first, loss = plan.train(
        x, y, None, 0, rows, rows, 0.0, seen[0], model.seed, stream, weights, *seen[1:]
    )
    if first == 0:
        optimizer = compiled.training()
        what = f"{optimizer._no_rate() or f'the loss is {loss}'}; no step was made"
        raise DivergenceError(None, None, optimizer.learning_rate, what)
    _refuse_overflow(built, compiled, good)
    # That of the only batch, as it is.
    return {**({} if figures is None else figures.logs()), "loss": loss}


def _minimizing_step(
    model: Model, compiled: Compiled, optimizer: Minimizer, examples: Examples
) -> Logs:
    """The same by an optimizer that looks at the loss several times."""
    descent = _minimizing.Descent(model, compiled, optimizer, examples)
    built = model._built_or_refused()
    figures, good = descent.figures(), compiled.good_for(built)
    good.keep()
    done = descent.step(model._progress.next_pass())
    if done.outcome == "diverged":
        what = f"the loss or its gradient is not finite ({done.before}); no step was made"
        raise DivergenceError(None, None, None, what)
    _refuse_overflow(built, compiled, good)
    figures.tally = descent.tally_before
    return {**figures.logs(), "loss": done.before}


def apply_gradients(model: Model, compiled: Compiled) -> None:
    """One step of the optimizer with the gradients that are there."""
    if (minimizer := _minimizing.minimizer_of(compiled)) is not None:
        got = f"{type(minimizer).__name__}, which looks at the loss itself"
        expected = "an optimizer such as Adam, or model.train_on_batch(x, y)"
        raise ValueError(_check.refusal("apply_gradients", got, expected))
    built, learning_rate = model._built_or_refused(), compiled.training().learning_rate
    if not built.lock.hold(arrays.finite, built.gradients):
        what = "the gradients are NaN or inf; no step was made"
        raise DivergenceError(None, None, learning_rate, what)
    plan, good = ready_plan(model, compiled, 1), compiled.good_for(built)
    if (no_rate := compiled.training()._no_rate()) is not None:
        raise DivergenceError(None, None, learning_rate, f"{no_rate}; no step was made")
    good.keep()
    plan.apply_update()
    _refuse_overflow(built, compiled, good)


def split(
    model: Model,
    x: Any,
    y: Any,
    share: float,
    data: tuple[Any, ...] | None,
    sample_weight: Any,
) -> tuple[Examples, Examples | None]:
    """Examples to train on and examples to validate with, checked."""
    share = _check.number("validation_split", share, minimum=0.0, below=1.0)
    rows = _feeding.rows(model, x)
    targets = _feeding.targets(model, y, rows)
    _advice.about_pixels(model._topology, rows)
    _advice.about_targets(model, targets)
    weights = _feeding.sample_weights(model, sample_weight, rows)
    examples = Examples(rows, targets, weights)
    if data is not None:
        shapes = [array.shape[1:] for array in each(rows)]
        held = _feeding.held_out(model, data, shapes, _feeding.names_of(model, x, y))
        _row_weights.expect_some("validation sample_weight", held.weights)
        return examples, held
    if share == 0.0:
        return examples, None
    kept = _feeding.kept_rows(count(rows), share)
    held = picked_examples(examples, slice(kept, None))
    _row_weights.expect_some("validation sample_weight", held.weights)
    return picked_examples(examples, slice(None, kept)), held


class Course(NamedTuple):
    """How a fit goes on, checked."""

    batch_size: int | None
    epochs: int
    initial_epoch: int
    shuffle: bool
    callbacks: list[Callback]
    validation_freq: int = 1

    @classmethod
    def checked(
        cls,
        batch_size: int | None,
        epochs: int,
        initial_epoch: int,
        shuffle: bool,
        callbacks: Callback | Sequence[Callback] | None,
        validation_freq: int = 1,
    ) -> Course:
        """That of these arguments of `Model.fit`."""
        return cls(
            None if batch_size is None else _check.whole("batch_size", batch_size, 1),
            _check.whole("epochs", epochs, 0),
            _check.whole("initial_epoch", initial_epoch, 0),
            _check.flag("shuffle", shuffle),
            _listening.checked(callbacks),
            _check.whole("validation_freq", validation_freq, 1),
        )


def run(
    model: Model,
    course: Course,
    source: Source,
    held_out: Source | None,
    reporters: Sequence[Callback],
    names: _feeding.Names,
    resume: FilePath | None = None,
) -> History:
    """The fit of a model that is built, whose turn it is, from the file to go on from on."""
    found = model._restored(resume, course, source)
    loop = _loop.Loop(model, course, source, held_out, reporters, found)
    model._names = names
    if loop.source.rows is not None and not source.comes_as_it_is:
        _advice.about_batches(model._compiled.training(), loop.source.batch_size, loop.source.rows)
    _advice.about_thawed(model._built_or_refused(), model._compiled)
    return loop.run()


def fit(
    model: Model,
    given: Given,
    epochs: int,
    verbose: str | int,
    callbacks: Callback | Sequence[Callback] | None,
    validation_split: float,
    validation_data: Any,
    shuffle: bool,
    initial_epoch: int,
    validation: tuple[int | None, int | None, int],
    resume: FilePath | None,
) -> History:
    """What `Model.fit` does, when it is its turn.

    `validation` is its steps, its batch size and every how many epochs there is one.
    """
    steps, size, often = validation
    course = Course.checked(given.batch_size, epochs, initial_epoch, shuffle, callbacks, often)
    if resume is not None and course.initial_epoch:
        expected = "0 with resume, as the file says which epoch is the next"
        raise ValueError(_check.refusal("initial_epoch", course.initial_epoch, expected))
    reporters = progress.reporters(verbose)
    share = _check.number("validation_split", validation_split, minimum=0.0, below=1.0)
    if validation_data is None and not share:
        for name, value, unused in (("batch_size", size, None), ("freq", often, 1)):
            if value != unused:
                expected = f"{unused} without validation_data and validation_split"
                raise ValueError(_check.refusal(f"validation_{name}", value, expected))
    held = Given(validation_data, batch_size=size, steps=steps, prefix="validation_")
    with contextlib.ExitStack() as opened:
        source, held_out, names = _sources_of.to_fit(model, given, held, share, opened)
        model._built_for(source.first.x)
        rows = model._built_or_refused().batch_rows
        source.cut(course.batch_size or rows or DEFAULT_BATCH)
        if held_out is not None:
            held_out.cut(held.batch_size or source.batch_size)
        return run(model, course, source, held_out, reporters, names, resume)
