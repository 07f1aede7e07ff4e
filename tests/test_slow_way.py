"""The slow way and the fast way agree: they train the same network to the same weights.

The slow way, in plain NumPy, finds each weight's direction by nudging it and looking at the loss;
it knows no backpropagation. The fast way is the library's.
"""

import numpy as np
import pytest
import reference

import fastweights as fw
from fastweights import layers, optimizers

STEPS = 100
ROWS = 12

#: widths, activations, loss, learning rate
NETWORKS = {
    "tanh and mse": ((3, 5, 4, 2), ("tanh", "tanh", "linear"), "mean_squared_error", 0.1),
    "softmax and crossentropy": ((4, 6, 3), ("tanh", "softmax"), "categorical_crossentropy", 0.3),
    "sigmoid and crossentropy": ((3, 4, 1), ("sigmoid", "sigmoid"), "binary_crossentropy", 1.0),
}


@pytest.fixture(params=NETWORKS.values(), ids=NETWORKS)
def contest(request):
    """The reference network, a model with the same weights, rows, targets and the learning rate."""
    widths, activations, loss, learning_rate = request.param
    random = np.random.default_rng(1)
    slow = reference.MLP(widths, activations, loss, seed=2)
    stack = [layers.Dense(*layer) for layer in zip(widths[1:], activations, strict=True)]
    fast = fw.Sequential(stack, widths[0], "float64")
    fast.compile(optimizers.SGD(learning_rate), loss)
    fast.set_weights(slow.arrays)
    x = random.normal(size=(ROWS, widths[0]))
    if loss == "mean_squared_error":
        y = random.normal(size=(ROWS, widths[-1]))
    elif loss == "binary_crossentropy":
        y = random.integers(0, 2, (ROWS, 1)).astype(float)
    else:
        y = reference.one_hot(random.integers(0, widths[-1], ROWS), widths[-1])
    return slow, fast, x, y, learning_rate


def assert_same_place(slow, fast, start):
    assert np.abs(fast.parameters - slow.parameters).max() < 1e-6
    # Both went somewhere.
    assert np.abs(fast.parameters - start).max() > 0.1


def test_on_the_whole_batch(contest):
    slow, fast, x, y, learning_rate = contest
    start = slow.parameters
    slow_losses = reference.train_by_nudging(slow, x, y, learning_rate, STEPS)
    fast_losses = [fast.train_on_batch(x, y) for _ in range(STEPS)]
    assert_same_place(slow, fast, start)
    np.testing.assert_allclose(fast_losses, slow_losses, rtol=0, atol=1e-6)
    assert fast_losses[-1] < 0.9 * fast_losses[0]


def test_in_batches_of_a_fixed_order(contest):
    slow, fast, x, y, learning_rate = contest
    start = slow.parameters
    batches = [slice(0, 5), slice(5, 10), slice(10, ROWS)]  # the last one smaller
    epochs = -(-STEPS // len(batches))
    for rows in batches * epochs:
        reference.train_by_nudging(slow, x[rows], y[rows], learning_rate, 1)
    fast.fit(x, y, batch_size=5, epochs=epochs, shuffle=False, verbose=0)
    assert_same_place(slow, fast, start)
