"""What a network has learnt goes on in another one: another head, frozen layers, rates by layer."""

from __future__ import annotations

import importlib.util
import threading
from pathlib import Path

import numpy as np
import pytest
from helpers import same_bits

import fastweights as fw
from fastweights import layers, optimizers

X = np.random.default_rng(0).standard_normal((60, 6)).astype(np.float32)
LABELS, OTHERS = (X[:, 0] > 0) * 1 + (X[:, 1] > 0) * 1, (X[:, 0] > X[:, 1]) * 1
CROSSENTROPY = "sparse_categorical_crossentropy"


def trained(optimizer="adam"):
    """A network of everything that has numbers of its own: weights, and states."""
    norm = layers.Normalization(name="norm")
    norm.adapt(X)
    stack = [
        norm,
        layers.Dense(8, "relu", name="low"),
        layers.BatchNormalization(name="batch"),
        layers.Dense(5, "relu", name="high"),
        layers.Dense(3, "softmax", name="head"),
    ]
    model = fw.Sequential(stack, 6, seed=0)
    model.compile(optimizer, CROSSENTROPY, ["accuracy"])
    model.fit(X, LABELS, epochs=3, verbose=0)
    return model


def numbers(model):
    """All weights and states by layer."""
    return {layer.name: layer.get_weights() for layer in model.layers if layer.name != "head"}


def same_numbers(one, other):
    assert one.keys() == other.keys()
    for name in one:
        for mine, its in zip(one[name], other[name], strict=True):
            same_bits(mine, its)


def with_head(model, units=2):
    model.pop()
    model.add(layers.Dense(units, "softmax", name="new"))
    return model


# ---- another head --------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["itself", "copied", "loaded"])
def test_another_head_on_what_is_there(way, tmp_path):
    base = trained()
    before, predicted = numbers(base), base.predict(X)
    model = base
    if way == "copied":
        model = base.copy()
    elif way == "loaded":
        base.save(tmp_path / "base.safetensors")
        model = fw.load(tmp_path / "base.safetensors")
    epochs = model.epochs_trained
    with_head(model)
    now = numbers(model)
    del now["new"]
    same_numbers(now, before)
    assert model.output_shape == (2,)
    assert model.epochs_trained == epochs
    assert model.predict(X).shape == (60, 2)
    history = model.fit(X, OTHERS, epochs=30, verbose=0).history
    assert history["accuracy"][-1] > 0.8
    if way != "itself":
        same_bits(base.predict(X), predicted)
    model.save(tmp_path / "tuned.safetensors")
    again = fw.load(tmp_path / "tuned.safetensors")
    for one in (model, again):
        one.fit(X, OTHERS, epochs=2, verbose=0)
    same_bits(again.predict(X), model.predict(X))


def test_a_base_that_is_called_as_in_the_guide_of_keras():
    base = trained()
    base.pop()
    before = numbers(base)
    base.trainable = False
    inputs = fw.Input(6)
    outputs = layers.Dense(2, "softmax", name="new")(base(inputs, training=False))
    model = fw.Model(inputs, outputs, seed=1)
    model.compile(optimizers.Adam(0.01), CROSSENTROPY, ["accuracy"])
    same_numbers(numbers(base), before)
    model.fit(X, OTHERS, epochs=2, verbose=0)
    same_numbers(numbers(base), before)
    base.trainable = True
    model.compile(optimizers.Adam(1e-3), CROSSENTROPY, ["accuracy"])
    model.fit(X, OTHERS, epochs=2, verbose=0)
    assert (numbers(base)["low"][0] != before["low"][0]).any()
    head = model.get_layer("new")
    logits = base.predict(X) @ head.kernel + head.bias
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-5)


def test_a_summary_says_what_is_frozen(capsys):
    model = trained()
    model.get_layer("low").trainable = False
    model.summary()
    assert "low (Dense, frozen)" in (shown := capsys.readouterr().out)
    assert "high (Dense) " in shown
    assert f"Trained parameters: {model.count_params() - 56 - 28:,}" in shown


def test_the_same_as_a_new_stack_of_these_weights():
    base = trained(optimizers.Adam(0.01))
    model = with_head(base.copy())
    twin = fw.Sequential.from_config(model.config())
    twin.set_weights(model.get_weights())
    twin.compile(optimizers.Adam(0.01), CROSSENTROPY, ["accuracy"])
    one = model.fit(X, OTHERS, 16, 4, verbose=0, shuffle=False).history
    assert one == twin.fit(X, OTHERS, 16, 4, verbose=0, shuffle=False).history
    same_bits(model.parameters, twin.parameters)
    same_bits(model.state, twin.state)


def test_the_optimizer_begins_anew():
    model = trained()
    assert model.optimizer.iterations == 6
    with_head(model)
    model.train_on_batch(X, OTHERS)
    assert model.optimizer.iterations == 1


def test_what_was_compiled_for_the_old_head_is_looked_at_again():
    model = with_head(trained())
    with pytest.raises(ValueError, match=r"y: got .*2"):
        model.fit(X, LABELS, verbose=0)
    named = with_head(trained(optimizers.Adam(learning_rate_factors={"head": 2.0})))
    with pytest.raises(ValueError, match="learning_rate_factors: got 'head'"):
        named.fit(X, OTHERS, verbose=0)


