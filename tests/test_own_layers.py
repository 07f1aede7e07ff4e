"""Layers of one's own, outside of the package: made of ops, and with functions in NumPy."""

from __future__ import annotations

import gc
import json
import math
import os
import re
import signal
import sys
import threading
import time
import warnings
import weakref
from pathlib import Path

import layer_cases
import numpy as np
import pytest
from helpers import data, run_python, same_bits
from test_interrupts import Interrupted

import fastweights as fw
from fastweights import _registry, layers
from fastweights.layers.ops import KINDS
from fastweights.layers.ops import given as _given

X, Y = data(40, 4, 2)


@fw.register_layer("tests")
class Gated(layers.Layer):
    """x * sigmoid(scale x), made of ops."""

    def __init__(self, start="ones", name=None):
        super().__init__(name)
        self.start = start

    def variables(self, input_shape):
        return [layers.Variable("scale", input_shape[-1:], self.start)]

    def ops(self, x):
        scaled = layers.op("scale", x, lines=x.lines, variables=["scale"], sizes=(1, 0))
        return layers.op("multiply", x, layers.Activation("sigmoid").ops(scaled))

    def config(self):
        return {"start": self.start, **super().config()}


@fw.register_layer("tests", "NumpyDense")
class Product(layers.NumpyLayer):
    """A dense layer."""

    def __init__(self, units, use_bias=True, name=None):
        super().__init__(name)
        self.units, self.use_bias = units, use_bias

    def variables(self, input_shape):
        kernel = layers.Variable("kernel", (input_shape[-1], self.units), "glorot_uniform")
        return [kernel, layers.Variable("bias", (self.units,), "zeros")][: 1 + self.use_bias]

    def output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def forward(self, x, kernel, *bias):
        return x @ kernel + (bias[0] if bias else 0.0), (x, kernel)

    def backward(self, dy, kept):
        x, kernel = kept
        lines, by_lines = x.reshape(-1, x.shape[-1]), dy.reshape(-1, self.units)
        found = dy @ kernel.T, lines.T @ by_lines, by_lines.sum(axis=0)
        return found[: 2 + self.use_bias]

    def config(self):
        return {"units": self.units, "use_bias": self.use_bias, **super().config()}


@fw.register_layer("tests")
class Blend(layers.NumpyLayer):
    """share * left + (1 - share) * right, of two values."""

    def variables(self, left, right):
        return [layers.Variable("share", (1,), "ones")]

    def forward(self, left, right, share):
        return share * left + (1 - share) * right, (left, right, share)

    def backward(self, dy, kept):
        left, right, share = kept
        return share * dy, (1 - share) * dy, np.array([(dy * (left - right)).sum()])


class Calls(layers.NumpyLayer):
    """The identity, whose functions do first what they are told."""

    def __init__(self, forward=None, backward=None, name=None):
        super().__init__(name)
        self._forward, self._backward = forward, backward
        self._seen = []

    def forward(self, x, training):
        self._seen.append((x, training))
        made = self._forward(x) if self._forward else None
        return (x if made is None else made), None

    def backward(self, dy, kept):
        made = self._backward(dy) if self._backward else None
        return dy if made is None else made


def model_of(*own, dtype="float64", inputs=4, first=True):
    stack = [layers.Dense(4, "tanh")] if first else []
    model = fw.Sequential([*stack, *own, layers.Dense(2)], inputs, dtype, seed=0)
    model.compile("adam", "mse")
    return model


def calling(forward=None, backward=None):
    return model_of(Calls(forward, backward))


MADE = {
    "ops": lambda: Gated(),
    "numpy": lambda: Product(5),
    "numpy without bias": lambda: Product(3, use_bias=False),
}


# ---- they are layers as all others ---------------------------------------------------------------


@pytest.mark.parametrize("name", MADE)
def test_gradients_are_right(name):
    for rows in (1, 7):
        assert fw.check_gradients(model_of(MADE[name]()), X[:rows], Y[:rows], tolerance=1e-8)
    model = model_of(MADE[name](), dtype="float32")
    assert fw.check_gradients(model, X[:5], Y[:5])


@pytest.mark.parametrize("name", MADE)
def test_saved_loaded_and_copied_it_goes_on_as_it_would_have(name, tmp_path):
    model = model_of(MADE[name](), dtype="float32")
    model.fit(X, Y, epochs=2, verbose=0)
    model.save(tmp_path / "m.safetensors")
    others = [model.copy(), fw.load(tmp_path / "m.safetensors")]
    for one in (model, *others):
        one.fit(X, Y, 16, 2, verbose=0)
    for other in others:
        assert type(other.layers[1]) is type(model.layers[1])
        assert other.layers[1].config() == model.layers[1].config()
        same_bits(model.parameters, other.parameters)
        same_bits(model.predict(X), other.predict(X))
    found = fw.Model.from_config(json.loads(json.dumps(model.config())))
    assert found.layers[1].config() == model.layers[1].config()


def dense_and_numpy(dtype, lead=()):
    """The same network, compiled and with its middle layer in NumPy."""
    models = []
    for middle in (layers.Dense(5), Product(5)):
        stack = [layers.Dense(6, "relu"), middle, layers.Dense(2)]
        models.append(fw.Sequential(stack, (*lead, 4), dtype, seed=0))
        models[-1].compile("adam", "mse", ["mae"])
    models[1].set_weights(models[0].get_weights())
    return models


