"""L-BFGS: its line search by Wolfe's conditions, its steps by SciPy's, and how it ends."""

import math

import numpy as np
import pytest
from helpers import data, expect_one_training, network, run_python, same_bits
from hypothesis import given
from hypothesis import strategies as st
from test_bad_input import refused

import fastweights as fw
from fastweights import constraints, layers, optimizers, regularizers
from fastweights._core.plan import search_line

ENDLESS = {"tolerance_grad": 0.0, "tolerance_change": 0.0}

# ---- the line search ----------------------------------------------------------------------------

NUMBER = st.floats(-3.0, 3.0, allow_nan=False)
POSITIVE = st.floats(0.05, 5.0)


class Line:
    """a (t - b)^2 + c sin(w t + p) + d exp(-t^2), which falls at 0; counts nothing."""

    def __init__(self, a, b, c, w, p, d):
        self.numbers = a, b, c, w, p, d
        self.sign = 1.0
        self.sign = -1.0 if self(0.0)[1] > 0 else 1.0

    def __call__(self, t):
        a, b, c, w, p, d = self.numbers
        t = self.sign * t
        bell = d * math.exp(-t * t)
        value = a * (t - b) ** 2 + c * math.sin(w * t + p) + bell
        slope = 2 * a * (t - b) + c * w * math.cos(w * t + p) - 2 * t * bell
        return value, self.sign * slope


@given(POSITIVE, NUMBER, NUMBER, POSITIVE, NUMBER, NUMBER, st.floats(1e-6, 1e3), st.booleans())
def test_a_step_meets_the_strong_conditions_of_wolfe(a, b, c, w, p, d, step, strict):
    line = Line(a, b, c, w, p, d)
    value, slope = line(0.0)
    if slope > -1e-3:  # where rounding has no say
        return
    c1, c2 = (0.1, 0.2) if strict else (1e-4, 0.9)
    found, trials = search_line(line, step, c1, c2, 100)
    assert found > 0.0
    assert trials < 100
    reached = line(found)
    assert reached[0] <= value + c1 * found * slope
    assert abs(reached[1]) <= c2 * abs(slope)


@pytest.mark.parametrize("wall", [1e-3, 0.5, 2.0, 50.0])
def test_a_search_stays_where_there_are_numbers(wall):
    """-log(wall - t) - 9 t / wall falls, then rises to where it ends."""

    def line(t):
        if t >= wall:
            return math.inf, math.nan
        return -math.log(wall - t) - 9 * t / wall, 1 / (wall - t) - 9 / wall

    for step in (1e-3 * wall, wall, 1e3 * wall):
        found, _ = search_line(line, step, 1e-4, 0.1, 60)
        assert 0.0 < found < wall
        assert abs(line(found)[1]) <= 0.1 * abs(line(0.0)[1])


def test_a_search_without_end_stops_when_it_is_told_to():
    found, trials = search_line(lambda t: (-t, -1.0), 1.0, 1e-4, 0.9, 7)
    assert trials == 7
    assert found > 1.0


# ---- steps --------------------------------------------------------------------------------------


def two_outputs(optimizer):
    inputs = fw.Input(5)
    hidden = layers.Dense(9, "tanh")(inputs)
    ends = [layers.Dense(2)(hidden), layers.Dense(1, "sigmoid")(hidden)]
    model = fw.Model(inputs, ends, dtype="float64", seed=1)
    model.compile(optimizer, ["mse", "binary_crossentropy"], loss_weights=[1.0, 0.3])
    return model


def penalised(optimizer):
    stack = [layers.Dense(7, "tanh", kernel_regularizer=regularizers.L2(0.01)), layers.Dense(3)]
    model = fw.Sequential(stack, 5, dtype="float64", seed=1)
    model.compile(optimizer, "mse")
    return model


MODELS = {
    "chain": lambda optimizer: network((5, 8, 6, 3), optimizer=optimizer),
    "classes": lambda optimizer: network(
        (5, 8, 3), "gelu", "softmax", optimizer, "categorical_crossentropy"
    ),
    "two outputs": two_outputs,
    "penalty": penalised,
}


