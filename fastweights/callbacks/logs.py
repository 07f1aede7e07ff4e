"""What writes figures where other programs read them."""

from __future__ import annotations

import csv
import os
import time
import warnings
from typing import IO, Any, NoReturn

import numpy as np

from fastweights import _check, _files
from fastweights.callbacks import states
from fastweights.callbacks.base import Callback, Logs, State


class CSVLogger(Callback, closed=True):
    """Writes each epoch's figures as a line of a CSV file.

    Columns are ``epoch``, the figures of the first epoch, in alphabetical order, and a ``val_`` one
    of each where that epoch has no validation; a figure that is missing is ``NA``, and one that
    first comes later is warned of and left out. A fit that goes on from a file cuts off what came
    after that was saved.

    Parameters
    ----------
    filename : path
    separator : str
        Of one character.
    append : bool
        Whether lines are added to a file that is there.

    Raises
    ------
    ValueError
        By `fit`, where `append` finds a file of other columns.
    """

    def __init__(
        self, filename: _files.FilePath, separator: str = ",", append: bool = False
    ) -> None:
        self.filename = _files.path_text(filename, "filename")
        if not isinstance(separator, str) or len(separator) != 1 or separator in '"\r\n':
            got, expected = _check.shown(separator), "one character that separates"
            raise ValueError(_check.refusal("separator", got, expected))
        self.separator = separator
        self.append = _check.flag("append", append)
        self._file: IO[str] | None = None
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._close()
        self._columns: list[str] = []
        #: Of the file that lines are added to.
        self._found: list[str] | None = None
        self._left_out: set[str] = set()
        #: Bytes of the file that this fit has written up to now, or found.
        self._size = 0

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_file": None}

    def _writes(self) -> list[str]:
        return [self.filename]

    def on_train_begin(self, logs: Logs) -> None:
        _files.refuse_no_folder(self.filename, "filename")
        self._begin_anew()
        if self.append:
            self._found = self._columns_there()

    def _columns_there(self) -> list[str] | None:
        """Columns of figures in the file that lines are added to; None where it has no line."""
        try:
            with open(self.filename, newline="", encoding="utf-8") as file:
                columns = next(csv.reader(file, delimiter=self.separator), None)
        except FileNotFoundError:
            return None
        if columns is None:
            return None
        if columns[:1] != ["epoch"]:
            expected = f"'epoch' as the first of them, parted by {self.separator!r}"
            self._refuse_columns(f"columns {', '.join(columns):.200}", expected)
        return columns[1:]

    def _refuse_columns(self, got: str, expected: str) -> NoReturn:
        got = f"append=True to {self.filename} with {got}"
        raise ValueError(_check.refusal("filename", got, expected) + "; give another file")

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        file = self._file or self._open(logs)
        if late := set(logs).difference(self._columns, self._left_out):
            self._left_out |= late
            names = ", ".join(sorted(late))
            message = f"CSVLogger: {names} first came in epoch {epoch}, and has no column"
            warnings.warn(message, stacklevel=2)
        figures = [logs.get(name, "NA") for name in self._columns]
        row = [epoch, *(_in_a_row(figure) for figure in figures)]
        with _files.naming(self.filename):
            csv.writer(file, delimiter=self.separator).writerow(row)
            file.flush()
        self._size = os.fstat(file.fileno()).st_size

    def _open(self, logs: Logs) -> IO[str]:
        """The file where the next line belongs, after that of the columns."""
        goes_on = bool(self._columns)
        there = os.path.getsize(self.filename) if os.path.exists(self.filename) else 0
        if there < self._size:  # what was written is not there any more: it begins anew
            self._columns, goes_on = [], False
            self._found = self._columns_there() if self.append else None
        columns = self._columns or self._columns_of(logs)
        mode = "a" if self.append or goes_on else "w"
        self._file = file = open(  # noqa: SIM115
            self.filename, mode, newline="", encoding="utf-8"
        )
        if goes_on:
            file.truncate(self._size)
        elif self._found is None:
            csv.writer(file, delimiter=self.separator).writerow(["epoch", *columns])
        else:
            _begin_a_line(file)
        self._columns = columns
        return file

    def _columns_of(self, logs: Logs) -> list[str]:
        """Columns for these figures, or those that are there; ValueError where they are others."""
        columns = sorted(logs)
        if not any(name.startswith("val_") for name in logs):
            columns += [f"val_{name}" for name in columns]
        if self._found is None:
            return columns
        if sorted(self._found) != sorted(columns):
            there = f"columns of {', '.join(self._found):.200}"
            self._refuse_columns(there, f"{', '.join(columns)}, as this fit has them")
        return self._found

    def on_train_end(self, logs: Logs) -> None:
        self._close()

    def _close(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            with _files.naming(self.filename):
                file.close()

    def state(self) -> State:
        return {"columns": list(self._columns), "size": self._size}

    def load_state(self, state: State) -> None:
        self._columns = states.texts(state, "columns")
        self._size = states.whole(state, "size")


def _begin_a_line(file: IO[str]) -> None:
    """Has a file end with a whole line.

    Of a row that was cut off, as on a full disk, nobody knows what its last figure was: it goes,
    where other lines end as those written here. Others' last lines may just lack their end.
    """
    with open(file.name, "rb") as there:
        content = there.read()
    kept = content.rfind(b"\n") + 1
    if kept == len(content):
        return
    if content.endswith(b"\r\n", 0, kept):
        file.truncate(kept)
    else:
        file.write(csv.excel.lineterminator)
        file.flush()


def _in_a_row(figure: Any) -> Any:
    """A figure as a row of a table has it: an array in one line."""
    return figure.tolist() if isinstance(figure, np.ndarray) else figure


class TensorBoard(Callback, closed=True):
    """Writes figures for TensorBoard, by the library ``tensorboard`` (no TensorFlow is needed).

    Names are Keras's: ``epoch_loss`` and so on, in ``train`` and ``validation`` of the folder.

    Parameters
    ----------
    log_dir : path
        A folder, made where there is none.
    update_freq : {"epoch", "batch"} or int
        Whether to write figures of batches, too, of each or of every so many: ``batch_loss`` and so
        on, the means of the epoch so far.

    Raises
    ------
    ModuleNotFoundError
        There is no tensorboard: ``pip install 'fastweights[tensorboard]'``.
    """

    def __init__(self, log_dir: _files.FilePath = "logs", update_freq: str | int = "epoch") -> None:
        self.log_dir = _files.folder_text(log_dir, "log_dir")
        if isinstance(update_freq, str):
            _check.choice("update_freq", update_freq, {"epoch": 0, "batch": 1})
        else:
            update_freq = _check.whole("update_freq", update_freq, 1)
        self.update_freq = update_freq
        _event_files()
        #: By the folder within `log_dir`.
        self._writers: dict[str, Any] = {}
        self._steps = 0

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_writers": {}}

    def _hears(self, hook: str) -> bool:
        return super()._hears(hook) and ("batch" not in hook or self.update_freq != "epoch")

    def _writes(self) -> list[str]:
        return [self.log_dir]

    def on_train_begin(self, logs: Logs) -> None:
        self._close()
        self._steps = 0

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        every = 1 if self.update_freq == "batch" else int(self.update_freq)
        if self._steps % every == 0:
            self._write("train", "batch_", logs, self._steps)
        self._steps += 1

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        held_out = {k.removeprefix("val_"): v for k, v in logs.items() if k.startswith("val_")}
        trained = {k: v for k, v in logs.items() if not k.startswith("val_")}
        for folder, figures in (("train", trained), ("validation", held_out)):
            if figures:
                self._write(folder, "epoch_", figures, epoch)
                self._writers[folder].flush()

    def _write(self, folder: str, prefix: str, figures: Logs, step: int) -> None:
        files, event_pb2, summary_pb2 = _event_files()
        if folder not in self._writers:
            self._writers[folder] = files.EventFileWriter(os.path.join(self.log_dir, folder))
        values = [
            summary_pb2.Summary.Value(tag=prefix + name, simple_value=float(figure))
            for name, figure in figures.items()
            if not isinstance(figure, np.ndarray)
        ]
        summary = summary_pb2.Summary(value=values)
        event = event_pb2.Event(wall_time=time.time(), step=step, summary=summary)
        self._writers[folder].add_event(event)

    def on_train_end(self, logs: Logs) -> None:
        self._close()

    def _close(self) -> None:
        for folder in list(self._writers):
            self._writers.pop(folder).close()

    def state(self) -> State:
        return {"steps": self._steps}

    def load_state(self, state: State) -> None:
        self._steps = states.whole(state, "steps")


def _event_files() -> tuple[Any, Any, Any]:
    """What writes event files, and makes what is in them."""
    try:
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer import event_file_writer
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "TensorBoard: got no library that writes its files, expected "
            "pip install 'fastweights[tensorboard]'"
        ) from error
    return event_file_writer, event_pb2, summary_pb2
