"""Progress on standard error: of a fit, and of what goes through many files."""

from __future__ import annotations

import importlib.util
import sys
import threading
import time
from collections.abc import Iterable
from typing import Any

from fastweights.callbacks import Callback, Logs, ProgbarLogger, format_logs
from fastweights.callbacks.progress import rare
from fastweights.cli.output import tell

#: Between two lines, where there is no bar.
SECONDS_A_LINE = 2.0


def progress() -> Callback:
    """A bar, where tqdm is installed and standard error is a terminal; else a line now and then."""
    return ProgbarLogger(file=sys.stderr) if _has_bars() else Lines()


def counted(items: Iterable[Any], total: int) -> Iterable[Any]:
    """The items, as many as that; where they take long, how many have come is shown."""
    if _has_bars():
        from tqdm import tqdm

        yield from tqdm(items, total=total, file=sys.stderr, unit=" files", delay=1, leave=False)
        return
    next_line = time.perf_counter() + SECONDS_A_LINE
    for number, item in enumerate(items, start=1):
        yield item
        if time.perf_counter() > next_line:
            next_line = time.perf_counter() + SECONDS_A_LINE
            tell(f"read {number:,} of {total:,} files", sys.stderr)


def _has_bars() -> bool:
    is_seen = sys.stderr is not None and sys.stderr.isatty()
    return is_seen and importlib.util.find_spec("tqdm") is not None


class MemberLines(Callback):
    """A line for each of several networks that is trained."""

    def __init__(self, number: int, networks: int, lock: threading.Lock) -> None:
        self.number, self.networks, self._lock = number, networks, lock
        self._last: tuple[int, Logs] | None = None

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        self._last = epoch + 1, dict(logs)

    def on_train_end(self, logs: Logs) -> None:
        if self._last is not None:
            epochs, last = self._last
            line = f"network {self.number + 1}/{self.networks}: epoch {epochs}: {format_logs(last)}"
            with self._lock:
                tell(line, sys.stderr)


class Lines(Callback):
    """At most some 20 lines, ever rarer ones, of losses and time left; the last one in the end."""

    def on_train_begin(self, logs: Logs) -> None:
        self._began = time.perf_counter()
        self._first: int | None = None
        self._unsaid: str | None = None

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        epochs = self.params["epochs"]
        if self._first is None:
            self._first = epoch
            self._told = frozenset(epoch + at for at in rare(epochs - epoch))
        seconds = time.perf_counter() - self._began
        left = seconds / (epoch + 1 - self._first) * (epochs - epoch - 1)
        line = f"epoch {epoch + 1}/{epochs}: {format_logs(logs)} - at most {left:.0f} s left"
        self._unsaid = None if epoch in self._told else line
        if self._unsaid is None:
            tell(line, sys.stderr)

    def on_train_end(self, logs: Logs) -> None:
        if self._unsaid is not None:
            tell(self._unsaid, sys.stderr)
