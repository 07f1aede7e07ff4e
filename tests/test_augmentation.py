"""Layers that change images in training: what they draw, and what they make of it."""

import math
import sys

import numpy as np
import pytest
import truth
from helpers import error_with_noise, expect_one_answer, expect_one_training, same_bits
from scipy import ndimage

import fastweights as fw
from fastweights import layers
from fastweights._core import philox

SEED = 0x123456789ABCDEF0
EPS = {"float32": 2.0**-23, "float64": 2.0**-52}

#: As scipy calls what is beyond the edges.
MODES = {
    "constant": "grid-constant",
    "nearest": "nearest",
    "reflect": "reflect",
    "wrap": "grid-wrap",
}
SHAPES = [(28, 28, 1), (9, 13, 3), (17, 5, 2), (1, 7, 1), (6, 1, 4), (1, 1, 1), (40, 33, 5)]

every_dtype = pytest.mark.parametrize("dtype", EPS)
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
every_mode = pytest.mark.parametrize("mode", MODES)


# ---- the oracle ----------------------------------------------------------------------------------


def units(rows, blocks=1):
    """What each row draws in the first pass of a model's first op: numbers from 0 up to 1."""
    words = [
        [philox.block(SEED, philox.STREAM_PASS, row * blocks + k) for k in range(blocks)]
        for row in range(rows)
    ]
    return np.reshape(words, (rows, -1)) / 2.0**32


def between(unit, least, most):
    return least + (most - least) * unit


def translation(shape, unit, height, width):
    return np.eye(2), (-between(unit[0], *height) * shape[0], -between(unit[1], *width) * shape[1])


def about_the_middle(shape, matrix):
    middle = (np.array(shape[:2]) - 1) / 2
    return matrix, middle - matrix @ middle


def rotation(shape, unit, factor):
    angle = 2 * math.pi * between(unit[0], *factor)
    sine, cosine = math.sin(angle), math.cos(angle)
    return about_the_middle(shape, np.array([[cosine, sine], [-sine, cosine]]))


def zoom(shape, unit, height, width=None):
    down = 1 + between(unit[0], *height)
    along = down if width is None else 1 + between(unit[1], *width)
    return about_the_middle(shape, np.diag([down, along]))


def warped(image, matrix, offset, mode, interpolation, value):
    """The image at matrix @ (line, column) + offset, each channel by itself."""
    lines, columns = np.indices(image.shape[:2])
    places = np.einsum("ij,jlc->ilc", matrix, [lines, columns]) + np.reshape(offset, (2, 1, 1))
    order = 1
    if interpolation == "nearest":
        places, order = np.floor(places + 0.5), 0
    channels = [
        ndimage.map_coordinates(channel, places, order=order, mode=MODES[mode], cval=value)
        for channel in np.moveaxis(image.astype(float), -1, 0)
    ]
    return np.stack(channels, axis=-1)


WARPS = {
    "translation": (
        lambda **how: layers.RandomTranslation((-0.4, 0.7), 0.3, **how),
        lambda shape, unit: translation(shape, unit, (-0.4, 0.7), (-0.3, 0.3)),
    ),
    "far translation": (
        lambda **how: layers.RandomTranslation(1, (-1, 0.9), **how),
        lambda shape, unit: translation(shape, unit, (-1, 1), (-1, 0.9)),
    ),
    "rotation": (
        lambda **how: layers.RandomRotation(0.4, **how),
        lambda shape, unit: rotation(shape, unit, (-0.4, 0.4)),
    ),
    "whole turns": (
        lambda **how: layers.RandomRotation((-1, 0.9), **how),
        lambda shape, unit: rotation(shape, unit, (-1, 0.9)),
    ),
    "zoom": (
        lambda **how: layers.RandomZoom(0.6, **how),
        lambda shape, unit: zoom(shape, unit, (-0.6, 0.6)),
    ),
    "zoom of both": (
        lambda **how: layers.RandomZoom((-0.3, 1), (-0.9, -0.1), **how),
        lambda shape, unit: zoom(shape, unit, (-0.3, 1), (-0.9, -0.1)),
    ),
}
every_warp = pytest.mark.parametrize("name", WARPS)


