"""Optimizers: `fit` against a plain NumPy loop that takes the same rows in the same order."""

import math

import numpy as np
import pytest
import truth
from helpers import data, network, twin
from reference_updates import CASES, Adam

import fastweights as fw
from fastweights import optimizers
from fastweights._core import philox


def plain_fit(oracle, rule, x, y, batch_size, epochs, seed, shuffle):
    """Trains the oracle's network; the loss of each epoch."""
    losses = []
    for epoch in range(epochs):
        order = np.arange(len(x), dtype=np.int64)
        if shuffle:
            philox.permutation(order, seed, philox.STREAM_SHUFFLE + epoch)
        total = 0.0
        for first in range(0, len(x), batch_size):
            batch = order[first : first + batch_size]
            total += oracle.loss(x[batch], y[batch]) * len(batch)
            gradients, _ = oracle.gradients(x[batch], y[batch])
            oracle.parameters = rule.step(oracle.parameters, gradients)
        losses.append(total / len(x))
    return losses


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(("rows", "batch_size"), [(53, 8), (32, 8), (7, 32), (300, 290)])
@pytest.mark.parametrize("name", ["sgd", "momentum", "nesterov", "adam", "adam without memory"])
def test_fit_follows_a_plain_loop(name, rows, batch_size, shuffle):
    optimizer, rule = CASES[name]
    model = network((5, 9, 6, 3), optimizer=optimizer, seed=3)
    x, y = data(rows)
    oracle = twin(model)
    expected = plain_fit(oracle, rule(), x, y, batch_size, 4, model.seed, shuffle)
    history = model.fit(x, y, batch_size, 4, verbose=0, shuffle=shuffle)
    np.testing.assert_allclose(history.history["loss"], expected, rtol=1e-12)
    np.testing.assert_allclose(model.parameters, oracle.parameters, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("last", ["softmax", "sigmoid"])
def test_fit_of_a_fused_loss_follows_a_plain_loop_that_is_not(last):
    loss = {"softmax": "sparse_categorical_crossentropy", "sigmoid": "binary_crossentropy"}[last]
    model = network((5, 8, 4), "gelu", last, optimizers.Adam(0.01), loss)
    random = np.random.default_rng(1)
    x = random.standard_normal((45, 5))
    y = random.integers(0, 4, 45) if last == "softmax" else random.integers(0, 2, (45, 4))
    oracle = twin(model)
    expected = plain_fit(oracle, Adam(0.01, 0.9, 0.999, 1e-7), x, y, 10, 3, 0, True)
    history = model.fit(x, y, 10, 3, verbose=0)
    np.testing.assert_allclose(history.history["loss"], expected, rtol=1e-12)
    np.testing.assert_allclose(model.parameters, oracle.parameters, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("n", [1, 7, 8, 9, 15, 16, 17, 33])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_pass_over_any_number_of_parameters(name, n, dtype):
    optimizer, rule = CASES[name]
    oracle = rule()
    model = network((n, 1), optimizer=optimizer, dtype=dtype)
    random = np.random.default_rng(n)
    w = model.parameters.astype(float)
    for _ in range(3):
        model.gradients[:] = random.standard_normal(n + 1)
        w = oracle.step(w, model.gradients.astype(float))
        model.apply_gradients()
    np.testing.assert_allclose(
        model.parameters, w, rtol=0, atol=1e-14 if dtype == "float64" else 1e-6
    )


def test_a_gradient_of_zero_moves_nothing():
    for optimizer, _ in CASES.values():
        if optimizer.weight_decay is not None:
            continue
        model = network(optimizer=optimizer)
        before = model.parameters.copy()
        model.gradients[:] = 0
        model.apply_gradients()
        np.testing.assert_array_equal(model.parameters, before)


def test_adam_starts_with_steps_of_the_learning_rate():
    model = network(optimizer=optimizers.Adam(0.01, epsilon=1e-12))
    before = model.parameters.copy()
    model.gradients[:] = np.random.default_rng(0).standard_normal(model.parameters.size)
    model.apply_gradients()
    np.testing.assert_allclose(
        model.parameters - before, -0.01 * np.sign(model.gradients), rtol=1e-9
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_small_epsilon_keeps_weights_finite(dtype):
    # Squares of such gradients are 0: 0 / 0 without a bound.
    for size in (1e-30, 1e-22, 1e-20, 1e-19, 3e-18, 1e-17):
        model = network((8, 1), optimizer=optimizers.Adam(0.01, epsilon=1e-60), dtype=dtype)
        model.gradients[:] = size
        for _ in range(50):
            before = model.parameters.copy()
            model.apply_gradients()
            moved = before - model.parameters
            assert ((moved >= 0) & (moved <= 0.011)).all(), size


def test_a_gradient_whose_square_is_no_float32_moves_by_the_learning_rate():
    for size in (1e18, 1e19, 1e20, 1e30, 3e38):
        model = network((8, 1), optimizer=optimizers.Adam(0.01), dtype="float32")
        model.gradients[:] = size
        for _ in range(50):
            before = model.parameters.copy()
            model.apply_gradients()
            np.testing.assert_allclose(before - model.parameters, 0.01, rtol=1e-4)
        before = model.parameters.copy()
        for bad in (np.inf, np.nan):
            model.gradients[:2] = bad
            with pytest.raises(fw.DivergenceError, match="the gradients are NaN or inf"):
                model.apply_gradients()
        np.testing.assert_array_equal(model.parameters, before)


def test_adam_without_memory():
    """With a beta of 0 the moments are those of this step alone, whatever came before."""
    for dtype in ("float32", "float64"):
        model = network((1, 1), optimizer=optimizers.Adam(0.1, 0.0, 0.0, 1e-12), dtype=dtype)
        for size in (1.0, 1e-4, 1e3, 1e-9):
            before = model.parameters.copy()
            model.gradients[:] = size
            model.apply_gradients()
            np.testing.assert_allclose(before - model.parameters, 0.1, rtol=2e-3)


THAT_REMEMBER = (
    optimizers.Adam(0.01),
    optimizers.SGD(0.05, momentum=0.9),
    optimizers.SGD(0.05, momentum=0.9, nesterov=True),
)


def subnormals(numbers):
    size = np.abs(numbers)
    return int(((size > 0) & (size < np.finfo(numbers.dtype).tiny)).sum())


@pytest.mark.parametrize("optimizer", THAT_REMEMBER, ids=lambda optimizer: optimizer.kernel)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_memory_of_past_gradients_ends_at_0(optimizer, dtype):
    model = network((5, 9, 1), optimizer=optimizer, dtype=dtype)
    model.gradients[:] = np.random.default_rng(0).standard_normal(model.parameters.size)
    model.apply_gradients()
    model.gradients[:] = 0
    for _ in range(2000 if dtype == "float32" else 8000):
        model.apply_gradients()
        assert subnormals(model._compiled.memory.vectors) == 0
    assert (model._compiled.memory.vectors[: model.parameters.size] == 0).all()


@pytest.mark.parametrize(
    "optimizer",
    [
        optimizers.SGD(0.5),
        optimizers.SGD(0.1, momentum=0.5),
        optimizers.SGD(0.1, momentum=0.5, nesterov=True),
    ],
    ids=lambda optimizer: optimizer.kernel,
)
def test_weights_whose_outputs_are_to_be_0_end_there(optimizer):
    # Each step takes off a share of what is left; no share of the smallest subnormal number is one.
    model = network((4, 9), optimizer=optimizer, dtype="float32")
    x = np.random.default_rng(1).standard_normal((64, 4))
    for _ in range(30):
        model.fit(x, np.zeros((64, 9)), 16, 300, verbose=0)
    np.testing.assert_array_equal(model.parameters, 0)


@pytest.mark.parametrize("optimizer", THAT_REMEMBER, ids=lambda optimizer: optimizer.kernel)
@pytest.mark.parametrize("hidden", ["relu", "tanh", "sigmoid"])
def test_training_leaves_no_subnormal_numbers(hidden, optimizer):
    # Units die or saturate, and classes become sure.
    loss = "sparse_categorical_crossentropy"
    model = network((6, 32, 16, 3), hidden, "softmax", optimizer, loss, dtype="float32")
    x = np.random.default_rng(1).standard_normal((300, 6))
    y = (x[:, 0] > 0) * 1 + (x[:, 1] > 0) * 1
    for _ in range(60):
        model.fit(4 * x, y, 32, 3, verbose=0)
        for numbers in (model.parameters, model.gradients, model._compiled.memory.vectors):
            assert subnormals(numbers) == 0


def test_an_optimizer_serves_several_models():
    optimizer = optimizers.Adam(0.01)
    x, y = data(20)
    alone, first, second = (network(optimizer=o) for o in ("adam", optimizer, optimizer))
    alone.compile(optimizers.Adam(0.01), "mse")
    second.fit(x[::-1], y, epochs=2, verbose=0)
    alone.fit(x, y, epochs=2, verbose=0)
    first.fit(x, y, epochs=2, verbose=0)
    np.testing.assert_array_equal(first.parameters, alone.parameters)


def test_memory_goes_on_from_fit_to_fit_and_ends_with_compile():
    x, y = data(20)
    whole, parts, fresh = (network(optimizer="adam") for _ in range(3))
    whole.fit(x, y, epochs=4, verbose=0)
    parts.fit(x, y, epochs=2, verbose=0)
    fresh.fit(x, y, epochs=2, verbose=0)
    parts.fit(x, y, epochs=2, verbose=0)
    np.testing.assert_array_equal(parts.parameters, whole.parameters)
    fresh.compile("adam", "mse")
    fresh.fit(x, y, epochs=2, verbose=0)
    assert (fresh.parameters != whole.parameters).any()


def test_memory_outlives_a_larger_batch():
    x, y = data(20)
    models = [network(optimizer="adam") for _ in range(2)]
    for model, batch_sizes in zip(models, [(2, 20), (20, 20)], strict=True):
        model.fit(x[:2], y[:2], batch_sizes[0], verbose=0)  # a plan for few rows, or for many
        model.fit(x, y, batch_sizes[1], verbose=0)
    np.testing.assert_array_equal(models[0].parameters, models[1].parameters)


def test_learning_rate_may_change_between_steps():
    optimizer = optimizers.SGD(0.5)
    model = network(optimizer=optimizer)
    for learning_rate in (0.5, 0.125, 0.0):
        optimizer.learning_rate = learning_rate
        before = model.parameters.copy()
        model.gradients[:] = 1.0
        model.apply_gradients()
        np.testing.assert_array_equal(model.parameters, before - learning_rate)


@pytest.mark.parametrize(
    ("optimizer", "name"),
    [
        (optimizers.SGD(), "momentum"),
        (optimizers.SGD(0.1, 0.5), "nesterov"),
        (optimizers.Adam(), "beta_1"),
    ],
)
def test_other_settings_are_fixed(optimizer, name):
    before = optimizer.config()
    with pytest.raises(AttributeError, match=f"{name}: is fixed once it is made; make a new"):
        setattr(optimizer, name, 0.5)
    assert optimizer.config() == before


@pytest.mark.parametrize("optimizer", [case[0] for case in CASES.values()], ids=repr)
def test_config_gives_the_optimizer_back(optimizer):
    again = optimizers.get(optimizer.config())
    assert type(again) is type(optimizer)
    assert again.config() == optimizer.config()


@pytest.mark.parametrize("identifier", ["sgd", "SGD", "adam", "Adam"])
def test_names(identifier):
    assert type(optimizers.get(identifier)).__name__.lower() == identifier.lower()


def test_repr_is_the_call():
    text = "SGD(learning_rate=0.1, momentum=0.5, nesterov=True)"
    assert repr(optimizers.SGD(0.1, 0.5, True)) == text


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: optimizers.SGD(-0.1),
            ValueError,
            "learning_rate: got -0.1, expected .* at least 0",
        ),
        (lambda: optimizers.SGD(math.nan), ValueError, "learning_rate: got nan, expected a finite"),
        (lambda: optimizers.SGD("0.1"), TypeError, "learning_rate: got '0.1', expected a number"),
        (lambda: optimizers.SGD(True), TypeError, "learning_rate: got True, expected a number"),
        (
            lambda: optimizers.SGD(momentum=1.5),
            ValueError,
            "momentum: got 1.5, expected .* 1",
        ),
        (lambda: optimizers.SGD(momentum=-0.5), ValueError, "momentum: got -0.5, expected"),
        (lambda: optimizers.SGD(nesterov=1), TypeError, "nesterov: got 1, expected True or False"),
        (lambda: optimizers.Adam(beta_1=1), ValueError, "beta_1: got 1, expected"),
        (lambda: optimizers.Adam(beta_2=-0.1), ValueError, "beta_2: got -0.1, expected"),
        (lambda: optimizers.Adam(epsilon=0), ValueError, "epsilon: got 0, expected .* above 0"),
        (lambda: optimizers.get("adm"), ValueError, "optimizer: got 'adm', .*did you mean 'adam'"),
        (lambda: optimizers.get(3), TypeError, "optimizer: got int, expected a name"),
        (
            lambda: optimizers.get({"learning_rate": 1.0}),
            ValueError,
            "optimizer: got a dict of 'learning_rate', expected one with 'name'",
        ),
    ],
)
def test_refusals(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_refused_learning_rate_leaves_the_old_one():
    optimizer = optimizers.SGD(0.1)
    with pytest.raises(ValueError, match="learning_rate"):
        optimizer.learning_rate = -1
    assert optimizer.learning_rate == 0.1


# ---- parts of a gradient -------------------------------------------------------------------------


@pytest.mark.parametrize("level", truth.LEVELS)
@pytest.mark.parametrize("dtype", truth.DTYPES)
def test_parts_add_up_with_what_rounding_leaves_out(dtype, level):
    add = truth.kernels(level, dtype).apply_add_part
    random = np.random.default_rng(3)
    for n in (1, 7, 8, 9, 16, 17, 33):
        parts = random.exponential(size=(3000, n)).astype(dtype)
        parts[::7] *= -(10.0 ** random.integers(0, 6, (len(parts[::7]), n)))
        total, excess = np.full(n + 16, 7, dtype), np.full(n + 16, 7, dtype)
        total[:n] = excess[:n] = 0
        for k, part in enumerate(parts):
            add(total.ctypes.data, excess.ctypes.data, part.ctypes.data, n, k == len(parts) - 1)
        assert (total[n:] == 7).all()
        assert (excess[n:] == 7).all()
        expected = parts.astype(np.longdouble).sum(axis=0)
        np.testing.assert_allclose(total[:n], expected.astype(float), rtol=np.finfo(dtype).eps)


@pytest.mark.parametrize("level", truth.LEVELS)
@pytest.mark.parametrize("dtype", truth.DTYPES)
def test_nan_and_infinity_go_through_a_sum_of_parts(dtype, level):
    parts = np.ones((4, 5), dtype)
    parts[1, :4] = math.nan, math.inf, -math.inf, np.finfo(dtype).max
    parts[2, 3] = np.finfo(dtype).max
    total, excess = np.zeros(5, dtype), np.zeros(5, dtype)
    for k, part in enumerate(parts):
        truth.kernels(level, dtype).apply_add_part(
            total.ctypes.data, excess.ctypes.data, part.ctypes.data, 5, k == 3
        )
    np.testing.assert_array_equal(total, [math.nan, math.inf, -math.inf, math.inf, 4])
