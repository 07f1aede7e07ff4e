"""Functions of one's own as metrics, by the names that files know."""

import numpy as np
import pytest

import fastweights as fw
from fastweights import layers, metrics

X = np.random.default_rng(0).standard_normal((40, 4))
Y = np.random.default_rng(1).standard_normal((40, 2))


def largest_error(y_true, y_pred):
    return abs(y_true - y_pred).max(axis=1)


def share_within(y_true, y_pred, sample_weight=None, limit=1.0):
    within = (abs(y_true - y_pred) <= limit).mean(axis=1)
    return np.average(within, weights=sample_weight)


@pytest.fixture(autouse=True)
def registered():
    """What files know, for as long as the test lasts."""
    known = metrics.functions.REGISTERED
    before = dict(known)
    fw.register_metric("tests")(largest_error)
    fw.register_metric("tests", "within")(share_within)
    yield
    known.clear()
    known.update(before)


def model_of(*chosen):
    model = fw.Sequential([layers.Dense(6, "tanh"), layers.Dense(2)], 4, "float64", seed=0)
    model.compile("adam", "mse", list(chosen))
    return model


@pytest.mark.parametrize(
    "chosen",
    [
        (largest_error,),
        (share_within, "mae", largest_error),
        (metrics.MeanMetricWrapper(share_within, "near", larger_is_better=True, limit=0.3),),
        ({"kind": "tests>within", "name": "near", "kwargs": {"limit": 0.3}},),
    ],
)
def test_saved_and_loaded_it_tells_the_same(chosen, tmp_path):
    model = model_of(*chosen)
    model.fit(X, Y, 8, verbose=0)
    model.save(tmp_path / "a.safetensors")
    again = fw.load(tmp_path / "a.safetensors")
    assert again.metrics == model.metrics
    for one, other in zip(again.metrics, model.metrics, strict=True):
        assert one.larger_is_better == other.larger_is_better
        assert one.config() == other.config()
    assert again.evaluate(X, Y) == model.evaluate(X, Y)
    histories = [one.fit(X, Y, 8, 2, verbose=0).history for one in (model, again)]
    assert histories[0] == histories[1]


def test_several_outputs_are_saved(tmp_path):
    inputs = fw.Input((4,))
    model = fw.Model(inputs, [layers.Dense(2)(inputs), layers.Dense(2)(inputs)], seed=0)
    model.compile("adam", "mse", [[largest_error], ["mae", share_within]])
    model.fit(X, [Y, Y], verbose=0)
    model.save(tmp_path / "a.safetensors")
    assert fw.load(tmp_path / "a.safetensors").metrics == model.metrics


def test_custom_objects(tmp_path):
    model = model_of(largest_error)
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "a.safetensors")
    metrics.functions.REGISTERED.clear()
    message = r"metric: got 'tests>largest_error', expected a metric that is registered: .*"
    with pytest.raises(ValueError, match=message + r"@fw\.register_metric"):
        fw.load(tmp_path / "a.safetensors")
    for name in ("largest_error", "tests>largest_error"):
        again = fw.load(tmp_path / "a.safetensors", {name: largest_error})
        assert again.evaluate(X, Y) == model.evaluate(X, Y)


def test_what_is_not_registered_is_copied_but_not_saved(tmp_path):
    model = model_of(lambda t, p: (t - p).ptp() if hasattr(t, "ptp") else np.ptp(t - p))
    model.fit(X, Y, verbose=0)
    with pytest.raises(
        TypeError, match=r"save: got the metric <lambda> of your own, .*register_metric"
    ):
        model.save(tmp_path / "a.safetensors")
    assert model.copy().evaluate(X, Y) == model.evaluate(X, Y)
    assert fw.check_gradients(model, X[:4], Y[:4]).passed


@pytest.mark.parametrize("limit", [np.ones(2), (1.0, 2.0), {1: 2.0}, 1j])
def test_arguments_that_a_file_would_change_are_refused(limit, tmp_path):
    model = model_of(metrics.MeanMetricWrapper(share_within, limit=limit))
    with pytest.raises(TypeError, match=r"save: got .*limit.* for the metric share_within, expe"):
        model.save(tmp_path / "a.safetensors")


def test_names_are_of_one_function():
    with pytest.raises(ValueError, match=r"register_metric: got .* expected one name for a class"):
        fw.register_metric("others")(largest_error)
    with pytest.raises(ValueError, match="one class for a name"):
        fw.register_metric("tests", "within")(largest_error.__class__(share_within.__code__, {}))
    for wrong in (3, metrics.AUC, "auc"):
        with pytest.raises(TypeError, match=r"register_metric: got .*, expected a function"):
            fw.register_metric()(wrong)
    fw.register_metric("tests")(largest_error)  # again
