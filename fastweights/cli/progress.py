"""Progress of a fit on standard error."""

from __future__ import annotations

import importlib.util
import sys
import time

from fastweights.callbacks import Callback, Logs, ProgressBar, format_logs
from fastweights.cli.output import tell

#: Between two lines, where there is no bar.
SECONDS_A_LINE = 2.0


def progress() -> Callback:
    """A bar, where tqdm is installed and standard error is a terminal; else a line now and then."""
    if sys.stderr is not None and sys.stderr.isatty() and importlib.util.find_spec("tqdm"):
        return ProgressBar(file=sys.stderr)
    return Lines()


class Lines(Callback):
    """A line for the first epoch and then every few seconds: losses and time left."""

    def on_train_begin(self) -> None:
        self.began = time.perf_counter()
        self.next_line = self.began

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        now = time.perf_counter()
        if now < self.next_line:
            return
        self.next_line = now + SECONDS_A_LINE
        epochs = self.params["epochs"]
        left = (now - self.began) / (epoch + 1) * (epochs - epoch - 1)
        line = f"epoch {epoch + 1}/{epochs}: {format_logs(logs)} - at most {left:.0f} s left"
        tell(line, sys.stderr)