def alone(layer, shape, dtype="float64", seed=SEED):
    return fw.Sequential([layer], shape, dtype=dtype, seed=seed)


def images(rows, shape, dtype="float64", seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (rows, *shape)).astype(dtype)


# ---- places --------------------------------------------------------------------------------------


@every_warp
@every_mode
@every_shape
@every_dtype
def test_pixels_come_from_where_the_map_says(name, mode, shape, dtype):
    make, map_of = WARPS[name]
    x, drawn = images(12, shape, dtype), units(12)
    y = alone(make(fill_mode=mode, fill_value=77.5), shape, dtype).forward(x, training=True)
    for image, found, unit in zip(x, y, drawn, strict=True):
        expected = warped(image, *map_of(shape, unit), mode, "bilinear", 77.5)
        # A place is off by as much as its sine is, and so is what stands there.
        np.testing.assert_allclose(found, expected, rtol=0, atol=255 * 2 * max(shape) * EPS[dtype])


@every_warp
@every_mode
@every_shape
def test_the_nearest_pixel(name, mode, shape):
    make, map_of = WARPS[name]
    how = {"fill_mode": mode, "fill_value": 77.5, "interpolation": "nearest"}
    x, drawn = images(12, shape), units(12)
    y = alone(make(**how), shape).forward(x, training=True)
    for image, found, unit in zip(x, y, drawn, strict=True):
        np.testing.assert_array_equal(
            found, warped(image, *map_of(shape, unit), mode, "nearest", 77.5)
        )


@pytest.mark.parametrize("turns", [-1, -0.75, -0.5, -0.25, 0.25, 0.5, 0.75, 1])
@every_dtype
def test_quarter_turns_are_exact(turns, dtype):
    x = images(3, (11, 11, 2), dtype)
    layer = layers.RandomRotation((turns, turns))
    y = alone(layer, x.shape[1:], dtype).forward(x, training=True)
    same_bits(y, np.rot90(x, round(4 * turns), axes=(1, 2)))


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_whole_pixels_are_copies(interpolation):
    x = images(5, (8, 16, 3))
    layer = layers.RandomTranslation((0.25, 0.25), (-0.125, -0.125), "wrap", interpolation)
    y = alone(layer, x.shape[1:]).forward(x, training=True)
    same_bits(y, np.roll(x, (2, -2), axis=(1, 2)))


@every_warp
@every_mode
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@every_shape
def test_backward_is_the_transpose(name, mode, interpolation, shape):
    """Of what an image becomes by a fill of 0, which is linear."""
    model = alone(WARPS[name][0](fill_mode=mode, interpolation=interpolation), shape)
    x, dy = images(9, shape), images(9, shape, seed=1)
    y = model.forward(x, training=True)
    dx = model.backward(dy)
    ends = (1, 2, 3)
    np.testing.assert_allclose((y * dy).sum(ends), (x * dx).sum(ends), rtol=1e-12)


# ---- flips ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "axes"), [("horizontal", 2), ("vertical", 1), ("horizontal_and_vertical", (1, 2))]
)
@every_shape
@every_dtype
def test_half_of_the_images_are_flipped(mode, axes, shape, dtype):
    x, flips = images(20, shape, dtype), units(20)[:, 0] < 0.5
    assert 0 < flips.sum() < 20
    expected = np.where(flips[:, None, None, None], np.flip(x, axes), x)
    model = alone(layers.RandomFlip(mode), shape, dtype)
    same_bits(model.forward(x, training=True), expected)
    same_bits(model.backward(expected), x)


