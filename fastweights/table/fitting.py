"""How the networks of a recipe are trained: on which rows, until which epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastweights import _check, many
from fastweights.callbacks import Callback
from fastweights.callbacks.base import Logs
from fastweights.models import Model
from fastweights.table import splitting
from fastweights.table.batches import MOST_HELD, EncodedBatches
from fastweights.table.cells import Cells
from fastweights.table.dates import order_of, read_moments
from fastweights.table.encoded import Encoded
from fastweights.table.linear import MOST_ROWS, Examples, Linear, ridge
from fastweights.table.networks import begin_at
from fastweights.table.numerals import numbers
from fastweights.table.recipe import Recipe
from fastweights.table.tables import Table

#: Callbacks of one network, or what makes those of the network of a number.
Callbacks = Sequence[Callback] | Callable[[int], Sequence[Callback]]


@dataclass(frozen=True)
class Trained:
    """What became of one network: figures epoch by epoch, and the epoch whose weights it has."""

    history: dict[str, list[Any]]
    best_epoch: int


def error_of(trained: Sequence[Trained]) -> float:
    """The mean of the networks' losses on rows that were left out, at their best epochs."""
    losses = [one.history.get("val_loss", one.history["loss"])[one.best_epoch] for one in trained]
    return sum(losses) / len(losses)


class Best(Callback):
    """Keeps the weights of the epoch with the smallest loss on held-out rows, else of the last.

    Parameters
    ----------
    patience : int
        After so many epochs with no smaller loss the fit ends; 0: never.
    """

    def __init__(self, patience: int = 0) -> None:
        self._patience = patience
        #: The loss, the epoch and its numbers, in one value that an interrupt leaves whole.
        self._kept: tuple[float, int, tuple[np.ndarray, ...]] | None = None
        self._logs: list[Logs] = []

    @property
    def is_there(self) -> bool:
        """Whether an epoch was finished."""
        return self._kept is not None

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        self._logs.append(dict(logs))
        is_watched = "val_loss" in logs
        loss = logs["val_loss"] if is_watched else -epoch
        if self._kept is None or loss < self._kept[0]:
            numbers = self.model.parameters.copy(), self.model.state.copy()
            self._kept = (loss if math.isfinite(loss) else math.inf, epoch, numbers)
        elif is_watched and self._patience and epoch - self._kept[1] >= self._patience:
            self.model.stop_training = True

    def bring_back(self) -> Trained:
        """Gives the network the weights that were kept."""
        assert self._kept is not None
        _, epoch, (self.model.parameters[:], self.model.state[:]) = self._kept
        history = {name: [logs[name] for logs in self._logs] for name in self._logs[0]}
        return Trained(history, epoch)


@dataclass(frozen=True)
class Rows:
    """What the networks of a table learn from.

    Parameters
    ----------
    encoded : Encoded
        The features of all rows.
    targets : ndarray (rows, 1) or (rows,)
    weights : ndarray (rows,), optional
    parts : list of Parts
        For each network the rows that it is trained on, and those that say which epoch is the best.
    """

    encoded: Encoded
    targets: np.ndarray
    weights: np.ndarray | None
    parts: list[splitting.Parts]

    @property
    def are_held(self) -> bool:
        """Whether the features are few enough to be held at once."""
        return 4 * math.prod(self.encoded.shape) <= MOST_HELD

    def examples(self, numbers: np.ndarray) -> Examples:
        """Those of the rows of these numbers, without pieces of piecewise-linear encodings."""
        weights = None if self.weights is None else self.weights[numbers]
        x = np.ascontiguousarray(self.encoded[numbers][:, ~self.encoded.pieces])
        return Examples(x, self.targets[numbers], weights)


def train(
    models: Sequence[Model],
    rows: Rows,
    recipe: Recipe,
    callbacks: Callbacks,
    verbose: str | int,
    keep_interrupted: bool,
) -> tuple[list[Trained | None], bool]:
    """Trains each network on its part of the rows; whether Ctrl-C ended it, too.

    An interrupt is raised again unless it is to be kept, and a network has finished an epoch. Those
    that have finished none are None.
    """
    bests = [Best(recipe.patience) for _ in models]
    own = _callbacks(callbacks, len(models))
    listeners = [[best, *given] for best, given in zip(bests, own, strict=True)]
    fit = _fit_held if rows.are_held else _fit_batches
    interrupted = False
    try:
        if recipe.linear and recipe.task == "regression":
            for model, part in zip(models, rows.parts, strict=True):
                begin_at(model, _line(rows, part), ~rows.encoded.pieces)
        fit(models, rows, recipe, listeners, verbose)
    except KeyboardInterrupt:
        if not (keep_interrupted and any(best.is_there for best in bests)):
            raise
        interrupted = True
    return [best.bring_back() if best.is_there else None for best in bests], interrupted


