"""Images of another size: known values, and parts from random places."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
import reference_convolution as oracle
from helpers import error_with_noise, same_bits

import fastweights as fw
from fastweights import layers

RANDOM = np.random.default_rng(0)


def made_of(layer, x, dtype="float64"):
    model = fw.Sequential([layer], x.shape[1:], dtype, seed=3)
    return model.predict(x)


def test_pixels_between():
    """As Keras and, with align_corners=False, PyTorch have them."""
    x = np.array([0.0, 4.0]).reshape(1, 1, 2, 1)
    up = made_of(layers.UpSampling2D((1, 4), interpolation="bilinear"), x)
    assert up.ravel().tolist() == [0, 0, 0.5, 1.5, 2.5, 3.5, 4, 4]
    x = np.arange(6.0).reshape(1, 1, 6, 1)
    assert made_of(layers.Resizing(1, 3), x).ravel().tolist() == [0.5, 2.5, 4.5]
    assert made_of(layers.Resizing(1, 2), x).ravel().tolist() == [1, 4]
    assert made_of(layers.Resizing(2, 4, "nearest"), x)[0, 1].ravel().tolist() == [0, 2, 3, 5]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize("channels", [1, 3, 16, 19])
def test_every_size(dtype, interpolation, channels):
    x = RANDOM.normal(size=(2, 5, 7, channels))
    for height in (1, 2, 4, 5, 6, 15):
        for width in (1, 3, 7, 8):
            found = made_of(layers.Resizing(height, width, interpolation), x, dtype)
            expected = oracle.resized(x, (height, width), interpolation)
            np.testing.assert_allclose(found, expected, atol=1e-6 if dtype == "float32" else 1e-14)


@pytest.mark.parametrize("value", [np.finfo(np.float32).max, 1e-37, 0.0])
def test_images_of_one_value_stay_so(value):
    x = np.full((1, 4, 5, 2), value, np.float32)
    found = made_of(layers.Resizing(7, 3), x, "float32")
    np.testing.assert_allclose(found, np.full((1, 7, 3, 2), value, np.float32), rtol=1e-6)


def test_settings_come_back(tmp_path):
    stack = [
        layers.Resizing(6, 7, "nearest", crop_to_aspect_ratio=True),
        layers.UpSampling2D(2, interpolation="bilinear"),
        layers.RandomCrop(9, 8, seed=5),
        layers.CenterCrop(3, 4),
    ]
    model = fw.Sequential(stack, (9, 5, 2), "float64", seed=1)
    model.save(tmp_path / "m.safetensors")
    twin = fw.load(tmp_path / "m.safetensors")
    assert [layer.config() for layer in twin.layers] == [layer.config() for layer in stack]
    x = RANDOM.normal(size=(3, 9, 5, 2))
    same_bits(model.predict(x), twin.predict(x))
    same_bits(model.forward(x, training=True), twin.forward(x, training=True))


# ---- RandomCrop ----------------------------------------------------------------------------------


def places(found, width):
    """Where parts of an image begin whose pixels count from 0 on."""
    first = found[:, 0, 0, 0].astype(int)
    return first // width, first % width


def numbered(rows, height=5, width=7):
    image = np.arange(height * width, dtype=float).reshape(1, height, width, 1)
    return np.repeat(image, rows, axis=0)


def test_parts_are_of_every_place_alike_and_whole():
    rows, x = 3000, numbered(3000)
    model = fw.Sequential([layers.RandomCrop(3, 5)], x.shape[1:], "float64", seed=0)
    found = model.forward(x, training=True)
    top, left = places(found, 7)
    for row in range(50):
        part = x[row, top[row] : top[row] + 3, left[row] : left[row] + 5]
        np.testing.assert_array_equal(found[row], part)
    counts = np.zeros((3, 3))
    np.add.at(counts, (top, left), 1)
    assert np.abs(counts - rows / 9).max() < 5 * math.sqrt(rows / 9)
    again = model.forward(x, training=True)
    assert (again != found).any()


def test_without_training_it_is_the_middle():
    x = numbered(4)
    found = made_of(layers.RandomCrop(2, 4), x)
    np.testing.assert_array_equal(found, x[:, 1:3, 1:5])
    np.testing.assert_array_equal(made_of(layers.CenterCrop(2, 4), x), found)
    np.testing.assert_array_equal(made_of(layers.RandomCrop(5, 7), x), x)


@pytest.mark.parametrize("rows", [1, 9, 40])
def test_gradients_with_the_places_held_fixed(rows):
    stack = [layers.Dense(2, "tanh"), layers.RandomCrop(3, 4), layers.Flatten(), layers.Dense(2)]
    model = fw.Sequential(stack, (5, 6, 2), "float64", 3)
    model.compile("adam", "mse")
    x, y = RANDOM.normal(size=(rows, 5, 6, 2)), RANDOM.normal(size=(rows, 2))
    assert error_with_noise(model, x, y) < 1e-8


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_bits_for_any_team_and_any_cut(dtype, monkeypatch):
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)

    def trained(threads):
        stack = [
            layers.RandomCrop(5, 6),
            layers.Dense(3, "tanh"),
            layers.Resizing(4, 9),
            layers.UpSampling2D(2, interpolation="bilinear"),
            layers.Flatten(),
            layers.Dense(2),
        ]
        model = fw.Sequential(stack, (6, 8, 2), dtype, 3)
        model.compile("adam", "mse")
        with fw.threads(threads):
            model.fit(x, y, 70, 2, verbose=0)
        return model.parameters.copy()

    x, y = RANDOM.normal(size=(200, 6, 8, 2)), RANDOM.normal(size=(200, 2))
    alone = trained(1)
    for threads in (2, 3):
        same_bits(trained(threads), alone)


@pytest.mark.parametrize(
    "sizes",
    [
        (0, 5, 6, 2, 6, 4), (0, 5, 6, 2, 3, 7), (0, 5, 6, 2, 0, 4), (0, 5, 6, 3, 3, 4),
        (0, 5, 6, 2, 2**62, 4), (0, 30, 1, 2, 3, 4),
    ],
)  # fmt: skip
def test_sizes_that_do_not_add_up(sizes):
    class Own(layers.Layer):
        def ops(self, x):
            return layers.op("random_crop", x, shape=(3, 4, 2), sizes=sizes)

    with pytest.raises(ValueError, match="random_crop"):
        fw.Sequential([Own()], (5, 6, 2))
