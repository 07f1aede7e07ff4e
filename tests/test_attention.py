"""Attention: how it is called, what it makes of odd numbers, and what it takes."""

import re
import sys

import numpy as np
import pytest
import reference_layers as oracle
from helpers import error_with_noise, same_bits

import fastweights as fw
from fastweights import layers
from fastweights._core import philox
from fastweights._plans import plan_for

RANDOM = np.random.default_rng(0)
EPSILON = np.finfo(np.float32).eps


class Attend(layers.Layer):
    """The op alone: queries, keys and values are what it reads."""

    def __init__(self, heads=1, scale=1.0, is_causal=False):
        super().__init__()
        self.settings = heads, scale, is_causal

    def ops(self, query, key, value, *masks):
        heads, scale, is_causal = self.settings
        sizes = (0, 0, heads, heads, key.shape[0], int(is_causal), 0)
        return layers.op(
            "attention",
            query,
            key,
            value,
            *masks,
            shape=(query.shape[0], value.shape[1]),
            lines=query.shape[0],
            sizes=sizes,
            options=(scale, 1.0),
        )


def attended(reads, dtype="float32", **settings):
    """What the op makes of arrays, beside the model that does."""
    tensors = [fw.Input(read.shape[1:]) for read in reads]
    model = fw.Model(tensors, Attend(**settings)(tensors), dtype)
    return model.predict(reads), model


def self_attention(steps=6, features=4, dtype="float64", told=None, **settings):
    """A model that is compiled, with biases that are not 0."""
    x = fw.Input((steps, features))
    layer = layers.MultiHeadAttention(2, 3, **settings)
    y = layers.Dense(2)(layers.Flatten()(layer(x, x, **(told or {}))))
    model = fw.Model(x, y, dtype, seed=3)
    for weight in model.weights:
        weight += np.random.default_rng(1).normal(0, 0.2, weight.shape)
    model.compile("sgd", "mse")
    return model, layer


# ---- how it is called ----------------------------------------------------------------------------


def test_keys_and_masks_go_by_name_or_by_place():
    q, v, k, m = (fw.Input(shape) for shape in ((5, 4), (3, 2), (3, 6), (5, 3)))
    layer = layers.MultiHeadAttention(2, 3)
    x = [RANDOM.standard_normal((2, *tensor.shape[1:])) for tensor in (q, v, k, m)]
    x[3] = x[3] > 0
    by_name = fw.Model([q, v, k, m], layer(q, v, key=k, attention_mask=m))
    by_place = fw.Model([q, v, k, m], layer([q, v, k, m]))
    same_bits(by_name.predict(x), by_place.predict(x))


def test_keys_are_the_values_unless_given():
    q, v, m = fw.Input((5, 4)), fw.Input((3, 2)), fw.Input((3,))
    layer = layers.MultiHeadAttention(2, 3)
    x = [RANDOM.standard_normal((2, *tensor.shape[1:])) for tensor in (q, v, m)]
    masked = fw.Model([q, v, m], layer(q, v, attention_mask=m)).predict([*x[:2], np.ones((2, 3))])
    same_bits(masked, fw.Model([q, v], layer(q, v, v)).predict(x[:2]))
    same_bits(masked, fw.Model([q, v], layer(q, v)).predict(x[:2]))


#: What of 0 and another number does not say which keys are seen, and what is said of it.
NO_MASKS = [
    (-1e9, "got -1e+09 at (1, 2), expected 0 or 1, where 1 is seen; it is added to nothing"),
    (-np.inf, "got -inf at (1, 2), expected 0 or 1"),
    (np.nan, "got nan at (1, 2), expected 0 or 1"),
    (2, "got 2 at (1, 2), expected 0 or 1"),
    (0.5, "got 0.5 at (1, 2), expected 0 or 1"),
]


