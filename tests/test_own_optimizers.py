"""Optimizers of one's own, in NumPy: what they move, what is refused, how they are saved."""

import os
import pickle
import signal
import sys
import time

import numpy as np
import pytest

import fastweights as fw
from fastweights import layers, optimizers, schedules

X = np.random.default_rng(0).standard_normal((48, 5))
Y = np.random.default_rng(1).standard_normal((48, 2))


class PlainSGD(optimizers.NumpyOptimizer):
    def update(self, step, learning_rate, parameters, gradients):
        return parameters - learning_rate * gradients


class PlainAdam(optimizers.NumpyOptimizer):
    vectors = 2

    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, **settings):
        super().__init__(learning_rate, **settings)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def update(self, step, learning_rate, parameters, gradients, m, v):
        m = self.beta_1 * m + (1 - self.beta_1) * gradients
        v = self.beta_2 * v + (1 - self.beta_2) * gradients**2
        moved = m / (1 - self.beta_1**step) / (np.sqrt(v / (1 - self.beta_2**step)) + self.epsilon)
        return parameters - learning_rate * moved, m, v


class PlainAdagrad(optimizers.NumpyOptimizer):
    """One whose vector begins with another number than 0."""

    vectors = 1

    def initial_state(self):
        return (0.1,)

    def update(self, step, learning_rate, parameters, gradients, total):
        total = total + gradients**2
        return parameters - learning_rate * gradients / np.sqrt(total + 1e-7), total


class Asking(optimizers.NumpyOptimizer):
    """One that calls a function with all that it gets, and keeps the sum of the gradients."""

    vectors = 1

    def __init__(self, ask, learning_rate=0.01, **settings):
        super().__init__(learning_rate, **settings)
        self._ask = ask

    def update(self, step, learning_rate, parameters, gradients, total):
        made = self._ask(step, learning_rate, parameters, gradients, total)
        if made is not None:
            return made
        return parameters - learning_rate * gradients, total + gradients


PAIRS = [
    (optimizers.SGD, PlainSGD),
    (optimizers.Adam, PlainAdam),
    (optimizers.Adagrad, PlainAdagrad),
]


def model_of(optimizer, dtype="float64"):
    stack = [layers.Dense(7, "tanh"), layers.BatchNormalization(), layers.Dense(2)]
    model = fw.Sequential(stack, 5, dtype, seed=0)
    model.compile(optimizer, "mse")
    return model


def copied(model):
    """All numbers that a step may move."""
    memory = model._compiled.memory
    live = (model.parameters, model.state, *(() if memory is None else memory.arrays()))
    return [np.array(one) for one in live]


