"""Levenberg and Marquardt's method: its equations by differences, its steps by NumPy and SciPy."""

import numpy as np
import pytest
from helpers import data, expect_one_training, network, same_bits
from layer_cases import CASES, model_between, rows_for
from test_bad_input import refused

import fastweights as fw
from fastweights import layers, optimizers, regularizers
from fastweights._minimizing import Descent
from fastweights._rows import Examples
from fastweights.layers.ops import draws, looks_at_rows_alone
from fastweights.optimizers.levenberg_marquardt import MOST_PARAMETERS

ENDLESS = {"tolerance_grad": 0.0, "tolerance_change": 0.0}


def jacobian(model, x, step=1e-6):
    """Of all outputs of all rows, row by row, by the parameters that move: central differences."""
    moving = model.parameters
    columns = []
    for i, value in enumerate(moving.tolist()):
        sides = []
        for side in (value + step, value - step):
            moving[i] = side
            made = model.predict(x)
            made = made if isinstance(made, list) else [made]
            sides.append([one.astype(float).reshape(len(one), -1) for one in made])
        moving[i] = value
        columns.append([(a - b) / (2 * step) for a, b in zip(*sides, strict=True)])
    return [np.stack(one, axis=-1) for one in zip(*columns, strict=True)]


def expected_matrix(model, x, weights=(1.0,), step=1e-6):
    """J'J of what half the sum of squares is the loss."""
    total = 0.0
    for one, weight in zip(jacobian(model, x, step), weights, strict=True):
        lines = one.reshape(-1, one.shape[-1])
        total = total + 2.0 * weight / len(lines) * lines.T @ lines
    return total


def found_matrix(model, x, y, weights=None):
    """The library's."""
    compiled = model._compiled
    descent = Descent(model, compiled, model.optimizer, Examples(x, y, weights))
    return descent._current().normal_matrix(0, 1)


def close(found, expected, tolerance):
    assert np.linalg.norm(found - expected) <= tolerance * np.linalg.norm(expected)


def takes(name):
    """Whether the method takes a case's layer."""
    if not CASES[name].smooth:
        return False
    built = model_between(CASES[name])._built_or_refused()
    fits = all(looks_at_rows_alone(spec) and not draws(spec) for spec in built.ops)
    kept = built.kept_in_check()
    plain = not kept.bounds and not kept.matrices and not kept.penalties
    return fits and plain and built.size < 400 and not any(built.output_masks)


@pytest.mark.parametrize("name", [name for name in CASES if takes(name)])
def test_the_equations_of_any_layer(name):
    model = model_between(CASES[name])
    model.compile(optimizers.LevenbergMarquardt(), "mse")
    random = np.random.default_rng(3)
    x = rows_for(model, 7, random)
    y = random.standard_normal((7, 2))
    model.predict(x)
    x = x.astype(np.int32) if x.dtype.kind == "i" else x
    used = np.zeros(model.parameters.size, bool)
    for spec in model._built_or_refused().ops:
        used[spec.offset : spec.offset + sum(spec.variables)] = True
    close(found_matrix(model, x, y), expected_matrix(model, x)[np.ix_(used, used)], 1e-6)


@pytest.mark.parametrize("rows", [1, 5, 127, 128, 129, 700])
@pytest.mark.parametrize("outputs", [1, 4])
def test_the_equations_of_any_number_of_rows(rows, outputs):
    model = network((5, 9, outputs), optimizer=optimizers.LevenbergMarquardt())
    x, y = data(rows, outputs=outputs)
    close(found_matrix(model, x, y), expected_matrix(model, x), 1e-7)


def test_the_equations_of_more_outputs_than_lines_at_a_time():
    model = network((3, 2, 600), optimizer=optimizers.LevenbergMarquardt())
    x, y = data(3, 3, 600)
    close(found_matrix(model, x, y), expected_matrix(model, x), 1e-7)


def test_the_equations_of_float32_are_of_float64():
    model = network((5, 9, 3), optimizer=optimizers.LevenbergMarquardt(), dtype="float32")
    twin = model.copy("float64")
    x, y = data(300)
    found = found_matrix(model, x.astype(np.float32), y.astype(np.float32))
    assert found.dtype == np.float64
    close(found, found_matrix(twin, x, y), 1e-6)


def several(optimizer):
    """Two outputs, a layer that is called twice, a branch and costs of weights."""
    inputs = fw.Input(5)
    shared = layers.Dense(5, "tanh", kernel_regularizer=regularizers.L2(0.02))
    hidden = shared(shared(inputs))
    both = layers.Concatenate()([inputs, hidden])
    model = fw.Model(
        inputs, [layers.Dense(2)(both), layers.Dense(1)(hidden)], dtype="float64", seed=1
    )
    model.compile(optimizer, "mse", loss_weights=[1.0, 0.3])
    return model