@pytest.mark.parametrize("rows", [1, 40, 300, 1100, 2500])
def test_a_product_in_numpy_is_a_dense_layer(rows):
    x, y = data(rows, 4, 2)
    compiled, own = dense_and_numpy("float64")
    for one, other in zip(
        compiled.loss_and_gradients(x, y), own.loss_and_gradients(x, y), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(compiled.predict(x), own.predict(x), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(compiled.evaluate(x, y), own.evaluate(x, y), rtol=1e-12)
    for model in (compiled, own):
        for batch in (7, rows):
            model.fit(x, y, batch, 2, verbose=0, validation_split=0.2 if rows > 1 else 0.0)
    np.testing.assert_allclose(compiled.parameters, own.parameters, rtol=1e-6, atol=1e-9)


def test_rows_of_several_axes():
    x = np.random.default_rng(0).standard_normal((20, 3, 4))
    y = np.random.default_rng(1).standard_normal((20, 3, 2))
    compiled, own = dense_and_numpy("float64", (3,))
    np.testing.assert_allclose(compiled.predict(x), own.predict(x), rtol=1e-12, atol=1e-14)
    assert fw.check_gradients(own, x[:4], y[:4])


def test_forward_and_backward_apart():
    compiled, own = dense_and_numpy("float64")
    dy = np.random.default_rng(2).standard_normal((40, 2))
    found = []
    for model in (compiled, own):
        out = model.forward(X, training=True)
        once, twice = model.backward(dy), model.backward(dy)
        same_bits(once, twice)
        found.append((out, once, model.gradients.copy()))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-13)


def graph(dtype="float64"):
    """An own layer of two values, one called twice, and values with several readers."""
    inputs, shared = fw.Input(4), Product(4)
    left = shared(layers.Dense(4, "tanh")(inputs))
    right = layers.Activation("sigmoid")(shared(left))
    blended = Blend()([left, right])
    doubled = Blend()([blended, blended])
    both = layers.Add()([doubled, left, layers.BatchNormalization()(blended)])
    model = fw.Model(inputs, layers.Dense(2)(Gated()(both)), dtype, seed=0)
    random = np.random.default_rng(3)
    for weight in model.layers[0].weights.values():
        weight += 0.1 * random.standard_normal(weight.shape)
    for layer in model.layers:
        if isinstance(layer, Blend):
            layer.share[...] = 0.3
    model.compile("adam", "mse")
    return model


def test_a_graph_of_own_and_compiled_layers(tmp_path):
    model = graph()
    assert fw.check_gradients(model, X[:6], Y[:6])
    model.fit(X, Y, epochs=2, verbose=0)
    model.save(tmp_path / "m.safetensors")
    again = fw.load(tmp_path / "m.safetensors")
    for one in (model, again):
        one.fit(X, Y, epochs=2, verbose=0)
    same_bits(model.predict(X), again.predict(X))


def test_a_large_batch_has_the_gradient_of_its_parts():
    x, y = data(2500, 4, 2)
    model = graph()
    model.layers[6].trainable = True
    whole = model.loss_and_gradients(x, y)[1]
    parts = [
        model.loss_and_gradients(x[i : i + 250], y[i : i + 250])[1] for i in range(0, 2500, 250)
    ]
    np.testing.assert_allclose(whole, np.mean(parts, axis=0), rtol=1e-9, atol=1e-13)


def test_the_same_bits_for_any_number_of_threads(monkeypatch):
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    x, y = data(300, 4, 2)
    for batch in (40, 290):
        found = []
        for threads in (1, 2, 4):
            model = graph("float32")
            with fw.threads(threads):
                model.fit(x, y, batch, 2, verbose=0)
                found.append((model.parameters.copy(), model.predict(x)))
        for parameters, predicted in found[1:]:
            same_bits(parameters, found[0][0])
            same_bits(predicted, found[0][1])


def test_functions_run_on_the_callers_thread_alone(monkeypatch):
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    seen = set()
    model = calling(lambda x: seen.add(threading.get_ident()), lambda dy: seen.add(-1))
    with fw.threads(4):
        model.fit(X, Y, 20, verbose=0)
        model.evaluate(X, Y)
        model.predict(np.repeat(X, 100, axis=0))
    assert seen == {threading.get_ident(), -1}


def test_training_is_told():
    model = calling()
    seen = model.layers[1]._seen
    for call, is_training in (
        (lambda: model.fit(X, Y, verbose=0), True),
        (lambda: model.train_on_batch(X, Y), True),
        (lambda: model.forward(X, training=True), True),
        (lambda: model.forward(X), False),
        (lambda: model.predict(X), False),
        (lambda: model.evaluate(X, Y), False),
        (lambda: model.loss_and_gradients(X, Y), False),
    ):
        seen.clear()
        call()
        assert {training for _, training in seen} == {is_training}


def test_a_layer_that_stays_has_no_gradient_and_one_below_all_that_is_trained_no_backward():
    went_back = []
    own = Calls(None, lambda dy: went_back.append(1))
    model = fw.Sequential([own, Product(3), layers.Dense(2)], 4, "float64", seed=0)
    model.compile("adam", "mse")
    model.layers[1].trainable = False
    before = model.layers[1].get_weights()
    model.fit(X, Y, verbose=0)
    for one, other in zip(before, model.layers[1].get_weights(), strict=True):
        same_bits(one, other)
    assert not went_back
    model.loss_and_gradients(X, Y)
    assert went_back
    assert fw.check_gradients(frozen_product(), X[:5], Y[:5])


def frozen_product():
    model = model_of(Product(3))
    model.layers[1].trainable = False
    return model


@pytest.mark.parametrize("wrong", ["sign", "scale", "parameters", "a row", "order"])
def test_a_wrong_backward_is_found(wrong):
    def backward(self, dy, kept):
        dx, dkernel, dbias = Product.backward(self, dy, kept)
        if wrong == "a row":
            dx[-1] = 0.0
        factor = {"sign": -1.0, "scale": 1.001}.get(wrong, 1.0)
        parts = {"parameters": 1.0 / len(dy)}.get(wrong, 1.0)
        return factor * dx, parts * dkernel, dbias if wrong != "order" else dbias[::-1]

    kind = type("Wrong", (Product,), {"backward": backward})
    _registry.REGISTERED["tests>Wrong"] = kind
    try:
        report = fw.check_gradients(model_of(kind(4)), X[:5], Y[:5])
    finally:
        del _registry.REGISTERED["tests>Wrong"]
    assert not report
    assert "WRONG" in str(report)


# ---- what functions give, and what they do with what they get ------------------------------------


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        (lambda x: x[:-1], ValueError, r"y of forward of 'calls', Calls: got shape \(\d+, 4\)"),
        (lambda x: x[:, :1], ValueError, r"got shape \((\d+), 1\), expected shape \(\1, 4\)"),
        (lambda x: 1.0, ValueError, r"got shape \(\)"),
        (lambda x: x * 1j, TypeError, "got dtype complex128"),
        (lambda x: x.astype(str), TypeError, "got the text"),
        (lambda x: np.ma.masked_greater(x, 0), ValueError, "got a masked entry"),
        (lambda x: abs, TypeError, "y of forward"),
    ],
)
def test_results_that_do_not_fit(result, error, message):
    before = calling().parameters.copy()
    for call in ("fit", "train_on_batch", "loss_and_gradients", "evaluate", "predict", "forward"):
        model = calling(result)
        arguments = (X,) if call in ("predict", "forward") else (X, Y)
        with pytest.raises(error, match=message):
            getattr(model, call)(*arguments)
        same_bits(model.parameters, before)
    model = calling(None, result)
    with pytest.raises(error, match=message.replace("y of forward", "gradient by x of backward")):
        model.train_on_batch(X, Y)
    same_bits(model.parameters, before)


