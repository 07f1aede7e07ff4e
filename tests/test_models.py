"""The model: names, flat vectors, prediction, evaluation, gradients; the oracle is plain NumPy."""

import copy
import itertools
import pickle
import warnings

import numpy as np
import pytest
import reference
from helpers import data, network, same_bits, twin

import fastweights as fw
from fastweights import layers, losses, metrics, optimizers

REALS = ("float32", "float64")


# ---- building ------------------------------------------------------------------------------------


def test_names_are_given_in_order_and_free_ones_taken():
    stack = [
        layers.Dense(1), layers.Dense(1, name="dense_2"), layers.Dense(1), layers.Dense(1),
        layers.Dense(1, name="dense"), layers.Dense(1),
    ]  # fmt: skip
    names = [layer.name for layer in fw.Sequential(stack).layers]
    assert names == ["dense_1", "dense_2", "dense_3", "dense_4", "dense", "dense_5"]


def test_a_name_of_the_models_own_is_not_the_layers_for_ever():
    first, second = layers.Dense(2), layers.Dense(3)
    for layer in (first, second):
        assert fw.Sequential([layer]).layers[0].name == "dense"
    assert [layer.name for layer in fw.Sequential([first, second]).layers] == ["dense", "dense_1"]


def test_a_layer_whose_ops_do_not_suit_their_kind_is_refused():
    class Narrow(layers.Layer):
        def ops(self, x):
            return layers.op("activation", x, shape=(1,))

        def config(self):
            return {"name": self.name}

    class Reversed(layers.Dense):
        def ops(self, x):
            return layers.op("dense", x, shape=(self.units,), variables=("bias", "kernel"))

    with pytest.raises(ValueError, match="expected sizes that suit its kind"):
        fw.Sequential([Narrow()], 3000).predict(np.zeros((2, 3000)))
    with pytest.raises(ValueError, match="some that follow each other"):
        fw.Sequential([Reversed(2)], 3)


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_a_copied_layer_belongs_to_no_model(again):
    model = network()
    layer = again(model.layers[0])
    assert layer.config() == model.layers[0].config()
    assert layer.weights == {}
    assert fw.Sequential([layer], 4).count_params() == 35


def test_layers_of_a_model_that_is_gone_are_free():
    stack = [layers.Dense(2)]
    model = fw.Sequential(stack, 3)
    with pytest.raises(ValueError, match="of another model, expected new layers"):
        fw.Sequential(stack, 3)
    kernel = model.get_weights()[0]
    del model
    with pytest.raises(ValueError, match=r"of shape \(4, 2\), expected such that it is \(3, 2\)"):
        fw.Sequential(stack, 4)
    same_bits(fw.Sequential(stack, 3).get_weights()[0], kernel)


@pytest.mark.parametrize(
    ("last", "loss"),
    [
        ("softmax", losses.CategoricalCrossentropy(from_logits=True)),
        ("softmax", losses.SparseCategoricalCrossentropy(from_logits=True)),
        ("softmin", losses.CategoricalCrossentropy(from_logits=True)),
        ("sparsemax", losses.SparseCategoricalCrossentropy(from_logits=True)),
        ("sigmoid", losses.BinaryCrossentropy(from_logits=True)),
        ("hard_sigmoid", losses.BinaryCrossentropy(from_logits=True)),
    ],
)
def test_probabilities_taken_for_logits_are_warned_of(last, loss):
    with pytest.warns(UserWarning, match=f"its activation {last} makes probabilities"):
        network(last=last, loss=loss)


@pytest.mark.parametrize("last", [None, "tanh", "log_softmax", "relu"])
@pytest.mark.parametrize(
    "loss", ["binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy"]
)
def test_logits_taken_for_probabilities_are_warned_of(last, loss):
    with pytest.warns(UserWarning, match=f"loss: {loss} takes the output of 'dense_1' for prob"):
        network(last=last, loss=loss)


@pytest.mark.parametrize("last", ["softmax", "softmin", "sparsemax"])
def test_a_softmax_over_one_unit_is_warned_of(last):
    with pytest.warns(UserWarning, match=f"the {last} of 'dense' is over one unit and always 1"):
        fw.Sequential([layers.Dense(1, last)], 3)