def examples(name, rows):
    x, y = data(rows)
    if name == "classes":
        return x, np.eye(3)[y.argmax(1)]
    if name == "two outputs":
        return x, [y[:, :2], (y[:, 2:] > 0).astype(float)]
    return x, y


def by_scipy(model, x, y, iterations):
    """Losses and parameters after each iteration of SciPy's L-BFGS-B."""
    optimize = pytest.importorskip("scipy.optimize")
    found = []

    def evaluate(parameters):
        model.parameters[:] = parameters
        loss, gradient, _ = model.loss_and_gradients(x, y)
        return loss, gradient

    def note(intermediate_result):
        found.append((intermediate_result.fun, intermediate_result.x.copy()))

    options = {"maxiter": iterations, "maxcor": 5, "ftol": 0.0, "gtol": 0.0}
    start = model.parameters.copy()
    optimize.minimize(evaluate, start, jac=True, method="L-BFGS-B", callback=note, options=options)
    return found


@pytest.mark.parametrize("rows", [17, 1500])
@pytest.mark.parametrize("name", MODELS)
def test_steps_are_those_of_scipy(name, rows):
    x, y = examples(name, rows)
    expected = by_scipy(MODELS[name]("sgd"), x, y, 20)
    # SciPy's c1.
    model = MODELS[name](optimizers.LBFGS(history_size=5, c1=1e-3, **ENDLESS))
    for loss, parameters in expected:
        history = model.fit(x, y, epochs=1, verbose=0)
        np.testing.assert_allclose(history.history["loss"], [loss], rtol=1e-8)
        np.testing.assert_allclose(model.parameters, parameters, rtol=1e-5, atol=1e-6)


def test_the_minimum_of_a_quadratic():
    x, y = data(60)
    model = network((5, 3), optimizer=optimizers.LBFGS(tolerance_grad=1e-12, tolerance_change=0.0))
    history = model.fit(x, y, epochs=500, verbose=0)
    assert len(history.epoch) < 60
    assert history.ended is not None
    bordered = np.column_stack([x, np.ones(60)])
    best = np.linalg.lstsq(bordered, y, rcond=None)[0]
    np.testing.assert_allclose(model.layers[0].kernel, best[:-1], atol=1e-10)
    np.testing.assert_allclose(model.layers[0].bias, best[-1], atol=1e-10)


def test_a_curved_valley():
    """Rosenbrock's kind: one unit's two weights have a product to find, from far away."""
    x = np.linspace(-1, 1, 50)[:, None]
    y = np.tanh(3 * x) * 2
    model = network((1, 1, 1), optimizer=optimizers.LBFGS(tolerance_grad=1e-12, tolerance_change=0))
    model.parameters[:] = [0.1, 0.5, -1.0, 0.0]
    model.fit(x, y, epochs=500, verbose=0)
    assert model.evaluate(x, y) < 1e-18


def test_a_loss_never_gets_larger_and_is_that_of_the_weights():
    x, y = data(40)
    model = network((5, 12, 3), optimizer=optimizers.LBFGS(**ENDLESS))
    before = model.evaluate(x, y)
    for _ in range(30):
        history = model.fit(x, y, epochs=1, verbose=0)
        (loss,) = history.history["loss"]
        assert loss <= before
        assert math.isclose(loss, model.evaluate(x, y), rel_tol=1e-12)
        before = loss


def test_metrics_and_losses_of_an_epoch_are_those_of_its_weights():
    x, y = examples("two outputs", 33)
    model = two_outputs(optimizers.LBFGS())
    model.compile(optimizers.LBFGS(), ["mse", "binary_crossentropy"], [["mae"], ["accuracy"]])
    logs = model.fit(x, y, epochs=6, verbose=0, validation_data=(x, y)).history
    assert {name for name in logs if name.startswith("val_")} == {
        f"val_{name}" for name in logs if not name.startswith("val_")
    }
    for name, values in logs.items():
        if not name.startswith("val_"):
            np.testing.assert_allclose(values, logs[f"val_{name}"], rtol=1e-12)


