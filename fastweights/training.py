"""The training loop: whole stretches of an epoch in compiled code, everything else here."""

from __future__ import annotations

import importlib.util
import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastweights import _check, _plans
from fastweights._core import arrays, philox
from fastweights.callbacks import Callback, EpochLines, History, Logs, ProgressBar

if TYPE_CHECKING:
    from fastweights._core.plan import Plan
    from fastweights.models import Sequential
    from fastweights.optimizers import Memory

#: Compiled code comes back to Python at least this often, for Ctrl-C and progress.
STRETCH_SECONDS = 0.04


class DivergenceError(ArithmeticError):
    """The loss stopped being a finite number.

    Attributes
    ----------
    epoch, batch : int
        Where, both from 0; None outside `fit`.
    learning_rate : float
    what : str
        What happened.
    """

    def __init__(
        self, epoch: int | None, batch: int | None, learning_rate: float, what: str
    ) -> None:
        super().__init__(epoch, batch, learning_rate, what)
        self.epoch, self.batch, self.learning_rate, self.what = epoch, batch, learning_rate, what

    def __str__(self) -> str:
        where = kept = ""
        if self.epoch is not None and self.batch is not None:
            where = f" in epoch {self.epoch + 1}, batch {self.batch + 1}"
            kept = "; the model has the weights of the last good epoch"
        return (
            f"{self.what}{where} at learning rate {self.learning_rate:g}{kept}; "
            "try a smaller learning rate, or scale the data"
        )


def _logs(model: Sequential, plan: Plan, prefix: str = "") -> Logs:
    """Means over the rows seen since the plan's last reset."""
    logs = {prefix + "loss": plan.loss_sum / plan.rows_seen}
    for metric, state in zip(model.metrics, plan.metric_states(), strict=True):
        logs[prefix + metric.name] = metric.result(state)
    return logs


def evaluate(model: Sequential, x: np.ndarray, y: np.ndarray, prefix: str = "") -> Logs:
    """Loss and metrics over checked rows."""
    plan = _plans.plan_for(model, "infer", len(x))
    plan.reset()
    first = 0
    while first < len(x):
        first = plan.infer(x, y, None, first, len(x), STRETCH_SECONDS)
    return _logs(model, plan, prefix)


def gradients(model: Sequential, x: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """Loss of checked rows and its gradient by x; that by the parameters is in the flat vector."""
    dx = np.empty_like(x)
    plan = _plans.plan_for(model, "check", len(x))
    model._forward_rows = 0
    return plan.gradients_of(x, y, dx, len(x)), dx


def _ready_plan(model: Sequential, batch_size: int) -> Plan:
    """The plan that trains, with the optimizer's learning rate as it is now."""
    plan = _plans.plan_for(model, "fit", batch_size)
    model._optimizer_memory().numbers[0] = model._compiled()[0].learning_rate
    return plan


def step(model: Sequential, x: np.ndarray, y: np.ndarray) -> float:
    """One step on checked rows; the loss before it."""
    plan = _ready_plan(model, len(x))
    plan.reset()
    if plan.train(x, y, None, 0, len(x), len(x), 0.0) == 0:
        raise DivergenceError(
            None,
            None,
            model._compiled()[0].learning_rate,
            f"the loss is {plan.last_loss}; no step was made",
        )
    return plan.last_loss


def apply_gradients(model: Sequential) -> None:
    """One step of the optimizer with the gradients that are there."""
    _ready_plan(model, 1).apply_update()


def _reporters(verbose: str | int) -> list[Callback]:
    _check.verbosity(verbose)
    if verbose == "auto":
        verbose = 1 if sys.stdout is not None and sys.stdout.isatty() else 2
    if verbose == 0:
        return []
    if verbose == 1 and importlib.util.find_spec("tqdm"):
        return [ProgressBar()]
    return [EpochLines()]


def _held_out(
    model: Sequential, x: Any, y: Any, split: float, data: tuple[Any, Any] | None
) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray] | None]:
    """Training rows and validation rows, checked."""
    split = _check.number("validation_split", split, minimum=0.0, below=1.0)
    rows, targets = model._checked(x, y)
    kept = len(rows) - int(len(rows) * split)
    if data is not None:
        if not isinstance(data, (tuple, list)) or len(data) != 2:
            raise ValueError(
                _check.refusal("validation_data", type(data).__name__, "a pair (x, y)")
            )
        held_out = model._checked(*data, prefix="validation ", shape=rows.shape[1:])
    elif split == 0.0:
        held_out = None
    elif 0 < kept < len(rows):
        held_out = rows[kept:], targets[kept:]
        rows, targets = rows[:kept], targets[:kept]
    else:
        expected = "a share that leaves rows to train on and rows to hold out"
        raise ValueError(
            _check.refusal("validation_split", f"{split:g} of {len(rows)} rows", expected)
        )
    model._build_for(rows)
    return rows, targets, held_out


