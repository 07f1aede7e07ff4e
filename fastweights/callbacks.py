"""What `fit` tells while it runs."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from fastweights import _check
from fastweights._absent import refusal_of
from fastweights._sealed import Sealed

if TYPE_CHECKING:
    import numpy as np

    from fastweights._turns import Turn
    from fastweights.models import Model

Logs = dict[str, float]


def _check_hook(name: str) -> None:
    """Raises TypeError where a name that looks like a hook is none."""
    if name not in HOOKS:
        raise TypeError(
            f"{name}: got a hook that fit does not call, expected one of {', '.join(HOOKS)}; "
            "on_progress is called between batches"
        )


class Callback(Sealed):
    """Base of all callbacks; override what you want to hear.

    A class of your own may set what attributes it likes; a hook that does not exist is an error.

    Attributes
    ----------
    model : Model
        The model that is being fitted. ``self.model.stop_training = True`` ends the fit: before
        the epoch, in its middle or after it, as it is said in `on_epoch_begin`, `on_progress` or
        `on_epoch_end`. It cannot be compiled, or trained otherwise, meanwhile.
    params : dict
        ``epochs``: the fit will end before the epoch of that number.
    """

    _is_closed = False
    _fixed: ClassVar[dict[str, str]] = dict.fromkeys(("model", "params"), "is set by fit")

    def __init_subclass__(cls, closed: bool = False) -> None:
        """With `closed`, instances take no attributes beside those of their constructor."""
        super().__init_subclass__()
        cls._is_closed = closed
        for name in dir(cls):
            if name.startswith("on_"):
                _check_hook(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("on_"):
            _check_hook(name)
        is_new = "_sealed" not in self.__dict__
        if is_new or name.startswith("_") or not (self._is_closed or name in self._fixed):
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def __getstate__(self) -> dict[str, Any]:
        # A model is saved by itself; a history, say, is worth keeping without one.
        return {k: v for k, v in vars(self).items() if k not in ("_fit", "_queue")}

    @property
    def _turns(self) -> list[Turn]:
        """The fit that has this callback; made late, as subclasses may not call this class."""
        return vars(self).setdefault("_queue", [])

    def _join(self, model: Model, params: dict[str, int]) -> None:
        """Takes part in a fit."""
        self._fit = (model, params)

    @property
    def model(self) -> Model:
        return self._fit_or_refused("model")[0]

    @property
    def params(self) -> dict[str, int]:
        return dict(self._fit_or_refused("params")[1])

    def _fit_or_refused(self, name: str) -> tuple[Model, dict[str, int]]:
        if "_fit" not in vars(self):
            raise AttributeError(f"{name}: this {type(self).__name__} has been in no fit yet")
        return self._fit

    def on_train_begin(self) -> None:
        """Before the first epoch."""

    def on_epoch_begin(self, epoch: int) -> None:
        """Before an epoch; epochs count from 0."""

    def on_progress(self, epoch: int, rows: int, total: int, logs: Logs) -> None:
        """At most about every 40 ms: `rows` of `total` are done, `logs` holds the means so far."""

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """After an epoch; `logs` is what the history got, one dict for all callbacks in turn."""

    def on_train_end(self) -> None:
        """After the last epoch, also when the fit ended by an exception."""


#: What a callback may hear.
HOOKS = tuple(name for name in vars(Callback) if name.startswith("on_"))


class History(Callback, closed=True):
    """Collects each epoch's loss and metrics; `fit` returns it.

    Attributes
    ----------
    history : dict of str to list of float
        ``loss``, each metric, and both again with ``val_`` in front where there is validation data.
    epoch : list of int
        The numbers of the epochs, from 0.
    ended : str or None
        Why an optimizer such as `LBFGS` ended the fit before its last epoch.
    """

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []
        self._ended: str | None = None

    @property
    def ended(self) -> str | None:
        return self._ended

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        self.epoch.append(epoch)
        for key, value in logs.items():
            self.history.setdefault(key, []).append(value)

    def plot(
        self,
        metrics: str | Sequence[str] | None = None,
        to_file: str | os.PathLike[str] | None = None,
    ) -> np.ndarray:
        """Draws how figures went by epoch, those of validation data beside those of training.

        Parameters
        ----------
        metrics : str or sequence of str, optional
            Which, as ``"loss"``; all unless given.
        to_file : path, optional
            Ends in ``.png``, ``.svg`` or ``.pdf``; the figure is written there too.

        Returns
        -------
        ndarray of matplotlib.axes.Axes
            One for each; ``axes[0].figure`` is the figure.

        Raises
        ------
        ModuleNotFoundError
            There is no matplotlib: ``pip install 'fastweights[plot]'``.
        """
        from fastweights.plotting.curves import plot_history

        return plot_history(self.history, self.epoch, metrics, to_file)


def format_logs(logs: Logs) -> str:
    """``loss: 0.1234 - val_loss: 0.2345``."""
    return " - ".join(f"{key}: {value:.4g}" for key, value in logs.items())


def _say(line: str) -> None:
    """Prints a line at once, on whatever stands for standard output."""
    print(line)
    if hasattr(sys.stdout, "flush"):
        sys.stdout.flush()


class EpochLines(Callback, closed=True):
    """One line an epoch on standard output."""

    def on_epoch_begin(self, epoch: int) -> None:
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        seconds = time.perf_counter() - self._began
        epochs = self.params["epochs"]
        _say(f"Epoch {epoch + 1}/{epochs} - {seconds:.3g}s - {format_logs(logs)}")


class ProgressBar(Callback, closed=True):
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
        self._bar = tqdm(
            total=self.params["epochs"], file=file, dynamic_ncols=True, bar_format=line
        )
        self._last: Logs = {}

    def on_progress(self, epoch: int, rows: int, total: int, logs: Logs) -> None:
        self._move(epoch + rows / total, {**self._last, **logs})

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        self._last = logs
        self._move(epoch + 1, logs)

    def _move(self, position: float, logs: Logs) -> None:
        self._bar.set_postfix_str(format_logs(logs), refresh=False)
        self._bar.update(position - self._bar.n)

    def on_train_end(self) -> None:
        self._bar.close()


class EarlyStopping(Callback, closed=True):
    """Ends the fit when a figure has not improved for a while.

    Parameters
    ----------
    monitor : str
        A key of the history.
    patience : int
        Epochs without improvement to wait for, at least 1.
    restore_best_weights : bool
        Whether the model ends with the weights of the best epoch.
    mode : {"auto", "min", "max"}
        Whether smaller or larger is better; "auto" asks the metric of that name, and takes smaller
        for better in a loss or a figure of your own.

    Attributes
    ----------
    best : float
        The best value seen; inf, or -inf where larger is better, before the first.
    best_epoch : int
        Its epoch, from 0; -1 before the first.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 10,
        restore_best_weights: bool = True,
        mode: str = "auto",
    ) -> None:
        if not isinstance(monitor, str):
            expected = "a key of the history"
            raise TypeError(_check.refusal("monitor", _check.shown(monitor), expected))
        self.monitor = monitor
        self.patience = _check.whole("patience", patience, 1)
        self.restore_best_weights = _check.flag("restore_best_weights", restore_best_weights)
        self.mode = mode
        _check.choice("mode", mode, dict.fromkeys(("auto", "min", "max")))
        self._sign = -1.0 if mode == "max" else 1.0
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._lowest, self._best_epoch = float("inf"), -1
        self._weights: list[np.ndarray] | None = None

    @property
    def best(self) -> float:
        return self._sign * self._lowest

    @property
    def best_epoch(self) -> int:
        return self._best_epoch

    def on_train_begin(self) -> None:
        if self.mode == "auto":
            name = self.monitor.removeprefix("val_")
            self._sign = -1.0 if name in self.model._larger_is_better() else 1.0
        self._begin_anew()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if self.monitor not in logs:
            raise ValueError(f"monitor: got {self.monitor!r}, expected one of {', '.join(logs)}")
        if self._sign * logs[self.monitor] < self._lowest:
            weights = self.model.get_weights() if self.restore_best_weights else None
            self._lowest, self._best_epoch, self._weights = (
                self._sign * logs[self.monitor], epoch, weights,
            )  # fmt: skip
        elif epoch - self._best_epoch >= self.patience:
            self.model.stop_training = True

    def on_train_end(self) -> None:
        if self._weights is not None:
            self.model.set_weights(self._weights)


def __getattr__(name: str) -> NoReturn:
    raise refusal_of(__name__, name)