def test_float32_gets_as_far_as_its_digits_allow():
    x, y = data(60)
    model = network((5, 3), optimizer=optimizers.LBFGS(), dtype="float32")
    best = network((5, 3), optimizer=optimizers.LBFGS())
    for one in (model, best):
        history = one.fit(x, y, epochs=300, verbose=0)
        assert history.ended is not None
    assert model.evaluate(x, y) <= best.evaluate(x, y) * (1 + 1e-5)


# ---- what moves, and what is remembered ---------------------------------------------------------


def test_layers_that_are_not_trained_stay():
    x, y = data(30)
    model = network((5, 8, 6, 3), optimizer=optimizers.LBFGS(), seed=4)
    model.layers[1].trainable = False
    model.gradients[:] = 1.0
    kept = model.layers[1].kernel.copy(), model.layers[1].bias.copy()
    first = model.layers[0].kernel.copy()
    losses = model.fit(x, y, epochs=15, verbose=0).history["loss"]
    same_bits(np.array(model.layers[1].kernel), kept[0])
    same_bits(np.array(model.layers[1].bias), kept[1])
    assert losses[-1] < losses[0]
    assert (model.layers[0].kernel != first).all()
    model.layers[1].trainable = True
    assert model.fit(x, y, epochs=5, verbose=0).history["loss"][-1] < losses[-1]


