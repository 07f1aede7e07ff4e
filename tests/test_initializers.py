"""Initialisers: their distributions, their names, and the same bits everywhere."""

import json
import math

import numpy as np
import pytest

from fastweights import activations, initializers
from fastweights._core import philox

ALL = list(initializers.INITIALIZERS)
RANDOM = [name for name in ALL if name not in ("zeros", "ones", "constant")]
SHAPE = (300, 500)

#: Name: variance for SHAPE, largest magnitude in standard deviations after the cut.
CUT = 2 / 0.87962566103423978
SCALED = {
    "glorot_normal": (2 / 800, CUT),
    "glorot_uniform": (2 / 800, math.sqrt(3)),
    "he_normal": (2 / 300, CUT),
    "he_uniform": (2 / 300, math.sqrt(3)),
    "lecun_normal": (1 / 300, CUT),
    "lecun_uniform": (1 / 300, math.sqrt(3)),
    "random_normal": (0.05**2, math.inf),
    "truncated_normal": ((0.05 * 0.87962566103423978) ** 2, CUT),
    "random_uniform": (0.05**2 / 3, math.sqrt(3)),
}


@pytest.mark.parametrize("name", SCALED)
@pytest.mark.parametrize("seed", range(3))
def test_variance_mean_and_bounds(name, seed):
    variance, furthest = SCALED[name]
    values = initializers.get(name)(SHAPE, "float64", seed)
    n = values.size
    deviation = math.sqrt(variance)
    assert abs(values.mean()) < 4 * deviation / math.sqrt(n)
    # A squared normal spreads the most: its relative standard deviation is sqrt(2).
    assert abs(values.var() / variance - 1) < 4 * math.sqrt(2 / n)
    assert np.abs(values).max() <= furthest * deviation
    if furthest < math.inf:
        assert np.abs(values).max() > 0.999 * furthest * deviation


def test_the_cut_leaves_the_standard_deviation_that_is_corrected_for():
    density = math.exp(-2) / math.sqrt(2 * math.pi)
    inside = math.erf(math.sqrt(2))
    deviation = math.sqrt(1 - 4 * density / inside)
    assert deviation == pytest.approx(initializers.HeNormal.CUT, rel=1e-15)


@pytest.mark.parametrize(
    ("name", "value"), [("zeros", 0.0), ("ones", 1.0), ({"name": "constant", "value": -2.5}, -2.5)]
)
def test_constants(name, value):
    assert np.array_equal(initializers.get(name)((3, 4)), np.full((3, 4), value, np.float32))


def test_settings_shift_and_scale():
    standard = initializers.RandomNormal(0, 1)((50,), "float64")
    assert np.array_equal(initializers.RandomNormal(3, 2)((50,), "float64"), standard * 2 + 3)
    unit = initializers.RandomUniform(0, 1)((50,), "float64")
    assert np.array_equal(initializers.RandomUniform(-1, 3)((50,), "float64"), unit * 4 - 1)
    cut = initializers.TruncatedNormal(0, 1)((50,), "float64")
    assert np.array_equal(initializers.TruncatedNormal(3, 2)((50,), "float64"), cut * 2 + 3)


@pytest.mark.parametrize(
    "shape", [(1, 1), (5, 5), (64, 64), (20, 7), (7, 20), (3, 4, 6), (2, 2, 9)]
)
@pytest.mark.parametrize("gain", [1.0, 0.5])
def test_orthogonal(shape, gain):
    matrix = initializers.Orthogonal(gain)(shape, "float64").reshape(-1, shape[-1])
    short = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    assert np.abs(short @ short.T - gain**2 * np.eye(len(short))).max() < 1e-12


# ---- fans ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((), (1, 1)),
        ((7,), (7, 7)),
        ((3, 5), (3, 5)),
        ((2, 3, 5), (6, 10)),
        ((4, 2, 3, 5), (24, 40)),
    ],
)
def test_fans(shape, expected):
    assert initializers.fans(shape) == expected


def test_given_fans_replace_those_of_the_shape():
    rule = initializers.HeUniform()
    by_shape = rule((100, 50), "float64")
    assert np.array_equal(rule((5000,), "float64", fan_in=100), by_shape.ravel())
    assert np.array_equal(rule((100, 50), "float64", fan_in=400), by_shape / 2)


# ---- reproducibility -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_float32_is_float64_rounded(name):
    rule = initializers.get(name)
    wide = rule((31, 17), "float64", 5, 6)
    narrow = rule((31, 17), "float32", 5, 6)
    assert wide.dtype == np.float64
    assert narrow.dtype == np.float32
    assert np.array_equal(narrow, wide.astype(np.float32))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_fill_writes_into_a_view_and_nowhere_else(name, dtype):
    rule = initializers.get(name)
    flat = np.full(40, 7.0, dtype=dtype)
    rule.fill(flat[5:35].reshape(6, 5), 1, 2)
    assert np.array_equal(flat[5:35].reshape(6, 5), rule((6, 5), dtype, 1, 2))
    assert (np.delete(flat, slice(5, 35)) == 7).all()


