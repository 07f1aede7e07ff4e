"""Weights of rows: as if rows were repeated, the bits of none where all are alike, never NaN."""

import itertools
import sys

import numpy as np
import pytest
from helpers import data, network, same_bits
from hypothesis import given, settings
from hypothesis import strategies as st

import fastweights as fw
from fastweights import layers, losses

#: Loss and last activation.
LOSSES = [
    ("mean_squared_error", None),
    ("mean_absolute_error", None),
    ("huber", "tanh"),
    ("log_cosh", None),
    ("poisson", "softplus"),
    ("hinge", "tanh"),
    ("binary_crossentropy", "sigmoid"),
    ("categorical_crossentropy", "softmax"),
    ("sparse_categorical_crossentropy", "softmax"),
]
METRICS = {
    "sparse_categorical_crossentropy": ["accuracy"],
    "categorical_crossentropy": ["accuracy", "mse"],
    "binary_crossentropy": ["accuracy", "mae"],
}

#: Widths and rows that go through the plan in each of its ways.
WAYS = {
    "whole": ((5, 7, 3), 40),
    "sliced": ((4, 16, 3), 700),
    "whole in chunks": ((150, 300, 120, 3), 1500),
}


def targets_of(loss, rows, outputs, random):
    if loss == "sparse_categorical_crossentropy":
        return random.integers(0, outputs, rows)
    if loss == "categorical_crossentropy":
        return np.eye(outputs)[random.integers(0, outputs, rows)]
    if loss in ("binary_crossentropy", "hinge", "poisson"):
        return random.integers(0, 2, (rows, outputs)).astype(float)
    return random.standard_normal((rows, outputs))


def case(way, loss, last, dtype="float64", seed=0):
    """A compiled model, rows, targets and whole-numbered weights, some of which are 0."""
    widths, rows = WAYS[way]
    random = np.random.default_rng(seed)
    model = network(widths, "tanh", last, "sgd", loss, METRICS.get(loss, ["mse", "r2"]), dtype)
    x = random.standard_normal((rows, widths[0]))
    return model, x, targets_of(loss, rows, widths[-1], random), random.integers(0, 4, rows)


def close(found, expected, tolerance):
    found, expected = np.asarray(found), np.asarray(expected)
    assert np.linalg.norm(found - expected) <= tolerance * np.linalg.norm(expected)


# ---- as if rows were repeated --------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("loss", "last"), LOSSES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_weights_are_rows_repeated(way, loss, last, dtype):
    tolerance = 1e-12 if dtype == "float64" else 2e-6
    model, x, y, w = case(way, loss, last, dtype)
    more = np.repeat(x, w, axis=0), np.repeat(y, w, axis=0)
    found, gradient, dx = model.loss_and_gradients(x, y, w)
    expected, wanted, _ = model.loss_and_gradients(*more)
    close(found, expected, tolerance)
    close(gradient, wanted, tolerance)
    assert not dx[w == 0].any()
    close(model.evaluate(x, y, sample_weight=w), model.evaluate(*more), tolerance)
    close(model.test_on_batch(x, y, w), model.test_on_batch(*more), tolerance)
    one, other = model.copy(), model.copy()
    close(one.train_on_batch(x, y, w), other.train_on_batch(*more), tolerance)
    close(one.parameters, other.parameters, tolerance)
    one, other = model.copy(), model.copy()
    logs = one.fit(x, y, len(x), 2, 0, sample_weight=w).history
    wanted = other.fit(*more, len(more[0]), 2, 0).history
    for name, figures in wanted.items():
        close(logs[name], figures, tolerance)
    close(one.parameters, other.parameters, tolerance)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=70).filter(any),
    st.sampled_from(LOSSES),
    st.integers(-60, 60),
)
def test_any_whole_weights_are_rows_repeated(weights, kind, exponent):
    """Times any power of two: what counts is their ratio."""
    loss, last = kind
    random = np.random.default_rng(len(weights))
    model = network((3, 4, 2), "tanh", last, "sgd", loss)
    x, y = random.standard_normal((len(weights), 3)), targets_of(loss, len(weights), 2, random)
    found = model.loss_and_gradients(x, y, np.ldexp(np.array(weights, float), exponent))
    plain = model.loss_and_gradients(x, y, weights)
    assert found[0] == plain[0]
    same_bits(found[1], plain[1])
    more = np.repeat(x, weights, axis=0), np.repeat(y, weights, axis=0)
    expected = model.loss_and_gradients(*more)
    close(plain[0], expected[0], 1e-12)
    close(plain[1], expected[1], 1e-12)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("weight", [1, 2, 3, 0.25])