SETTINGS = [
    {},
    {"weight_decay": 0.1},
    {"weight_decay": schedules.CosineDecay(0.1, 200)},
    {"clipvalue": 0.02},
    {"clipnorm": 0.05},
    {"global_clipnorm": 0.1},
    {"use_ema": True, "ema_momentum": 0.9},
    {"use_ema": True, "ema_momentum": 0.9, "ema_overwrite_frequency": 7},
    {"gradient_accumulation_steps": 3},
    {"gradient_accumulation_steps": 2, "clipnorm": 0.05, "weight_decay": 0.1},
    {"learning_rate_factors": {"dense": 0.1, "*/bias": 3.0}},
    {"weight_decay": 0.1, "weight_decay_factors": {"*/bias": 0.0}},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize(("known", "own"), PAIRS, ids=["sgd", "adam", "adagrad"])
def test_a_rule_in_numpy_is_the_compiled_one(known, own, settings):
    rate = schedules.ExponentialDecay(0.02, 100, 0.7)
    one, other = model_of(known(rate, **settings)), model_of(own(rate, **settings))
    for model in (one, other):
        model.fit(X, Y, 8, 50, verbose=0)
    assert one.optimizer.iterations == other.optimizer.iterations >= 100
    assert one.optimizer.learning_rate == other.optimizer.learning_rate
    for first, second in zip(copied(one)[:3], copied(other)[:3], strict=True):
        np.testing.assert_allclose(second, first, rtol=1e-12, atol=1e-13)


def test_float32_stays_float32():
    seen = []

    def ask(step, rate, *arrays):
        seen.extend(one.dtype for one in arrays)

    factors = {"*/bias": 2.0}
    model = model_of(Asking(ask, weight_decay=0.1, learning_rate_factors=factors), "float32")
    model.fit(X, Y, 8, 2, verbose=0)
    assert set(seen) == {np.dtype(np.float32)}
    one, other = (model_of(kind(0.05), "float32") for kind in PAIRS[0])
    for model in (one, other):
        model.fit(X, Y, 8, 10, verbose=0)
    np.testing.assert_allclose(other.parameters, one.parameters, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize(("rows", "batch_size"), [(48, 8), (700, 700), (1100, 1100)])
def test_bits_do_not_depend_on_threads(settings, rows, batch_size, monkeypatch):
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    x, y = np.resize(X, (rows, 5)), np.resize(Y, (rows, 2))
    found = []
    for count in (1, 2, 3, 7):
        with fw.threads(count):
            model = model_of(PlainAdam(0.01, **settings))
            model.fit(x, y, batch_size, 4, verbose=0)
            found.append(copied(model))
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


def test_weights_with_bounds_and_penalties():
    def made(optimizer):
        dense = layers.Dense(
            7, "tanh", kernel_constraint="non_neg", kernel_regularizer="l2", bias_regularizer="l1"
        )
        model = fw.Sequential([dense, layers.Dense(2)], 5, "float64", seed=0)
        model.compile(optimizer, "mse")
        model.fit(X, Y, 8, 20, verbose=0)
        return model

    one, other = made(optimizers.Adam(0.01)), made(PlainAdam(0.01))
    np.testing.assert_allclose(other.parameters, one.parameters, rtol=1e-11, atol=1e-12)
    assert (other.layers[0].kernel >= 0).all()


def test_tables_of_which_a_batch_touches_some_rows():
    def made(optimizer):
        model = fw.Sequential(
            [layers.Embedding(50, 4), layers.Flatten(), layers.Dense(2)], (3,), "float64", seed=0
        )
        model.compile(optimizer, "mse")
        model.fit(np.arange(144).reshape(48, 3) % 50, Y, 8, 20, verbose=0)
        return model.parameters

    for known, own in PAIRS:
        np.testing.assert_allclose(made(own(0.01)), made(known(0.01)), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("call", ["fit", "train_on_batch", "apply_gradients"])
def test_it_moves_only_what_is_trained(call):
    def ask(step, rate, parameters, gradients, total):
        assert (gradients[: 5 * 7 + 7] == 0).all()
        return parameters - 1.0, total + 1.0

    model = model_of(Asking(ask))
    model.layers[0].trainable = False
    before = model.parameters.copy()
    if call == "apply_gradients":
        model.backward(model.forward(X, training=True) - Y)
        model.apply_gradients()
    elif call == "fit":
        model.fit(X, Y, 48, verbose=0)
    else:
        model.train_on_batch(X, Y)
    frozen = 5 * 7 + 7
    np.testing.assert_array_equal(model.parameters[:frozen], before[:frozen])
    np.testing.assert_array_equal(model.parameters[frozen:], before[frozen:] - 1.0)
    total = model._compiled.memory.vectors
    np.testing.assert_array_equal(total[:frozen], 0.0)
    np.testing.assert_array_equal(total[frozen:], 1.0)


def test_what_it_gets_are_copies():
    kept = []

    def ask(step, rate, parameters, gradients, total):
        kept.append((parameters, gradients, total))
        made = parameters - rate * gradients, total + gradients
        for one in kept[-1]:
            one[:] = np.nan
        return made

    model, exact = model_of(Asking(ask)), model_of(optimizers.SGD(0.01))
    for one in (model, exact):
        one.fit(X, Y, 8, 3, verbose=0)
    np.testing.assert_allclose(model.parameters, exact.parameters, rtol=1e-12)
    assert np.isfinite(model.gradients).all()


def test_steps_and_rates_are_told():
    told = []

    def ask(step, rate, *arrays):
        told.append((step, rate))

    rate = schedules.InverseTimeDecay(0.1, 1, 1.0)
    model = model_of(Asking(ask, rate, gradient_accumulation_steps=2))
    model.fit(X, Y, 8, 2, verbose=0)
    assert told == [(step, pytest.approx(rate(2 * step - 1))) for step in range(1, 7)]
    model.optimizer.learning_rate = 0.25
    model.train_on_batch(X[:8], Y[:8])
    model.train_on_batch(X[:8], Y[:8])
    assert told[6:] == [(7, 0.25)]
    told.clear()
    factors = {"dense/*": 2.0}
    model = model_of(Asking(ask, 0.5, learning_rate_factors=factors))
    model.train_on_batch(X, Y)
    expected = np.where(np.arange(model.parameters.size) < 42, 1.0, 0.5)
    np.testing.assert_array_equal(told[0][1], expected)


# ---- where it raises -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("mine"), KeyboardInterrupt(), SystemExit(3), MemoryError()]
)
@pytest.mark.parametrize(
    "settings",
    [{}, {"gradient_accumulation_steps": 2}, {"use_ema": True}, {"clipnorm": 0.1}],
    ids=str,
)
@pytest.mark.parametrize("threads", [1, 3])
def test_an_exception_leaves_the_model_before_the_step(error, settings, threads, monkeypatch):
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    calls = []

    def ask(step, rate, *arrays):
        calls.append(step)
        if len(calls) == 3:
            for one in arrays:
                one[:] = 7.0
            raise error

    every = settings.get("gradient_accumulation_steps", 1)
    done = 3 * every - 1
    model, exact = model_of(Asking(ask, **settings)), model_of(Asking(lambda *_: None, **settings))
    with fw.threads(threads):
        batches = [slice(8 * k, 8 * k + 8) for k in range(6)]
        for batch in batches[:done]:
            exact.train_on_batch(X[batch], Y[batch])
            if len(calls) < 2 or every > 1:
                model.train_on_batch(X[batch], Y[batch])
        for _ in range(2):  # what waits for more batches is there twice as it was
            calls[:] = [1, 2]
            batch = batches[done]
            with pytest.raises(type(error)) as caught:
                model.train_on_batch(X[batch], Y[batch])
            assert caught.value is error
            for one, other in zip(copied(model), copied(exact), strict=True):
                np.testing.assert_array_equal(one, other)
        for one in (model, exact):
            one.fit(X, Y, 8, 2, verbose=0)
        for one, other in zip(copied(model), copied(exact), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("threads", [1, 3])
def test_an_exception_ends_a_fit_before_its_step(threads, monkeypatch):
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)

    def ask(step, *_):
        if step == 4:
            raise ZeroDivisionError

    model, exact = model_of(Asking(ask)), model_of(Asking(lambda *_: None))
    with fw.threads(threads):
        with pytest.raises(ZeroDivisionError):
            model.fit(X, Y, 8, verbose=0, shuffle=False)
        exact.fit(X[:24], Y[:24], 8, verbose=0, shuffle=False)
    for one, other in zip(copied(model), copied(exact), strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_exception_in_apply_gradients():
    def ask(*_):
        raise ZeroDivisionError

    model = model_of(Asking(ask))
    model.backward(model.forward(X, training=True) - Y)
    before = copied(model)
    with pytest.raises(ZeroDivisionError):
        model.apply_gradients()
    assert model.optimizer.iterations == 0
    for one, other in zip(before, copied(model), strict=False):
        np.testing.assert_array_equal(one, other)


def test_states_of_rows_are_those_before_the_step():
    def made(ask):
        inputs = fw.Input((4, 5), batch_size=8)
        stack = layers.LSTM(3, stateful=True)(inputs)
        model = fw.Model(inputs, layers.Dense(2)(stack), dtype="float64", seed=0)
        model.compile(Asking(ask), "mse")
        return model

    def ask(step, *_):
        if step == 3:
            raise ZeroDivisionError

    x = np.resize(X, (8, 4, 5))
    model, exact = made(ask), made(lambda *_: None)
    for one in (model, exact):
        for _ in range(2):
            one.train_on_batch(x, Y[:8])
    with pytest.raises(ZeroDivisionError):
        model.train_on_batch(x, Y[:8])
    np.testing.assert_array_equal(model.state, exact.state)
    np.testing.assert_array_equal(model.parameters, exact.parameters)


@pytest.mark.skipif(sys.platform == "win32", reason="signals by kill")
def test_ctrl_c_in_an_update():
    def ask(step, *_):
        if step == 3:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(100)

    model, exact = model_of(Asking(ask)), model_of(Asking(lambda *_: None))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, Y, 8, verbose=0, shuffle=False)
    finally:
        signal.signal(signal.SIGINT, before)
    exact.fit(X[:16], Y[:16], 8, verbose=0, shuffle=False)
    for one, other in zip(copied(model), copied(exact), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("inner", ["predict", "evaluate", "fit", "get_weights", "train_on_batch"])
def test_a_call_of_the_same_model_is_refused(inner):
    arguments = {"predict": (X,), "get_weights": ()}.get(inner, (X, Y))

    def ask(*_):
        getattr(model, inner)(*arguments)

    model = model_of(Asking(ask))
    with pytest.raises(RuntimeError, match="in the middle of"):
        model.fit(X, Y, verbose=0)
    assert np.isfinite(model.predict(X)).all()


def test_weights_that_are_not_finite_diverge_as_any_others():
    model = model_of(Asking(lambda step, rate, w, g, total: (w * np.nan, total)))
    before = model.parameters.copy()
    with pytest.raises(fw.DivergenceError):
        model.fit(X, Y, 8, verbose=0)
    np.testing.assert_array_equal(model.parameters, before)


@pytest.mark.parametrize(
    ("made", "error", "message"),
    [
        (lambda w, t: w, TypeError, r"update of Asking: got ndarray, expected parameters of .*tup"),
        (lambda w, t: (w,), TypeError, "update of Asking: got a tuple of 1"),
        (lambda w, t: (w, t, t), TypeError, "update of Asking: got a tuple of 3"),
        (
            lambda w, t: (w[1:], t),
            ValueError,
            r"parameters of update of Asking: got shape \(71,",
        ),
        (lambda w, t: (w, t[None]), ValueError, r"vector 1 of update of Asking: got shape \(1, "),
        (lambda w, t: (w, "x"), TypeError, "vector 1 of update of Asking: got the text 'x'"),
        (lambda w, t: (w, None), TypeError, "vector 1 of update of Asking: got None"),
        (lambda w, t: (w * 1j, t), TypeError, "parameters of update of Asking: got dtype complex"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_step(made, error, message):
    model = model_of(Asking(lambda step, rate, w, g, total: made(w, total)))
    before = model.parameters.copy()
    for call in (model.fit, model.train_on_batch):
        with pytest.raises(error, match=message):
            call(X, Y)
        np.testing.assert_array_equal(model.parameters, before)


def test_nothing_returned_is_refused():
    class Forgetful(optimizers.NumpyOptimizer):
        def update(self, step, learning_rate, parameters, gradients):
            parameters -= learning_rate * gradients

    model = model_of(Forgetful(0.1))
    with pytest.raises(TypeError, match="update of Forgetful: got NoneType, expected parameters"):
        model.train_on_batch(X, Y)


def test_what_is_no_optimizer_is_refused():
    with pytest.raises(TypeError, match="abstract"):
        optimizers.NumpyOptimizer(0.1)
    with pytest.raises(TypeError, match=r"Wrong\.vectors: got 'two'"):
        type("Wrong", (optimizers.NumpyOptimizer,), {"vectors": "two"})
    with pytest.raises(ValueError, match=r"Wrong\.vectors: got -1"):
        type("Wrong", (optimizers.NumpyOptimizer,), {"vectors": -1})
    with pytest.raises(TypeError, match=r"update_step, which nobody calls, .*NumpyOptimizer"):
        type("Keras", (optimizers.Optimizer,), {"update_step": lambda self: None})
    with pytest.raises(TypeError, match="register_optimizer: got the class SGD, expected a"):
        fw.register_optimizer()(optimizers.SGD)
    with pytest.raises(TypeError, match="got function, expected a class derived"):
        fw.register_optimizer()(lambda: None)
    with pytest.raises(AttributeError, match="beta_1: is fixed"):
        PlainAdam().beta_1 = 3


# ---- saving --------------------------------------------------------------------------------------


@pytest.fixture
def registered():
    """Optimizers that files know, for as long as the test lasts."""
    known = optimizers.own.REGISTERED
    before = dict(known)
    fw.register_optimizer("tests")(PlainAdam)
    fw.register_optimizer("tests", "adagrad")(PlainAdagrad)
    yield
    known.clear()
    known.update(before)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_saved_copied_and_pickled_it_goes_on(registered, settings, tmp_path):
    rate = schedules.ExponentialDecay(0.02, 100, 0.7)
    for optimizer in (PlainAdam(rate, beta_1=0.8, **settings), PlainAdagrad(0.01, **settings)):
        model = model_of(optimizer)
        model.fit(X, Y, 8, 2, verbose=0)
        model.save(tmp_path / "a.safetensors")
        twins = [
            fw.load(tmp_path / "a.safetensors"),
            model.copy(),
            pickle.loads(pickle.dumps(model)),
        ]
        assert twins[0].optimizer.config() == optimizer.config()
        model.fit(X, Y, 8, 2, verbose=0)
        for twin in twins:
            assert type(twin.optimizer) is type(optimizer)
            twin.fit(X, Y, 8, 2, verbose=0)
            for one, other in zip(copied(model), copied(twin), strict=True):
                np.testing.assert_array_equal(one, other)


def test_custom_objects(registered, tmp_path):
    model = model_of(PlainAdam(0.01))
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "a.safetensors")
    optimizers.own.REGISTERED.clear()
    message = r"optimizer: got 'tests>PlainAdam', expected an optimizer that is registered"
    with pytest.raises(ValueError, match=message):
        fw.load(tmp_path / "a.safetensors")
    for name in ("PlainAdam", "tests>PlainAdam"):
        again = fw.load(tmp_path / "a.safetensors", {name: PlainAdam})
        assert isinstance(again.optimizer, PlainAdam)
    with pytest.raises(ValueError, match="damaged: optimizer: got"):
        fw.load(tmp_path / "a.safetensors", {"PlainAdam": lambda **settings: None})


def test_what_is_not_registered_is_copied_but_not_saved(tmp_path):
    model = model_of(PlainAdam(0.01))
    model.fit(X, Y, verbose=0)
    message = r"save: got the optimizer PlainAdam of your own, .*register_optimizer"
    with pytest.raises(TypeError, match=message):
        model.save(tmp_path / "a.safetensors")
    model.save_weights(tmp_path / "b.safetensors")
    twin = model.copy()
    assert twin.optimizer is not model.optimizer
    for one in (model, twin):
        one.fit(X, Y, 8, verbose=0)
    np.testing.assert_array_equal(model.parameters, twin.parameters)
    assert fw.check_gradients(model, X[:5], Y[:5]).passed


def test_a_config_that_makes_another_one_is_refused(tmp_path):
    class Hiding(PlainSGD):
        def __init__(self, rate=0.1):
            super().__init__(rate)

    class Losing(PlainSGD):
        def __init__(self, learning_rate, factor=1.0):
            super().__init__(learning_rate)
            self._factor = factor
            self.factor = 1.0 if factor == 2.0 else factor + 1.0

    another = r"config\(\) to be what the constructor"
    for optimizer, why in (
        (Hiding(0.3), "__init__ takes rate and keeps"),
        (Losing(0.1, 3), another),
    ):
        model = model_of(optimizer)
        with pytest.raises(TypeError, match=f"copy: .*{why}"):
            model.copy()
        with pytest.raises(TypeError, match=f"save: .*{why}"):
            model.save(tmp_path / "a.safetensors")


def test_ensembles_and_folds_are_trained_by_it():
    models = [model_of(PlainAdam(0.01)) for _ in range(3)]
    alone = model_of(PlainAdam(0.01))
    alone.fit(X, Y, 8, 3, verbose=0)
    fw.fit_many(models, X, Y, batch_size=8, epochs=3, verbose=0)
    for model in models:
        np.testing.assert_array_equal(model.parameters, alone.parameters)


def test_a_beginning_that_is_no_tuple_is_refused():
    class Beginning(PlainAdagrad):
        def initial_state(self):
            return 0.1

    made = fw.Sequential([layers.Dense(1)], 2, seed=0)
    made.compile(Beginning(0.1), "mse")
    with pytest.raises(TypeError, match=r"initial_state: got 0\.1, expected a tuple"):
        made.fit(np.ones((4, 2)), np.ones(4), verbose=0)
