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


def test_no_suggestion_where_nothing_falls():
    model, x, y = problem()
    model.fit(x, y, epochs=150, verbose=0)
    with pytest.warns(
        UserWarning, match="find_learning_rate: the loss has not fallen by more than"
    ):
        found = fw.find_learning_rate(model, x, y)
    assert found.suggestion is None
    still, *_ = problem()
    for layer in still.layers:
        layer.set_weights([np.zeros_like(weight) for weight in layer.get_weights()])
    with pytest.warns(UserWarning, match="has not fallen"):
        assert fw.find_learning_rate(still, x, np.zeros_like(y)).suggestion is None
    pytest.importorskip("matplotlib")
    assert len(found.plot().lines) == 2


def test_a_loss_that_still_falls_is_told():
    model, x, y = problem("sgd")
    with pytest.warns(UserWarning, match="still falls at the highest rate, 0.01; give a larger"):
        found = fw.find_learning_rate(model, x, y, highest=1e-2)
    assert found.suggestion is not None


def test_a_step_is_an_update_where_gradients_are_accumulated():
    model, x, y = problem(optimizers.SGD(gradient_accumulation_steps=4))
    plain, *_ = problem(optimizers.SGD())
    # Four batches of all rows are one: the steps are those of the mean gradient, which is its own.
    found = fw.find_learning_rate(model, x, y, batch_size=200)
    alone = fw.find_learning_rate(plain, x, y, batch_size=200)
    n = min(len(found.losses), len(alone.losses), 100)
    np.testing.assert_allclose(found.losses[:n], alone.losses[:n], rtol=1e-3)
    assert 1e-3 < found.suggestion < 1


def test_refusals():
    for optimizer in (optimizers.LBFGS(), optimizers.LevenbergMarquardt()):
        minimized, x, y = problem(optimizer)
        with pytest.raises(ValueError, match=r"got one with L.*, which has no learning rate"):
            fw.find_learning_rate(minimized, x, y)
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
