"""The learning rate, epoch by epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastweights import _check
from fastweights._arguments import refuse_other_functions
from fastweights.callbacks.base import Callback, Logs
from fastweights.callbacks.progress import say
from fastweights.layers.base import takes

if TYPE_CHECKING:
    from fastweights.models import Model


def rate_of(model: Model) -> float:
    """The optimizer's learning rate; TypeError where that follows a schedule of its own."""
    optimizer = model._compiled.training()
    if optimizer._follows_a_schedule:
        got, expected = _check.shown(optimizer._learning_rate), "a number, which a callback changes"
        raise TypeError(_check.refusal("learning_rate", got, expected))
    return optimizer.learning_rate


def changeable_rate_of(model: Model) -> float:
    """The same; TypeError, too, where the optimizer takes no other one."""
    optimizer = model._compiled.training()
    rate = rate_of(model)
    if not optimizer.takes_rates:
        got, expected = type(optimizer).__name__, "an optimizer that takes a learning rate"
        raise TypeError(_check.refusal("optimizer", got, expected))
    return rate


class LearningRateScheduler(Callback, closed=True):
    """Sets the learning rate before each epoch.

    The learning rate is in the logs, and so in the history.

    Parameters
    ----------
    schedule : callable
        Called with the number of the epoch, from 0, and the learning rate, returns the new one.
        One that takes the epoch alone is called so.
    verbose : {0, 1}
        Whether to print it.
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        self._takes_rate = callable(schedule) and takes(schedule, (0, 0.0))
        expected = "a function of epoch and learning rate, or of the epoch alone"
        refuse_other_functions(
            "schedule", schedule, expected, (0, 0.0) if self._takes_rate else (0,)
        )
        self.schedule = schedule
        self.verbose = _check.whole("verbose", verbose, 0, maximum=1)

    def on_train_begin(self, logs: Logs) -> None:
        changeable_rate_of(self.model)

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        rate = rate_of(self.model)
        found = self.schedule(epoch, rate) if self._takes_rate else self.schedule(epoch)
        optimizer: Any = self.model.optimizer
        optimizer.learning_rate = _check.number("schedule", found, minimum=0.0)
        if self.verbose:
            rate = optimizer.learning_rate
            say(f"Epoch {epoch + 1}: LearningRateScheduler setting learning rate to {rate}.")

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        logs["learning_rate"] = rate_of(self.model)
