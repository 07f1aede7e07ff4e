"""Models, copied by pickle and by copy.deepcopy, go on as they would have."""

from __future__ import annotations

import copy
import pickle

import layer_cases
import numpy as np
import pytest
from helpers import data, network, run_python, same_bits

import fastweights as fw
from fastweights import layers

X, Y = data(40)

WAYS = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{
        f"protocol {protocol}": lambda model, protocol=protocol: pickle.loads(
            pickle.dumps(model, protocol)
        )
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)
    },
}


@pytest.fixture(params=WAYS.values(), ids=WAYS)
def again(request):
    return request.param


class Doubled(layers.Layer):
    """Of nobody's but this module's: not registered."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def ops(self, x):
        return self.inner.ops(layers.op("add", x, x))

    def variables(self, input_shape):
        return self.inner.variables(input_shape)


class Stacked(fw.Sequential):
    """A class of one's own with something to remember."""

    def __init__(self):
        super().__init__([layers.Dense(3)], 5, "float64", seed=4)
        self.remark = "kept"


def goes_on_as(model, twin, x=X, y=Y):
    """Both do the same from here on, and have no memory in common."""
    assert type(twin) is type(model)
    assert not np.shares_memory(model.parameters, twin.parameters)
    for one in (model, twin):
        one.fit(x, y, 7, 2, verbose=0)
    same_bits(model.parameters, twin.parameters)
    same_bits(model.state, twin.state)
    assert twin.epochs_trained == model.epochs_trained
    assert [layer.name for layer in twin.layers] == [layer.name for layer in model.layers]
    assert twin.evaluate(x, y) == model.evaluate(x, y)


