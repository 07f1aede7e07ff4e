"""python -m bench.tables: the default of `fastweights.table` beside trees and others.

A folder of tables has a `manifest.json`: a list of objects with `name`, `file`, `target` and `task`
("regression", or else classes). For each seed a fifth of the rows is held out, by class; everyone
gets the same rows and everyone's own defaults. The error is the root mean squared error over the
standard deviation of the held-out target, or the mean log loss. What was found is kept in a JSON
file, from which an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import fastweights as fw
from fastweights.table import Table, TableModel, read, split

RESULTS = Path(__file__).parent / "results" / "tables.json"
TEST_SHARE = 0.2
#: Their better one is what errors are divided by.
TREES = ("LightGBM", "HistGradientBoosting")


@dataclass(frozen=True)
class Problem:
    """A table cut in two."""

    train: Table
    test: Table
    target: str
    #: float64 (rows,), or the numbers of classes.
    truth_of_train: np.ndarray
    truth: np.ndarray
    #: Of classes; 0 for numbers.
    classes: int
    seed: int
    threads: int

    def error(self, predictions: np.ndarray) -> float:
        """Of values, or of probabilities (rows, classes)."""
        if not self.classes:
            apart = np.mean((predictions - self.truth) ** 2)
            return float(np.sqrt(apart) / np.std(self.truth))
        found = predictions[np.arange(len(self.truth)), self.truth]
        return float(-np.mean(np.log(np.clip(found, 1e-7, 1.0))))

    def columns(self) -> tuple[np.ndarray, np.ndarray, list[bool]]:
        """Features as others take them: numbers, NaN where missing, and codes of categories.

        Returns
        -------
        train, test : float64 (rows, columns)
        is_category : list of bool
            A category that no training row has is NaN.
        """
        train, test, is_category = [], [], []
        for name in self.train.columns:
            if name == self.target:
                continue
            cells, others = self.train[name], self.test[name]
            words = {text for text in cells.texts if text.lower() not in ("", "na", "nan")}
            is_category.append(bool(words))
            if not words:
                train.append(cells.values)
                test.append(others.values)
                continue
            places = {text: place for place, text in enumerate(sorted(set(cells)))}
            train.append(np.array([places[text] for text in cells], dtype=np.float64))
            test.append(np.array([places.get(text, np.nan) for text in others]))
        return np.column_stack(train), np.column_stack(test), is_category


#: Fits a problem's training rows and returns predictions of its test rows.
Contender = Callable[[Problem], np.ndarray]


def trivial(problem: Problem) -> np.ndarray:
    """The mean, or the shares of the classes."""
    if not problem.classes:
        return np.full(len(problem.truth), problem.truth_of_train.mean())
    shares = np.bincount(problem.truth_of_train, minlength=problem.classes)
    return np.tile(shares / shares.sum(), (len(problem.truth), 1))


def of_preset(preset: str) -> Contender:
    """Ours."""

    def contender(problem: Problem) -> np.ndarray:
        task = "classification" if problem.classes else "regression"
        model = TableModel(problem.target, preset=preset, task=task, seed=problem.seed)
        with fw.threads(problem.threads):
            model.fit(problem.train)
            if not problem.classes:
                return model.predict(problem.test)
            return _in_order(problem, model.predict_proba(problem.test), model.classes)

    return contender


def _in_order(problem: Problem, found: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Probabilities in the order of the problem's classes, some of which may have no column."""
    names = sorted({*problem.train[problem.target], *problem.test[problem.target]})
    probabilities = np.zeros((len(found), problem.classes))
    probabilities[:, [names.index(name) for name in classes]] = found
    return probabilities


def _predicted(problem: Problem, model: Any, train: Any, test: Any, **fit: Any) -> np.ndarray:
    """What a model with scikit-learn's methods makes of it."""
    model.fit(train, problem.truth_of_train, **fit)
    if not problem.classes:
        return np.asarray(model.predict(test), dtype=np.float64).reshape(-1)
    probabilities = np.zeros((len(test), problem.classes))
    probabilities[:, np.asarray(model.classes_, dtype=int)] = model.predict_proba(test)
    return probabilities


def light_gbm(problem: Problem) -> np.ndarray:
    """LightGBM by its defaults, told which columns are categories."""
    import lightgbm

    train, test, is_category = problem.columns()
    kind = lightgbm.LGBMClassifier if problem.classes else lightgbm.LGBMRegressor
    model = kind(verbose=-1, n_jobs=problem.threads, random_state=problem.seed)
    return _predicted(
        problem, model, train, test, categorical_feature=np.flatnonzero(is_category).tolist()
    )


