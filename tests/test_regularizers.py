"""What weights cost: part of the loss that is trained, reported and differentiated."""

import numpy as np
import pytest

import fastweights as fw
from fastweights import layers, regularizers

KINDS = {
    "l1": regularizers.L1(0.03),
    "l2": regularizers.L2(0.2),
    "both": regularizers.L1L2(0.01, 0.05),
}


def network(kernel=None, bias=None, optimizer="sgd", dtype="float64"):
    stack = [
        layers.Dense(6, "tanh", kernel_regularizer=kernel),
        layers.Dense(60, "relu", kernel_regularizer="l2", bias_regularizer=bias),
        layers.Dense(2),
    ]
    model = fw.Sequential(stack, 4, dtype=dtype, seed=1)
    for weight in model.weights:
        weight += np.random.default_rng(1).normal(0, 0.1, weight.shape)
    model.compile(optimizer, "mse")
    return model


def data(rows=30):
    random = np.random.default_rng(2)
    return random.standard_normal((rows, 4)), random.standard_normal((rows, 2))


def cost(model):
    """Of all weights that are trained, in NumPy."""
    total = 0.0
    for layer in model.layers:
        for name in ("kernel", "bias"):
            part = getattr(layer, f"{name}_regularizer")
            if part is not None and layer.trainable:
                weights = getattr(layer, name)
                total += part.l1 * np.abs(weights).sum() + part.l2 * (weights**2).sum()
    return total


@pytest.mark.parametrize("rows", [30, 1500])
@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_contains_what_weights_cost(kind, rows):
    model, plain = network(KINDS[kind], KINDS[kind]), network()
    x, y = data(rows)
    error = np.mean((model.predict(x) - y) ** 2)
    expected = error + cost(model)
    assert model.evaluate(x, y) == pytest.approx(expected, rel=1e-12)
    assert model.loss_and_gradients(x, y)[0] == pytest.approx(expected, rel=1e-12)
    history = model.fit(x, y, rows, 1, verbose=0, validation_data=(x, y))
    assert history.history["loss"][0] == pytest.approx(expected, rel=1e-12)
    after = np.mean((model.predict(x) - y) ** 2) + cost(model)
    assert history.history["val_loss"][0] == pytest.approx(after, rel=1e-12)
    assert plain.evaluate(x, y) != pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_contain_what_weights_cost(kind):
    model = network(KINDS[kind], KINDS[kind])
    report = fw.check_gradients(model, *data(9), tolerance=1e-8)
    assert report, report
    model.layers[1].trainable = False
    report = fw.check_gradients(model, *data(9), tolerance=1e-8)
    assert report, report
    x, y = data()
    error = np.mean((model.predict(x) - y) ** 2)
    assert model.evaluate(x, y) == pytest.approx(error + cost(model), rel=1e-12)


def test_a_weight_of_0_stays_there_by_itself():
    model = network("l1")
    model.layers[0].kernel[:] = 0.0
    x, y = data()
    plain = network()
    plain.layers[0].kernel[:] = 0.0
    _, gradient, _ = model.loss_and_gradients(x, y)
    np.testing.assert_array_equal(gradient[:24], plain.loss_and_gradients(x, y)[1][:24])


def test_steps_are_the_same_for_any_number_of_threads(monkeypatch):
    import sys

    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    for rows in (40, 900):
        found = []
        for threads in (1, 2, 3):
            model = network(KINDS["both"], "l2", "adam", "float32")
            with fw.threads(threads):
                model.fit(*data(1800), rows, 2, verbose=0)
            found.append(model.parameters.copy())
        assert all((found[0] == other).all() for other in found)


def test_they_are_saved_and_copied(tmp_path):
    model = network(KINDS["both"], {"name": "l1", "l1": 0.5})
    model.save(tmp_path / "model.safetensors")
    for again in (fw.load(tmp_path / "model.safetensors"), model.copy()):
        assert again.layers[0].kernel_regularizer == KINDS["both"]
        assert again.layers[1].bias_regularizer == regularizers.L1(0.5)
        assert again.layers[2].kernel_regularizer is None
        assert again.evaluate(*data()) == model.evaluate(*data())


def test_by_hand():
    weights = np.array([[1.0, -2.0], [0.0, 3.0]])
    assert regularizers.L1(0.1)(weights) == pytest.approx(0.6)
    assert regularizers.L2(0.1)(weights) == pytest.approx(1.4)
    assert regularizers.L1L2(0.1, 0.1)(weights) == pytest.approx(2.0)
    assert regularizers.get(None) is None
    assert regularizers.get("l2") == regularizers.L2(0.01)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: regularizers.L1(-1), "l1: got -1"),
        (lambda: regularizers.L2(np.nan), "l2: got nan"),
        (lambda: layers.Dense(2, kernel_regularizer="l3"), "kernel_regularizer: got 'l3'"),
        (lambda: layers.Dense(2, bias_regularizer=0.1), "bias_regularizer: got float"),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()
