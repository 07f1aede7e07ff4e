"""The training loop: whole stretches of an epoch in compiled code, everything else here."""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import math
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastweights import _advice, _check, _feeding, _minimizing, _plans, _row_weights
from fastweights._core import arrays, philox
from fastweights._core.float_mode import in_default_float_mode
from fastweights._rows import Examples, Gradients, Weights, count, each, picked_examples
from fastweights._turns import Turn
from fastweights.callbacks import Callback, EpochLines, History, Logs, ProgressBar

if TYPE_CHECKING:
    from fastweights._building import Built
    from fastweights._core.plan import Copies, Plan, Tally
    from fastweights._plans import Compiled
    from fastweights.models import Model
    from fastweights.optimizers import Minimizer

#: Compiled code comes back to Python at least this often, for Ctrl-C and progress.
STRETCH_SECONDS = 0.04
#: Rows a step where nothing else is said.
DEFAULT_BATCH = 32


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
    """

    def __init__(
        self, epoch: int | None, batch: int | None, learning_rate: float | None, what: str
    ) -> None:
        super().__init__(epoch, batch, learning_rate, what)
        self.epoch, self.batch, self.learning_rate, self.what = epoch, batch, learning_rate, what

    def __str__(self) -> str:
        where = kept = ""
        if self.epoch is not None and self.batch is not None:
            where = f" in epoch {self.epoch + 1}, batch {self.batch + 1}"
            kept = "; the model has the weights of the last good epoch"
        if self.learning_rate is None:
            return f"{self.what}{where}{kept}; try other initial weights, or scale the data"
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

    def copy(self) -> Progress:
        """One that goes on from here by itself."""
        return copy.copy(self)


def _logs(compiled: Compiled, tally: Tally, prefix: str = "") -> Logs:
    """Means over the rows that were added up."""
    names, figures = compiled.log_names, tally.mean_losses()
    if compiled.metrics:
        states = zip(compiled.metrics, tally.metric_states(), strict=True)
        figures += [metric.result(state) for metric, state in states]
    if prefix:
        names = [prefix + name for name in names]
    return dict(zip(names, figures, strict=True))


def evaluate(model: Model, compiled: Compiled, examples: Examples, prefix: str = "") -> Logs:
    """Loss and metrics over checked examples."""
    x, y, weights = examples
    last = count(x)
    _feeding.refuse_part_of_batch(model._built_or_refused(), "x", last)
    plan = _plans.plan_for(model, "infer", last, compiled, weights=weights)
    tally = plan.tally(weights)
    first = 0
    while first < last:
        first = plan.infer(x, y, None, first, last, STRETCH_SECONDS, tally, weights)
    logs = _logs(compiled, tally, prefix)
    logs[prefix + "loss"] += plan.parameters_cost()
    return logs


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


def _ready_plan(model: Model, compiled: Compiled, batch_size: int, weights: Weights = None) -> Plan:
    """The plan that trains, with the optimizer's learning rate as it is now."""
    plan = _plans.plan_for(model, "fit", batch_size, compiled, weights=weights)
    memory = compiled.memory_for(model._built_or_refused())
    memory.numbers[0] = compiled.training().learning_rate
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
    plan, good = _ready_plan(model, compiled, rows, weights), compiled.good_for(built)
    good.keep()
    stream = model._progress.next_pass()
    tally = plan.tally(weights) if len(compiled.log_names) > 1 else None
    first, loss = plan.train(x, y, None, 0, rows, rows, 0.0, tally, model.seed, stream, weights)
    if first == 0:
        raise DivergenceError(
            None,
            None,
            compiled.training().learning_rate,
            f"the loss is {loss}; no step was made",
        )
    _refuse_overflow(built, compiled, good)
    # That of the only batch, as it is.
    return {**(_logs(compiled, tally) if tally is not None else {}), "loss": loss}


def _minimizing_step(
    model: Model, compiled: Compiled, optimizer: Minimizer, examples: Examples
) -> Logs:
    """The same by an optimizer that looks at the loss several times."""
    descent = _minimizing.Descent(model, compiled, optimizer, examples)
    done = descent.step(model._progress.next_pass())
    if done.outcome == "diverged":
        what = f"the loss or its gradient is not finite ({done.before}); no step was made"
        raise DivergenceError(None, None, None, what)
    return {**_logs(compiled, descent.tally_before), "loss": done.before}


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
    plan, good = _ready_plan(model, compiled, 1), compiled.good_for(built)
    good.keep()
    plan.apply_update()
    _refuse_overflow(built, compiled, good)


