"""Many settings tried: what is drawn, what is the best, and what a killed sweep goes on from."""

from __future__ import annotations

import csv
import functools
import io
import json
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from helpers import build, data

import fastweights as fw
from fastweights import layers, optimizers, sweeping
from fastweights._trials import FIGURES, trials_of
from fastweights.callbacks import Callback

X, Y = data(60)
GRID = {"width": [3, 5, 9], "rate": [0.1, 0.01]}


def swept(space=GRID, builder=build, **settings):
    return fw.sweep(builder, space, X, Y, **{"epochs": 3, "verbose": 0, **settings})


def scores(results):
    return {trial["trial"]: trial["score"] for trial in results}


def numbers_in(path):
    """Of the trials that a file has."""
    return sorted(json.loads(line)["trial"] for line in path.read_text().splitlines())


class Between:
    """A distribution as in SciPy."""

    def __init__(self, low, high):
        self.low, self.high = low, high

    def rvs(self, random_state):
        return np.float64(random_state.uniform(self.low, self.high))


SPACE = {"width": [3, 5, 9], "rate": Between(0.001, 0.1)}


# ---- what is tried -------------------------------------------------------------------------------


def test_of_lists_all_combinations_are_tried_and_each_has_its_score_alone():
    results = swept(batch_size=7)
    assert len(results) == 6
    expected = [{"width": w, "rate": r} for w in GRID["width"] for r in GRID["rate"]]
    assert [t["params"] for t in sorted(results, key=lambda t: t["trial"])] == expected
    for trial in results:
        model = build(**trial["params"], seed=trial["seed"])
        history = model.fit(X, Y, 7, 3, 0, validation_split=0.2).history["val_loss"]
        assert trial["score"] == min(history)
        assert trial["epoch"] == history.index(min(history))
        assert trial["epochs"] == 3
        assert trial["error"] is None
    assert results.best_params == min(results, key=lambda t: t["score"])["params"]
    assert [t["score"] for t in results] == sorted(scores(results).values())


@pytest.mark.parametrize("n_jobs", [1, 2, 5])
def test_draws_and_scores_follow_the_seed_alone(n_jobs):
    first = swept(SPACE, n_trials=8, seed=3, n_jobs=1)
    again = swept(SPACE, n_trials=8, seed=3, n_jobs=n_jobs)
    assert scores(first) == scores(again)
    more = swept(SPACE, n_trials=11, seed=3)
    assert {k: v for k, v in scores(more).items() if k < 8} == scores(first)
    other = swept(SPACE, n_trials=8, seed=4)
    assert set(scores(other).values()).isdisjoint(scores(first).values())
    rates = [trial["params"]["rate"] for trial in first]
    assert all(type(rate) is float and 0.001 < rate < 0.1 for rate in rates)
    assert len({trial["seed"] for trial in first}) == 8


def test_functions_and_real_distributions_draw():
    stats = pytest.importorskip("scipy.stats")
    space = {
        "rate": stats.loguniform(1e-3, 1e-1),
        "width": lambda random: int(random.integers(2, 5)),
    }
    results = swept(space, n_trials=6)
    assert all(trial["error"] is None for trial in results)
    assert {trial["params"]["width"] for trial in results} <= {2, 3, 4}


def test_some_of_a_grid_come_once_each():
    results = swept(n_trials=4, seed=1)
    params = [tuple(trial["params"].values()) for trial in results]
    assert len(set(params)) == 4
    assert len(swept(n_trials=99)) == 6


def test_some_of_a_grid_are_the_same_trials_as_in_more_of_it(tmp_path):
    path, whole = tmp_path / "sweep.jsonl", scores(swept(seed=1))
    for count in (2, 4, 6, None):
        found = scores(swept(n_trials=count, seed=1, path=path))
        assert len(found) == (count or 6)
        assert found.items() <= whole.items()


