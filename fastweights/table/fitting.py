"""How the networks of a recipe are trained: on which rows, until which epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastweights import _check, many
from fastweights.callbacks import Callback
from fastweights.callbacks.base import Logs, State
from fastweights.models import Model
from fastweights.table import splitting
from fastweights.table.batches import MOST_HELD, EncodedBatches, Epochs
from fastweights.table.cells import Cells
from fastweights.table.dates import read_moments, text_form
from fastweights.table.encoded import Encoded
from fastweights.table.networks import monitored
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


class Best(Callback):
    """Keeps the weights of the epoch with the best figure of held-out rows, else of the last.

    Parameters
    ----------
    monitor : str, optional
        The figure of the history; None: the last epoch is the one.
    patience : int
        After so many epochs with no better figure the fit ends; 0: never.
    """

    def __init__(self, monitor: str | None, patience: int = 0) -> None:
        self.monitor = monitor
        self._patience = patience
        #: The figure, so that smaller is better, the epoch, its weights and what its layers
        #: remember, in one value that an interrupt leaves whole.
        self._kept: tuple[float, int, np.ndarray, np.ndarray] | None = None
        self._logs: list[Logs] = []

    @property
    def is_there(self) -> bool:
        """Whether an epoch was finished."""
        return self._kept is not None

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        self._logs.append(dict(logs))
        figure = -epoch if self.monitor is None else self._figure(logs)
        if math.isnan(figure):
            figure = math.inf
        if self._kept is None or figure < self._kept[0]:
            numbers = self.model.parameters.copy(), self.model.state.copy()
            self._kept = (figure, epoch, *numbers)
        elif self._patience and epoch - self._kept[1] >= self._patience:
            self.model.stop_training = True

    def _figure(self, logs: Logs) -> float:
        assert self.monitor is not None
        figure = logs[self.monitor]
        name = self.monitor.removeprefix("val_")
        if isinstance(figure, np.ndarray):
            got = f"{name}, which is no number"
            raise ValueError(_check.refusal("monitor", got, "a metric that is one"))
        return -figure if name in self.model._larger_is_better() else figure

    def bring_back(self, interrupted: bool) -> Trained:
        """Gives the network the weights that were kept.

        Those that a fit without a figure to go by ended with, averages perhaps, stay.
        """
        assert self._kept is not None
        _, epoch, parameters, state = self._kept
        if self.monitor is not None or interrupted:
            self.model.parameters[:], self.model.state[:] = parameters, state
        return Trained(self._history(), epoch)

    def _history(self) -> dict[str, list[Any]]:
        """Each figure, epoch by epoch."""
        return {name: [logs[name] for logs in self._logs] for name in self._logs[0]}

    def state(self) -> State:
        if self._kept is None:
            return {}
        figure, epoch, parameters, state = self._kept
        history = self._history()
        return {
            "figure": float(figure),
            "epoch": epoch,
            "parameters": parameters,
            "model_state": state,
            "names": list(history),
            **{f"history.{name}": np.array(values) for name, values in history.items()},
        }

    def load_state(self, state: State) -> None:
        if "names" not in state:
            return
        self._kept = (state["figure"], state["epoch"], state["parameters"], state["model_state"])
        columns = {name: list(state[f"history.{name}"]) for name in state["names"]}
        self._logs = [
            dict(zip(columns, values, strict=True))
            for values in zip(*columns.values(), strict=True)
        ]


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
    class_weight : "balanced", or dict of int to float, optional
        What the rows of each class count in training.
    """

    encoded: Encoded
    targets: np.ndarray
    weights: np.ndarray | None
    parts: list[splitting.Parts]
    class_weight: str | dict[int, float] | None = None

    @property
    def are_held(self) -> bool:
        """Whether the features are few enough to be held at once."""
        return 4 * math.prod(self.encoded.shape) <= MOST_HELD


def train(
    models: Sequence[Model],
    rows: Rows,
    recipe: Recipe,
    callbacks: Callbacks,
    verbose: str | int,
    keep_interrupted: bool,
) -> tuple[list[Trained | None], bool]:
    """Trains each network on its part of the rows; whether Ctrl-C ended it, too.

    An interrupt is raised again unless it is to be kept and a network has finished an epoch; those
    that have finished none are None.
    """
    monitor = monitored(recipe, models[0]) if len(rows.parts[0][1]) else None
    bests = [Best(monitor, recipe.patience) for _ in models]
    own = _callbacks(callbacks, len(models))
    listeners = [[best, *given] for best, given in zip(bests, own, strict=True)]
    fit = _fit_held if rows.are_held else _fit_batches
    interrupted = False
    try:
        fit(models, rows, recipe, listeners, verbose)
    except KeyboardInterrupt:
        if not (keep_interrupted and any(best.is_there for best in bests)):
            raise
        interrupted = True
    except many.FitManyError as error:
        raise error.errors[min(error.errors)] from None
    return [best.bring_back(interrupted) if best.is_there else None for best in bests], interrupted


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
        class_weight=rows.class_weight,
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
    for model, (learnt, held), own in zip(models, rows.parts, listeners, strict=True):
        weights = _by_class(rows, learnt)
        batches = EncodedBatches(
            rows.encoded, rows.targets, weights, learnt, recipe.batch_size, model.seed
        )
        held_out = None
        if len(held):
            held_out = EncodedBatches(
                rows.encoded, rows.targets, rows.weights, held, recipe.batch_size
            )
        model.fit(
            batches,
            epochs=recipe.epochs,
            verbose=verbose,
            callbacks=[Epochs(batches), *own],
            shuffle=False,
            validation_data=held_out,
        )


def _by_class(rows: Rows, learnt: np.ndarray) -> np.ndarray | None:
    """What each row counts in training, its class's weight included."""
    if rows.class_weight is None:
        return rows.weights
    counts = np.bincount(rows.targets[learnt], minlength=int(rows.targets.max()) + 1)
    if isinstance(rows.class_weight, str):  # "balanced"
        of_class = len(learnt) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    else:
        of_class = np.ones(len(counts))
        for place, weight in rows.class_weight.items():
            of_class[place] = weight
    weights = np.ones(len(rows.targets)) if rows.weights is None else rows.weights.copy()
    weights[learnt] *= of_class[rows.targets[learnt]]
    return weights


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
    count, groups = recipe.folds, None
    if kind == "group":
        groups = groups_of(table[column])
        count = min(count, len(np.unique(groups)))
        if count < 2:
            got = f"one group in column {_check.shown(column)}"
            raise ValueError(_check.refusal("split", got, "at least two"))
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
    """The numbers or dates by which the rows follow each other: float64 (rows,)."""
    cells = table[column]
    values, _ = numbers(cells, table.decimal, table.thousands)
    if not np.isfinite(values).all():
        form, _ = text_form(cells, table.decimal)
        values = read_moments(cells, form).values
    if not np.isfinite(values).all():
        row = int((~np.isfinite(values)).argmax())
        got = f"{_check.shown(cells[row])} in column {_check.shown(column)}"
        raise ValueError(_check.refusal("split", got, "a number or a date in every row"))
    return values
