"""Layers that look at no other row, each with rows for it and what the oracle makes of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import reference_convolution as convolutions
import reference_layers as oracle
import reference_recurrent as steps_oracle

import fastweights as fw
from fastweights import activations, layers, regularizers
from fastweights.layers.ops import op


class Merged(layers.Layer):
    """What a layer of several values makes of what branches make of one; `told` is said to it."""

    def __init__(self, merge, branches, told=None, name=None):
        super().__init__(name)
        self.merge, self.branches, self.told = merge, branches, told or {}

    def variables(self, shape):
        return self.merge.variables(*(branch.output_shape(shape) for branch in self.branches))

    def ops(self, x):
        return self.merge.ops(*(branch.ops(x) for branch in self.branches), **self.told)

    def config(self):
        return {
            "merge": self.merge,
            "branches": self.branches,
            "told": self.told,
            "name": self.name,
        }


class Masked(Merged):
    """A layer for which the steps do not count whose numbers are all below 0."""

    def __init__(self, layer, name=None):
        super().__init__(layer, (), name=name)

    def variables(self, shape):
        return self.merge.variables(shape)

    def ops(self, x):
        above = op("activation", x, activation="relu")
        mask = op("mask_steps", above, shape=x.shape[:-1], lines=x.lines, options=(0.0,))
        return self.merge.made_of(x._replace(mask=mask))

    def config(self):
        return {"layer": self.merge, "name": self.name}


@dataclass(frozen=True)
class Case:
    """A layer, the shape of its rows, and the oracle's function of x and the layer's weights, which
    are drawn around a number."""

    make: Callable[[], layers.Layer]
    shape: tuple[int, ...]
    oracle: Callable[..., np.ndarray]
    smooth: bool = True
    around: float = 1.0


def model_between(case, dtype="float64", outputs=2):
    """The layer between dense ones, or first if it must be; its weights drawn, not compiled."""
    layer, before, shape = case.make(), [], case.shape
    if not isinstance(layer, layers.Embedding):
        before, shape = [layers.Dense(case.shape[-1], "tanh")], (*case.shape[:-1], 3)
    stack = [*before, layer, layers.Flatten(), layers.Dense(outputs)]
    model = fw.Sequential(stack, shape, dtype, seed=0)
    random = np.random.default_rng(1)
    for weight in layer.weights.values():
        weight[...] = case.around + 0.3 * random.standard_normal(weight.shape)
    return model


def rows_for(model, rows, random):
    """Rows that a model takes: whole numbers if its first layer reads such."""
    shape = (rows, *model.input_shape)
    if isinstance(model.layers[0], layers.Embedding):
        return random.integers(0, model.layers[0].input_dim, shape)
    return random.standard_normal(shape)


def normalizations(columns, shape):
    flat = np.ones(columns), np.zeros(columns)
    yield "layer", Case(layers.LayerNormalization, shape, oracle.layer_normalization)
    yield (
        "layer without beta",
        Case(
            lambda: layers.LayerNormalization(center=False, epsilon=0.1),
            shape,
            lambda x, gamma: oracle.layer_normalization(x, gamma, flat[1], 0.1),
        ),
    )
    yield (
        "layer without gamma",
        Case(
            lambda: layers.LayerNormalization(scale=False),
            shape,
            lambda x, beta: oracle.layer_normalization(x, flat[0], beta),
        ),
    )
    yield (
        "layer alone",
        Case(
            lambda: layers.LayerNormalization(center=False, scale=False),
            shape,
            lambda x: oracle.layer_normalization(x, *flat),
        ),
    )
    yield "rms", Case(layers.RMSNormalization, shape, oracle.rms_normalization)
    yield "unit", Case(layers.UnitNormalization, shape, oracle.unit_normalization)
    groups = next(count for count in (4, 3, 2, 1) if columns % count == 0)
    for count in (groups, -1):
        if count == -1 and math.prod(shape) == columns:
            continue  # of one number nothing is left
        yield (
            f"{count} groups",
            Case(
                lambda count=count: layers.GroupNormalization(count),
                shape,
                lambda x, gamma, beta, count=count: oracle.group_normalization(
                    x, columns if count == -1 else count, gamma, beta
                ),
            ),
        )
    yield (
        "groups alone",
        Case(
            lambda: layers.GroupNormalization(groups, center=False, scale=False),
            shape,
            lambda x: oracle.group_normalization(x, groups, *flat),
        ),
    )


#: Around vectors, and around the columns up to which lines lie across vectors.
NORMALIZED = ((2,), (5,), (9,), (16,), (33,), (64,), (65,), (150,), (3, 8), (2, 2, 6), (3, 70))

CASES: dict[str, Case] = {
    f"{name} {'x'.join(map(str, shape))}": case
    for shape in NORMALIZED
    for name, case in normalizations(shape[-1], shape)
}


TANH, DOUBLE = layers.Activation("tanh"), layers.Rescaling(2.0, 0.5)
SAME, LAST, FIRST = layers.Identity(), layers.Concatenate(), layers.Concatenate(1)


def of_three(merge, function, shape, smooth=True):
    """Of x, tanh(x) and 2 x + 0.5."""

    def made(x):
        return function([x, np.tanh(x), 2 * x + 0.5])

    return Case(lambda: Merged(merge, (SAME, TANH, DOUBLE)), shape, made, smooth)


def merges(shape):
    yield "add", of_three(layers.Add(), sum, shape)
    yield "average", of_three(layers.Average(), lambda v: sum(v) / 3, shape)
    yield "multiply", of_three(layers.Multiply(), lambda v: v[0] * v[1] * v[2], shape)
    yield "maximum", of_three(layers.Maximum(), lambda v: np.max(v, axis=0), shape, False)
    yield "minimum", of_three(layers.Minimum(), lambda v: np.min(v, axis=0), shape, False)
    yield "concatenate", of_three(LAST, lambda v: np.concatenate(v, axis=-1), shape)
    yield "concatenate first", of_three(FIRST, lambda v: np.concatenate(v, axis=1), shape)
    yield (
        "subtract",
        Case(lambda: Merged(layers.Subtract(), (TANH, SAME)), shape, lambda x: np.tanh(x) - x),
    )
    yield (
        "sum with itself",
        Case(lambda: Merged(layers.Add(), (SAME, SAME)), shape, lambda x: x + x),
    )
    for axis in range(1, len(shape) + 1):
        yield (
            f"dot {axis}",
            Case(
                lambda axis=axis: Merged(layers.Dot(axis), (SAME, TANH)),
                shape,
                lambda x, axis=axis: oracle.dot(x, np.tanh(x), (axis, axis)),
            ),
        )
        yield (
            f"cosine {axis}",
            Case(
                lambda axis=axis: Merged(layers.Dot(axis, normalize=True), (TANH, SAME)),
                shape,
                lambda x, axis=axis: oracle.dot(np.tanh(x), x, (axis, axis), True),
            ),
        )


CASES |= {
    f"{name} {'x'.join(map(str, shape))}": case
    for shape in ((1,), (5,), (17,), (3, 4), (9, 10), (3, 2, 4))
    for name, case in merges(shape)
    if not (name.startswith("cosine") and 1 in shape)  # whose gradient is 0
}


def turned(dims, shape):
    return Case(lambda: layers.Permute(dims), shape, lambda x: oracle.permute(x, dims))


def shared(axes, shape):
    return Case(lambda: layers.PReLU("ones", shared_axes=axes), shape, oracle.prelu, False)


def relu(shape=(7, 3), **settings):
    return Case(lambda: layers.ReLU(**settings), shape, lambda x: oracle.relu(x, **settings), False)


def outer(merge, one, other, function):
    """Of a row's 6 numbers in two shapes, each of which is repeated along axes of length 1."""
    return Case(
        lambda: Merged(merge, (layers.Reshape(one), layers.Reshape(other))),
        (6,),
        lambda x: function(x.reshape(-1, *one), np.reshape(x, (-1, *other))),
    )


