"""Normalisations where numbers are far apart, far from 0, or nothing at all."""

import numpy as np
import pytest
import reference_layers as oracle

import fastweights as fw
from fastweights import layers

NORMALIZATIONS = {
    "layer": (
        lambda: layers.LayerNormalization(center=False, scale=False),
        lambda x: oracle.layer_normalization(x, 1.0, 0.0),
    ),
    "groups": (
        lambda: layers.GroupNormalization(1, center=False, scale=False),
        lambda x: oracle.group_normalization(x, 1, 1.0, 0.0),
    ),
    "rms": (layers.RMSNormalization, lambda x: oracle.rms_normalization(x, 1.0)),
    "unit": (layers.UnitNormalization, oracle.unit_normalization),
}


def both(name, x):
    """What the layer and the oracle make of x (rows, columns), of its dtype."""
    make, exact = NORMALIZATIONS[name]
    model = fw.Sequential([make()], x.shape[1], x.dtype.name)
    return model.predict(x), exact(x.astype(np.longdouble)).astype(float)


@pytest.mark.parametrize("columns", [8, 64, 65, 1000])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["layer", "groups"])
def test_an_offset_costs_no_digits(name, dtype, columns):
    random = np.random.default_rng(columns)
    eps = np.finfo(dtype).eps
    for offset in (1.0, 1e3, 0.01 / eps):
        x = (offset + random.standard_normal((20, columns))).astype(dtype)
        found, _ = both(name, x)
        _, exact = both(name, x.astype(float) - offset)  # without rounding
        np.testing.assert_allclose(found, exact, rtol=16 * eps, atol=16 * eps)


@pytest.mark.parametrize("columns", [3, 64, 65, 1000])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_numbers_of_any_size(name, dtype, columns):
    """Squares that overflow, and lines beside them that do not."""
    random = np.random.default_rng(columns)
    eps, largest = np.finfo(dtype).eps, float(np.finfo(dtype).max)
    sizes = np.array([1e-30, 1e-8, 1.0, largest**0.25, largest**0.5, largest * 0.3])[:, np.newaxis]
    x = (sizes * random.uniform(-1, 1, (6, columns))).astype(dtype)
    found, exact = both(name, x)
    np.testing.assert_allclose(found, exact, rtol=32 * eps, atol=32 * eps)
    apart = np.concatenate([both(name, x[row : row + 1])[0] for row in range(6)])
    np.testing.assert_array_equal(found, apart)


@pytest.mark.parametrize("columns", [5, 200])
@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_equal_numbers(name, columns):
    for number in (0.0, 3.3, -1e30):
        found, exact = both(name, np.full((2, columns), number, np.float32))
        np.testing.assert_allclose(found, exact, rtol=1e-6)


@pytest.mark.parametrize("columns", [5, 200])
def test_below_the_least_norm_the_gradient_is_that_of_a_factor(columns):
    model = fw.Sequential([layers.UnitNormalization()], columns, "float64")
    x = np.full((3, columns), 1e-16)
    x[0] = 0.0
    dy = np.random.default_rng(0).standard_normal((3, columns))
    np.testing.assert_allclose(model.forward(x), x * 1e12)
    np.testing.assert_allclose(model.backward(dy), dy * 1e12)


@pytest.mark.parametrize("columns", [5, 200])
@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_nan_goes_through(name, columns):
    """In its own line alone."""
    make, _ = NORMALIZATIONS[name]
    model = fw.Sequential([layers.Dense(columns), make()], columns, "float64", seed=0)
    kernel = model.weights[0]
    kernel[...] = np.eye(columns)
    kernel[0, 0], kernel[1, 1] = np.inf, 1.0
    x = np.ones((4, columns))
    x[1, 0] = 0.0  # 0 inf is NaN, and inf - inf is too
    assert np.isnan(model.predict(x)).any(axis=1).all()
    kernel[0, 0] = 1.0
    assert np.isfinite(model.predict(x)).all()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: layers.LayerNormalization(1), ValueError, "axis: got 1, expected -1, the last"),
        (lambda: layers.LayerNormalization([1, 2]), TypeError, r"axis: got \[1, 2\], expected a"),
        (lambda: layers.RMSNormalization(0), ValueError, "axis: got 0"),
        (lambda: layers.UnitNormalization(-2), ValueError, "axis: got -2, expected -1"),
        (lambda: layers.GroupNormalization(axis=1), ValueError, "axis: got 1, expected -1"),
        (
            lambda: layers.GroupNormalization(0),
            ValueError,
            "groups: got 0, expected at least 1, or",
        ),
        (lambda: layers.GroupNormalization(-2), ValueError, "groups: got -2, expected at least -1"),
        (lambda: layers.LayerNormalization(epsilon=-1), ValueError, "epsilon: got -1, expected a"),
        (lambda: layers.LayerNormalization(scale=1), TypeError, "scale: got 1, expected True or"),
        (
            lambda: layers.LayerNormalization(beta_initializer="one"),
            ValueError,
            "beta_initializer: got 'one'",
        ),
        (
            lambda: fw.Sequential([layers.GroupNormalization(4)], (3, 6)),
            ValueError,
            r"groups: got 4, expected a divisor of the 6 columns of rows \(3, 6\)",
        ),
        (lambda: layers.Rescaling("2"), TypeError, "scale: got '2', expected a number"),
    ],
)
def test_settings_that_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_variables_and_their_names_in_files(tmp_path):
    stack = [
        layers.LayerNormalization(),
        layers.RMSNormalization(),
        layers.LayerNormalization(scale=False),
        layers.PReLU(),
    ]
    model = fw.Sequential(stack, 4, seed=0)
    assert [weight.name for weight in model.weights] == [
        "layer_normalization/gamma", "layer_normalization/beta", f"{stack[1].name}/scale",
        "layer_normalization_1/beta", f"{stack[3].name}/alpha",
    ]  # fmt: skip
    np.testing.assert_array_equal(stack[0].gamma, np.ones(4))
    np.testing.assert_array_equal(stack[0].beta, np.zeros(4))
    np.testing.assert_array_equal(stack[1].scale, np.ones(4))
    path = tmp_path / "m.safetensors"
    model.save(path)
    with fw.serialization.opened(path) as file:
        assert sorted(file.tensors) == ["0.bias", "0.weight", "1.weight", "2.bias", "3.weight"]