def test_about_half():
    x = np.broadcast_to(np.arange(2.0)[:, None], (20000, 1, 2, 1))
    y = alone(layers.RandomFlip("horizontal"), (1, 2, 1)).forward(x, training=True)
    assert abs(y[:, 0, 0, 0].mean() - 0.5) < 4 * 0.5 / math.sqrt(20000)


# ---- values --------------------------------------------------------------------------------------


def clipped_gradient(z, dy, least, most):
    return np.where((z > least) & (z < most), dy, 0)


@every_shape
@every_dtype
def test_contrast(shape, dtype):
    x, dy = images(12, shape, dtype), images(12, shape, dtype, 1)
    factor = between(units(12)[:, 0], 0.7, 1.9)[:, None, None, None]
    mean = x.mean((1, 2), keepdims=True, dtype=float)
    z = factor * (x - mean) + mean
    model = alone(layers.RandomContrast((0.9, 0.3), (20, 200)), shape, dtype)
    close = {"rtol": 0, "atol": 255 * 16 * EPS[dtype]}
    np.testing.assert_allclose(model.forward(x, training=True), np.clip(z, 20, 200), **close)
    kept = clipped_gradient(z, dy, 20, 200)
    expected = factor * kept + (1 - factor) * kept.mean((1, 2), keepdims=True)
    np.testing.assert_allclose(model.backward(dy), expected, **close)


def test_contrast_by_one_number_is_never_less():
    x = images(200, (5, 5, 1))
    y = alone(layers.RandomContrast(1.0, (-1000, 1000)), (5, 5, 1)).forward(x, training=True)
    spread = y.std((1, 2, 3)) / x.std((1, 2, 3))
    assert 1 <= spread.min() < 1.1
    assert 1.9 < spread.max() <= 2


@every_shape
@every_dtype
def test_brightness(shape, dtype):
    x, dy = images(12, shape, dtype), images(12, shape, dtype, 1)
    shift = between(units(12)[:, 0], -0.3 * 180, 0.9 * 180)[:, None, None, None]
    model = alone(layers.RandomBrightness((0.9, -0.3), (200, 20)), shape, dtype)
    close = {"rtol": 0, "atol": 255 * 2 * EPS[dtype]}
    y = model.forward(x, training=True)
    np.testing.assert_allclose(y, np.clip(x + shift, 20, 200), **close)
    same_bits(model.backward(dy), clipped_gradient(x + shift, dy, 20, 200).astype(dtype))


def patches(rows, shape, factor, scale):
    """Which pixels of each image are erased."""
    drawn = units(rows, 2)
    inside = np.zeros((rows, *shape[:2]), bool)
    for image, unit in zip(inside, drawn, strict=True):
        if unit[5] < between(unit[4], *factor):
            length = np.sqrt(between(unit[:2], *scale)) * (shape[1], shape[0])
            begin = unit[2:4] * ((shape[1], shape[0]) - length)
            line, column = np.indices(shape[:2])
            image[...] = (column >= begin[0]) & (column < begin[0] + length[0])
            image &= (line >= begin[1]) & (line < begin[1] + length[1])
    return inside[..., None]


@every_shape
@every_dtype
def test_erasing_by_a_value(shape, dtype):
    x, dy = images(40, shape, dtype), images(40, shape, dtype, 1)
    erased = patches(40, shape, (0.2, 0.9), (0.1, 0.6))
    assert erased.any() == (min(shape[:2]) > 1)
    layer = layers.RandomErasing((0.2, 0.9), (0.6, 0.1), 300)
    model = alone(layer, shape, dtype)
    same_bits(model.forward(x, training=True), np.where(erased, x.dtype.type(255), x))
    same_bits(model.backward(dy), np.where(erased, x.dtype.type(0), dy))


def test_erasing_by_a_colour():
    x = images(30, (9, 13, 3))
    y = alone(layers.RandomErasing(1, 0.5, (1, 2, 3)), x.shape[1:]).forward(x, training=True)
    same_bits(y, np.where(patches(30, (9, 13, 3), (0, 1), (0, 0.5)), np.arange(1.0, 4.0), x))


