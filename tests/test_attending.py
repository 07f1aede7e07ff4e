"""Attention scores as numbers and as a picture."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import fastweights as fw
from fastweights import layers

RANDOM = np.random.default_rng(0)


def of(layer, told=None, steps=5, keys=5, masks=()):
    """A model whose output is the layer's, float64, with biases that are not 0; and rows for it."""
    query, value = fw.Input((steps, 6)), fw.Input((keys, 4))
    extra = [fw.Input(shape) for shape in masks]
    more = {"attention_mask": extra[0]} if extra else {}
    made = layer(query, value, **more, **(told or {}))
    model = fw.Model([query, value, *extra], made, "float64", seed=0)
    for weight in model.weights:
        weight += RANDOM.normal(0, 0.3, weight.shape)
    x = [RANDOM.normal(size=(3, *tensor.shape[1:])) for tensor in (query, value)]
    return model, x + [(RANDOM.random((3, *shape)) < 0.6) * 1.0 for shape in masks]


def outputs_by_scores(layer, scores, value):
    """What the layer makes, if these are its scores."""
    v = np.einsum("rkf,fhd->rhkd", value, layer.value_kernel) + layer.value_bias[:, np.newaxis]
    said = scores @ np.repeat(v, scores.shape[1] // v.shape[1], axis=1)
    return np.einsum("rhsd,hdf->rsf", said, layer.output_kernel) + layer.output_bias


@pytest.mark.parametrize(
    ("layer", "settings"),
    [
        (layers.MultiHeadAttention(2, 3), {}),
        (layers.MultiHeadAttention(3, 2, 5), {"told": {"use_causal_mask": True}}),
        (layers.MultiHeadAttention(2, 3), {"keys": 7, "masks": [(5, 7)]}),
        (layers.MultiHeadAttention(1, 4), {"keys": 2, "masks": [(2,)]}),
        (layers.GroupQueryAttention(3, 4, 2), {"steps": 1}),
    ],
)
def test_the_output_is_what_the_scores_say(layer, settings):
    model, x = of(layer, **settings)
    scores = fw.attention_scores(model, x)
    assert scores.min() >= 0.0
    sums = scores.sum(axis=-1)
    assert np.all((np.abs(sums - 1) < 1e-12) | (sums == 0))
    made = outputs_by_scores(layer, scores, x[1])
    np.testing.assert_allclose(model.predict(x), made, rtol=1e-10, atol=1e-12)


def two_of_them():
    """A language model, of tokens 1 to 9; 0 is none."""
    tokens = fw.Input((6,), name="tokens")
    embedded = layers.Embedding(10, 8, mask_zero=True)(tokens)
    first = layers.MultiHeadAttention(2, 4, use_bias=False, name="first")
    second = layers.MultiHeadAttention(4, 2, name="second")
    seen = layers.Add()([embedded, first(embedded, embedded, use_causal_mask=True)])
    seen = second(seen, seen)
    return fw.Model(tokens, layers.Dense(3)(layers.GlobalAveragePooling1D()(seen)), seed=0)


TOKENS = np.array([[3, 4, 5, 6, 0, 0], [1, 2, 3, 4, 5, 6]])


def test_layers_by_name_and_by_themselves():
    model = two_of_them()
    by_name = fw.attention_scores(model, TOKENS, "second")
    assert by_name.shape == (2, 4, 6, 6)
    np.testing.assert_array_equal(
        fw.attention_scores(model, TOKENS, model.get_layer("second")), by_name
    )
    assert fw.attention_scores(model, {"tokens": TOKENS}).shape == (2, 2, 6, 6)


def test_masked_keys_and_queries_see_and_are_seen_by_nobody():
    scores = fw.attention_scores(two_of_them(), TOKENS)
    assert (scores[0, :, :, 4:] == 0).all()
    assert (scores[0, :, 4:] == 0).all()
    assert (scores[0, :, :4].sum(axis=-1) > 0.999).all()
    later = np.triu(np.ones((6, 6), bool), 1)
    assert (scores[1, :, later] == 0).all()
    assert (scores[1, :, ~later] > 0).all()


def test_nothing_changes_in_the_model():
    model = two_of_them()
    model.compile("adam", "mse")
    before, memory = model.parameters.copy(), model.parameters
    fw.attention_scores(model, TOKENS)
    assert model.parameters is memory or np.shares_memory(model.parameters, memory)
    np.testing.assert_array_equal(model.parameters, before)
    model.fit(TOKENS, np.zeros((2, 3)), verbose=0)


def test_scores_may_be_huge():
    model, x = of(layers.MultiHeadAttention(2, 3))
    model.parameters[:] *= 1e3
    assert np.isfinite(fw.attention_scores(model, x)).all()


# ---- the picture ---------------------------------------------------------------------------------


@pytest.fixture
def matplotlib():
    return pytest.importorskip("matplotlib")


def test_a_picture_for_each_head(matplotlib, tmp_path):
    model = two_of_them()
    words = ["to", "be", "or", "$not$", " ", "is"]
    path = tmp_path / "heads.png"
    axes = fw.plot_attention(model, TOKENS, "second", row=1, tokens=words, to_file=path)
    scores = fw.attention_scores(model, TOKENS, "second")[1]
    assert len(axes) == 4
    for head, one in enumerate(axes):
        (image,) = one.images
        np.testing.assert_allclose(image.get_array(), scores[head])
        assert image.get_clim() == (0.0, scores.max())
        assert one.get_title(loc="left") == f"head {head + 1}"
        shown = ["to", "be", "or", r"\$not\$", "' '", "is"]
        assert [label.get_text() for label in one.get_xticklabels()] == shown
        beside = [label.get_text() for label in one.get_yticklabels()]
        assert beside == (shown if head == 0 else [])
    assert path.read_bytes().startswith(b"\x89PNG")


def test_what_is_not_seen_is_not_drawn(matplotlib):
    one = fw.plot_attention(two_of_them(), TOKENS)[0]
    assert one.images[0].get_array().mask[4:].all()
    assert not one.images[0].get_array().mask[3, :4].any()


def test_tokens_of_keys_and_many_tokens(matplotlib):
    model, x = of(layers.MultiHeadAttention(5, 2), steps=2, keys=150)
    axes = fw.plot_attention(model, x, tokens="ab", key_tokens=range(150))
    assert len(axes) == 5
    assert [label.get_text() for label in axes[0].get_yticklabels()] == ["a", "b"]
    named = [str(number) for number in range(0, 150, 3)]
    shown = [[label.get_text() for label in one.get_xticklabels()] for one in axes]
    assert shown == [[], named, named, named, named]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"model": 3}, TypeError, "model: got int, expected a model"),
        ({"layer": 3}, TypeError, "layer: got int, expected a layer of the model, or its name"),
        ({"layer": "third"}, ValueError, "layer: got 'third', expected one of first, second"),
        ({"layer": "tokens"}, ValueError, "layer: got 'tokens', expected one of first, second"),
        ({"layer": layers.Dense(2, name="d")}, ValueError, "layer: got Dense 'd', expected an at"),
        (
            {"layer": layers.MultiHeadAttention(2, 3)},
            ValueError,
            "layer: got MultiHeadAttention of no model, expected an attention layer of the model: ",
        ),
        ({"row": 2}, ValueError, "row: got 2"),
        ({"tokens": "abc"}, ValueError, "tokens: got 3, expected 6, one for each step"),
        ({"tokens": 5}, ValueError, "tokens: got int, expected 6"),
        ({"key_tokens": "a"}, ValueError, "key_tokens: got 1, expected 6"),
        ({"to_file": "a.bmp"}, ValueError, "to_file: got 'a.bmp'"),
        (
            {"model": fw.Sequential([layers.Dense(1)], input_shape=3)},
            ValueError,
            "model: got a model without attention, expected one with MultiHeadAttention",
        ),
    ],
)
def test_refusals(matplotlib, arguments, error, message):
    with pytest.raises(error, match=message):
        fw.plot_attention(**{"model": two_of_them(), "x": TOKENS, **arguments})


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ModuleNotFoundError, match="plot_attention: needs matplotlib"):
        fw.plot_attention(two_of_them(), TOKENS)