@pytest.mark.parametrize("name", RANDOM)
def test_seed_and_stream_choose_the_numbers(name):
    rule = initializers.get(name)
    drawn = rule((10, 10), seed=1, stream=2)
    assert np.array_equal(drawn, rule((10, 10), seed=1, stream=2))
    assert not np.array_equal(drawn, rule((10, 10), seed=2, stream=2))
    assert not np.array_equal(drawn, rule((10, 10), seed=1, stream=3))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("random_normal", ["0x1.266a1796982c0p-4", "-0x1.718c8917994dfp-4"]),
        ("random_uniform", ["0x1.5beea9551834cp-5", "-0x1.7c73a888c137ap-5"]),
        ("truncated_normal", ["0x1.0ce3714f51873p-4", "-0x1.4431fc167bdd0p-4"]),
        ("glorot_normal", ["0x1.55c42d712cedfp-1", "-0x1.9c1029ec053a4p-1"]),
        ("glorot_uniform", ["0x1.50e24c0f8f4ccp-1", "-0x1.705ef0d095a7ap-1"]),
        ("he_normal", ["0x1.37fd10bc93a45p+0", "-0x1.782913fc294dep+0"]),
        ("he_uniform", ["0x1.338815fd7de73p+0", "-0x1.504669bff0a17p+0"]),
        ("lecun_normal", ["0x1.b937ea5c4c4e0p-1", "-0x1.09fc5120f672cp+0"]),
        ("lecun_uniform", ["0x1.b2ea53aa5e41ep-1", "-0x1.db9092aaf1858p-1"]),
        ("orthogonal", ["0x1.fd7abe59a4c42p-2", "-0x1.178c045738f49p-1"]),
    ],
)
def test_bits(name, expected):
    drawn = initializers.get(name)((3, 7), "float64", 42, philox.STREAM_INIT)
    assert [value.hex() for value in drawn.ravel()[[0, 20]].tolist()] == expected


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (), (1,), 4])
def test_any_shape(name, shape):
    drawn = initializers.get(name)(shape)
    assert drawn.shape == np.empty(shape).shape
    assert np.isfinite(drawn).all()


# ---- names and settings --------------------------------------------------------------------------


def test_auto_matches_the_rule_to_the_activation():
    he = ["relu", "relu6", "leaky_relu", "elu", "gelu", "gelu_tanh", "silu", "hard_silu", "mish"]
    he.append("softplus")
    glorot = [None, *(set(activations.ACTIVATIONS) - {*he, "selu"})]
    assert {initializers.get("auto", name) for name in he} == {initializers.HeNormal()}
    assert initializers.get("auto", "selu") == initializers.LecunNormal()
    assert {initializers.get("auto", name) for name in glorot} == {initializers.GlorotUniform()}


@pytest.mark.parametrize("name", ALL)
def test_config_comes_back(name):
    rule = initializers.get(name)
    assert initializers.get(json.loads(json.dumps(rule.config()))) == rule
    assert initializers.get(rule) is rule


def test_config_keeps_settings():
    rule = initializers.TruncatedNormal(mean=np.float32(1), stddev=2)
    assert rule.config() == {"name": "truncated_normal", "mean": 1.0, "stddev": 2.0}
    assert initializers.get(json.loads(json.dumps(rule.config()))) == rule
    assert rule != initializers.RandomNormal(1, 2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: initializers.get("he_norml"), ValueError, "did you mean 'he_normal'"),
        (
            lambda: initializers.get("HE_NORMAL", None, "kernel_initializer"),
            ValueError,
            "^kernel_i",
        ),
        (lambda: initializers.get(3), TypeError, "^initializer: got int"),
        (lambda: initializers.get({"name": "he_norma"}), ValueError, "did you mean 'he_"),
        (lambda: initializers.get({"stddev": 1}), ValueError, "name"),
        (lambda: initializers.get({"name": "zeros", "x": 1}), ValueError, "'x'.*zeros: none"),
        (
            lambda: initializers.get({"name": "random_normal", "sd": 1}),
            ValueError,
            "'sd'.*mean, stddev",
        ),
        (lambda: initializers.RandomNormal(stddev=-1), ValueError, "^stddev: got -1"),
        (lambda: initializers.TruncatedNormal(stddev=-1), ValueError, "^stddev: got -1"),
        (lambda: initializers.RandomNormal(mean="0"), TypeError, "^mean: got '0'"),
        (lambda: initializers.RandomUniform(1, 0), ValueError, "^maxval: got 0"),
        (lambda: initializers.Constant(math.nan), ValueError, "^value: got nan"),
        (lambda: initializers.Orthogonal(math.inf), ValueError, "^gain: got inf"),
        (lambda: initializers.Zeros()((2,), "int32"), ValueError, "^dtype: got int32"),
        (lambda: initializers.HeNormal()((2,), seed=-1), ValueError, "^seed: got -1"),
        (lambda: initializers.HeNormal()((2,), seed=2**64), ValueError, "^seed: got 1844"),
        (lambda: initializers.HeNormal()((2,), stream=0.5), TypeError, "^stream: got 0.5"),
        (lambda: initializers.HeNormal()((2,), fan_in=0), ValueError, "^fan_in: got 0"),
        (lambda: initializers.HeNormal()((2,), fan_out=0), ValueError, "^fan_out: got 0"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()
