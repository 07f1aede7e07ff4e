"""Many models trained at once, on data that is checked once and that all of them read."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any

from fastweights import _check, _crew, _listening, training
from fastweights._importing import imported
from fastweights._portions import Data, Task, bootstrap, fold
from fastweights._turns import Turn
from fastweights.callbacks import Callback, History, format_logs
from fastweights.callbacks.progress import MOST_LINES, is_terminal, is_told
from fastweights.models import Model


class FitManyError(RuntimeError):
    """Some of many models could not be trained to the end; all others were.

    Attributes
    ----------
    errors : dict of int to Exception
        By the models' numbers, from 0.
    histories : list of History or None
        Of all models, None where there is an error.
    """

    def __init__(self, errors: dict[int, Exception], histories: list[History | None]) -> None:
        super().__init__(errors, histories)
        self.errors, self.histories = errors, histories

    def __str__(self) -> str:
        first = sorted(self.errors)[:3]
        told = [f"{n} ({type(self.errors[n]).__name__}: {self.errors[n]})" for n in first]
        more = len(self.errors) - len(first)
        told += [f"{more} more, see errors"] if more else []
        whole = len(self.histories)
        return f"{len(self.errors)} of {whole} models ended with an error: {', '.join(told)}"


def fit_many(
    models: Sequence[Model],
    x: Any,
    y: Any,
    batch_size: int | Sequence[int | None] | None = None,
    epochs: int | Sequence[int] = 1,
    verbose: str | int = "auto",
    callbacks: Sequence[Sequence[Callback] | None] | None = None,
    validation_split: float = 0.0,
    validation_data: tuple[Any, ...] | None = None,
    shuffle: bool | Sequence[bool] = True,
    class_weight: Any = None,
    sample_weight: Any = None,
    initial_epoch: int | Sequence[int] = 0,
    *,
    rows: str | Sequence[Any] | None = None,
    n_jobs: int | None = None,
) -> list[History]:
    """Trains many models at once, each as its own `fit` would: an ensemble, a sweep, folds.

    Each has a thread of its own, so as many train at a time as there are CPUs. The data is checked
    and converted once for all models that take the same, and never copied for one of them.

    Parameters
    ----------
    models : sequence of Model
        Compiled. No two may have layers or an optimizer in common.
    x, y : array_like
        Of the shapes of `Model.fit`, for all models: arrays, memory maps or frames; nothing that
        gives batches, and no paths.
    validation_split, validation_data
        As for `Model.fit`, of arrays, for all models.
    batch_size, epochs, shuffle, initial_epoch
        As for `Model.fit`; one for all, or a list of one for each model.
    verbose : {"auto", 0, 1, 2}
        0 is silent, 1 a progress bar over all epochs (with tqdm; lines without), 2 a line for each
        model that is done; "auto" is 1 on a terminal and at most 20 lines elsewhere.
    class_weight, sample_weight
        As for `Model.fit`, for all models: a weight for each row of `x`, of which a model has those
        of its rows; ``"balanced"`` goes by the rows that it is trained on.
    callbacks : sequence, optional
        For each model a list of callbacks, or None. They are called in the model's thread, and no
        two may write to one path.
    rows : sequence or {"bootstrap", "folds"}, optional
        For each model None, the numbers of the rows that it has (in the order in which they would
        come without shuffling; some perhaps more than once), or a tuple of two of these: to train
        on, and to validate with. ``"bootstrap"`` draws as many rows as there are, with replacement,
        by each model's seed; ``"folds"`` cuts the rows, in an order by the first one's seed, in as
        many parts as there are models, each of which is validated with one and trained on all
        others.
    n_jobs : int, optional
        How many models train at a time: as many as `fastweights.set_num_threads` allows by default,
        or for -1. With more than one each model has one thread.

    Returns
    -------
    list of History
        One for each model.

    Raises
    ------
    ValueError, TypeError
        An argument does not fit; all models are as before.
    FitManyError
        Some of the models could not be trained (a loss that stopped being finite, an exception in a
        callback); all others were.

    Notes
    -----
    A model gets the weights that it would get alone, bit for bit, by
    ``fit(x[rows], y[rows], sample_weight=sample_weight[rows], ...)``. Ctrl-C
    stops all of them, each after a whole batch.
    """
    models = _check.instances("models", models, Model)
    verbose = _check.verbosity(verbose)
    count_of_models = len(models)
    if not count_of_models:
        raise ValueError(_check.refusal("models", "none", "at least one"))
    refuse_common_layers(models)
    _refuse_common_optimizers(models)
    courses = _courses(
        count_of_models, batch_size, epochs, initial_epoch, shuffle, _callbacks(models, callbacks)
    )
    given = _rows_of_each(models, rows)
    data = Data(x, y, validation_split, validation_data, class_weight, sample_weight)
    tasks = []
    for number, (model, course, own) in enumerate(zip(models, courses, given, strict=True)):
        tasks.append(data.task(model, course, own, f"rows[{number}]"))
    return _run(tasks, _crew.workers(n_jobs, count_of_models), _Teller.of(verbose, tasks))


def _run(tasks: Sequence[Task], members: int, teller: _Teller) -> list[History]:
    stop = threading.Event()
    watchers = [_crew.Watcher(stop) for _ in tasks]
    calls = [
        functools.partial(trained, task, watcher)
        for task, watcher in zip(tasks, watchers, strict=True)
    ]
    histories: list[History | None] = [None] * len(tasks)
    errors: dict[int, Exception] = {}
    with contextlib.closing(_crew.outcomes(calls, members, stop)) as outcomes, teller:
        for outcome in outcomes:
            if outcome is None:
                teller.look(watchers)
                continue
            if isinstance(outcome.error, Exception):
                errors[outcome.number] = outcome.error
            elif outcome.error is not None:
                raise outcome.error
            histories[outcome.number] = outcome.result
            teller.look(watchers, outcome)
    if errors:
        raise FitManyError(errors, histories) from errors[min(errors)]
    return [history for history in histories if history is not None]


def trained(task: Task, watcher: _crew.Watcher) -> History:
    """Trains the model of a task."""
    model = task.model
    with Turn(model._turns, "fit_many", is_long=True):
        if model._compiled is not task.compiled:
            got, expected = "a model that was compiled meanwhile", "model.compile(...) before"
            raise RuntimeError(_check.refusal("models", got, expected))
        return training.run(model, task.course, *task.sources(), [watcher], task.names)


# ---- what each model has -------------------------------------------------------------------------


def refuse_common_layers(models: Sequence[Model]) -> None:
    """Raises ValueError where one model comes twice, or two have layers in common."""
    owners: dict[int, int] = {}
    for number, model in enumerate(models):
        other = owners.setdefault(id(model), number)
        if other != number:
            got = f"one model as {other} and {number}"
            raise ValueError(_check.refusal("models", got, "each of them once"))
        for layer in model.layers:
            other = owners.setdefault(id(layer), number)
            if other != number:
                got = f"models {other} and {number}, which have layers in common"
                expected = "models with weights of their own; model.copy() has them"
                raise ValueError(_check.refusal("models", got, expected))


def _refuse_common_optimizers(models: Sequence[Model]) -> None:
    owners: dict[int, int] = {}
    for number, model in enumerate(models):
        other = owners.setdefault(id(model._compiled.training()), number)
        if other != number:
            got = f"models {other} and {number} with one optimizer"
            expected = "an optimizer of its own for each, as callbacks may change it"
            raise ValueError(_check.refusal("models", got, expected))


def _for_each(argument: str, given: Any, count_of_models: int) -> list[Any]:
    """One for each model, of a list of them or of what is for all."""
    if not isinstance(given, (list, tuple)):
        return [given] * count_of_models
    if len(given) != count_of_models:
        expected = f"{count_of_models}, one for each model"
        raise ValueError(_check.refusal(argument, f"{len(given)} entries", expected))
    return list(given)


def _rows_of_each(models: Sequence[Model], given: Any) -> list[Any]:
    """What each model has of the rows: numbers, or what finds them when it is known how many."""
    if given is None or isinstance(given, (list, tuple)):
        return _for_each("rows", given, len(models))
    if not isinstance(given, str):
        expected = "a list of one for each model, 'bootstrap' or 'folds'"
        raise TypeError(_check.refusal("rows", _check.kind_of(given), expected))
    draw = _check.choice("rows", given, {"bootstrap": bootstrap, "folds": fold})
    return [
        functools.partial(draw, [model.seed for model in models], number)
        for number in range(len(models))
    ]


def _callbacks(models: Sequence[Model], given: Any) -> list[Any]:
    """Those of each model, no two of which have one in common."""
    if isinstance(given, Callback):
        if len(models) > 1:
            expected = "a list of those of each model"
            raise TypeError(_check.refusal("callbacks", "one callback", expected))
        given = [[given]]
    found = _for_each("callbacks", given, len(models))
    owners: dict[int, int] = {}
    writers: dict[str, str] = {}
    for number, own in enumerate(found):
        if isinstance(own, Callback):
            got = f"one {type(own).__name__} in the place of those of model {number}"
            expected = "a list of callbacks, or None, for each model"
            raise TypeError(_check.refusal("callbacks", got, expected))
        for callback in _listening.checked(own):
            if owners.setdefault(id(callback), number) != number:
                got = f"one that models {owners[id(callback)]} and {number} have"
                raise ValueError(_check.refusal("callbacks", got, "callbacks of its own for each"))
            _listening.refuse_common_paths(callback, f"model {number}", writers)
    return found


def _courses(count_of_models: int, *settings: Any) -> list[training.Course]:
    """How each fit goes on, of the settings that `Course.checked` takes."""
    names = ("batch_size", "epochs", "initial_epoch", "shuffle", "callbacks")
    several = [
        _for_each(name, given, count_of_models) for name, given in zip(names, settings, strict=True)
    ]
    return [training.Course.checked(*own) for own in zip(*several, strict=True)]


# ---- what is told --------------------------------------------------------------------------------


class _Teller:
    """Says nothing of how far models are; base of those that say something."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.models = len(tasks)
        self.epochs = sum(max(0, task.course.epochs - task.course.initial_epoch) for task in tasks)
        self.done = 0
        self.began = time.perf_counter()

    @staticmethod
    def of(verbose: str | int, tasks: Sequence[Task]) -> _Teller:
        """What `verbose` asks for."""
        seen = is_terminal(sys.stdout)
        if verbose == 0:
            return _Teller(tasks)
        if (verbose == 1 or (verbose == "auto" and seen)) and importlib.util.find_spec("tqdm"):
            return _Bar(tasks)
        return _Lines(tasks, MOST_LINES if verbose == "auto" else len(tasks))

    def __enter__(self) -> _Teller:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def look(
        self, watchers: Sequence[_crew.Watcher], outcome: _crew.Outcome[History] | None = None
    ) -> None:
        """What has become of the fits, and of one that is through."""


