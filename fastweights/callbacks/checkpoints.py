"""What keeps a model, and how far its fit has come, in files."""

from __future__ import annotations

import contextlib
import os
import re
import string
from typing import Any

from fastweights import _check, _files
from fastweights.callbacks import states
from fastweights.callbacks.base import Callback, Logs, State
from fastweights.callbacks.monitoring import Monitor, figure_of
from fastweights.callbacks.progress import say

#: Endings of names of Keras's files, which are not what is written here.
_ENDING = ".safetensors"


def _frequency(got: Any) -> str | int:
    """``"epoch"`` or a number of batches."""
    if isinstance(got, str):
        return _check.choice("save_freq", got, {"epoch": "epoch"})
    return _check.whole("save_freq", got, 1)


def _refuse_unsaveable(callback: Callback) -> None:
    """Raises TypeError, before anything is trained, where no file brings the model back."""
    from fastweights._copying import refuse_foreign

    try:
        refuse_foreign("save", callback.model)
    except TypeError as error:
        hint = "ModelCheckpoint(..., save_weights_only=True) does so in a fit"
        raise TypeError(f"{type(callback).__name__}: {error}; {hint}") from None


class _Batches:
    """Counts batches, over epochs, and says when it is time to save.

    Parameters
    ----------
    frequency : {"epoch"} or int
    """

    def __init__(self, frequency: str | int) -> None:
        self.frequency, self.seen = frequency, 0

    def one_more(self) -> bool:
        """Counts one batch; whether that was the last one before a file is due."""
        self.seen += 1
        # A fit that went on from a file may count up to fewer than the one before it.
        if isinstance(self.frequency, str) or self.seen < self.frequency:
            return False
        self.seen = 0
        return True


class ModelCheckpoint(Monitor, closed=True):
    """Saves the model after each epoch, or after so many batches.

    A file is written whole or not at all. ``model.fit(..., resume=path)`` goes on from it, or from
    the newest in a folder, and ends with the bits of a fit that was never interrupted.

    Parameters
    ----------
    filepath : path
        Ends in ``.safetensors``; may have placeholders such as
        ``"{epoch:02d}-{val_loss:.2f}.safetensors"``: `epoch`, from 1, figures of the history and,
        where batches are counted, `batch`, from 1. Its folder is made where there is none.
    monitor : str
        What `save_best_only` goes by, a key of the history.
    verbose : {0, 1}
        Whether to print what was saved.
    save_best_only : bool
        Whether only a model is saved whose figure is better than all before.
    save_weights_only : bool
        Whether the file has the weights alone, as of `Model.save_weights`; no fit goes on from it.
    mode : {"auto", "min", "max"}
        As of `EarlyStopping`.
    save_freq : {"epoch"} or int
        After how many batches, of all epochs, to save.
    initial_value_threshold : float, optional
        With `save_best_only` what the first figure must be better than.
    keep : int, optional
        How many files there are at most: older ones of this callback are removed. Not in Keras.
    """

    def __init__(
        self,
        filepath: _files.FilePath,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
        keep: int | None = None,
    ) -> None:
        super().__init__(monitor, mode)
        self.filepath = _files.path_text(filepath, "filepath")
        placeholders = _placeholders(self.filepath)
        if not self.filepath.endswith(_ENDING):
            expected = f"a name that ends in {_ENDING}, which is what is written"
            raise ValueError(_check.refusal("filepath", repr(self.filepath), expected))
        self.verbose = _check.whole("verbose", verbose, 0, maximum=1)
        self.save_best_only = _check.flag("save_best_only", save_best_only)
        self.save_weights_only = _check.flag("save_weights_only", save_weights_only)
        self.save_freq = _frequency(save_freq)
        threshold = initial_value_threshold
        if threshold is not None:
            threshold = _check.number("initial_value_threshold", threshold)
            if not self.save_best_only:
                expected = "None without save_best_only, which alone looks at it"
                got = f"{threshold:g}"
                raise ValueError(_check.refusal("initial_value_threshold", got, expected))
        self.initial_value_threshold = threshold
        self.keep = None if keep is None else _check.whole("keep", keep, 1)
        if self.keep is not None and not placeholders:
            expected = "None for a filepath without placeholders, such as {epoch}"
            raise ValueError(_check.refusal("keep", self.keep, expected))
        self._batches = _Batches(self.save_freq)
        #: Files that it wrote and that are there, the oldest first.
        self._saved: list[str] = []
        self._epoch = 0

    def _hears(self, hook: str) -> bool:
        return super()._hears(hook) and ("batch" not in hook or self.save_freq != "epoch")

    def _writes(self) -> list[str]:
        return [self.filepath]

    def on_train_begin(self, logs: Logs) -> None:
        super().on_train_begin(logs)
        if not self.save_weights_only:
            _refuse_unsaveable(self)
        if self.initial_value_threshold is not None and self.best in (float("inf"), -float("inf")):
            self._take_best(self.initial_value_threshold)
        self._batches.seen = 0

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        if self._batches.one_more():
            self._save({"epoch": self._epoch + 1, "batch": batch + 1}, logs)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if self.save_freq == "epoch":
            self._save({"epoch": epoch + 1}, logs)

    def _save(self, numbers: dict[str, int], logs: Logs) -> None:
        if self.save_best_only:
            figure = figure_of(self.monitor, logs)
            if not self._is_better(figure, self.best):
                return
        path = _filled(self.filepath, {**logs, **numbers})
        if self.save_best_only:
            self._take_best(figure)
        # The file is to know of itself, and of those that are removed when it is there.
        self._saved = [*(saved for saved in self._saved if saved != path), path]
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        (self.model.save_weights if self.save_weights_only else self.model.save)(path)
        if self.keep is not None:
            self._remove_all_but(self.keep)
        if self.verbose:
            say(f"Epoch {numbers['epoch']}: saving model to {path}")

    def _remove_all_but(self, newest: int) -> None:
        for old in self._saved[:-newest]:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(old)
        self._saved = self._saved[-newest:]

    def state(self) -> State:
        return {
            **super().state(),
            "seen": self._batches.seen,
            "epoch": self._epoch,
            "saved": list(self._saved),
        }

    def load_state(self, state: State) -> None:
        super().load_state(state)
        self._batches.seen = states.whole(state, "seen")
        self._epoch = states.whole(state, "epoch")
        # A file may name any: only what this callback could have written is its own to remove.
        own = re.compile(_pattern(self.filepath), re.DOTALL)
        self._saved = [path for path in states.texts(state, "saved") if own.fullmatch(path)]


