"""Activations: values and derivatives against true values, on every CPU level; the descriptions."""

import functools
import json
import math

import numpy as np
import pytest
import truth

import fastweights as fw
from fastweights import _dispatch, activations, layers

INF, NAN = math.inf, math.nan
OPTIONS = (float(truth.OPTION), 0.0)
#: Around the widths of vectors, and around the 64 up to which rows lie across them.
COLUMNS = (1, 2, 3, 7, 8, 9, 10, 15, 16, 17, 33, 64, 65, 100)

every_name = pytest.mark.parametrize("name", truth.ACTIVATIONS)
every_dtype = pytest.mark.parametrize("dtype", truth.DTYPES)
every_level = pytest.mark.parametrize("level", truth.LEVELS)
every_row_name = pytest.mark.parametrize("name", truth.ROW_ACTIVATIONS)


def apply(level, name, z, options=OPTIONS):
    """Value and derivative at z."""
    value, slope = z.copy(), np.empty_like(z)
    truth.kernels(level, z.dtype.name).apply_activation(
        name, value.ctypes.data, slope.ctypes.data, z.size, options
    )
    return value, slope


def apply_gradient(level, name, dy, y, slope, options=OPTIONS):
    dz = dy.copy()
    truth.kernels(level, dy.dtype.name).apply_activation_gradient(
        name, dz.ctypes.data, y.ctypes.data, slope.ctypes.data, dy.size, options
    )
    return dz


def apply_to_rows(level, name, z):
    y = np.empty_like(z)
    truth.kernels(level, z.dtype.name).apply_row_activation(
        name, y.ctypes.data, z.ctypes.data, *z.shape
    )
    return y


def apply_row_gradient(level, name, dy, y):
    dx = dy.copy()
    truth.kernels(level, dy.dtype.name).apply_row_activation_gradient(
        name, dx.ctypes.data, dx.ctypes.data, y.ctypes.data, *dy.shape
    )
    return dx


def row_errors(name, z, got):
    """The distance of each row's results from the true ones in ULP."""
    return np.array(
        [
            true_row(name, row.tobytes(), row.dtype.name).errors(y)
            for row, y in zip(z, got, strict=True)
        ]
    )


@functools.cache
def true_row(name, row, dtype):
    """The same for every level."""
    return truth.Truth.of(truth.ROW_ACTIVATIONS[name](np.frombuffer(row, dtype)), dtype)


# ---- element by element --------------------------------------------------------------------------


@every_level
@every_dtype
@pytest.mark.parametrize("what", ["value", "derivative"])
@every_name
def test_within_16_ulp(name, what, dtype, level):
    # Points reach from -inf to inf and hold both zeros, NaN and the roots of the derivatives.
    index = ("value", "derivative").index(what)
    z = truth.points(dtype)
    got = apply(level, name, z)[index]
    errors = truth.truth(truth.ACTIVATIONS[name][index], dtype).errors(got)
    assert errors.max() <= 16, f"{errors.max():.2f} ULP at {z[errors.argmax()]!r}"


@every_level
@every_name
def test_float32_agrees_with_float64_at_every_65521st_number(name, level):
    z = truth.every_float32()
    with np.errstate(all="ignore"):
        precise = apply(level, name, z.astype(np.float64))
        for got, true in zip(apply(level, name, z), precise, strict=True):
            errors = truth.Truth.for_float32(true).errors(got)
            assert errors.max() <= 16, f"{errors.max():.2f} ULP at {z[errors.argmax()]!r}"


@every_level
@every_dtype
@every_name
def test_signs_of_zero_and_infinity(name, dtype, level):
    value, _ = apply(level, name, np.array([0.0, -0.0], dtype))
    if name in ("sigmoid", "hard_sigmoid", "softplus", "exponential"):
        assert (value > 0).all()
    else:
        np.testing.assert_array_equal(value, [0.0, 0.0])
        np.testing.assert_array_equal(np.signbit(value), [False, True])


@every_level
@every_dtype
def test_leaky_relu_with_slope_0_is_relu(dtype, level):
    z = truth.points(dtype)
    leaky, relu = (apply(level, name, z, (0.0, 0.0)) for name in ("leaky_relu", "relu"))
    assert truth.same_bits(leaky[0], relu[0])
    assert truth.same_bits(leaky[1], relu[1])