class _Lines(_Teller):
    """A line for a model that is done; fewer where there are more than `most`."""

    def __init__(self, tasks: Sequence[Task], most: int) -> None:
        super().__init__(tasks)
        self.most = most

    def look(
        self, watchers: Sequence[_crew.Watcher], outcome: _crew.Outcome[History] | None = None
    ) -> None:
        if outcome is None:
            return
        self.done += 1
        if not is_told(self.done, self.models, self.most):
            return
        seconds = time.perf_counter() - self.began
        told = format_logs(watchers[outcome.number].logs)
        if outcome.error is not None:
            told = type(outcome.error).__name__
        print(
            f"{self.done}/{self.models} models - {seconds:.3g}s - model {outcome.number}: {told}",
            flush=True,
        )


class _Bar(_Teller):
    """A tqdm bar over all epochs."""

    def __enter__(self) -> _Teller:
        tqdm = imported("tqdm").tqdm

        line = "{percentage:3.0f}%|{bar}| {n}/{total} epochs [{elapsed}<{remaining}{postfix}]"
        self.bar = tqdm(total=self.epochs, file=sys.stdout, dynamic_ncols=True, bar_format=line)
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.close()

    def look(
        self, watchers: Sequence[_crew.Watcher], outcome: _crew.Outcome[History] | None = None
    ) -> None:
        self.done += outcome is not None
        self.bar.set_postfix_str(f"{self.done}/{self.models} models", refresh=False)
        self.bar.update(_total(watchers) - self.bar.n)


def _total(watchers: Iterable[_crew.Watcher]) -> int:
    return sum(watcher.epochs for watcher in watchers)