@pytest.mark.parametrize(("number", "message"), NO_MASKS)
@pytest.mark.parametrize("change", [None, layers.Reshape((1, 3)), layers.RepeatVector(5)])
def test_a_mask_is_of_0_and_1(number, message, change):
    q, v, m = fw.Input((5, 4)), fw.Input((3, 2)), fw.Input((3,), name="m")
    mask = m if change is None else change(m)
    model = fw.Model([q, v, m], layers.MultiHeadAttention(2, 3)(q, v, attention_mask=mask))
    model.compile("sgd", "mse")
    x = [RANDOM.standard_normal((2, *tensor.shape[1:])) for tensor in (q, v)]
    seen, y = np.ones((2, 3), int), np.zeros((2, 5, 4))
    wrong = np.zeros((2, 3), np.asarray(number).dtype)
    wrong[1, 2] = number
    for call in (
        lambda: model.predict([*x, wrong]),
        lambda: model.forward([*x, wrong]),
        lambda: model.fit([*x, wrong], y, verbose=0),
        lambda: model.fit([*x, seen], y, validation_data=([*x, wrong], y), verbose=0),
        lambda: model.evaluate([*x, wrong], y),
        lambda: model.train_on_batch([*x, wrong], y),
    ):
        with pytest.raises(ValueError, match="x.*'m'.*" + re.escape(message)):
            call()
    same = [model.predict([*x, seen.astype(kind)]) for kind in (bool, "u1", "i8", "f4", "f8")]
    for one in same[1:]:
        same_bits(one, same[0])


def test_bytes_of_a_mask_are_looked_at():
    q, m = fw.Input((3, 2)), fw.Input((3,))
    model = fw.Model([q, m], layers.MultiHeadAttention(1, 2)(q, q, attention_mask=m))
    with pytest.raises(ValueError, match=r"got 255 at \(0, 0\), expected 0 or 1"):
        model.predict([np.ones((1, 3, 2)), np.full((1, 3), 255, np.uint8)])


class MaskedByIt(layers.Layer):
    """Says by the first number of each step whether it counts."""

    supports_masking = True

    def ops(self, x):
        return x

    def mask_of(self, x):
        return x.reshaped(x.shape[:1])


def test_a_stream_looks_at_masks_too():
    model = fw.Sequential([MaskedByIt(), layers.LSTM(2)], (3, 1))
    stream = model.stream()
    stream.step(np.ones((1, 1), np.float32))
    with pytest.raises(ValueError, match=r"x: got 3 at \(0, 0\), expected 0 or 1"):
        stream.step(np.full((1, 1), 3, np.float32))
    with pytest.raises(ValueError, match=r"x: got 3 at \(0, 1, 0\), expected 0 or 1"):
        model.predict([[[1], [3], [0]]])


def test_one_layer_may_be_called_in_both_ways(tmp_path):
    """What a call is told is its own, and files, copies and configs keep it."""
    x = fw.Input((6, 4))
    layer = layers.MultiHeadAttention(2, 3)
    y = layers.Concatenate()([layer(x, x), layer(x, x, use_causal_mask=True)])
    model = fw.Model(x, y)
    rows = RANDOM.standard_normal((3, 6, 4))
    found = model.predict(rows)
    assert not np.allclose(found[..., :4], found[..., 4:])
    np.testing.assert_allclose(found[:, -1, :4], found[:, -1, 4:], atol=1e-6)  # sees all
    model.save(tmp_path / "m.safetensors")
    again = fw.Model.from_config(model.config())
    again.set_weights(model.get_weights())
    for one in (fw.load(tmp_path / "m.safetensors"), model.copy(), again):
        same_bits(one.predict(rows), found)
    same_bits(fw.Model(x, model(x)).predict(rows), found)


