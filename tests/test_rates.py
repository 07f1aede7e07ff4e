"""Learning rates that are found."""

import numpy as np
import pytest

import fastweights as fw
from fastweights import layers, optimizers


def problem(optimizer="adam", rows=200):
    random = np.random.default_rng(0)
    x = random.normal(size=(rows, 6))
    y = np.sin(x[:, :1]) + x[:, 1:2]
    model = fw.Sequential([layers.Dense(16, "tanh"), layers.Dense(1)], (6,), seed=0)
    model.compile(optimizer, "mse")
    return model, x, y


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_training_at_the_suggestion_learns(optimizer):
    model, x, y = problem(optimizer)
    found = fw.find_learning_rate(model, x, y)
    assert found.learning_rates[0] == pytest.approx(1e-6)
    assert len(found.learning_rates) == len(found.losses) == len(found.smooth_losses)
    assert 1e-4 < found.suggestion < 0.5
    model.optimizer.learning_rate = found.suggestion
    history = model.fit(x, y, epochs=20, verbose=0).history["loss"]
    assert history[-1] < 0.1 * history[0]


def test_the_model_stays_as_it_is():
    model, x, y = problem()
    twin, *_ = problem()
    model.fit(x, y, epochs=2, verbose=0)
    twin.fit(x, y, epochs=2, verbose=0)
    rate = model.optimizer.learning_rate
    fw.find_learning_rate(model, x, y)
    assert model.optimizer.learning_rate == rate
    for one in (model, twin):
        one.fit(x, y, epochs=2, verbose=0)
    np.testing.assert_array_equal(model.parameters, twin.parameters)


def test_a_sweep_ends_where_there_is_no_hope():
    model, x, y = problem("sgd")
    found = fw.find_learning_rate(model, x, y, highest=1e6)
    assert found.learning_rates[-1] < 1e3
    assert np.isfinite(found.losses).all()


def test_settings_of_the_optimizer_are_kept():
    model, x, y = problem(optimizers.SGD(0.5, momentum=0.9))
    plain, *_ = problem("sgd")
    one, other = (fw.find_learning_rate(each, x, y).losses for each in (model, plain))
    n = min(len(one), len(other))
    assert one[0] == other[0]
    assert (one[:n] != other[:n]).any()


def test_picture(tmp_path):
    pytest.importorskip("matplotlib")
    model, x, y = problem()
    found = fw.find_learning_rate(model, x, y)
    axes = found.plot(to_file=tmp_path / "r.png")
    assert axes.get_xscale() == "log"
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), found.smooth_losses)
    assert axes.lines[2].get_xdata()[0] == found.suggestion
    assert (tmp_path / "r.png").exists()


def test_refusals():
    model, x, y = problem()
    uncompiled = fw.Sequential([layers.Dense(1)], (6,))
    unbuilt = fw.Sequential([layers.Dense(1)])
    unbuilt.compile("sgd", "mse")
    for call, error, message in (
        (lambda: fw.find_learning_rate(3, x, y), TypeError, "model: got int"),
        (lambda: fw.find_learning_rate(uncompiled, x, y), ValueError, "compile: got no loss yet"),
        (lambda: fw.find_learning_rate(unbuilt, x, y), ValueError, "model: got one that is not b"),
        (lambda: fw.find_learning_rate(model, x, y, lowest=0), ValueError, "lowest: got 0"),
        (lambda: fw.find_learning_rate(model, x, y, lowest=20), ValueError, "highest: got 10"),
        (lambda: fw.find_learning_rate(model, x, y, steps=3), ValueError, "steps: got 3"),
        (lambda: fw.find_learning_rate(model, x, y, batch_size=0), ValueError, "batch_size: got 0"),
        (lambda: fw.find_learning_rate(model, x, y[:-1]), ValueError, "y: got 199 rows"),
    ):
        with pytest.raises(error, match=message):
            call()