def _line(rows: Rows, part: splitting.Parts) -> Linear:
    """The ridge regression of a network's rows, or of as many of these as are looked at."""
    learnt, held = (_some(numbers) for numbers in part)
    if not len(held):
        cut = max(1, len(learnt) // 10)
        learnt, held = learnt[cut:], learnt[:cut]
    return ridge(*(rows.examples(numbers) for numbers in (learnt, held)))


def _some(numbers: np.ndarray) -> np.ndarray:
    """At most so many row numbers, from everywhere."""
    return numbers[:: math.ceil(len(numbers) / MOST_ROWS) or 1]


def _fit_held(
    models: Sequence[Model],
    rows: Rows,
    recipe: Recipe,
    listeners: Sequence[Sequence[Callback]],
    verbose: str | int,
) -> None:
    many.fit_many(
        models,
        rows.encoded[:],
        rows.targets,
        batch_size=recipe.batch_size,
        epochs=recipe.epochs,
        verbose=verbose,
        callbacks=listeners,
        sample_weight=rows.weights,
        rows=[part if len(part[1]) else part[0] for part in rows.parts],
    )


def _fit_batches(
    models: Sequence[Model],
    rows: Rows,
    recipe: Recipe,
    listeners: Sequence[Sequence[Callback]],
    verbose: str | int,
) -> None:
    """One network after the other, each with all threads."""
    arrays = rows.encoded, rows.targets, rows.weights
    for model, (learnt, held), own in zip(models, rows.parts, listeners, strict=True):
        batches = EncodedBatches(*arrays, learnt, recipe.batch_size, model.seed)
        held_out = EncodedBatches(*arrays, held, recipe.batch_size) if len(held) else None
        model.fit(
            batches,
            epochs=recipe.epochs,
            verbose=verbose,
            callbacks=own,
            shuffle=False,
            validation_data=held_out,
        )


def _callbacks(given: Callbacks, nets: int) -> list[Sequence[Callback]]:
    if callable(given):
        return [given(number) for number in range(nets)]
    if given and nets > 1:
        got = f"{len(given)} for {nets} networks"
        expected = "a function of a network's number that gives callbacks of its own"
        raise ValueError(_check.refusal("callbacks", got, expected))
    return [given] * nets


# ---- which rows are left out ---------------------------------------------------------------------


def parts_of(
    recipe: Recipe, table: Table, labels: np.ndarray | None, seed: int
) -> list[splitting.Parts]:
    """The rows that each network is trained on, and those that say which epoch is the best."""
    rows = len(table)
    if not recipe.folds:
        return [(np.arange(rows), np.zeros(0, np.int64))] * recipe.nets
    kind, _, column = recipe.split.partition(":")
    if kind == "time":
        return [splitting.split_by_time(times_of(table, column), 1 / recipe.folds)] * recipe.nets
    groups = groups_of(table[column]) if kind == "group" else None
    count = recipe.folds if groups is None else min(recipe.folds, max(2, len(np.unique(groups))))
    rounds = math.ceil(recipe.nets / count)
    cut = [
        part
        for draw in range(rounds)
        for part in splitting.folds(rows, count, seed, draw, labels=labels, groups=groups)
    ]
    return cut[: recipe.nets]


def groups_of(cells: Cells) -> np.ndarray:
    """A number for each row, the same where cells are: int64 (rows,)."""
    _, places = np.unique(cells.values[cells.codes < 0], return_inverse=True)
    groups = cells.codes.astype(np.int64)
    groups[cells.codes < 0] = len(cells.texts) + places
    return groups


def times_of(table: Table, column: str) -> np.ndarray:
    """Numbers or dates by which the rows follow each other: float64 (rows,)."""
    cells = table[column]
    times, _ = numbers(cells, table.decimal, table.thousands)
    if not np.isfinite(times).any():
        form = order_of(cells, table.decimal).form
        times = read_moments(cells, form).values
    if not np.isfinite(times).all():
        row = int((~np.isfinite(times)).argmax())
        got = f"{_check.shown(cells[row])} in column {_check.shown(column)}"
        raise ValueError(_check.refusal("split", got, "a number or a date in every row"))
    return times
