"""exp, expm1, log, log1p, tanh, sigmoid, erf: against true values, on every CPU level."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import reference
import truth

INF, NAN = math.inf, math.nan
MINIMAX = Path(__file__).parent.parent / "src_pyx" / "minimax.py"

#: NumPy's functions in float64, precise enough to judge float32 by.
IN_FLOAT64 = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "sigmoid": reference.sigmoid,
    "erf": np.vectorize(math.erf, otypes=[float]),
}

#: Argument -> value, to the sign of zero (C99, annex F).
ODD = [(0.0, 0.0), (-0.0, -0.0), (NAN, NAN)]
SPECIAL = {
    "exp": [
        (0.0, 1.0),
        (-0.0, 1.0),
        (INF, INF),
        (-INF, 0.0),
        (NAN, NAN),
        (-1e30, 0.0),
        (1e30, INF),
    ],
    "expm1": [*ODD, (INF, INF), (-INF, -1.0), (-1e30, -1.0), (1e30, INF)],
    "log": [
        (0.0, -INF),
        (-0.0, -INF),
        (1.0, 0.0),
        (INF, INF),
        (-INF, NAN),
        (-1.0, NAN),
        (NAN, NAN),
    ],
    "log1p": [*ODD, (-1.0, -INF), (INF, INF), (-INF, NAN), (-1.5, NAN)],
    "tanh": [*ODD, (INF, 1.0), (-INF, -1.0), (1e30, 1.0), (-1e30, -1.0)],
    "sigmoid": [(0.0, 0.5), (-0.0, 0.5), (INF, 1.0), (-INF, 0.0), (NAN, NAN), (-1e30, 0.0)],
    "erf": [*ODD, (INF, 1.0), (-INF, -1.0), (1e30, 1.0), (-1e30, -1.0)],
}

every_function = pytest.mark.parametrize("name", truth.ELEMENTARY)
every_dtype = pytest.mark.parametrize("dtype", truth.DTYPES)
every_level = pytest.mark.parametrize("level", truth.LEVELS)


def apply(level, name, x):
    x = np.ascontiguousarray(x)
    out = np.empty_like(x)
    kernels = truth.kernels(level, x.dtype.name)
    kernels.apply_elementary(name, out.ctypes.data, x.ctypes.data, x.size)
    return out


@every_level
@every_dtype
@every_function
def test_within_4_ulp(name, dtype, level):
    x = truth.points(dtype)
    errors = truth.truth(truth.ELEMENTARY[name], dtype).errors(apply(level, name, x))
    assert errors.max() <= 4, f"{errors.max():.2f} ULP at {x[errors.argmax()]!r}"


@every_level
@every_function
def test_within_4_ulp_at_every_65521st_float32(name, level):
    x = truth.every_float32()
    with np.errstate(all="ignore"):
        true = truth.Truth.for_float32(IN_FLOAT64[name](x.astype(np.float64)))
        errors = true.errors(apply(level, name, x))
    assert errors.max() <= 4, f"{errors.max():.2f} ULP at {x[errors.argmax()]!r}"


@every_level
@every_dtype
@every_function
def test_special_arguments(name, dtype, level):
    x, expected = np.array(SPECIAL[name], dtype).T
    got = apply(level, name, x)
    np.testing.assert_array_equal(got, expected)
    signed = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(got[signed]), np.signbit(expected[signed]))


@every_level
@every_dtype
def test_underflow_is_gradual(dtype, level):
    # One step of the smallest subnormal number at a time, down to zero.
    limits = np.finfo(dtype)
    small = limits.smallest_subnormal
    x = np.log(np.arange(1, 1000, dtype=np.float64)) + np.log(small.astype(np.float64))
    steps = np.rint(apply(level, "exp", x.astype(dtype)) / small)
    true = np.exp(x.astype(dtype).astype(np.longdouble) - np.log(small.astype(np.longdouble)))
    assert np.abs(steps - true).max() <= 1
    assert apply(level, "exp", (x[:1] - 2).astype(dtype))[0] == 0


@every_level
@every_dtype
@every_function
def test_any_length_gives_the_same_and_stays_within(name, dtype, level):
    x = np.linspace(-3, 3, 67).astype(dtype)
    whole = apply(level, name, x)
    kernels = truth.kernels(level, dtype)
    for n in range(x.size):
        out = np.full(x.size, 7, dtype)
        kernels.apply_elementary(name, out.ctypes.data, x.ctypes.data, n)
        assert truth.same_bits(out[:n], whole[:n])
        assert (out[n:] == 7).all()


@every_dtype
@every_function
def test_levels_agree_to_the_bit(name, dtype):
    results = [apply(level, name, truth.points(dtype)) for level in truth.FUSED]
    assert all(truth.same_bits(results[0], other) for other in results[1:])


@every_dtype
def test_reciprocals_within_2_ulp(dtype):
    limits = np.finfo(dtype)
    mantissas = np.concatenate([np.linspace(1, 2, 20_001), np.nextafter([1, 2], [2, 1])])
    exponents = np.linspace(limits.minexp, limits.maxexp - 4, 41).astype(int)
    x = np.ldexp(*np.broadcast_arrays(mantissas[:, None], exponents)).ravel().astype(dtype)
    true = 1 / x.astype(np.longdouble)
    results = {level: apply(level, "reciprocal", x) for level in truth.LEVELS}
    for level, got in results.items():
        errors = np.abs(got - true) / np.spacing(true.astype(dtype))
        assert errors.max() <= (1 if level in truth.FUSED else 2), level
    fused = [results[level] for level in truth.FUSED]
    assert all(truth.same_bits(fused[0], other) for other in fused[1:])


def test_an_unknown_name_is_refused():
    with pytest.raises(KeyError, match="sinh"):
        truth.kernels(truth.LEVELS[-1], "float32").apply_elementary("sinh", 0, 0, 0)


@pytest.mark.skipif(not MINIMAX.exists(), reason="an installed package has no sources beside it")
def test_polynomials_are_those_that_minimax_finds():
    subprocess.run([sys.executable, MINIMAX, "--check"], check=True)
