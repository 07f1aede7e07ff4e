"""Rows of several lines: what works on the last axis does on each line what it does on a row."""

import sys

import numpy as np
import pytest

import fastweights as fw
from fastweights import layers

ROWS, LEAD, INPUTS, CLASSES = 23, (3, 2), 5, 4
LINES = 6


def stack(last):
    return [layers.Dense(7, "tanh"), layers.Dense(9, "relu"), layers.Dense(CLASSES, last)]


def pair(last, loss, metrics=(), dtype="float64", rows=ROWS):
    """The same weights for rows of lines and for lines that are rows, and data for both."""
    random = np.random.default_rng(1)
    x = random.standard_normal((rows, *LEAD, INPUTS))
    lined = fw.Sequential(stack(last), (*LEAD, INPUTS), dtype=dtype, seed=2)
    flat = fw.Sequential(stack(last), INPUTS, dtype=dtype, seed=2)
    for model in (lined, flat):
        model.compile("sgd", loss, metrics=metrics)
    y = random.uniform(0.1, 1.0, (rows, *LEAD, CLASSES))
    if loss == "sparse_categorical_crossentropy":
        y = random.integers(0, CLASSES, (rows, *LEAD))
    return lined, flat, x, y


def flattened(y):
    return y.reshape(ROWS * LINES, *y.shape[1 + len(LEAD) :])


CASES = [
    (None, "mse", ["mae"]),
    ("sigmoid", "binary_crossentropy", []),
    ("softmax", "categorical_crossentropy", ["accuracy", "categorical_crossentropy"]),
    ("softmax", "sparse_categorical_crossentropy", ["accuracy"]),
    ("log_softmax", "mse", []),
]


@pytest.mark.parametrize(("last", "loss", "metrics"), CASES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_lines_are_treated_as_rows_are(last, loss, metrics, dtype):
    lined, flat, x, y = pair(last, loss, metrics, dtype)
    lines = x.reshape(-1, INPUTS)
    assert lined.output_shape == (*LEAD, CLASSES)
    np.testing.assert_array_equal(lined.predict(x).reshape(-1, CLASSES), flat.predict(lines))
    tolerance = {"float32": 1e-5, "float64": 1e-12}[dtype]
    found, expected = lined.evaluate(x, y), flat.evaluate(lines, flattened(y))
    np.testing.assert_allclose(found, expected, rtol=tolerance)
    for found, expected in zip(
        lined.loss_and_gradients(x, y), flat.loss_and_gradients(lines, flattened(y)), strict=True
    ):
        np.testing.assert_allclose(
            np.ravel(found), np.ravel(expected), rtol=tolerance, atol=tolerance / 10
        )


@pytest.mark.parametrize(("last", "loss", "metrics"), CASES)
def test_gradients_of_lines(last, loss, metrics):
    lined, _, x, y = pair(last, loss, metrics)
    report = fw.check_gradients(lined, x, y, tolerance=1e-8)
    assert report, report


@pytest.mark.parametrize("rows", [700, 2600])
def test_batches_of_any_size_are_the_same_for_any_number_of_threads(rows, monkeypatch):

    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    found = []
    for threads in (1, 2, 3):
        lined, _, x, y = pair("softmax", "sparse_categorical_crossentropy", rows=rows)
        with fw.threads(threads):
            lined.fit(x, y, 650, 3, verbose=0, validation_split=0.1)
        found.append(lined.parameters.copy())
    assert all((found[0] == other).all() for other in found)


def test_the_loss_of_a_row_is_the_mean_over_its_lines():
    lined, _, x, y = pair("softmax", "sparse_categorical_crossentropy")
    p = lined.predict(x)
    expected = -np.log(np.take_along_axis(p, y[..., np.newaxis], -1)).mean()
    assert lined.evaluate(x, y) == pytest.approx(expected, rel=1e-12)
    one_each = lined.evaluate(x, y[..., np.newaxis])
    assert one_each == lined.evaluate(x, y)


def test_classes_for_rows_of_lines_are_wanted_line_by_line():
    lined, _, x, y = pair("softmax", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match=r"y: got shape \(23,\), expected shape \(rows, 3, 2\)"):
        lined.fit(x, y[:, 0, 0])
    lined, _, x, y = pair("softmax", "categorical_crossentropy")
    message = r"y: got shape \(23, 4\), expected shape \(rows, 3, 2, 4\)"
    with pytest.raises(ValueError, match=message):
        lined.fit(x, y[:, 0, 0])
