"""How the networks of a recipe are trained: on which rows, until which epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastweights import _check, many
from fastweights.callbacks import Callback, states
from fastweights.callbacks.base import Logs, State
from fastweights.callbacks.monitoring import Monitor, figure_of
from fastweights.models import Model
from fastweights.table import splitting
from fastweights.table.batches import MOST_HELD, EncodedBatches, Epochs
from fastweights.table.cells import Cells
from fastweights.table.dates import order_of, read_moments
from fastweights.table.encoded import Encoded
from fastweights.table.linear import MOST_ROWS, Examples, Linear, ridge
from fastweights.table.networks import begin_at, monitored
from fastweights.table.numerals import numbers
from fastweights.table.recipe import Recipe
from fastweights.table.tables import Table

#: More than any fit has.
MOST_EPOCHS = 2**48
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


def better(
    tried: Sequence[tuple[Recipe, list[Model], tuple[Trained, ...]]],
) -> tuple[Recipe, list[Model], tuple[Trained, ...]]:
    """Of the kinds of a recipe, first the one without a linear path, that which is kept."""
    if len(tried) == 1:
        return tried[0]
    plain, lined = tried
    most = error_of(plain[2]) * (1 - plain[0].linear_gain)
    return lined if error_of(lined[2]) < most else plain


class Best(Monitor):
    """Keeps the weights of the epoch with the best figure of held-out rows, else of the last.

    Parameters
    ----------
    monitor : str, optional
        The figure of the history; None: the last epoch is the one.
    patience : int
        After so many epochs with no better figure the fit ends; 0: never.
    """

    def __init__(self, monitor: str | None, patience: int = 0) -> None:
        super().__init__(monitor or "loss", "auto")
        self.keeps_last = monitor is None
        self._patience = patience
        #: The epoch, its weights and what its layers remember, in one value that an interrupt
        #: leaves whole.
        self._kept: tuple[int, np.ndarray, np.ndarray] | None = None
        self._logs: list[Logs] = []

    @property
    def is_there(self) -> bool:
        """Whether an epoch was finished."""
        return self._kept is not None

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        self._logs.append(dict(logs))
        figure = figure_of(self.monitor, logs)
        is_better = self._is_better(figure, self.best)
        if is_better:
            self._take_best(figure)
        if self._kept is None or is_better or self.keeps_last:
            self._kept = (epoch, self.model.parameters.copy(), self.model.state.copy())
        elif self._patience and epoch - self._kept[0] >= self._patience:
            self.model.stop_training = True

    def bring_back(self, interrupted: bool) -> Trained:
        """Gives the network the weights that were kept.

        Those that a fit without a figure to go by ended with, averages perhaps, stay.
        """
        assert self._kept is not None
        epoch, parameters, state = self._kept
        if interrupted or not self.keeps_last:
            self.model.parameters[:], self.model.state[:] = parameters, state
        return Trained(self._history(), epoch)

    def _history(self) -> dict[str, list[Any]]:
        """Each figure, epoch by epoch."""
        return {name: [logs[name] for logs in self._logs] for name in self._logs[0]}

    def state(self) -> State:
        if self._kept is None:
            return {}
        epoch, parameters, state = self._kept
        history = self._history()
        return {
            **super().state(),
            "epoch": epoch,
            "parameters": parameters,
            "model_state": state,
            "names": list(history),
            **{f"history.{name}": np.array(values) for name, values in history.items()},
        }

    def load_state(self, state: State) -> None:
        if "names" not in state:
            return
        super().load_state(state)
        epoch, names = states.whole(state, "epoch"), states.texts(state, "names")
        parameters, of_rows = (
            states.array_like(state, name, live).copy()
            for name, live in (
                ("parameters", self.model.parameters),
                ("model_state", self.model.state),
            )
        )
        columns = {
            name: states.series(state, f"history.{name}", "f", MOST_EPOCHS) for name in names
        }
        epochs = {len(values) for values in columns.values()}
        if len(epochs) != 1 or epoch >= epochs.pop():
            raise ValueError(_check.refusal("state of the best epoch", epoch, "one of the history"))
        self._kept = (epoch, parameters, of_rows)
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


def begin(models: Sequence[Model], rows: Rows, recipe: Recipe) -> None:
    """Has the linear paths of networks, where they have some, begin at a ridge regression."""
    if recipe.linear and recipe.task == "regression":
        for model, part in zip(models, rows.parts, strict=True):
            begin_at(model, _line(rows, part), ~rows.encoded.pieces)


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
