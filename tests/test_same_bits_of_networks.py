"""Networks of each kind train to one hash, for any number of threads and on every FMA level."""

import hashlib
import itertools
import sys

import numpy as np
import pytest
import truth

import fastweights as fw
from fastweights import _dispatch, layers

THREADS = (1, 2, 3, 7)


def labels(random, rows, *steps):
    return random.integers(0, 5, (rows, *steps))


def lenet(random):
    """Convolutions and pooling, as the first ones were."""
    stack = [
        layers.Conv2D(6, 5, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(16, 3, activation="tanh"),
        layers.AveragePooling2D(),
        layers.Flatten(),
        layers.Dense(20, "relu"),
        layers.Dense(5),
    ]
    return fw.Sequential(stack, (12, 14, 1), seed=1), random.random((50, 12, 14, 1)), ()


def resnet(random):
    """Residual blocks of convolutions with BatchNormalization; one of them halves the image."""

    def block(x, filters, strides):
        y = layers.Conv2D(filters, 3, strides, "same", use_bias=False)(x)
        y = layers.ReLU()(layers.BatchNormalization()(y))
        y = layers.Conv2D(filters, 3, padding="same", use_bias=False)(y)
        y = layers.BatchNormalization()(y)
        if strides > 1:
            x = layers.Conv2D(filters, 1, strides, use_bias=False)(x)
        return layers.ReLU()(layers.Add()([x, y]))

    x = fw.Input((9, 8, 3))
    value = layers.RandomFlip()(x)
    value = layers.Conv2D(8, 3, padding="same")(value)
    value = block(block(value, 8, 1), 20, 2)
    made = layers.Dense(5)(layers.GlobalAveragePooling2D()(value))
    return fw.Model(x, made, seed=1), random.random((50, 9, 8, 3)), ()


def lstm(random):
    """Series of unequal lengths through two layers, the first of which goes both ways."""
    rows = random.standard_normal((50, 9, 3))
    for row, length in zip(rows, random.integers(1, 10, 50), strict=True):
        row[length:] = 0
    stack = [
        layers.Masking(),
        layers.Bidirectional(layers.LSTM(9, return_sequences=True)),
        layers.LSTM(17, dropout=0.2),
        layers.Dense(5),
    ]
    return fw.Sequential(stack, (9, 3), seed=1), rows, ()


def gru(random):
    stack = [
        layers.GRU(17, return_sequences=True, recurrent_dropout=0.2),
        layers.GRU(8, reset_after=False, go_backwards=True),
        layers.Dense(5),
    ]
    return fw.Sequential(stack, (7, 5), seed=1), random.standard_normal((50, 7, 5)), ()


def gpt(random):
    """Causal attention over tokens; what comes next is told at every step."""
    x = fw.Input(11)
    value = layers.Embedding(7, 24)(x)
    value = layers.Add()([value, layers.PositionEmbedding(11)(value)])
    inner = layers.LayerNormalization()(value)
    attended = layers.MultiHeadAttention(3, 8, dropout=0.1)(inner, inner, use_causal_mask=True)
    value = layers.Add()([value, attended])
    inner = layers.Dense(40, "gelu")(layers.LayerNormalization()(value))
    value = layers.Add()([value, layers.Dense(24)(inner)])
    model = fw.Model(x, layers.Dense(5)(layers.LayerNormalization()(value)), seed=1)
    return model, random.integers(0, 7, (50, 11)), (11,)


KINDS = {make.__name__: make for make in (lenet, resnet, lstm, gru, gpt)}


def trained(kind):
    """The hash of all that three epochs leave, in batches of which the last one is smaller."""
    random = np.random.default_rng(0)
    model, x, steps = KINDS[kind](random)
    loss = fw.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(fw.optimizers.Adam(0.01), loss)
    history = model.fit(x, labels(random, len(x), *steps), 16, 3, verbose=0).history["loss"]
    found = hashlib.sha256(repr(history).encode())
    for left in (model.parameters, model.state, model.predict(x)):
        found.update(np.ascontiguousarray(left).tobytes())
    assert history[-1] < history[0]
    return found.hexdigest()


@pytest.mark.parametrize("kind", KINDS)
def test_one_hash_for_threads_and_levels(kind, monkeypatch):
    # Every step takes all of its threads, and no product tiles of bfloat16.
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    fw.set_reproducible(True)
    hashes = {}
    try:
        for level, threads in itertools.product(truth.FUSED or ["baseline"], THREADS):
            monkeypatch.setattr(
                _dispatch, "kernels", lambda dtype, level=level: truth.kernels(level, dtype.name)
            )
            with fw.threads(threads):
                hashes[level, threads] = trained(kind)
    finally:
        fw.set_reproducible(False)
    print(kind, *set(hashes.values()))
    assert len(set(hashes.values())) == 1, hashes