def mixed(dtype="float64"):
    """What draws, what remembers, and what is not trained."""
    model = fw.Sequential(
        [
            layers.Dense(8, "relu", kernel_regularizer="l2"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(3, trainable=False),
        ],
        5,
        dtype,
        seed=7,
    )
    model.compile("adam", "mse", ["mae"])
    return model


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("epochs", [0, 3])
def test_a_copy_goes_on_as_its_original(again, epochs, dtype):
    model = mixed(dtype)
    model.fit(X, Y, 7, epochs, verbose=0)
    goes_on_as(model, again(model))


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_what_the_optimizer_remembers_is_kept(again, optimizer):
    model = network(optimizer=optimizer)
    model.fit(X, Y, epochs=2, verbose=0)
    model.optimizer.learning_rate = 0.003
    twin = again(model)
    assert twin.optimizer is not model.optimizer
    goes_on_as(model, twin)


def test_every_layer_is_taken_along(again):
    for case in layer_cases.CASES.values():
        model = fw.Sequential([case.make()], case.shape, "float64", seed=0)
        twin = again(model)
        same_bits(twin.parameters, model.parameters)
        same_bits(twin.state, model.state)
        assert str(twin.config()) == str(model.config())


def test_graphs_keep_names_and_keys(again):
    one, other = fw.Input(5, name="one"), fw.Input(5, name="other")
    shared = layers.Dense(4, "tanh", name="shared")
    both = layers.Concatenate()([shared(one), shared(other)])
    outputs = {"left": layers.Dense(3)(both), "right": layers.Dense(3)(both)}
    model = fw.Model([one, other], outputs, "float64", seed=1, name="of two")
    model.compile("adam", "mse")
    x, y = {"one": X, "other": X[::-1]}, {"left": Y, "right": -Y}
    twin = again(model)
    assert (twin.name, twin.input_names) == ("of two", ("one", "other"))
    goes_on_as(model, twin, x, y)
    assert set(twin.predict(x)) == {"left", "right"}


def test_models_that_are_not_built_or_not_compiled(again):
    bare = again(fw.Sequential([layers.Dense(3)], 5, "float64", seed=2))
    assert bare.optimizer is None
    model = fw.Sequential([layers.Dense(6, "tanh"), layers.Dense(3)], dtype="float64", seed=3)
    model.compile("adam", "mse")
    goes_on_as_unbuilt = again(model)
    assert goes_on_as_unbuilt.input_shape is None
    for one in (model, goes_on_as_unbuilt):
        one.fit(X, Y, epochs=2, verbose=0)
    same_bits(model.parameters, goes_on_as_unbuilt.parameters)
    empty = again(fw.Sequential())
    empty.add(layers.Dense(3))
    assert len(empty.layers) == 1


def test_layers_and_models_of_ones_own_come_by_their_classes(again):
    model = fw.Sequential([Doubled(layers.Dense(4)), layers.Dense(3)], 5, "float64", seed=5)
    model.compile("adam", "mse")
    goes_on_as(model, again(model))
    own = Stacked()
    own.compile("sgd", "mse")
    twin = again(own)
    assert twin.remark == "kept"
    with pytest.raises(AttributeError, match="remark: is fixed once it is made"):
        twin.remark = "another"
    goes_on_as(own, twin)


def test_a_model_with_layers_of_another_becomes_one_of_its_own(again):
    x = fw.Input(5)
    hidden = layers.Dense(4, "tanh")(x)
    base = fw.Model(x, hidden, "float64", seed=1)
    model = fw.Model(x, layers.Dense(3)(hidden), "float64", seed=1)
    model.compile("sgd", "mse")
    twin, before = again(model), base.parameters.copy()
    twin.fit(X, Y, verbose=0)
    same_bits(base.parameters, before)
    same_bits(again(base).parameters, before)
    goes_on_as(model, again(model))


def test_precision_metadata_and_columns_stay(again):
    model = network()
    model.matmul_precision = "high"
    model.stop_training = True
    twin = again(model)
    assert (twin.matmul_precision, twin.stop_training) == ("high", True)


def test_states_of_rows_go_on(again):
    x = fw.Input((6, 2), batch_size=4)
    model = fw.Model(x, layers.LSTM(3, stateful=True)(x), "float64", seed=1)
    rows = np.random.default_rng(0).standard_normal((4, 6, 2))
    model.predict(rows)
    twin = again(model)
    same_bits(twin.predict(rows), model.predict(rows))


def test_a_model_in_the_middle_of_its_fit_is_copied_as_after_a_step(again):
    model, twins = network(), []

    class Copies(fw.callbacks.Callback):
        def on_epoch_end(self, epoch, logs):
            twins.append(again(self.model))

    model.fit(X, Y, 7, 2, verbose=0, callbacks=Copies())
    same_bits(twins[1].parameters, model.parameters)
    twins[0].fit(X, Y, 7, 1, verbose=0)
    same_bits(twins[0].parameters, model.parameters)


def test_another_process_has_the_same_model(tmp_path):
    model = mixed()
    model.fit(X, Y, 7, 2, verbose=0)
    path = tmp_path / "model.pickle"
    path.write_bytes(pickle.dumps((model, X, Y)))
    found = run_python(
        "import pickle, hashlib\n"
        f"model, x, y = pickle.load(open({str(path)!r}, 'rb'))\n"
        "model.fit(x, y, 7, 2, verbose=0)\n"
        "print(hashlib.sha256(model.parameters.tobytes()).hexdigest())"
    )
    import hashlib

    model.fit(X, Y, 7, 2, verbose=0)
    assert found.stdout.strip() == hashlib.sha256(model.parameters.tobytes()).hexdigest(), (
        found.stderr
    )


def test_cloudpickle_takes_classes_that_are_nowhere():
    cloudpickle = pytest.importorskip("cloudpickle")
    code = (
        "import sys, pickle\n"
        "import fastweights as fw\n"
        "from fastweights import layers\n"
        "import cloudpickle\n"
        "class Twice(layers.Layer):\n"
        "    def ops(self, x):\n"
        "        return layers.op('add', x, x)\n"
        "model = fw.Sequential([Twice()], 2)\n"
        "sys.stdout.write(cloudpickle.dumps(model).hex())"
    )
    found = run_python(code)
    model = cloudpickle.loads(bytes.fromhex(found.stdout))
    np.testing.assert_array_equal(model.predict([[1.0, 2.0]]), [[2.0, 4.0]])


def test_histories_and_callbacks_are_taken_along(again):
    early = fw.callbacks.EarlyStopping("loss", patience=3)
    history = network().fit(X, Y, epochs=2, verbose=0, callbacks=early)
    assert again(history).history == history.history
    assert again(early).best == early.best