@every_shape
@every_dtype
def test_erasing_by_noise(shape, dtype):
    size = math.prod(shape)
    x, z = images(30, shape, dtype), np.empty((30, *shape), dtype)
    kernels = truth.kernels(truth.LEVELS[0], dtype)
    kernels.apply_normals(z.ctypes.data, SEED, philox.STREAM_PASS, 2**62, 30 * size)
    erased = patches(30, shape, (1, 1), (0.02, 0.33))
    y = alone(layers.RandomErasing((1, 1)), shape, dtype).forward(x, training=True)
    expected = np.where(erased, np.clip(255 * z, 0, 255), x)
    np.testing.assert_allclose(y, expected, rtol=0, atol=255 * 8 * EPS[dtype])


def test_chances_and_sizes_of_what_is_erased():
    x = np.ones((4000, 30, 30, 1))
    for factor, share in ((1.0, 0.5), (0.4, 0.2), ((1, 1), 1.0), (0, 0)):
        layer = layers.RandomErasing(factor, (0.25, 0.25), 0)
        y = alone(layer, x.shape[1:]).forward(x, training=True)
        assert abs((y == 0).any((1, 2, 3)).mean() - share) < 4 * 0.5 / math.sqrt(4000)
        assert set(np.unique((y == 0).sum((1, 2, 3)))) <= {0, 15 * 15}


# ---- when they draw, and for whom ----------------------------------------------------------------

EVERY = {
    "flip": layers.RandomFlip,
    **{name: WARPS[name][0] for name in ("translation", "rotation", "zoom")},
    "contrast": lambda **how: layers.RandomContrast((0.2, 0.5), (-1, 1), **how),
    "brightness": lambda **how: layers.RandomBrightness(0.4, (-1, 1), **how),
    "erasing": lambda **how: layers.RandomErasing((0.5, 1), value_range=(-1, 1), **how),
}
every_layer = pytest.mark.parametrize("name", EVERY)


def network(names=tuple(EVERY), dtype="float32", seed=3, **how):
    """A network of images (6, 5, 2) with these layers, the first of them first."""
    stack = [EVERY[names[0]](**how), layers.Dense(3, "tanh")]
    stack += [EVERY[name](**how) for name in names[1:]]
    model = fw.Sequential([*stack, layers.Flatten(), layers.Dense(2)], (6, 5, 2), dtype, seed)
    model.compile("adam", "mse")
    return model


def data(rows, seed=0):
    random = np.random.default_rng(seed)
    return 0.5 * random.standard_normal((rows, 6, 5, 2)), random.standard_normal((rows, 2))


@every_layer
def test_nothing_is_drawn_in_inference(name):
    stack = [layers.Dense(3, "tanh"), layers.Flatten(), layers.Dense(2)]
    model, quiet = network((name,), "float64"), fw.Sequential(stack, (6, 5, 2), "float64", 3)
    quiet.compile("adam", "mse")
    x, y = data(50)
    same_bits(model.predict(x), quiet.predict(x))
    same_bits(model.forward(x), quiet.forward(x))
    same_bits(model.backward(np.ones((50, 2))), quiet.backward(np.ones((50, 2))))
    assert model.evaluate(x, y) == quiet.evaluate(x, y)
    assert fw.check_gradients(model, x[:5], y[:5], tolerance=1e-7)
    assert model.train_on_batch(x, y) != quiet.train_on_batch(x, y)


@every_layer
@pytest.mark.parametrize("rows", [1, 9, 40])
def test_gradients_with_the_numbers_held_fixed(name, rows):
    stack = [layers.Dense(3, "tanh"), EVERY[name](), layers.Flatten(), layers.Dense(2)]
    model = fw.Sequential(stack, (6, 5, 2), "float64", 3)
    model.compile("adam", "mse")
    assert error_with_noise(model, *data(rows)) < 1e-8