def test_a_grid_may_be_of_any_size():
    names = [f"setting_{k}" for k in range(30)]
    trials = trials_of({name: [*range(10)] for name in names}, 40, 0)
    assert len({tuple(trial.params.values()) for trial in trials}) == 40
    assert len({trial.seed for trial in trials}) == 40
    for trial in trials:
        assert trial.number == int("".join(str(trial.params[name]) for name in names))


def test_a_builder_without_a_seed_is_not_given_one():
    def fixed(width):
        return build(width, seed=8)

    results = swept({"width": [3, 3]}, fixed)
    assert results[0]["score"] == results[1]["score"]
    own = swept({"width": [3], "seed": [5, 5]})
    assert own[0]["score"] == own[1]["score"]


def test_a_builder_may_say_how_its_fit_goes():
    class Counts(Callback):
        epochs = 0

        def on_epoch_end(self, epoch, logs):
            Counts.epochs += 1

    def builder(epochs):
        return build(), {"epochs": epochs, "batch_size": 60, "callbacks": [Counts()]}

    results = swept({"epochs": [1, 4]}, builder)
    assert {t["params"]["epochs"]: t["epochs"] for t in results} == {1: 1, 4: 4}
    assert Counts.epochs == 5


# ---- what is best --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("monitor", "mode", "larger"),
    [("val_loss", "auto", False), ("val_r2", "auto", True), ("r2", "auto", True),
     ("val_mae", "max", True), ("val_r2", "min", False)],
)  # fmt: skip
def test_the_direction_is_the_metric_s_unless_it_is_said(monitor, mode, larger):
    results = swept(monitor=monitor, mode=mode)
    found = [trial["score"] for trial in results]
    assert found == sorted(found, reverse=larger)
    assert results.best["score"] == (max if larger else min)(found)


def test_the_score_of_folds_is_the_mean_of_models_that_never_saw_their_rows():
    results = swept({"width": [4]}, folds=3, batch_size=7, seed=5)
    (trial,) = results
    seeds = [trial["seed"], *(fw._trials.seed_of(trial["seed"], fold) for fold in (1, 2))]
    found = []
    for number, seed in enumerate(seeds):
        train, held = fw.many.fold([5] * 3, number, 60)
        model = build(4, seed=seed)
        history = model.fit(X[train], Y[train], 7, 3, 0, validation_data=(X[held], Y[held]))
        found.append(min(history.history["val_loss"]))
    assert trial["scores"] == found
    assert trial["score"] == pytest.approx(np.mean(found), rel=1e-15)
    assert trial["epochs"] == 9


def test_rows_that_validate_come_as_for_fit():
    results = swept({"width": [4]}, validation_data=(X[:9], Y[:9]))
    model = build(4, seed=results[0]["seed"])
    history = model.fit(X, Y, None, 3, 0, validation_data=(X[:9], Y[:9]))
    assert results[0]["score"] == min(history.history["val_loss"])


# ---- tables --------------------------------------------------------------------------------------


