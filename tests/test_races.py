"""What one call was derived from another one changes: nothing is of both."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import data

import fastweights as fw
from fastweights import _plans, layers


def stack() -> fw.Sequential:
    return fw.Sequential([layers.Dense(4, "tanh"), layers.Dense(3)], 5, seed=0)


@pytest.mark.parametrize("change", ["add", "pop"])
@pytest.mark.parametrize("place", ["_new_plan", "_ended"])
def test_a_stack_that_changes_in_the_middle_of_a_prediction(monkeypatch, change, place):
    """The prediction is of the layers that it began with, the next one of those that are there."""
    model, (x, _) = stack(), data(6)
    before = model.copy().predict(x)
    original, pending = getattr(_plans, place), [1]

    def changing(*arguments, **options):
        if pending:
            pending.pop()
            model.add(layers.Dense(2)) if change == "add" else model.pop()
        return original(*arguments, **options)

    monkeypatch.setattr(_plans, place, changing)
    np.testing.assert_array_equal(model.predict(x), before)
    np.testing.assert_array_equal(model.predict(x), model.copy().predict(x))
    assert model.predict(x).shape[1] == (2 if change == "add" else 4)


def test_no_room_is_said_where_bytes_cannot_be_counted():
    inputs = fw.Input(1)
    wide = layers.BatchNormalization()(layers.RepeatVector(2**40)(inputs))
    model = fw.Model(inputs, layers.Dot(1)([wide, wide]), seed=0)
    model.compile("sgd", "mse")
    x = np.ones((2**20, 1), np.float32)
    for call in (
        lambda: model.memory(2**20),
        lambda: model.fit(x, x, batch_size=2**20, verbose=0),
        lambda: model.predict(x),
    ):
        with pytest.raises(MemoryError, match=r"no [0-9,]+ bytes"):
            call()


@pytest.mark.parametrize("call", ["fit", "train_on_batch"])
def test_a_state_that_overflows_is_no_good_epoch(call):
    x, y = data(64)
    model = fw.Sequential([layers.BatchNormalization(), layers.Dense(3)], 5, seed=0)
    model.compile("sgd", "mse")
    model.fit(x, y, verbose=0)
    before = model.state.copy()
    with pytest.raises(fw.DivergenceError):
        getattr(model, call)(x * 1e20, y)
    if call == "fit":
        np.testing.assert_array_equal(model.state, before)


def test_variances_below_0_are_refused():
    model = fw.Sequential([layers.BatchNormalization(), layers.Dense(1)], 2, seed=0)
    weights = model.get_weights()
    weights[3] = np.array([1.0, -1.0])
    with pytest.raises(ValueError, match="moving_variance: got -1, expected at least 0"):
        model.set_weights(weights)
    with pytest.raises(ValueError, match="expected at least 0"):
        fw.Sequential([layers.BatchNormalization(moving_variance_initializer="random_normal")], 40)


@pytest.mark.parametrize(
    "layer",
    [lambda: layers.Rescaling(1e300), lambda: layers.Normalization(mean=1e300, variance=1.0)],
)
def test_numbers_that_float32_does_not_hold_are_refused(layer):
    with pytest.raises(ValueError, match="expected"):
        fw.Sequential([layer(), layers.Dense(1)], 2, seed=0)
    fw.Sequential([layer(), layers.Dense(1)], 2, "float64", seed=0)


def test_adapting_takes_columns_whose_variance_is_a_number():
    layer = layers.Normalization()
    with pytest.raises(ValueError, match="data: got numbers whose variance overflows"):
        layer.adapt(np.array([[1e200], [-1e200]]))
    model = fw.Sequential([layers.Normalization(mean=0.0, variance=1.0)], 1, seed=0)
    before = model.state.copy()
    with pytest.raises(ValueError, match="float32"):
        model.layers[0].adapt(np.array([[1e30], [-1e30]]))
    np.testing.assert_array_equal(model.state, before)


@pytest.mark.parametrize(
    "made",
    [
        lambda value: layers.op("repeat", value, shape=(8,), sizes=(2**62 + 2,)),
        lambda value: layers.op("swap", value, sizes=(2**32, 2**32, 4)),
        lambda value: layers.op("rescale", value, options=(1, 0)).reshaped((100,)),
        lambda value: layers.ops.Value(value.op, (100,)),
        lambda value: layers.op("rescale", value, options=(1, 0), lines=3),
    ],
)
def test_ops_that_make_something_else_than_they_say(made):
    class Lying(layers.Layer):
        def ops(self, value):
            return made(value)

    with pytest.raises(ValueError, match="got"):
        fw.Sequential([Lying()], 4).predict(np.ones((2, 4)))


def test_classes_say_what_their_constructors_take():
    import inspect

    assert list(inspect.signature(layers.Dense).parameters)[:2] == ["units", "activation"]
    assert next(iter(inspect.signature(fw.Sequential).parameters)) == "layers"


def test_settings_that_float32_rounds_to_nothing_are_refused():
    for layer in (layers.LayerNormalization, layers.RMSNormalization, layers.BatchNormalization):
        with pytest.raises(ValueError, match=r"epsilon: got 0.0, expected .* above 0"):
            layer(epsilon=0.0)
        with pytest.raises(ValueError, match=r"got 1e-60 for .*, expected numbers of float32"):
            fw.Sequential([layer(epsilon=1e-60)], 3)
        fw.Sequential([layer(epsilon=1e-60)], 3, "float64")


def test_an_op_is_as_it_was_made():
    value = layers.op("rescale", layers.ops.given((3,)), options=(1.0, 0.0))
    with pytest.raises(AttributeError, match="reads: is fixed"):
        value.op.reads = (value.op,)


def test_classes_are_found_where_they_are_public():
    import pickle

    assert pickle.loads(pickle.dumps(fw.Sequential)) is fw.Sequential
    assert b"_sequential" not in pickle.dumps(fw.Sequential)


def test_names_are_whole_characters():
    with pytest.raises(ValueError, match="name: got"):
        layers.Dense(1, name="\ud800")
