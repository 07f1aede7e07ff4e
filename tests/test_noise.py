"""Layers that draw random numbers in training: what they draw, when, and what decides it."""

import math
import sys

import mpmath
import numpy as np
import pytest
import truth
from helpers import error_with_noise, expect_one_answer, expect_one_training, same_bits
from scipy import stats

import fastweights as fw
from fastweights import layers
from fastweights._core import philox
from fastweights._plans import plan_for

SEED, STREAM = 0x123456789ABCDEF0, philox.STREAM_PASS + 7 * philox.PASS_OPS
#: Blocks of the generator that a group of elements is drawn by.
BLOCKS = 16

NOISE = {
    "dropout": lambda **settings: layers.Dropout(0.3, **settings),
    "spatial": lambda **settings: layers.SpatialDropout1D(0.4, **settings),
    "alpha": lambda **settings: layers.AlphaDropout(0.2, **settings),
    "noise": lambda **settings: layers.GaussianNoise(0.5, **settings),
    "gaussian": lambda **settings: layers.GaussianDropout(0.3, **settings),
}
every_layer = pytest.mark.parametrize("name", NOISE)
every_level = pytest.mark.parametrize("level", truth.LEVELS)
every_dtype = pytest.mark.parametrize("dtype", truth.DTYPES)


# ---- the oracle: the same numbers, one by one from the generator's blocks ------------------------


def words(seed, stream, group):
    """Words (blocks, 4) of one group."""
    first = BLOCKS * group
    return np.array([philox.block(seed, stream, first + i) for i in range(BLOCKS)], np.uint32)


def drawn(of_group, seed, stream, first, n):
    """Numbers first, first + 1, ... of those that `of_group` makes of each group's words."""
    group, found, size = None, [], None
    begin = 0
    while size is None or len(found) - begin < n:
        if group is None:
            size = len(of_group(words(seed, stream, 0)))
            group, begin = first // size, first % size
        found.extend(of_group(words(seed, stream, group)))
        group += 1
    return np.array(found[begin : begin + n])


def halves(group):
    """128 draws of 16 bits."""
    parts = np.stack([group & 0xFFFF, group >> 16], axis=2)
    return np.concatenate([parts[:, :2].ravel(), parts[:, 2:].ravel()])


def normals(group, real=np.float64):
    """64 normal numbers by Box and Muller, in more than double precision."""
    signed = (group | np.uint32(1)).view(np.int32)
    a, b = (signed[:, part].ravel().astype(real).astype(float) for part in (slice(2), slice(2, 4)))
    found = []
    for trigonometric, sign in ((mpmath.cos, b), (mpmath.sin, a)):
        for u, v, s in zip(abs(a) / 2**31, abs(b) / 2**31, sign, strict=True):
            radius = mpmath.sqrt(-2 * mpmath.log(u))
            angle = mpmath.pi / 4 + mpmath.pi / 2 * (mpmath.mpf(v) - 0.5)
            found.append(math.copysign(1, s) * float(radius * trigonometric(angle)))
    return found


# ---- the numbers ---------------------------------------------------------------------------------


@every_level
@every_dtype
@pytest.mark.parametrize("counter", [0, 5, 2**32 - 3, 2**40 + 1, 2**64 - 16])
def test_vectors_draw_the_generators_words(level, dtype, counter):
    found = np.zeros((BLOCKS, 4), np.uint32)
    stream = 0xFEDCBA9876543210
    truth.kernels(level, dtype).apply_philox(found.ctypes.data, SEED, stream, counter)
    expected = [philox.block(SEED, stream, counter + i) for i in range(BLOCKS)]
    np.testing.assert_array_equal(found, expected)


