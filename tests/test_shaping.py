"""Layers that move numbers: what they refuse, and what costs nothing."""

import itertools

import numpy as np
import pytest

import fastweights as fw
from fastweights import layers
from fastweights.layers.ops import given


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: layers.Reshape(()), ValueError, r"target_shape: got \(\), expected at least one"),
        (lambda: layers.Reshape((-1, -1)), ValueError, "target_shape: got .* and -1 once at most"),
        (lambda: layers.Reshape((0, 2)), ValueError, "target_shape: got .* sizes of at least 1"),
        (lambda: layers.Reshape((2.0,)), TypeError, "target_shape: got 2.0, expected a whole"),
        (lambda: layers.Permute((0, 1)), ValueError, "dims: got 0, expected at least 1"),
        (
            lambda: layers.Permute((1, 1)),
            ValueError,
            r"dims: got \(1, 1\), expected each of 1 to 2",
        ),
        (
            lambda: layers.Permute((1, 3)),
            ValueError,
            r"dims: got \(1, 3\), expected each of 1 to 2",
        ),
        (lambda: layers.RepeatVector(0), ValueError, "n: got 0, expected at least 1"),
    ],
)
def test_settings_that_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (layers.Reshape((4, 2)), (9,), r"target_shape: got \(4, 2\), expected a shape of the 9"),
        (layers.Reshape((2, 2)), (8,), r"target_shape: got \(2, 2\), expected a shape of the 8"),
        (layers.Reshape((4, -1)), (9,), r"target_shape: got \(4, -1\), expected a shape of the 9"),
        (layers.Permute((2, 1)), (3,), r"dims: got \(2, 1\), expected one for each axis of rows"),
        (layers.RepeatVector(2), (3, 4), r"input of RepeatVector: got rows of shape \(3, 4\)"),
    ],
)
def test_rows_that_do_not_fit_are_refused(layer, shape, message):
    with pytest.raises(ValueError, match=message):
        fw.Sequential([layer], shape)


def test_what_moves_nothing_is_no_op():
    x = given((3, 1, 4))
    for layer in (
        layers.Identity(),
        layers.Flatten(),
        layers.Reshape((2, -1)),
        layers.Permute((1, 2, 3)),
        layers.Permute((2, 1, 3)),
        layers.Permute((1, 3, 2)),
    ):
        assert layer.ops(x).op is x.op


@pytest.mark.parametrize("dims", list(itertools.permutations((1, 2, 3, 4))))
def test_every_order_of_four_axes(dims):
    x = np.arange(2 * 120.0).reshape(2, 2, 3, 4, 5)
    model = fw.Sequential([layers.Permute(dims)], x.shape[1:], "float64")
    y = np.transpose(x, (0, *dims))
    np.testing.assert_array_equal(model.forward(x), y)
    np.testing.assert_array_equal(model.backward(y), x)


def test_the_gradients_of_many_repetitions_lose_no_digits():
    dy = np.random.default_rng(0).standard_normal((2, 5000, 3)).astype(np.float32)
    model = fw.Sequential([layers.RepeatVector(5000)], 3)
    model.forward(np.zeros((2, 3), np.float32))
    exact = dy.astype(float).sum(axis=1)
    np.testing.assert_allclose(model.backward(dy), exact, rtol=1e-6, atol=1e-5)