def _placeholders(path: str) -> list[str]:
    """Their names; ValueError where braces do not pair."""
    try:
        return [name for _, name, _, _ in string.Formatter().parse(path) if name is not None]
    except ValueError as error:
        got = f"{path!r} ({error})"
        raise ValueError(_check.refusal("filepath", got, "placeholders such as {epoch}")) from None


def _pattern(path: str) -> str:
    """Of the names that the placeholders make: what is put in them has no folders."""
    parts = string.Formatter().parse(path)
    return "".join(
        re.escape(text) + ("" if name is None else r"[^/\\]+") for text, name, _, _ in parts
    )


def _filled(path: str, values: dict[str, Any]) -> str:
    try:
        return path.format(**values)
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        got, expected = f"{path!r} ({error!r})", f"placeholders of {', '.join(values)}"
        raise ValueError(_check.refusal("filepath", got, expected)) from None


class BackupAndRestore(Callback, closed=True):
    """Keeps how far a fit has come, so that the same program goes on from there when run again.

    A fit that begins looks into the folder: where there is a backup, the model becomes what it was
    then, and the fit goes on from the batch it had come to, its history too. In the end weights and
    history have the bits of a fit that was never interrupted. The data (of more than 256 MiB, rows
    spread over them), a seed that was given, and what the model was made and compiled with, are
    compared, and a backup of another fit is refused. Batches that come as they are are not.

    Parameters
    ----------
    backup_dir : path
        A folder for this fit alone; made where there is none.
    save_freq : {"epoch"} or int
        After how many batches, of all epochs, to save.
    double_checkpoint : bool
        Whether the backup before the last one is kept, too, and taken, with a warning, where the
        last one is damaged.
    delete_checkpoint : bool
        Whether backups are removed when the fit has come to its end. They stay where it ends by an
        exception.
    """

    def __init__(
        self,
        backup_dir: _files.FilePath,
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        self.backup_dir = _files.folder_text(backup_dir, "backup_dir")
        self.save_freq = _frequency(save_freq)
        self.double_checkpoint = _check.flag("double_checkpoint", double_checkpoint)
        self.delete_checkpoint = _check.flag("delete_checkpoint", delete_checkpoint)
        self._batches = _Batches(self.save_freq)
        #: Of its files.
        self._damaged: set[str] = set()

    @property
    def _paths(self) -> list[str]:
        """Of a backup that has yet to become the last one, of that, and of the one before."""
        names = ("next", "latest", "previous")
        return [os.path.join(self.backup_dir, f"{name}{_ENDING}") for name in names]

    def _checkpoints(self) -> list[str]:
        return [path for path in self._paths if os.path.lexists(path)]

    def _leave_behind(self, path: str) -> None:
        self._damaged.add(path)

    def _hears(self, hook: str) -> bool:
        return super()._hears(hook) and ("batch" not in hook or self.save_freq != "epoch")

    def _writes(self) -> list[str]:
        return [self.backup_dir]

    def on_train_begin(self, logs: Logs) -> None:
        _refuse_unsaveable(self)
        self._batches.seen = 0

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        if self._batches.one_more():
            self._save()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if self.save_freq == "epoch":
            self._save()

    def _save(self) -> None:
        os.makedirs(self.backup_dir, exist_ok=True)
        following, latest, previous = self._paths
        if not self.double_checkpoint:
            self.model.save(latest)
            return
        # At any moment two whole ones are there, once there were two.
        self.model.save(following)
        if latest not in self._damaged:
            with contextlib.suppress(FileNotFoundError):
                os.replace(latest, previous)
        os.replace(following, latest)
        self._damaged.clear()

    def _leave(self, has_finished: bool) -> None:
        if has_finished and self.delete_checkpoint:
            for path in self._checkpoints():
                os.unlink(path)
            with contextlib.suppress(OSError):  # there are other files in it
                os.rmdir(self.backup_dir)

    def state(self) -> State:
        return {"seen": self._batches.seen}

    def load_state(self, state: State) -> None:
        self._batches.seen = states.whole(state, "seen")
