"""Models with several outputs: each has a loss, and the model's is their weighted sum."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import fastweights as fw
from fastweights import layers, losses

ROWS = 24


def data(rows: int = ROWS) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(rows, 6))
    return x, {
        "price": x[:, :2] * 0.5 + 0.1,
        "kind": rng.integers(0, 3, rows),
        "sold": rng.integers(0, 2, (rows, 1)).astype(float),
    }


def three_headed(dtype: str = "float64", seed: int = 1) -> fw.Model:
    """A trunk with a regression, classes and a probability."""
    inputs = fw.Input(6)
    trunk = layers.Dense(8, "tanh")(inputs)
    price = layers.Dense(2, name="price")(trunk)
    kind = layers.Dense(3, "softmax", name="kind")(layers.Concatenate()([trunk, price]))
    sold = layers.Dense(1, "sigmoid", name="sold")(trunk)
    return fw.Model(inputs, [price, kind, sold], dtype=dtype, seed=seed)


LOSSES = {
    "price": "mse",
    "kind": "sparse_categorical_crossentropy",
    "sold": "binary_crossentropy",
}
WEIGHTS = {"price": 0.5, "kind": 2.0, "sold": 1.5}


def compiled(**options) -> fw.Model:
    model = three_headed(**options)
    model.compile("adam", LOSSES, loss_weights=WEIGHTS)
    return model


def test_the_loss_is_the_weighted_sum_of_each_outputs_own():
    model, (x, y) = compiled(), data()
    figures = model.evaluate(x, y, return_dict=True)
    predicted = dict(zip(model.output_names, model.predict(x), strict=True))
    apart = {name: losses.get(loss)(y[name], predicted[name]) for name, loss in LOSSES.items()}
    for name, value in apart.items():
        assert figures[f"{name}_loss"] == pytest.approx(value, rel=1e-12)
    total = sum(WEIGHTS[name] * value for name, value in apart.items())
    assert figures["loss"] == pytest.approx(total, rel=1e-12)
    assert list(figures) == ["loss", "price_loss", "kind_loss", "sold_loss"]


@pytest.mark.parametrize("rows", [1, 3, 300, 700])
def test_gradients_are_those_of_each_output_added_up(rows):
    """An oracle of one output at a time; 700 rows go in slices."""
    model, (x, y) = compiled(), data(rows)
    total = np.zeros(model.parameters.size)
    for name in WEIGHTS:
        one = three_headed()
        one.compile("sgd", LOSSES, loss_weights={**dict.fromkeys(WEIGHTS, 0.0), name: 1.0})
        total += WEIGHTS[name] * one.loss_and_gradients(x, y)[1]
    _, gradient, _ = model.loss_and_gradients(x, y)
    np.testing.assert_allclose(gradient, total, rtol=1e-10, atol=1e-14)


def test_gradients_are_right():
    model, (x, y) = compiled(), data(5)
    assert fw.check_gradients(model, x, y, tolerance=1e-8)


def test_an_output_alone_is_a_model_of_it():
    """One with weight 0 beside it changes nothing."""
    x, y = data(64)
    inputs = fw.Input(6)
    hidden = layers.Dense(7, "relu", name="hidden")(inputs)
    alone = fw.Model(inputs, layers.Dense(2, name="price")(hidden), seed=3)
    alone.compile("adam", "mse")
    inputs = fw.Input(6)
    hidden = layers.Dense(7, "relu", name="hidden")(inputs)
    price, other = layers.Dense(2, name="price")(hidden), layers.Dense(1, name="other")(hidden)
    both = fw.Model(inputs, [price, other], seed=3)
    both.compile("adam", "mse", loss_weights=[1.0, 0.0])
    first = alone.fit(x, y["price"], epochs=3, verbose=0).history["loss"]
    second = both.fit(x, [y["price"], y["sold"]], epochs=3, verbose=0).history["price_loss"]
    assert first == pytest.approx(second, rel=1e-6)
    np.testing.assert_array_equal(both.predict(x)[0], alone.predict(x))


def test_an_output_that_others_read_and_one_that_is_given_twice():
    x, y = data(9)
    inputs = fw.Input(6)
    first = layers.Dense(4, "softmax", name="first")(inputs)
    second = layers.Dense(1, name="second")(first)
    model = fw.Model(inputs, [first, second, first], dtype="float64", seed=0)
    assert model.output_names == ("first", "second", "first_1")
    model.compile("sgd", ["categorical_crossentropy", "mse", "mae"])
    classes = np.eye(4)[np.arange(9) % 4]
    assert fw.check_gradients(model, x, [classes, y["sold"], classes + 0.3], tolerance=1e-8)
    one, two, again = model.predict(x)
    np.testing.assert_array_equal(one, again)
    assert two.shape == (9, 1)


def test_softmax_as_a_layer_whose_logits_are_an_output_too():
    x, _ = data(9)
    inputs = fw.Input(6)
    logits = layers.Dense(3, name="logits")(inputs)
    model = fw.Model(
        inputs, [layers.Softmax(name="shares")(logits), logits], dtype="float64", seed=0
    )
    model.compile("sgd", ["sparse_categorical_crossentropy", "mse"])
    y = [np.arange(9) % 3, np.ones((9, 3))]
    assert fw.check_gradients(model, x, y, tolerance=1e-8)


def test_every_order_of_heads_fuses_alike():
    """Where activations are taken into their losses the others' numbers stay."""
    x, y = data(40)
    names, found = list(LOSSES), []
    for order in itertools.permutations(names):
        inputs = fw.Input(6)
        made = {
            "price": layers.Dense(2, name="price"),
            "kind": layers.Dense(3, "softmax", name="kind"),
            "sold": layers.Dense(1, "sigmoid", name="sold"),
        }
        called = {name: layer(inputs) for name, layer in made.items()}
        model = fw.Model(inputs, {name: called[name] for name in order}, seed=7)
        model.compile("sgd", LOSSES, metrics={"kind": ["accuracy"]})
        model.fit(x, y, epochs=2, verbose=0)
        found.append(model.evaluate(x, y, return_dict=True))
        assert set(model.predict(x)) == set(names)
    for other in found[1:]:
        assert other == pytest.approx(found[0], rel=1e-6)


