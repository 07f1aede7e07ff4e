"""`check_gradients`: right gradients pass, wrong ones do not, and the report says where."""

import numpy as np
import pytest
from helpers import data, network

import fastweights as fw
from fastweights import _plans, layers, models

X, Y = data(4)


class Faulty:
    """A plan whose gradients go through `fault(parameters' gradient, input's gradient)` at last."""

    def __init__(self, plan, model, fault):
        self.plan, self.model, self.fault = plan, model, fault

    def __getattr__(self, name):
        return getattr(self.plan, name)

    def gradients_of(self, x, y, dx, rows, weights):
        loss = self.plan.gradients_of(x, y, dx, rows, weights=weights)
        self.fault(self.model.gradients, dx)
        return loss


@pytest.fixture
def plant(monkeypatch):
    """Makes every model's gradients wrong."""

    def plant(fault):
        whole = _plans.plan_for

        def faulty(model, purpose, rows, compiled=None, weights=None):
            plan = whole(model, purpose, rows, compiled, weights=weights)
            return Faulty(plan, model, fault) if purpose == "check" else plan

        monkeypatch.setattr(_plans, "plan_for", faulty)

    return plant


def test_right_gradients_pass():
    model = network((5, 6, 3), "gelu", "sigmoid")
    model.parameters[model.parameters == 0] = 0.1  # which would be moved
    report = fw.check_gradients(model, X, Y, tolerance=1e-8)
    assert report
    assert report.passed
    assert [row.name for row in report.rows] == [
        "dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias", "input",
    ]  # fmt: skip
    assert [row.shape for row in report.rows] == [(5, 6), (6,), (6, 3), (3,), (4, 5)]
    assert report.loss == pytest.approx(model.evaluate(X, Y), rel=1e-15)
    assert report.redraws == 0
    assert report.float32_error is None
    assert report.worst == max(report.rows, key=lambda row: row.error / row.allowed)
    assert max(row.error for row in report.rows) <= 1e-8
    _, gradient, dx = model.loss_and_gradients(X, Y)
    for row, array in zip(
        report.rows, [gradient[:30].reshape(5, 6), gradient[30:36]], strict=False
    ):
        assert row.gradient == array[row.where]
    assert report.rows[-1].gradient == dx[report.rows[-1].where]
    for row in report.rows:
        assert row.difference == pytest.approx(row.gradient, abs=1e-9)


def test_the_report_is_a_table():
    text = str(fw.check_gradients(network(), X, Y))
    lines = text.splitlines()
    assert lines[0].split() == [
        "gradient",
        "of",
        "shape",
        "error",
        "worst",
        "at",
        "gradient",
        "difference",
    ]
    assert set(lines[1]) == {"-", " "}
    assert [line.split()[0] for line in lines[2:7]] == [
        "dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias", "input",
    ]  # fmt: skip
    assert lines[-1].startswith("all gradients are right: error ")


def test_the_model_and_the_data_are_not_changed():
    for dtype in ("float32", "float64"):
        model = network(dtype=dtype, optimizer="adam")
        model.fit(X, Y, verbose=0)
        before, x, y = model.parameters.copy(), X.copy(), Y.copy()
        fw.check_gradients(model, x, y)
        np.testing.assert_array_equal(model.parameters, before)
        np.testing.assert_array_equal(x, X)
        np.testing.assert_array_equal(y, Y)


def test_a_float32_model_is_held_against_float64():
    report = fw.check_gradients(network(dtype="float32"), X, Y)
    assert report.passed
    assert 0 < report.float32_error < 1e-5
    assert "float32 gradient against float64's: " in str(report)


def test_a_model_is_built_from_the_data():
    model = fw.Sequential([layers.Dense(3, "tanh")], seed=0)
    model.compile()
    assert fw.check_gradients(model, X, Y)


def test_kinks_are_moved_away_from():
    model = network((2, 3, 1), "relu")
    # Every unit of the hidden layer is exactly at its kink.
    model.set_weights([[[1.0] * 3, [-1.5] * 3], [0.5] * 3, [[1.0]] * 3, [0.25]])
    report = fw.check_gradients(model, [[1.0, 1.0]], [5.0])
    assert report.passed
    assert report.redraws > 0
    assert f"moved {report.redraws} times off a kink" in str(report)


FAULTS = {
    "wrong sign": lambda gradient, dx: np.negative(gradient, out=gradient),
    "times the rows": lambda gradient, dx: np.multiply(gradient, 4, out=gradient),
    "a dropped last column of the kernel": lambda gradient, dx: (
        gradient[:35].reshape(5, 7)[:, -1].fill(0)
    ),
    "a dropped last row of the kernel": lambda gradient, dx: (
        gradient[:35].reshape(5, 7)[-1].fill(0)
    ),
    "one entry a little off": lambda gradient, dx: gradient.__setitem__(
        11, gradient[11] * (1 + 1e-4)
    ),
    "no bias": lambda gradient, dx: gradient[35:42].fill(0),
    "a transposed kernel": lambda gradient, dx: gradient.__setitem__(
        slice(35), gradient[:35].reshape(5, 7).T.ravel()
    ),
    "one NaN": lambda gradient, dx: gradient.__setitem__(-1, np.nan),
    "one inf": lambda gradient, dx: gradient.__setitem__(0, np.inf),
    "all zero": lambda gradient, dx: gradient.fill(0),
    "the input's wrong sign": lambda gradient, dx: np.negative(dx, out=dx),
    "the input's rows exchanged": lambda gradient, dx: dx.__setitem__(slice(None), dx[::-1].copy()),
    "the input's last row missing": lambda gradient, dx: dx[-1].fill(0),
}


@pytest.mark.parametrize("name", FAULTS)
def test_wrong_gradients_are_caught(name, plant):
    plant(FAULTS[name])
    report = fw.check_gradients(network(), X, Y)
    assert not report
    assert not report.passed
    assert "WRONG gradients" in str(report)
    wrong = [row.name for row in report.rows if not row.error <= report.tolerance]
    assert ("input" in wrong) == ("input" in name)
    lines = str(report).splitlines()
    assert [line.split()[0] for line in lines if "<- wrong" in line] == wrong


def test_the_report_says_where(plant):
    plant(lambda gradient, dx: gradient.__setitem__(11, gradient[11] + 1))
    report = fw.check_gradients(network(), X, Y)
    assert report.worst.name == "dense/kernel"
    assert report.worst.where == (1, 4)
    assert report.worst.gradient - report.worst.difference == pytest.approx(1, abs=1e-8)


def test_a_wrong_float32_gradient_is_caught(monkeypatch):
    whole = models.Sequential.loss_and_gradients

    def faulty(model, *examples):
        loss, gradient, dx = whole(model, *examples)
        if model.dtype == np.float32:
            gradient *= 1.01
        return loss, gradient, dx

    monkeypatch.setattr(models.Sequential, "loss_and_gradients", faulty)
    report = fw.check_gradients(network(dtype="float32"), X, Y)
    assert not report.passed
    assert report.float32_error == pytest.approx(0.01, rel=0.02)
    assert report.worst.error <= report.tolerance


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"tolerance": 0}, ValueError, "tolerance: got 0, expected a finite number and above 0"),
        ({"step": -1.0}, ValueError, "step: got -1.0, expected"),
        ({"step": "small"}, TypeError, "step: got 'small', expected a number"),
    ],
)
def test_refusals(settings, error, message):
    with pytest.raises(error, match=message):
        fw.check_gradients(network(), X, Y, **settings)
    with pytest.raises(ValueError, match="x: got shape"):
        fw.check_gradients(network(), X[:, :2], Y)
