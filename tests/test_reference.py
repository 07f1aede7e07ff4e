"""The oracle against itself: every formula of a derivative against nudging the value."""

import numpy as np
import pytest
import reference

GRID = np.linspace(-7, 7, 402)  # never a whole number, where some have a kink


@pytest.mark.parametrize("name", reference.ACTIVATIONS)
def test_derivatives_of_activations(name):
    value, derivative = reference.ACTIVATIONS[name]
    step = 1e-5
    nudged = (value(GRID + step) - value(GRID - step)) / (2 * step)
    np.testing.assert_allclose(derivative(GRID), nudged, atol=1e-9)


@pytest.mark.parametrize("name", ["linear", "tanh", *reference.ROW_ACTIVATIONS])
def test_backward_is_the_gradient_of_a_weighted_sum(name):
    random = np.random.default_rng(0)
    z, weights = random.standard_normal((2, 4, 5))
    found = np.empty_like(z)
    for index in np.ndindex(z.shape):
        nudge = np.zeros_like(z)
        nudge[index] = 1e-5
        difference = reference.activate(name, z + nudge) - reference.activate(name, z - nudge)
        found[index] = (weights * difference).sum() / 2e-5
    np.testing.assert_allclose(reference.activate_backward(name, z, weights), found, atol=1e-9)


@pytest.mark.parametrize(
    ("loss", "last", "target"),
    [
        ("mean_squared_error", "linear", "numbers"),
        ("log_cosh", "linear", "numbers"),
        ("huber", "tanh", "numbers"),
        ("poisson", "softplus", "counts"),
        ("binary_crossentropy", "sigmoid", "flags"),
        ("binary_crossentropy_logits", "linear", "flags"),
        ("categorical_crossentropy", "softmax", "one_hot"),
        ("categorical_crossentropy_logits", "linear", "one_hot"),
        ("sparse_categorical_crossentropy", "softmax", "labels"),
        ("sparse_categorical_crossentropy_logits", "linear", "labels"),
    ],
)
def test_backpropagation_agrees_with_nudging(loss, last, target):
    random = np.random.default_rng(1)
    x = random.standard_normal((6, 4))
    labels = random.integers(0, 3, 6)
    y = {
        "numbers": random.standard_normal((6, 3)),
        "counts": random.integers(0, 4, (6, 3)).astype(float),
        "flags": random.integers(0, 2, (6, 3)).astype(float),
        "one_hot": reference.one_hot(labels, 3),
        "labels": labels,
    }[target]
    network = reference.MLP((4, 5, 3), ("tanh", last), loss)
    exact, dx = network.gradients(x, y)
    nudged = network.finite_difference_gradients(x, y)
    assert np.linalg.norm(exact - nudged) <= 1e-8 * np.linalg.norm(exact)
    assert dx.shape == x.shape
    nudge = np.zeros_like(x)
    nudge[2, 1] = 1e-5
    difference = (network.loss(x + nudge, y) - network.loss(x - nudge, y)) / 2e-5
    assert dx[2, 1] == pytest.approx(difference, abs=1e-9)


def test_training_by_nudging_recovers_a_line():
    x = np.linspace(-1, 1, 20)[:, np.newaxis]
    network = reference.MLP((1, 1), ("linear",))
    losses = reference.train_by_nudging(network, x, 3 * x - 2, learning_rate=0.3, steps=200)
    np.testing.assert_allclose(network.parameters, [3, -2], atol=1e-6)
    assert losses[-1] < losses[0]