def test_tables(tmp_path):
    results = swept()
    rows = list(csv.DictReader(io.StringIO(results.to_csv())))
    assert [float(row["score"]) for row in rows] == [trial["score"] for trial in results]
    assert [int(row["width"]) for row in rows] == [t["params"]["width"] for t in results]
    results.to_csv(tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_bytes().decode() == results.to_csv()
    text = repr(results)
    assert text.splitlines()[0].split() == ["trial", "score", "epoch", "epochs", "seconds",
                                            "width", "rate"]  # fmt: skip
    assert len(text.splitlines()) == 7
    assert repr(swept({"width": list(range(1, 31))}, epochs=1)).endswith("and 10 more")
    pandas = pytest.importorskip("pandas")
    frame = results.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert frame["score"].tolist() == [trial["score"] for trial in results]


@pytest.mark.parametrize("name", FIGURES)
def test_a_setting_takes_no_figure_s_place_in_tables(name):
    results = swept({name: [7, 8]}, lambda **params: build())
    for row, trial in zip(results.rows(), results, strict=True):
        assert row == {
            **{figure: trial[figure] for figure in FIGURES}, f"params.{name}": trial["params"][name]
        }  # fmt: skip
    assert next(csv.reader(io.StringIO(results.to_csv()))) == [*FIGURES, f"params.{name}"]
    assert f"params.{name}" in repr(results).splitlines()[0]


@pytest.mark.parametrize(("verbose", "lines"), [(0, 0), (1, 30), (2, 30), ("auto", 20)])
def test_lines_that_are_told(capsys, verbose, lines):
    swept({"width": list(range(1, 31))}, verbose=verbose, epochs=1)
    told = capsys.readouterr().out.splitlines()
    assert len(told) == lines
    if told:
        assert told[-1].startswith("30/30 trials - ")
        assert " - best: " in told[-1]


# ---- errors --------------------------------------------------------------------------------------


def test_a_trial_that_fails_is_told_and_stops_no_other(tmp_path):
    def builder(width, rate):
        if width == 5:
            raise LookupError("no such width")
        return build(width, rate)

    path = tmp_path / "sweep.jsonl"
    results = swept({"width": [3, 5, 9], "rate": [0.1, 1e300]}, builder, path=path)
    errors = {tuple(t["params"].values()): t["error"] for t in results}
    assert errors[5, 0.1] == "LookupError: no such width"
    assert errors[3, 1e300].startswith("DivergenceError: ")
    assert errors[3, 0.1] is None
    assert [trial["score"] is None for trial in results] == [False] * 2 + [True] * 4
    assert "DivergenceError" in repr(results)
    with pytest.warns(UserWarning, match="sweep: all 1 trials ended with .*first DivergenceError"):
        never = swept({"width": [5]}, lambda width: build(width, 1e300))
    with pytest.raises(ValueError, match="best: got 1 trials that all ended with an error, the"):
        _ = never.best


@pytest.mark.parametrize("folds", [None, 3])
def test_what_is_built_belongs_to_one_trial(folds, tmp_path):
    model, optimizer, layer = build(), optimizers.Adam(), layers.Dense(4)
    stops = fw.callbacks.EarlyStopping("loss")

    def with_optimizer(width):
        made = build(width)
        made.compile(optimizer, "mse")
        return made

    def with_layer(width):
        made = fw.Sequential([layer, layers.Dense(3)], 5)
        made.compile("adam", "mse")
        return made

    def logged(width):
        return build(width), {"callbacks": [fw.callbacks.CSVLogger(tmp_path / "log.csv")]}

    for builder, again in (
        (lambda width: model, "build: got the Sequential of "),
        (with_optimizer, "build: got the Adam of "),
        (with_layer, "build: got the Dense of |layers: got 'dense' of another model"),
        (lambda width: (build(width), {"callbacks": stops}), "build: got the EarlyStopping of "),
        (logged, "log.csv', which trial "),
    ):
        warned = pytest.warns(UserWarning, match="all 3 trials") if folds else nullcontext()
        with warned:
            results = swept({"width": [3, 4, 5]}, builder, folds=folds, n_jobs=2)
        errors = [trial["error"] for trial in results]
        assert [error is None for error in errors] == [folds is None, False, False]
        assert all(re.search(again, error) for error in errors if error is not None)
    for _ in range(3):  # where addresses are used again
        results = swept({"width": [3] * 9}, build, epochs=1)
        assert all(trial["error"] is None for trial in results)


def test_what_is_refused(tmp_path):
    torn = tmp_path / "torn.jsonl"
    torn.write_text("nothing\n")
    for error, match, space, settings in (
        (TypeError, "space: got", [1], {}),
        (TypeError, "space: got", {}, {}),
        (ValueError, r"space\['width'\]: got none", {"width": []}, {}),
        (TypeError, r"space\['width'\]: got int, expected a list of values", {"width": 3}, {}),
        (ValueError, "n_trials: got None for a space of distributions", SPACE, {}),
        (ValueError, "n_trials: got 0", GRID, {"n_trials": 0}),
        (ValueError, "monitor: got 'val_los', expected one of loss", GRID, {"monitor": "val_los"}),
        (ValueError, "mode: got 'best'", GRID, {"mode": "best"}),
        (ValueError, "backend: got 'dask', expected one of auto, threads, joblib", GRID,
         {"backend": "dask"}),
        (ValueError, "epochs: got -1", GRID, {"epochs": -1}),
        (ValueError, "folds: got 1", GRID, {"folds": 1}),
        (ValueError, "folds: got folds beside validation_data", GRID,
         {"folds": 2, "validation_data": (X, Y)}),
        (ValueError, "validation_split: got 1.5", GRID, {"validation_split": 1.5}),
        (ValueError, "seed: got -1", GRID, {"seed": -1}),
        (ValueError, "got no JSON in line 1", GRID, {"path": torn}),
        (TypeError, "build: got int, expected a function", GRID, {"builder": 3}),
    ):  # fmt: skip
        with pytest.raises(error, match=match):
            swept(space, **settings)
    for made, match in (
        (3, "build: got int, expected a function that gives a Model"),
        ((build(), 3), "build: got a tuple, expected"),
        ((build(), {"verbose": 1}), "setting of a fit: got 'verbose', expected one of batch_size"),
    ):
        with pytest.warns(UserWarning, match="sweep: all 1 trials"):
            results = swept({"width": [3]}, lambda width, made=made: made)
        assert match in results[0]["error"]


# ---- going on ------------------------------------------------------------------------------------


def test_trials_that_are_there_are_not_done_again(tmp_path):
    path = tmp_path / "sweep.jsonl"
    whole = swept(path=path)
    lines = path.read_text().splitlines(keepends=True)
    assert len(lines) == 6
    built = []

    def counted(width, rate, seed):
        built.append((width, rate))
        return build(width, rate, seed)

    path.write_text("".join(lines[:4]) + lines[4][:20])  # killed in the middle of a line
    again = swept(builder=counted, path=path)
    assert len(built) == 2
    assert scores(again) == scores(whole)
    assert [trial["params"] for trial in again] == [trial["params"] for trial in whole]
    assert sorted(json.loads(line)["trial"] for line in path.read_text().splitlines()) == [
        *range(6)
    ]
    assert scores(swept(builder=counted, path=path)) == scores(whole)
    assert len(built) == 2


def test_settings_that_are_no_json_come_back_as_themselves(tmp_path):
    path = tmp_path / "sweep.jsonl"
    space = {"kind": [optimizers.SGD, optimizers.Adam], "widths": [(3, 4), (5,)]}

    def builder(kind, widths):
        model = fw.Sequential([*(layers.Dense(w) for w in widths), layers.Dense(3)], 5, seed=0)
        model.compile(kind(), "mse")
        return model

    first = swept(space, builder, path=path)
    again = swept(space, lambda kind, widths: None, path=path)
    assert again.best_params == first.best_params
    assert again.best_params["kind"] in (optimizers.SGD, optimizers.Adam)
    assert type(again.best_params["widths"]) is tuple


def test_settings_are_the_same_ones_in_another_process(tmp_path):
    class Plain:
        def __init__(self):
            self.rate = 0.1

    path = tmp_path / "sweep.jsonl"
    for _ in range(2):  # objects elsewhere in memory the second time
        kept = [functools.partial(max, lambda: 3), Plain(), math.nan, math.inf]
        found = swept({"what": kept}, lambda what: build(), path=path)
        assert len(found) == 4
        assert {trial["error"] for trial in found} == {None}
        del kept
        blocker = [Plain() for _ in range(100)]
    assert blocker
    assert len(path.read_text().splitlines()) == 4


@pytest.mark.parametrize(
    "damage",
    [
        {"score": "abc"}, {"score": [1]}, {"score": True}, {"score": None}, {"score": 10**400},
        {"scores": 1.0}, {"scores": []}, {"scores": ["1"]}, {"larger_is_better": "no"},
        {"larger_is_better": None}, {"epoch": -1}, {"epoch": math.nan}, {"epochs": 1.5},
        {"seconds": math.inf}, {"seconds": "1"}, {"error": 3}, {"error": "both"}, {"trial": True},
    ],
    ids=str,
)  # fmt: skip
def test_a_record_that_no_sweep_wrote_is_refused(damage, tmp_path):
    path = tmp_path / "sweep.jsonl"
    swept({"width": [3]}, path=path)
    text = json.dumps({**json.loads(path.read_text()), **damage}) + "\n"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"sweep\.jsonl: got .* records of fastweights\.sweep"):
        swept({"width": [3]}, path=path)
    assert path.read_text() == text