def test_histories_have_the_figures_of_each_output():
    model, (x, y) = three_headed(), data(64)
    model.compile(
        "adam", LOSSES, metrics={"price": ["mae"], "kind": "accuracy"}, loss_weights=WEIGHTS
    )
    history = model.fit(x, y, epochs=4, verbose=0, validation_split=0.25).history
    names = ["loss", "price_loss", "kind_loss", "sold_loss", "price_mae", "kind_accuracy"]
    assert list(history) == [*names, *(f"val_{name}" for name in names)]
    assert history["loss"][-1] < history["loss"][0]
    assert len(model.evaluate(x, y)) == len(names)


def test_early_stopping_knows_which_way_an_outputs_metric_goes():
    model, (x, y) = three_headed(), data(64)
    model.compile("adam", LOSSES, metrics={"kind": ["accuracy"]})
    stopping = fw.callbacks.EarlyStopping("kind_accuracy", patience=2)
    history = model.fit(x, y, epochs=8, verbose=0, callbacks=stopping).history
    assert stopping.best == max(history["kind_accuracy"])


@pytest.mark.parametrize("kind", [list, tuple, dict])
def test_targets_come_in_a_list_or_a_dict(kind):
    model, (x, y) = compiled(), data()
    given = y if kind is dict else kind(y.values())
    assert model.evaluate(x, given) == model.evaluate(x, y)
    assert model.train_on_batch(x, given, return_dict=True)["loss"] > 0.0


