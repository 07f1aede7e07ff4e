"""What `fastweights bench` reports is right; how fast anything is, no test says."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import reference

from fastweights import benchmarks, cli

NETWORKS = [benchmarks.Network((3, 4, 1), rows=5), benchmarks.Network((3, 5, 4, 3), rows=6)]


def oracle(network):
    """The gradient in plain NumPy, at the weights of the network's model."""
    hidden = ("tanh",) * (len(network.widths) - 2)
    classes = network.widths[-1] > 1
    loss = "sparse_categorical_crossentropy" if classes else "mean_squared_error"
    twin = reference.MLP(network.widths, (*hidden, "softmax" if classes else "linear"), loss)
    twin.parameters = network.model("float64").parameters
    return twin.loss(*network.batch()), twin.gradients(*network.batch())[0]


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-5)])
def test_contenders_compute_the_same(network, dtype, tolerance):
    loss, gradient = oracle(network)
    model = network.model(dtype)
    by_hand = benchmarks.NumpyGradient(model, *network.batch())
    compiled = benchmarks.compiled_gradient(model, *network.batch())
    for call, found in ((by_hand, by_hand.gradients), (compiled, model.gradients)):
        for _ in range(2):  # nothing may carry over from call to call
            assert call() == pytest.approx(loss, rel=tolerance)
            np.testing.assert_allclose(found, gradient, rtol=0, atol=tolerance)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_differences_find_the_gradient_and_leave_the_weights(network):
    model = network.model("float64")
    before = model.parameters.copy()
    nudging = benchmarks.Differences(model, *network.batch())
    nudging([0, 2])
    assert np.flatnonzero(~np.isnan(nudging.gradients)).tolist() == [0, 2]
    nudging(range(before.size))
    np.testing.assert_allclose(nudging.gradients, oracle(network)[1], rtol=0, atol=1e-9)
    np.testing.assert_array_equal(model.parameters, before)


def test_a_comparison_nudges_all_parameters_or_a_part(monkeypatch):
    double, single = benchmarks.compare(NETWORKS[1], rounds=2)
    assert double.nudged == double.parameters == 3 * 5 + 5 + 5 * 4 + 4 + 4 * 3 + 3
    assert double.error_to_numpy < 1e-13
    assert double.error_to_differences < 1e-8
    assert single.error_to_differences < 1e-5
    assert single.differences is None
    monkeypatch.setattr(benchmarks, "MAX_NUDGED", 10)
    double, _ = benchmarks.compare(NETWORKS[1], rounds=2)
    assert double.nudged == 10
    assert double.error_to_differences < 1e-8


def test_largest_error_is_relative_to_the_greatest_entry():
    gradient, reference_gradient = np.array([1.0, 4.5, 9.0]), np.array([1.5, -4.0, np.nan])
    assert benchmarks.largest_error(gradient, reference_gradient) == 8.5 / 4.0


def test_the_command_prints_a_table_or_json(monkeypatch, capsys):
    monkeypatch.setattr(benchmarks, "LADDER", NETWORKS)
    monkeypatch.setattr(benchmarks, "ROUNDS", 2)
    benchmarks.main()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == benchmarks.machine()
    monkeypatch.setattr(benchmarks, "race", lambda: iter(lines))

    assert cli.main(["bench"]) == 0
    table = capsys.readouterr().out
    assert lines[0]["cpu"] in table.splitlines()[0]
    assert all(network.name in table for network in NETWORKS)

    assert cli.main(["bench", "--json"]) == 0
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert result["results"] == lines[1:]
    assert "largest error" in printed.err
    for row in result["results"]:
        assert row["times_numpy"] == row["numpy"] / row["compiled"]


def test_the_race_runs_in_a_process_with_one_thread():
    figures = benchmarks.race()
    assert next(figures)["num_threads"] == 1
    figures.close()


def test_every_benchmark_is_listed():
    folder = Path(__file__).parent.parent / "bench"
    listed = re.findall(r"^\| `(bench_\w+\.py)` \|", (folder / "README.md").read_text(), re.M)
    assert sorted(listed) == sorted(path.name for path in folder.glob("bench_*.py"))