@pytest.mark.parametrize(
    "text", [b'{"a": 1}\nand so on', b"no line", b"\x00\x01\n\x02", b'{"trial": 0}\n{"x']
)
def test_a_file_that_is_no_sweep_s_stays_as_it_is(text, tmp_path):
    path = tmp_path / "mine"
    path.write_bytes(text)
    with pytest.raises(ValueError, match=r"expected .*fastweights\.sweep"):
        swept(path=path)
    assert path.read_bytes() == text


def test_a_score_that_is_no_number_is_never_the_best():
    def still(width=4, seed=0, rate=0.05):
        model = fw.Sequential([layers.Dense(1, kernel_initializer="zeros")], X.shape[1], seed=seed)
        model.compile(optimizers.SGD(rate), "mse", ["pearson_correlation"])
        return model

    found = fw.sweep(
        still, {"rate": [0.0, 0.05]}, X, X[:, :1], monitor="val_pearson_correlation", epochs=2,
        validation_split=0.3, verbose=0,
    )  # fmt: skip
    assert found.best_params == {"rate": 0.05}
    assert np.isnan(found[1]["score"])


def test_a_figure_that_is_an_array_is_no_score():
    def classes(units=2, seed=0):
        model = fw.Sequential([layers.Dense(units, "softmax")], X.shape[1], seed=seed)
        model.compile("sgd", "sparse_categorical_crossentropy", ["confusion_matrix"])
        return model

    with pytest.raises(TypeError, match="monitor: got 'val_confusion_matrix', which is an array"):
        fw.sweep(
            classes, {"units": [2]}, X, (X[:, 0] > 0).astype(int), monitor="val_confusion_matrix",
            validation_split=0.2, verbose=0,
        )  # fmt: skip