def test_the_equations_of_shared_layers_outputs_and_costs():
    model = several(optimizers.LevenbergMarquardt())
    x, y = data(33)
    expected = expected_matrix(model, x, (1.0, 0.3))
    kernel = model.weights[0]
    expected[np.diag_indices(kernel.size)] += 2 * 0.02
    assert kernel.name.endswith("kernel")
    assert kernel.size == 25
    close(found_matrix(model, x, (y[:, :2].copy(), y[:, 2:].copy())), expected, 1e-7)


def test_the_equations_of_steps_that_have_weights():
    stack = [layers.Dense(4, "tanh"), layers.Dense(2)]
    model = fw.Sequential(stack, (3, 5), dtype="float64", seed=0)
    model.compile(optimizers.LevenbergMarquardt(), "mse")
    random = np.random.default_rng(2)
    x, y = random.standard_normal((30, 3, 5)), random.standard_normal((30, 3, 2))
    told = random.integers(0, 3, (30, 3)).astype(float)
    lines = jacobian(model, x)[0].reshape(30, 3, 2, -1)
    lines = (lines * np.sqrt(told)[:, :, None, None]).reshape(180, -1)
    expected = lines.T @ lines / told.sum()
    close(found_matrix(model, x, y, (told,)), expected, 1e-7)


def test_the_equations_leave_out_what_does_not_move():
    model = network((5, 4, 6, 3), optimizer=optimizers.LevenbergMarquardt())
    x, y = data(20)
    moves = np.ones(model.parameters.size, bool)
    moves[24 : 24 + 30] = False
    expected = expected_matrix(model, x)[np.ix_(moves, moves)]
    model.layers[1].trainable = False
    close(found_matrix(model, x, y), expected, 1e-7)
    kept = model.parameters.copy()
    model.fit(x, y, epochs=5, verbose=0)
    assert ((model.parameters == kept) == ~moves).all()


# ---- steps --------------------------------------------------------------------------------------


def by_numpy(model, x, y, damping, steps, weights=(1.0,), decay=None):
    """The losses after each step: Madsen, Nielsen & Tingleff (2004), algorithm 3.16."""
    mu, nu, losses = None, 2.0, []
    parameters = model.parameters
    for _ in range(steps):
        a = expected_matrix(model, x, weights)
        if decay is not None:
            a = a + np.diag(2 * decay)
        loss, gradient, _ = model.loss_and_gradients(x, y)
        mu = damping * a.diagonal().max() if mu is None else mu
        here = parameters.copy()
        while True:
            step = np.linalg.solve(a + mu * np.eye(len(a)), -gradient)
            parameters[:] = here + step
            gain = (loss - model.loss_and_gradients(x, y)[0]) / (
                0.5 * step @ (mu * step - gradient)
            )
            if gain > 0:
                mu, nu = mu * max(1 / 3, 1 - (2 * gain - 1) ** 3), 2.0
                break
            mu, nu = mu * nu, 2 * nu
        losses.append(model.loss_and_gradients(x, y)[0])
    return losses


@pytest.mark.parametrize("damping", [1e-6, 1e-3, 1.0])
def test_steps_are_those_of_a_plain_loop(damping):
    x, y = data(40)
    twin = network((5, 6, 3), optimizer="sgd", seed=2)
    optimizer = optimizers.LevenbergMarquardt(damping=damping, **ENDLESS)
    model = network((5, 6, 3), optimizer=optimizer, seed=2)
    expected = by_numpy(twin, x, y, damping, 10)
    found = model.fit(x, y, epochs=10, verbose=0).history["loss"]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(model.parameters, twin.parameters, rtol=1e-4, atol=1e-5)


def test_steps_with_costs_and_two_outputs_are_those_of_a_plain_loop():
    x, y = data(40)
    y = (y[:, :2].copy(), y[:, 2:].copy())
    twin, model = several("sgd"), several(optimizers.LevenbergMarquardt(**ENDLESS))
    decay = np.zeros(twin.parameters.size)
    decay[:25] = 0.02
    expected = by_numpy(twin, x, list(y), 1e-3, 8, (1.0, 0.3), decay)
    found = model.fit(x, list(y), epochs=8, verbose=0).history["loss"]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_minimum_is_that_of_scipy():
    optimize = pytest.importorskip("scipy.optimize")
    random = np.random.default_rng(4)
    x = random.uniform(-1, 1, (80, 2))
    y = np.tanh(x @ [[2.0], [-1.0]]) + 0.1 * random.standard_normal((80, 1))
    twin = network((2, 1, 1), optimizer="sgd", seed=3)

    def residuals(parameters):
        twin.parameters[:] = parameters
        return (twin.predict(x) - y).ravel()

    def derivative(parameters):
        twin.parameters[:] = parameters
        return jacobian(twin, x)[0].reshape(80, -1)

    start = twin.parameters.copy()
    best = optimize.least_squares(
        residuals, start, derivative, method="lm", ftol=1e-14, xtol=1e-14, max_nfev=2000
    )
    model = network((2, 1, 1), optimizer=optimizers.LevenbergMarquardt(**ENDLESS), seed=3)
    model.fit(x, y, epochs=400, verbose=0)
    assert abs(model.evaluate(x, y) / (2 * best.cost / 80) - 1) < 1e-12
    np.testing.assert_allclose(model.parameters, best.x, atol=1e-6)