def test_what_is_as_by_default_is_not_written():
    model, _ = self_attention(told={"use_causal_mask": False})
    assert [len(call) for call in model.config()["calls"]] == [2, 2, 2]
    model, _ = self_attention(told={"use_causal_mask": True})
    assert model.config()["calls"][0] == [0, [0, 0], {"use_causal_mask": True}]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda at, x, y: at(x), "got one tensor, expected query and value"),
        (lambda at, x, y: fw.Sequential([at], (6, 4)), "got one tensor, expected query and value"),
        (lambda at, x, y: at(x, x, mask=y), "got mask=.*; masks go with values: layers.Masking"),
        (lambda at, x, y: at(x, x, x, key=x), "key: got a third tensor beside it"),
        (lambda at, x, y: at(x, y, x), "got 6 keys and 5 values, expected as many of both"),
        (lambda at, x, y: at(x, x, attention_mask=y), r"mask: got rows of shape \(5, 4\)"),
        (lambda at, x, y: at(x, x, return_attention_scores=True), "none: fw.attention_scores"),
        (lambda at, x, y: at(x, x, training=True), "training: got a value, expected none"),
        (
            lambda at, x, y: at(x, x, key_mask=y),
            "key_mask: got a value, expected none: masks go with",
        ),
        (lambda at, x, y: at(x, x, use_causal_mask=2), "use_causal_mask: got 2, expected True"),
        (lambda at, x, y: at(x, x, causal=True), "got causal=True, expected use_causal_mask"),
        (lambda at, x, y: at(x, x, use_causal_mask=x), "use_causal_mask: got .*, expected True"),
        (lambda at, x, y: at(x, x, x, x, x), "got 5 values, expected as many as MultiHeadAtt"),
        (lambda at, x, y: at(x, layers.Flatten()(x)), r"rows of shape \(24,\), expected rows"),
        (lambda at, x, y: layers.Dense(2)(x, units=3), "call of Dense: got units=3, expected no"),
    ],
)
def test_calls_that_make_no_sense(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call(layers.MultiHeadAttention(2, 3), fw.Input((6, 4)), fw.Input((5, 4)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.MultiHeadAttention(0, 3), "num_heads: got 0"),
        (lambda: layers.MultiHeadAttention(2, 0), "key_dim: got 0"),
        (lambda: layers.MultiHeadAttention(2, 3, value_dim=0), "value_dim: got 0"),
        (lambda: layers.MultiHeadAttention(2, 3, dropout=1.5), "dropout: got 1.5"),
        (lambda: layers.MultiHeadAttention(2, 3, attention_axes=2), "attention_axes: got 2, expe"),
        (lambda: layers.MultiHeadAttention(2, 3, flash_attention=False), "flash_attention: got F"),
        (lambda: layers.MultiHeadAttention(2, 3, output_shape=(2, 3)), "output_shape: got "),
        (lambda: layers.GroupQueryAttention(2, 4, 3), "num_key_value_heads: got 3, expected a di"),
    ],
)
def test_settings_that_make_no_sense(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()


def test_what_keras_takes_besides_and_changes_nothing():
    settings = {"attention_axes": (1,), "flash_attention": True, "output_shape": (4,)}
    model, layer = self_attention(**settings)
    assert layer.config()["output_shape"] == 4
    same_bits(model.parameters, self_attention()[0].parameters)


def test_weights_have_the_shapes_and_the_order_of_keras():
    q, v = fw.Input((5, 4)), fw.Input((3, 2))
    layer = layers.MultiHeadAttention(2, 3, value_dim=5, output_shape=7)
    fw.Model([q, v], layer(q, v))
    assert {name: weight.shape for name, weight in layer.weights.items()} == {
        "query_kernel": (4, 2, 3),
        "query_bias": (2, 3),
        "key_kernel": (2, 2, 3),
        "key_bias": (2, 3),
        "value_kernel": (2, 2, 5),
        "value_bias": (2, 5),
        "output_kernel": (2, 5, 7),
        "output_bias": (7,),
    }


def test_heads_that_share_keys_are_heads_with_the_same_keys():
    x = fw.Input((7, 5))
    shared, apart = layers.GroupQueryAttention(3, 4, 2), layers.MultiHeadAttention(4, 3)
    models = [fw.Model(x, layer(x, x), "float64") for layer in (shared, apart)]
    for name, weight in shared.weights.items():
        is_shared = name.startswith(("key", "value"))
        apart.weights[name][...] = np.repeat(weight, 2, axis=-2) if is_shared else weight
    rows = RANDOM.standard_normal((3, 7, 5))
    np.testing.assert_allclose(*[model.predict(rows) for model in models], rtol=1e-12)


# ---- files ---------------------------------------------------------------------------------------


def tensors_of(path):
    from fastweights import serialization

    with serialization.opened(path) as file:
        return {name: file.read(name) for name in file.tensors if name != "optimizer.state"}


def saved(layer, path, features=6):
    x = fw.Input((5, features))
    model = fw.Model(x, layer(x, x), "float64", seed=1)
    for weight in model.weights:
        weight += np.random.default_rng(2).normal(0, 0.5, weight.shape)
    model.save(path)
    same_bits(fw.load(path).parameters, model.parameters)
    return model


def test_files_have_the_tensors_of_torch(tmp_path):
    layer = layers.MultiHeadAttention(2, 3, name="at")
    saved(layer, tmp_path / "m.safetensors")
    tensors, w = tensors_of(tmp_path / "m.safetensors"), layer.weights
    joined = [w[f"{name}_kernel"].reshape(6, 6).T for name in ("query", "key", "value")]
    np.testing.assert_array_equal(tensors["at.in_proj_weight"], np.concatenate(joined))
    biases = [w[f"{name}_bias"].ravel() for name in ("query", "key", "value")]
    np.testing.assert_array_equal(tensors["at.in_proj_bias"], np.concatenate(biases))
    np.testing.assert_array_equal(
        tensors["at.out_proj.weight"], layer.output_kernel.reshape(6, 6).T
    )
    np.testing.assert_array_equal(tensors["at.out_proj.bias"], layer.output_bias)
    assert len(tensors) == 4


@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.MultiHeadAttention(2, 4, name="at"),
        lambda: layers.MultiHeadAttention(2, 3, value_dim=2, name="at"),
        lambda: layers.MultiHeadAttention(2, 3, output_shape=5, name="at"),
        lambda: layers.GroupQueryAttention(3, 2, 1, name="at"),
    ],
)
def test_files_of_what_torch_has_not_have_names_of_their_own(tmp_path, layer):
    made = layer()
    saved(made, tmp_path / "m.safetensors")
    assert set(tensors_of(tmp_path / "m.safetensors")) == {f"at.{name}" for name in made.weights}


