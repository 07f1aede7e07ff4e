"""Warnings where a loss, its targets and the last activation do not go together."""

import re
import warnings

import numpy as np
import pytest

import fastweights as fw
from fastweights import layers, losses

X = np.random.default_rng(0).standard_normal((12, 3))


def compiled(last, loss, outputs=2):
    model = fw.Sequential([layers.Dense(outputs, last)], 3, seed=0)
    model.compile("sgd", loss)
    return model


def warned(call):
    """What a call warns of, all of it about the line that calls it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    assert {one.filename for one in caught} <= {__file__}
    return [str(one.message) for one in caught]


@pytest.mark.parametrize(
    ("last", "loss", "says"),
    [
        ("softmax", losses.CategoricalFocalCrossentropy(from_logits=True), "takes the output of"),
        ("sigmoid", losses.BinaryFocalCrossentropy(from_logits=True), "makes probabilities"),
        (None, losses.BinaryFocalCrossentropy(), "end with activation='sigmoid'"),
        (None, "categorical_focal_crossentropy", "end with activation='softmax'"),
        ("sigmoid", "hinge", "signed scores"),
        ("sigmoid", "squared_hinge", "signed scores"),
        ("softmax", "categorical_hinge", "signed scores"),
        (None, "kl_divergence", "is for probabilities"),
        ("relu", losses.Quantile((0.5,)), "numbers of any size and sign"),
        ("tanh", "gaussian_nll", "numbers of any size and sign"),
    ],
)
def test_activations_that_do_not_suit_a_loss(last, loss, says):
    (message,) = warned(lambda: compiled(last, loss))
    assert says in message


@pytest.mark.parametrize(
    ("last", "loss"),
    [
        ("softmax", "categorical_focal_crossentropy"),
        ("sigmoid", "binary_focal_crossentropy"),
        (None, losses.CategoricalFocalCrossentropy(from_logits=True)),
        ("tanh", "hinge"),
        (None, "categorical_hinge"),
        ("softmax", "kld"),
        (None, losses.Quantile((0.5,))),
        (None, "gaussian_nll"),
        ("softplus", "msle"),
        (None, "cosine_similarity"),
        ("sigmoid", lambda t, p: (p[:, 0], p)),
    ],
)
def test_those_that_do(last, loss):
    assert warned(lambda: compiled(last, loss)) == []


@pytest.mark.parametrize(
    ("last", "y", "says"),
    [
        ("sigmoid", np.full((12, 2), 255, np.uint8), "targets up to 255, .* beyond 1; y / 255 is"),
        ("tanh", np.full((12, 2), -700.0), "targets up to 700, .*scale them"),
    ],
)
def test_targets_out_of_reach(last, y, says):
    model = compiled(last, "mse")
    (message,) = warned(lambda: model.fit(X, y, verbose=0))
    assert re.search(says, message)


@pytest.mark.parametrize("last", ["sigmoid", "tanh", None, "relu"])
def test_targets_within_reach(last):
    model = compiled(last, "mse")
    assert warned(lambda: model.fit(X, np.full((12, 2), 3.0), verbose=0)) == []
