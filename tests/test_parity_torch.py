"""Random networks beside the same ones in PyTorch, in float64; skipped where PyTorch is not there.

Of layers of all kinds in any order, of convolutions and of attention; those of recurrent layers are
in `test_recurrent_parity.py`. ``FASTWEIGHTS_LONG=1 pytest tests/test_parity_torch.py
tests/test_recurrent_parity.py`` compares 200, 300, 100 and 200 of them, the short form few.
"""

import pytest
from damage import cases

from fastweights import layers

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

# All of these need torch.
from parity import compare  # noqa: E402
from recipes_of_all import of_all_kinds  # noqa: E402
from recipes_of_images import convolutional  # noqa: E402
from recipes_of_series import attentive  # noqa: E402
from torch_layers import RANDOM, TWINS  # noqa: E402

OF_ALL_KINDS, CONVOLUTIONAL, ATTENTIVE = 200, 300, 100


@pytest.mark.parametrize("seed", range(cases(16, OF_ALL_KINDS)))
def test_a_network_of_all_kinds_of_layers(seed):
    compare(of_all_kinds(seed), seed)


@pytest.mark.parametrize("seed", range(cases(8, CONVOLUTIONAL)))
def test_a_convolutional_network(seed):
    compare(convolutional(seed), seed)


@pytest.mark.parametrize("seed", range(cases(6, ATTENTIVE)))
def test_a_network_with_attention(seed):
    compare(attentive(seed), seed)


def kinds(recipes):
    return {type(step.layer).__name__ for recipe in recipes for step in recipe.steps}


def test_every_layer_is_compared():
    """Each has a twin, and stands in some of the networks; depths go to 12."""
    assert set(TWINS) | RANDOM == set(layers.LAYERS)
    recipes = [of_all_kinds(seed) for seed in range(OF_ALL_KINDS)]
    assert kinds(recipes) == set(TWINS)
    assert max(recipe.depth() for recipe in recipes) >= 12
    assert {len(recipe.inputs) for recipe in recipes} == {1, 2, 3, 4}
    assert {len(recipe.heads) for recipe in recipes} == {1, 2}


def test_convolutions_are_of_all_kinds():
    recipes = [convolutional(seed) for seed in range(CONVOLUTIONAL)]
    of_windows = ("Conv", "DepthwiseConv", "SeparableConv", "MaxPooling", "AveragePooling")
    of_frames = ("ZeroPadding", "Cropping", "UpSampling", "GlobalMaxPooling")
    assert kinds(recipes) >= {
        *(f"{kind}{rank}D" for kind in (*of_windows, *of_frames) for rank in (1, 2)),
        *("Conv1DTranspose", "Conv2DTranspose", "BatchNormalization", "Dense"),
    }
    found = [step.layer for recipe in recipes for step in recipe.steps]
    convolutions = [layer for layer in found if type(layer).__name__ in ("Conv1D", "Conv2D")]
    for setting in ("strides", "dilation_rate", "groups"):
        assert len({str(getattr(layer, setting)) for layer in convolutions}) > 1, setting
    assert {layer.padding for layer in convolutions} == {"valid", "same", "causal"}


def test_attention_is_of_all_kinds():
    recipes = [attentive(seed) for seed in range(ATTENTIVE)]
    assert kinds(recipes) >= {
        *("MultiHeadAttention", "GroupQueryAttention", "Embedding", "PositionEmbedding"),
        *("SinePositionEncoding", "RotaryEmbedding", "LayerNormalization", "RMSNormalization"),
    }
    steps = [step for recipe in recipes for step in recipe.steps]
    calls = [step for step in steps if "Attention" in type(step.layer).__name__]
    assert {bool(step.told) for step in calls} == {True, False}
    # Of a series to itself, to another one, and to other keys.
    assert {len(set(step.reads)) for step in calls} == {1, 2, 3}
