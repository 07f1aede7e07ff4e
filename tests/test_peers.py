"""The benchmarks against other libraries, run with this one alone: figures are what they say."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fastweights import _dispatch

ROOT = Path(__file__).parent.parent
PNG = b"\x89PNG\r\n"


@pytest.fixture(autouse=True)
def _bench_can_be_imported(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """A quick run in a process of its own: what it printed, and its JSON."""
    path = tmp_path_factory.mktemp("peers") / "quick.json"
    command = [sys.executable, "-W", "error", "-m", "bench.peers", "--quick", "--threads", "1"]
    command += ["--only", "fastweights", "--workloads", "online", "matexp", "--json", str(path)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert found.returncode == 0, found.stderr
    return found.stdout, json.loads(path.read_text())


def test_a_quick_run_trains_and_reports(quick):
    printed, results = quick
    rows = {(row["workload"], row["optimizer"]): row for row in results["rows"]}
    names = ("online", "matexp")
    assert list(rows) == [(name, how) for name in names for how in ("sgd", "adam")]
    for row in rows.values():
        assert list(row["contenders"]) == ["fastweights"]
        ours = row["contenders"]["fastweights"]
        assert 0 < ours["best"] <= ours["median"]
        assert ours["loss"] < 0.15 * row["loss_before"]
        assert row["peak"] > 0
    # y = xW and dW = x'dy for every kernel, dx = dyW' for all but the first, 2 operations each
    assert rows["matexp", "sgd"]["flops"] == 2 * 200 * (3 * (4 * 32 + 32 * 16 + 16 * 4) - 4 * 32)
    assert "share of the float32 peak" in printed


def test_figures_are_read_back_and_drawn(quick, tmp_path, capsys):
    from bench.peers import __main__ as command

    printed, results = quick
    path, picture = tmp_path / "again.json", tmp_path / "images" / "peers.png"
    path.write_text(json.dumps(results))
    command.main(["--read", str(path), "--plot", str(picture)])
    assert capsys.readouterr().out == printed
    assert picture.read_bytes().startswith(PNG)


def test_who_is_missing_is_told_how_to_install(monkeypatch, capsys):
    from bench.peers import __main__ as command

    monkeypatch.setitem(sys.modules, "torch", None)
    assert command.contenders(["fastweights", "PyTorch"]) == ["fastweights"]
    assert "without PyTorch: pip install torch" in capsys.readouterr().err


def results_of(*rows, level="avx512"):
    """Results of made-up rows: (workload, threads, {contender: (seconds, loss)})."""
    from bench.peers.results import Results

    return Results(
        {"cpu_level": level},
        [
            {
                "workload": workload,
                "optimizer": "sgd",
                "threads": threads,
                "flops": 80,
                "peak": 100.0,
                "contenders": {
                    name: {"best": seconds, "median": 1.2 * seconds, "loss": loss}
                    for name, (seconds, loss) in contenders.items()
                },
                "one_thread": {"median": 1.2} if threads > 1 else None,
            }
            for workload, threads, contenders in rows
        ],
    )


def test_ratios_goals_and_losses():
    from bench.peers import goals

    one = {"fastweights": (1.0, 0.50), "PyTorch": (3.0, 0.51), "JAX": (1.2, 0.52)}
    two = {"fastweights": (0.8, 0.50), "PyTorch": (3.0, 0.51), "JAX": (1.6, 0.60)}
    results = results_of(("mnist", 1, one), ("mnist", 2, two))
    first, second = results
    assert first.fastest_peer() == "JAX"
    assert first.times("PyTorch") == 3.0
    assert first.share() == pytest.approx(0.8)
    assert first.against_one_thread() is None
    assert second.against_one_thread() == 1.25
    assert first.odd_losses() == []
    assert second.odd_losses() == ["JAX"]
    found = {outcome.measure: (outcome.goal, outcome.met) for outcome in goals.outcomes(results)}
    assert found == {
        "times the fastest peer": (1.4, False),
        "times PyTorch": (2, True),
        "share of the float32 peak": (0.9, False),
        "times its own speed on 1 thread": (1.85, False),
    }
    with_amx = goals.outcomes(results_of(("mnist", 1, one), level="amx"))
    assert [outcome.goal for outcome in with_amx] == [1.4, 2, 1.0]


def test_no_loss_at_all_is_odd():
    (row,) = results_of(("mnist", 1, {"fastweights": (1.0, 0.5), "JAX": (1.0, float("nan"))}))
    assert "JAX" in row.odd_losses()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_peak_counts_what_it_does(dtype):
    kernels = _dispatch.kernels(np.dtype(dtype))
    for links in (100, 1000):
        operations, total = kernels.peak(links)
        # Each link is two operations, each chain ends at 2.
        assert operations == links * total
        assert total % 2 == 0


def test_scaling_counts_the_work_and_draws(monkeypatch, tmp_path, capsys):
    from bench import scaling

    monkeypatch.setattr(scaling, "BATCHES", (1, 64))
    monkeypatch.setattr(scaling, "WIDTHS", (8, 16))
    path, picture = tmp_path / "scaling.json", tmp_path / "scaling.png"
    scaling.main(["--seconds", "0", "--json", str(path), "--plot", str(picture)])
    by_batch, by_width = (
        [line.split()[-1] for line in table.splitlines()[-1:]]
        for table in capsys.readouterr().out.strip().split("\n\n")
    )
    assert by_batch == ["64.00"]
    assert by_width == ["4.00"]
    assert [point["size"] for point in json.loads(path.read_text())["points"]] == [1, 64, 8, 16]
    assert picture.read_bytes().startswith(PNG)


@pytest.mark.parametrize(
    "name",
    [
        "tabular", "resmlp", "batchnorm", "embedding", "members", "lenet", "cnn", "resnet", "lstm",
        "gru", "gpt",
    ],
)  # fmt: skip
def test_all_contenders_train_the_same_network(name):
    """In batches of all rows, whose order changes nothing, and without dropout: to one loss."""
    from dataclasses import replace

    from bench.peers.contenders import CONTENDERS
    from bench.peers.workloads import WORKLOADS, Task

    (workload,) = (workload for workload in WORKLOADS if workload.name == name)
    if name == "resmlp":
        workload = replace(workload, network=replace(workload.network, rate=0.0))
    task = Task.of(replace(workload, steps=1), "adam")
    found = {}
    for who, kind in CONTENDERS.items():
        if kind.is_there() and kind.can_train(task.workload):
            contender = kind(task)
            contender.train(20)
            weights = contender.weights()
            assert [one.shape for one in weights] == [one.shape for one in task.weights]
            found[who] = task.workload.loss(weights, task.x, task.y)
    before = task.workload.loss(task.weights, task.x, task.y)
    expected = found.get("PyTorch", found.get("fastweights"))
    for who, loss in found.items():
        assert loss < 0.9 * before
        assert loss == pytest.approx(expected, rel=2e-4), who
