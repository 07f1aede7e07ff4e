"""Many settings of a network tried, several at a time."""

from __future__ import annotations

import functools
import inspect
import math
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np

from fastweights import _check, _crew, _digests, _files, _listening, many
from fastweights._arguments import telling
from fastweights._core import philox
from fastweights._portions import Data, fold
from fastweights._trials import (
    OF_DONE,
    ResultsFile,
    SweepResults,
    Trial,
    place,
    plain,
    seed_of,
    trials_of,
)
from fastweights.callbacks import History
from fastweights.callbacks.monitoring import figure_of
from fastweights.callbacks.progress import MOST_LINES, is_told
from fastweights.config import one_thread
from fastweights.models import Model
from fastweights.training import Course

#: What a builder may say of the fit of its model.
FIT_SETTINGS = ("batch_size", "epochs", "callbacks", "shuffle")


class Study(NamedTuple):
    """What all trials of a sweep have in common."""

    build: Callable[..., Any]
    takes_seed: bool
    fit: dict[str, Any]
    folds: int | None
    monitor: str
    mode: str
    seed: int
    owners: Owners


class Owners:
    """Which trial has which models, layers, optimizers and callbacks, and writes to which paths.

    What a builder gives twice would be trained on where another trial left it, or by two trials at
    once. In another process nothing is known of them: what comes there is a copy.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: By identity, as long as they are there.
        self._things: dict[int, tuple[weakref.ref[Any], str]] = {}
        self._paths: dict[str, str] = {}

    def __reduce__(self) -> tuple[type[Owners], tuple[()]]:
        return Owners, ()

    def take(self, owner: str, model: Model, course: Course) -> None:
        """Raises ValueError where a trial's fold has something that another one had."""
        things = (model, *model.layers, model._compiled.training(), *course.callbacks)
        with self._lock:
            for thing in things:
                known, other = self._things.get(id(thing), (None, ""))
                if known is not None and known() is thing:
                    got = f"the {type(thing).__name__} of {other} again"
                    expected = "new models, layers, optimizers and callbacks from each call"
                    raise ValueError(_check.refusal("build", got, expected))
            for thing in things:
                self._things[id(thing)] = weakref.ref(thing), owner
            for callback in course.callbacks:
                _listening.refuse_common_paths(callback, owner, self._paths)