def test_batch_normalization_is_trained_and_settles_once_a_step():
    x, y = data(64)
    stack = [layers.Dense(8, "tanh"), layers.BatchNormalization(), layers.Dense(3)]
    model = fw.Sequential(stack, 5, dtype="float64", seed=0)
    model.compile(optimizers.LBFGS(), "mse")
    before = model.state.copy()
    losses = model.fit(x, y, epochs=1, verbose=0).history["loss"]
    moved = model.state.copy()
    assert (moved != before).any()
    # By the batch at the weights where the step ended: one update of momentum 0.99.
    made = np.tanh(x @ model.layers[0].kernel + model.layers[0].bias)
    np.testing.assert_allclose(moved[:8], 0.01 * made.mean(0), rtol=1e-10)
    assert model.fit(x, y, epochs=20, verbose=0).history["loss"][-1] < losses[0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_saved_run_goes_on_as_if_it_had_not_been(tmp_path, dtype):
    x, y = data(50)
    whole = network((5, 9, 3), optimizer=optimizers.LBFGS(history_size=4, **ENDLESS), dtype=dtype)
    part = whole.copy()
    expected = whole.fit(x, y, epochs=12, verbose=0).history["loss"]
    found = part.fit(x, y, epochs=7, verbose=0).history["loss"]
    part.save(tmp_path / "model.safetensors")
    part = fw.load(tmp_path / "model.safetensors").copy()
    assert part.optimizer.config() == whole.optimizer.config()
    found += part.fit(x, y, epochs=12, initial_epoch=7, verbose=0).history["loss"]
    assert found == expected
    same_bits(part.parameters, whole.parameters)


def test_weights_that_a_callback_sets_are_where_the_next_step_begins():
    x, y = data(40)
    other = network((5, 9, 3), optimizer=optimizers.LBFGS(), seed=7)

    class Set(fw.callbacks.Callback):
        def on_epoch_end(self, epoch, logs):
            if epoch == 4:
                self.model.set_weights(other.get_weights())

    model = network((5, 9, 3), optimizer=optimizers.LBFGS(), seed=1)
    losses = model.fit(x, y, epochs=6, verbose=0, callbacks=Set()).history["loss"]
    assert losses[5] < other.evaluate(x, y)
    assert losses[5] > losses[4]


def test_a_batch_takes_a_step_and_tells_the_loss_before_it():
    x, y = data(40)
    model = network((5, 9, 3), optimizer=optimizers.LBFGS())
    twin = model.copy()
    for _ in range(5):
        before = model.evaluate(x, y)
        assert math.isclose(model.train_on_batch(x, y), before, rel_tol=1e-12)
        twin.fit(x, y, epochs=1, verbose=0)
    same_bits(model.parameters, twin.parameters)


@pytest.mark.parametrize("make", [optimizers.LBFGS, optimizers.LevenbergMarquardt])
def test_weights_of_rows_are_rows_repeated(make):
    x, y = data(40)
    told = np.random.default_rng(1).integers(0, 4, 40)
    repeated = np.repeat(np.arange(40), told)
    model = network((5, 9, 3), optimizer=make(), metrics=("mae",))
    twin = model.copy()
    found = model.fit(x, y, epochs=6, verbose=0, sample_weight=told).history
    expected = twin.fit(x[repeated], y[repeated], epochs=6, verbose=0).history
    np.testing.assert_allclose(found["loss"], expected["loss"], rtol=1e-9)
    assert found.keys() == {"loss", "mae"}
    np.testing.assert_allclose(model.parameters, twin.parameters, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("make", [optimizers.LBFGS, optimizers.LevenbergMarquardt])
def test_figures_of_a_batch_are_those_before_its_step(make):
    x, y = data(40)
    model = network((5, 9, 3), optimizer=make(), metrics=("mae",))
    for _ in range(3):
        before = model.evaluate(x, y, return_dict=True)
        found = model.train_on_batch(x, y, return_dict=True)
        assert found.keys() == before.keys()
        np.testing.assert_allclose(list(found.values()), list(before.values()), rtol=1e-12)


@pytest.mark.parametrize("rows", [70, 1500, 2600])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_bits_by_any_number_of_threads(rows, dtype):
    x, y = data(rows)

    def make():
        return network((5, 20, 12, 3), optimizer=optimizers.LBFGS(**ENDLESS), dtype=dtype)

    expect_one_training(make, x, y, rows, 3)


THREADS = """
import fastweights as fw, numpy as np
from fastweights import layers, optimizers
random = np.random.default_rng(0)
x, y = random.standard_normal((1500, 5)), random.standard_normal((1500, 3))
found = set()
for optimizer in (optimizers.LBFGS, optimizers.LevenbergMarquardt):
    for threads in (1, 2, 3, 7):
        stack = [layers.Dense(20, "tanh"), layers.Dense(12, "tanh"), layers.Dense(3)]
        model = fw.Sequential(stack, 5, dtype="float64", seed=0)
        model.compile(optimizer(), "mse")
        with fw.threads(threads):
            losses = model.fit(x, y, epochs=6, verbose=0).history["loss"]
        found.add((optimizer.__name__, model.parameters.tobytes(), tuple(losses)))
print(len(found))
"""


def test_the_same_bits_where_threads_are_forced():
    done = run_python(THREADS, FASTWEIGHTS_GRAIN="0", timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "2"


# ---- ends ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"tolerance_grad": 1e-3, "tolerance_change": 0.0}, "tolerance_grad"),
        ({"tolerance_grad": 0.0, "tolerance_change": 0.05}, "tolerance_change"),
        (ENDLESS, ""),
    ],
)
def test_a_fit_ends_with_a_word(settings, why):
    x, y = data(60)
    model = network((5, 3), optimizer=optimizers.LBFGS(**settings))
    history = model.fit(x, y, epochs=400, verbose=0)
    assert why in history.ended
    assert len(history.epoch) < 400
    if why == "tolerance_grad":
        assert np.abs(model.loss_and_gradients(x, y)[1]).max() <= 1e-3
    weights = model.parameters.copy()
    again = model.fit(x, y, epochs=5, verbose=0)
    if why == "tolerance_grad":
        assert len(again.epoch) == 1
        same_bits(model.parameters, weights)


def test_a_fit_of_all_epochs_has_no_such_word():
    x, y = data(60)
    assert network(optimizer=optimizers.LBFGS()).fit(x, y, epochs=2, verbose=0).ended is None
    assert network().fit(x, y, epochs=2, verbose=0).ended is None


def test_a_loss_that_is_no_number_raises_and_leaves_all_as_it_was():
    x, y = data(20)
    model = network((5, 6, 3), "linear", optimizer=optimizers.LBFGS())
    model.fit(x, y, epochs=3, verbose=0)
    model.parameters[:] *= 1e200
    weights, vectors = model.parameters.copy(), model._compiled.memory.vectors.copy()
    for call in (
        lambda: model.fit(x, y, epochs=2, verbose=0),
        lambda: model.train_on_batch(x, y),
    ):
        with pytest.raises(fw.DivergenceError, match="not finite") as raised:
            call()
        assert raised.value.learning_rate is None
        same_bits(model.parameters, weights)
        same_bits(model._compiled.memory.vectors, vectors)


INTERRUPTED = """
import os, signal, threading
import numpy as np, fastweights as fw
from fastweights import layers, optimizers
random = np.random.default_rng(0)
x, y = random.standard_normal((60_000, 32)), random.standard_normal((60_000, 3))
for optimizer in (optimizers.LBFGS(), optimizers.LevenbergMarquardt()):
    for seconds in (0.15, 0.3):
        stack = [layers.Dense(40, "tanh"), layers.Dense(40, "tanh"), layers.Dense(3)]
        model = fw.Sequential(stack, 32, dtype="float64", seed=0)
        model.compile(optimizer, "mse")
        model.train_on_batch(x[:50], y[:50])
        threading.Timer(seconds, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        before = model.copy()
        try:
            while True:
                before = model.copy()
                model.train_on_batch(x, y)
        except KeyboardInterrupt:
            pass
        if (model.parameters != before.parameters).any():
            before.train_on_batch(x, y)
        for one in (model, before):
            one.train_on_batch(x[:50], y[:50])
        assert (model.parameters == before.parameters).all()
        assert (model._compiled.memory.numbers == before._compiled.memory.numbers).all()
"""


def test_an_interrupted_step_is_made_or_it_is_not():
    done = run_python(INTERRUPTED, timeout=300)
    assert done.returncode == 0, done.stderr


# ---- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", [optimizers.LBFGS(), optimizers.LevenbergMarquardt()])
def test_what_is_no_one_smooth_function_is_refused(optimizer):
    x, y = data(20)
    model = network(optimizer=optimizer)
    weights = model.parameters.copy()
    refused(lambda: model.fit(x, y, batch_size=10), ValueError, "batch_size: got 10")
    model.fit(x, y, batch_size=20, epochs=0)
    refused(model.apply_gradients, ValueError, f"apply_gradients: got {type(optimizer).__name__}")
    same_bits(model.parameters, weights)
    stacks = {
        "random numbers": [layers.Dropout(0.5), layers.Dense(3)],
        "constraints": [layers.Dense(3, kernel_constraint=constraints.MaxNorm(1.0))],
    }
    for why, stack in stacks.items():
        model = fw.Sequential(stack, 5, seed=0)
        model.compile(optimizer, "mse")
        for call in (model.fit, model.train_on_batch):
            name = type(optimizer).__name__
            refused(lambda call=call: call(x, y), ValueError, f"optimizer: got {name}")
            with pytest.raises(ValueError, match=why):
                call(x, y)
    model = fw.Sequential([layers.LSTM(4, dropout=0.2), layers.Dense(3)], (5, 1), seed=0)
    model.compile(optimizer, "mse")
    with pytest.raises(ValueError, match="random numbers"):
        model.fit(x[:, :, None], y)


def test_settings_that_are_none_are_refused():
    for name, bad in {
        "learning_rate": 0.0, "history_size": 0, "tolerance_grad": -1.0, "tolerance_change": -1.0,
        "max_line_search": 0, "c1": 0.0, "c2": 1.0,
    }.items():  # fmt: skip
        refused(lambda name=name, bad=bad: optimizers.LBFGS(**{name: bad}), ValueError, name)
    refused(lambda: optimizers.LBFGS(c1=0.5, c2=0.4), ValueError, "c2: got 0.4")
    optimizer = optimizers.LBFGS(0.5)
    optimizer.learning_rate = 0.25
    assert optimizers.get(optimizer.config()).config() == optimizer.config()
    assert isinstance(optimizers.get("lbfgs"), optimizers.LBFGS)