@every_layer
def test_other_numbers_each_pass_each_layer_and_each_row(name):
    shape = (6, 5, 2)
    x = np.broadcast_to(data(1)[0], (40, *shape)).copy()
    model = alone(EVERY[name](), shape)
    found = [model.forward(x, training=True) for _ in range(3)]
    same_bits(found[0], alone(EVERY[name](), shape).forward(x, training=True))
    found += [alone(EVERY[name](seed=seed), shape).forward(x, training=True) for seed in (0, 1)]
    found.append(alone(EVERY[name](), shape, seed=SEED + 1).forward(x, training=True))
    two = fw.Sequential([EVERY[name](), EVERY[name]()], shape, dtype="float64", seed=SEED)
    found.append(two.forward(x, training=True))
    for i, one in enumerate(found):
        for other in found[:i]:
            assert (one != other).any((1, 2, 3)).sum() > 5
    assert len(np.unique(found[0].reshape(40, -1), axis=0)) > (1 if name == "flip" else 10)


@every_dtype
def test_the_same_bits_for_any_team_and_any_cut(dtype, monkeypatch):
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    for batch in (40, 700, 1500):
        expect_one_training(lambda: network(dtype=dtype), *data(1500), batch, 3)


TRAIN = """
import hashlib, test_augmentation
model = test_augmentation.network(dtype="{dtype}")
model.fit(*test_augmentation.data(300), 40, 3, verbose=0)
print(hashlib.sha256(model.parameters.tobytes()).hexdigest())
"""


@every_dtype
def test_the_same_bits_on_every_level_that_fuses(dtype):
    expect_one_answer(TRAIN.format(dtype=dtype), truth.FUSED)


@every_layer
def test_bytes_are_changed_as_the_reals_that_they_stand_for(name):
    x = np.random.default_rng(0).integers(0, 256, (50, 6, 5, 2), np.uint8)
    one, other = network((name,)), network((name,))
    for model, given in ((one, x), (other, x.astype(float))):
        model.fit(given, data(50)[1], 16, 2, verbose=0)
    same_bits(one.parameters, other.parameters)


def test_factors_of_0_change_nothing():
    x = images(5, (4, 6, 3))
    for layer in (
        layers.RandomTranslation(0, 0),
        layers.RandomRotation(0),
        layers.RandomZoom(0),
        layers.RandomZoom(0, (0, 0)),
        layers.RandomBrightness(0),
        layers.RandomErasing(0),
    ):
        same_bits(alone(layer, (4, 6, 3)).forward(x, training=True), x)


def test_settings_are_saved(tmp_path):
    stack = [make(seed=5, name=f"own_{name}") for name, make in EVERY.items()]
    stack += [layers.RandomZoom(0.5, 0.1, "constant", "nearest", fill_value=3.0)]
    stack += [layers.RandomErasing(fill_value=(1, 2, 3), name="colour")]
    model = fw.Sequential([*stack, layers.Flatten(), layers.Dense(1)], (6, 5, 3), seed=SEED)
    model.save(tmp_path / "model.safetensors")
    again = fw.load(tmp_path / "model.safetensors")
    assert [layer.config() for layer in again.layers] == [layer.config() for layer in model.layers]
    x = images(10, (6, 5, 3))
    same_bits(again.forward(x, training=True), model.forward(x, training=True))