CASES |= {
    "permute 2x1": turned((2, 1), (5, 3)),
    "permute 2x1 long": turned((2, 1), (17, 35)),
    "permute 2x1x3": turned((2, 1, 3), (3, 4, 2)),
    "permute 3x1x2": turned((3, 1, 2), (3, 4, 5)),
    "permute 3x2x1": turned((3, 2, 1), (3, 4, 5)),
    "permute 1x3x2": turned((1, 3, 2), (3, 1, 5)),
    "permute 4x2x1x3": turned((4, 2, 1, 3), (2, 3, 4, 5)),
    "reshape": Case(lambda: layers.Reshape((4, -1)), (2, 6), lambda x: x.reshape(-1, 4, 3)),
    "repeat": Case(lambda: layers.RepeatVector(3), (5,), lambda x: oracle.repeat_vector(x, 3)),
    "repeat one": Case(lambda: layers.RepeatVector(9), (1,), lambda x: oracle.repeat_vector(x, 9)),
    "identity": Case(layers.Identity, (3, 2), lambda x: x),
    "dot of two axes": Case(
        lambda: Merged(layers.Dot((1, 2)), (layers.Reshape((4, 3)), layers.Reshape((3, 4)))),
        (12,),
        lambda x: oracle.dot(x.reshape(-1, 4, 3), x.reshape(-1, 3, 4), (1, 2)),
    ),
    "outer product": outer(layers.Multiply(), (6, 1), (1, 6), np.multiply),
    "outer sum": outer(layers.Add(), (1, 2, 3), (6, 1, 1), np.add),
    "outer difference": outer(layers.Subtract(), (3, 1, 2), (3, 2, 1), np.subtract),
    "prelu": shared(None, (17,)),
    "prelu of numbers": shared(None, (3, 4)),
    "prelu of columns": shared(1, (9, 4)),
    "prelu of lines": shared((2,), (3, 5)),
    "prelu of one": shared((1, 2), (3, 4)),
    "prelu of the middle": shared((2,), (2, 3, 4)),
    "leaky_relu": Case(layers.LeakyReLU, (9,), lambda x: oracle.relu(x, negative_slope=0.3), False),
    "relu": relu(),
    "relu with a slope": relu(negative_slope=0.2),
    "relu with an end": relu(max_value=0.7),
    "relu from a threshold": relu(threshold=0.3),
    "relu with all": relu(max_value=0.7, negative_slope=0.2, threshold=0.3),
    "elu": Case(
        lambda: layers.ELU(0.7), (9,), lambda x: np.where(x > 0, x, 0.7 * np.expm1(x)), False
    ),
    "softmax": Case(layers.Softmax, (5,), oracle.softmax),
    "softmax of lines": Case(layers.Softmax, (3, 70), oracle.softmax),
    "rescaling": Case(lambda: layers.Rescaling(1.7, -0.3), (5, 4), lambda x: 1.7 * x - 0.3),
}

