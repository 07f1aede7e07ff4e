"""What is printed while a fit goes on."""

from __future__ import annotations

import importlib.util
import sys
import time
from numbers import Real
from typing import Any

from fastweights import _check
from fastweights._importing import imported
from fastweights.callbacks.base import Callback, Logs

#: So many lines `FewLines` prints, and one more where a fit ends early.
MOST_LINES = 20


def format_logs(logs: Logs) -> str:
    """``loss: 0.1234 - val_loss: 0.2345``, of all that are numbers."""
    numbers = {key: value for key, value in logs.items() if isinstance(value, Real)}
    return " - ".join(f"{key}: {float(value):.4g}" for key, value in numbers.items())


def say(line: str) -> None:
    """Prints a line at once, on whatever stands for standard output."""
    print(line)
    if hasattr(sys.stdout, "flush"):
        sys.stdout.flush()


def reporters(verbose: str | int) -> list[Callback]:
    """What prints, as `Model.fit` says it of `verbose`."""
    verbose = _check.verbosity(verbose)
    if verbose == 0:
        return []
    if verbose == 2:
        return [EpochLines()]
    if verbose == "auto" and not (is_terminal(sys.stdout) or _is_notebook()):
        return [FewLines()]
    return [ProgbarLogger()] if importlib.util.find_spec("tqdm") else [EpochLines()]


def is_terminal(stream: Any) -> bool:
    """Whether a stream, of which nothing is known, is a terminal."""
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError, OSError):  # None, no such method, closed
        return False


def _is_notebook() -> bool:
    """Whether output is shown in a browser, by Jupyter or the like."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return type(shell).__name__ in ("ZMQInteractiveShell", "Shell")


class EpochLines(Callback, closed=True):
    """One line an epoch on standard output."""

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        say(self._line(epoch, logs))

    def _line(self, epoch: int, logs: Logs) -> str:
        seconds = time.perf_counter() - self._began
        epochs = self.params["epochs"]
        return f"Epoch {epoch + 1}/{epochs} - {seconds:.3g}s - {format_logs(logs)}"


class FewLines(EpochLines, closed=True):
    """At most some 20 of those lines: the first, then ever rarer ones, and the last.

    Of n epochs the i-th line is about that of epoch n^(i / 19), so each stands for as many times
    the epochs of the one before; up to 20 epochs have a line each.
    """

    def on_train_begin(self, logs: Logs) -> None:
        self._numbers: frozenset[int] | None = None
        self._unsaid: str | None = None

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if self._numbers is None:
            self._numbers = frozenset(epoch + at for at in rare(self.params["epochs"] - epoch))
        line = self._line(epoch, logs)
        self._unsaid = None if epoch in self._numbers else line
        if self._unsaid is None:
            say(line)

    def on_train_end(self, logs: Logs) -> None:
        if self._unsaid is not None:
            say(self._unsaid)


def is_told(done: int, of: int, lines: int) -> bool:
    """Whether what is done is told, of so much, in so many lines at most, evenly."""
    lines = min(lines, of)
    return done * lines // of > (done - 1) * lines // of


def rare(epochs: int) -> list[int]:
    """Which of so many are told: at most MOST_LINES, the first and the last among them."""
    last = MOST_LINES - 1
    told = (max(at + 1, round(epochs ** (at / last))) for at in range(MOST_LINES))
    return [number - 1 for number in told if number <= epochs]


class ProgbarLogger(Callback, closed=True):
    """One line that follows the fit: epochs, time left, rows a second, loss and metrics.

    It needs tqdm, which draws it in a terminal and in notebooks.

    Parameters
    ----------
    file : file, optional
        Where the line is drawn, standard output by default.
    """

    def __init__(self, file: Any = None) -> None:
        self.file = file

    def on_train_begin(self, logs: Logs) -> None:
        tqdm = imported("tqdm.auto").tqdm

        file = sys.stdout if self.file is None else self.file
        line = "{percentage:3.0f}%|{bar}| {n:.1f}/{total} epochs [{elapsed}<{remaining}{postfix}]"
        self._bar = tqdm(
            total=self.params["epochs"], file=file, dynamic_ncols=True, bar_format=line
        )
        self._last: Logs = {}
        self._began: tuple[float, float] | None = None

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        if self._began is None:
            self._began = time.perf_counter(), float(epoch)
            # Epochs of an earlier fit took none of this one's time.
            self._bar.initial = epoch

    def on_progress(self, epoch: int, rows: int, total: int, logs: Logs) -> None:
        self._move(epoch + rows / total, {**self._last, **logs})

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        self._last = dict(logs)
        self._move(epoch + 1, logs)

    def _move(self, position: float, logs: Logs) -> None:
        speed = ""
        if self._began is not None:
            began, first = self._began
            seconds = max(time.perf_counter() - began, 1e-9)
            rows = self.params["rows"]
            speed = f"{(position - first) * rows / seconds:,.0f} rows/s, " if rows else ""
        self._bar.set_postfix_str(speed + format_logs(logs), refresh=False)
        self._bar.update(position - self._bar.n)

    def on_train_end(self, logs: Logs) -> None:
        self._bar.close()