def test_results_of_any_layout_and_real_dtype():
    def first(model):
        model.fit(X, Y, 8, 2, verbose=0)
        return model.predict(X)

    exact = first(calling())
    for result in (
        np.asfortranarray,
        lambda x: np.repeat(x, 2, axis=1)[:, ::2],
        lambda x: x[::-1][::-1],
        lambda x: x.astype(">f8"),
        lambda x: x.astype(object),
        lambda x: x.tolist(),
        lambda x: x.astype(np.longdouble),
        lambda x: np.lib.stride_tricks.as_strided(x, x.shape, x.strides),
    ):
        same_bits(first(calling(result, result)), exact)
    whole = calling(lambda x: np.ones(x.shape, bool)).predict(X)
    np.testing.assert_array_equal(whole[0], whole[1])


def test_float32_models_see_float32_and_take_float64():
    model = model_of(Calls(lambda x: x.astype(np.float64)), dtype="float32")
    model.fit(X, Y, verbose=0)
    assert {x.dtype for x, _ in model.layers[1]._seen} == {np.dtype("float32")}
    assert model.predict(X).dtype == np.float32


def test_arrays_are_the_functions_own():
    """Kept, and overwritten, they are no part of the model's memory."""
    kept = []

    def spoil(array):
        made = array.copy()
        kept.append(array)
        array[...] = np.nan
        return made

    exact, model = calling(), calling(spoil, spoil)
    for one in (exact, model):
        one.fit(X, Y, 8, 2, verbose=0)
    same_bits(exact.predict(X), model.predict(X))
    assert all(np.isnan(array).all() for array in kept)
    memory = (model.parameters, model.gradients, X)
    assert not any(np.shares_memory(array, other) for array in kept for other in memory)
    del model
    assert all(np.isnan(array).all() for array in kept)


def test_weights_are_copies_too():
    class Spoils(Product):
        def forward(self, x, kernel, bias):
            made = super().forward(x, kernel.copy(), bias.copy())
            kernel[...] = bias[...] = 7.0
            return made

    exact, model = model_of(Product(5)), model_of(Spoils(5))
    for one in (exact, model):
        one.fit(X, Y, 8, verbose=0)
    same_bits(exact.parameters, model.parameters)


def test_nan_diverges_as_everywhere():
    with pytest.raises(fw.DivergenceError, match="the loss became nan"):
        calling(lambda x: x * np.nan).fit(X, Y, verbose=0)
    with pytest.raises(fw.DivergenceError):
        calling(lambda x: x * np.inf).train_on_batch(X, Y)
    model = calling(None, lambda dy: dy * np.nan)
    before = model.parameters.copy()
    with pytest.raises(fw.DivergenceError):
        model.fit(X, Y, verbose=0)
    same_bits(model.parameters, before)
    assert np.isnan(calling(lambda x: x * np.nan).predict(X)).all()


@pytest.mark.parametrize("made", [None, np.zeros((40, 4)), (1, 2, 3), [1, 2], (np.zeros((40, 4)),)])
def test_forward_returns_a_pair(made):
    class Single(Calls):
        def forward(self, x):
            return made

    with pytest.raises(TypeError, match=r"forward of 'single', Single: got .*, expected a pair"):
        model_of(Single()).predict(X)


def test_backward_returns_a_gradient_for_each():
    class Short(Product):
        def backward(self, dy, kept):
            return super().backward(dy, kept)[:2]

    message = r"backward of 'short', Short: got 2 gradients, expected 3, by x, kernel, bias"
    with pytest.raises(ValueError, match=message):
        model_of(Short(3)).train_on_batch(X, Y)


# ---- exceptions, and other calls in the middle of one --------------------------------------------


class OwnError(Exception):
    pass


def at_call(number, function):
    """Does nothing but at the call of this number."""
    calls = []

    def act(array):
        calls.append(1)
        if len(calls) == number:
            return function()
        return None

    return act


def raise_own():
    raise OwnError("mine")


def raising(error):
    def act():
        raise error

    return act


@pytest.mark.parametrize(
    "error", [OwnError("mine"), KeyboardInterrupt(), SystemExit(3), MemoryError()]
)
@pytest.mark.parametrize("where", ["forward", "backward"])
@pytest.mark.parametrize("threads", [1, 4])
def test_an_exception_ends_the_call_before_its_step(error, where, threads, monkeypatch):
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    act = at_call(3, raising(error))
    model = calling(**{where: act})
    exact = calling()
    with fw.threads(threads):
        with pytest.raises(type(error)) as caught:
            model.fit(X, Y, 8, 2, verbose=0, shuffle=False)
        assert caught.value is error
        assert any("act" in str(entry.name) for entry in caught.traceback)
        exact.fit(X[:16], Y[:16], 8, 1, verbose=0, shuffle=False)
        same_bits(model.parameters, exact.parameters)
        for one in (model, exact):  # whose next calls are as if nothing had been
            one.fit(X, Y, 8, 1, verbose=0, shuffle=False)
        same_bits(model.predict(X), exact.predict(X))


@pytest.mark.parametrize(
    "call", ["predict", "evaluate", "forward", "loss_and_gradients", "backward"]
)
def test_an_exception_in_any_call(call):
    where = "backward" if call == "backward" else "forward"
    model = calling(**{where: at_call(1, raise_own)})
    if call == "backward":
        model.forward(X)
    arguments = {"evaluate": (X, Y), "loss_and_gradients": (X, Y), "backward": (Y,)}.get(call, (X,))
    with pytest.raises(OwnError):
        getattr(model, call)(*arguments)
    same_bits(model.predict(X), calling().predict(X))
    if call == "forward":
        with pytest.raises(ValueError, match="backward: got no forward pass"):
            model.backward(Y)


def test_a_batch_that_an_exception_ends_moves_no_state():
    def made(act):
        own = fw.Sequential(
            [layers.BatchNormalization(), Calls(act), layers.BatchNormalization(), layers.Dense(2)],
            4, "float64", seed=0,
        )  # fmt: skip
        own.compile("adam", "mse")
        return own

    for call in (
        lambda model: model.forward(X, training=True),
        lambda model: model.train_on_batch(X, Y),
    ):
        model = made(at_call(1, raise_own))
        before = model.state.copy()
        with pytest.raises(OwnError):
            call(model)
        same_bits(model.state, before)