@pytest.mark.parametrize("use_bias", [True, False])
def test_torch_takes_what_is_saved(tmp_path, use_bias):
    torch = pytest.importorskip("torch")
    layer = layers.MultiHeadAttention(2, 3, use_bias=use_bias, name="at")
    model = saved(layer, tmp_path / "m.safetensors")
    twin = torch.nn.MultiheadAttention(6, 2, bias=use_bias, batch_first=True, dtype=torch.float64)
    tensors = tensors_of(tmp_path / "m.safetensors")
    state = {name.removeprefix("at."): torch.tensor(tensor) for name, tensor in tensors.items()}
    twin.load_state_dict(state)
    x = RANDOM.standard_normal((3, 5, 6))
    found, _ = twin(*[torch.tensor(x)] * 3)
    np.testing.assert_allclose(model.predict(x), found.detach().numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("is_causal", [False, True])
def test_masked_steps_are_the_padding_of_torch(tmp_path, is_causal):
    torch = pytest.importorskip("torch")
    x = fw.Input((9, 6))
    inner = layers.Masking()(x)
    layer = layers.MultiHeadAttention(2, 3, name="at")
    model = fw.Model(x, layer(inner, inner, use_causal_mask=is_causal), "float64", seed=3)
    model.compile(fw.optimizers.SGD(1.0), "mse")
    model.save(tmp_path / "m.safetensors", include_optimizer=False)
    tensors = tensors_of(tmp_path / "m.safetensors")
    twin = torch.nn.MultiheadAttention(6, 2, batch_first=True, dtype=torch.float64)
    twin.load_state_dict(
        {name.removeprefix("at."): torch.tensor(tensor) for name, tensor in tensors.items()}
    )
    rows, y = RANDOM.standard_normal((2, 5, 9, 6))
    is_told = np.arange(9) < np.array([[9], [1], [4], [8], [6]])
    rows[~is_told] = 0.0
    inputs, told = torch.tensor(rows, requires_grad=True), torch.tensor(is_told)
    hidden = torch.ones(9, 9, dtype=bool).triu(1) if is_causal else None
    found, _ = twin(*[inputs] * 3, key_padding_mask=~told, attn_mask=hidden, need_weights=False)
    loss = ((found - torch.tensor(y)) ** 2).mean(-1)[told].mean()
    loss.backward()
    own, _, dx = model.loss_and_gradients(rows, y)
    np.testing.assert_allclose(own, loss.item(), rtol=1e-12)
    np.testing.assert_allclose(dx, inputs.grad.numpy(), rtol=1e-9, atol=1e-14)
    predicted = model.predict(rows)[is_told]
    np.testing.assert_allclose(predicted, found.detach().numpy()[is_told], rtol=1e-11, atol=1e-14)


# ---- what a query sees ---------------------------------------------------------------------------


def reads_of(steps, keys, width, rows=2, dtype="float32"):
    shapes = (rows, steps, width), (rows, keys, width), (rows, keys, width)
    return [RANDOM.standard_normal(shape).astype(dtype) for shape in shapes]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_comes_later_does_not_move_a_bit(dtype):
    """Under a causal mask: steps may be added, as text is."""
    reads = reads_of(200, 200, 6, dtype=dtype)
    whole, _ = attended(reads, dtype, is_causal=True, heads=2)
    for steps in (1, 31, 32, 33, 129, 161):
        part, _ = attended([read[:, :steps] for read in reads], dtype, is_causal=True, heads=2)
        same_bits(part, whole[:, :steps])


@pytest.mark.parametrize("shape", [(300,), (9, 300)])
def test_keys_behind_the_last_that_is_seen_are_as_if_they_were_not_there(shape):
    reads = reads_of(9, 300, 5)
    mask = np.ones((2, *shape))
    mask[..., 133:] = 0
    reads[1][:, 133:], reads[2][:, 133:] = 3e38, -3e38
    found, _ = attended([*reads, mask])
    part, _ = attended([reads[0], reads[1][:, :133], reads[2][:, :133]])
    same_bits(found, part)


def test_masks_go_together():
    reads = reads_of(40, 150, 4, dtype="float64")
    one, other = RANDOM.integers(0, 2, (2, 150)), RANDOM.integers(0, 2, (2, 40, 150))
    found, _ = attended([*reads, one, other], "float64", is_causal=True)
    is_seen = (one[:, None] * other * np.tri(40, 150)).astype(bool)
    expected = oracle.attended(reads[0] * 2, reads[1], reads[2], is_seen)  # sqrt(4) is in there
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("is_causal", [False, True])
def test_steps_behind_the_last_that_counts_are_as_if_they_were_not_there(is_causal):
    told = {"use_causal_mask": is_causal}
    words = RANDOM.integers(1, 9, (3, 50))
    words[:, 37:] = 0
    found, part = [], []
    for steps, to in ((50, found), (37, part)):
        x = fw.Input((steps,))
        inner = layers.Embedding(9, 4, mask_zero=True)(x)
        model = fw.Model(x, layers.MultiHeadAttention(2, 3)(inner, inner, **told), seed=0)
        to.append(model.predict(words[:, :steps]))
    same_bits(found[0][:, :37], part[0])
    bias = model.layers[-1].output_bias
    same_bits(found[0][:, 37:], np.broadcast_to(bias, (3, 13, 4)).copy())


def test_masks_go_with_what_is_read():
    """Those of queries, keys and values; the output has that of the queries."""
    words, others = fw.Input((5,)), fw.Input((7,))
    query = layers.Embedding(6, 4, mask_zero=True)(words)
    value = layers.Embedding(6, 3, mask_zero=True)(others)
    seen = layers.MultiHeadAttention(2, 3)(query, value)
    model = fw.Model([words, others], layers.GRU(2)(seen), "float64", seed=1)
    rows = RANDOM.integers(0, 6, (8, 5)), RANDOM.integers(0, 6, (8, 7))
    rows[0][0], rows[1][1] = 0, 0
    first, second, attention, gru = model.layers
    made = oracle.attention(
        first.embeddings[rows[0]],
        second.embeddings[rows[1]],
        tuple(attention.get_weights()),
        query_mask=rows[0],
        key_mask=rows[1],
    )
    steps = fw.Input((5, 4))
    alone = fw.Model(steps, layers.GRU(2)(layers.Masking(7.0)(steps)), "float64")
    alone.set_weights(gru.get_weights())
    made[rows[0] == 0] = 7.0
    np.testing.assert_allclose(model.predict(rows), alone.predict(made), rtol=1e-12, atol=1e-14)
    model.compile("sgd", "mse")
    assert fw.check_gradients(model, rows, RANDOM.standard_normal((8, 2)), tolerance=1e-8).passed


def test_masks_of_other_steps_are_refused():
    class Odd(layers.Layer):
        def ops(self, x):
            return x

        def mask_of(self, x):
            return layers.op("mask_steps", x, shape=(3,), lines=3, options=(0.0,))

    x = fw.Input((6, 4))
    odd = Odd()(x)
    with pytest.raises(
        ValueError, match=r"inputs: got a mask of rows of shape \(3,\), expected masks of \(6,\)"
    ):
        fw.Model(x, layers.MultiHeadAttention(1, 2)(odd, odd))


def test_a_query_that_sees_nothing_gets_nothing():
    x, m = fw.Input((5, 4)), fw.Input((5, 5))
    layer = layers.MultiHeadAttention(2, 3)
    model = fw.Model([x, m], layer(x, x, attention_mask=m), "float64")
    model.compile("sgd", "mse")
    mask = np.tri(5)
    mask[1] = 0
    rows = RANDOM.standard_normal((3, 5, 4)), np.stack([mask] * 3)
    layer.output_bias[...] = [1, 2, 3, 4]
    np.testing.assert_array_equal(model.predict(rows)[:, 1], [[1, 2, 3, 4]] * 3)
    assert fw.check_gradients(model, rows, RANDOM.standard_normal((3, 5, 4)), tolerance=1e-8).passed
    empty = rows[0], np.zeros((3, 5, 5))
    np.testing.assert_array_equal(model.predict(empty), np.full((3, 5, 4), layer.output_bias))
    gradient = model.loss_and_gradients(empty, np.zeros((3, 5, 4)))[1]
    assert np.isfinite(gradient).all()
    assert not gradient[: -layer.output_bias.size].any()


# ---- numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("keys", [1, 2, 5, 127, 129, 700, 3000])
@pytest.mark.parametrize("spread", [0.1, 1.0, 30.0])
def test_shares_are_right_to_the_last_digits(keys, spread):
    """Of scores that are exact; a share loses what rounding leaves of it, and little more."""
    scores = (spread * RANDOM.standard_normal(keys)).astype(np.float32)
    values = np.eye(keys, dtype=np.float32)
    query, key = np.ones((1, 1, 1), np.float32), scores.reshape(1, keys, 1)
    found = attended([query, key, values[np.newaxis]])[0][0, 0]
    exact = scores.astype(float) - scores.max()
    shares = np.exp(exact) / np.exp(exact).sum()
    kept = shares > 1e-28  # beyond 2^-95 of the largest they are nothing
    units = np.abs(found - shares)[kept] / (EPSILON * shares[kept])
    assert np.all(units <= 8 - exact[kept])
    assert np.all(found[~kept] <= 1e-27)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scores_may_be_huge(dtype):
    """The largest takes all; of several that are equal, or beyond all numbers, each has a share."""
    most = float(np.finfo(dtype).max)
    for size in (1e3, most / 4, most):
        key = np.array([1.0, -1.0, 1.0, 0.25, 0.0]).reshape(1, 5, 1)
        value = np.arange(5.0).reshape(1, 5, 1)
        query = np.full((1, 1, 1), size)
        found, _ = attended([query, key * 2, value], dtype)
        np.testing.assert_array_equal(found, [[[1.0]]])  # of values 0 and 2, both seen alike
        found, _ = attended([-query, key * 2, value], dtype)
        np.testing.assert_array_equal(found, [[[1.0]]])  # value 1 alone
    block = np.zeros((1, 300, 1))
    block[0, 200:], values = 1.0, np.arange(300.0).reshape(1, 300, 1)
    found, _ = attended([np.full((1, 1, 1), most), block * 2, values], dtype)
    np.testing.assert_allclose(found, [[[249.5]]], rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_with_huge_scores_are_numbers(dtype):
    most = float(np.finfo(dtype).max)
    reads = [np.full((1, 2, 1), most), np.array([[[2.0], [-2.0], [2.0]]]), np.ones((1, 3, 1))]
    _, model = attended(reads, dtype)
    model.forward(reads)
    dy = np.full((1, 2, 1), most / 8)
    assert all(np.isfinite(dx).all() for dx in model.backward(dy))


def test_memory_grows_with_the_steps_alone():
    steps = 2048
    x = fw.Input((steps, 16))
    model = fw.Model(x, layers.MultiHeadAttention(2, 8)(x, x, use_causal_mask=True))
    model.compile("adam", "mse")
    assert model.memory(1)["arena"] < steps * steps
    rows = RANDOM.standard_normal((1, steps, 16)).astype(np.float32)
    model.fit(rows, rows, batch_size=1, verbose=0)


# ---- dropout -------------------------------------------------------------------------------------


@pytest.mark.parametrize("told", [None, {"use_causal_mask": True}])
@pytest.mark.parametrize("steps", [3, 34, 131])
def test_gradients_with_the_draws_held_fixed(steps, told):
    model, _ = self_attention(steps, 2, told=told, dropout=0.4)
    random = np.random.default_rng(1)
    x, y = random.standard_normal((3, steps, 2)), random.standard_normal((3, 2))
    assert error_with_noise(model, x, y) < 1e-8


def test_draws_are_zeros_and_scaled_ones():
    """By values that are one-hot, from which shares come out."""
    x, v = fw.Input((33, 1)), fw.Input((130, 130))
    layer = layers.MultiHeadAttention(1, 1, value_dim=130, output_shape=130, dropout=0.25)
    model = fw.Model([x, v], layer(x, v), "float64", seed=1)
    for name, weight in layer.weights.items():
        weight[...] = 0
        if name in ("value_kernel", "output_kernel"):
            weight[...] = np.eye(130).reshape(weight.shape)
    rows = np.zeros((40, 33, 1)), np.stack([np.eye(130)] * 40)
    shares = model.forward(rows, training=True)
    kept = shares > 0
    np.testing.assert_allclose(shares[kept], 1 / 130 / 0.75, rtol=1e-12)
    deviation = np.sqrt(0.25 * 0.75 / kept.size)
    assert abs(kept.mean() - 0.75) < 5 * deviation
    for axis in (0, 1, 2):  # no two rows, queries or keys alike
        apart = np.moveaxis(kept, axis, 0).reshape(kept.shape[axis], -1)
        assert len(np.unique(apart, axis=0)) == len(apart)
    np.testing.assert_allclose(model.predict(rows), 1 / 130, rtol=1e-12)
    assert not np.array_equal(model.forward(rows, training=True) > 0, kept)


def test_all_may_be_dropped():
    model, layer = self_attention(dropout=1.0)
    x = RANDOM.standard_normal((3, 6, 4))
    none = model.forward(x, training=True)
    layer.value_kernel[...] = layer.value_bias[...] = 0
    np.testing.assert_allclose(none, model.predict(x), rtol=1e-12)


def test_the_same_bits_for_any_team_and_any_cut(monkeypatch):
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    random = np.random.default_rng(1)
    x, y = random.standard_normal((100, 6, 4)), random.standard_normal((100, 2))
    for batch in (9, 100):
        found = []
        for threads in (1, 2, 3):
            model, _ = self_attention(dropout=0.3, dtype="float32")
            with fw.threads(threads):
                model.fit(x, y, batch, 2, verbose=0)
            found.append(model.parameters.copy())
        same_bits(found[1], found[0])
        same_bits(found[2], found[0])


def test_backward_draws_what_forward_drew_for_any_team(monkeypatch):
    """One query a row, of equal keys: dv is what forward had a share of."""
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    q, v = fw.Input((1, 1)), fw.Input((8, 1))
    layer = layers.MultiHeadAttention(1, 1, dropout=0.5, use_bias=False)
    model = fw.Model([q, v], layer(q, v), seed=1)
    for weight in model.weights:
        weight[...] = 1
    layer.query_kernel[...] = 0
    rows = np.zeros((64, 1, 1), np.float32), np.ones((64, 8, 1), np.float32)
    with fw.threads(2):
        plan = plan_for(model, "keep", 64)
        for first, second in ((1, 2), (2, 1)):
            y, dx = np.empty((64, 1, 1), np.float32), tuple(map(np.empty_like, rows))
            plan.grant(64, 0, first)
            plan.forward(rows, y, 64, 5, philox.STREAM_PASS)
            plan.grant(64, 0, second)
            plan.backward(np.ones_like(y), dx, 64)
            np.testing.assert_allclose(dx[1].sum(axis=1), y[:, 0], rtol=1e-6)
            assert len(np.unique(y)) > 3


# ---- series --------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", [None, "softmax"])
def test_a_loss_may_look_at_every_step(activation):
    """The next of two numbers, by the one and the one before it."""
    x = np.random.default_rng(4).integers(0, 5, (256, 8))
    y = (x + np.roll(x, 1, axis=1)) % 5
    y[:, 0] = x[:, 0]
    t, places = fw.Input((8,), dtype="int32"), fw.Input((8,), dtype="int32")
    seen = layers.Add()([layers.Embedding(5, 16)(t), layers.Embedding(8, 16)(places)])
    for _ in range(2):
        seen = layers.Add()(
            [seen, layers.MultiHeadAttention(2, 8)(seen, seen, use_causal_mask=True)]
        )
        seen = layers.Add()([seen, layers.Dense(16)(layers.Dense(64, "relu")(seen))])
    model = fw.Model([t, places], layers.Dense(5, activation)(seen), seed=0)
    loss = fw.losses.SparseCategoricalCrossentropy(from_logits=activation is None)
    model.compile(fw.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    rows = [x, np.tile(np.arange(8), (256, 1))]
    model.fit(rows, y, 16, 40, verbose=0)
    assert model.evaluate(rows, y, verbose=0)[1] > 0.99


@pytest.mark.parametrize(
    ("sizes", "shapes"),
    [
        ((0, 0, 2, 2, 5, 0, 0), [(4, 6), (5, 6)]),
        ((0, 0, 2, 2, 5, 0, 0), [(4, 6), (5, 6), (5, 7)]),
        ((0, 0, 2, 2, 3, 0, 0), [(4, 6), (5, 6), (5, 6)]),
        ((0, 0, 4, 4, 5, 0, 0), [(4, 6), (5, 6), (5, 6)]),
        ((0, 0, 2, 0, 5, 0, 0), [(4, 6), (5, 6), (5, 6)]),
        ((0, 0, 0, 0, 5, 0, 0), [(4, 6), (5, 6), (5, 6)]),
        ((0, 0, 2, 2, 0, 0, 0), [(4, 6), (5, 6), (5, 6)]),
        ((0, 0, 2, 2, 5, 2, 0), [(4, 6), (5, 6), (5, 6)]),
        ((0, 65537, 2, 2, 5, 0, 0), [(4, 6), (5, 6), (5, 6)]),
        ((0, 0, 2, 2, 5, 0, 0), [(4, 6), (5, 6), (5, 6), (4, 4)]),
        ((0, 0, 2, 2, 5, 0, 2), [(4, 6), (5, 6), (5, 6), (4,)]),
        ((0, 0, 2, 2, 5, 0, 1), [(4, 6), (5, 6), (5, 6)]),
        ((0, 0, 2, 2, 5, 0, 1), [(4, 6), (5, 6), (5, 6), (5,)]),
        ((0, 0, 2**62, 2**62, 5, 0, 0), [(4, 6), (5, 6), (5, 6)]),
        ((0, 0, 2, 2, 2**62, 0, 0), [(4, 6), (5, 6), (5, 6)]),
    ],
)
def test_sizes_that_do_not_add_up_are_refused(sizes, shapes):
    class Wrong(layers.Layer):
        def ops(self, *reads):
            return layers.op("attention", *reads, lines=4, sizes=sizes, options=(1.0, 1.0))

    tensors = [fw.Input(shape) for shape in shapes]
    with pytest.raises(ValueError, match=r"'attention'.*expected"):
        fw.Model(tensors, Wrong()(tensors))
