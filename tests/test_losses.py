"""Losses: the kernels against the oracle and against nudging, on every CPU level; the targets."""

import importlib

import numpy as np
import pytest
import reference_losses as reference
import truth
import truth_losses
from helpers import network

from fastweights import _dispatch, losses

LEVELS = _dispatch.available_levels()
FUSED = [level for level in LEVELS if level != "baseline"]
ROWS = (1, 7, 8, 9, 33)
#: Up to 64 columns rows lie across vectors, from there on along them.
COLUMNS = (1, 2, 3, 5, 12, 16, 17, 40, 64, 65, 131)
REALS = (np.float32, np.float64)
#: Outputs of each target, where there are several.
GROUPS = {"quantile": 3, "gaussian_nll": 2}


def widths_of(name, columns=COLUMNS):
    """Those of these numbers of columns, or the next ones, that the loss is for."""
    group = GROUPS.get(name, 1)
    least = 2 if "categorical" in name or name == "cosine_similarity" else 1
    return sorted({-(-c // group) * group for c in columns if c >= least})


def sizes_of(name):
    return [(r, c) for r in ROWS for c in widths_of(name)]


CASES = [(name, r, c) for name in reference.LOSSES for r, c in sizes_of(name)]


def sample(name, rows, columns, seed=0):
    """Prediction, target and options that touch every branch but sit on no kink."""
    random = np.random.default_rng([seed, rows, columns])
    shape = (rows, columns)
    prediction = 2 * random.standard_normal(shape)
    target = random.standard_normal(shape)
    options = ()
    if name == "huber":
        options = (0.75,)
    elif name == "poisson":
        prediction = random.uniform(0.2, 3, shape)
        target = random.integers(0, 4, shape).astype(float)
    elif name == "poisson_deviance":
        target = random.integers(0, 4, shape).astype(float)
    elif name.endswith("logarithmic_error"):
        prediction, target = random.uniform(-0.5, 9, shape), random.uniform(0, 9, shape)
        prediction[np.abs(prediction) < 1e-3] = 1.0
    elif name in ("hinge", "squared_hinge"):
        target = random.choice([-1.0, 1.0], shape)
    elif name == "categorical_hinge":
        target = np.eye(columns)[random.integers(0, columns, rows)]
    elif name.startswith("binary"):
        target = random.choice([0.0, 1.0, 0.3], shape)
        options = (0.125, 1.75, 0.75, -0.5) if "focal" in name else (0.125,)
    elif name.startswith("categorical"):
        target = random.dirichlet(np.ones(columns), rows) * 1.5
        options = (0.125, 1.75, 0.5) if "focal" in name else (0.125,)
    elif name.startswith("sparse"):
        target = random.integers(0, columns, rows)
        options = (0.125,) if seed else ()
    elif name == "kl_divergence":
        prediction, target = (
            random.uniform(0.1, 0.9, shape),
            random.dirichlet(np.ones(columns), rows),
        )
    elif name in GROUPS:
        target = random.standard_normal((rows, columns // GROUPS[name]))
        options = (3.0, 0.1, 0.5, 0.9) if name == "quantile" else (1e-6, 0.25)
    if name.endswith("crossentropy"):
        prediction = random.uniform(0.1, 0.9, shape)
    return prediction, target, options


def run(level, real, name, prediction, target, options=(), scale=1.0, with_gradient=True):
    """(values, gradient) of the kernel; what lies behind the results must stay as it was."""
    suffix = "f32" if real is np.float32 else "f64"
    module = importlib.import_module(f"fastweights._core.kernels_{level}_{suffix}")
    prediction = np.ascontiguousarray(prediction, real)
    target = np.ascontiguousarray(target, np.int32 if name.startswith("sparse") else real)
    rows, columns = prediction.shape
    values = np.full(rows + 8, 77.0)
    gradient = np.full(prediction.size + 64, 77.0, real)
    module.apply_loss(
        name,
        values.ctypes.data,
        gradient.ctypes.data if with_gradient else 0,
        prediction.ctypes.data,
        target.ctypes.data,
        rows,
        columns,
        options,
        scale,
    )
    assert (values[rows:] == 77.0).all()
    assert (gradient[prediction.size if with_gradient else 0 :] == 77.0).all()
    return values[:rows], gradient[: prediction.size].reshape(prediction.shape)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("name", "rows", "columns"), CASES)
def test_value_and_gradient_agree_with_the_oracle(level, name, rows, columns):
    prediction, target, options = sample(name, rows, columns)
    for real, tolerance in ((np.float64, 2e-15), (np.float32, 1e-6)):
        prediction = prediction.astype(real).astype(float)  # the oracle gets what the kernel got
        if not name.startswith("sparse"):
            target = target.astype(real).astype(float)
        value_of, gradient_of = reference.LOSSES[name]
        values, gradient = run(level, real, name, prediction, target, options, scale=0.25)
        expected = value_of(prediction, target, *options)
        expected_gradient = 0.25 * gradient_of(prediction, target, *options)
        # Terms of both signs cancel in a mean, so what is held to the tolerance is the largest.
        assert np.abs(values - expected).max() <= tolerance * np.abs(expected).max()
        error = np.abs(gradient - expected_gradient).max()
        assert error <= tolerance * np.abs(expected_gradient).max()


@pytest.mark.parametrize(("name", "rows", "columns"), CASES)
def test_gradient_agrees_with_central_differences_of_the_value(name, rows, columns):
    prediction, target, options = sample(name, rows, columns, seed=1)
    _, gradient = run(LEVELS[0], np.float64, name, prediction, target, options)
    step = 5e-6
    found = np.empty_like(gradient)
    for column in range(columns):
        nudge = np.zeros_like(prediction)
        nudge[:, column] = step
        above, _ = run(LEVELS[0], np.float64, name, prediction + nudge, target, options)
        below, _ = run(LEVELS[0], np.float64, name, prediction - nudge, target, options)
        found[:, column] = (above - below) / (2 * step)
    assert np.linalg.norm(gradient - found) <= 1e-8 * np.linalg.norm(found)


@pytest.mark.parametrize("name", [n for n in reference.LOSSES if n.endswith("crossentropy")])
def test_clipped_probabilities_have_the_gradient_of_the_clipped_value(name):
    options = {"binary_focal": (0.0, 1.5, 1.0, 0.0), "categorical_focal": (0.0, 1.5, 1.0)}.get(
        name.removesuffix("_crossentropy"), (0.0,)
    )
    target = [[0.5, 0.2, 0.3]]
    if name.startswith("binary"):
        target = [[1.0, 0.0, 1.0]]
    elif name.startswith("sparse"):
        target = [0]
    prediction = np.array([[1e-9, 0.3, 0.6]])
    step = 4e-8
    _, gradient = run(LEVELS[0], np.float64, name, prediction, target, options)
    for column in range(3):
        nudge = np.eye(3)[[column]] * (step if column == 0 else 1e-6)
        above, _ = run(LEVELS[0], np.float64, name, prediction + nudge, target, options)
        below, _ = run(LEVELS[0], np.float64, name, prediction - nudge, target, options)
        difference = (above[0] - below[0]) / (2 * nudge.max())
        assert gradient[0, column] == pytest.approx(difference, rel=1e-7, abs=1e-9)
    assert abs(gradient[0, 0]) < 2  # 1e9 and more where clipping is left out


@pytest.mark.parametrize("level", FUSED[1:])
@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("name", reference.LOSSES)
def test_bits_do_not_depend_on_the_cpu_level(level, real, name):
    for rows, columns in sizes_of(name):
        prediction, target, options = sample(name, rows, columns, seed=2)
        values, gradient = run(FUSED[0], real, name, 5 * prediction, target, options)
        other_values, other_gradient = run(level, real, name, 5 * prediction, target, options)
        np.testing.assert_array_equal(values, other_values)
        np.testing.assert_array_equal(gradient, other_gradient)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("name", reference.LOSSES)
def test_a_row_gives_the_same_bits_alone_and_in_a_batch(level, real, name):
    for columns in widths_of(name, (2, 3, 9, 40, 70)):
        prediction, target, options = sample(name, 21, columns, seed=3)
        values, gradient = run(level, real, name, prediction, target, options)
        only_values, _ = run(level, real, name, prediction, target, options, with_gradient=False)
        np.testing.assert_array_equal(values, only_values)
        for r in range(21):
            one = slice(r, r + 1)
            value, slope = run(level, real, name, prediction[one], target[one], options)
            assert value[0] == values[r]
            np.testing.assert_array_equal(slope[0], gradient[r])


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("name", reference.LOSSES)
def test_nan_reaches_the_value_and_the_gradient_of_its_row_only(level, real, name):
    for columns in widths_of(name, (2, 3, 17, 67)):
        for column in range(columns):
            prediction, target, options = sample(name, 9, columns)
            prediction[4, column] = np.nan
            values, gradient = run(level, real, name, prediction, target, options)
            is_nan = np.isnan(values)
            assert is_nan[4]
            assert is_nan.sum() == 1
            assert np.isnan(gradient[4, column])
            assert not np.isnan(np.delete(gradient, 4, axis=0)).any()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("real", REALS)
def test_a_loss_that_overflows_is_infinite_in_its_row_only(level, real):
    # In float64; the square of any float32 is a double.
    for columns in (1, 2, 3, 40, 65, 131):
        prediction = np.ones((21, columns))
        prediction[4, columns // 2] = size = np.sqrt(np.finfo(real).max) * 20
        values, _ = run(level, real, "mean_squared_error", prediction, np.zeros((21, columns)))
        square = float(real(size)) ** 2 if real is np.float32 else np.inf
        assert values[4] == pytest.approx((square + columns - 1) / columns, rel=1e-14)
        np.testing.assert_array_equal(np.delete(values, 4), 1.0)


def extremes(real):
    """Numbers of every size, of both signs."""
    limits = np.finfo(real)
    large = [3e13, 1e20, 1e30, 3e38] if real is np.float32 else [3e13, 1e160, 1e200, 1.7e308]
    sizes = [0, limits.smallest_subnormal, limits.tiny, 1e-12, 0.3, 1, 5, 88, 700, 1e4, *large]
    return np.array([*sizes, limits.max / 2, limits.max, *(-np.array(sizes)), -limits.max], real)


def extreme_row(name, real, columns, random):
    """A prediction and a target that `prepare_targets` lets pass."""
    pool = extremes(real)
    p, t = random.choice(pool, columns), random.choice(pool, columns)
    if name == "poisson":
        p, t = np.abs(p), np.abs(t)
    elif name.endswith("logarithmic_error"):
        t = np.abs(t)
    elif name in ("hinge", "squared_hinge"):
        t = random.choice([-1.0, 1.0], columns)
    elif name == "categorical_hinge":
        t = np.eye(columns)[random.integers(columns)]
    elif name == "kl_divergence":
        t = np.minimum(np.abs(t), 1)
    elif name in GROUPS:
        t = t[: columns // GROUPS[name]]
    elif name.startswith("binary"):
        t = random.choice([0.0, 1.0, 0.3, np.finfo(real).tiny], columns)
    elif name.startswith("sparse"):
        t = np.eye(columns)[random.integers(columns)]
    elif name.startswith("categorical"):
        t = random.dirichlet(np.ones(columns)) * random.choice([0.0, 1.0], columns)
    if "categorical" in name and name.endswith("crossentropy") and random.random() < 0.7:
        p = np.abs(p)
    return p.astype(real), t.astype(real)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize(
    "name", [n for n in reference.LOSSES if n in truth.LOSSES or "sparse" in n]
)
def test_every_finite_number_has_its_true_loss_and_gradient(name, real, level):
    random = np.random.default_rng(list(name.encode()))
    eps, tiny, largest = np.finfo(real).eps, 4 * np.finfo(real).tiny, float(np.finfo(real).max)
    trace = truth.TRACES[np.dtype(real).name] if name.endswith("logits") else tiny
    option = (0.75,) if name == "huber" else (0.0,)
    clip = [truth.mpf(float(real(edge))) for edge in (1e-7, 1 - 1e-7)]
    more = {"huber": [truth.mpf(0.75)], "poisson": clip[:1]}.get(name, [])
    more = clip if name.endswith("categorical_crossentropy") else more
    for columns in (1, 2, 3, 17, 70) if "categorical" not in name else (2, 3, 17, 70):
        rows = [extreme_row(name, real, columns, random) for _ in range(40)]
        p, t = (np.array(side) for side in zip(*rows, strict=True))
        given = t.argmax(axis=1) if name.startswith("sparse") else t
        values, gradient = run(level, real, name, p, given, option, scale=0.25)
        for r in range(len(rows)):
            row = [[truth.mpf(float(x)) for x in side] for side in (p[r], t[r])]
            total = sum(row[0])
            if more is clip and (
                total == 0 or any(abs(x / total - clip[1]) < 0.6 * eps for x in row[0])
            ):
                continue  # nothing to divide by, or rounding decides what is clipped
            value, slopes, sizes = truth.LOSSES[name.removeprefix("sparse_")](*row, *more)
            size = abs(value)
            if name == "poisson":
                terms = zip(*row, strict=True)
                size = sum(a + b * (1 + abs(truth.mp.log(a + clip[0]))) for a, b in terms) / columns
            elif more is clip:
                size += sum(row[1])
            where = f"{p[r]!r} {t[r]!r}: {values[r]!r}, {float(value)}, {gradient[r]!r}"
            if max(abs(value), size) < 1.7e308:
                assert abs(truth.mpf(float(values[r])) - value) <= 16 * eps * size + tiny, where
            for got, slope, size in zip(gradient[r], slopes, sizes, strict=True):
                if max(abs(slope), abs(size)) < largest:
                    error = abs(truth.mpf(float(got)) - slope / 4)
                    assert error <= 4 * eps * abs(size) + trace, where


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("name", truth_losses.LOSSES)
def test_every_finite_number_has_its_true_loss_of_the_others(name, real, level):
    """Those of truth_losses, which also say how large the numbers are whose rounding remains."""
    random = np.random.default_rng(list(name.encode()))
    eps, tiny, largest = np.finfo(real).eps, 4 * np.finfo(real).tiny, float(np.finfo(real).max)
    trace = truth.TRACES[np.dtype(real).name] if name.endswith("logits") else tiny
    options = truth_losses.OPTIONS.get(name, ())
    exact = [truth.mpf(float(real(option))) for option in options]
    for columns in widths_of(name, (1, 2, 3, 17, 70)):
        rows = [extreme_row(name, real, columns, random) for _ in range(40)]
        p, t = (np.array(side) for side in zip(*rows, strict=True))
        values, gradient = run(level, real, name, p, t, options, scale=0.25)
        for r in range(len(rows)):
            row = [[truth.mpf(float(x)) for x in side] for side in (p[r], t[r])]
            found = truth_losses.LOSSES[name](*row, real, *exact)
            if found is None:
                continue  # rounding decides on which side of a kink the row is
            value, size, slopes, sizes = found
            where = f"{p[r]!r} {t[r]!r}: {values[r]!r}, {float(value)}, {gradient[r]!r}"
            if max(abs(value), size) < 1.7e308:
                assert abs(truth.mpf(float(values[r])) - value) <= 16 * eps * size + tiny, where
            for got, slope, slope_size in zip(gradient[r], slopes, sizes, strict=True):
                if max(abs(slope), abs(slope_size)) < largest:
                    error = abs(truth.mpf(float(got)) - slope / 4)
                    assert error <= 4 * eps * slope_size + trace, where


# ---- the extremes --------------------------------------------------------------------------------


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("real", REALS)
def test_extreme_binary_logits_give_the_exact_limit(level, real):
    z = np.array([[1e4], [1e4], [-1e4], [-1e4]])
    t = np.array([[1.0], [0.0], [1.0], [0.0]])
    values, gradient = run(level, real, "binary_crossentropy_logits", z, t, (0.0,))
    assert values.tolist() == [0.0, 1e4, 1e4, 0.0]
    assert gradient[:, 0].tolist() == [0.0, 1.0, -1.0, 0.0]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("sparse", [False, True])
def test_extreme_class_logits_give_the_exact_limit(level, real, sparse):
    z = np.array([[1e4, -1e4, 0.0], [1e4, -1e4, 0.0], [-1e4, -1e4, -1e4], [1e4, 1e4, -1e4]])
    labels = np.array([0, 1, 2, 0])
    name = "sparse_categorical_crossentropy_logits" if sparse else "categorical_crossentropy_logits"
    target = labels if sparse else np.eye(3)[labels]
    values, gradient = run(level, real, name, z, target, (0.0,))
    tolerance = 4 * np.finfo(real).eps
    expected = [0.0, 2e4, np.log(3), np.log(2)]
    np.testing.assert_allclose(values, expected, rtol=tolerance, atol=0)
    third = 1 / 3
    np.testing.assert_allclose(
        gradient,
        [[0, 0, 0], [1, -1, 0], [third, third, -2 * third], [-0.5, 0.5, 0]],
        rtol=tolerance,
        atol=0,
    )


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("real", REALS)
def test_sure_and_right_predictions_keep_their_relative_accuracy(level, real):
    close = {"rtol": 8 * np.finfo(real).eps, "atol": 0}
    z = np.array([5.0, 20.0, 60.0])
    tiny = np.exp(-z)
    for sign, t in ((1, 1.0), (-1, 0.0)):
        values, gradient = run(
            level, real, "binary_crossentropy_logits", sign * z[:, None], np.full((3, 1), t), (0.0,)
        )
        np.testing.assert_allclose(values, np.log1p(tiny), **close)
        np.testing.assert_allclose(gradient[:, 0], -sign * tiny / (1 + tiny), **close)
    logits = np.stack([np.zeros(3), z, np.full(3, -900.0)], axis=1)
    for name, target in (
        ("categorical_crossentropy_logits", np.eye(3)[[1, 1, 1]]),
        ("sparse_categorical_crossentropy_logits", np.ones(3)),
    ):
        values, gradient = run(level, real, name, logits, target, (0.0,))
        np.testing.assert_allclose(values, np.log1p(tiny), **close)
        np.testing.assert_allclose(gradient[:, 1], -tiny / (1 + tiny), **close)
        np.testing.assert_allclose(gradient[:, 0], tiny / (1 + tiny), **close)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("real", REALS)
def test_log_cosh_is_accurate_from_tiny_to_huge(level, real):
    mpmath = pytest.importorskip("mpmath")
    d = np.geomspace(1e-15, 1e15, 3001).astype(real)
    values, gradient = run(level, real, "log_cosh", d[:, None], np.zeros((d.size, 1)))
    with mpmath.workdps(60):
        exact = [
            mpmath.log(mpmath.cosh(x)) if x < 100 else x - mpmath.log(2)
            for x in (mpmath.mpf(float(x)) for x in d)
        ]
        exact = np.array([float(x) for x in exact])
        slope = np.array([float(mpmath.tanh(mpmath.mpf(float(x)))) for x in d])
    np.testing.assert_allclose(values, exact, rtol=8 * np.finfo(real).eps, atol=0)
    np.testing.assert_allclose(gradient[:, 0], slope, rtol=8 * np.finfo(real).eps, atol=0)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("real", REALS)
def test_kinks_have_the_documented_slope(level, real):
    zero = np.zeros((1, 2))
    for name in ("mean_absolute_error", "mean_squared_error", "huber", "log_cosh"):
        values, gradient = run(level, real, name, zero, zero, (1.0,))
        assert values.tolist() == [0.0]
        assert gradient.tolist() == [[0.0, 0.0]]
    values, gradient = run(level, real, "hinge", np.array([[1.0, 2.0]]), np.ones((1, 2)))
    assert values.tolist() == [0.0]
    assert gradient.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("name", [n for n in reference.LOSSES if n.endswith("_logits")])
def test_logits_and_probabilities_mean_the_same(name):
    logits, target, options = sample(name, 9, 5)
    squash = reference.sigmoid if name.startswith("binary") else reference.softmax
    from_logits, _ = run(LEVELS[0], np.float64, name, logits, target, options)
    plain = name.removesuffix("_logits")
    from_probabilities, _ = run(LEVELS[0], np.float64, plain, squash(logits), target, options)
    np.testing.assert_allclose(from_logits, from_probabilities, rtol=1e-12)


def test_an_unknown_kernel_is_a_key_error():
    with pytest.raises(KeyError, match="nonsense"):
        run(LEVELS[0], np.float64, "nonsense", np.zeros((1, 1)), np.zeros((1, 1)))


@pytest.mark.parametrize(
    "name",
    [
        *("binary_crossentropy", "binary_crossentropy_logits"),
        *("sparse_categorical_crossentropy", "sparse_categorical_crossentropy_logits"),
    ],
)
@pytest.mark.parametrize("columns", [2, 5, 70])
def test_of_a_value_no_more_than_its_limit_is_told(name, columns):
    prediction, target, _ = sample(name, 21, columns)
    for level in LEVELS:
        whole, slopes = run(level, np.float64, name, prediction, target, (0.0,))
        limit = np.median(whole)
        if name.startswith("binary"):
            each = reference.LOSSES[name][0](prediction.reshape(-1, 1), target.reshape(-1, 1), 0.0)
            limit = np.median(each)
            expected = np.minimum(each, limit).reshape(prediction.shape).mean(axis=1)
        else:
            expected = np.minimum(whole, limit)
        values, gradient = run(level, np.float64, name, prediction, target, (0.0, limit))
        np.testing.assert_allclose(values, expected, rtol=1e-14)
        assert (values < whole).any()
        assert (gradient == slopes).all()


def test_what_is_infinite_is_told_as_the_limit_and_nan_stays():
    far = np.array([[1e308, -1e308], [np.nan, 0.0]])
    values, _ = run(
        LEVELS[-1], np.float64, "sparse_categorical_crossentropy_logits", far, [1, 0], (0.0, 36.0)
    )
    assert values[0] == 36.0
    assert np.isnan(values[1])
    values, _ = run(
        LEVELS[-1], np.float64, "binary_crossentropy_logits", far[:, :1], [[0.0]] * 2, (0.0, 36.0)
    )
    assert values[0] == 36.0
    assert np.isnan(values[1])


def test_a_limit_is_a_setting():
    for kind in (losses.BinaryCrossentropy, losses.SparseCategoricalCrossentropy):
        loss = kind(value_limit=3.0)
        assert losses.get(loss.config()) == loss
        with pytest.raises(ValueError, match="value_limit: got 0"):
            kind(value_limit=0.0)
    assert losses.BinaryCrossentropy(value_limit=0.5)([[1.0]], [[0.1]]) == 0.5


# ---- descriptions --------------------------------------------------------------------------------

ALL = [
    losses.MeanSquaredError(),
    losses.MeanAbsoluteError(),
    losses.Huber(delta=0.5),
    losses.LogCosh(),
    losses.Poisson(),
    losses.PoissonDeviance(),
    losses.Hinge(),
    losses.MeanAbsolutePercentageError(),
    losses.MeanSquaredLogarithmicError(),
    losses.SquaredHinge(),
    losses.CategoricalHinge(),
    losses.BinaryFocalCrossentropy(True, 0.3, 1.5, from_logits=True, label_smoothing=0.1),
    losses.CategoricalFocalCrossentropy(0.5, 1.5, label_smoothing=0.2),
    losses.KLDivergence(),
    losses.CosineSimilarity(),
    losses.Quantile((0.1, 0.5, 0.9)),
    losses.GaussianNLL(full=True),
    losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.1),
    losses.CategoricalCrossentropy(label_smoothing=0.2),
    losses.SparseCategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
]


def test_every_loss_is_described():
    assert {loss.name for loss in ALL} == {
        name.removesuffix("_logits") for name in reference.LOSSES
    }
    assert {type(loss) for loss in ALL} == set(losses.LOSSES.values())


@pytest.mark.parametrize("loss", ALL, ids=lambda loss: loss.name)
def test_config_gives_the_loss_back(loss):
    assert losses.get(loss.config()) == loss
    assert losses.get(loss) is loss
    assert type(losses.get(loss.name)) is type(loss)


@pytest.mark.parametrize(
    ("short", "kind"),
    [
        ("mse", losses.MeanSquaredError),
        ("MAE", losses.MeanAbsoluteError),
        ("logcosh", losses.LogCosh),
        ("bce", losses.BinaryCrossentropy),
        ("kld", losses.KLDivergence),
        ("MAPE", losses.MeanAbsolutePercentageError),
        ("msle", losses.MeanSquaredLogarithmicError),
    ],
)
def test_short_names(short, kind):
    assert losses.get(short) == kind()


def test_losses_are_immutable_and_compare_by_value():
    assert losses.Huber(0.5) == losses.Huber(delta=0.5)
    assert losses.Huber(0.5) != losses.Huber(1.5)
    assert losses.MeanSquaredError() != losses.MeanAbsoluteError()
    with pytest.raises(AttributeError):
        losses.Huber().delta = 2.0


def test_fusion():
    assert losses.get("mse").fused_with is None
    for name, activation in (
        ("binary_crossentropy", "sigmoid"),
        ("categorical_crossentropy", "softmax"),
        ("sparse_categorical_crossentropy", "softmax"),
        ("binary_focal_crossentropy", "sigmoid"),
        ("categorical_focal_crossentropy", "softmax"),
    ):
        loss = losses.get(name)
        assert (loss.kernel, loss.fused_with) == (name, activation)
        assert loss.fused_kernel == name + "_logits"
        logits = losses.get({"name": name, "from_logits": True})
        assert (logits.kernel, logits.fused_with) == (name + "_logits", None)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: losses.get("mean_square_error"), ValueError, "did you mean 'mean_squared_error'"),
        (lambda: losses.get(3), TypeError, "loss: got int"),
        (lambda: losses.get({"delta": 1.0}), ValueError, "loss: got a dict of 'delta', expected"),
        (lambda: losses.Huber(0.0), ValueError, "delta: got 0.0"),
        (lambda: losses.Huber("1"), TypeError, "delta: got '1'"),
        (lambda: losses.BinaryCrossentropy(from_logits=1), TypeError, "from_logits: got 1"),
        (
            lambda: losses.CategoricalCrossentropy(label_smoothing=1.5),
            ValueError,
            "label_smoothing: got 1.5",
        ),
        (lambda: losses.BinaryFocalCrossentropy(alpha=1.5), ValueError, "alpha: got 1.5"),
        (lambda: losses.BinaryFocalCrossentropy(gamma=-1), ValueError, "gamma: got -1"),
        (lambda: losses.CategoricalFocalCrossentropy(alpha=[0.5, 1]), TypeError, "alpha: got"),
        (lambda: losses.CategoricalFocalCrossentropy(alpha=0), ValueError, "alpha: got 0"),
        (lambda: losses.CosineSimilarity(axis=0), ValueError, "axis: got 0, expected -1"),
        (lambda: losses.Quantile(()), ValueError, "quantiles: got 0, expected 1 to 64"),
        (lambda: losses.Quantile([0.5] * 65), ValueError, "quantiles: got 65, expected 1 to 64"),
        (lambda: losses.Quantile((0.5, 1.0)), ValueError, "quantiles: got 1.0"),
        (lambda: losses.Quantile(0.0), ValueError, "quantiles: got 0.0"),
        (lambda: losses.Quantile("half"), TypeError, "quantiles: got 'half'"),
        (lambda: losses.GaussianNLL(epsilon=0.0), ValueError, "epsilon: got 0.0"),
    ],
)
def test_bad_settings_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


# ---- targets -------------------------------------------------------------------------------------

F64 = np.dtype(np.float64)


@pytest.mark.parametrize(
    ("loss", "y", "outputs", "expected"),
    [
        ("mse", [1, 2, 3], 1, [[1.0], [2.0], [3.0]]),
        ("mse", np.arange(6).reshape(3, 2)[:, ::-1], 2, [[1.0, 0.0], [3.0, 2.0], [5.0, 4.0]]),
        ("hinge", [0, 1, 0], 1, [[-1.0], [1.0], [-1.0]]),
        ("hinge", [-1, 1, 1], 1, [[-1.0], [1.0], [1.0]]),
        ("bce", [True, False, True], 1, [[1.0], [0.0], [1.0]]),
        ("poisson", [0, 3, 1], 1, [[0.0], [3.0], [1.0]]),
        ("squared_hinge", [0, 1, 0], 1, [[-1.0], [1.0], [-1.0]]),
        ("quantile", [1, 2, 3], 3, [[1.0], [2.0], [3.0]]),
        ("quantile", np.arange(6).reshape(3, 2), 6, [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]),
        ("gaussian_nll", [1, 2, 3], 2, [[1.0], [2.0], [3.0]]),
        ("sparse_categorical_crossentropy", [0, 2, 1], 3, [0, 2, 1]),
        ("sparse_categorical_crossentropy", [[0], [2], [1]], 3, [0, 2, 1]),
        ("sparse_categorical_crossentropy", [0.0, 2.0, 1.0], 3, [0, 2, 1]),
        ("sparse_categorical_crossentropy", np.array([1, 0, 1], bool), 2, [1, 0, 1]),
        ("sparse_categorical_crossentropy", np.array([1, 0, 1], np.uint64), 2, [1, 0, 1]),
        ("sparse_categorical_crossentropy", np.array([1, 0, 1], np.float16), 70000, [1, 0, 1]),
        ("categorical_crossentropy", np.eye(3), 3, np.eye(3).tolist()),
    ],
)
def test_targets_are_laid_out_for_the_kernel(loss, y, outputs, expected):
    loss = losses.get(loss)
    before = np.array(y)
    for real in (np.dtype(np.float32), F64):
        targets = loss.prepare_targets(y, 3, outputs, real)
        assert targets.tolist() == expected
        assert targets.flags.c_contiguous
        assert targets.dtype == (np.int32 if loss.takes_labels else real)
        assert targets.nbytes == 3 * loss.target_bytes(outputs, real)
    np.testing.assert_array_equal(y, before)


@pytest.mark.parametrize(
    ("loss", "y", "outputs", "message"),
    [
        ("mse", [1, 2], 1, "y: got 2 rows, expected as many as there are inputs, 3"),
        ("mse", [1, 2, 3], 2, r"y: got shape \(3,\), expected shape \(rows, 2\)"),
        ("mse", np.ones((3, 3)), 2, r"y: got shape \(3, 3\)"),
        ("mse", [1, np.nan, 3], 1, "y: got 1 NaN or inf"),
        ("mse", [np.inf, -np.inf, 3], 1, "y: got 2 NaN or inf"),
        ("poisson", [1, 2, -0.5], 1, "y: got -0.5 in row 2, expected numbers of at least 0"),
        ("hinge", [1, 2, -1], 1, "y: got 2.0 in row 1, expected targets of -1 and 1"),
        ("hinge", [1, 0, -1], 1, "y: got -1.0 in row 2, .* not a mixture"),
        ("squared_hinge", [1, 2, -1], 1, "expected targets of -1 and 1, .*squared_hinge"),
        ("msle", [1, 2, -0.5], 1, "y: got -0.5 in row 2, expected numbers of at least 0"),
        ("kld", -np.eye(3), 3, "y: got -1.0 in row 0, expected probabilities"),
        (
            "categorical_hinge",
            2 * np.eye(3),
            3,
            "y: got 2.0 in row 0, expected numbers from 0 to 1",
        ),
        ("quantile", [1, 2, 3], 4, "loss: got quantile for 4 outputs, expected 3 outputs for each"),
        ("quantile", np.ones((3, 3)), 3, r"y: got shape \(3, 3\), expected shape \(rows, 1\)"),
        ("gaussian_nll", [1, 2, 3], 1, "loss: got gaussian_nll for 1 output, expected 2 outputs"),
        ("bce", [0, 1.5, 0], 1, "y: got 1.5 in row 1, expected numbers from 0 to 1"),
        ("bce", [0, 1, -1], 1, "y: got -1.0 in row 2, expected numbers from 0 to 1"),
        ("categorical_crossentropy", [0, 1, 2], 3, "use the loss sparse_categorical_crossentropy"),
        ("categorical_crossentropy", [[0], [1], [2]], 3, "sparse_categorical_crossentropy"),
        ("categorical_crossentropy", -np.eye(3), 3, "y: got -1.0 in row 0, expected numbers"),
        ("categorical_crossentropy", np.eye(3), 4, r"y: got shape \(3, 3\)"),
        ("categorical_crossentropy", [0, 1, 1], 1, "1 output, .* use binary_crossentropy"),
        ("sparse_categorical_crossentropy", [0, 1, 1], 1, "1 output, .* use binary_crossentropy"),
        ("sparse_categorical_crossentropy", np.eye(3), 3, "use the loss categorical_crossentropy"),
        ("sparse_categorical_crossentropy", np.eye(3), 4, r"y: got shape \(3, 3\), expected class"),
        ("sparse_categorical_crossentropy", [0, 1], 3, "y: got 2 rows"),
        ("sparse_categorical_crossentropy", [0, 3, 1], 3, "y: got 3 in row 1, .* from 0 to 2"),
        ("sparse_categorical_crossentropy", [0, -1, 1], 3, "y: got -1 in row 1, .* from 0 to 2"),
        ("sparse_categorical_crossentropy", [0, 1, 1.5], 3, "y: got 1.5 in row 2, .* from 0 to 2"),
        ("sparse_categorical_crossentropy", [0, np.nan, 1], 3, "y: got 1 NaN or inf"),
        ("sparse_categorical_crossentropy", [0, 2**40, 1], 3, "y: got 1099511627776 in row 1"),
    ],
)
def test_targets_that_do_not_suit_the_loss_are_refused(loss, y, outputs, message):
    with pytest.raises(ValueError, match=message):
        losses.get(loss).prepare_targets(y, 3, outputs, F64)


@pytest.mark.parametrize(
    "loss", ["mse", "categorical_crossentropy", "sparse_categorical_crossentropy"]
)
@pytest.mark.parametrize("y", [["a", "b", "c"], np.ones(3, complex), [{}, None, 1]])
def test_targets_that_are_no_numbers_are_refused(loss, y):
    with pytest.raises(TypeError, match=r"^y: got .*, expected an array of real numbers"):
        losses.get(loss).prepare_targets(y, 3, 3, F64)


def test_a_target_too_large_for_the_dtype_is_refused():
    with pytest.raises(ValueError, match="validation_y: got 1 too large for float32, the first 1e"):
        losses.get("mse").prepare_targets(
            [1.0, 1e300], 2, 1, np.dtype(np.float32), argument="validation_y"
        )


# ---- on arrays -----------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ALL, ids=lambda loss: loss.name)
@pytest.mark.parametrize("real", REALS)
def test_a_loss_can_be_called_on_arrays(loss, real):
    prediction, target, _ = sample(loss.kernel, 9, 6 if loss.kernel in GROUPS else 3)
    value = loss(target, prediction.astype(real))
    expected = reference.LOSSES[loss.kernel][0](prediction, target, *loss.options).mean()
    assert isinstance(value, float)
    assert value == pytest.approx(expected, rel=1e-5 if real is np.float32 else 1e-13)


def test_called_on_odd_arrays():
    assert losses.get("mse")([1, 2], [1, 4]) == 2.0
    prediction = np.asfortranarray(np.arange(6.0).reshape(3, 2))
    prediction.setflags(write=False)
    assert losses.get("mae")(np.zeros((3, 2)), prediction) == 2.5
    with pytest.raises(ValueError, match="y_true: got 2 rows"):
        losses.get("mse")([1, 2], [1, 2, 3])
    for shape in ((), (0, 2), (2, 2, 2)):
        with pytest.raises(ValueError, match="y_pred: got shape"):
            losses.get("mse")([1, 2], np.zeros(shape))


class Own(losses.MeanSquaredError):
    def prepare_targets(self, *arguments, **settings):
        return np.zeros((1, 1))


def test_a_loss_of_ones_own_class_is_refused():
    with pytest.raises(TypeError, match="loss: got Own, expected a loss of this library"):
        network().compile("sgd", Own())
    with pytest.raises(TypeError, match="y_true: got targets of Own that kernels cannot take"):
        Own()(np.zeros((20, 30)), np.zeros((20, 30)))


@pytest.mark.parametrize("loss", ["mse", "huber", "binary_crossentropy"])
def test_targets_may_be_read_only(loss):
    """As a frame's columns and files that are mapped are."""
    y = np.linspace(0.1, 0.9, 8, dtype=np.float32).reshape(4, 2)
    y.flags.writeable = False
    found = losses.get(loss)(y, y * 0.5)
    assert found == losses.get(loss)(y.copy(), y * 0.5)
