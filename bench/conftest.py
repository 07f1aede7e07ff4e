"""How the benchmarks run: one thread each, short rows, results as JSON."""

import os

# Before NumPy is imported, whose BLAS reads it once.
os.environ["OMP_NUM_THREADS"] = os.environ["FASTWEIGHTS_NUM_THREADS"] = "1"

import warnings
from pathlib import Path

import pytest

from fastweights import benchmarks
from fastweights.cli.bench import duration
from fastweights.cli.output import text_table

RESULTS = Path(__file__).parent / "results"

#: Our defaults of pytest-benchmark's options, and its own: an option given otherwise stays.
DEFAULTS = {
    "benchmark_storage": (f"file://{RESULTS}", "file://./.benchmarks"),
    "benchmark_json": (RESULTS / "latest.json", None),
    "benchmark_columns": (["median", "min", "iqr", "ops", "rounds"], None),
    "benchmark_max_time": ("0.2", "1.0"),
}

#: What a row of the JSON needs for `pytest-benchmark compare`, and no more.
STATS = (
    "min", "max", "mean", "stddev", "median", "iqr", "outliers", "ops", "rounds", "iterations",
)  # fmt: skip

ROWS = pytest.StashKey[list]()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    for option, (ours, default) in DEFAULTS.items():
        if getattr(config.option, option) == default:
            setattr(config.option, option, ours)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish():
    with warnings.catch_warnings():
        # A session without a row, as by --collect-only, is no error.
        warnings.filterwarnings("ignore", "Not saving anything")
        return (yield)


@pytest.fixture(params=["float64", "float32"])
def dtype(request):
    return request.param


@pytest.fixture(params=benchmarks.LADDER, ids=lambda network: network.name)
def network(request):
    return request.param


def pytest_benchmark_update_machine_info(machine_info):
    machine_info.clear()
    machine_info.update(benchmarks.machine())


def pytest_benchmark_update_commit_info(commit_info):
    kept = {key: commit_info[key] for key in ("id", "dirty") if key in commit_info}
    commit_info.clear()
    commit_info.update(kept)


def pytest_benchmark_update_json(config, output_json):
    for row in output_json["benchmarks"]:
        row["stats"] = {name: _short(row["stats"][name]) for name in STATS}
        for unused in ("options", "param", "params"):
            del row[unused]
    config.stash[ROWS] = output_json["benchmarks"]


def _short(value):
    return float(f"{value:.4g}") if isinstance(value, float) else value


def pytest_terminal_summary(terminalreporter, config):
    """The gradients once more, speed and largest error side by side."""
    gradients = {}
    for row in config.stash.get(ROWS, []):
        info = row["extra_info"]
        if "contender" in info:
            cells = gradients.setdefault((info["network"], info["dtype"]), {})
            cells[info["contender"]] = duration(row["stats"]["median"])
            if info["contender"] == "compiled":
                cells["error to differences"] = f"{info['error_to_differences']:.1e}"
                cells["error to NumPy"] = f"{info['error_to_numpy']:.1e}"
    if gradients:
        columns = ["compiled", "NumPy", "differences", "error to differences", "error to NumPy"]
        lines = [[*key, *(c.get(name, "-") for name in columns)] for key, c in gradients.items()]
        terminalreporter.section("compiled gradients: median time and largest error")
        terminalreporter.write_line(text_table([["network", "dtype", *columns], *lines]))