@telling
def sweep(
    build: Callable[..., Model | tuple[Model, Mapping[str, Any]]],
    space: Mapping[str, Any],
    x: Any,
    y: Any,
    *,
    n_trials: int | None = None,
    batch_size: int | None = None,
    epochs: int = 1,
    validation_split: float = 0.2,
    validation_data: tuple[Any, ...] | None = None,
    folds: int | None = None,
    shuffle: bool = True,
    class_weight: Any = None,
    sample_weight: Any = None,
    monitor: str = "val_loss",
    mode: str = "auto",
    seed: int = 0,
    path: Any = None,
    n_jobs: int | None = None,
    backend: str = "auto",
    verbose: str | int = "auto",
) -> SweepResults:
    """Tries many settings of a network, several at a time, and says which are the best.

    Parameters
    ----------
    build : callable
        ``build(**params)`` gives a compiled model, or a tuple of one and a dict of what its fit has
        of its own: `batch_size`, `epochs`, `callbacks`, `shuffle`; new ones, which write to paths
        of their own, from each call. Where it takes an argument
        ``seed``, it is given the trial's (another one in each fold): models that are made with it
        are the same ones in any other run. It may be called in several threads at once.
    space : dict
        For each name what may come: a list of values; a distribution, which is anything with
        ``rvs(random_state=...)``, as in ``scipy.stats``; or a function of a NumPy Generator. Of
        lists alone all combinations are tried.
    x, y, batch_size, epochs, validation_split, validation_data, shuffle
        As for `Model.fit`, of arrays, memory maps or frames alone; a fifth of the rows, from the
        end, is held out by default.
    class_weight, sample_weight
        As for `Model.fit`; over folds ``"balanced"`` goes by the rows that are trained on.
    n_trials : int, optional
        How many trials are drawn; of lists alone so many combinations, each once. With a `path`
        more of them may be asked for later.
    folds : int, optional
        Cuts the rows in so many parts (by `seed`, the same for all trials), and has a model for
        each that is trained on all others and validated on it; the score is the mean.
    monitor : str
        The figure of the history that is the score, at its best epoch.
    mode : {"auto", "min", "max"}
        Whether smaller or larger is better; "auto" asks the metric of that name.
    seed : int
        Fixes what is drawn, and the seeds of the trials.
    path : path, optional
        Of a file that gets a line of JSON for each trial when it is done. Trials that are there
        already, also those with an error, are not done again: a sweep that was interrupted or
        killed goes on from it. A file of other settings of this function or of other data is
        refused; what `build` does is not looked at. Of an array of more than 256 MiB, rows spread
        over it are compared.
    n_jobs : int, optional
        How many trials go on at a time, each in one thread: as many as
        `fastweights.set_num_threads` allows by default, or for -1; under joblib as it says.
    backend : {"auto", "threads", "joblib"}
        ``"joblib"`` gives the trials to `joblib.Parallel` (which must be there): to processes, or
        to what ``with joblib.parallel_config(backend=...)`` says, Dask's cluster for instance. What
        is given must be such as can be pickled then. ``"auto"`` is that within such a context if it
        names a number of jobs, or another backend than joblib's own, and threads elsewhere.
    verbose : {"auto", 0, 1, 2}
        0 is silent, 1 and 2 print a line for each trial, "auto" at most 20 lines.

    Returns
    -------
    SweepResults
        The trials, the best first. ``build(**results.best_params)`` makes the best network again;
        one that takes a seed wants ``seed=results.best["seed"]`` too (of folds: the first).

    Raises
    ------
    ValueError, TypeError
        An argument does not fit, or there is no such figure as `monitor`. What goes wrong in a
        trial is its record's ``"error"``, and stops no other.

    Examples
    --------
    >>> def build(width, learning_rate, seed):
    ...     model = fw.Sequential([layers.Dense(width, "relu"), layers.Dense(1)], seed=seed)
    ...     model.compile(optimizers.Adam(learning_rate), "mse")
    ...     return model
    >>> space = {"width": [16, 64], "learning_rate": scipy.stats.loguniform(1e-4, 1e-1)}
    >>> results = fw.sweep(build, space, x, y, n_trials=50, epochs=20, path="sweep.jsonl")
    >>> results.best_params
    """
    if not callable(build):
        raise TypeError(_check.refusal("build", _check.kind_of(build), "a function"))
    if path is not None:
        _files.refuse_no_folder(_files.path_text(path, "path"), "path")
    verbose = _check.verbosity(verbose)
    seed = _check.whole("seed", seed, 0, maximum=philox.MAX_SEED)
    monitor = _check.name("monitor", monitor)
    _check.choice("mode", mode, dict.fromkeys(("auto", "min", "max")))
    _check.choice("backend", backend, dict.fromkeys(("auto", "threads", "joblib")))
    if folds is not None:
        folds = _check.whole("folds", folds, 2)
        if validation_data is not None:
            expected = "one of them"
            raise ValueError(_check.refusal("folds", "folds beside validation_data", expected))
    fit = {"batch_size": batch_size, "epochs": epochs, "shuffle": shuffle, "callbacks": None}
    _course(fit)
    share = 0.0 if folds else validation_split
    data = Data(x, y, share, validation_data, class_weight, sample_weight)
    trials = trials_of(space, n_trials, seed)
    study = Study(build, _takes_seed(build, space), fit, folds, monitor, mode, seed, Owners())
    settings: dict[str, Any] = {name: fit[name] for name in ("batch_size", "epochs", "shuffle")}
    settings |= {"folds": folds, "mode": mode, "validation_split": data.share}
    if path is not None:
        settings["data"] = _digests.of_given(x, y, validation_data, class_weight, sample_weight)
    file = ResultsFile(path, monitor, trials, settings)
    records, done = list(file.known), {record["trial"] for record in file.known}
    left = [trial for trial in trials if trial.number not in done]
    teller = _Lines(verbose, len(left))
    by_joblib = backend == "joblib" or (backend == "auto" and _is_within_joblib())
    run = _by_joblib if by_joblib else _in_threads
    with closing(run(study, left, data, n_jobs)) as found:
        for record in found:
            file.add(record)
            records.append(record)
            teller.tell(record)
    results = SweepResults(records)
    if all(record["error"] is not None for record in results):
        got = f"all {len(results)} trials ended with an error, the first {results[0]['error']}"
        warnings.warn(f"sweep: {got}", stacklevel=3)
    return results


def _takes_seed(build: Callable[..., Any], space: Any) -> bool:
    """Whether a function that builds wants the trial's seed."""
    try:
        return "seed" in inspect.signature(build).parameters and "seed" not in space
    except (TypeError, ValueError):  # of compiled functions
        return False


def _course(settings: Mapping[str, Any]) -> Course:
    return Course.checked(
        settings["batch_size"], settings["epochs"], 0, settings["shuffle"], settings["callbacks"]
    )


# ---- one trial -----------------------------------------------------------------------------------


def run_trial(
    study: Study, trial: Trial, data: Data, stop: threading.Event | None = None
) -> dict[str, Any]:
    """Builds and trains the models of a trial; its record."""
    began = time.perf_counter()
    error, histories, model = None, [], None
    try:
        for number in range(study.folds or 1):
            model, course = _built(study, trial, number)
            rows = None
            if study.folds:
                rows = functools.partial(fold, [study.seed] * study.folds, number)
            task = data.task(model, course, rows, "folds")
            histories.append(many.trained(task, _crew.Watcher(stop or threading.Event())))
    except Exception as raised:
        error = f"{type(raised).__name__}: {raised}"
    record = {"trial": trial.number, "params": trial.params, "seed": trial.seed}
    figures = dict.fromkeys(OF_DONE)
    if error is None and model is not None:
        figures = _figures(study, model, histories)
    seconds = round(time.perf_counter() - began, 6)
    return {**record, "monitor": study.monitor, **figures, "seconds": seconds, "error": error}