def test_nothing_more_is_called_after_an_exception():
    later = Calls()
    model = model_of(Calls(at_call(1, raise_own)), later)
    with pytest.raises(OwnError):
        model.predict(np.repeat(X, 50, axis=0))
    with pytest.raises(OwnError):
        model_of(Calls(at_call(1, raise_own)), later_too := Calls()).fit(X, Y, verbose=0)
    assert not later._seen
    assert not later_too._seen


def test_warnings_may_be_exceptions():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeWarning, match="divide by zero"):
            calling(lambda x: x / np.zeros_like(x)).predict(X)


@pytest.mark.skipif(sys.platform == "win32", reason="signals by kill")
def test_ctrl_c_in_a_function():
    # A process that was started in the background may have been told to overlook it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupt():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(100)

    model = calling(at_call(3, interrupt))
    try:
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, Y, 8, verbose=0, shuffle=False)
    finally:
        signal.signal(signal.SIGINT, before)
    exact = calling()
    exact.fit(X[:16], Y[:16], 8, verbose=0, shuffle=False)
    same_bits(model.parameters, exact.parameters)


CALLS_OF_THE_SAME = {
    "predict": lambda model: model.predict(X),
    "predict a row": lambda model: model.predict(X[:1]),
    "evaluate": lambda model: model.evaluate(X, Y),
    "get_weights": lambda model: model.get_weights(),
    "set_weights": lambda model: model.set_weights([w * 0 for w in model.weights]),
    "copy": lambda model: model.copy(),
    "fit": lambda model: model.fit(X, Y, verbose=0),
    "train_on_batch": lambda model: model.train_on_batch(X, Y),
    "forward": lambda model: model.forward(X),
    "loss_and_gradients": lambda model: model.loss_and_gradients(X, Y),
    "apply_gradients": lambda model: model.apply_gradients(),
}


@pytest.mark.parametrize("inner", CALLS_OF_THE_SAME)
@pytest.mark.parametrize("outer", ["fit", "predict", "loss_and_gradients"])
def test_a_call_of_the_same_model_is_refused(inner, outer):
    model = calling(lambda x: CALLS_OF_THE_SAME[inner](made[0]) and None)
    made = [model]
    message = "in the middle of|of this library"
    with pytest.raises((RuntimeError, TypeError), match=message):
        getattr(model, outer)(*((X,) if outer == "predict" else (X, Y)))
    model.layers[1]._forward = None
    same_bits(model.predict(X), calling().predict(X))


def test_another_model_may_be_called(monkeypatch):
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    other = model_of(Product(3))
    before = other.predict(X)
    model = calling(
        lambda x: same_bits(other.predict(X), before), lambda dy: other.evaluate(X, Y) and None
    )
    exact = calling()
    with fw.threads(4):
        for one in (model, exact):
            one.fit(X, Y, 8, 2, verbose=0)
    same_bits(model.parameters, exact.parameters)


def test_another_thread_waits_for_its_turn():
    found, begun = [], threading.Event()

    def wait():
        begun.set()
        other.join(0.05)

    model = calling(at_call(1, wait))

    def predict():
        begun.wait()
        found.append(model.predict(X))

    other = threading.Thread(target=predict)
    other.start()
    model.fit(X, Y, 8, verbose=0)
    other.join()
    assert found[0].shape == (40, 2)