def test_a_file_of_another_sweep_is_refused(tmp_path):
    path = tmp_path / "sweep.jsonl"
    swept(path=path)
    for space, settings in (
        ({"width": [3, 5, 8], "rate": [0.1, 0.01]}, {}),
        (GRID, {"seed": 1}),
        (GRID, {"monitor": "val_mae"}),
        ({"width": [3]}, {}),
    ):
        with pytest.raises(ValueError, match=r"sweep.jsonl: got trial"):
            swept(space, path=path, **settings)
    for name, value in (
        ("epochs", 4), ("batch_size", 7), ("shuffle", False), ("folds", 3), ("mode", "max"),
        ("validation_split", 0.3),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=f"got trial . with {name} .*belongs to one sweep"):
            swept(path=path, **{name: value})
    changed = X.copy()
    changed[-1, 0] += 1e-9
    held_out = {"validation_data": (X, Y)}
    weights = {"sample_weight": np.linspace(0, 1, 60)}
    for x, y, more in (
        (X, 100 * Y, {}), (changed, Y, {}), (X[:-1], Y[:-1], {}), (X, Y, held_out), (X, Y, weights),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"got trial . with data '.*belongs to one sweep"):
            fw.sweep(build, GRID, x, y, epochs=3, verbose=0, path=path, **more)
    assert scores(swept(path=path)) == scores(swept())
    record = json.loads(path.read_text().splitlines()[0])
    for damaged in ({**record, "more": 1}, [record], {**record, "trial": "0"}, None, 7):
        path.write_text(json.dumps(damaged) + "\n")
        with pytest.raises(ValueError, match=r"sweep.jsonl: got"):
            swept(path=path)
    path.write_text(2 * (json.dumps(record) + "\n"))
    with pytest.raises(ValueError, match=r"got trial \d twice"):
        swept(path=path)


