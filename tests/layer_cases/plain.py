"""Layers of all kinds but convolutions and those of series."""

from __future__ import annotations

import math

import numpy as np
import reference_layers as oracle

from fastweights import layers, regularizers
from layer_cases.base import Case, Merged


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
    "scale": Case(layers.Scale, (17,), lambda x, scale: x * scale),
    "scale of lines": Case(layers.Scale, (3, 5), lambda x, scale: x * scale),
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

CASES |= {
    f"reverse embedding {size}x{width} {'x'.join(map(str, shape))}": Case(
        lambda size=size, width=width: Merged(
            layers.ReversibleEmbedding(size, width), (SAME,), {"reverse": True}
        ),
        (*shape, width),
        lambda x, embeddings: x @ embeddings.T,
        around=0.0,
    )
    for size, width, shape in [
        (1, 1, ()),
        (7, 5, (3,)),
        (90, 9, (4,)),
        (20, 70, ()),
        (64, 33, (2,)),
        (130, 5, ()),
    ]
}
CASES |= {
    "reverse embedding with a cap": Case(
        lambda: Merged(
            layers.ReversibleEmbedding(7, 5, logit_soft_cap=2.0), (SAME,), {"reverse": True}
        ),
        (3, 5),
        lambda x, embeddings: 2.0 * np.tanh(x @ embeddings.T / 2.0),
    ),
    "reverse embedding of its own": Case(
        lambda: Merged(layers.ReversibleEmbedding(7, 5, False), (SAME,), {"reverse": True}),
        (3, 5),
        lambda x, embeddings, reverse_embeddings: x @ reverse_embeddings,
    ),
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