@pytest.mark.parametrize(
    ("loss", "y"),
    [
        ("mse", np.arange(15.0).reshape(5, 3)),
        (losses.SparseCategoricalCrossentropy(from_logits=True), np.array([0, 2, 1, 1, 0])),
    ],
)
def test_one_outputs_targets_may_come_in_a_list_too(loss, y):
    model = fw.Sequential([layers.Dense(3)], 2, seed=1)
    model.compile("sgd", loss)
    x = np.arange(10.0).reshape(5, 2)
    assert model.evaluate([x], [y]) == model.evaluate(x, y)
    one = model.evaluate(x[:1], y[:1])
    assert model.evaluate(x[:1], [y[:1]]) == one
    assert model.evaluate(x[:1], [y[0]]) == one  # a row in a list: the rows of one row


def test_the_same_bits_for_any_number_of_threads(monkeypatch):
    monkeypatch.setenv("FASTWEIGHTS_GRAIN", "0")
    x, y = data(700)
    found = []
    for threads in (1, 2, 3):
        model = compiled(dtype="float32")
        with fw.threads(threads):
            history = model.fit(x, y, 350, 2, verbose=0).history
            found.append((model.parameters.tobytes(), history, model.evaluate(x, y)))
    assert found[0] == found[1] == found[2]


def test_saved_loaded_and_copied_it_goes_on(tmp_path):
    x, y = data(64)
    model = three_headed(dtype="float32")
    model.compile("adam", LOSSES, metrics={"kind": ["accuracy"]}, loss_weights=WEIGHTS)
    model.fit(x, y, epochs=2, verbose=0)
    model.save(tmp_path / "model.safetensors")
    twins = [fw.load(tmp_path / "model.safetensors"), model.copy()]
    model.fit(x, y, epochs=4, initial_epoch=2, verbose=0)
    for twin in twins:
        assert twin.output_names == model.output_names
        twin.fit(x, y, epochs=4, initial_epoch=2, verbose=0)
        np.testing.assert_array_equal(twin.parameters, model.parameters)
        assert twin.evaluate(x, y, return_dict=True) == model.evaluate(x, y, return_dict=True)


def test_a_dict_of_outputs_comes_back_as_one(tmp_path):
    x, _ = data()
    inputs = fw.Input(6)
    hidden = layers.Dense(4)(inputs)
    model = fw.Model(inputs, {"a": layers.Dense(1)(hidden), "b": hidden}, seed=0)
    model.save(tmp_path / "model.safetensors")
    again = fw.load(tmp_path / "model.safetensors")
    assert list(again.predict(x)) == ["a", "b"]
    assert again.output_shape == ((1,), (4,))
    for name, values in model.predict(x).items():
        np.testing.assert_array_equal(again.predict(x)[name], values)
    alone = fw.Model(inputs, {"b": layers.Dense(2)(inputs)}, seed=0)
    assert list(alone.predict(x[:1].astype(np.float32))) == ["b"]
    alone.compile("sgd", {"b": "mse"}, metrics={"b": ["mae"]}, loss_weights={"b": 0.5})
    zeros = np.zeros((ROWS, 2))
    loss = alone.evaluate(x, {"b": zeros}, return_dict=True)["loss"]
    assert loss == pytest.approx(0.5 * np.mean(alone.predict(x)["b"] ** 2), rel=1e-5)