def hist_gradient_boosting(problem: Problem) -> np.ndarray:
    """scikit-learn's, by its defaults, told which columns are categories."""
    from sklearn import ensemble

    train, test, is_category = problem.columns()
    # It takes 255 categories at most; codes of others are numbers.
    categories = [told and train[:, place].max() < 255 for place, told in enumerate(is_category)]
    kind = (
        ensemble.HistGradientBoostingClassifier
        if problem.classes
        else ensemble.HistGradientBoostingRegressor
    )
    model = kind(categorical_features=categories, random_state=problem.seed)
    with _pools_of(problem.threads):
        return _predicted(problem, model, train, test)


def cat_boost(problem: Problem) -> np.ndarray:
    """CatBoost by its defaults, told which columns are categories."""
    import catboost

    train, test, is_category = problem.columns()
    kind = catboost.CatBoostClassifier if problem.classes else catboost.CatBoostRegressor
    model = kind(
        verbose=0,
        thread_count=problem.threads,
        random_seed=problem.seed,
        allow_writing_files=False,
        cat_features=np.flatnonzero(is_category).tolist(),
    )
    return _predicted(
        problem, model, _with_words(train, is_category), _with_words(test, is_category)
    )


def _with_words(array: np.ndarray, is_category: Sequence[bool]) -> np.ndarray:
    """Codes as texts, as CatBoost wants categories."""
    mixed = array.astype(object)
    for place in np.flatnonzero(is_category):
        mixed[:, place] = [str(code) for code in array[:, place]]
    return mixed