def test_layers_and_weights_are_named():
    stack = [layers.Flatten(), layers.Dense(4), layers.Dense(3, name="middle"), layers.Dense(2)]
    model = fw.Sequential([*stack, layers.Activation("relu")], input_shape=(2, 3))
    assert [layer.name for layer in stack] == ["flatten", "dense", "middle", "dense_1"]
    assert [weight.name for weight in model.weights] == [
        "dense/kernel", "dense/bias", "middle/kernel", "middle/bias",
        "dense_1/kernel", "dense_1/bias",
    ]  # fmt: skip
    assert [weight.shape for weight in model.weights] == [(6, 4), (4,), (4, 3), (3,), (3, 2), (2,)]


def test_given_names_come_first():
    stack = [layers.Dense(1), layers.Dense(1, name="dense"), layers.Dense(1, name="dense_2")]
    model = fw.Sequential([*stack, layers.Dense(1)], input_shape=1)
    assert [layer.name for layer in model.layers] == ["dense_1", "dense", "dense_2", "dense_3"]


def test_without_bias():
    model = fw.Sequential([layers.Dense(3, use_bias=False)], input_shape=2)
    assert [weight.name for weight in model.weights] == ["dense/kernel"]
    x = np.eye(2, dtype=np.float32)
    np.testing.assert_array_equal(model.predict(x), model.layers[0].kernel)


@pytest.mark.parametrize("dtype", REALS)
def test_flat_vectors(dtype):
    model = network((3, 5, 1), dtype=dtype)
    assert model.parameters.size == model.gradients.size == model.count_params() == 26
    for vector in (model.parameters, model.gradients):
        assert vector.dtype == dtype
        assert vector.ndim == 1
        assert vector.flags.c_contiguous
        assert vector.ctypes.data % 64 == 0
    np.testing.assert_array_equal(
        model.parameters, np.concatenate([w.ravel() for w in model.weights])
    )


def test_weights_are_live_views():
    model = network((2, 1), dtype="float32")
    (layer,) = model.layers
    model.parameters[:] = [1, 2, 3]
    np.testing.assert_array_equal(layer.kernel, [[1], [2]])
    np.testing.assert_array_equal(model.predict([[1, 1]]), [[6]])
    layer.bias[...] = 10
    model.weights[0][...] *= 2
    np.testing.assert_array_equal(model.parameters, [2, 4, 10])
    np.testing.assert_array_equal(model.predict([[1, 1]]), [[16]])


def test_a_layers_weights_change_in_place_only():
    (layer,) = network((2, 1)).layers
    layer.bias += 1.5
    assert layer.bias == 1.5
    with pytest.raises(
        AttributeError, match=r"kernel: is the model's own; write kernel\[\.\.\.\] = "
    ):
        layer.kernel = np.ones((2, 1))


def test_layers_have_no_weights_before_the_shape_is_known():
    model = fw.Sequential([layers.Dense(2)])
    with pytest.raises(AttributeError, match="once its model knows the input shape"):
        _ = model.layers[0].kernel
    with pytest.raises(AttributeError, match=r"no attribute 'kernl'$"):
        _ = network().layers[0].kernl


@pytest.mark.parametrize("first", ["fit", "train_on_batch", "loss_and_gradients", "build"])
def test_a_model_without_shape_is_built_at_its_first_rows(first):
    x, y = data(9)
    late = fw.Sequential([layers.Dense(4, "relu"), layers.Dense(3)], dtype="float64", seed=5)
    late.compile("sgd", "mse")
    early = fw.Sequential([layers.Dense(4, "relu"), layers.Dense(3)], 5, "float64", 5)
    arguments = {"build": (5,), "fit": (x, y, 32, 1, 0)}.get(first, (x, y))
    assert late.input_shape is None
    getattr(late, first)(*arguments)
    assert late.input_shape == (5,)
    assert late.output_shape == (3,)
    if first in ("fit", "train_on_batch"):
        early.compile("sgd", "mse")
        early.train_on_batch(x, y) if first == "train_on_batch" else early.fit(x, y, verbose=0)
    same_bits(late.parameters, early.parameters)


