"""Attention between its projections: outputs and gradients, beside NumPy, which has the matrix."""

import math

import numpy as np
import pytest

import fastweights as fw
from fastweights import layers

#: Rows, steps, heads, and how wide a head is.
SHAPES = [(16, 64, 4, 16), (16, 256, 4, 16), (1, 2048, 4, 16), (8, 128, 2, 64)]


class Attend(layers.Layer):
    """Queries, keys and values are what it reads."""

    def __init__(self, heads, is_causal):
        super().__init__()
        self.heads, self.is_causal = heads, is_causal

    def ops(self, query, key, value):
        steps, features = query.shape
        return layers.op(
            "attention", query, key, value, lines=steps,
            sizes=(0, 0, self.heads, self.heads, steps, int(self.is_causal), 0),
            options=(1 / math.sqrt(features // self.heads), 1.0),
        )  # fmt: skip


def group(what, shape, is_causal, dtype):
    causal = "causal " if is_causal else ""
    return f"{causal}attention {what} {'x'.join(map(str, shape))} {dtype}"


def arrays(shape, dtype):
    rows, steps, heads, width = shape
    random = np.random.default_rng(0)
    return [random.standard_normal((rows, steps, heads * width)).astype(dtype) for _ in range(3)]


def compiled(shape, is_causal, dtype):
    reads = arrays(shape, dtype)
    tensors = [fw.Input(read.shape[1:]) for read in reads]
    model = fw.Model(tensors, Attend(shape[2], is_causal)(tensors), dtype)
    return model, reads


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def bench_forward(benchmark, dtype, shape, is_causal):
    benchmark.group = group("forward", shape, is_causal, dtype)
    model, reads = compiled(shape, is_causal, dtype)
    benchmark(model.predict, reads, shape[0])


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def bench_forward_and_backward(benchmark, dtype, shape, is_causal):
    benchmark.group = group("forward and backward", shape, is_causal, dtype)
    model, reads = compiled(shape, is_causal, dtype)
    dy = np.ones_like(model.forward(reads))

    def both():
        model.forward(reads)
        model.backward(dy)

    benchmark(both)


@pytest.mark.parametrize("shape", SHAPES)
def bench_forward_and_backward_numpy(benchmark, dtype, shape):
    benchmark.group = group("forward and backward", shape, False, dtype)
    rows, steps, heads, width = shape
    reads = [read.reshape(rows, steps, heads, width) for read in arrays(shape, dtype)]
    dy, scale = np.ones_like(reads[0]).swapaxes(1, 2), np.asarray(width**-0.5, dtype)[()]

    def both():
        q, k, v = (read.swapaxes(1, 2) for read in reads)
        scores = q @ k.swapaxes(2, 3) * scale
        powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
        p = powers / powers.sum(axis=-1, keepdims=True)
        dp = dy @ v.swapaxes(2, 3)
        ds = p * (dp - (p * dp).sum(axis=-1, keepdims=True)) * scale
        return p @ v, ds @ k, ds.swapaxes(2, 3) @ q, p.swapaxes(2, 3) @ dy

    benchmark(both)