def test_a_linear_model_is_there_after_a_few_steps():
    x, y = data(60)
    optimizer = optimizers.LevenbergMarquardt(damping=1e-9, **ENDLESS)
    model = network((5, 3), optimizer=optimizer)
    history = model.fit(x, y, epochs=30, verbose=0)
    assert len(history.epoch) < 10
    assert history.ended is not None
    best = np.linalg.lstsq(np.column_stack([x, np.ones(60)]), y, rcond=None)[0]
    # A loss says no more about where it is least: the root of a double's precision.
    np.testing.assert_allclose(model.layers[0].kernel, best[:-1], atol=1e-8)


def test_more_parameters_than_rows():
    x, y = data(4)
    model = network((5, 12, 3), optimizer=optimizers.LevenbergMarquardt(**ENDLESS))
    model.fit(x, y, epochs=60, verbose=0)
    assert model.evaluate(x, y) < 1e-20


@pytest.mark.parametrize("n", [31, 64, 65, 200])
def test_the_equations_are_solved(n):
    """One step from a linear model's weights is Gauss and Newton's, whatever blocks n makes."""
    random = np.random.default_rng(n)
    x, y = random.standard_normal((2 * n, n - 1)), random.standard_normal((2 * n, 1))
    model = network((n - 1, 1), optimizer=optimizers.LevenbergMarquardt(damping=1e-12, **ENDLESS))
    model.fit(x, y, epochs=1, verbose=0)
    best = np.linalg.lstsq(np.column_stack([x, np.ones(2 * n)]), y, rcond=None)[0]
    np.testing.assert_allclose(model.parameters, best[:, 0], atol=1e-8)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_saved_run_goes_on_as_if_it_had_not_been(tmp_path, dtype):
    x, y = data(50)
    optimizer = optimizers.LevenbergMarquardt(**ENDLESS)
    whole = network((5, 9, 3), optimizer=optimizer, dtype=dtype)
    part = whole.copy()
    expected = whole.fit(x, y, epochs=9, verbose=0).history["loss"]
    found = part.fit(x, y, epochs=4, verbose=0).history["loss"]
    part.save(tmp_path / "model.safetensors")
    part = fw.load(tmp_path / "model.safetensors").copy()
    found += part.fit(x, y, epochs=9, initial_epoch=4, verbose=0).history["loss"]
    assert found == expected
    same_bits(part.parameters, whole.parameters)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_bits_by_any_number_of_threads(dtype):
    x, y = data(700)

    def make():
        optimizer = optimizers.LevenbergMarquardt(**ENDLESS)
        return network((5, 20, 12, 3), optimizer=optimizer, dtype=dtype)

    expect_one_training(make, x, y, 700, 3)


# ---- refusals -----------------------------------------------------------------------------------


def test_what_is_no_sum_of_squares_of_rows_is_refused():
    x, y = data(20)
    optimizer = optimizers.LevenbergMarquardt()
    wide = MOST_PARAMETERS // 9 + 1
    stacks = {
        "penalties than L2": [layers.Dense(3, kernel_regularizer="l1")],
        "rows have nothing to do": [layers.BatchNormalization(), layers.Dense(3)],
        "no own costs": [layers.Dense(3), layers.ActivityRegularization(l2=0.1)],
        "at most 8,192": [layers.Dense(wide, "tanh"), layers.Dense(3)],
    }
    for why, stack in stacks.items():
        model = fw.Sequential(stack, 5, seed=0)
        model.compile(optimizer, "mse")
        weights = model.parameters.copy()
        for call in (model.fit, model.train_on_batch):
            refused(lambda call=call: call(x, y), ValueError, "optimizer: got LevenbergMarquardt")
            with pytest.raises(ValueError, match=why):
                call(x, y)
        same_bits(model.parameters, weights)
    model = network(optimizer=optimizer, loss="mae")
    with pytest.raises(ValueError, match="sum of squares"):
        model.fit(x, y)


def test_settings_that_are_none_are_refused():
    optimizer = optimizers.LevenbergMarquardt(0.5)

    def set_rate():
        optimizer.learning_rate = 0.1

    refused(set_rate, ValueError, "learning_rate: got 0.1, expected 1")
    optimizer.learning_rate = 1.0
    assert optimizers.get(optimizer.config()).config() == optimizer.config()
    for name, bad in {"damping": 0.0, "tolerance_grad": -1.0, "tolerance_change": -1.0}.items():
        refused(
            lambda name=name, bad=bad: optimizers.LevenbergMarquardt(**{name: bad}),
            ValueError,
            name,
        )


def test_memory_counts_its_matrices():
    model = network((5, 100, 3), optimizer="sgd")
    plain = model.memory(50)["total"]
    model.compile(optimizers.LevenbergMarquardt(), "mse")
    assert model.memory(50)["total"] - plain > 16 * model.parameters.size**2