@every_level
@every_dtype
@every_name
def test_inference_gives_the_bits_of_training(name, dtype, level):
    z = truth.points(dtype)
    value = z.copy()
    truth.kernels(level, dtype).apply_activation(name, value.ctypes.data, 0, z.size, OPTIONS)
    assert truth.same_bits(value, apply(level, name, z)[0])


@every_level
@every_dtype
@every_name
def test_gradient_is_dy_times_the_derivative(name, dtype, level):
    z = truth.points(dtype)[:-1]
    value, slope = apply(level, name, z)
    dy = np.random.default_rng(1).standard_normal(z.size).astype(dtype)
    with np.errstate(over="ignore"):
        expected = dy * slope
    if name != "linear":
        expected[np.abs(expected) < truth.TRACES[dtype]] = 0
    np.testing.assert_array_equal(apply_gradient(level, name, dy, value, slope), expected)


@every_level
@every_dtype
@every_name
def test_nan_goes_through_value_and_gradient(name, dtype, level):
    # One NaN at every place of a vector; its neighbours are untouched.
    for place in range(19):
        z = np.linspace(-2, 2, 19).astype(dtype)
        z[place] = NAN
        value, slope = apply(level, name, z)
        dz = apply_gradient(level, name, np.ones_like(z), value, slope)
        expected = np.arange(19) == place
        np.testing.assert_array_equal(np.isnan(value), expected)
        if name != "linear":
            np.testing.assert_array_equal(np.isnan(dz), expected)


@every_level
@every_dtype
@every_name
def test_any_length_gives_the_same_and_stays_within(name, dtype, level):
    z = np.linspace(-3, 3, 35).astype(dtype)
    value, slope = apply(level, name, z)
    dz = apply_gradient(level, name, z, value, slope)
    kernels = truth.kernels(level, dtype)
    for n in range(z.size):
        y, dy, kept = z.copy(), z.copy(), np.full(z.size, 7, dtype)
        kernels.apply_activation(name, y.ctypes.data, kept.ctypes.data, n, OPTIONS)
        kernels.apply_activation_gradient(
            name, dy.ctypes.data, value.ctypes.data, slope.ctypes.data, n, OPTIONS
        )
        for got, whole, before in ((y, value, z), (kept, slope, 7), (dy, dz, z)):
            expected = np.where(np.arange(z.size) < n, whole, before).astype(dtype)
            assert truth.same_bits(got, expected)


@every_dtype
@every_name
def test_levels_agree_to_the_bit(name, dtype):
    first, *others = (apply(level, name, truth.points(dtype)) for level in truth.FUSED)
    for other in others:
        assert truth.same_bits(first[0], other[0])
        assert truth.same_bits(first[1], other[1])


# ---- row by row ----------------------------------------------------------------------------------


def logits(columns, scale, dtype, rows=3):
    """Rows of logits; the third has its largest value three times, where it is wide enough."""
    z = np.random.default_rng(columns).standard_normal((rows, columns)) * scale
    z[2, : min(columns, 3)] = z[2].max()
    return z.astype(dtype)


@every_level
@every_dtype
@pytest.mark.parametrize("scale", [1e-3, 1, 30, 1e4])
@every_row_name
def test_softmax_within_16_ulp(name, scale, dtype, level):
    for columns in COLUMNS:
        z = logits(columns, scale, dtype)
        errors = row_errors(name, z, apply_to_rows(level, name, z))
        assert errors.max() <= 16, f"{errors.max():.2f} ULP in {columns} columns"


@every_level
@every_dtype
@every_row_name
def test_softmax_of_every_finite_number_within_16_ulp(name, dtype, level):
    # Where z - top rounds, what is left out may be any number, and z - top may be beyond the range.
    limits, random = np.finfo(dtype), np.random.default_rng(1)
    sizes = [0, limits.smallest_subnormal, limits.tiny, 1, 88, 700, 3e13, 3e17, 1e30]
    sizes = [*sizes, *np.geomspace(float(limits.max) ** 0.7, float(limits.max) / 2, 5), limits.max]
    pool = np.array([*sizes, *(-np.array(sizes))], dtype)
    for columns in (2, 3, 17, 70):
        z = random.choice(pool, (40, columns))
        errors = row_errors(name, z, apply_to_rows(level, name, z))
        assert errors.max() <= 16, f"{errors.max():.2f} ULP at {z[errors.max(axis=1).argmax()]!r}"