def test_columns_of_targets_are_those_of_the_new_head():
    pandas = pytest.importorskip("pandas")
    rows = pandas.DataFrame(X, columns=list("abcdef"))
    model = fw.Sequential([layers.Dense(4, "relu"), layers.Dense(2)], seed=0)
    model.compile("adam", "mse")
    model.fit(rows, pandas.DataFrame(X[:, :2], columns=["p", "q"]), verbose=0)
    model.pop()
    model.add(layers.Dense(3))
    model.fit(rows[list("fedcba")], pandas.DataFrame(X[:, :3], columns=list("rst")), verbose=0)
    assert model.feature_names == tuple("abcdef")
    while model.layers:
        model.pop()
    model.add(layers.Dense(3, input_shape=2))
    model.compile("adam", "mse")
    model.fit(X[:, :2], X[:, :3], verbose=0)


def test_layers_are_put_on_and_taken_off_while_others_predict():
    model, errors, shapes = trained(), [], set()

    def predicting():
        try:
            for _ in range(300):
                shapes.add(model.predict(X).shape[1])
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=predicting) for _ in range(2)]
    for thread in threads:
        thread.start()
    for units in (2, 4) * 20:
        with_head(model, units)
    for thread in threads:
        thread.join()
    assert errors == []
    assert shapes <= {2, 3, 4, 5}


def test_not_in_the_middle_of_a_fit():
    refused = []

    class Popping(fw.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs):
            with pytest.raises(RuntimeError, match="in the middle of its own fit"):
                self.model.pop()
            refused.append(epoch)

    trained().fit(X, LABELS, verbose=0, callbacks=Popping())
    assert refused == [0]


def test_refusals_say_how_another_head_is_made():
    base = trained()
    with pytest.raises(ValueError, match=r"new = model\.copy\(\), new\.pop\(\) and new\.add"):
        fw.Sequential([*base.layers[:-1], layers.Dense(2)], 6)
    features = base.get_layer("high").output
    with pytest.raises(ValueError, match=r"fw\.Model\(model\.input, layer\.output\)\.copy\(\)"):
        fw.Model(base.input, layers.Dense(2)(features))
    part = fw.Model(base.input, features)
    with pytest.raises(ValueError, match=r"such as model\.copy\(\)"):
        base.pop()
    own = part.copy()
    model = fw.Model(own.input, layers.Dense(2, "softmax")(own.output))
    model.compile("adam", CROSSENTROPY)
    predicted = base.predict(X)
    model.fit(X, OTHERS, verbose=0)
    same_bits(base.predict(X), predicted)


# ---- stages, and rates by layer ------------------------------------------------------------------


def test_stages():
    model = with_head(trained())
    model.trainable = False
    model.get_layer("new").trainable = True
    for thawed in ("new", "high", "low"):
        model.get_layer(thawed).trainable = True
        model.compile(optimizers.Adam(0.01), CROSSENTROPY, ["accuracy"])
        before = numbers(model)
        model.fit(X, OTHERS, epochs=2, verbose=0)
        for layer in model.layers:
            moved = any(
                (now != old).any()
                for now, old in zip(layer.get_weights(), before[layer.name], strict=True)
            )
            assert moved == layer.trainable, layer.name
    assert {layer.name for layer in model.layers if layer.trainable} == {"new", "high", "low"}


@pytest.mark.parametrize(
    ("optimizer", "warns"), [("adam", True), ("nadam", True), ("sgd", False), ("lion", False)]
)
def test_a_layer_that_an_optimizer_has_run_without_is_warned_of(optimizer, warns):
    model = with_head(trained(optimizer))
    model.get_layer("low").trainable = False
    model.fit(X, OTHERS, epochs=2, verbose=0)
    model.get_layer("low").trainable = True
    if warns:
        with pytest.warns(UserWarning, match="has made 4 steps without 'low'") as caught:
            model.fit(X, OTHERS, verbose=0)
        assert caught[0].filename == __file__
    model.fit(X, OTHERS, verbose=0)  # which knows of it now
    for is_trained in (False, True):
        model.get_layer("low").trainable = is_trained
        model.fit(X, OTHERS, verbose=0)
    again = with_head(trained(optimizer))
    again.get_layer("low").trainable = False
    again.fit(X, OTHERS, verbose=0)
    again.trainable = True
    again.compile(optimizer, CROSSENTROPY)
    again.fit(X, OTHERS, verbose=0)


def test_rates_by_layer_are_shares_of_the_step():
    """SGD moves each layer by its factor times the gradient, the frozen one not at all."""
    model = with_head(trained())
    model.get_layer("batch").trainable = False
    factors = {"low": 0.25, "high": 0.5}
    model.compile(optimizers.SGD(0.125, learning_rate_factors=factors), CROSSENTROPY)
    before = model.copy("float64")
    _, gradient, _ = before.loss_and_gradients(X, OTHERS)
    expected, start = before.parameters.copy(), 0
    for name, factor in (("low", 0.25), ("batch", 0.0), ("high", 0.5), ("new", 1.0)):
        size = before.get_layer(name).count_params()
        size -= 2 * 8 if name == "batch" else 0  # its states are elsewhere
        expected[start : start + size] -= 0.125 * factor * gradient[start : start + size]
        start += size
    assert start == expected.size
    model.train_on_batch(X, OTHERS)
    np.testing.assert_allclose(model.parameters, expected, rtol=1e-5, atol=1e-6)


def test_the_example_learns_more_of_few_images_than_from_nothing():
    path = Path(__file__).parent.parent / "examples" / "finetune.py"
    spec = importlib.util.spec_from_file_location("finetune", path)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    nothing, tuned = example.train(seed=0, few=2)
    assert (tuned > nothing + 0.03).all(), (nothing, tuned)
