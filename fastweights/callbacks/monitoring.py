"""What watches one figure of the history, and what it does about it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastweights import _check
from fastweights.callbacks import states
from fastweights.callbacks.base import Callback, Logs, State
from fastweights.callbacks.progress import say
from fastweights.callbacks.rates import changeable_rate_of, rate_of


def figure_of(name: str, logs: Logs, argument: str = "monitor") -> float:
    """The figure of that name, which `argument` is; ValueError where there is none."""
    if name not in logs:
        got, expected = repr(name), f"one of {', '.join(logs)}"
        raise ValueError(_check.refusal(argument, got, expected))
    if isinstance(logs[name], np.ndarray):
        got = f"{name!r}, which is an array"
        expected = "a figure that is a number, as metrics with average='macro' are"
        raise TypeError(_check.refusal(argument, got, expected))
    return logs[name]


class Monitor(Callback):
    """Base of those that compare a figure with the best that there was.

    A figure that is no number is never better.

    Parameters
    ----------
    monitor : str
        A key of the history.
    mode : {"auto", "min", "max"}
        Whether smaller or larger is better; "auto" asks the metric of that name, and takes smaller
        for better in a loss or a figure of your own.
    min_delta : float
        By how much more than this a figure must be better to be an improvement.
    """

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0) -> None:
        if not isinstance(monitor, str):
            expected = "a key of the history"
            raise TypeError(_check.refusal("monitor", _check.shown(monitor), expected))
        _check.choice("mode", mode, dict.fromkeys(("auto", "min", "max")))
        self.monitor, self.mode = monitor, mode
        self.min_delta = abs(_check.number("min_delta", min_delta))
        self._sign = -1.0 if mode == "max" else 1.0
        #: The best figure, so that smaller is better.
        self._lowest = math.inf

    @property
    def best(self) -> float:
        """The best figure; inf, or -inf where larger is better, before the first."""
        return self._sign * self._lowest

    def on_train_begin(self, logs: Logs) -> None:
        if self.mode == "auto":
            self._sign = -1.0 if self.model._larger_is_better(self.monitor) else 1.0

    def _is_better(self, figure: float, reference: float) -> bool:
        return self._sign * figure + self.min_delta < self._sign * reference

    def _take_best(self, figure: float) -> None:
        self._lowest = self._sign * figure

    def _identity(self) -> str:
        better = "larger" if self._sign < 0 else "smaller"
        return f"{super()._identity()} of {self.monitor}, {better} is better"

    def state(self) -> State:
        return {"lowest": self._lowest}

    def load_state(self, state: State) -> None:
        self._lowest = states.number(state, "lowest")


class EarlyStopping(Monitor, closed=True):
    """Ends the fit when a figure has not improved for a while.

    Parameters
    ----------
    monitor : str
        A key of the history.
    min_delta : float
        By how much more than this a figure must be better to be an improvement.
    patience : int
        After how many epochs without an improvement the fit ends; 0 is as 1.
    verbose : {0, 1}
        Whether to print that it ended.
    mode : {"auto", "min", "max"}
        Whether smaller or larger is better; "auto" asks the metric of that name, and takes smaller
        for better in a loss or a figure of your own.
    baseline : float, optional
        What a figure must be better than, too, for the patience to begin anew.
    restore_best_weights : bool
        Whether the model ends with the weights of the best epoch.
    start_from_epoch : int
        Epochs before that of this number are not looked at.

    Attributes
    ----------
    best : float
        The best value seen; inf, or -inf where larger is better, before the first.
    best_epoch : int
        Its epoch, from 0; -1 before the first.
    wait : int
        Epochs since the patience began.
    stopped_epoch : int
        The epoch after which it ended the fit; 0 where it did not.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = _check.whole("patience", patience, 0)
        self.verbose = _check.whole("verbose", verbose, 0, maximum=1)
        self.baseline = None if baseline is None else _check.number("baseline", baseline)
        self.restore_best_weights = _check.flag("restore_best_weights", restore_best_weights)
        self.start_from_epoch = _check.whole("start_from_epoch", start_from_epoch, 0)
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._lowest, self._best_epoch, self._wait, self._stopped = math.inf, -1, 0, 0
        #: Parameters and state of the epoch that is restored.
        self._weights: tuple[np.ndarray, ...] | None = None

    @property
    def best_epoch(self) -> int:
        return self._best_epoch

    @property
    def wait(self) -> int:
        return self._wait

    @property
    def stopped_epoch(self) -> int:
        return self._stopped

    def on_train_begin(self, logs: Logs) -> None:
        super().on_train_begin(logs)
        self._begin_anew()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if epoch < self.start_from_epoch:
            return
        figure = figure_of(self.monitor, logs)
        self._wait += 1
        if self._is_better(figure, self.best):
            weights = self._numbers() if self.restore_best_weights else None
            self._lowest, self._best_epoch, self._weights = self._sign * figure, epoch, weights
            if self.baseline is None or self._is_better(figure, self.baseline):
                self._wait = 0
        elif self._wait >= self.patience and epoch > 0:
            self._stopped = epoch
            self.model.stop_training = True

    def _numbers(self) -> tuple[np.ndarray, ...]:
        built = self.model._built_or_refused()
        return built.lock.room_for(built.vectors).keep()

    def on_train_end(self, logs: Logs) -> None:
        if self._stopped and self.verbose:
            say(f"Epoch {self._stopped + 1}: early stopping")
        if self._weights is not None:
            if self.verbose:
                best = self._best_epoch + 1
                say(f"Restoring model weights from the end of the best epoch: {best}.")
            built = self.model._built_or_refused()
            built.lock.copy(built.vectors, self._weights)

    def state(self) -> State:
        found = {
            **super().state(),
            "best_epoch": self._best_epoch,
            "wait": self._wait,
            "stopped": self._stopped,
        }
        if self._weights is not None:
            found["parameters"], found["model_state"] = self._weights
        return found

    def load_state(self, state: State) -> None:
        super().load_state(state)
        self._best_epoch = states.whole(state, "best_epoch", -1)
        self._wait = states.whole(state, "wait")
        self._stopped = states.whole(state, "stopped")
        if "parameters" in state:
            parameters, model_state = self.model._built_or_refused().vectors
            self._weights = (
                states.array_like(state, "parameters", parameters),
                states.array_like(state, "model_state", model_state),
            )