@every_level
@every_dtype
@pytest.mark.parametrize("name", ["softmax", "softmin", "sparsemax"])
def test_softmax_gradient_of_the_largest_numbers(name, dtype, level):
    largest = np.finfo(dtype).max
    for columns in (2, 3, 17, 70):
        y = np.full((3, columns), 1 / columns, dtype)
        y[1] = np.arange(columns) == 0
        dy = np.full_like(y, largest)
        dy[1, 1:] = -largest
        dy[2, ::2] = -largest
        dx = apply_row_gradient(level, name, dy, y)
        mean = (dy[2].astype(np.longdouble) * y[2]).sum()
        factor = {"softmax": y[0, 0], "softmin": -y[0, 0], "sparsemax": y.dtype.type(1)}[name]
        expected = factor * (dy[2].astype(np.longdouble) - mean)
        close = 8 * np.finfo(dtype).eps * float(largest) * float(abs(factor))
        np.testing.assert_allclose(dx[0], 0, atol=close)
        np.testing.assert_array_equal(dx[1], 0)
        expected = np.clip(expected, -largest, largest).astype(dtype)
        np.testing.assert_allclose(np.clip(dx[2], -largest, largest), expected, atol=close)


@every_level
@every_dtype
@every_row_name
def test_softmax_of_many_columns_within_16_ulp(name, dtype, level):
    # All powers but one are far below the sum's last digit, and together far above it.
    low = -15.0 if dtype == "float32" else -34.0
    z = np.full((1, 5000), -low if name == "softmin" else low, dtype)
    z[0, 7] = 0
    assert row_errors(name, z, apply_to_rows(level, name, z)).max() <= 16


@every_level
@every_dtype
def test_softmax_limits(dtype, level):
    ln2 = np.log(np.array(2, dtype))
    for z, softmax, log_softmax in (
        ([1e4, -1e4, 0], [1, 0, 0], [0, -2e4, -1e4]),
        ([1e4, 1e4], [0.5, 0.5], [-ln2, -ln2]),
        ([-1e4, -1e4, -INF], [0.5, 0.5, 0], [-ln2, -ln2, -INF]),
        ([INF, 1, -INF], [1, 0, 0], [0, -INF, -INF]),
        ([INF, 1, INF], [0.5, 0, 0.5], [-ln2, -INF, -ln2]),
        ([5], [1], [0]),
        ([-INF, -INF], [NAN, NAN], [NAN, NAN]),
    ):
        row = np.array([z], dtype)
        np.testing.assert_array_equal(apply_to_rows(level, "softmax", row)[0], softmax)
        np.testing.assert_array_equal(apply_to_rows(level, "log_softmax", row)[0], log_softmax)


@every_level
@every_dtype
@every_row_name
def test_nan_fills_its_row_only(name, dtype, level):
    for columns in COLUMNS:
        for place in range(columns):
            z = logits(columns, 1, dtype)
            z[1, place] = NAN
            y = apply_to_rows(level, name, z)
            np.testing.assert_array_equal(
                np.isnan(y), [[False] * columns, [True] * columns, [False] * columns]
            )


@every_level
@every_dtype
@every_row_name
def test_softmax_gradient(name, dtype, level):
    # dy_i/dz_j is y_i ([i = j] - y_j) for softmax and [i = j] - e^y_j for its logarithm; it is
    # [i = j] - 1 / k for sparsemax, where i and j are two of the k that are not 0.
    tolerance = 16 * np.finfo(dtype).eps
    for columns in COLUMNS:
        z = logits(columns, 1, dtype)
        dy = np.random.default_rng(columns + 1).standard_normal(z.shape).astype(dtype)
        y = apply_to_rows(level, name, z)
        got = apply_row_gradient(level, name, dy, y)
        for row in range(len(z)):
            p = y[row].astype(np.longdouble)
            if name == "sparsemax":
                inside = (p > 0).astype(np.longdouble)
                jacobian = np.diag(inside) - np.outer(inside, inside) / inside.sum()
            elif name in ("softmax", "softmin"):
                jacobian = (1 if name == "softmax" else -1) * (np.diag(p) - np.outer(p, p))
            else:
                jacobian = np.eye(columns) - np.exp(p)[np.newaxis, :]
            expected = dy[row].astype(np.longdouble) @ jacobian
            size = np.abs(dy[row]) @ np.abs(jacobian)
            assert (np.abs(got[row] - expected) <= tolerance * size).all()


