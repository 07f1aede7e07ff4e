"""Layers of several members: each is a network of its own."""

import sys

import numpy as np
import pytest

import fastweights as fw
from fastweights import layers

MEMBERS = 5


def ensemble(widths=(4, 7, 2), activation="tanh", dtype="float64", **settings):
    stack = [layers.RepeatVector(MEMBERS)]
    stack += [layers.MemberDense(width, activation, **settings) for width in widths[1:-1]]
    stack.append(layers.MemberDense(widths[-1], **settings))
    model = fw.Sequential(stack, widths[0], dtype=dtype, seed=3)
    for weight in model.weights:
        weight += np.random.default_rng(1).normal(0, 0.1, weight.shape)
    model.compile("sgd", "mse")
    return model


def member(model, number):
    """One member as a network of dense layers."""
    found = [layer for layer in model.layers if isinstance(layer, layers.MemberDense)]
    stack = [
        layers.Dense(layer.units, layer.activation, use_bias=layer.use_bias) for layer in found
    ]
    single = fw.Sequential(stack, model.input_shape, dtype=model.dtype, seed=0)
    single.set_weights([w[number] for layer in found for w in layer.weights.values()])
    single.compile("sgd", "mse")
    return single


def data(rows, inputs=4, outputs=2):
    random = np.random.default_rng(2)
    return random.standard_normal((rows, inputs)), random.standard_normal((rows, MEMBERS, outputs))


@pytest.mark.filterwarnings("ignore:layers. the softmax of")  # over one unit
@pytest.mark.parametrize("settings", [{}, {"use_bias": False}])
@pytest.mark.parametrize("activation", ["tanh", "relu", "softmax", None])
@pytest.mark.parametrize("widths", [(4, 7, 2), (3, 70, 1), (80, 9, 33), (1, 1, 1)])
@pytest.mark.parametrize("rows", [11, 250])
def test_each_member_is_a_network_of_its_own(rows, widths, activation, settings):
    model = ensemble(widths, activation, **settings)
    x, y = data(rows, widths[0], widths[-1])
    out = model.predict(x)
    assert out.shape == (rows, MEMBERS, widths[-1])
    _, gradient, _ = model.loss_and_gradients(x, y)
    parts, offset = [], 0
    for weight in model.weights:
        parts.append(gradient[offset : offset + weight.size].reshape(weight.shape))
        offset += weight.size
    for number in range(MEMBERS):
        single = member(model, number)
        np.testing.assert_allclose(out[:, number], single.predict(x), rtol=1e-12, atol=1e-14)
        _, expected, _ = single.loss_and_gradients(x, y[:, number])
        found = np.concatenate([part[number].ravel() for part in parts])
        np.testing.assert_allclose(found * MEMBERS, expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("lead", [(), (3,)])
def test_gradients(lead):
    stack = [
        layers.MemberScale("random_normal"),
        layers.Dense(6, "tanh"),
        layers.MemberScale(),
        layers.MemberDense(5, "relu", kernel_regularizer="l2"),
        layers.MemberDense(2, "softmax"),
    ]
    model = fw.Sequential(stack, (*lead, MEMBERS, 4), dtype="float64", seed=1)
    for weight in model.weights:
        weight += np.random.default_rng(1).normal(0, 0.2, weight.shape)
    model.compile("sgd", "mse")
    random = np.random.default_rng(3)
    x = random.standard_normal((7, *lead, MEMBERS, 4))
    y = random.standard_normal((7, *lead, MEMBERS, 2))
    report = fw.check_gradients(model, x, y, tolerance=1e-8)
    assert report, report


def test_a_scale_is_a_factor_for_each_feature_of_each_member():
    model = fw.Sequential([layers.MemberScale("random_normal")], (MEMBERS, 3), seed=1)
    x = np.random.default_rng(1).standard_normal((6, MEMBERS, 3)).astype(np.float32)
    np.testing.assert_array_equal(model.predict(x), x * model.layers[0].scale)


@pytest.mark.parametrize("rows", [64, 900])
def test_the_same_bits_for_any_number_of_threads(rows, monkeypatch):
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    x, y = data(1800)
    found = []
    for threads in (1, 2, 3):
        model = ensemble(dtype="float32")
        with fw.threads(threads):
            model.fit(x, y, rows, 2, verbose=0)
        found.append(model.parameters.copy())
    assert all((found[0] == other).all() for other in found)


def test_they_are_saved_and_copied(tmp_path):
    stack = [layers.MemberScale(), layers.MemberDense(3, "relu"), layers.MemberDense(1)]
    model = fw.Sequential(stack, (MEMBERS, 4), seed=1)
    model.save(tmp_path / "model.safetensors")
    x = np.random.default_rng(1).standard_normal((6, MEMBERS, 4))
    for again in (fw.load(tmp_path / "model.safetensors"), model.copy()):
        np.testing.assert_array_equal(again.predict(x), model.predict(x))


@pytest.mark.parametrize("kind", [lambda: layers.MemberDense(2), layers.MemberScale])
def test_rows_without_members_are_refused(kind):
    with pytest.raises(ValueError, match=r"got rows of shape \(4,\), expected rows of shape \(..."):
        fw.Sequential([kind()], 4)