CASES |= {
    "batch": Case(
        layers.BatchNormalization,
        (3, 17),
        lambda x, gamma, beta, mean, variance: (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta,
    ),
    "batch alone": Case(
        lambda: layers.BatchNormalization(center=False, scale=False, epsilon=0.1),
        (5,),
        lambda x, mean, variance: (x - mean) / np.sqrt(variance + 0.1),
    ),
    "figures that are known": Case(
        lambda: layers.Normalization(mean=0.0, variance=1.0),
        (2, 5),
        lambda x, mean, variance: (x - mean) / np.sqrt(variance),
    ),
    "members": Case(
        lambda: layers.MemberDense(9, "tanh"),
        (3, 5),
        lambda x, kernel, bias: np.tanh(np.einsum("rmi,mio->rmo", x, kernel) + bias),
    ),
    "members without bias": Case(
        lambda: layers.MemberDense(2, use_bias=False),
        (4, 3, 20),
        lambda x, kernel: np.einsum("rlmi,mio->rlmo", x, kernel),
    ),
    "members' scales": Case(layers.MemberScale, (2, 3, 5), lambda x, scale: x * scale),
}

ROWS = regularizers.OrthogonalRegularizer(0.7)
COLUMNS = regularizers.OrthogonalRegularizer(0.7, "columns")


def tanh_dense(x, kernel, bias):
    return np.tanh(x @ kernel + bias)


CASES |= {
    "activity": Case(lambda: layers.ActivityRegularization(0.03, 0.2), (3, 7), lambda x: x, False),
    "activity of squares": Case(lambda: layers.ActivityRegularization(l2=0.2), (17,), lambda x: x),
    "activity of a layer": Case(
        lambda: layers.Dense(9, "tanh", activity_regularizer="l2"), (2, 5), tanh_dense
    ),
    "activity of a softmax": Case(
        lambda: layers.Softmax(activity_regularizer={"name": "l2", "l2": 3.0}), (5,), oracle.softmax
    ),
    "members with costs": Case(
        lambda: layers.MemberDense(
            9, "tanh", kernel_regularizer=COLUMNS, bias_regularizer="l2", activity_regularizer="l2"
        ),
        (3, 5),
        lambda x, kernel, bias: np.tanh(np.einsum("rmi,mio->rmo", x, kernel) + bias),
    ),
    "gamma and beta with costs": Case(
        lambda: layers.LayerNormalization(beta_regularizer="l2", gamma_regularizer="l2"),
        (9,),
        oracle.layer_normalization,
    ),
    "groups with costs": Case(
        lambda: layers.GroupNormalization(3, beta_regularizer="l2", gamma_regularizer="l2"),
        (2, 6),
        lambda x, gamma, beta: oracle.group_normalization(x, 3, gamma, beta),
    ),
    "batch with costs": Case(
        lambda: layers.BatchNormalization(beta_regularizer="l2", gamma_regularizer="l2"),
        (3, 17),
        lambda x, gamma, beta, mean, variance: (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta,
    ),
    "prelu with costs": Case(
        lambda: layers.PReLU("ones", alpha_regularizer="l2"), (17,), oracle.prelu, False
    ),
}
CASES |= {
    f"orthogonal {regularizer.mode} {inputs}x{units}": Case(
        lambda units=units, regularizer=regularizer: layers.Dense(
            units, "tanh", kernel_regularizer=regularizer
        ),
        (inputs,),
        tanh_dense,
    )
    for regularizer in (ROWS, COLUMNS)
    for inputs, units in ((2, 2), (3, 9), (9, 3), (17, 5), (40, 18), (18, 40))
}
CASES |= {
    f"embedding {size}x{width} {'x'.join(map(str, shape))}": Case(
        lambda size=size, width=width: layers.Embedding(size, width),
        shape,
        lambda x, embeddings: embeddings[x.astype(int)],
    )
    for size, width, shape in [
        (7, 5, (3,)),
        (1, 3, (1,)),
        (2, 1, (1,)),
        (90, 9, (4,)),
        (40, 17, (2, 2)),
        (5, 70, (9,)),
    ]
}

# Those that draw random numbers in training: in inference they give what they are given.
CASES |= {
    name: Case(make, shape, lambda x: x)
    for name, make, shape in [
        ("dropout", lambda: layers.Dropout(0.4), (3, 7)),
        ("dropout of features", lambda: layers.SpatialDropout1D(0.4), (3, 7)),
        ("alpha dropout", lambda: layers.AlphaDropout(0.4), (9,)),
        ("gaussian dropout", lambda: layers.GaussianDropout(0.4), (9,)),
        ("gaussian noise", lambda: layers.GaussianNoise(0.4), (9,)),
        ("flip", layers.RandomFlip, (5, 7, 1)),
        ("flip of columns", lambda: layers.RandomFlip("horizontal"), (2, 1, 3)),
        ("translation", lambda: layers.RandomTranslation(0.4, 0.6), (5, 20, 1)),
        (
            "nearest translation",
            lambda: layers.RandomTranslation(0.4, 0.6, "wrap", "nearest"),
            (3, 9, 2),
        ),
        ("translation of one", lambda: layers.RandomTranslation(1.0, 1.0, "constant"), (1, 1, 1)),
        ("rotation", lambda: layers.RandomRotation(1.0, "nearest"), (9, 6, 3)),
        ("rotation of a line", lambda: layers.RandomRotation(1.0), (1, 17, 1)),
        ("zoom", lambda: layers.RandomZoom(0.6), (6, 9, 4)),
        ("zoom of both", lambda: layers.RandomZoom(0.6, 0.9, "wrap"), (4, 18, 1)),
        ("contrast", lambda: layers.RandomContrast((0.5, 0.5), (-0.5, 0.5)), (3, 5, 2)),
        ("contrast of one channel", lambda: layers.RandomContrast(0.5), (6, 17, 1)),
        ("brightness", lambda: layers.RandomBrightness(0.5, (-1, 1)), (3, 7, 1)),
        ("erasing", lambda: layers.RandomErasing((1, 1)), (6, 30, 3)),
        ("erasing by a value", lambda: layers.RandomErasing(fill_value=1.0), (5, 4, 2)),
    ]
}


def going(kind, units, shape, masked=False, smooth=True, **settings):
    """A recurrent layer of that kind; `sequences` is return_sequences, `backwards` go_backwards."""

    def made():
        given = {
            "return_sequences": settings.get("sequences", False),
            "go_backwards": settings.get("backwards", False),
        }
        for name, ours in (("activation", "activation"), ("gate", "recurrent_activation")):
            if name in settings:
                given[ours] = settings[name]
        if "reset_after" in settings:
            given["reset_after"] = settings["reset_after"]
        layer = getattr(layers, kind)(units, use_bias=settings.get("bias", True), **given)
        return Masked(layer) if masked else layer

    def told(x, *weights):
        chosen = {name: value for name, value in settings.items() if name != "bias"}
        for name in ("activation", "gate"):
            if name in chosen:
                chosen[name] = activations.get(chosen[name])
        mask = (x > 0).any(axis=-1) if masked else None
        return steps_oracle.recurrent(kind, x, *weights, mask=mask, **chosen)

    return Case(made, shape, told, smooth and not masked, around=0.0)


KINDS = {
    "LSTM": ("LSTM", {}),
    "GRU": ("GRU", {}),
    "GRU before": ("GRU", {"reset_after": False}),
    "SimpleRNN": ("SimpleRNN", {}),
}
CASES |= {
    " ".join([title, str(units), f"{steps}x{features}", *more, *["masked"][:masked]]): going(
        kind, units, (steps, features), masked, **own, **more
    )
    for title, (kind, own) in KINDS.items()
    for units, steps, features, masked, more in (
        (1, 1, 1, False, {}),
        (5, 4, 3, False, {"sequences": True}),
        (9, 3, 2, False, {"backwards": True, "bias": False}),
        (17, 3, 20, False, {"sequences": True, "backwards": True}),
        (70, 2, 9, False, {}),
        (5, 6, 2, True, {}),
        (17, 5, 1, True, {"sequences": True}),
        (3, 5, 2, True, {"sequences": True, "backwards": True, "bias": False}),
    )
}
CASES |= {
    f"{kind} of {activation} and {gate}": going(
        kind,
        9,
        (4, 3),
        masked,
        smooth,
        activation=activation,
        **({} if gate is None else {"gate": gate}),
        **own,
    )
    for kind, own, activation, gate, masked, smooth in (
        ("LSTM", {}, "gelu", "tanh", False, True),
        ("LSTM", {"sequences": True}, "relu", "hard_sigmoid", False, False),
        ("GRU", {}, "softplus", "sigmoid", False, True),
        ("GRU", {"reset_after": False, "sequences": True}, "elu", "silu", True, False),
        ("SimpleRNN", {"sequences": True}, "linear", None, False, True),
        ("SimpleRNN", {}, "mish", None, True, True),
    )
}


def both_ways(kinds, shape, merge="concat", sequences=False, masked=False):
    there, back = kinds

    def made():
        layer = layers.Bidirectional(
            getattr(layers, there)(4, return_sequences=sequences),
            merge,
            getattr(layers, back)(4, return_sequences=sequences, go_backwards=True),
        )
        return Masked(layer) if masked else layer

    def told(x, *weights):
        mask = (x > 0).any(axis=-1) if masked else None
        return steps_oracle.bidirectional(
            kinds, x, *weights, merge=merge, sequences=sequences, mask=mask
        )

    return Case(made, shape, told, not masked, around=0.0)


CASES |= {
    "both ways": both_ways(("LSTM", "LSTM"), (5, 3)),
    "both ways added": both_ways(("GRU", "LSTM"), (5, 3), "sum", True),
    "both ways averaged": both_ways(("SimpleRNN", "GRU"), (3, 2), "ave"),
    "both ways multiplied": both_ways(("GRU", "GRU"), (4, 2), "mul", True),
    "both ways masked": both_ways(("LSTM", "GRU"), (6, 2), "concat", True, True),
    "steps' dense layer": Case(
        lambda: layers.TimeDistributed(layers.Dense(9, "tanh")), (3, 5), tanh_dense
    ),
    "steps' normalisation": Case(
        lambda: layers.TimeDistributed(layers.LayerNormalization()),
        (3, 4),
        oracle.layer_normalization,
    ),
    "steps' axes": Case(
        lambda: layers.TimeDistributed(layers.Permute((2, 1))),
        (3, 4, 5),
        lambda x: np.swapaxes(x, 2, 3),
    ),
    "steps' noise": Case(lambda: layers.TimeDistributed(layers.Dropout(0.4)), (3, 7), lambda x: x),
    "masking": Case(layers.Masking, (3, 7), lambda x: x),
}

TURNED, CAUSAL = layers.Permute((2, 1)), {"use_causal_mask": True}
#: Masks: which keys are above 0, and which queries and keys are alike.
ABOVE = Merged(layers.Flatten(), (layers.ReLU(),))
ALIKE = Merged(layers.ReLU(), (Merged(layers.Dot(2), (SAME, SAME)),))


def attention(layer, shape, branches=(SAME, SAME), told=None, **what):
    """Of values that branches make of x; `what` the oracle is told besides."""
    names = ("query", "value", "key", "mask")

    def made(x, *weights):
        values = {SAME: x, TURNED: x.swapaxes(1, 2), TANH: np.tanh(x), ABOVE: x[..., 0]}
        values[ALIKE] = x @ values[TURNED]
        reads = dict(zip(names, (values[branch] for branch in branches), strict=False))
        return oracle.attention(**reads, weights=weights, is_causal=told is not None, **what)

    # Which keys are seen jumps where a mask comes from x.
    is_smooth = not {ABOVE, ALIKE} & set(branches)
    return Case(lambda: Merged(layer(), branches, told), shape, made, is_smooth, around=0.3)


CASES |= {
    "attention": attention(lambda: layers.MultiHeadAttention(2, 3), (5, 4)),
    "attention without bias": attention(
        lambda: layers.MultiHeadAttention(3, 2, 4, use_bias=False), (4, 3)
    ),
    "attention of one step": attention(lambda: layers.MultiHeadAttention(2, 1), (1, 3)),
    "attention of wide heads": attention(lambda: layers.MultiHeadAttention(1, 37, 70), (4, 2)),
    "attention with dropout": attention(
        lambda: layers.MultiHeadAttention(2, 3, dropout=0.4), (5, 4)
    ),
    "attention over blocks": attention(lambda: layers.MultiHeadAttention(1, 2, 3), (131, 2)),
    "causal attention": attention(lambda: layers.MultiHeadAttention(2, 2), (37, 3), told=CAUSAL),
    "causal attention over blocks": attention(
        lambda: layers.MultiHeadAttention(1, 2), (140, 2), told=CAUSAL
    ),
    "attention elsewhere": attention(
        lambda: layers.MultiHeadAttention(2, 2, output_shape=6), (4, 3), (SAME, TURNED)
    ),
    "causal attention elsewhere": attention(
        lambda: layers.MultiHeadAttention(2, 3), (5, 2), (SAME, TURNED), CAUSAL
    ),
    "attention to keys": attention(
        lambda: layers.MultiHeadAttention(1, 9, 1), (6, 3), (SAME, SAME, TANH)
    ),
    "attention by a mask": attention(
        lambda: layers.MultiHeadAttention(2, 3), (6, 2), (SAME, SAME, SAME, ALIKE)
    ),
    "causal attention by a mask": attention(
        lambda: layers.MultiHeadAttention(2, 1), (35, 2), (SAME, SAME, SAME, ALIKE), CAUSAL
    ),
    "attention by a mask of keys": attention(
        lambda: layers.MultiHeadAttention(2, 3), (4, 1), (SAME, SAME, SAME, ABOVE)
    ),
    "attention of groups": attention(lambda: layers.GroupQueryAttention(3, 4, 2), (7, 5)),
    "causal attention of groups": attention(
        lambda: layers.GroupQueryAttention(2, 3, 1), (5, 3), told=CAUSAL
    ),
}


CASES |= {
    "learned positions": Case(
        lambda: layers.PositionEmbedding(7),
        (5, 3),
        lambda x, table: np.broadcast_to(table[:5], x.shape),
    ),
    "learned positions in pieces": Case(
        lambda: Merged(layers.PositionEmbedding(80), (SAME,), {"start_index": 20}),
        (50, 9),
        lambda x, table: np.broadcast_to(table[20:70], x.shape),
    ),
    "sine positions": Case(
        lambda: Merged(layers.Add(), (SAME, layers.SinePositionEncoding())),
        (5, 7),
        lambda x: x + oracle.sine_positions(5, 7),
    ),
    "sine positions later": Case(
        lambda: Merged(
            layers.Add(),
            (SAME, Merged(layers.SinePositionEncoding(3.0), (SAME,), {"start_index": 9})),
        ),
        (3, 34),
        lambda x: x + oracle.sine_positions(12, 34, 3.0)[9:],
    ),
    "rotary": Case(layers.RotaryEmbedding, (5, 6), oracle.rotary),
    "rotary of heads": Case(
        lambda: Merged(layers.RotaryEmbedding(50.0, 1.7), (SAME,), {"start_index": 4}),
        (3, 2, 38),
        lambda x: oracle.rotary(x, 50.0, 1.7, 4),
    ),
}


# ---- convolutions and pooling --------------------------------------------------------------------


def per_axis(setting, shape):
    return convolutions.pair(setting, len(shape) == 2)


def convolved(filters, size, shape, activation="tanh", groups=1, **settings):
    """Of rows of steps or of images, by their shape."""
    make = layers.Conv1D if len(shape) == 2 else layers.Conv2D
    found = {
        "strides": per_axis(settings.get("strides", 1), shape),
        "dilation": per_axis(settings.get("dilation_rate", 1), shape),
        "padding": settings.get("padding", "valid"),
        "groups": groups,
    }

    def exact(x, *weights):
        y = convolutions.as_images(convolutions.convolution, x, *weights, **found)
        return np.tanh(y) if activation == "tanh" else np.maximum(y, 0)

    return Case(
        lambda: make(filters, size, activation=activation, groups=groups, **settings),
        shape,
        exact,
        activation == "tanh",
    )


def spread(filters, size, shape, cut, **settings):
    make = layers.Conv1DTranspose if len(shape) == 2 else layers.Conv2DTranspose
    found = {
        "strides": per_axis(settings.get("strides", 1), shape),
        "dilation": per_axis(settings.get("dilation_rate", 1), shape),
        "cut": cut if len(cut) == 2 else ((0, 0), *cut),
    }
    return Case(
        lambda: make(filters, size, **settings),
        shape,
        lambda x, *weights: convolutions.as_images(convolutions.transposed, x, *weights, **found),
    )


def by_channel(size, shape, filters=None, **settings):
    """Depthwise, or separable where there are filters."""
    kind = "DepthwiseConv" if filters is None else "SeparableConv"
    make = getattr(layers, f"{kind}{len(shape) - 1}D")
    own = (size,) if filters is None else (filters, size)
    found = {
        "strides": per_axis(settings.get("strides", 1), shape),
        "dilation": per_axis(settings.get("dilation_rate", 1), shape),
        "padding": settings.get("padding", "valid"),
    }

    def exact(x, kernel, *rest):
        if filters is None:
            return convolutions.as_images(convolutions.depthwise, x, kernel, *rest, **found)
        mixing, *bias = rest
        y = convolutions.as_images(convolutions.depthwise, x, kernel, **found)
        return y @ mixing.reshape(mixing.shape[-2:]) + sum(bias)

    return Case(lambda: make(*own, **settings), shape, exact)


CASES |= {
    f"conv {name} {'x'.join(map(str, case.shape))}": case
    for name, case in [
        ("of one channel", convolved(6, 5, (12, 12, 1))),
        ("of few filters", convolved(3, (2, 3), (5, 8, 2), strides=(2, 1))),
        ("alone", convolved(1, 1, (1, 1, 1), groups=1, strides=2)),
        ("same", convolved(9, 3, (5, 7, 4), padding="same")),
        ("same merged", convolved(2, 3, (4, 6, 3), padding="same")),
        ("same larger than the image", convolved(5, (5, 7), (3, 2, 2), padding="same")),
        ("strided", convolved(17, 3, (9, 8, 3), strides=(2, 3), padding="same")),
        ("strided beyond the window", convolved(4, 2, (9, 9, 3), strides=3)),
        ("dilated", convolved(8, (3, 2), (9, 7, 3), dilation_rate=(2, 3))),
        ("dilated and strided", convolved(3, 3, (11, 12, 2), dilation_rate=2, strides=(3, 2))),
        ("grouped", convolved(6, 3, (6, 5, 4), groups=2, padding="same")),
        ("grouped and strided", convolved(9, 2, (5, 6, 3), groups=3, strides=2)),
        ("above a panel", convolved(70, 2, (4, 4, 3))),
        ("from above a panel", convolved(3, 1, (3, 3, 70), strides=2)),
        ("relu", convolved(5, 3, (6, 6, 2), "relu")),
        ("without bias", convolved(5, 3, (6, 6, 2), use_bias=False)),
        ("one by one", convolved(5, 1, (3, 4, 6))),
        ("one by one strided", convolved(5, 1, (5, 4, 6), strides=2)),
        ("of steps", convolved(8, 3, (9, 4))),
        ("of steps causal", convolved(5, 3, (8, 2), padding="causal", dilation_rate=2)),
        ("of steps causal strided", convolved(5, 3, (9, 3), padding="causal", strides=2)),
        ("of steps same", convolved(3, 4, (10, 3), padding="same")),
        ("of one step", convolved(5, 1, (1, 3))),
        ("of many steps", convolved(2, 3, (90, 2))),
        (
            "transposed",
            spread(5, 3, (4, 3, 2), ((0, 0), (0, 0))),
        ),
        (
            "transposed and strided",
            spread(3, 2, (3, 4, 4), ((0, -1), (0, -1)), strides=3),
        ),
        (
            "transposed same",
            spread(6, 3, (4, 5, 3), ((0, 1), (0, 1)), strides=2, padding="same"),
        ),
        (
            "transposed with padding",
            spread(2, 3, (3, 3, 4), ((0, -1), (0, 0)), strides=(3, 2), output_padding=(1, 0)),
        ),
        (
            "transposed same with padding",
            spread(4, 3, (3, 3, 2), ((0, 1), (1, 1)), strides=2, padding="same",
                   output_padding=(1, 0)),
        ),
        (
            "transposed of steps",
            spread(3, 4, (5, 2), ((0, 0),), strides=2, use_bias=False),
        ),
        (
            "transposed of steps dilated",
            spread(9, 3, (5, 17), ((0, 0),), dilation_rate=2),
        ),
        ("by channel", by_channel(3, (6, 5, 9))),
        ("by channel same", by_channel((2, 3), (4, 5, 17), padding="same", strides=2)),
        ("by channel twice", by_channel(2, (4, 5, 3), depth_multiplier=2, dilation_rate=2)),
        ("by channel of many", by_channel(2, (3, 3, 70))),
        ("by channel of steps", by_channel(3, (7, 2), depth_multiplier=3, use_bias=False)),
        ("separable", by_channel(3, (6, 5, 2), 5, depth_multiplier=2)),
        ("separable of steps", by_channel(2, (6, 3), 2, padding="same", use_bias=False)),
    ]
}  # fmt: skip


def pooled(kind, shape, size, **settings):
    """The largest or the mean, as `kind` begins."""
    make = getattr(layers, f"{kind}Pooling{len(shape) - 1}D")
    function = convolutions.max_pooling if kind == "Max" else convolutions.average_pooling
    window = per_axis(size, shape)
    found = {
        "window": window,
        "strides": per_axis(settings.get("strides", window), shape),
        "padding": settings.get("padding", "valid"),
    }
    return Case(
        lambda: make(size, **settings),
        shape,
        lambda x: convolutions.as_images(function, x, **found),
        kind == "Average",
    )


def pooled_all(name, function, shape, **settings):
    axes = tuple(range(1, len(shape)))
    return Case(
        lambda: getattr(layers, name)(**settings),
        shape,
        lambda x: function(x, axis=axes, keepdims=settings.get("keepdims", False)),
        function is np.mean,
    )


for _kind in ("Max", "Average"):
    CASES |= {
        f"{_kind} pool {name} {'x'.join(map(str, case.shape))}": case
        for name, case in [
            ("of two", pooled(_kind, (4, 6, 3), 2)),
            ("of two and a rest", pooled(_kind, (5, 7, 17), 2)),
            ("of three", pooled(_kind, (6, 7, 9), 3)),
            ("that overlaps", pooled(_kind, (6, 5, 8), (3, 2), strides=(2, 1))),
            ("with gaps", pooled(_kind, (7, 8, 2), 2, strides=3)),
            ("same", pooled(_kind, (5, 4, 3), 3, strides=2, padding="same")),
            ("same tiled", pooled(_kind, (5, 4, 3), 2, padding="same")),
            ("of steps", pooled(_kind, (9, 4), 3)),
            ("of steps same", pooled(_kind, (9, 4), 4, strides=1, padding="same")),
            ("of one", pooled(_kind, (1, 1, 1), 1)),
            ("of all", pooled(_kind, (3, 2, 5), (3, 2))),
        ]
    }

CASES |= {
    "largest of images": pooled_all("GlobalMaxPooling2D", np.max, (3, 4, 5)),
    "largest of steps": pooled_all("GlobalMaxPooling1D", np.max, (9, 17), keepdims=True),
    "mean of images": pooled_all("GlobalAveragePooling2D", np.mean, (9, 11, 3), keepdims=True),
    "mean of steps": pooled_all("GlobalAveragePooling1D", np.mean, (5, 9)),
    "zeros around images": Case(
        lambda: layers.ZeroPadding2D(((1, 0), (2, 3))),
        (3, 4, 2),
        lambda x: np.pad(x, ((0, 0), (1, 0), (2, 3), (0, 0))),
    ),
    "zeros around steps": Case(
        lambda: layers.ZeroPadding1D((2, 1)),
        (5, 3),
        lambda x: np.pad(x, ((0, 0), (2, 1), (0, 0))),
    ),
    "cropped images": Case(
        lambda: layers.Cropping2D(((1, 0), (2, 1))), (4, 6, 3), lambda x: x[:, 1:, 2:-1]
    ),
    "cropped steps": Case(lambda: layers.Cropping1D(), (5, 9), lambda x: x[:, 1:-1]),
    "upsampled images": Case(
        lambda: layers.UpSampling2D((2, 3)), (3, 2, 5), lambda x: convolutions.upsampled(x, (2, 3))
    ),
    "bilinearly upsampled images": Case(
        lambda: layers.UpSampling2D((3, 2), interpolation="bilinear"),
        (4, 3, 5),
        lambda x: convolutions.resized(x, (12, 6)),
    ),
    "resized images": Case(
        lambda: layers.Resizing(3, 11), (7, 4, 18), lambda x: convolutions.resized(x, (3, 11))
    ),
    "resized images of one pixel": Case(
        lambda: layers.Resizing(3, 2), (1, 1, 1), lambda x: convolutions.resized(x, (3, 2))
    ),
    "images resized by the nearest": Case(
        lambda: layers.Resizing(5, 4, "nearest"),
        (4, 7, 3),
        lambda x: convolutions.resized(x, (5, 4), "nearest"),
    ),
    "resized images of the same proportions": Case(
        lambda: layers.Resizing(4, 4, crop_to_aspect_ratio=True),
        (6, 9, 2),
        lambda x: convolutions.resized(x[:, :, 1:7], (4, 4)),
    ),
    "middle of images": Case(lambda: layers.CenterCrop(3, 4), (6, 9, 2), lambda x: x[:, 1:4, 2:6]),
    "middle of small images": Case(
        lambda: layers.CenterCrop(4, 8),
        (3, 9, 2),
        lambda x: convolutions.resized(x[:, :, 1:7], (4, 8)),
    ),
    "random part of images": Case(
        lambda: layers.RandomCrop(3, 4), (6, 9, 2), lambda x: x[:, 1:4, 2:6]
    ),
    "upsampled steps": Case(lambda: layers.UpSampling1D(3), (4, 9), lambda x: x.repeat(3, axis=1)),
}