def test_forward_and_backward_take_each_outputs_gradient():
    model, (x, y) = compiled(), data(7)
    _, gradient, dx = model.loss_and_gradients(x, y)
    price, kind, sold = model.forward(x)
    labels = np.eye(3)[y["kind"]]
    dy = {
        "price": WEIGHTS["price"] * (price - y["price"]) / 7,
        "kind": -WEIGHTS["kind"] * labels / kind / 7,
        "sold": WEIGHTS["sold"] * (sold - y["sold"]) / (sold * (1 - sold)) / 7,
    }
    by_input = model.backward(dy)
    np.testing.assert_allclose(model.gradients, gradient, rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(by_input, dx, rtol=1e-9, atol=1e-13)


def refusals() -> dict[str, tuple]:
    x, y = data()
    model = compiled()
    return {
        "y: got .*, expected targets for 'price', 'kind', 'sold'": (model.fit, x, y["price"]),
        "y: got 2 entries": (model.fit, x, [y["price"], y["kind"]]),
        "y: got a dict of price": (model.evaluate, x, {"price": y["price"]}),
        r"y\['kind'\]": (model.fit, x, {**y, "kind": y["price"]}),
        r"y\['sold'\].* rows": (model.fit, x, {**y, "sold": y["sold"][:3]}),
        "loss: got 2 entries": (model.compile, "sgd", ["mse", "mse"]),
        "loss: got a dict of price": (model.compile, "sgd", {"price": "mse"}),
        "loss: got a dict of prize, kind, .*'price', 'kind'": (
            model.compile,
            "sgd",
            dict.fromkeys(("prize", "kind", "sold"), "mse"),
        ),
        "loss: got a dict of cost, .*'price'": (model.compile, "sgd", {"cost": "mse"}),
        "metrics: got 1 entries, .*'price'": (model.compile, "sgd", LOSSES, ["mae"]),
        "metrics: got 'mae', .*'price', 'kind', 'sold'": (model.compile, "sgd", LOSSES, "mae"),
        "metrics: got MeanSquaredError.*'price'": (
            model.compile,
            "sgd",
            LOSSES,
            fw.metrics.MeanSquaredError(),
        ),
        "metrics: got set, .*'price'": (model.compile, "sgd", LOSSES, {"mae"}),
        "dy: got 1 entries": (model.backward, [y["price"]]),
    }


@pytest.mark.parametrize("message", refusals())
def test_what_does_not_fit_is_refused(message):
    call, *arguments = refusals()[message]
    if "dy" in message:
        call.__self__.forward(arguments[0][0] @ np.ones((2, 6)))
    with pytest.raises((TypeError, ValueError), match=message):
        call(*arguments)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0], "loss_weights: got 1 entries"),
        ({"prize": 1.0}, "loss_weights: got 'prize'"),
        ([1.0, -1.0, 1.0], "loss_weights: got -1"),
        (2.0, "loss_weights: got"),
        ([1.0, float("nan"), 1.0], "loss_weights"),
    ],
)
def test_weights_that_do_not_fit_are_refused(weights, message):
    with pytest.raises((TypeError, ValueError), match=message):
        three_headed().compile("sgd", "mse", loss_weights=weights)


def test_an_input_and_one_value_twice_may_be_outputs():
    first, second = fw.Input(6, name="p"), fw.Input(6, name="q")
    made = layers.Dense(1, name="d")(layers.Add()([first, second]))
    model = fw.Model([second, first], [made, second, made, first], dtype="float64", seed=1)
    assert model.output_names == ("d", "q", "d_1", "p")
    model.compile("sgd", "mse")
    x, _ = data()
    y = x[:, :1]
    targets = {"d": y, "q": x, "d_1": 2 * y, "p": x}
    model.fit([2 * x, x], targets, verbose=0)
    predicted = fw.Model([second, first], made, dtype="float64").predict([2 * x, x])
    model.loss_and_gradients([2 * x, x], targets)
    kernel = (3 * x).T @ (2 * (predicted - y) + 2 * (predicted - 2 * y)) / ROWS
    np.testing.assert_allclose(model.gradients[:6], kernel[:, 0], rtol=1e-12)


@pytest.mark.parametrize("names", [("val", "other"), ("val_a", "a")])
def test_figures_of_a_history_have_names_of_their_own(names):
    inputs = fw.Input(6)
    model = fw.Model(inputs, {name: layers.Dense(1)(inputs) for name in names})
    with pytest.raises(ValueError, match=r"compile: got a figure 'val_.*loss' beside the"):
        model.compile("sgd", "mse")


def test_thousands_of_outputs_are_named_in_no_time():
    inputs = fw.Input(6)
    made = layers.Dense(1, name="d")(inputs)
    model = fw.Model(inputs, [made] * 3000)
    model.compile("sgd", "mse")
    assert model.output_names[-1] == "d_2999"