def _is_terminal(stream: Any) -> bool:
    """Whether a stream, of which nothing is known, is a terminal."""
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError, OSError):  # None, no such method, closed
        return False


def _reporters(verbose: str | int) -> list[Callback]:
    verbose = _check.verbosity(verbose)
    if verbose == "auto":
        verbose = 1 if _is_terminal(sys.stdout) else 2
    if verbose == 0:
        return []
    if verbose == 1 and importlib.util.find_spec("tqdm"):
        return [ProgressBar()]
    return [EpochLines()]


def _split(
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
    weights = _feeding.sample_weights(model, sample_weight, rows)
    examples = Examples(rows, targets, weights)
    if data is not None:
        if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
            is_several = isinstance(data, (tuple, list))
            got = f"a {type(data).__name__} of {len(data)}" if is_several else _check.kind_of(data)
            raise ValueError(_check.refusal("validation_data", got, "(x, y) or (x, y, weights)"))
        names, (x, y, *more) = _feeding.names_of(model, x, y), data
        shapes = [array.shape[1:] for array in each(rows)]
        held_out = _feeding.rows(model, x, "validation x", shapes, names)
        targets = _feeding.targets(model, y, held_out, "validation y", names)
        weights = _feeding.sample_weights(
            model, more[0] if more else None, held_out, "validation sample_weight"
        )
        return examples, Examples(held_out, targets, weights)
    if share == 0.0:
        return examples, None
    kept = in_default_float_mode(lambda: math.floor(count(rows) * (1.0 - share)))
    if 0 < kept < count(rows):
        held = picked_examples(examples, slice(kept, None))
        return picked_examples(examples, slice(None, kept)), held
    expected = "a share that leaves rows to train on and rows to hold out"
    raise ValueError(
        _check.refusal("validation_split", f"{share:g} of {count(rows)} rows", expected)
    )


def fit(
    model: Model,
    x: Any,
    y: Any,
    batch_size: int | None,
    epochs: int,
    verbose: str | int,
    callbacks: Callback | Sequence[Callback] | None,
    validation_split: float,
    validation_data: tuple[Any, ...] | None,
    shuffle: bool,
    class_weight: Any,
    sample_weight: Any,
    initial_epoch: int,
) -> History:
    """What `Model.fit` does, when it is its turn."""
    if batch_size is not None:
        batch_size = _check.whole("batch_size", batch_size, 1)
    epochs = _check.whole("epochs", epochs, 0)
    initial_epoch = _check.whole("initial_epoch", initial_epoch, 0)
    shuffle = _check.flag("shuffle", shuffle)
    if isinstance(callbacks, Callback):
        callbacks = [callbacks]
    callbacks = _check.instances("callbacks", callbacks, Callback) if callbacks else []
    history = History()
    listeners = [history, *_reporters(verbose), *callbacks]
    examples, held_out = _split(model, x, y, validation_split, validation_data, sample_weight)
    examples = _feeding.by_class(model, examples, class_weight, model._compiled)
    rows = count(examples.x)
    built = model._built_for(examples.x)
    _feeding.refuse_batch_size(built, batch_size)
    _feeding.refuse_part_of_batch(built, "x", rows)
    if held_out is not None:
        _feeding.refuse_part_of_batch(built, "validation x", count(held_out.x))
        _row_weights.expect_some("validation sample_weight", held_out.weights)
    if built.batch_rows and shuffle:
        _advice.about_order()
    if _minimizing.minimizer_of(model._compiled) is not None:
        _minimizing.refuse_batches(batch_size, rows)
        batch_size = rows
    model._names = _feeding.names_of(model, x, y)
    batch_size = min(batch_size or built.batch_rows or DEFAULT_BATCH, rows)
    loop = _Loop(model, examples, held_out, batch_size, shuffle, listeners)
    model._stop_training = False
    with contextlib.ExitStack() as turns:
        for callback in callbacks:
            turns.enter_context(Turn(callback._turns, "fit", is_long=True, thing="callback"))
        begun: list[Callback] = []
        # Whatever happens, those that heard of the begin hear of the end.
        try:
            for listener in listeners:
                listener._join(model, {"epochs": epochs})
                listener.on_train_begin()
                begun.append(listener)
            for epoch in range(initial_epoch, epochs):
                loop.run(epoch)
                history._ended = loop.ended
                if model._stop_training:
                    break
        finally:
            _tell_the_end(begun)
    return history


def _tell_the_end(listeners: Sequence[Callback]) -> None:
    """Calls every `on_train_end`, in order, and raises the first error when all were called."""
    errors = []
    for listener in listeners:
        try:
            listener.on_train_end()
        except BaseException as error:
            errors.append(error)
    if errors:
        raise errors[0]


class _Loop:
    """The epochs of one fit, by what was compiled when it began."""

    def __init__(
        self,
        model: Model,
        examples: Examples,
        held_out: Examples | None,
        batch_size: int,
        shuffle: bool,
        listeners: Sequence[Callback],
    ) -> None:
        self.model, self.examples, self.held_out = model, examples, held_out
        self.batch_size, self.listeners = batch_size, listeners
        self.order = np.empty(count(examples.x), np.int64) if shuffle else None
        self.built, self.compiled = model._built_or_refused(), model._compiled
        self.memory = self.compiled.memory_for(self.built)
        #: What the model had learnt before an epoch.
        self.good = self.compiled.good_for(self.built)
        #: Why the optimizer wants no more epochs.
        self.ended: str | None = None
        self.descent: _minimizing.Descent | None = None
        if (minimizer := _minimizing.minimizer_of(self.compiled)) is not None:
            self.descent = _minimizing.Descent(model, self.compiled, minimizer, examples)
            self.order = None

    def run(self, epoch: int) -> None:
        """One epoch."""
        model = self.model
        for listener in self.listeners:
            listener.on_epoch_begin(epoch)
        if model._stop_training:
            return
        parameters, *_ = self.good.keep()
        _check.finite("parameters", parameters)
        progress = model._progress
        if self.order is not None:
            philox.permutation(self.order, model.seed, philox.STREAM_SHUFFLE + progress.epochs)
        progress.epochs += 1
        train = self._train if self.descent is None else self._descend
        logs = train(epoch, progress.next_pass())
        if self.held_out is not None:
            logs.update(evaluate(model, self.compiled, self.held_out, prefix="val_"))
            if not math.isfinite(logs["val_loss"]):
                what = f"the validation loss became {logs['val_loss']}"
                raise self._diverged(epoch, count(self.examples.x) - 1, what)
        for listener in self.listeners:
            listener.on_epoch_end(epoch, logs)

    def _train(self, epoch: int, stream: int) -> Logs:
        """The batches of an epoch, until its end or until a callback wants no more; its figures."""
        model, (x, y, weights), first, loss = self.model, self.examples, 0, 0.0
        last = count(x)
        plan = _ready_plan(model, self.compiled, self.batch_size, weights)
        tally, told = plan.tally(weights), time.perf_counter()
        while first < last and (first == 0 or not model._stop_training):
            self.memory.numbers[0] = self.compiled.training().learning_rate
            first, loss = plan.train(
                x, y, self.order, first, last, self.batch_size, STRETCH_SECONDS, tally,
                model.seed, stream, weights,
            )  # fmt: skip
            if not math.isfinite(loss):
                raise self._diverged(epoch, first, f"the loss became {loss}")
            # A stretch is shorter where another thread waits for the model.
            if first < last and time.perf_counter() - told >= 0.9 * STRETCH_SECONDS:
                told = time.perf_counter()
                logs = _logs(self.compiled, tally)
                for listener in self.listeners:
                    listener.on_progress(epoch, first, last, logs)
        if not self.built.has_finite_numbers():
            raise self._diverged(epoch, first - 1, "the weights overflowed")
        return _logs(self.compiled, tally)

    def _descend(self, epoch: int, stream: int) -> Logs:
        """An epoch of a minimizer, one step; its figures where it ends."""
        assert self.descent is not None
        done = self.descent.step(stream)
        if done.outcome == "diverged":
            what = f"the loss or its gradient is not finite ({done.before})"
            raise self._diverged(epoch, 0, what)
        if not self.built.has_finite_numbers():
            raise self._diverged(epoch, 0, "the weights overflowed")
        self.ended = done.ended
        if self.ended is not None:
            self.model._stop_training = True
        return _logs(self.compiled, self.descent.tally)

    def _diverged(self, epoch: int, row: int, what: str) -> DivergenceError:
        learning_rate = None if self.descent is not None else float(self.memory.numbers[0])
        self.good.bring_back()
        return DivergenceError(epoch, row // self.batch_size, learning_rate, what)