@pytest.mark.parametrize("first", ["predict", "evaluate", "forward", "__call__"])
def test_weights_that_nobody_has_trained_are_not_used_unasked(first):
    x, y = data(9)
    model = fw.Sequential([layers.Dense(3)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="input_shape: got none, expected one"):
        getattr(model, first)(*((x, y) if first == "evaluate" else (x,)))
    assert model.input_shape is None


def test_one_feature_may_come_as_a_vector():
    model = fw.Sequential([layers.Dense(1)], seed=0)
    model.compile("sgd", "mse")
    x = np.linspace(-1, 1, 10)
    model.fit(x, 2 * x, verbose=0)
    assert model.input_shape == (1,)
    same_bits(model.predict(x), model.predict(x[:, np.newaxis]))


@pytest.mark.parametrize("seed", [0, 1, 2**63, 2**64 - 1])
def test_one_seed_one_result(seed):
    x, y = data(50)
    first, second = (network(seed=seed, dtype="float32") for _ in range(2))
    same_bits(first.parameters, second.parameters)
    for model in (first, second):
        model.fit(x, y, 16, 3, verbose=0)
    same_bits(first.parameters, second.parameters)


def test_seeds_differ():
    drawn = [network(seed=seed).parameters for seed in (0, 1, 2**64 - 1, None, None)]
    for a, b in itertools.combinations(drawn, 2):
        assert (a != b).any()


def test_float32_starts_at_float64_rounded():
    single, double = (network(dtype=dtype) for dtype in REALS)
    same_bits(single.parameters, double.parameters.astype(np.float32))


def test_equal_layers_start_differently():
    first, second = fw.Sequential([layers.Dense(4), layers.Dense(4)], 4, seed=0).layers
    assert (first.kernel != second.kernel).any()


def test_numpys_random_state_is_left_alone():
    before = pickle.dumps(np.random.get_state())  # noqa: NPY002
    network(seed=None).fit(*data(20), verbose=0)
    assert pickle.dumps(np.random.get_state()) == before  # noqa: NPY002


def test_each_layer_belongs_to_one_model():
    layer = layers.Dense(2)
    with pytest.raises(ValueError, match=r"layers: got .* twice, expected a layer of its own"):
        fw.Sequential([layer, layer])
    first, second = fw.Sequential([layer]), fw.Sequential([layer])
    first.build(3)
    with pytest.raises(ValueError, match="layers: got 'dense' of another model"):
        second.build(3)
    with pytest.raises(ValueError, match="layers: got "):
        fw.Sequential([layer], input_shape=3)
    assert second.input_shape is None
    assert np.shares_memory(layer.kernel, first.parameters)


def test_summary(capsys):
    model = fw.Sequential(
        [
            layers.Flatten(),
            layers.Dense(1000, "relu", name="wide"),
            layers.Dense(1, use_bias=False),
        ],
        input_shape=(2, 3),
        dtype="float64",
    )
    model.summary()
    assert capsys.readouterr().out == (
        "Layer              Output shape  Weights  Biases\n"
        "------------------------------------------------\n"
        "flatten (Flatten)  (None, 6)           0       0\n"
        "wide (Dense)       (None, 1000)    6,000   1,000\n"
        "dense (Dense)      (None, 1)       1,000       0\n"
        "------------------------------------------------\n"
        "Total parameters: 8,000 (64,000 bytes, float64)\n"
        f"To train on batches of 32: {model.memory(32)['total']:,} bytes beside the data\n"
    )


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("batch_size", [1, 32, 5000])
def test_memory_is_what_is_then_allocated(optimizer, batch_size):
    model = network((5, 40, 3), optimizer=optimizer)
    told = model.memory(batch_size)
    assert not model._compiled.plans
    model.train_on_batch(*data(batch_size))
    memory = model._compiled.memory
    running = memory.numbers.nbytes + memory.batches.nbytes
    assert told == {
        "parameters": model.parameters.nbytes,
        "gradients": model.gradients.nbytes,
        "optimizer": model._compiled.memory.vectors.nbytes,
        "copies": sum(array.nbytes for array in model._compiled.good_for(model._built).arrays)
        - running,
        "arena": model._compiled.plans["fit"].arena_bytes,
        "total": sum(told.values()) - told["total"],
    }
    assert told["optimizer"] == {"sgd": 0, "adam": 2}[optimizer] * told["parameters"]


def test_memory_of_a_network_that_would_not_fit():
    model = network((5, 40, 3))
    assert model.memory(2**40)["arena"] > 0
    with pytest.raises(ValueError, match="batch_size: got 0"):
        model.memory(0)


def test_get_and_set_weights():
    model, other = network(seed=0), network(seed=1)
    kept = model.get_weights()
    assert all(not np.shares_memory(array, model.parameters) for array in kept)
    other.set_weights(kept)
    same_bits(other.parameters, model.parameters)
    other.set_weights([array.tolist() for array in kept])
    same_bits(other.parameters, model.parameters)


def test_set_weights_may_take_the_models_own():
    model = network((2, 2, 2))
    first, bias, second, other_bias = model.get_weights()
    weights = model.weights
    model.set_weights([weights[2], weights[1], weights[0], weights[3]])
    np.testing.assert_array_equal(
        model.parameters, np.concatenate([second.ravel(), bias, first.ravel(), other_bias])
    )


@pytest.mark.parametrize("dtype", REALS)
def test_copy(dtype):
    model = network(metrics=("mae",), optimizer="adam", dtype=dtype)
    x, y = data(20)
    model.fit(x, y, verbose=0)
    other = model.copy()
    same_bits(other.parameters, model.parameters)
    assert not np.shares_memory(other.parameters, model.parameters)
    assert other.evaluate(x, y) == model.evaluate(x, y)
    other.fit(x, y, verbose=0)
    assert (other.parameters != model.parameters).any()
    assert model.copy("float64").dtype == np.float64


# ---- prediction ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", REALS)
@pytest.mark.parametrize("activation", [*reference.ACTIVATIONS, *reference.ROW_ACTIVATIONS])
def test_predict_agrees_with_the_oracle(activation, dtype):
    model = network((5, 9, 4), activation, activation, dtype=dtype)
    x, _ = data(40)
    x = x.astype(dtype)
    expected = twin(model).forward(x)
    predicted = model.predict(x)
    assert predicted.dtype == dtype
    tolerance = 3e-6 if dtype == "float32" else 2e-14
    relative = tolerance if activation == "exponential" else 0  # which is large
    np.testing.assert_allclose(predicted, expected, rtol=relative, atol=tolerance)


@pytest.mark.parametrize("dtype", REALS)
@pytest.mark.parametrize("width", [1, 2, 3, 7, 8, 9, 15, 16, 17, 33, 130])
def test_predict_for_many_widths(width, dtype):
    model = network((width, width, width), dtype=dtype)
    for rows in (1, 2, 3, 13):
        x, _ = data(rows, width)
        expected = twin(model).forward(x.astype(dtype))
        tolerance = 1e-5 if dtype == "float32" else 1e-13
        np.testing.assert_allclose(model.predict(x), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("rows", [1, 255, 256, 257, 1000])
def test_a_row_has_the_same_bits_alone_and_among_others(rows):
    model = network((5, 33, 3), "gelu", "softmax", dtype="float32")
    x, _ = data(1000)
    x = x[:rows]
    predicted = model.predict(x)
    for row in {0, rows // 2, rows - 1}:
        same_bits(predicted[row : row + 1], model.predict(x[row : row + 1]))
    same_bits(predicted, model.forward(x))
    same_bits(predicted, model.predict_on_batch(x))


def test_a_prediction_is_the_callers_own():
    model = network()
    x, _ = data(4)
    first = model.predict(x)
    kept = first.copy()
    model.predict(-x)
    np.testing.assert_array_equal(first, kept)


def test_predict_needs_no_compile():
    model = fw.Sequential([layers.Dense(3)], input_shape=5)
    assert model.predict(data(2)[0]).shape == (2, 3)


# ---- evaluation ----------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 7, 256, 257, 1000])
def test_evaluate_agrees_with_the_oracle(rows):
    model = network(metrics=("mae", "rmse", "r2"))
    x, y = data(rows)
    oracle = twin(model)
    predicted = oracle.forward(x)
    names = ("mean_absolute_error", "root_mean_squared_error", "r2_score")
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = [oracle.loss(x, y), *(reference.METRICS[name](predicted, y) for name in names)]
    if rows == 1:
        expected[-1] = np.nan
    np.testing.assert_allclose(model.evaluate(x, y), expected, rtol=1e-12)
    found = model.evaluate(x, y, return_dict=True)
    assert list(found) == ["loss", "mae", "rmse", "r2"]
    np.testing.assert_allclose(list(found.values()), expected, rtol=1e-12)


def test_evaluate_without_metrics_is_a_number():
    model = network()
    x, y = data(9)
    assert isinstance(model.evaluate(x, y), float)
    assert model.evaluate(x, y, return_dict=True) == {"loss": model.evaluate(x, y)}


@pytest.mark.parametrize("batch_size", [1, 7, 32, 256, 300, 1000])
def test_metrics_do_not_depend_on_the_batches(batch_size):
    standing = optimizers.SGD(learning_rate=0.0)
    model = network((5, 4), last="softmax", optimizer=standing, loss="categorical_crossentropy",
                    metrics=("accuracy", "rmse"), dtype="float32")  # fmt: skip
    random = np.random.default_rng(0)
    x, y = random.standard_normal((777, 5)), np.eye(4)[random.integers(0, 4, 777)]
    history = model.fit(x, y, batch_size, verbose=0).history
    expected = model.evaluate(x, y, return_dict=True)
    right = int((model.predict(x).argmax(axis=1) == y.argmax(axis=1)).sum())
    assert history["accuracy"] == [right / 777] == [expected["accuracy"]]
    assert history["rmse"] == pytest.approx([expected["rmse"]], rel=1e-12)
    assert history["loss"] == pytest.approx([expected["loss"]], rel=1e-12)


def test_metrics_may_be_objects():
    model = network(
        (5, 1),
        last="sigmoid",
        loss="bce",
        metrics=("accuracy", metrics.BinaryAccuracy("strict", 0.9)),
    )
    x, _ = data(30)
    y = (x.sum(axis=1) > 0).astype(int)
    found = model.evaluate(x, y, return_dict=True)
    for name, threshold in (("accuracy", 0.5), ("strict", 0.9)):
        assert found[name] == ((model.predict(x)[:, 0] > threshold) == y).mean()


# ---- gradients -----------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 5, 256, 300])
def test_loss_and_gradients_agree_with_the_oracle(rows):
    model = network((5, 8, 7, 3), "tanh", "sigmoid")
    x, y = data(rows)
    before = model.parameters.copy()
    oracle = twin(model)
    loss, gradient, dx = model.loss_and_gradients(x, y)
    expected, expected_dx = oracle.gradients(x, y)
    assert loss == pytest.approx(oracle.loss(x, y), rel=1e-13)
    np.testing.assert_allclose(
        gradient, expected, rtol=0, atol=1e-15 + 1e-13 * np.abs(expected).max()
    )
    np.testing.assert_allclose(dx, expected_dx, rtol=0, atol=1e-15)
    same_bits(gradient, model.gradients)
    same_bits(model.parameters, before)


@pytest.mark.parametrize("method", ["BFGS", "CG", "Newton-CG", "trust-constr", "L-BFGS-B"])
def test_scipy_minimises(method):
    """Some of its methods keep the gradient that they were given last."""
    optimize = pytest.importorskip("scipy.optimize")
    model = network((5, 1))
    x, _ = data(60)
    y = x @ np.arange(1.0, 6.0) + 3.0

    def loss(parameters):
        model.parameters[:] = parameters
        return model.loss_and_gradients(x, y)[:2]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own, about steps that were good enough
        found = optimize.minimize(loss, model.parameters.copy(), jac=True, method=method, tol=1e-9)
    np.testing.assert_allclose(found.x, [1, 2, 3, 4, 5, 3], atol=1e-4)


def test_gradients_are_the_callers_own():
    """SciPy keeps the array that it was given last; the live vector would change under it."""
    model = network()
    _, first, dx = model.loss_and_gradients(*data(9))
    kept, kept_dx = first.copy(), dx.copy()
    first_again = model.loss_and_gradients(*data(9, seed=1))[1]
    same_bits(first, kept)
    same_bits(dx, kept_dx)
    assert not np.shares_memory(first, first_again)
    assert not np.shares_memory(first, model.gradients)


@pytest.mark.parametrize("rows", [1, 9, 300])
def test_your_own_loss(rows):
    x, y = data(rows)
    own, builtin = (network(optimizer="adam") for _ in range(2))
    for _ in range(3):
        builtin.train_on_batch(x, y)
        dx = own.backward(2 * (own.forward(x, training=True) - y) / y.size)
        own.apply_gradients()
    np.testing.assert_allclose(own.parameters, builtin.parameters, rtol=1e-12)
    assert dx.shape == x.shape


def test_forward_and_backward_need_no_compile():
    model = fw.Sequential([layers.Dense(6, "gelu"), layers.Dense(3)], 5, "float64", seed=0)
    x, y = data(7)
    dx = model.backward(2 * (model.forward(x) - y) / y.size)
    expected, expected_dx = twin(model).gradients(x, y)
    np.testing.assert_allclose(model.gradients, expected, rtol=1e-12)
    np.testing.assert_allclose(dx, expected_dx, rtol=1e-12)


def test_backward_may_come_twice_and_keeps_its_own_rows():
    model = network(optimizer="adam")
    x, y = data(7)
    rows = x.copy()
    dy = model.forward(rows) - y
    rows[:] = 0
    model.predict(-x)
    model.evaluate(*data(40))
    model.loss_and_gradients(*data(40))
    first = model.backward(dy).copy(), model.gradients.copy()
    second = model.backward(dy), model.gradients
    for a, b in zip(first, second, strict=True):
        same_bits(a, b)
    alone = network()
    alone.forward(x)
    same_bits(alone.backward(dy), first[0])


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model.train_on_batch(*data(7)),
        lambda model: model.fit(*data(7), verbose=0),
        lambda model: model.apply_gradients(),
        lambda model: model.set_weights([2 * w for w in model.get_weights()]),
        lambda model: model.parameters.__imul__(2),
        lambda model: model.layers[1].kernel.__setitem__((0, 0), 7.0),
        lambda model: model.compile("adam", "mae"),
    ],
    ids=["train_on_batch", "fit", "apply", "set_weights", "parameters", "kernel", "compile"],
)
def test_backward_needs_the_weights_of_its_forward(change):
    model = network(optimizer="adam")
    dy = model.forward(data(7)[0])
    model.backward(dy)
    change(model)
    with pytest.raises(ValueError, match=r"backward: got (weights that were changed|no forward)"):
        model.backward(dy)


def test_gradient_descent_by_hand_is_sgd():
    x, y = data(25)
    by_hand, by_fit = (network(optimizer=optimizers.SGD(0.1), dtype="float64") for _ in range(2))
    for _ in range(20):
        _, gradient, _ = by_hand.loss_and_gradients(x, y)
        by_hand.parameters[:] -= 0.1 * gradient
    by_fit.fit(x, y, 25, 20, verbose=0, shuffle=False)
    # A step rounds once where NumPy rounds twice.
    np.testing.assert_allclose(by_hand.parameters, by_fit.parameters, rtol=1e-13)


def test_the_flat_vectors_suit_a_line_search():
    model = network()
    x, y = data(25)
    loss, gradient, _ = model.loss_and_gradients(x, y)
    start, direction = model.parameters.copy(), -gradient
    step = 1.0
    while True:
        model.parameters[:] = start + step * direction
        if model.loss_and_gradients(x, y)[0] < loss:
            break
        step /= 2
    assert step > 1e-6


# ---- layers --------------------------------------------------------------------------------------


def pair_of_models(first, second, input_shapes, loss="mse"):
    for stack, shape in zip((first, second), input_shapes, strict=True):
        model = fw.Sequential(stack, input_shape=shape, seed=3, dtype="float32")
        model.compile("adam", loss)
        yield model


def assert_train_alike(first, second, x, y, other_x=None):
    other_x = x if other_x is None else other_x
    first.fit(x, y, 8, 3, verbose=0)
    second.fit(other_x, y, 8, 3, verbose=0)
    same_bits(first.parameters, second.parameters)
    same_bits(first.predict(x), second.predict(other_x))
    _, gradient, dx = first.loss_and_gradients(x, y)
    _, other_gradient, other_dx = second.loss_and_gradients(other_x, y)
    same_bits(gradient, other_gradient)
    assert (dx.shape, other_dx.shape) == (x.shape, other_x.shape)
    same_bits(dx.reshape(-1), other_dx.reshape(-1))


def test_flatten():
    x = np.random.default_rng(0).standard_normal((21, 2, 3)).astype(np.float32)
    first, second = pair_of_models(
        [layers.Flatten(), layers.Dense(4, "tanh"), layers.Dense(1)],
        [layers.Dense(4, "tanh"), layers.Dense(1)],
        [(2, 3), 6],
    )
    assert_train_alike(first, second, x, x[:, 0, 0], x.reshape(21, 6))


@pytest.mark.parametrize("activation", [*reference.ACTIVATIONS])
def test_an_activation_of_its_own(activation):
    x, y = data(21)
    # The initializer is named: "auto" would look at the activation.
    first, second = pair_of_models(
        [layers.Dense(9, activation, kernel_initializer="he_normal"), layers.Dense(3)],
        [
            layers.Dense(9, kernel_initializer="he_normal"),
            layers.Activation(activation),
            layers.Dense(3),
        ],
        [5, 5],
    )
    assert_train_alike(first, second, x, y)


@pytest.mark.parametrize("activation", ["tanh", "relu", "linear", *reference.ROW_ACTIVATIONS])
def test_an_activation_may_come_first(activation):
    model = fw.Sequential([layers.Activation(activation), layers.Dense(3)], 5, "float64", seed=0)
    model.compile("sgd", "mse")
    x, y = data(30)
    hidden = reference.activate(activation, x)
    head = network((5, 3), seed=0)
    head.set_weights(model.get_weights())
    model.fit(x, y, 8, 3, verbose=0)
    head.fit(hidden, y, 8, 3, verbose=0)
    np.testing.assert_allclose(model.parameters, head.parameters, rtol=1e-11)
    dx = model.loss_and_gradients(x, y)[2]
    expected = reference.activate_backward(activation, x, head.loss_and_gradients(hidden, y)[2])
    np.testing.assert_allclose(dx, expected, rtol=1e-9, atol=1e-15)


def test_a_model_without_parameters():
    model = fw.Sequential([layers.Flatten()], input_shape=(2, 2), dtype="float64")
    model.compile("adam", "mse")
    x = np.arange(12.0).reshape(3, 2, 2)
    np.testing.assert_array_equal(model.predict(x), x.reshape(3, 4))
    assert model.count_params() == 0
    assert model.fit(x, np.zeros((3, 4)), verbose=0).history["loss"] == [(x**2).mean()]


FUSED = [
    ("softmax", "sparse_categorical_crossentropy", losses.SparseCategoricalCrossentropy),
    ("softmax", "categorical_crossentropy", losses.CategoricalCrossentropy),
    ("sigmoid", "binary_crossentropy", losses.BinaryCrossentropy),
]


@pytest.mark.parametrize("own_layer", [True, False])
@pytest.mark.parametrize(("last", "name", "kind"), FUSED)
def test_a_fused_activation_trains_as_logits_do(last, name, kind, own_layer):
    random = np.random.default_rng(2)
    labels = random.integers(0, 4, 37)
    x, y = (
        random.standard_normal((37, 5)),
        labels if name.startswith("sparse") else np.eye(4)[labels],
    )
    end = [layers.Dense(4), layers.Activation(last)] if own_layer else [layers.Dense(4, last)]
    fused = fw.Sequential([layers.Dense(6, "tanh"), *end], 5, seed=1)
    fused.compile("adam", name)
    logits = fw.Sequential([layers.Dense(6, "tanh"), layers.Dense(4)], 5, seed=1)
    logits.compile("adam", kind(from_logits=True))
    for model in (fused, logits):
        model.fit(x, y, 10, 3, verbose=0)
    same_bits(fused.parameters, logits.parameters)
    assert fused.evaluate(x, y) == logits.evaluate(x, y)
    expected = reference.activate(last, logits.predict(x).astype(float))
    np.testing.assert_allclose(fused.predict(x), expected, atol=1e-6)


@pytest.mark.parametrize("use", ["predict", "evaluate"])
def test_keras_arguments_change_nothing(use, capsys):
    model, (x, y) = network((5, 4, 3)), data(40)
    call = getattr(model, use)
    arguments = (x,) if use == "predict" else (x, y)
    np.testing.assert_array_equal(call(*arguments), call(*arguments, batch_size=7, verbose=1))
    assert capsys.readouterr().out == ""
    with pytest.raises(ValueError, match="batch_size: got 0"):
        call(*arguments, batch_size=0)
    with pytest.raises(ValueError, match="verbose: got 3"):
        call(*arguments, verbose=3)


def test_targets_of_several_dimensions_may_have_the_output_shape():
    model = fw.Sequential([layers.Activation("tanh")], input_shape=(2, 3), seed=0)
    model.compile(loss="mse")
    x, y = np.zeros((4, 2, 3)), np.ones((4, 2, 3))
    assert model.evaluate(x, y) == model.evaluate(x, y.reshape(4, 6)) == 1.0