FORKS = """
import os, sys
import numpy as np
import fastweights as fw
from fastweights import layers

class Forks(layers.NumpyLayer):
    def forward(self, x):
        if not children:
            children.append(os.fork())
        return x, None
    def backward(self, dy, kept):
        return dy

children = []
x = np.ones((40, 4))
model = fw.Sequential([layers.Dense(4), Forks(), layers.Dense(2)], 4, seed=0)
model.compile("sgd", "mse")
with fw.threads(4):
    try:
        model.fit(x, x[:, :2], 8, verbose=0)
        assert children[0] != 0
    except RuntimeError as error:
        assert children == [0] and "forked" in str(error), error
        model.fit(x, x[:, :2], 8, verbose=0)
        os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 7
print("both")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_in_a_function():
    done = run_python(FORKS, FASTWEIGHTS_GRAIN="0", FASTWEIGHTS_NUM_THREADS="4")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "both\n"


def after_steps(model):
    """The parameters after each number of steps of a fit on batches of 8."""
    found = [model.parameters.copy()]
    for first in range(0, len(X), 8):
        model.train_on_batch(X[first : first + 8], Y[first : first + 8])
        found.append(model.parameters.copy())
    return found


def test_an_interrupt_at_any_line_that_a_plan_calls():
    def fit(model):
        model.fit(X, Y, 8, verbose=0, shuffle=False)

    steps = after_steps(calling())
    counter, counted = Interrupted(), calling()
    assert counter.run(lambda: fit(counted))
    for line in np.linspace(0, counter.lines - 1, 80).astype(int).tolist():
        model = calling()
        assert not Interrupted(line).run(lambda model=model: fit(model))
        parameters = model.parameters.copy()
        assert any((parameters == known).all() for known in steps)
        fit(model)
        assert np.isfinite(model.predict(X)).all()


def test_two_threads_train_two_models(monkeypatch):
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    exact, models = graph("float32"), [graph("float32") for _ in range(3)]
    with fw.threads(2):
        exact.fit(X, Y, 8, 3, verbose=0)
        threads = [threading.Thread(target=m.fit, args=(X, Y, 8, 3, 0)) for m in models]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for model in models:
        same_bits(model.parameters, exact.parameters)


def test_a_model_and_what_its_functions_kept_go_with_their_last_user():
    model = calling()
    model.fit(X, Y, verbose=0)
    model.evaluate(X, Y)
    layer = weakref.ref(model.layers[1])
    kept = weakref.ref(model.layers[1]._seen[0][0])
    del model
    gc.collect()
    assert layer() is None
    assert kept() is None


def test_settings_cannot_be_changed_in_a_function():
    class Counts(Calls):
        def forward(self, x):
            self.count = 1

    with pytest.raises(AttributeError, match="count: Counts has no such attribute"):
        model_of(Counts()).predict(X)


def test_what_it_takes_is_counted_and_shown(capsys):
    model = model_of(Product(5))
    assert model.memory(32)["parameters"] == model.parameters.nbytes
    model.summary()
    assert "product (Product)" in capsys.readouterr().out


# ---- classes that are wrong ----------------------------------------------------------------------


def test_a_class_without_its_functions_cannot_be_made():
    class Half(layers.NumpyLayer):
        def forward(self, x):
            return x, None

    with pytest.raises(TypeError, match="abstract"):
        Half()


class Bare(layers.NumpyLayer):
    def __init__(self):
        pass

    def forward(self, x):
        return x, None

    def backward(self, dy, kept):
        return dy


def test_a_constructor_that_forgets_its_base():
    with pytest.raises(TypeError, match=r"Bare: got .*, expected super\(\).__init__\(name\)"):
        Bare()


def variable(**settings):
    return layers.Variable("a", (3,), "ones", **settings)


def kind_with(**parts):
    """A layer with other functions than `Calls` has."""
    return type("Kind", (Calls,), parts)


@pytest.mark.parametrize(
    ("parts", "error", "message"),
    [
        ({"forward": lambda self: 1}, TypeError, r"forward of Kind: got one of \(\), .* one of x"),
        ({"backward": lambda self, dy: 1}, TypeError, "backward of Kind: .* one of dy, kept"),
        ({"output_shape": lambda self: (1,)}, ValueError, "inputs of Kind: got 1 value,"),
        ({"output_shape": lambda self, x: (0,)}, ValueError, "output_shape of Kind: got 0"),
        ({"output_shape": lambda self, x: ()}, ValueError, r"output_shape of Kind: got \(\)"),
        ({"output_shape": lambda self, x: "4"}, TypeError, "output_shape of Kind: got '4'"),
        ({"variables": lambda self, x: None}, TypeError, "variables of Kind: got NoneType"),
        ({"variables": lambda self, x: ["a"]}, TypeError, "variables of Kind: got an entry of str"),
        (
            {"variables": lambda self, x: [layers.Variable("a", (2,), "ones")] * 2},
            ValueError,
            "variables of Kind: got the name 'a', which the layer has already",
        ),
        (
            {"variables": lambda self, x: [layers.Variable("name", (2,), "ones")]},
            ValueError,
            "got the name 'name', which the layer has already",
        ),
        (
            {"variables": lambda self, x: [layers.Variable("a b", (2,), "ones")]},
            ValueError,
            "got the name 'a b', expected an attribute's name",
        ),
        (
            {"variables": lambda self, x: [layers.Variable("a", 2, "ones")]},
            TypeError,
            "got the shape 2 of 'a', expected a tuple",
        ),
        (
            {"variables": lambda self, x: [layers.Variable("a", (0,), "ones")]},
            ValueError,
            "shape of 'a': got 0, expected at least 1",
        ),
        (
            {"variables": lambda self, x: [layers.Variable("a", (1,), "oned")]},
            ValueError,
            "initializer of 'a': got 'oned'",
        ),
        *(
            ({"variables": lambda self, x, own=own: [variable(**own)]}, error, message)
            for own, error, message in [
                ({"fan_in": 0}, ValueError, "fan_in of 'a': got 0, expected at least 1"),
                ({"fan_in": "2"}, TypeError, "fan_in of 'a': got '2', expected a whole number"),
                ({"fan_out": 2.5}, TypeError, "fan_out of 'a': got 2.5, expected a whole"),
                ({"fan_out": True}, TypeError, "fan_out of 'a': got True, expected a whole"),
                ({"regularizer": "l3"}, ValueError, "regularizer of 'a': got 'l3', expected one"),
                ({"constraint": 3}, TypeError, "constraint of 'a': got int, expected a name"),
                ({"minimum": "0"}, TypeError, "minimum of 'a': got '0', expected a number"),
                ({"minimum": math.nan}, ValueError, "minimum of 'a': got nan, expected a finite"),
                ({"apart": 2}, ValueError, "apart of 'a': got 2, expected at most 1"),
            ]
        ),
        (
            {
                "variables": lambda self, x: [layers.Variable(n, x, "ones") for n in "abcdefghi"],
                "forward": lambda self, *arrays: arrays,
            },
            ValueError,
            "variables of Kind: got 9 arrays, expected up to 8",
        ),
        (
            {"states": lambda self, x: [layers.Variable("a", (1,), "ones")]},
            ValueError,
            "states: got some for Kind, expected none",
        ),
    ],
)  # fmt: skip
def test_a_class_that_describes_no_layer(parts, error, message):
    with pytest.raises(error, match=message):
        model_of(kind_with(**parts)())
    with pytest.raises(error, match=message):
        fw.Model(inputs := fw.Input(3), kind_with(**parts)()(inputs))


@pytest.mark.parametrize("own", [{"regularizer": "l2"}, {"constraint": "non_neg"}])
def test_what_no_step_moves_is_not_kept_in_check(own):
    class Remembering(layers.Layer):
        def states(self, row):
            return [variable(**own)]

        def ops(self, x):
            return layers.op("add", x, x)

    message = "states of Remembering: got a regularizer or a constraint of 'a', expected none"
    with pytest.raises(ValueError, match=message):
        fw.Sequential([Remembering()], 3)


def test_settings_of_variables_may_be_names():
    class Scale(layers.Layer):
        def variables(self, row):
            own = {"regularizer": "l2", "constraint": "non_neg", "fan_in": np.int64(3)}
            return [layers.Variable("a", row, fw.initializers.Constant(-1.0), **own)]

        def ops(self, x):
            return scaled(x, "a")

    model = fw.Sequential([Scale()], 3)
    model.compile(fw.optimizers.SGD(1e-3), "mse")
    zeros = np.zeros((2, 3))
    assert model.evaluate(zeros, zeros) == pytest.approx(3 * 0.01)
    model.train_on_batch(zeros, zeros)
    assert model.layers[0].a.tolist() == [0.0, 0.0, 0.0]


def test_inputs_that_do_not_fit():
    with pytest.raises(ValueError, match="inputs of Blend: got 1 value,"):
        model_of(Blend())
    with pytest.raises(ValueError, match="inputs of Product: got 2 values"):
        Product(3)([fw.Input(2), fw.Input(2)])


# ---- ops that are not what they say --------------------------------------------------------------


def made_by(ops, variables=(), states=(), name="made"):
    """A layer of these ops and of arrays of 4 numbers."""

    class Made(layers.Layer):
        def variables(self, row):
            return [layers.Variable(name, (4,), "ones") for name in variables]

        def states(self, row):
            return [layers.Variable(name, (4,), "ones") for name in states]

    Made.ops = lambda self, x: ops(x)
    return Made(name=name)


def scaled(x, *names, **settings):
    sizes = (len(names) > 0, len(names) > 1)
    return layers.op("scale", x, lines=x.lines, variables=names, sizes=list(map(int, sizes)))


LYING = {
    "activation": lambda x: layers.op("activation", x, shape=40, activation="tanh"),
    "linear": lambda x: layers.op("activation", x, shape=40),
    "dropout": lambda x: layers.op("dropout", x, shape=4000, sizes=(0, 9), options=(2.0, 0.0, 0.0)),
    "parameters": lambda x: layers.op("activation", x, activation="tanh", variables=["a"]),
    "sizes": lambda x: layers.op("repeat", x, shape=8, sizes=[3]),
    "no sizes": lambda x: layers.op("repeat", x, shape=8, sizes=[0]),
    "state": lambda x: layers.op("scale", x, variables=["a"], sizes=[1, 0], states=["s"]),
    "lines": lambda x: layers.op("repeat", x, shape=12, lines=3, sizes=[3]),
    "unread": lambda x: layers.op(
        "concatenate", layers.op("dropout", x, shape=8, sizes=(0, 9), options=(2, 0, 0)), x, shape=9
    ),
}


@pytest.mark.parametrize("lie", LYING)
@pytest.mark.parametrize("behind", [[], [layers.Activation("tanh")], [layers.Dropout(0.5)]])
def test_an_op_that_is_not_of_its_kind_is_refused_when_its_model_is_made(lie, behind):
    made = made_by(LYING[lie], ["a"], ["s"])
    with pytest.raises(ValueError, match=r"ops of 'made': got an op .* expected"):
        fw.Sequential([layers.Dense(4), made, *behind], 4, seed=0)


SHARING = {
    "a part": (lambda x: scaled(scaled(x, "a", "b"), "b"), "beside"),
    "the first part": (lambda x: scaled(scaled(x, "a"), "a", "b"), "beside"),
    "apart": (lambda x: scaled(x, "a", "c"), "follow each other"),
    "turned": (lambda x: scaled(x, "b", "a"), "follow each other"),
    "unknown": (lambda x: scaled(x, "d"), "follow each other"),
    "too many": (lambda x: scaled(x, "c", "d"), "follow each other"),
    "kinds": (lambda x: layers.op("prelu", scaled(x, "a"), variables=["a"]), "beside"),
    "states apart": (
        lambda x: layers.op("batch_norm", x, sizes=[0, 0], options=[0.1, 0.9], states=["s", "u"]),
        "follow each other",
    ),
}


@pytest.mark.parametrize("share", SHARING)
def test_ops_share_all_of_their_variables_or_none(share):
    ops, message = SHARING[share]
    with pytest.raises(ValueError, match=f"ops of 'made': got .*{message}"):
        model_of(made_by(ops, "abc", "stu"))


@fw.register_layer("tests")
class TwiceScaled(layers.Layer):
    """Two ops with the same two variables."""

    def variables(self, row):
        return [layers.Variable(name, (4,), "ones") for name in "abc"]

    def ops(self, x):
        return scaled(scaled(x, "a", "b"), "a", "b")


def test_ops_that_share_all_of_their_variables_have_right_gradients():
    assert fw.check_gradients(model_of(TwiceScaled()), X[:5], Y[:5], tolerance=1e-8)


REFUSED_OPS = {
    "sigmoid": (
        lambda x: layers.op("sigmoid", x),
        "kind: got 'sigmoid', expected .*activation='sigmoid'",
    ),
    "slip": (lambda x: layers.op("multiplyy", x), "kind: got .*did you mean 'multiply'"),
    "no kind": (lambda x: layers.op(None, x), "kind: got None, expected a name"),
    "number": (lambda x: layers.op(3, x), "kind: got 3, expected a name"),
    "functions": (lambda x: layers.op("numpy", x), "kind: got 'numpy', expected one of"),
    "merged": (lambda x: layers.op("batch_norm_within", x), "kind: got 'batch_norm_within'"),
    "nothing": (lambda x: layers.op("add"), "reads: got 0 values for 'add', expected at least 1"),
    "no value": (lambda x: layers.op("add", 3), "reads: got int, expected Values"),
    "one": (lambda x: layers.op("subtract", x), "reads: got 1 values for 'subtract', expected 2"),
    "text": (lambda x: scaled_by(x, sizes=("a", 0)), "sizes: got 'a', expected a whole number"),
    "huge": (lambda x: scaled_by(x, sizes=(2**70, 0)), "sizes: got .*, expected at most"),
    "negative": (lambda x: scaled_by(x, sizes=(-1, 0)), "sizes: got -1, expected at least 0"),
    "few": (lambda x: scaled_by(x, sizes=(1,)), "sizes: got 1 for 'scale', expected 2"),
    "many": (lambda x: scaled_by(x, sizes=(1, 0, 0)), "sizes: got 3 for 'scale', expected 2"),
    "no list": (lambda x: scaled_by(x, sizes=1), "sizes: got 1, expected a list"),
    "names": (lambda x: scaled_by(x, variables="scale"), "variables: got 'scale', expected a list"),
    "no names": (lambda x: scaled_by(x, variables=[3]), "variables: got 3, expected names"),
    "states": (lambda x: scaled_by(x, states="s"), "states: got 's', expected a list"),
    "option": (
        lambda x: layers.op("rescale", x, options=("a", 0)),
        "options: got 'a', expected a number",
    ),
    "nan": (lambda x: layers.op("rescale", x, options=(np.nan, 0)), "options: got nan"),
    "options": (lambda x: layers.op("rescale", x, options=[1]), "options: got 1 for 'rescale'"),
    "shape": (lambda x: layers.op("activation", x, shape=(4.0,)), "shape: got 4.0, expected"),
    "empty": (lambda x: layers.op("activation", x, shape=(0,)), "shape: got 0, expected"),
    "too large": (lambda x: layers.op("activation", x, shape=(2**40,) * 2), "shape: got"),
    "lines": (lambda x: layers.op("activation", x, lines=3), "lines: got 3, expected"),
    "name": (lambda x: layers.op("activation", x, activation="tan"), "activation: got 'tan'"),
    "idle": (lambda x: scaled_by(x, activation="relu"), "activation: got 'relu' for 'scale'"),
    "rows": (
        lambda x: layers.op("activation", x, activation="softmax"),
        r"activation: got 'softmax' for 'activation', expected none; op\('softmax'",
    ),
    "reshaped": (lambda x: x.reshaped((2.0, 2)), "reshaped: got 2.0, expected"),
}


def scaled_by(x, **settings):
    return layers.op("scale", x, **{"variables": ["a"], "sizes": (1, 0), **settings})


@pytest.mark.parametrize("refused", REFUSED_OPS)
def test_ops_that_cannot_be_made(refused):
    make, message = REFUSED_OPS[refused]
    with pytest.raises((TypeError, ValueError), match=message):
        model_of(made_by(make, "a", "s"))


@pytest.mark.parametrize("shape", [4, [4], (np.int64(4),), (2, 2)])
def test_what_an_op_takes_is_kept_as_plain_numbers(shape):
    made = layers.op("activation", _given((4,)), shape=shape, lines=np.int32(2), activation="relu")
    assert made.shape == ((2, 2) if shape == (2, 2) else (4,))
    assert {type(number) for number in (*made.shape, made.op.lines, made.op.outputs)} == {int}
    assert made.op.activation.name == "relu"


@pytest.mark.filterwarnings("ignore:layers. .* reads masked steps")
def test_every_kind_is_one_that_a_layer_is_made_of():
    models = [layer_cases.model_between(case) for case in layer_cases.CASES.values()]
    along_lines = ("softmax", "log_softmax", "softmin", "sparsemax")
    models += [model_of(layers.Activation(name)) for name in along_lines]
    models.append(model_of(layers.Embedding(3, 2, mask_zero=True), layers.LSTM(2), first=False))
    kinds = {spec.kind for model in models for spec in model._built.ops}
    assert kinds == set(KINDS)


@pytest.mark.parametrize("whose", ["another call", "another model"])
def test_values_that_the_layer_does_not_read(whose):
    kept = []

    def ops(x):
        kept.append(x)
        return layers.op("add", x, kept[0])

    if whose == "another model":
        model_of(made_by(ops))
    again = made_by(ops, name="again")
    with pytest.raises(ValueError, match="ops of Made: got a value of another call or model"):
        model_of(made_by(ops), again)


# ---- the registry --------------------------------------------------------------------------------


def unregistered():
    class Unknown(Product):
        pass

    return model_of(Unknown(3))


@pytest.mark.parametrize("call", ["save", "copy", "check_gradients"])
def test_a_class_that_is_not_registered_is_refused(call, tmp_path):
    model, path = unregistered(), tmp_path / "m.safetensors"
    acts = {
        "save": lambda: model.save(path),
        "copy": model.copy,
        "check_gradients": lambda: fw.check_gradients(model, X[:2], Y[:2]),
    }
    with pytest.raises(TypeError, match=r"'unknown' of the class .*Unknown, .*register_layer"):
        acts[call]()
    assert not path.exists()
    assert "Unknown" in repr(model.layers[1])
    model.fit(X, Y, verbose=0)


@pytest.fixture
def saved(tmp_path):
    model = model_of(Product(3), Gated())
    model.save(tmp_path / "m.safetensors")
    return model, tmp_path / "m.safetensors"


def test_loading_a_class_that_is_not_known(saved, monkeypatch):
    model, path = saved
    config = model.config()
    monkeypatch.delitem(_registry.REGISTERED, "tests>NumpyDense")
    message = (
        "layer class: got 'tests>NumpyDense', expected a class that is registered: import the "
        r"module that has 'NumpyDense' under @fw.register_layer\('tests'\), or give it as "
        r"custom_objects\['NumpyDense'\]"
    )
    with pytest.raises(ValueError, match=f"m.safetensors: {message}$"):
        fw.load(path)
    with pytest.raises(ValueError, match=f"^{message}$"):
        fw.Model.from_config(config)
    for name in ("NumpyDense", "tests>NumpyDense"):
        again = fw.load(path, custom_objects={name: Product})
        same_bits(again.predict(X), model.predict(X))
        assert fw.Sequential.from_config(config, {name: Product}).layers[1].units == 3


def test_custom_objects_go_first(saved):
    class Other(Product):
        pass

    _, path = saved
    assert type(fw.load(path, {"NumpyDense": Other}).layers[1]) is Other
    assert type(fw.load(path, {}).layers[1]) is Product
    # One dict for many files: what this one has no layer of is left aside.
    again = fw.load(path, {"Dense": Other, "tests>Unused": Other, "Unused": Other})
    assert [type(layer) for layer in again.layers[:2]] == [layers.Dense, Product]


@pytest.mark.parametrize(
    "custom", [[Product], "Product", {"Product": Product(3)}, {3: Product}, {"m": int}]
)
def test_custom_objects_are_classes_by_their_names(saved, custom):
    with pytest.raises(TypeError, match=r"custom_objects: got .*, expected a dict of classes"):
        fw.load(saved[1], custom_objects=custom)


def test_a_config_that_the_class_does_not_take(saved):
    class Other(Gated):
        pass

    with pytest.raises(
        ValueError, match=r"layer 'tests>NumpyDense': got a config that .* not take"
    ):
        fw.load(saved[1], custom_objects={"NumpyDense": Other})


def test_classes_that_cannot_be_registered():
    for wrong in (3, "Gated", int, Gated()):
        with pytest.raises(TypeError, match=r"register_layer: got .* derived from Layer"):
            fw.register_layer()(wrong)
    with pytest.raises(TypeError, match=r"package: got the class Gated, .*@register_layer\(\)"):
        fw.register_layer(Gated)
    for wrong in ("", "a>b"):
        with pytest.raises(ValueError, match="package: got"):
            fw.register_layer(wrong)
        with pytest.raises(ValueError, match="name: got"):
            fw.register_layer("tests", wrong)
    with pytest.raises(ValueError, match="which is 'Dense', expected one name for a class"):
        fw.register_layer("tests")(layers.Dense)
    with pytest.raises(ValueError, match="which is 'tests>Gated', expected one name for a class"):
        fw.register_layer("tests", "Other")(Gated)
    with pytest.raises(ValueError, match="Gated, expected one class for a name"):
        fw.register_layer("tests", "Gated")(Product.__bases__[0])
    assert _registry.REGISTERED["tests>Gated"] is Gated


def test_a_class_may_be_defined_again():
    """As cells of notebooks are; models of the class before are of no class that is known."""

    def defined():
        @fw.register_layer("tests")
        class Again(Gated):
            pass

        return Again

    before, after = defined(), defined()
    try:
        model_of(after()).copy()
        with pytest.raises(TypeError, match="register_layer"):
            model_of(before()).copy()
    finally:
        del _registry.REGISTERED["tests>Again"]


def test_a_class_called_like_one_of_the_library_is_not_taken_for_it():
    kind = type("Dense", (Gated,), {})
    config = model_of(kind()).config()
    with pytest.raises(ValueError, match=r"layer class: got '.*>Dense'"):
        fw.Sequential.from_config(config)


class Setting(layers.NumpyLayer):
    """The identity, with settings of many kinds."""

    def __init__(self, size=1, more=(1, 2), name=None):
        super().__init__(name)
        self.size, self.more = size, more

    def forward(self, x):
        return x, None

    def backward(self, dy, kept):
        return dy

    def config(self):
        return {"size": self.size, "more": self.more, **super().config()}


@pytest.fixture
def known():
    """Registers a class for one test."""
    before = dict(_registry.REGISTERED)
    yield fw.register_layer("known")
    _registry.REGISTERED.clear()
    _registry.REGISTERED.update(before)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (lambda self: {"name": self.name}, "whose size is 3, while its config.* makes one of 1"),
        (lambda self: {"size": self.size + 1, "name": self.name}, "makes one of"),
        (lambda self: {"size": self.size}, "leaves out its name, and makes one of None"),
        (lambda self: {"length": 3}, "Forgetful: got length=3, expected size, more, name"),
        (lambda self: {"size": np.float32(3)}, "nothing can be made .*float32"),
        (lambda self: {"size": self.size, "class": "Dense"}, "."),
        (lambda self: 3, "nothing can be made"),
        (lambda self: self.nothing, "nothing can be made .*AttributeError"),
        (lambda self: {**Setting.config(self), "name": 3}, "nothing can be made"),
    ],
)
def test_a_config_that_makes_another_layer_is_refused(config, message, known, tmp_path):
    kind = known(type("Forgetful", (Setting,), {"config": config}))
    model = model_of(kind(3, name="mine"))
    for call in (model.copy, lambda: model.save(tmp_path / "m.safetensors")):
        with pytest.raises(TypeError, match=rf"'mine' of the class Forgetful, .*{message}"):
            call()
    assert not os.listdir(tmp_path)


def test_a_config_that_says_class_is_refused(known):
    class Named(Setting):
        def __init__(self, name=None, **rest):
            super().__init__(name=name)
            self._rest = rest

        def config(self):
            return {"name": self.name, **self._rest}

    with pytest.raises(TypeError, match=r"whose config.. has an entry 'class'"):
        model_of(known(Named)(**{"class": "Dense"})).copy()


def test_settings_that_come_back(known):
    class Holder(Setting):
        """Whose settings are arrays, and a layer within the layer."""

        def __init__(self, size=1, more=(1, 2), inner=None, name=None):
            super().__init__(size, more, name)
            self.array = np.asarray(more)
            self.inner = layers.Dense(**(inner or {"units": 3}))

        def config(self):
            return {**super().config(), "inner": self.inner.config()}

    kind = known(Holder)
    again = model_of(kind(2, (3, 4), {"units": 4})).copy().layers[1]
    assert (again.size, again.more, again.inner.units) == (2, (3, 4), 4)


@pytest.mark.parametrize("base", [layers.Layer, layers.NumpyLayer])
def test_private_settings_that_make_other_ops_or_variables_are_found(base, known):
    class Hidden(base):
        def __init__(self, width=1, name=None):
            super().__init__(name)
            self._width = width

        def config(self):
            return {"width": 1, **super().config()}

        def variables(self, x):
            return [layers.Variable("a", (x[-1],), "ones" if self._width == 1 else "zeros")]

        def forward(self, x, a):
            return x, None

        def backward(self, dy, kept):
            return dy, dy.sum(axis=0)

    if base is layers.Layer:
        Hidden.variables = layers.Layer.variables
        Hidden.ops = lambda self, x: layers.op("rescale", x, options=(self._width, 0.0))
    kind = known(Hidden)
    model_of(kind()).copy()
    with pytest.raises(TypeError, match=r"'hidden', whose config.. makes one of other ops"):
        model_of(kind(2)).copy()


def test_tensors_of_own_layers_keep_the_names_of_variables(saved):
    from fastweights import serialization

    with serialization.opened(saved[1]) as file:
        assert {"0.weight", "0.bias"} < set(file.tensors)
        names = {name.partition(".")[2] for name in file.tensors}
    assert names == {"weight", "bias", "kernel", "scale"}


def test_variables_whose_torch_names_are_one(known, tmp_path):
    class Twofold(Setting):
        def variables(self, x):
            return [layers.Variable(name, x, "ones") for name in ("gamma", "kernel", "weight")]

        def forward(self, x, a, b, c):
            return x * a * b * c, (x, a, b, c)

        def backward(self, dy, kept):
            x, a, b, c = kept
            by = [(dy * x * one).sum(axis=0) for one in (b * c, a * c, a * b)]
            return (dy * a * b * c, *by)

    model = model_of(known(Twofold)())
    assert fw.check_gradients(model, X[:4], Y[:4])
    model.save(tmp_path / "m.safetensors")
    same_bits(fw.load(tmp_path / "m.safetensors").parameters, model.parameters)


# ---- the guide -----------------------------------------------------------------------------------

GUIDE = Path(__file__).parents[1] / "docs" / "own-layers.md"


def test_the_examples_of_the_guide(known, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    examples = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(examples) == 2
    for example in examples:
        found = {"__name__": "guide"}
        exec(compile(example, str(GUIDE), "exec"), found)
        assert "all gradients are right" in capsys.readouterr().out
        same_bits(found["again"].predict(found["x"]), found["model"].predict(found["x"]))
        loss = found["model"].evaluate(found["x"], found["y"])
        found["model"].fit(found["x"], found["y"], epochs=20, verbose=0)
        assert found["model"].evaluate(found["x"], found["y"]) < loss


def test_a_fault_that_vanishes_where_weights_are_0_is_seen():
    class Wrong(layers.NumpyLayer):
        def variables(self, shape):
            return [layers.Variable("b", shape, "zeros")]

        def forward(self, x, b):
            return x + b, b

        def backward(self, dy, b):
            return dy, dy.sum(0) * (1 + b)

    fw.register_layer("tests.at_zero")(Wrong)
    model = fw.Sequential([layers.Dense(3), Wrong()], 2, dtype="float64", seed=0)
    model.compile("sgd", "mse")
    report = fw.check_gradients(model, np.ones((4, 2)), np.zeros((4, 3)))
    assert not report.passed
    assert report.frozen == ()
    model.layers[1].trainable = False
    report = fw.check_gradients(model, np.ones((4, 2)), np.zeros((4, 3)))
    assert report.passed
    assert report.frozen == ("wrong/b",)
    assert "not trained, so without a gradient: wrong/b" in str(report)