def test_weights_that_are_all_alike_are_none(way, dtype, weight):
    """To the bit; figures of many batches, too, where weights are powers of two."""
    tolerance = 1e-13 if weight == 3 else 0.0
    for loss, last in LOSSES[::3]:
        model, x, y, _ = case(way, loss, last, dtype)
        w = np.full(len(x), weight)
        pairs = zip(model.loss_and_gradients(x, y, w), model.loss_and_gradients(x, y), strict=True)
        for found, expected in pairs:
            same_bits(np.atleast_1d(found), np.atleast_1d(expected))
        close(model.evaluate(x, y, sample_weight=w), model.evaluate(x, y), tolerance)
        one, other = model.copy(), model.copy()
        batch = len(x) * 2 // 3
        logs = one.fit(x, y, batch, 2, 0, sample_weight=w).history
        for name, figures in other.fit(x, y, batch, 2, 0).history.items():
            close(logs[name], figures, tolerance)
        same_bits(one.parameters, other.parameters)


@pytest.mark.parametrize("way", WAYS)
def test_the_bits_do_not_depend_on_the_threads(way, monkeypatch):
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    _, x, y, _ = case(way, "sparse_categorical_crossentropy", "softmax")
    w = np.random.default_rng(1).random(len(x))
    found = []
    for threads, dtype in itertools.product((1, 2, 3, 7), ("float64", "float32")):
        model = case(way, "sparse_categorical_crossentropy", "softmax", dtype)[0]
        with fw.threads(threads):
            history = model.fit(x, y, len(x) // 2 + 1, 2, 0, sample_weight=w).history
            figures = model.evaluate(x, y, sample_weight=w)
        found.append((dtype, repr(history), figures, model.parameters.tobytes()))
    for dtype in ("float64", "float32"):
        assert len({one for one in map(repr, found) if dtype in one}) == 1


def test_an_epoch_is_the_mean_of_all_rows_as_they_count():
    """Not of batches: those of large weights count more."""
    x, y = data(50)
    w = np.random.default_rng(0).random(50)
    model = network(metrics=("mae",), optimizer=fw.optimizers.SGD(1e-300))
    error = model.predict(x) - y
    history = model.fit(x, y, 16, 1, 0, sample_weight=w).history
    assert history["loss"][0] == pytest.approx(w @ (error**2).mean(1) / w.sum(), rel=1e-13)
    assert history["mae"][0] == pytest.approx(w @ abs(error).mean(1) / w.sum(), rel=1e-13)


# ---- what else a model may have ------------------------------------------------------------------


def test_penalties_and_costs_of_activity_are_not_weighted():
    stack = [
        layers.Dense(4, "tanh", kernel_regularizer="l2", activity_regularizer="l2"),
        layers.Dense(3),
    ]
    model = fw.Sequential(stack, 5, "float64", seed=0)
    model.compile()
    x, y = data(9)
    w = np.arange(9.0)
    hidden = np.tanh(x @ model.layers[0].kernel + model.layers[0].bias)
    beside = 0.01 * (model.layers[0].kernel ** 2).sum() + 0.01 * (hidden**2).sum() / 9
    loss = w @ ((model.predict(x) - y) ** 2).mean(1) / w.sum()
    assert model.evaluate(x, y, sample_weight=w) == pytest.approx(loss + beside, rel=1e-13)
    assert model.loss_and_gradients(x, y, w)[0] == pytest.approx(loss + beside, rel=1e-13)
    assert model.copy().train_on_batch(x, y, w) == pytest.approx(loss + beside, rel=1e-13)
    history = model.copy().fit(x, y, 9, 1, 0, sample_weight=w).history
    assert history["loss"][0] == pytest.approx(loss + beside, rel=1e-13)
    assert fw.check_gradients(model, x, y, sample_weight=w, tolerance=1e-8)


def test_batch_normalization_does_not_know_of_them():
    stack = [layers.Dense(4), layers.BatchNormalization(), layers.Dense(3)]
    x, y = data(30)
    model = fw.Sequential(stack, 5, "float64", seed=0)
    model.compile("sgd")
    plain = model.copy()
    model.fit(x, y, 30, 1, 0, sample_weight=np.arange(30))
    plain.fit(x, y, 30, 1, 0)
    same_bits(model.state, plain.state)


def two_headed():
    inputs = fw.Input(5)
    hidden = layers.Dense(6, "tanh")(inputs)
    ends = {
        "size": layers.Dense(3, name="size")(hidden),
        "kind": layers.Dense(4, "softmax", name="kind")(hidden),
    }
    model = fw.Model(inputs, ends, "float64", seed=0)
    model.compile(
        "sgd",
        {"size": "mse", "kind": "sparse_categorical_crossentropy"},
        {"size": ["mae"], "kind": ["accuracy"]},
        loss_weights={"size": 0.5, "kind": 2.0},
    )
    random = np.random.default_rng(1)
    x = random.standard_normal((40, 5))
    return model, x, {"size": random.standard_normal((40, 3)), "kind": random.integers(0, 4, 40)}


def test_outputs_have_weights_of_their_own():
    model, x, y = two_headed()
    random = np.random.default_rng(2)
    w = {"size": random.random(40), "kind": random.integers(0, 3, 40)}
    found = model.predict(x)
    size = ((found["size"] - y["size"]) ** 2).mean(1)
    kind = -np.log(found["kind"][np.arange(40), y["kind"]])
    right = found["kind"].argmax(1) == y["kind"]
    expected = {
        "size_loss": w["size"] @ size / w["size"].sum(),
        "kind_loss": w["kind"] @ kind / w["kind"].sum(),
        "size_mae": w["size"] @ abs(found["size"] - y["size"]).mean(1) / w["size"].sum(),
        "kind_accuracy": w["kind"] @ right / w["kind"].sum(),
    }
    expected["loss"] = 0.5 * expected["size_loss"] + 2 * expected["kind_loss"]
    lists = list(w.values())
    one = {"kind": w["kind"]}, [None, w["kind"]]
    for given_weights in (w, lists):
        told = model.evaluate(x, y, sample_weight=given_weights, return_dict=True)
        assert told == pytest.approx(expected, rel=1e-12)
        told = model.copy().train_on_batch(x, y, given_weights, return_dict=True)
        assert told == pytest.approx(expected, rel=1e-12)
        still = model.copy()
        still.compile(
            fw.optimizers.SGD(1e-300), list(model.loss), list(model.metrics), loss_weights=[0.5, 2]
        )
        history = still.fit(x, y, 16, 1, 0, sample_weight=given_weights).history
        told = {name: figures[0] for name, figures in history.items()}
        assert told == pytest.approx(expected, rel=1e-12)
    assert fw.check_gradients(model, x, y, sample_weight=w, tolerance=1e-8)
    for given_weights in one:
        told = model.evaluate(x, y, sample_weight=given_weights, return_dict=True)
        assert told["kind_loss"] == pytest.approx(expected["kind_loss"], rel=1e-12)
        assert told["size_loss"] == pytest.approx(size.mean(), rel=1e-12)
    alike = model.evaluate(x, y, sample_weight=w["size"], return_dict=True)
    assert alike["size_loss"] == pytest.approx(expected["size_loss"], rel=1e-12)
    assert alike["kind_loss"] == pytest.approx(w["size"] @ kind / w["size"].sum(), rel=1e-12)


SERIES = [
    ("mean_squared_error", None),
    ("huber", None),
    ("binary_crossentropy", "sigmoid"),
    ("categorical_crossentropy", "softmax"),
    ("sparse_categorical_crossentropy", "softmax"),
]


def series(loss, last, is_masked, dtype="float64", rows=12):
    random = np.random.default_rng(3)
    stack = [layers.Dense(5, "tanh"), layers.Dense(3, last)]
    model = fw.Sequential([layers.Masking(), *stack][not is_masked :], (6, 2), dtype, seed=0)
    model.compile("sgd", loss)
    x = random.standard_normal((rows, 6, 2))
    x[:, 4:][random.random((rows, 2)) < 0.5] = 0.0
    y = targets_of(loss, rows * 6, 3, random)
    return model, x, y.reshape(rows, 6, *y.shape[1:]), random.integers(0, 3, (rows, 6))


@pytest.mark.parametrize("is_masked", [False, True])
@pytest.mark.parametrize(("loss", "last"), SERIES)
def test_steps_have_weights_of_their_own(loss, last, is_masked):
    """And masks multiply them."""
    model, x, y, w = series(loss, last, is_masked)
    told = w * (x != 0).any(axis=-1) if is_masked else w
    outputs, labels = model.predict(x).reshape(72, 3), y.reshape(72, *y.shape[2:])
    of_lines = [losses.get(loss)(labels[i : i + 1], outputs[i : i + 1]) for i in range(72)]
    expected = told.reshape(-1) @ np.array(of_lines) / told.sum()
    assert model.evaluate(x, y, sample_weight=w) == pytest.approx(expected, rel=1e-12)
    assert model.loss_and_gradients(x, y, w)[0] == pytest.approx(expected, rel=1e-12)
    assert fw.check_gradients(model, x, y, sample_weight=w, tolerance=1e-8)
    # A weight for each row is one for each of its steps.
    of_rows = w[:, 0] + 1
    found = model.evaluate(x, y, sample_weight=of_rows)
    spread = np.repeat(of_rows[:, None], 6, axis=1)
    assert found == pytest.approx(model.evaluate(x, y, sample_weight=spread), rel=1e-13)
    one, other = model.copy(), model.copy()
    one.fit(x, y, 5, 2, 0, sample_weight=of_rows)
    other.fit(x, y, 5, 2, 0, sample_weight=spread)
    close(one.parameters, other.parameters, 1e-13)


def test_masked_rows_are_the_same_for_any_number_of_threads(monkeypatch):
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    random = np.random.default_rng(0)
    found = set()
    _, x, y, _ = series("mse", None, True, rows=50)
    w = random.random((50, 6))
    for threads in (1, 2, 3, 7):
        model = series("mse", None, True)[0]
        with fw.threads(threads):
            history = model.fit(x, y, 30, 2, 0, sample_weight=w).history
            figures = model.evaluate(x, y, sample_weight=w)
        found.add((repr(history), figures, model.parameters.tobytes()))
    assert len(found) == 1


# ---- what counts for nothing ---------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_row_of_weight_0_is_not_there_even_if_its_loss_is_infinite(way, dtype):
    model, x, y, w = case(way, "mean_squared_error", None, dtype)
    w[::3] = 0
    far = y.copy()
    far[::3] = 1e300 if dtype == "float64" else 1e38
    with np.errstate(over="ignore"):
        assert not np.isfinite(np.square(far.astype(dtype))).all()
    for one, other in zip(
        model.loss_and_gradients(x, far, w), model.loss_and_gradients(x, y, w), strict=True
    ):
        same_bits(np.atleast_1d(one), np.atleast_1d(other))
    assert model.evaluate(x, far, sample_weight=w) == model.evaluate(x, y, sample_weight=w)


def test_a_batch_of_which_no_row_counts_makes_a_step_of_gradient_0():
    x, y = data(32)
    w = np.ones(32)
    w[8:16] = 0.0
    model = network(optimizer=fw.optimizers.SGD(0.1, momentum=0.9))
    expected = model.copy()
    history = model.fit(x, y, 8, 1, 0, shuffle=False, sample_weight=w).history
    assert np.isfinite(history["loss"]).all()
    expected.train_on_batch(x[:8], y[:8])
    expected.gradients[:] = 0.0
    expected.apply_gradients()
    for first in (16, 24):
        expected.train_on_batch(x[first : first + 8], y[first : first + 8])
    same_bits(model.parameters, expected.parameters)