REFUSED = {
    "mode": (lambda: layers.RandomFlip("both"), "mode: got 'both', expected one of horizontal, "),
    "factor": (lambda: layers.RandomRotation(1.1), "factor: got 1.1, expected .* at most 1"),
    "no number": (lambda: layers.RandomRotation("a"), "factor: got 'a', expected a number"),
    "of a pair": (lambda: layers.RandomRotation((0, 2)), "factor: got 2, expected .* at most 1"),
    "three": (lambda: layers.RandomRotation((0, 0, 1)), r"factor: got \(0, 0, 1\), expected 2 num"),
    "height": (lambda: layers.RandomTranslation(-2, 0), "height_factor: got -2, expected"),
    "width": (lambda: layers.RandomTranslation(0, 2), "width_factor: got 2, expected"),
    "zoom": (lambda: layers.RandomZoom(-1), "height_factor: got -1, expected .* above -1"),
    "of the width": (lambda: layers.RandomZoom(0, 9), "width_factor: got 9, expected"),
    "fill": (lambda: layers.RandomZoom(0.1, None, "mirror"), "fill_mode: got 'mirror', expected"),
    "value": (lambda: layers.RandomZoom(0.1, fill_value=math.inf), "fill_value: got inf, expected"),
    "cubic": (
        lambda: layers.RandomRotation(0.1, interpolation="bicubic"),
        "interpolation: got 'bicubic', expected one of nearest, bilinear",
    ),
    "order": (
        lambda: layers.RandomFlip(data_format="channels_first"),
        "data_format: got 'channels_first', expected 'channels_last'.*Permute",
    ),
    "contrast": (lambda: layers.RandomContrast(-0.1), "factor: got -0.1, expected .* at least 0"),
    "range": (lambda: layers.RandomContrast(0.1, 255), "value_range: got 255, expected 2 numbers"),
    "scale": (lambda: layers.RandomErasing(scale=1.5), "scale: got 1.5, expected .* at most 1"),
    "colours": (
        lambda: layers.RandomErasing(fill_value=(1, 2)),
        r"fill_value: got \(1, 2\), expected 3 numbers",
    ),
    "seed": (lambda: layers.RandomFlip(seed=-1), "seed: got -1"),
}


@pytest.mark.parametrize("which", REFUSED)
def test_what_is_refused(which):
    make, message = REFUSED[which]
    with pytest.raises((ValueError, TypeError), match=message):
        make()


@every_layer
def test_rows_that_are_no_images(name):
    with pytest.raises(
        ValueError,
        match=r"input of Random\w+: got rows of shape \(28, 28\), .* layers.Reshape\(\(28, 28, 1",
    ):
        alone(EVERY[name](), (28, 28))
    with pytest.raises(
        ValueError, match=r"Random\w+: got rows of shape \(5,\), expected rows of \(height, "
    ):
        alone(EVERY[name](), (5,))
    with pytest.raises(ValueError, match="fill_value: got 3 numbers for rows"):
        alone(layers.RandomErasing(fill_value=(1, 2, 3)), (5, 5, 1))


MEANINGLESS = {
    "no channels": ("flip", (0, 0, 1, 1, 1, 1), (0.0,)),
    "other channels": ("flip", (0, 7, 1, 1, 1, 1), (0.0,)),
    "no such fill": ("translate", (0, 2, 4, 0), (0.0, 0.0, 1.0, 0.0, 1.0)),
    "infinitely far": ("translate", (0, 2, 0, 0), (0.0, 0.0, math.inf, 0.0, 1.0)),
    "far": ("rotate", (0, 2, 0, 0), (0.0, -1e30, 1e30)),
    "roots below 0": ("erase", (0, 2, 0), (0.0, 1.0, -1.0, 1.0, 0.0, 0.0, 0.0)),
    "infinite": ("contrast", (0, 2), (0.0, math.inf, 0.0, 1.0)),
}


@pytest.mark.parametrize("which", MEANINGLESS)
def test_ops_of_others_that_make_no_sense(which):
    kind, sizes, options = MEANINGLESS[which]

    class Other(layers.Layer):
        def ops(self, x):
            return layers.op(kind, x, lines=6, sizes=sizes, options=options)

    with pytest.raises(ValueError, match=f"got an op '{kind}' .* expected sizes that suit"):
        fw.Sequential([Other()], (6, 5, 2))
