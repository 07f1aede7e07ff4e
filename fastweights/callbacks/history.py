"""What a fit came to, epoch by epoch."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from fastweights import _check
from fastweights.callbacks import states
from fastweights.callbacks.base import Callback, Logs, State


class History(Callback, closed=True):
    """Collects each epoch's loss and metrics; `fit` returns it.

    Attributes
    ----------
    history : dict of str to list of float
        ``loss``, each metric, and both again with ``val_`` in front where there is validation data.
    epoch : list of int
        The numbers of the epochs, from 0.
    ended : str or None
        Why an optimizer such as `LBFGS` ended the fit, if it did.
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

    def state(self) -> State:
        figures = {}
        for key, values in self.history.items():
            try:
                figures[f"of {key}"] = np.array(values, np.float64)
            except (TypeError, ValueError):
                got = f"{_check.shown(values[-1])} as {key!r}"
                expected = "a number, which a file can keep"
                raise TypeError(_check.refusal("logs", got, expected)) from None
        return {"epoch": np.array(self.epoch, np.int64), "ended": self._ended, **figures}

    def load_state(self, state: State) -> None:
        epochs = states.series(state, "epoch", "i", np.iinfo(np.int64).max)
        ended = states.of(state, "ended")
        if epochs.ndim != 1 or not (ended is None or isinstance(ended, str)):
            raise ValueError(_check.refusal("state of a history", "others", "epochs, and a text"))
        history = {}
        for key in state:
            if key.startswith("of "):
                values = states.series(state, key, "f", len(epochs))
                of_epochs = values.tolist() if values.ndim == 1 else list(values)
                history[key.removeprefix("of ")] = of_epochs
        self.epoch[:], self._ended = epochs.tolist(), ended
        self.history.clear()
        self.history.update(history)

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