def _one_hot(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Standardised numbers, the mean where one is missing, and one column a category."""
    train, test, is_category = problem.columns()
    made: tuple[list[np.ndarray], list[np.ndarray]] = [], []
    for place, told in enumerate(is_category):
        learnt = train[:, place]
        if told:
            codes = np.unique(learnt)
            for part, array in zip(made, (train, test), strict=True):
                part.append((array[:, [place]] == codes).astype(np.float64))
            continue
        mean = np.nanmean(learnt) if np.isfinite(learnt).any() else 0.0
        scale = np.nanstd(learnt) or 1.0
        for part, array in zip(made, (train, test), strict=True):
            part.append(np.nan_to_num((array[:, [place]] - mean) / scale))
    return np.concatenate(made[0], axis=1), np.concatenate(made[1], axis=1)


def linear(problem: Problem) -> np.ndarray:
    """Ridge regression, or logistic regression, by scikit-learn's cross-validation."""
    from sklearn import linear_model

    train, test = _one_hot(problem)
    model: Any = linear_model.RidgeCV(np.logspace(-3, 3, 13))
    if problem.classes:
        model = linear_model.LogisticRegression(max_iter=1000)
    with _pools_of(problem.threads):
        return _predicted(problem, model, train, test)


def sklearn_mlp(problem: Problem) -> np.ndarray:
    """scikit-learn's network by its defaults, on standardised columns (and target)."""
    from sklearn import neural_network

    train, test = _one_hot(problem)
    with _pools_of(problem.threads):
        if problem.classes:
            model = neural_network.MLPClassifier(random_state=problem.seed)
            return _predicted(problem, model, train, test)
        mean, scale = problem.truth_of_train.mean(), problem.truth_of_train.std() or 1.0
        model = neural_network.MLPRegressor(random_state=problem.seed)
        model.fit(train, (problem.truth_of_train - mean) / scale)
        return model.predict(test) * scale + mean


def _pools_of(threads: int) -> contextlib.AbstractContextManager[Any]:
    """Keeps scikit-learn's pools of threads, of OpenMP and BLAS, to so many."""
    import threadpoolctl

    return threadpoolctl.threadpool_limits(threads)


def of_pytabkit(name: str) -> Contender:
    """A network of pytabkit by its defaults, told which columns are categories."""

    def contender(problem: Problem) -> np.ndarray:
        import pandas
        import pytabkit

        kind = getattr(pytabkit, f"{name}_{'Classifier' if problem.classes else 'Regressor'}")
        train, test, is_category = problem.columns()
        frames = [pandas.DataFrame(_with_words(part, is_category)) for part in (train, test)]
        for frame in frames:
            for place, told in enumerate(is_category):
                frame[place] = frame[place].astype("category" if told else float)
        model = kind(device="cpu", random_state=problem.seed, n_threads=problem.threads)
        return _predicted(problem, model, *frames)

    return contender


#: By name: the package that it needs, and the contender.
CONTENDERS: dict[str, tuple[str, Contender]] = {
    "trivial": ("numpy", trivial),
    "ridge/logistic": ("sklearn", linear),
    "scikit-learn's MLP": ("sklearn", sklearn_mlp),
    "HistGradientBoosting": ("sklearn", hist_gradient_boosting),
    "LightGBM": ("lightgbm", light_gbm),
    "CatBoost": ("catboost", cat_boost),
    "RealMLP": ("pytabkit", of_pytabkit("RealMLP_TD")),
    "TabM": ("pytabkit", of_pytabkit("TabM_D")),
    "fast": ("numpy", of_preset("fast")),
    "best": ("numpy", of_preset("best")),
}


def problem_of(folder: Path, entry: dict[str, Any], seed: int, threads: int) -> Problem:
    """A table of the manifest, cut by a seed."""
    table, target = read(folder / entry["file"]), entry["target"]
    cells = table[target]
    if entry["task"] == "regression":
        table = table.take(np.isfinite(cells.values))
        truth, classes, labels = table[target].values, 0, None
    else:
        names = sorted(set(cells))
        places = {name: place for place, name in enumerate(names)}
        truth = labels = np.array([places[name] for name in cells])
        classes = len(names)
    rest, held = split(len(table), TEST_SHARE, seed, labels=labels)
    return Problem(
        table.take(rest), table.take(held), target, truth[rest], truth[held], classes, seed, threads
    )


def ran(contender: Contender, problem: Problem) -> dict[str, float]:
    """Error and seconds of a contender."""
    began, began_cpu = time.perf_counter(), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        predictions = contender(problem)
    seconds, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    return {"error": problem.error(predictions), "seconds": seconds, "cpu_seconds": cpu}


Found = dict[str, dict[str, dict[str, dict[str, float]]]]


def shown(found: Found, names: Sequence[str]) -> str:
    """A table of mean errors over the better of the trees, their spread, and seconds."""
    lines = []
    trees = [name for name in TREES if name in found]
    tables = list(next(iter(found.values())))
    base = {
        table: min((_mean(found[tree][table], "error") for tree in trees), default=1.0)
        for table in tables
    }
    header = ["contender", *tables, "mean", "better", "seconds", "CPU seconds"]
    for name in names:
        ratios = {
            table: _mean(seeds, "error") / base[table]
            for table, seeds in found[name].items()
            if seeds
        }
        if len(ratios) < len(tables):
            continue
        middle = float(np.exp(np.mean(np.log(list(ratios.values())))))
        spread = {
            table: np.std([one["error"] for one in seeds.values()]) / base[table]
            for table, seeds in found[name].items()
        }
        seconds = [
            max(_mean(found[name][table], kind) for table in tables)
            for kind in ("seconds", "cpu_seconds")
        ]
        cells = [f"{ratios[table]:.3f} ± {spread[table]:.3f}" for table in tables]
        better = sum(ratio < 1 for ratio in ratios.values())
        lines.append(
            [name, *cells, f"{middle:.3f}", f"{better}/{len(tables)}"]
            + [f"{longest:.1f}" for longest in seconds]
        )
    rows = [header, ["---", *["--:"] * (len(header) - 1)], *lines]
    told = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return (
        f"{told}\n\nErrors over the better one of {' and '.join(trees) or 'none'}, each the mean "
        "over the seeds, ± the standard deviation over them; the geometric mean over the tables; "
        "how many are better; of seconds, those of the table that takes longest."
    )


def _mean(seeds: dict[str, dict[str, float]], figure: str) -> float:
    return float(np.mean([one[figure] for one in seeds.values()]))


def main(arguments: list[str] | None = None) -> None:
    """Runs who is there, and prints a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.tables", description=__doc__)
    parser.add_argument("--tables", type=Path, required=True, help="a folder with a manifest.json")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--presets", nargs="*", default=["fast", "best"])
    parser.add_argument("--contenders", nargs="*", help=f"of {', '.join(CONTENDERS)}; or all")
    parser.add_argument("--only", nargs="*", help="names of tables")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--again", nargs="*", default=[], help="contenders whose results are old")
    given = parser.parse_args(arguments)
    names = [
        name
        for name, (package, _) in CONTENDERS.items()
        if (given.contenders is None or name in given.contenders)
        and (name not in ("fast", "best") or name in given.presets)
        and importlib.util.find_spec(package)
    ]
    found: Found = json.loads(given.results.read_text()) if given.results.exists() else {}
    found = {name: tables for name, tables in found.items() if name not in given.again}
    manifest = json.loads((given.tables / "manifest.json").read_text())
    entries = [one for one in manifest if not given.only or one["name"] in given.only]
    for seed in range(given.seeds):
        for entry in entries:
            problem = problem_of(given.tables, entry, seed, given.threads)
            for name in names:
                seeds = found.setdefault(name, {}).setdefault(entry["name"], {})
                if str(seed) in seeds:
                    continue
                seeds[str(seed)] = ran(CONTENDERS[name][1], problem)
                told = ", ".join(f"{key} {value:.4g}" for key, value in seeds[str(seed)].items())
                print(f"{entry['name']}, seed {seed}, {name}: {told}", flush=True)
                given.results.parent.mkdir(parents=True, exist_ok=True)
                given.results.write_text(json.dumps(found, indent=1) + "\n")
    chosen = {entry["name"] for entry in entries}
    print(
        shown(
            {
                name: {table: seeds for table, seeds in tables.items() if table in chosen}
                for name, tables in found.items()
            },
            [name for name in CONTENDERS if name in found],
        )
    )


if __name__ == "__main__":
    main()