@every_level
@every_dtype
@pytest.mark.parametrize("last_dropped", [0, 19660, 32767, 32768, 65534, 65535])
def test_dropout_by_the_words(level, dtype, last_dropped):
    kernels = truth.kernels(level, dtype)
    kept = drawn(halves, SEED, STREAM, 0, 1500) > last_dropped
    for n in (1, 7, 63, 64, 65, 127, 128, 129, 511, 512, 513, 1500):
        x = np.random.default_rng(n).standard_normal(n).astype(dtype)
        y, dx, saved = np.empty_like(x), np.empty_like(x), np.zeros(n // 8 + 1, np.uint8)
        kernels.apply_dropout(
            y.ctypes.data, saved.ctypes.data, x.ctypes.data, 1, n, last_dropped, 1.25, SEED, STREAM
        )
        kernels.apply_dropout_gradient(dx.ctypes.data, x.ctypes.data, saved.ctypes.data, 1, n, 1.25)
        expected = np.where(kept[:n], x * x.dtype.type(1.25), 0)
        np.testing.assert_array_equal(y, expected)
        np.testing.assert_array_equal(dx, expected)


def normal(level, dtype, n, first=0, seed=SEED):
    out = np.empty(n, dtype)
    kernels = truth.kernels(level, dtype)
    kernels.apply_normals(out.ctypes.data, seed, STREAM, first, n)
    return out


@every_level
@every_dtype
def test_normal_numbers_are_those_of_box_and_muller(level, dtype):
    real = np.dtype(dtype).type
    expected = drawn(lambda group: normals(group, real), SEED, STREAM, 1000, 1000)
    error = np.abs(normal(level, dtype, 1000, 1000) - expected)
    assert (error <= 4 * np.finfo(dtype).eps * np.maximum(1, np.abs(expected))).all(), error.max()


@every_dtype
def test_normal_numbers_are_the_same_bits_on_every_level_that_fuses(dtype):
    first = normal(truth.FUSED[0], dtype, 5000, 77)
    for level in truth.FUSED[1:]:
        same_bits(first, normal(level, dtype, 5000, 77))
    for begin, n in ((77 + 63, 1), (77 + 64, 900), (77 + 511, 4000)):
        same_bits(first[begin - 77 :][:n], normal(truth.FUSED[0], dtype, n, begin))


@every_dtype
def test_normal_numbers_are_normal(dtype):
    n = 2_000_000
    found = normal(truth.LEVELS[0], dtype, n).astype(float)
    for power, moment in ((1, 0), (2, 1), (3, 0), (4, 3), (5, 0), (6, 15)):
        deviation = math.sqrt(stats.norm.moment(2 * power) - moment**2)
        assert abs((found**power).mean() - moment) < 4 * deviation / math.sqrt(n), power
    assert stats.kstest(found, "norm").pvalue > 0.01
    assert 4.7 < abs(found).max() < 6.6
    # Neighbours, the two of a pair, and those of the next group.
    for lag in (1, 2, 16, 32, 64):
        assert abs(np.corrcoef(found[:-lag], found[lag:])[0, 1]) < 4 / math.sqrt(n)
        squares = np.corrcoef(found[:-lag] ** 2, found[lag:] ** 2)[0, 1]
        assert abs(squares) < 4 / math.sqrt(n)


# ---- what layers make of them --------------------------------------------------------------------


def alone(layer, shape=(40,), dtype="float64", seed=SEED):
    model = fw.Sequential([layer], shape, dtype=dtype, seed=seed)
    model.compile("sgd", "mse")
    return model


def in_training(model, x):
    return model.forward(x, training=True), model.backward(np.ones_like(x))


@every_dtype
@pytest.mark.parametrize("features", [1, 3, 40, 64, 700])
def test_dropout_keeps_what_the_draws_say(dtype, features):
    model = alone(layers.Dropout(0.3), features, dtype)
    x = np.random.default_rng(0).standard_normal((37, features)).astype(dtype)
    kept = drawn(halves, SEED, philox.STREAM_PASS, 0, x.size).reshape(x.shape) >= 19661
    scale = x.dtype.type(65536 / (65536 - 19661))
    y, dx = in_training(model, x)
    np.testing.assert_array_equal(y, np.where(kept, scale * x, 0))
    np.testing.assert_array_equal(dx, np.where(kept, scale, 0))


def test_dropout_of_a_hidden_layer_draws_by_its_place_in_the_model():
    model = fw.Sequential([layers.Dense(9), layers.Dropout(0.5)], 4, dtype="float64", seed=SEED)
    x = np.ones((20, 4))
    kept = drawn(halves, SEED, philox.STREAM_PASS + 1, 0, 180).reshape(20, 9) >= 32768
    np.testing.assert_array_equal(model.forward(x, training=True) != 0, kept)


@every_dtype
@pytest.mark.parametrize("features", [1, 5, 64, 600])
def test_spatial_dropout_drops_features_in_all_steps(dtype, features):
    model = alone(layers.SpatialDropout1D(0.3), (6, features), dtype)
    x = np.random.default_rng(0).standard_normal((23, 6, features)).astype(dtype)
    kept = drawn(halves, SEED, philox.STREAM_PASS, 0, 23 * features) >= 19661
    kept = np.repeat(kept.reshape(23, 1, features), 6, axis=1)
    scale = x.dtype.type(65536 / (65536 - 19661))
    y, dx = in_training(model, x)
    np.testing.assert_array_equal(y, np.where(kept, scale * x, 0))
    np.testing.assert_array_equal(dx, np.where(kept, scale, 0))


@every_dtype
@pytest.mark.parametrize("features", [1, 7, 70])
def test_gaussian_layers_by_the_normal_numbers(dtype, features):
    x = np.random.default_rng(0).standard_normal((21, features)).astype(dtype)
    z = np.empty_like(x)
    kernels = truth.kernels(truth.LEVELS[0], dtype)
    kernels.apply_normals(z.ctypes.data, SEED, philox.STREAM_PASS, 0, z.size)
    close = {"rtol": 8 * np.finfo(dtype).eps, "atol": 8 * np.finfo(dtype).eps}
    y, dx = in_training(alone(layers.GaussianNoise(0.25), features, dtype), x)
    np.testing.assert_allclose(y, x + 0.25 * z, **close)
    np.testing.assert_array_equal(dx, 1)
    y, dx = in_training(alone(layers.GaussianDropout(0.2), features, dtype), x)
    np.testing.assert_allclose(dx, 1 + 0.5 * z, **close)
    np.testing.assert_allclose(y, x * (1 + 0.5 * z), **close)


@pytest.mark.parametrize("rate", [1e-9, 2.0**-16, 0.1, 0.25, 0.5, 0.9, 0.999, 1 - 1e-9])
def test_share_and_scale_of_what_is_kept(rate):
    n = 4_000_000
    model = alone(layers.Dropout(rate), 1000)
    y = model.forward(np.ones((n // 1000, 1000)), training=True)
    dropped = min(max(round(rate * 65536), 1), 65535) / 65536
    assert set(np.unique(y)) == {0.0, 1 / (1 - dropped)}
    deviation = math.sqrt(dropped * (1 - dropped) / n)
    assert abs((y == 0).mean() - dropped) < 4 * deviation
    # Neither rows nor columns have a share of their own.
    for axis in (0, 1):
        share = (y == 0).mean(axis=axis)
        size = n // share.size
        expected = dropped * (1 - dropped) / size
        assert share.var() == pytest.approx(expected, rel=6 * math.sqrt(2 / share.size) + 0.1)


def test_rates_of_0_and_1():
    x = np.random.default_rng(0).standard_normal((9, 6))
    for layer in (
        layers.Dropout(0),
        layers.AlphaDropout(0),
        layers.GaussianDropout(0),
        layers.GaussianNoise(0),
    ):
        model = fw.Sequential([layer, layers.Dense(3)], 6, dtype="float64")
        np.testing.assert_array_equal(model.forward(x, training=True), model.predict(x))
    y, dx = in_training(alone(layers.Dropout(1), 6), x)
    assert (y == 0).all()
    assert (dx == 0).all()


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.5, 0.9])
def test_alpha_dropout_keeps_mean_and_variance(rate):
    random = np.random.default_rng(1)
    x = random.standard_normal((4000, 1000))
    model = alone(layers.AlphaDropout(rate), 1000)
    y, dx = in_training(model, x)
    dropped = dx == 0
    assert dropped.mean() == pytest.approx(rate, abs=1e-3)
    assert np.unique(y[dropped]).size == 1
    assert abs(y.mean()) < 0.005
    assert y.var() == pytest.approx(1, abs=0.005)
    # Klambauer et al. 2017: a = (q + alpha'^2 q (1 - q))^(-1/2), b = -a (1 - q) alpha'.
    q, least = 1 - round(rate * 65536) / 65536, -1.7580993408473766
    a = (q + least**2 * q * (1 - q)) ** -0.5
    kept = a * x[~dropped] - a * (1 - q) * least
    np.testing.assert_allclose(y[~dropped], kept, rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(y[dropped], a * least - a * (1 - q) * least, rtol=1e-12)
    np.testing.assert_allclose(dx[~dropped], a, rtol=1e-12)


def test_what_is_dropped_may_be_anything():
    stack = [layers.Activation("exponential"), layers.Dropout(0.5)]
    y = fw.Sequential(stack, 40, "float64").forward(np.full((8, 40), 1e300), training=True)
    assert set(np.unique(y)) == {0.0, np.inf}
    model = alone(layers.Dropout(0.5))
    kept = model.forward(np.ones((8, 40)), training=True) > 0
    dx = model.backward(np.where(kept, 1.0, 1e308))
    np.testing.assert_array_equal(dx, np.where(kept, 2.0, 0.0))


# ---- when they draw ------------------------------------------------------------------------------


def network(names=tuple(NOISE), dtype="float32", seed=3, **settings):
    """A network with these layers, of rows (3, 5)."""
    stack = []
    for name in names:
        stack += [layers.Dense(7, "tanh"), NOISE[name](**settings)]
    model = fw.Sequential(
        [*stack, layers.Flatten(), layers.Dense(2)], (3, 5), dtype=dtype, seed=seed
    )
    model.compile("adam", "mse")
    return model


def data(rows, seed=0):
    random = np.random.default_rng(seed)
    return random.standard_normal((rows, 3, 5)), random.standard_normal((rows, 2))


@every_layer
def test_nothing_is_drawn_in_inference(name):
    noisy = network((name,), "float64")
    x, y = data(50)
    quiet = fw.Sequential(
        [layers.Dense(7, "tanh"), layers.Flatten(), layers.Dense(2)], (3, 5), "float64", 3
    )
    quiet.compile("adam", "mse")
    same_bits(noisy.predict(x), quiet.predict(x))
    same_bits(noisy.forward(x), quiet.forward(x))
    same_bits(noisy.backward(np.ones((50, 2))), quiet.backward(np.ones((50, 2))))
    assert noisy.evaluate(x, y) == quiet.evaluate(x, y)
    for found, expected in zip(
        noisy.loss_and_gradients(x, y), quiet.loss_and_gradients(x, y), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
    assert fw.check_gradients(noisy, x, y, tolerance=1e-7)
    # Training draws, and validation does not.
    history = noisy.fit(x, y, 50, 1, verbose=0, validation_data=(x, y))
    assert history.history["loss"][0] != quiet.evaluate(x, y)
    assert history.history["val_loss"][0] == pytest.approx(noisy.evaluate(x, y), rel=1e-12)


@every_layer
def test_other_numbers_each_pass_and_each_layer(name):
    shape = (3, 5)
    x = np.ones((40, *shape))
    model = alone(NOISE[name](), shape)
    passes = [model.forward(x, training=True) for _ in range(3)]
    again = alone(NOISE[name](), shape)
    same_bits(passes[0], again.forward(x, training=True))
    two = fw.Sequential([NOISE[name](), NOISE[name]()], shape, dtype="float64", seed=SEED)
    seeds = [NOISE[name](seed=seed) for seed in (0, 1, 2**64 - 1)]
    others = [alone(layer, shape).forward(x, training=True) for layer in seeds]
    others.append(alone(NOISE[name](), shape, seed=SEED + 1).forward(x, training=True))
    others.append(two.forward(x, training=True))
    found = [*passes, *others]
    for i, one in enumerate(found):
        for other in found[:i]:
            assert (one != other).mean() > 0.2
    same_bits(others[1], alone(NOISE[name](seed=1), shape).forward(x, training=True))
    # No row is another's.
    assert np.unique(passes[0].reshape(40, -1), axis=0).shape[0] > 20


@every_layer
@pytest.mark.parametrize("rows", [9, 40])
def test_gradients_with_the_numbers_held_fixed(name, rows):
    x, y = data(rows)
    assert error_with_noise(network((name,), "float64"), x, y) < 1e-8


@every_dtype
def test_the_same_bits_for_any_team_and_any_cut(dtype, monkeypatch):
    """Whole batches, slices of them and chunks: the numbers go by a row's place in the pass."""
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    for batch in (40, 700, 1500):
        expect_one_training(lambda: network(dtype=dtype), *data(1500), batch, 4)


TRAIN = """
import hashlib, test_noise
model = test_noise.network(dtype="{dtype}")
model.fit(*test_noise.data(300), 40, 3, verbose=0)
print(hashlib.sha256(model.parameters.tobytes()).hexdigest())
"""


@every_dtype
def test_the_same_bits_on_every_level_that_fuses(dtype):
    expect_one_answer(TRAIN.format(dtype=dtype), truth.FUSED)


@pytest.mark.parametrize("units", [7, 300])
def test_a_step_is_the_mean_of_its_rows_however_it_is_cut(units):
    """The outputs of one pass over 1500 rows, whole, in chunks or in slices, have the same loss."""
    stack = [layers.Dense(units), layers.Dropout(0.5), layers.Dense(units), layers.Dropout(0.5)]
    model = fw.Sequential([*stack, layers.Dense(2)], (15,), dtype="float64", seed=1)
    model.compile("sgd", "mse")
    x, y = data(1500)
    x = x.reshape(1500, 15)
    twin = model.copy()
    out = twin.forward(x, training=True)
    loss = model.train_on_batch(x, y)
    assert loss == pytest.approx(((out - y) ** 2).mean(), rel=1e-12)


def test_a_fit_goes_on_with_the_same_bits_after_loading(tmp_path):
    x, y = data(300)
    model = network()
    model.fit(x, y, 32, 2, verbose=0)
    model.save(tmp_path / "model.safetensors")
    again = fw.load(tmp_path / "model.safetensors")
    copy = model.copy()
    for twin in (model, again, copy):
        twin.fit(x, y, 32, 2, verbose=0)
    same_bits(again.parameters, model.parameters)
    same_bits(copy.parameters, model.parameters)


def test_settings_are_saved(tmp_path):
    stack = [make(seed=5, name=f"own_{name}") for name, make in NOISE.items()]
    model = fw.Sequential([*stack, layers.Flatten(), layers.Dense(1)], (3, 5), seed=SEED)
    model.save(tmp_path / "model.safetensors")
    again = fw.load(tmp_path / "model.safetensors")
    assert [layer.config() for layer in again.layers] == [layer.config() for layer in model.layers]
    x = data(10)[0]
    same_bits(again.forward(x, training=True), model.forward(x, training=True))


def test_what_is_refused():
    for make in (layers.Dropout, layers.SpatialDropout1D, layers.AlphaDropout):
        for bad in (-0.1, 1.1, math.nan):
            with pytest.raises(ValueError, match="rate: got"):
                make(bad)
        for bad in ("0.5", None, True):
            with pytest.raises(TypeError, match="rate: got"):
                make(bad)
        with pytest.raises(ValueError, match="seed: got -1"):
            make(0.5, seed=-1)
        with pytest.raises(TypeError, match="seed: got"):
            make(0.5, seed=0.5)
    for make in (layers.AlphaDropout, layers.GaussianDropout):
        with pytest.raises(ValueError, match=r"rate: got 1, expected .* below 1"):
            make(1)
    for bad in (-1, math.inf, math.nan):
        with pytest.raises(ValueError, match="stddev: got"):
            layers.GaussianNoise(bad)
    for shape in ((5,), (2, 3, 5)):
        with pytest.raises(ValueError, match=r"SpatialDropout1D: got rows of shape .*steps"):
            alone(layers.SpatialDropout1D(0.5), shape)


def test_backward_draws_what_forward_drew_for_any_team(monkeypatch):
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    model = fw.Sequential([layers.Dropout(0.5)], 8, seed=1)
    ones = np.ones((64, 8), np.float32)
    with fw.threads(2):
        plan = plan_for(model, "keep", 64)
        for first, second in ((1, 2), (2, 1)):
            y, dx = np.empty_like(ones), np.empty_like(ones)
            plan.grant(64, 0, first)
            plan.forward(ones, y, 64, 5, philox.STREAM_PASS)
            plan.grant(64, 0, second)
            plan.backward(ones, dx, 64)
            np.testing.assert_array_equal(dx, y)