class ReduceLROnPlateau(Monitor, closed=True):
    """Makes the learning rate smaller when a figure has not improved for a while.

    The learning rate is in the logs, and so in the history.

    Parameters
    ----------
    monitor : str
        A key of the history.
    factor : float
        Below 1: what the learning rate is multiplied with.
    patience : int
        After how many epochs without an improvement; 0 is as 1.
    verbose : {0, 1}
        Whether to print it.
    mode : {"auto", "min", "max"}
        As of `EarlyStopping`.
    min_delta : float
        By how much more than this a figure must be better to be an improvement.
    cooldown : int
        Epochs after a reduction that are not counted.
    min_lr : float
        The learning rate becomes no smaller.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.factor = _check.number("factor", factor, minimum=0.0, below=1.0)
        self.patience = _check.whole("patience", patience, 0)
        self.verbose = _check.whole("verbose", verbose, 0, maximum=1)
        self.cooldown = _check.whole("cooldown", cooldown, 0)
        self.min_lr = _check.number("min_lr", min_lr, minimum=0.0)
        self._wait = self._cooling = 0

    def on_train_begin(self, logs: Logs) -> None:
        super().on_train_begin(logs)
        changeable_rate_of(self.model)
        self._lowest, self._wait, self._cooling = math.inf, 0, 0

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        figure, rate = figure_of(self.monitor, logs), rate_of(self.model)
        logs["learning_rate"] = rate
        if self._cooling:
            self._cooling -= 1
            self._wait = 0
        if self._is_better(figure, self.best):
            self._take_best(figure)
            self._wait = 0
        elif not self._cooling:
            self._wait += 1
            if self._wait >= self.patience and rate > self.min_lr:
                self._reduce(epoch, max(rate * self.factor, self.min_lr))

    def _reduce(self, epoch: int, rate: float) -> None:
        optimizer: Any = self.model.optimizer
        optimizer.learning_rate = rate
        self._wait, self._cooling = 0, self.cooldown
        if self.verbose:
            say(f"Epoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {rate}.")

    def state(self) -> State:
        return {**super().state(), "wait": self._wait, "cooling": self._cooling}

    def load_state(self, state: State) -> None:
        super().load_state(state)
        self._wait = states.whole(state, "wait")
        self._cooling = states.whole(state, "cooling")
