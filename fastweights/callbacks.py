"""What `fit` tells while it runs."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastweights.models import Sequential

Logs = dict[str, float]


class Callback:
    """Base of all callbacks; override what you want to hear.

    Attributes
    ----------
    model : Sequential
        The model that is being fitted. ``self.model.stop_training = True`` ends the fit: before
        the epoch, in its middle or after it, as it is said in `on_epoch_begin`, `on_progress` or
        `on_epoch_end`.
    params : dict
        ``epochs``: the fit will end before the epoch of that number.
    """

    model: Sequential
    params: dict[str, int]

    def on_train_begin(self) -> None:
        """Before the first epoch."""

    def on_epoch_begin(self, epoch: int) -> None:
        """Before an epoch; epochs count from 0."""

    def on_progress(self, epoch: int, rows: int, total: int, logs: Logs) -> None:
        """At most about every 50 ms: `rows` of `total` are done, `logs` holds the means so far."""

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """After an epoch; `logs` is what the history gets."""

    def on_train_end(self) -> None:
        """After the last epoch, also when the fit ended by an exception."""


class History(Callback):
    """Collects each epoch's loss and metrics; `fit` returns it.

    Attributes
    ----------
    history : dict of str to list of float
        ``loss``, each metric, and both again with ``val_`` in front where there is validation data.
    epoch : list of int
        The numbers of the epochs, from 0.
    """

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        self.epoch.append(epoch)
        for key, value in logs.items():
            self.history.setdefault(key, []).append(value)


def format_logs(logs: Logs) -> str:
    """``loss: 0.1234 - val_loss: 0.2345``."""
    return " - ".join(f"{key}: {value:.4g}" for key, value in logs.items())


class EpochLines(Callback):
    """One line an epoch on standard output."""

    def on_epoch_begin(self, epoch: int) -> None:
        self.began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        seconds = time.perf_counter() - self.began
        epochs = self.params["epochs"]
        print(f"Epoch {epoch + 1}/{epochs} - {seconds:.3g}s - {format_logs(logs)}", flush=True)


class ProgressBar(Callback):
    """A tqdm bar over all epochs with loss, validation loss and time left; needs tqdm.

    Parameters
    ----------
    file : file, optional
        Where the bar is drawn, standard output by default.
    """

    def __init__(self, file: Any = None) -> None:
        self.file = file

    def on_train_begin(self) -> None:
        from tqdm import tqdm

        file = sys.stdout if self.file is None else self.file
        line = "{percentage:3.0f}%|{bar}| {n:.1f}/{total} epochs [{elapsed}<{remaining}{postfix}]"
        self.bar = tqdm(total=self.params["epochs"], file=file, dynamic_ncols=True, bar_format=line)
        self.last: Logs = {}

    def on_progress(self, epoch: int, rows: int, total: int, logs: Logs) -> None:
        self._move(epoch + rows / total, {**self.last, **logs})

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        self.last = logs
        self._move(epoch + 1, logs)

    def _move(self, position: float, logs: Logs) -> None:
        self.bar.set_postfix_str(format_logs(logs), refresh=False)
        self.bar.update(position - self.bar.n)

    def on_train_end(self) -> None:
        self.bar.close()


class EarlyStopping(Callback):
    """Ends the fit when a figure has not improved for a while.

    Parameters
    ----------
    monitor : str
        A key of the history; smaller is better.
    patience : int
        Epochs without improvement to wait for, at least 1.
    restore_best_weights : bool
        Whether the model ends with the weights of the best epoch.

    Attributes
    ----------
    best : float
        The smallest value seen.
    best_epoch : int
        Its epoch, from 0; -1 before the first.
    """

    def __init__(
        self, monitor: str = "val_loss", patience: int = 10, restore_best_weights: bool = True
    ) -> None:
        from fastweights import _check

        self.monitor = monitor
        self.patience = _check.whole("patience", patience, 1)
        self.restore_best_weights = _check.flag("restore_best_weights", restore_best_weights)

    def on_train_begin(self) -> None:
        self.best, self.best_epoch = float("inf"), -1
        self._weights = None

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if self.monitor not in logs:
            raise ValueError(f"monitor: got {self.monitor!r}, expected one of {', '.join(logs)}")
        if logs[self.monitor] < self.best:
            self.best, self.best_epoch = logs[self.monitor], epoch
            if self.restore_best_weights:
                self._weights = self.model.parameters.copy()
        elif epoch - self.best_epoch >= self.patience:
            self.model.stop_training = True

    def on_train_end(self) -> None:
        if self._weights is not None:
            self.model.parameters[:] = self._weights
