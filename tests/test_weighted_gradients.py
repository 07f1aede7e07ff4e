"""Gradients of weighted rows against central differences of the reported loss.

Activation x loss x depth as in `test_gradient_matrix.py`; some rows have the weight 0.
"""

import numpy as np
import pytest
from test_gradient_matrix import CONFIGURATIONS, KINKED_LOSSES, SMOOTH, build
from test_row_weights import SERIES, series

import fastweights as fw

#: Of rows by 1, 5, 7, 8 and 9, two of each three.
WEIGHTED = [one for number, one in enumerate(CONFIGURATIONS) if number % 3]


def weights_of(rows, *lines):
    """From 1e-3 to 1e3; every third is 0, but for the first."""
    random = np.random.default_rng(rows)
    weights = np.exp(random.uniform(-7, 7, (rows, *lines)))
    weights.reshape(-1)[1::3] = 0.0
    return weights


def test_there_are_at_least_350_configurations():
    assert len(WEIGHTED) >= 350
    assert {rows for *_, rows in WEIGHTED} == {1, 5, 7, 8, 9}


@pytest.mark.parametrize(("activation", "loss", "depth", "outputs", "rows"), WEIGHTED)
def test_gradients_agree_with_central_differences(activation, loss, depth, outputs, rows):
    model, x, y = build(activation, loss, depth, outputs, rows)
    smooth = activation in SMOOTH and loss not in KINKED_LOSSES
    report = fw.check_gradients(model, x, y, sample_weight=weights_of(rows), tolerance=1e-8)
    assert report.passed, f"\n{report}"
    assert report.redraws == 0 or not smooth


@pytest.mark.parametrize(("activation", "loss", "depth", "outputs", "rows"), WEIGHTED[::4])
def test_float32_gradients_agree_with_float64(activation, loss, depth, outputs, rows):
    single, x, y = build(activation, loss, depth, outputs, rows, "float32")
    x, w = x.astype(np.float32), weights_of(rows)
    gradient = single.loss_and_gradients(x, y, w)[1].astype(np.float64)
    exact = single.copy("float64").loss_and_gradients(x, y, w)[1]
    assert np.linalg.norm(gradient - exact) <= 1e-5 * np.linalg.norm(exact)


@pytest.mark.parametrize("is_masked", [False, True])
@pytest.mark.parametrize("rows", [1, 3, 8])
@pytest.mark.parametrize(("loss", "last"), SERIES)
def test_gradients_of_weighted_steps_agree_with_central_differences(loss, last, rows, is_masked):
    model, x, y, _ = series(loss, last, is_masked, rows=rows)
    report = fw.check_gradients(model, x, y, sample_weight=weights_of(rows, 6), tolerance=1e-8)
    assert report.passed, f"\n{report}"