KILLED = """
import sys
sys.path.insert(0, {tests!r})
import test_sweeping as t
t.swept(t.SPACE, n_trials=12, seed=2, path={path!r}, epochs=400, n_jobs=2)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal on this system")
def test_a_sweep_that_is_killed_goes_on_from_its_file(tmp_path):
    path = tmp_path / "sweep.jsonl"
    code = KILLED.format(tests=str(Path(__file__).parent), path=str(path))
    killed = 0
    for lines in (1, 4, 7):
        process = subprocess.Popen([sys.executable, "-c", code])
        while process.poll() is None:
            if path.exists() and path.read_bytes().count(b"\n") >= lines:
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.002)
        killed += process.wait() == -signal.SIGKILL
    assert killed
    whole = swept(SPACE, n_trials=12, seed=2, path=path, epochs=400)
    assert scores(whole) == scores(swept(SPACE, n_trials=12, seed=2, epochs=400))


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
def test_ctrl_c_keeps_what_is_done(tmp_path):
    path = tmp_path / "sweep.jsonl"

    def slow(width, rate, seed):
        epochs = 2 if width == 3 else 10**8
        return build(width, rate, seed), {"epochs": epochs}

    def interrupt():
        while not (path.exists() and path.read_bytes().count(b"\n") == 2):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        swept(builder=slow, path=path, n_jobs=2)
    thread.join()
    assert [json.loads(line)["params"]["width"] for line in path.read_text().splitlines()] == [3, 3]


# ---- joblib --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["loky", "threading", "sequential"])
def test_joblib_gives_the_same(kind):
    joblib = pytest.importorskip("joblib")
    with joblib.parallel_config(backend=kind, n_jobs=2), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of forks, which are joblib's own business
        found = swept(SPACE, n_trials=5, backend="joblib")
    assert scores(found) == scores(swept(SPACE, n_trials=5))
    assert [trial["error"] for trial in found] == [None] * 5


def test_dask_s_local_cluster_gives_the_same():
    distributed = pytest.importorskip("distributed")
    joblib = pytest.importorskip("joblib")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cluster = distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        )
        with cluster, distributed.Client(cluster), joblib.parallel_config(backend="dask"):
            found = swept(SPACE, n_trials=5, backend="joblib")
    assert scores(found) == scores(swept(SPACE, n_trials=5))


def test_a_context_of_joblib_is_asked_by_itself(monkeypatch):
    joblib = pytest.importorskip("joblib")
    asked = []
    by_joblib = sweeping._by_joblib
    monkeypatch.setattr(
        sweeping, "_by_joblib", lambda *given: asked.append(given) or by_joblib(*given)
    )
    expected = scores(swept(SPACE, n_trials=2))
    assert not asked
    for number, context in enumerate(({"n_jobs": 2}, {"backend": "threading"}), start=1):
        with joblib.parallel_config(**context), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert scores(swept(SPACE, n_trials=2)) == expected
            assert len(asked) == number
            swept(SPACE, n_trials=2, backend="threads")
            assert len(asked) == number
    with joblib.parallel_config(backend="loky"):  # as without a context
        swept(SPACE, n_trials=2)
    assert len(asked) == 2


def test_a_path_without_its_folder_is_refused_before_the_first_trial(tmp_path):
    def build():
        raise AssertionError

    with pytest.raises(FileNotFoundError, match=r"path: got .*expected a folder .*there"):
        fw.sweep(build, {}, np.zeros((4, 2)), np.zeros((4, 1)), path=tmp_path / "no" / "a.jsonl")