def _built(study: Study, trial: Trial, fold: int) -> tuple[Model, Course]:
    """The model of a trial's fold, and how its fit goes on."""
    params = dict(trial.params)
    if study.takes_seed:
        params["seed"] = trial.seed if fold == 0 else seed_of(trial.seed, fold)
    made = study.build(**params)
    own: Mapping[str, Any] = {}
    if isinstance(made, tuple):
        if len(made) != 2 or not isinstance(made[1], Mapping):
            got, expected = "a tuple", "a model, or a tuple of it and of a dict for its fit"
            raise TypeError(_check.refusal("build", got, expected))
        made, own = made
    if not isinstance(made, Model):
        raise TypeError(
            _check.refusal("build", _check.kind_of(made), "a function that gives a Model")
        )
    for name in own:
        _check.choice("setting of a fit", name, dict.fromkeys(FIT_SETTINGS))
    course = _course({**study.fit, **own})
    owner = f"trial {trial.number}" + (f", fold {fold}" if study.folds else "")
    study.owners.take(owner, made, course)
    return made, course


def _figures(study: Study, model: Model, histories: Sequence[History]) -> dict[str, Any]:
    """The score of each fold at its best epoch, and all that belongs to it."""
    larger = study.mode == "max" or (
        study.mode == "auto" and model._larger_is_better(study.monitor)
    )
    scores, epochs = [], []
    for history in histories:
        if study.monitor not in history.history:
            known = ", ".join(history.history) or "none, as there was no epoch"
            raise ValueError(_check.refusal("monitor", repr(study.monitor), f"one of {known}"))
        values = history.history[study.monitor]
        # What is no number is never better; an array is no figure to go by.
        values = [figure_of(study.monitor, {study.monitor: value}) for value in values]
        worst = -math.inf if larger else math.inf
        ranked = [worst if math.isnan(value) else value for value in values]
        best = int(np.argmax(ranked) if larger else np.argmin(ranked))
        scores.append(values[best])
        epochs.append(history.epoch[best])
    return {
        "score": math.fsum(scores) / len(scores),
        "scores": scores,
        "epoch": epochs[0] if len(epochs) == 1 else sum(epochs) / len(epochs),
        "epochs": sum(len(history.epoch) for history in histories),
        "larger_is_better": larger,
    }


# ---- several at a time ---------------------------------------------------------------------------

Records = Generator[dict[str, Any], None, None]


def _in_threads(study: Study, trials: Sequence[Trial], data: Data, n_jobs: int | None) -> Records:
    """Records of trials as they are done by threads of this process."""
    stop = threading.Event()
    calls = [functools.partial(run_trial, study, trial, data, stop) for trial in trials]
    with closing(_crew.outcomes(calls, _crew.workers(n_jobs, len(trials)), stop)) as outcomes:
        for outcome in outcomes:
            if outcome is None:
                continue
            if outcome.error is not None:
                raise outcome.error
            assert outcome.result is not None
            yield outcome.result


def _is_within_joblib() -> bool:
    """Whether a context of joblib says who is to do what is done side by side."""
    joblib = sys.modules.get("joblib")  # who has no such module has no context
    if joblib is None:
        return False
    backend, n_jobs = joblib.parallel.get_active_backend()
    usual = joblib.parallel.BACKENDS.get(joblib.parallel.DEFAULT_BACKEND)
    return n_jobs not in (None, 1) or type(backend) is not usual


def _by_joblib(study: Study, trials: Sequence[Trial], data: Data, n_jobs: int | None) -> Records:
    """Records of trials as they are done by whatever joblib gives them to."""
    import joblib

    # Its own default is one at a time, but where the context says how many.
    calls = (joblib.delayed(_apart)(study, trial, *data.given) for trial in trials)
    yield from joblib.Parallel(n_jobs=n_jobs, return_as="generator_unordered")(calls)


def _apart(study: Study, trial: Trial, *given: Any) -> dict[str, Any]:
    """A trial in another process, which knows nothing of the data yet."""
    with one_thread():
        return run_trial(study, trial, Data(*given))


class _Lines:
    """Lines about trials that are done."""

    def __init__(self, verbose: str | int, trials: int) -> None:
        self.trials, self.done, self.began = trials, 0, time.perf_counter()
        self.lines = {0: 0, "auto": MOST_LINES}.get(verbose, trials)
        self.best: dict[str, Any] | None = None

    def tell(self, record: dict[str, Any]) -> None:
        self.done += 1
        if record["score"] is not None and (self.best is None or place(record) < place(self.best)):
            self.best = record
        if not is_told(self.done, self.trials, self.lines):
            return
        seconds = time.perf_counter() - self.began
        told = record["error"] or f"{record['monitor']}: {record['score']:.4g}"
        line = (
            f"{self.done}/{self.trials} trials - {seconds:.3g}s - trial {record['trial']}: {told}"
        )
        if self.best is not None:
            line += f" - best: {self.best['score']:.4g} with {plain(self.best['params'])}"
        print(line, flush=True)
