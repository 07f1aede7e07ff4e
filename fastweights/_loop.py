"""The epochs of a fit: stretches of batches in compiled code, and what is told between them."""

from __future__ import annotations

import contextlib
import functools
import math
import time
from _thread import get_ident
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastweights import (
    _advice,
    _averages,
    _check,
    _feeding,
    _minimizing,
    _resuming,
    _sources,
    training,
)
from fastweights._core import philox
from fastweights._figures import Figures
from fastweights._listening import Listeners
from fastweights._resuming import Due, Place
from fastweights._rows import count
from fastweights._sources import Part, Source, Whole
from fastweights._turns import Turn
from fastweights.callbacks import Callback, History, Logs

if TYPE_CHECKING:
    from fastweights._restoring import Found
    from fastweights.models import Model
    from fastweights.training import Course

_BATCH_HOOKS = ("on_train_batch_begin", "on_train_batch_end")


class Loop:
    """The epochs of one fit of a built model, by what was compiled when it began.

    Parameters
    ----------
    model : Model
        Whose turn it is.
    course : Course
    source, held_out : Source
        To train on and, unless it is None, to validate with.
    reporters : sequence of Callback
        Told after those of the course, as is the history.
    found : Found, optional
        The file that the fit goes on from.
    """

    def __init__(
        self,
        model: Model,
        course: Course,
        source: Source,
        held_out: Source | None,
        reporters: Sequence[Callback] = (),
        found: Found | None = None,
    ) -> None:
        built, minimizer = model._built_or_refused(), _minimizing.minimizer_of(model._compiled)
        self.descent: _minimizing.Descent | None = None
        if minimizer is not None:
            # All rows are one batch, in the order in which they are there.
            examples = source.at_hand()
            _minimizing.refuse_batches(course.batch_size, count(examples.x))
            source, course = Whole(examples), course._replace(batch_size=None, shuffle=False)
            self.descent = _minimizing.Descent(model, model._compiled, minimizer, examples)
        _feeding.refuse_batch_size(built, course.batch_size)
        _sources.refuse_parts_of_batches(built, "x", source)
        if held_out is not None:
            _sources.refuse_parts_of_batches(built, "validation x", held_out)
        is_shuffled = course.shuffle and source.shuffled > 0
        if built.batch_rows and is_shuffled:
            _advice.about_order()
        self.model, self.course, self.source, self.held_out = model, course, source, held_out
        self.history = History()
        self.listeners = Listeners([*course.callbacks, *reporters, self.history])
        self.found = found
        self.order = _room_for_order(source.shuffled) if is_shuffled else None
        self.built, self.compiled = built, model._compiled
        #: What the model had learnt before an epoch, or before the rest of one.
        self.good = self.compiled.good_for(built)
        #: How many rows of the epoch it had learnt from by then.
        self.good_row = 0
        self.first_rate = self.compiled.training()._given_rate
        self.thread = get_ident()
        #: Where it is: the epoch that is running or to come, rows of it that are done, their sums.
        self.epoch, self.row = course.initial_epoch, 0
        #: The last batch, and when progress was told.
        self.batch, self.told = 0, 0.0
        self.figures: Figures | None = None
        #: What some, of these numbers, had heard when the file was written, and others had not.
        self.due: Due | None = None
        self.heard: frozenset[int] = frozenset()

    def run(self) -> History:
        """All of them, or those until a callback wants no more."""
        model, course, listeners = self.model, self.course, self.listeners
        model._stop_training = False
        with contextlib.ExitStack() as turns, contextlib.ExitStack() as back:
            for callback in course.callbacks:
                turns.enter_context(Turn(callback._turns, "fit", is_long=True, thing="callback"))
            begun: list[Callback] = []
            has_finished = False
            logs: Logs = {}
            # Whatever happens, those that heard of the begin hear of the end.
            try:
                model._loop = self
                if self.found is not None:
                    self.found.take_on(model, self.good, back)
                self._begin(begun)
                self._take_place()
                # Up to here the model is to be as before where the file is refused after all.
                back.pop_all()
                logs = self._go_on()
                while self.epoch < course.epochs and not model._stop_training:
                    logs = self._run_epoch(0) or logs
                if self.epoch > course.initial_epoch:
                    _averages.take(self.built, self.compiled)
                has_finished = True
            except training.DivergenceError as error:
                if not any(callback._ends_quietly(error) for callback in course.callbacks):
                    raise
                model._stop_training = has_finished = True
            finally:
                listeners.telling = None
                try:
                    _tell_the_end(begun, logs, has_finished)
                finally:
                    model._loop = None
        return self.history

    def _begin(self, begun: list[Callback]) -> None:
        """Calls every `on_train_begin`, in order; `begun` becomes those that were called."""
        self.listeners.join(
            self.model, self.source.rows, self.source.steps, epochs=self.course.epochs
        )
        for listener in self.listeners.all:
            listener.on_train_begin({})
            begun.append(listener)

    # ---- going on from a file --------------------------------------------------------------------

    def place(self) -> Place | None:
        """Where it is; None unless a hook asks, as the model is then as far as this says."""
        telling = self.listeners.telling
        if telling is None or get_ident() != self.thread:
            return None
        due = None
        if telling.hook in _resuming.DUE_HOOKS:
            number, logs = telling.given
            due = Due(telling.hook, number, logs, telling.listener)
        return Place(
            self.epoch,
            self.row,
            *self._size(),
            self.order is not None,
            self.model._stop_training,
            self.digest,
            self.first_rate,
            tuple((one._identity(), one.state()) for one in self.listeners.all),
            due,
            self.figures.state() if self.figures is not None and self.row else None,
            self.built.state.copy() if self.built.batch_rows else None,
        )

    @functools.cached_property
    def digest(self) -> str:
        """What tells the examples of this fit from others."""
        return self.source.digest()

    def _size(self) -> tuple[int, int]:
        """Rows of an epoch and of a batch, as far as they are known."""
        source = self.source
        return (self.row if source.rows is None else max(source.rows, self.row)), source.batch_size

    def _take_place(self) -> None:
        """Has listeners and sums be what they were in the file that the fit goes on from."""
        if self.found is None:
            return
        place = self.found.place
        with _resuming.telling_of_damage(self.found.file):
            self.epoch, self.row, self.due = place.epoch, place.row, place.due
            self.source.go_on_from(place.epoch)
            self.heard = _resuming.give_back(place, self.listeners.all)
            if place.row:
                self.figures = self._new_figures()
                if place.sums is not None:
                    self.figures.load_state(place.sums, place.row)
        self.model._stop_training = place.stop

    def _new_figures(self) -> Figures:
        """Those of a pass that begins."""
        if self.descent is not None:
            return self.descent.figures()
        weights = self.source.first.weights
        plan = training.ready_plan(self.model, self.compiled, self.source.batch_size, weights)
        return Figures(self.built, self.compiled, plan, weights)

    def _go_on(self) -> Logs:
        """Comes to where the fit was in the file that it goes on from; the last figures."""
        logs: Logs = {}
        if self.found is None:
            return logs
        place = self.found.place
        if place.due is not None and place.due.hook == "on_epoch_end":
            logs = dict(place.due.logs)
            self._tell("on_epoch_end", place.due.number, logs)
        if place.row and self.epoch < self.course.epochs:
            if place.due is not None and place.due.hook == "on_train_batch_end":
                self._tell("on_train_batch_end", place.due.number, place.due.logs)
            logs = self._run_epoch(place.row) or logs
        return logs

    def _tell(self, hook: str, number: int, logs: Logs) -> None:
        """Calls a hook of all, but of those who had heard it when the file was written."""
        if self.due is None or (self.due.hook, self.due.number) != (hook, number):
            self.listeners.tell(hook, number, logs)
        else:
            self.due = None
            self.listeners.tell(hook, number, logs, but=self.heard)

    # ---- an epoch --------------------------------------------------------------------------------

    def _run_epoch(self, first: int) -> Logs | None:
        """One epoch, from a row on; its figures, or None where a callback wanted none of it."""
        model, epoch, course = self.model, self.epoch, self.course
        if first == 0:
            self._tell("on_epoch_begin", epoch, {})
            if model._stop_training:
                return None
        parameters, *_ = self.good.keep()
        self.good_row = first
        _check.finite("parameters", parameters)
        order, stream = self._order_and_stream(first)
        train = self._train if self.descent is None else self._descend
        logs = train(first, order, stream)
        if logs is None:
            self._end_early(epoch)
            return None
        if self.held_out is not None and (epoch + 1) % course.validation_freq == 0:
            logs.update(self._validate(self.held_out))
        self.epoch, self.row = epoch + 1, 0
        self._tell("on_epoch_end", epoch, logs)
        self.source.end_pass()
        if self.source.is_over and (self.source.is_short or self.epoch < course.epochs):
            self._end_early(epoch)
        has_more = course.epochs // course.validation_freq > self.epoch // course.validation_freq
        if self.held_out is not None and self.held_out.is_over and has_more:
            self._end_early(epoch, _advice.about_validation_end)
        return logs

    def _end_early(self, epoch: int, tell: Callable[[int, int], None] = _advice.about_end) -> None:
        """Warns that there is nothing left to train on, or to validate with."""
        if not self.model._stop_training:
            tell(epoch, self.course.epochs)
            self.model._stop_training = True

    def _order_and_stream(self, first: int) -> tuple[np.ndarray | None, int]:
        """The order of the epoch's rows and the stream of its random numbers.

        They follow from how far the model has come, which a new epoch counts on.
        """
        progress = self.model._progress
        if first == 0:
            progress.epochs += 1
        if self.order is not None:
            stream = philox.STREAM_SHUFFLE + progress.epochs - 1
            philox.permutation(self.order, self.model.seed, stream)
        return self.order, progress.next_pass() if first == 0 else progress.last_pass()

    def _train(self, row: int, order: np.ndarray | None, stream: int) -> Logs | None:
        """The batches of an epoch, until its end or until a callback wants no more; its figures.

        None where there was no batch.
        """
        figures = self.figures if row else None
        self.figures = figures = figures or self._new_figures()
        self.row, self.told = row, time.perf_counter()
        epoch = self.model._progress.epochs - 1
        with contextlib.closing(self.source.parts(order, row, epoch)) as parts:
            # What is left of an epoch is not asked for, but at least one batch is trained on.
            while not (self.row and self.model._stop_training):
                part = next(parts, None)
                if part is None:
                    break
                figures.go_on(part.examples, part.order, part.first)
                self._train_on(part, figures, stream)
        if not self.row:
            return None
        if not self.built.has_finite_numbers():
            raise self._diverged("the weights overflowed")
        return figures.logs()

    def _train_on(self, part: Part, figures: Figures, stream: int) -> None:
        """The batches of a part, or those until a callback wants no more."""
        model, (x, y, weights), listeners = self.model, part.examples, self.listeners
        by_batches, first, source = listeners.hear(*_BATCH_HOOKS), part.first, self.source
        while first < part.last and (not self.row or not model._stop_training):
            batch = part.batch + (first - part.first) // part.batch_size
            if by_batches:
                self._tell("on_train_batch_begin", batch, {})
            # A hook may have set another learning rate, or which layers are trained.
            plan = training.ready_plan(model, self.compiled, part.batch_size, weights)
            first, loss = plan.train(
                x, y, part.order, first, part.last, part.batch_size,
                0.0 if by_batches else training.STRETCH_SECONDS, figures.tally, model.seed, stream,
                weights, figures.out, figures.told, part.before,
            )  # fmt: skip
            self.row = part.before + first
            self.batch = part.batch + (first - part.first) // part.batch_size
            if not math.isfinite(loss):
                no_rate = self.compiled.training()._no_rate()
                raise self._diverged(no_rate or f"the loss became {loss}")
            if by_batches:
                # Nobody is to see, or save, weights of a step that is taken back.
                if not self.built.has_finite_numbers():
                    raise self._diverged("the weights overflowed")
                self._tell("on_train_batch_end", batch, figures.so_far())
            # A stretch is shorter where another thread waits for the model.
            if source.rows is None or self.row >= source.rows:
                continue
            if time.perf_counter() - self.told >= 0.9 * training.STRETCH_SECONDS:
                self.told = time.perf_counter()
                listeners.tell("on_progress", self.epoch, self.row, source.rows, figures.so_far())
        self.batch = part.batch + max(0, first - 1 - part.first) // part.batch_size

    def _descend(self, first: int, order: np.ndarray | None, stream: int) -> Logs:
        """The step of an epoch by all rows, unless it is made; the figures where it ends."""
        descent, listeners = self.descent, self.listeners
        assert descent is not None
        if first:
            assert self.figures is not None
            return self.figures.logs()
        by_batches = listeners.hear(*_BATCH_HOOKS)
        if by_batches:
            self._tell("on_train_batch_begin", 0, {})
        done = descent.step(stream)
        if done.outcome == "diverged":
            raise self._diverged(f"the loss or its gradient is not finite ({done.before})")
        if not self.built.has_finite_numbers():
            raise self._diverged("the weights overflowed")
        self.row, self.history._ended = self.source.rows or 0, done.ended
        self.figures = descent.figures()
        self.figures.tally = descent.tally
        if done.ended is not None:
            self.model._stop_training = True
        logs = self.figures.logs()
        if by_batches:
            self._tell("on_train_batch_end", 0, logs)
        return logs

    def _validate(self, held_out: Source) -> Logs:
        """The figures of the rows that are held out; none where no batch is left."""
        try:
            logs = training.evaluate(self.model, self.compiled, held_out, self.listeners)
        except _sources.NothingLeftError:
            self._end_early(self.epoch, _advice.about_validation_end)
            return {}
        if not math.isfinite(logs["loss"]):
            raise self._diverged(f"the validation loss became {logs['loss']}")
        return {f"val_{name}": figure for name, figure in logs.items()}

    def _diverged(self, what: str) -> training.DivergenceError:
        learning_rate = None if self.descent is not None else self.compiled.training().learning_rate
        self.good.bring_back()
        kept = "the last good epoch"
        if self.good_row and self.found is not None:
            kept = f"{self.found.file}, in the middle of this epoch"
        return training.DivergenceError(self.epoch, self.batch, learning_rate, what, kept)


def _room_for_order(count_of_all: int) -> np.ndarray:
    try:
        return np.empty(count_of_all, np.int64)
    except (MemoryError, ValueError):
        got = f"True for {count_of_all:,} batches or rows, whose order does not fit in memory"
        raise ValueError(_check.refusal("shuffle", got, "False")) from None


def _tell_the_end(listeners: Sequence[Callback], logs: Logs, has_finished: bool) -> None:
    """Calls every `on_train_end`, in order, and raises the first error when all were called."""
    errors = []
    for listener in listeners:
        try:
            listener.on_train_end(logs)
        except BaseException as error:
            errors.append(error)
    for listener in listeners:
        try:
            listener._leave(has_finished and not errors)
        except BaseException as error:
            errors.append(error)
    if errors:
        raise errors[0]
