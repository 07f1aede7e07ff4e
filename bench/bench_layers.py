"""Layers that look at no other row: outputs and gradients of a batch, beside the same in NumPy."""

import numpy as np
import pytest

import fastweights as fw
from fastweights import layers

SHAPE = (256, 128)

LAYERS = {
    "LayerNormalization": layers.LayerNormalization,
    "RMSNormalization": layers.RMSNormalization,
    "UnitNormalization": layers.UnitNormalization,
    "GroupNormalization": lambda: layers.GroupNormalization(8),
    "PReLU": layers.PReLU,
    "ReLU": lambda: layers.ReLU(6.0),
    "Rescaling": lambda: layers.Rescaling(1.0 / 255.0),
    "Scale": layers.Scale,
    "ActivityRegularization": lambda: layers.ActivityRegularization(0.01, 0.01),
}


class Branches(layers.Layer):
    """A layer of several values, of x and of two others made of it."""

    def __init__(self, merge):
        super().__init__()
        self.merge = merge
        self.scales = [layers.Rescaling(0.5), layers.Rescaling(2.0)][: 1 if self.is_of_two else 2]

    @property
    def is_of_two(self):
        return isinstance(self.merge, (layers.Subtract, layers.Dot))

    def ops(self, x):
        return self.merge.ops(x, *(scale.ops(x) for scale in self.scales))


class Reversed(layers.Layer):
    """The way back of a table."""

    def __init__(self, table):
        super().__init__()
        self.table = table

    def variables(self, shape):
        return self.table.variables(shape)

    def ops(self, x):
        return self.table.ops(x, reverse=True)


MERGES = {
    kind.__name__: kind
    for kind in (
        layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Maximum,
        layers.Minimum, layers.Concatenate,
    )
}  # fmt: skip
MERGES["Dot"] = lambda: layers.Dot(1)

SHAPED = {
    "Permute": (lambda: layers.Permute((2, 1)), (16, 8)),
    "RepeatVector": (lambda: layers.RepeatVector(4), (128,)),
    "PositionEmbedding": (lambda: layers.PositionEmbedding(16), (16, 8)),
    "SinePositionEncoding": (layers.SinePositionEncoding, (16, 8)),
    "RotaryEmbedding": (layers.RotaryEmbedding, (16, 8)),
    "Embedding": (lambda: layers.Embedding(1000, 16), (8,)),
    "ReversibleEmbedding": (lambda: Reversed(layers.ReversibleEmbedding(500, 64)), (2, 64)),
}


def made(name):
    """The layer alone, for rows of that shape."""
    if name in SHAPED:
        return SHAPED[name][0](), SHAPED[name][1]
    return (Branches(MERGES[name]()) if name in MERGES else LAYERS[name]()), SHAPE[1:]


@pytest.fixture(params=[*LAYERS, *MERGES, *SHAPED])
def contest(benchmark, request, dtype):
    """A compiled model and rows for it."""
    layer, shape = made(request.param)
    what = request.function.__name__.removeprefix("bench_")
    benchmark.group = f"layer {what} {'x'.join(map(str, SHAPE))} {dtype}"
    model = fw.Sequential([layer], shape, dtype, seed=0)
    random, rows = np.random.default_rng(0), (SHAPE[0], *shape)
    if isinstance(layer, layers.Embedding):
        return model, random.integers(0, layer.input_dim, rows)
    return model, random.standard_normal(rows).astype(dtype)


def bench_forward(benchmark, contest):
    model, x = contest
    benchmark(model.forward, x)


def bench_forward_and_backward(benchmark, contest):
    model, x = contest
    dy = np.ones_like(model.forward(x))

    def both():
        model.forward(x)
        model.backward(dy)

    benchmark(both)


def bench_forward_and_backward_numpy(benchmark, dtype):
    """Of a layer normalisation with gamma and beta."""
    benchmark.group = f"layer forward_and_backward {'x'.join(map(str, SHAPE))} {dtype}"
    x = np.random.default_rng(0).standard_normal(SHAPE).astype(dtype)
    gamma, beta, dy = np.ones(SHAPE[1], dtype), np.zeros(SHAPE[1], dtype), np.ones_like(x)

    def both():
        apart = x - x.mean(axis=1, keepdims=True)
        inverse = 1 / np.sqrt((apart * apart).mean(axis=1, keepdims=True) + dtype_of(1e-3))
        hat = apart * inverse
        y = hat * gamma + beta
        g = dy * gamma
        share = hat * (g * hat).mean(axis=1, keepdims=True)
        dx = inverse * (g - g.mean(axis=1, keepdims=True) - share)
        return y, dx, (dy * hat).sum(axis=0), dy.sum(axis=0)

    dtype_of = x.dtype.type
    benchmark(both)
