"""Models within models, and layers that several models have: windows of one vector."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest
from helpers import same_bits

import fastweights as fw
from fastweights import layers

X = np.random.default_rng(0).standard_normal((40, 6)).astype(np.float32)


def autoencoder():
    """An encoder, a decoder, and the model that is both."""
    x = fw.Input(6)
    encoder = fw.Model(
        x, layers.Dense(2, name="code")(layers.Dense(5, "tanh", name="in")(x)), seed=1
    )
    z = fw.Input(2)
    decoder = fw.Model(
        z, layers.Dense(6, name="out")(layers.Dense(5, "tanh", name="hid")(z)), seed=2
    )
    inputs = fw.Input(6)
    both = fw.Model(inputs, decoder(encoder(inputs)), seed=3)
    return encoder, decoder, both


def test_a_model_of_models_has_their_weights():
    encoder, decoder, both = autoencoder()
    assert both.parameters.size == encoder.parameters.size + decoder.parameters.size
    assert np.shares_memory(both.parameters, encoder.parameters)
    assert np.shares_memory(both.parameters, decoder.parameters)
    same_bits(both.predict(X), decoder.predict(encoder.predict(X)))


def test_weights_stay_when_a_model_becomes_part_of_another_one():
    x = fw.Input(6)
    base = fw.Model(x, layers.Dense(4, "relu")(x), seed=1)
    base.compile("adam", "mse")
    base.fit(X, X[:, :4], epochs=2, verbose=0)
    before, kernel = base.predict(X), base.layers[0].kernel.copy()
    model = fw.Model(x, layers.Dense(1)(base(x)), seed=2)
    same_bits(base.predict(X), before)
    same_bits(model.layers[0].kernel, kernel)
    twin = base.copy()
    same_bits(twin.predict(X), before)
    for one in (base, twin):  # which go on with the optimizer's memory
        one.fit(X, X[:, :4], epochs=3, verbose=0)
    same_bits(base.parameters, twin.parameters)
    assert np.shares_memory(model.parameters, base.parameters)


def test_training_one_trains_the_others():
    encoder, decoder, both = autoencoder()
    both.compile("adam", "mse")
    codes = encoder.predict(X)
    loss = both.fit(X, X, epochs=20, verbose=0).history["loss"]
    assert loss[-1] < loss[0]
    assert (encoder.predict(X) != codes).any()
    same_bits(both.predict(X), decoder.predict(encoder.predict(X)))
    encoder.set_weights([weight * 0 for weight in encoder.get_weights()])
    same_bits(both.predict(X), decoder.predict(encoder.predict(X)))


def test_a_frozen_part_stays():
    encoder, decoder, both = autoencoder()
    encoder.trainable = False
    both.compile("sgd", "mse")
    codes, out = encoder.predict(X), decoder.predict(np.ones((3, 2)))
    both.fit(X, X, epochs=3, verbose=0)
    same_bits(encoder.predict(X), codes)
    assert (decoder.predict(np.ones((3, 2))) != out).any()


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_features_of_a_model_that_is_there(kept):
    x = fw.Input(6)
    values = [x]
    for units in (5, 4, 3):
        values.append(layers.Dense(units, "tanh")(values[-1]))
    model = fw.Model(x, values[-1], seed=0)
    model.compile("sgd", "mse")
    features = fw.Model(model.input, model.layers[kept].output)
    assert np.shares_memory(features.parameters, model.parameters)
    model.fit(X, X[:, :3], epochs=2, verbose=0)
    expected = X.astype(float)
    for layer in model.layers[: kept + 1]:
        expected = np.tanh(expected @ layer.kernel.astype(float) + layer.bias)
    np.testing.assert_allclose(features.predict(X), expected, rtol=1e-5, atol=1e-6)


def test_the_last_layers_of_a_model_that_is_there():
    _, decoder, both = autoencoder()
    z = fw.Input(5)
    tail = fw.Model(z, both.layers[3](z))
    assert np.shares_memory(tail.parameters, decoder.parameters)
    same_bits(tail.parameters, both.parameters[-tail.parameters.size :])


def test_what_cannot_be_a_window_is_refused():
    x = fw.Input(6)
    stack = [layers.Dense(6) for _ in range(3)]
    value = x
    for layer in stack:
        value = layer(value)
    model = fw.Model(x, value, seed=0)
    before = model.get_weights()
    with pytest.raises(ValueError, match="layers whose weights do not follow each other"):
        fw.Model(x, stack[2](stack[0](x)))
    with pytest.raises(ValueError, match="some of another model's layers, without 'dense"):
        fw.Model(x, layers.Dense(1)(stack[0](x)))
    with pytest.raises(ValueError, match="layers: got those of a model of float32"):
        fw.Model(x, layers.Dense(1)(model(x)), dtype="float64")
    with pytest.raises(ValueError, match="of another model"):
        fw.Sequential([stack[0]], 6)
    for weight, old in zip(model.get_weights(), before, strict=True):
        same_bits(weight, old)
    model.compile("sgd", "mse")
    model.fit(X, X, verbose=0)


def test_states_are_shared_too(tmp_path):
    x = fw.Input(6)
    base = fw.Model(x, layers.BatchNormalization()(layers.Dense(4)(x)), seed=0)
    inputs = fw.Input(6)
    model = fw.Model(inputs, layers.BatchNormalization()(layers.Dense(2)(base(inputs))), seed=0)
    model.compile("sgd", "mse")
    model.fit(X, X[:, :2], verbose=0)
    same_bits(base.state, model.state[: base.state.size])
    assert (base.state != [0] * 4 + [1] * 4).any()
    model.save(tmp_path / "model.safetensors")
    same_bits(fw.load(tmp_path / "model.safetensors").predict(X), model.predict(X))
    same_bits(base.copy().predict(X), base.predict(X))


def test_a_layer_stays_taken_as_long_as_any_model_has_it():
    encoder, decoder, both = autoencoder()
    layer, predicted = encoder.layers[0], both.predict(X)
    del encoder, decoder
    gc.collect()
    with pytest.raises(ValueError, match="of another model"):
        fw.Sequential([layer], 6)
    same_bits(both.predict(X), predicted)
    del both
    gc.collect()
    fw.Sequential([layer], 6)


def test_a_stack_called_on_tensors_is_part_of_a_model():
    stack = fw.Sequential([layers.Dense(4, "relu"), layers.Dense(3)], 6, seed=0)
    x = fw.Input(6)
    model = fw.Model(x, layers.Softmax()(stack(x)))
    assert np.shares_memory(model.parameters, stack.parameters)
    with pytest.raises(ValueError, match="a model whose layers another one has too"):
        stack.pop()


def test_in_the_middle_of_a_fit_a_model_cannot_move():
    x = fw.Input(6)
    base = fw.Model(x, layers.Dense(3)(x), seed=0)
    base.compile("sgd", "mse")
    found = []

    class Sharing(fw.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs):
            try:
                fw.Model(x, layers.Dense(1)(base(x)))
            except RuntimeError as error:
                found.append(str(error))

    base.fit(X, X[:, :3], verbose=0, callbacks=Sharing())
    assert "in the middle of its own fit" in found[0]
    assert base.predict(X).shape == (40, 3)


def test_models_of_one_family_in_several_threads():
    encoder, _, both = autoencoder()
    both.compile("sgd", "mse")
    encoder.compile("sgd", "mse")
    errors = []

    def repeat(call):
        try:
            for _ in range(50):
                call()
        except Exception as error:
            errors.append(error)

    calls = [
        lambda: both.train_on_batch(X, X),
        lambda: encoder.train_on_batch(X, X[:, :2]),
        lambda: encoder.predict(X),
        lambda: both.predict(X),
    ]
    threads = [threading.Thread(target=repeat, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert np.isfinite(both.parameters).all()


@pytest.mark.parametrize("kept", ["a tensor", "a layer"])
def test_layers_keep_their_numbers_when_their_model_is_gone(kept):
    base = fw.Sequential([layers.Dense(4, "relu"), layers.BatchNormalization()], 6, seed=1)
    base.compile("adam", "mse")
    base.fit(X, X[:, :4], epochs=2, verbose=0)
    base.trainable = False
    expected, weights = base.predict(X), base.get_weights()
    x = fw.Input(6)
    inner = base(x) if kept == "a tensor" else None
    dense, norm = base.layers
    del base
    gc.collect()
    inner = norm(dense(x)) if inner is None else inner
    model = fw.Model(x, layers.Dense(1)(inner), seed=2)
    for one, other in zip(model.get_weights(), weights, strict=False):
        same_bits(one, other)
    same_bits(fw.Model(x, inner).predict(X), expected)
    with pytest.raises(ValueError, match="layers: got those of a model of float32"):
        fw.Model(x, layers.Dense(1)(inner), dtype="float64")


def test_another_head_when_the_first_one_is_gone():
    x = fw.Input(6)
    base = fw.Model(x, layers.Dense(4, "relu")(x), seed=1)
    other = fw.Model(x, layers.Dense(1)(base.output), seed=2)
    with pytest.raises(ValueError, match=r"without 'dense_1', expected all .*model\.copy\(\)"):
        fw.Model(x, layers.Dense(2)(base.output))
    for seed in range(3):
        before = base.get_weights()
        del other
        gc.collect()
        other = fw.Model(x, layers.Dense(2, name=f"head{seed}")(base.output), seed=seed)
        for one, known in zip(base.get_weights(), before, strict=True):
            same_bits(one, known)
        other.compile("sgd", "mse")
        other.fit(X, X[:, :2], verbose=0)
        same_bits(other.layers[0].kernel, base.layers[0].kernel)
        same_bits(other.get_weights()[0], base.get_weights()[0])
    grown = fw.Model(x, layers.Dense(3, name="more")(other.output), seed=4)
    grown.parameters[:] = 0.5
    assert base.parameters.min() == base.parameters.max() == 0.5
    assert base.layers[0].kernel.max() == 0.5


def test_layers_move_in_where_their_first_model_is_gone():
    x = fw.Input(6)
    inner = layers.Dense(4, "relu")(x)
    first = fw.Model(x, layers.Dense(3)(inner), seed=1)
    features = fw.Model(x, inner)
    dense = features.layers[0]
    del first
    gc.collect()
    grown = fw.Model(x, layers.Dense(2)(features.output), seed=2)
    grown.parameters[:] = 0.25
    assert dense.kernel.max() == features.parameters.max() == 0.25


def test_windows_that_are_gone_leave_nothing():
    x = fw.Input(6)
    base = fw.Model(x, layers.Dense(4)(x), seed=1)
    for _ in range(5):
        fw.Model(x, base.output)
        gc.collect()
    assert len(base._home.family.homes) <= 2


def test_names_stay_in_a_model_that_others_take_in():
    x = fw.Input(6)
    hidden = layers.Dense(4)(x)
    inner = fw.Model(x, [layers.Dense(1)(hidden), layers.Dense(1)(hidden)], seed=1)
    inner.compile("sgd", "mse", {"dense_1": ["mae"]})
    z = fw.Input(3)
    outer = fw.Model(z, layers.Concatenate()(inner(layers.Dense(6)(z))))
    assert inner.output_names == ("dense_1", "dense_2")
    assert [layer.name for layer in inner.layers] == ["dense", "dense_1", "dense_2"]
    assert [layer.name for layer in outer.layers][:2] == ["dense_3", "dense"]
    figures = inner.evaluate(X, {"dense_1": X[:, :1], "dense_2": X[:, :1]}, return_dict=True)
    assert set(figures) == {"loss", "dense_1_loss", "dense_2_loss", "dense_1_mae"}


def test_models_with_layers_of_one_name_can_be_joined():
    one = fw.Sequential([layers.Dense(2, name="out")], 6, seed=1)
    x = fw.Input(6)
    both = fw.Model(x, layers.Average()([one(x), one.copy()(x)]))
    assert [layer.name for layer in both.layers] == ["out", "out_1", "average"]
    same_bits(both.predict(X), one.predict(X))
    with pytest.raises(ValueError, match="layers: got the name 'out' twice"):
        fw.Model(x, layers.Dense(2, name="out")(one(x)))


def test_rows_of_another_width_are_refused():
    stack = fw.Sequential([layers.Dense(2)], 6, seed=1)
    with pytest.raises(ValueError, match=r"x: got rows of shape \(4,\) for input, expected .*6"):
        stack(fw.Input(4))
    x = fw.Input(4)
    with pytest.raises(ValueError, match=r"layers: got rows for which kernel of 'dense'.*\(6, 2\)"):
        fw.Model(x, stack.layers[0](x))


def test_a_model_called_on_a_dict_goes_by_names():
    a, b = fw.Input(6, name="a"), fw.Input(6, name="b")
    model = fw.Model([a, b], layers.Subtract()([a, b]))
    p, q = fw.Input(6), fw.Input(6)
    turned = fw.Model([p, q], model({"b": p, "a": q}))
    same_bits(turned.predict([X, 3 * X]), 3 * X - X)
    with pytest.raises(ValueError, match="x: got a dict of a, c, expected one of a, b"):
        model({"a": p, "c": q})


@pytest.mark.parametrize("way", ["a stack", "loaded", "copied"])
def test_any_model_has_tensors(way, tmp_path):
    model = fw.Sequential([layers.Dense(3, "relu"), layers.Dense(1)], 6, seed=1)
    if way == "copied":
        model = model.copy()
    elif way == "loaded":
        model.save(tmp_path / "model.safetensors")
        model = fw.load(tmp_path / "model.safetensors")
    features = fw.Model(model.inputs, model.layers[-2].output)
    assert features.predict(X).shape == (40, 3)
    same_bits(fw.Model(model.input, model.output).predict(X), model.predict(X))


def test_a_stack_that_grows_has_other_tensors():
    model = fw.Sequential([layers.Dense(3)], 6, seed=1)
    assert model.output.shape == (None, 3)
    model.add(layers.Dense(2))
    assert model.output.shape == (None, 2)
    model.pop()
    assert model.layers[0].output.shape == model.output.shape == (None, 3)


def test_a_layers_output_is_that_of_its_first_call():
    shared = layers.Dense(2)
    x, z = fw.Input(6), fw.Input(6)
    first = shared(x)
    shared(z)
    assert shared.output is first
    assert shared.input is x