@every_level
@every_dtype
def test_softmin_is_softmax_of_the_negative_row(dtype, level):
    for columns in COLUMNS:
        z = logits(columns, 3, dtype)
        y = apply_to_rows(level, "softmin", z)
        assert truth.same_bits(y, apply_to_rows(level, "softmax", -z))
        dy = np.random.default_rng(columns).standard_normal(z.shape).astype(dtype)
        back = apply_row_gradient(level, "softmax", -dy, y)
        assert truth.same_bits(apply_row_gradient(level, "softmin", dy, y), back)


def filling_rows(dtype, columns):
    """Rows whose entries fill up a sum of 1 one after the other, each with the bits that the one
    before left out, so that what the last ones are left with is the last bit of the longest sum."""
    limits, random = np.finfo(dtype), np.random.default_rng(columns)
    bits, rows = limits.nmant + 1, []
    for depth in range(1, min(columns, -int(limits.minexp) // bits - 1)):
        row = [2.0 ** (-bits * i) * (1 - 2.0**-bits) for i in range(depth)]
        last = 2.0 ** (-bits * depth) * random.uniform(-1.5, 1.5, columns - depth)
        last[0] = 2.0 ** (-bits * depth)
        rows.append(random.permutation([*row, *last]))
    return np.array(rows, dtype)


@every_level
@every_dtype
def test_sparsemax_of_the_longest_sums_within_16_ulp(dtype, level):
    for columns in (3, 4, 9, 25, 70):
        z = filling_rows(dtype, columns)
        y = apply_to_rows(level, "sparsemax", z)
        errors = row_errors("sparsemax", z, y)
        assert errors.max() <= 16, f"{errors.max():.2f} ULP at {z[errors.max(axis=1).argmax()]!r}"
        assert ((y > 0) & (y < np.finfo(dtype).eps)).any()


@every_level
@every_dtype
def test_sparsemax_at_the_ends_of_the_range(dtype, level):
    # A difference to the largest that is just above or below 1, about each place where it rounds.
    limits, random, real = np.finfo(dtype), np.random.default_rng(2), np.dtype(dtype).type
    for top in (0.5, 1, -1, 2, -2, 3, 1e3, limits.tiny, limits.smallest_subnormal, -limits.tiny):
        tops = [np.nextafter(real(top), real(side)) for side in (-INF, top, INF)]
        for top in tops:
            near = [np.nextafter(top - real(1), real(side)) for side in (-INF, 0, INF)]
            pool = np.array([*tops, *near, top, top - real(1), top - real(0.5)], dtype)
            z = random.choice(pool, (20, 5))
            assert row_errors("sparsemax", z, apply_to_rows(level, "sparsemax", z)).max() <= 16


@every_level
@every_dtype
def test_sparsemax_limits(dtype, level):
    small = np.finfo(dtype).smallest_subnormal
    for z, expected in (
        ([0.5, 0.5, 0, -1], [0.5, 0.5, 0, 0]),
        ([3, 2, 2, 1], [1, 0, 0, 0]),
        ([0, 0, 0, 0], [0.25] * 4),
        ([-7, -7.5, -8], [0.75, 0.25, 0]),
        ([1e4, 1e4], [0.5, 0.5]),
        ([INF, 1, -INF], [1, 0, 0]),
        ([INF, 1, INF], [0.5, 0, 0.5]),
        ([0.25, -INF, -0.25], [0.75, 0, 0.25]),
        ([5], [1]),
        ([1, small], [1, small]),
        ([1 + small, 0], [1, 0]),
        ([-INF, -INF], [NAN, NAN]),
    ):
        row = np.array([z], dtype)
        np.testing.assert_array_equal(apply_to_rows(level, "sparsemax", row)[0], expected)


@every_level
@every_dtype
def test_sparsemax_of_long_rows(dtype, level):
    # The support is all of the row, so that every sum has the most terms; digits have 2 bits left.
    for columns in (1000, 2**19):
        z = np.full((1, columns), 0.75, dtype)
        z[0, ::2] = np.nextafter(z[0, 1], np.array(1, dtype))
        half = np.array([0.75, z[0, 0]], dtype).astype(np.longdouble)
        expected = (half - half.mean() + 1 / np.longdouble(columns))[::-1]
        y = apply_to_rows(level, "sparsemax", z).reshape(-1, 2)
        assert (y == y[0]).all()
        assert (np.abs(y[0] - expected) <= 4 * np.spacing(y[0])).all()


@every_level
@every_dtype
@every_row_name
def test_rows_may_be_worked_on_in_place(name, dtype, level):
    for columns in COLUMNS:
        z = logits(columns, 1, dtype)
        y = z.copy()
        truth.kernels(level, dtype).apply_row_activation(
            name, y.ctypes.data, y.ctypes.data, *z.shape
        )
        assert truth.same_bits(y, apply_to_rows(level, name, z))


@every_level
@every_dtype
@every_row_name
def test_nan_goes_through_the_gradient_of_its_row_only(name, dtype, level):
    for columns in (2, 9, 65, 100):
        y = apply_to_rows(level, name, logits(columns, 0.1, dtype))
        dy = np.ones_like(y)
        dy[1, 1] = NAN
        dx = apply_row_gradient(level, name, dy, y)
        touched = np.zeros(y.shape, bool)
        touched[1] = True if name != "sparsemax" else y[1] > 0
        if name != "sparsemax" or y[1, 1] > 0:
            np.testing.assert_array_equal(np.isnan(dx), touched)
        y[2] = NAN
        assert np.isnan(apply_row_gradient(level, name, np.ones_like(y), y)[2]).all()


@every_dtype
@every_row_name
def test_softmax_levels_agree_to_the_bit(name, dtype):
    for columns in (*COLUMNS, 1000):
        z = logits(columns, 3, dtype)
        first, *others = (apply_to_rows(level, name, z) for level in truth.FUSED)
        assert all(truth.same_bits(first, other) for other in others)
        first, *others = (apply_row_gradient(level, name, z, first) for level in truth.FUSED)
        assert all(truth.same_bits(first, other) for other in others)


@every_level
@every_dtype
@every_row_name
def test_softmax_rows_do_not_depend_on_each_other(name, dtype, level):
    for columns in COLUMNS:
        z = logits(columns, 3, dtype, rows=37)
        together = apply_to_rows(level, name, z)
        apart = np.concatenate([apply_to_rows(level, name, row[np.newaxis]) for row in z])
        assert truth.same_bits(together, apart)
        together = apply_row_gradient(level, name, z, apart)
        apart = [
            apply_row_gradient(level, name, *pair)
            for pair in zip(z[:, np.newaxis], apart[:, np.newaxis], strict=True)
        ]
        assert truth.same_bits(together, np.concatenate(apart))


# ---- the descriptions ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", activations.ACTIVATIONS)
def test_get_takes_name_config_and_activation(name):
    activation = activations.get(name)
    assert activation.name == name
    config = json.loads(json.dumps(activation.config()))
    assert config["name"] == name
    assert activations.get(config) == activation
    assert activations.get(activation) is activation
    assert activation.is_elementwise == (name not in truth.ROW_ACTIVATIONS)


def test_get_defaults_and_aliases():
    assert activations.get(None) == activations.LINEAR == activations.Linear()
    assert activations.get("swish") == activations.SiLU()
    assert activations.get("hard_swish") == activations.get("hard_silu") == activations.HardSiLU()
    assert activations.get("leaky_relu").options == (0.2, 0.0)
    assert activations.get("elu").options == (1.0, 0.0)
    assert activations.get({"name": "elu", "alpha": 2}).options == (2.0, 0.0)
    assert activations.LeakyReLU(0.3) != activations.LeakyReLU()
    assert activations.ReLU() != activations.Tanh()


@pytest.mark.parametrize(
    ("identifier", "error", "message"),
    [
        (
            "sigmod",
            ValueError,
            "activation: got 'sigmod', expected one of .*did you mean 'sigmoid'",
        ),
        (7, TypeError, "activation: got int, expected a name"),
        ({"alpha": 1.0}, ValueError, "activation: got a dict of 'alpha', expected one"),
        ({"name": "elu", "beta": 1.0}, ValueError, "got 'beta', expected settings of elu: alpha"),
        (
            {"name": "relu", "alpha": 1.0},
            ValueError,
            "got 'alpha', expected settings of relu: none",
        ),
        ({"name": "elu", "alpha": -1.0}, ValueError, "alpha: got -1.0, expected .* at least 0"),
        ({"name": "leaky_relu", "negative_slope": NAN}, ValueError, "negative_slope: got nan"),
        ({"name": "leaky_relu", "negative_slope": "a"}, TypeError, "negative_slope: got 'a'"),
    ],
)
def test_get_refuses(identifier, error, message):
    with pytest.raises(error, match=message):
        activations.get(identifier)


@every_dtype
@every_name
def test_call_and_derivative(name, dtype):
    activation = activations.get(name)
    x = np.linspace(-3, 3, 24).astype(dtype).reshape(2, 3, 4)
    before = x.copy()
    value, slope = apply(_dispatch.level(), name, x, activation.options)
    for got, expected in ((activation(x), value), (activation.derivative(x), slope)):
        assert got.dtype == dtype
        np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(x, before)


@every_dtype
@every_row_name
def test_call_over_the_last_axis(name, dtype):
    x = np.linspace(-3, 3, 24).astype(dtype).reshape(2, 3, 4)
    got = activations.get(name)(x)
    assert got.shape == x.shape
    assert got.dtype == dtype
    np.testing.assert_array_equal(
        got, apply_to_rows(_dispatch.level(), name, x.reshape(6, 4)).reshape(x.shape)
    )
    with pytest.raises(ValueError, match="x: got a single number, expected at least one axis"):
        activations.get(name)(1.0)


@pytest.mark.parametrize("name", ["tanh", "softmax"])
def test_call_takes_any_layout_and_numbers(name):
    activation = activations.get(name)
    x = np.arange(12, dtype=np.float64).reshape(3, 4)
    expected = activation(x)
    read_only = x.copy()
    read_only.flags.writeable = False
    strided = np.repeat(x, 2, axis=1)[:, ::2]
    for same in (
        read_only,
        strided,
        np.asfortranarray(x),
        x.astype(">f8"),
        x.astype(int),
        x.tolist(),
    ):
        got = activation(same)
        assert got.dtype == np.float64
        np.testing.assert_array_equal(got, expected)
    assert activation(x.astype(np.float16)).dtype == np.float32
    assert activation(np.zeros((0, 4))).shape == (0, 4)
    assert activation(np.zeros((4, 0))).shape == (4, 0)


def test_call_refuses_what_is_no_real_number():
    for x in (np.zeros(3, complex), np.array(["a"]), np.array([None])):
        with pytest.raises(
            (TypeError, ValueError), match=r"^x: got .*, expected an array of real numbers"
        ):
            activations.get("tanh")(x)


def test_an_unknown_kernel_is_refused():
    kernels = truth.kernels(_dispatch.level(), "float32")
    with pytest.raises(KeyError, match="squish"):
        kernels.apply_activation("squish", 0, 0, 0, OPTIONS)
    with pytest.raises(KeyError, match="squish"):
        kernels.apply_row_activation("squish", 0, 0, 0, 0)


def test_every_kernel_has_its_description_and_its_true_values():
    assert {*truth.ACTIVATIONS, *truth.ROW_ACTIVATIONS} == set(activations.ACTIVATIONS)


def test_sparsemax_refuses_a_row_that_is_too_long():
    columns = activations.Sparsemax.longest + 1
    with pytest.raises(ValueError, match=f"x: got a last axis of {columns} .* at most 524288 for"):
        activations.get("sparsemax")(np.zeros((1, columns), np.float32))
    with pytest.raises(ValueError, match="expected sizes that suit its kind"):
        fw.Sequential([layers.Activation("sparsemax")], columns).predict(np.zeros((1, columns)))