def fit(
    model: Sequential,
    x: Any,
    y: Any,
    batch_size: int,
    epochs: int,
    verbose: str | int,
    callbacks: Sequence[Callback] | None,
    validation_split: float,
    validation_data: tuple[Any, Any] | None,
    shuffle: bool,
    initial_epoch: int,
) -> History:
    """What `Sequential.fit` does."""
    batch_size = _check.whole("batch_size", batch_size, 1)
    epochs = _check.whole("epochs", epochs, 0)
    initial_epoch = _check.whole("initial_epoch", initial_epoch, 0)
    shuffle = _check.flag("shuffle", shuffle)
    history = History()
    listeners = [
        history,
        *_reporters(verbose),
        *_check.instances("callbacks", callbacks or (), Callback),
    ]
    rows, targets, held_out = _held_out(model, x, y, validation_split, validation_data)
    batch_size = min(batch_size, len(rows))
    order = np.empty(len(rows), np.int64) if shuffle else None
    good = _LastGood()

    model.stop_training = False
    for listener in listeners:
        listener.model = model
        listener.params = {"epochs": epochs}
        listener.on_train_begin()
    try:
        for epoch in range(initial_epoch, epochs):
            _epoch(model, rows, targets, held_out, order, batch_size, epoch, listeners, good)
            if model.stop_training:
                break
    finally:
        for listener in listeners:
            listener.on_train_end()
    return history


class _LastGood:
    """What a model had learnt before an epoch, in buffers that serve a whole fit."""

    def __init__(self) -> None:
        self._memory: Memory | None = None

    def keep(self, parameters: np.ndarray, memory: Memory) -> None:
        """Copies the weights and the optimizer's memory, another one where a callback compiled."""
        if memory is not self._memory:
            self._memory = memory
            self._live = (parameters, memory.vectors, memory.numbers)
            self._copies = [np.empty_like(array) for array in self._live]
        for array, copy in zip(self._live, self._copies, strict=True):
            np.copyto(copy, array)

    def bring_back(self) -> None:
        """Writes what was kept last over what is there now."""
        for array, copy in zip(self._live, self._copies, strict=True):
            np.copyto(array, copy)


def _epoch(
    model: Sequential,
    x: np.ndarray,
    y: np.ndarray,
    held_out: tuple[np.ndarray, np.ndarray] | None,
    order: np.ndarray | None,
    batch_size: int,
    epoch: int,
    listeners: Sequence[Callback],
    good: _LastGood,
) -> None:
    for listener in listeners:
        listener.on_epoch_begin(epoch)
    if model.stop_training:
        return
    plan = _ready_plan(model, batch_size)
    memory = model._optimizer_memory()
    good.keep(model.parameters, memory)
    if order is not None:
        philox.permutation(order, model.seed, philox.STREAM_SHUFFLE + model.epochs_trained)
    model.epochs_trained += 1
    plan.reset()
    first = 0

    def diverged(batch: int, what: str) -> DivergenceError:
        learning_rate = float(memory.numbers[0])
        good.bring_back()
        return DivergenceError(epoch, batch, learning_rate, what)

    while first < len(x):
        first = plan.train(x, y, order, first, len(x), batch_size, STRETCH_SECONDS)
        if not math.isfinite(plan.last_loss):
            raise diverged(first // batch_size, f"the loss became {plan.last_loss}")
        if first < len(x):
            logs = _logs(model, plan)
            for listener in listeners:
                listener.on_progress(epoch, first, len(x), logs)
            memory.numbers[0] = model._compiled()[0].learning_rate
            if model.stop_training:
                break
    if not arrays.finite(model.parameters):
        raise diverged((first - 1) // batch_size, "the weights overflowed")
    logs = _logs(model, plan)
    if held_out is not None:
        logs.update(evaluate(model, *held_out, prefix="val_"))
    for listener in listeners:
        listener.on_epoch_end(epoch, logs)
