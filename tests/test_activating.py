"""Activations as layers: at their bends, at infinity, and what they refuse."""

import numpy as np
import pytest

import fastweights as fw
from fastweights import layers


def value_and_slope(layer, x, dtype="float64"):
    model = fw.Sequential([layer], len(x), dtype)
    y = model.forward(np.array([x], dtype))
    return y[0].tolist(), model.backward(np.ones((1, len(x)), dtype))[0].tolist()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_relu_at_its_bends(dtype):
    x = [-4.0, 0.5, 1.0, 2.0, 3.0, 4.0]
    relu = layers.ReLU(max_value=3.0, negative_slope=0.25, threshold=1.0)
    value, slope = value_and_slope(relu, x, dtype)
    assert value == [-1.25, -0.125, 0.0, 2.0, 3.0, 3.0]
    assert slope == [0.25, 0.25, 0.25, 1.0, 0.0, 0.0]
    value, slope = value_and_slope(layers.ReLU(max_value=0.0), x, dtype)
    assert value == slope == [0.0] * 6


def test_prelu_at_0():
    layer = layers.PReLU(fw.initializers.Constant(0.25))
    assert value_and_slope(layer, [-2.0, 0.0, 2.0]) == ([-0.5, 0.0, 2.0], [0.25, 0.25, 1.0])


def after_a_dense_layer(layer, number):
    """What the layer makes of `number`, which no input may be."""
    model = fw.Sequential([layers.Dense(1, use_bias=False), layer], 1, "float64")
    model.weights[0][...] = number
    return float(model.predict(np.ones((1, 1)))[0, 0])


def test_infinity_and_nan():
    bent = layers.ReLU(threshold=1.0)
    assert after_a_dense_layer(bent, -np.inf) == 0.0
    assert after_a_dense_layer(layers.ReLU(threshold=1.0), np.inf) == np.inf
    assert after_a_dense_layer(layers.ReLU(max_value=6.0), np.inf) == 6.0
    for layer in (
        layers.ReLU(threshold=1.0, negative_slope=0.5),
        layers.ReLU(max_value=6.0),
        layers.PReLU("ones"),
        layers.Rescaling(2.0),
    ):
        assert np.isnan(after_a_dense_layer(layer, np.nan))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: layers.ReLU(-1.0), ValueError, "max_value: got -1.0, expected .* at least 0"),
        (lambda: layers.ReLU(negative_slope=-1), ValueError, "negative_slope: got -1, expected"),
        (lambda: layers.ReLU(threshold=-1), ValueError, "threshold: got -1, expected"),
        (lambda: layers.LeakyReLU(None), TypeError, "negative_slope: got None, expected a number"),
        (lambda: layers.ELU(-0.5), ValueError, "alpha: got -0.5, expected"),
        (lambda: layers.Softmax(1), ValueError, "axis: got 1, expected -1, the last axis"),
        (lambda: layers.PReLU("none"), ValueError, "alpha_initializer: got 'none'"),
        (
            lambda: layers.PReLU(shared_axes=0),
            ValueError,
            "shared_axes: got 0, expected at least 1",
        ),
        (
            lambda: fw.Sequential([layers.PReLU(shared_axes=[1, 3])], (3, 4)),
            ValueError,
            r"shared_axes: got \(1, 3\), expected axes of rows \(3, 4\), from 1 to 2",
        ),
    ],
)
def test_settings_that_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("loss", ["categorical_crossentropy", "sparse_categorical_crossentropy"])
def test_a_loss_takes_a_softmax_layer_into_itself(loss):
    """Logits so far apart that shares of 0 would have no gradient."""
    model = fw.Sequential([layers.Dense(2, use_bias=False), layers.Softmax()], 2, "float64")
    model.compile("sgd", loss)
    model.weights[0][...] = 1000 * np.eye(2)
    y = np.array([[0.0, 1.0]]) if loss.startswith("cat") else np.array([1])
    value, gradient, _ = model.loss_and_gradients(np.array([[1.0, 0.0]]), y)
    assert value == 1000.0
    np.testing.assert_allclose(gradient, [1.0, -1.0, 0.0, 0.0], atol=1e-12)
