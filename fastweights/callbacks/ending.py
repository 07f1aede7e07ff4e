"""What ends a fit early for reasons other than a figure that no longer improves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastweights import _check
from fastweights.callbacks.base import Callback, Logs
from fastweights.callbacks.monitoring import figure_of
from fastweights.callbacks.progress import say

if TYPE_CHECKING:
    from fastweights.training import DivergenceError


class TerminateOnNaN(Callback, closed=True):
    """Lets a fit whose loss is no number any more end, without an error.

    Without this callback such a fit raises DivergenceError. In both cases the model has the weights
    of the last good epoch; in Keras it has those that are no numbers.

    Parameters
    ----------
    raise_error : bool
        Whether to raise DivergenceError all the same.
    """

    def __init__(self, raise_error: bool = False) -> None:
        self.raise_error = _check.flag("raise_error", raise_error)

    def _ends_quietly(self, error: DivergenceError) -> bool:
        if not self.raise_error:
            at = ""
            if error.epoch is not None and error.batch is not None:
                at = f"Epoch {error.epoch + 1}, batch {error.batch + 1}: "  # as the error says it
            say(f"{at}Invalid loss, terminating training")
        return not self.raise_error


class OptunaPruning(Callback, closed=True):
    """Reports a figure to a trial of Optuna after each epoch, and ends the fit if that is pruned.

    Parameters
    ----------
    trial : optuna.trial.Trial
    monitor : str
        A key of the history.

    Raises
    ------
    optuna.TrialPruned
        By `fit`, where the trial should be pruned; the model can be used as after any fit.
    """

    def __init__(self, trial: Any, monitor: str = "val_loss") -> None:
        if not (hasattr(trial, "report") and hasattr(trial, "should_prune")):
            raise TypeError(_check.refusal("trial", _check.shown(trial), "a trial of Optuna"))
        if not isinstance(monitor, str):
            expected = "a key of the history"
            raise TypeError(_check.refusal("monitor", _check.shown(monitor), expected))
        self.trial, self.monitor = trial, monitor

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        self.trial.report(float(figure_of(self.monitor, logs)), step=epoch)
        if self.trial.should_prune():
            import optuna

            raise optuna.TrialPruned(f"Trial was pruned at epoch {epoch}.")
