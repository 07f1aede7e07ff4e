"""Networks of any form: inputs, calls of layers, `fw.Model`, and stacks that grow and shrink."""

import copy
import json
import pickle
import sys

import numpy as np
import pytest
from helpers import data, same_bits

import fastweights as fw
from fastweights import layers


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def graph(dtype="float64", optimizer="adam", named_by=list):
    """Two inputs that meet; a layer called twice in a row; a skip; a tensor that several read."""
    left, right = fw.Input(3, name="left"), fw.Input(4, name="right")
    one, two = layers.Dense(5, "tanh", name="one"), layers.Dense(5, "tanh", name="two")
    shared = layers.Dense(5, "sigmoid", name="shared")
    met = layers.Add()([one(left), two(right)])
    last = layers.Dense(2, name="last")(layers.Concatenate()([shared(shared(met)), met, left]))
    inputs = {"left": left, "right": right} if named_by is dict else named_by([left, right])
    model = fw.Model(inputs, last, dtype=dtype, seed=3)
    model.compile(optimizer, "mse", ["mae"])
    return model


def answer(model, left, right):
    """What `graph` computes, in plain NumPy."""
    one, two, shared, last = (model.get_layer(name) for name in ("one", "two", "shared", "last"))
    met = np.tanh(left @ one.kernel + one.bias) + np.tanh(right @ two.kernel + two.bias)
    twice = sigmoid(sigmoid(met @ shared.kernel + shared.bias) @ shared.kernel + shared.bias)
    return np.concatenate([twice, met, left], axis=1) @ last.kernel + last.bias


def pairs(rows=30, seed=0):
    """Rows of both inputs, and targets."""
    x, y = data(rows, 7, 2, seed)
    return [x[:, :3].copy(), x[:, 3:].copy()], y


# ---- several inputs ------------------------------------------------------------------------------


@pytest.mark.parametrize("named_by", [list, tuple, dict])
def test_inputs_come_in_lists_and_dicts(named_by):
    model, ((left, right), _) = graph(named_by=named_by), pairs()
    expected = answer(model, left, right)
    for x in (
        [left, right], (left, right), {"left": left, "right": right},
        {"right": right, "left": left}, [left.tolist(), np.asfortranarray(right)],
    ):  # fmt: skip
        np.testing.assert_allclose(model.predict(x), expected, rtol=1e-13)
        same_bits(model(x), model.predict(x))
        same_bits(model.forward(x), model.predict(x))
    assert model.input_names == ("left", "right")
    assert model.input_shape == ((3,), (4,))
    assert model.output_shape == (2,)


def test_the_keys_of_a_dict_name_the_inputs():
    a, b = fw.Input(2, name="a"), fw.Input(2)
    model = fw.Model({"one": a, "two": b}, layers.Dense(1)(layers.Concatenate()([b, a])))
    assert model.input_names == ("one", "two")
    nameless = [fw.Input(2) for _ in range(3)]
    model = fw.Model(nameless, layers.Dense(1)(layers.Add()(*nameless)))
    assert model.input_names == ("input", "input_1", "input_2")
    (only,) = inputs = [fw.Input(2, name="x")]
    model, x = fw.Model(inputs, layers.Dense(1)(only), seed=0), np.ones((5, 2))
    for given in (x, [x], (x,), {"x": x}):
        same_bits(model.predict(given), model.predict(x))


def test_the_order_of_inputs_is_that_of_the_model_not_of_calls():
    a, b = fw.Input(2), fw.Input(3)
    last = layers.Dense(1)(layers.Concatenate()([layers.Dense(2)(b), layers.Dense(2)(a)]))
    model = fw.Model([b, a], last)
    assert model.input_shape == ((3,), (2,))
    assert model.predict([np.ones((4, 3)), np.ones((4, 2))]).shape == (4, 1)


def test_gradients_of_several_inputs():
    model, (x, y) = graph(), pairs(6)
    report = fw.check_gradients(model, x, y)
    assert report, report
    assert [row.name for row in report.rows[-2:]] == ["left", "right"]
    loss, gradient, dx = model.loss_and_gradients(x, y)
    assert loss == pytest.approx(np.mean((answer(model, *x) - y) ** 2), rel=1e-13)
    assert [part.shape for part in dx] == [part.shape for part in x]
    output = model.forward(x)
    parts = model.backward(2 * (output - y) / y.size)
    np.testing.assert_allclose(model.gradients, gradient, rtol=1e-11, atol=1e-15)
    for part, expected in zip(parts, dx, strict=True):
        np.testing.assert_allclose(part, expected, rtol=1e-11, atol=1e-15)


def test_evaluate_fit_and_steps_take_several_inputs():
    model, teacher, (x, _) = graph(), graph(), pairs(200)
    teacher.parameters[:] *= -1
    y = teacher.predict(x)
    loss, mae = model.evaluate(x, y)
    assert loss == pytest.approx(np.mean((answer(model, *x) - y) ** 2), rel=1e-13)
    assert mae == pytest.approx(np.mean(np.abs(answer(model, *x) - y)), rel=1e-13)
    assert model.train_on_batch(x, y) == [loss, pytest.approx(mae, rel=1e-13)]
    history = model.fit(x, y, 32, 60, verbose=0).history
    assert history["loss"][-1] < 0.5 * history["loss"][0]


def test_rows_of_all_inputs_are_shuffled_and_held_out_together():
    """Targets are a function of both inputs' rows, so that rows that came apart would show."""
    (left, right), _ = pairs(400)
    y = left[:, :1] * right[:, :1] + np.array([[0.0, 1.0]])
    one, other = graph(), graph()
    kept = slice(None, 300), slice(300, None)
    split = one.fit([left, right], y, 16, 3, verbose=0, validation_split=0.25).history
    given = other.fit(
        {"right": right[kept[0]], "left": left[kept[0]]}, y[kept[0]], 16, 3, verbose=0,
        validation_data=((left[kept[1]], right[kept[1]]), y[kept[1]]),
    ).history  # fmt: skip
    assert split == given
    same_bits(one.parameters, other.parameters)
    stepped = graph()
    for _ in range(3):
        for first in range(0, 300, 16):
            rows = slice(first, min(first + 16, 300))
            stepped.train_on_batch([left[rows], right[rows]], y[rows])
    in_order = graph()
    in_order.fit([left[:300], right[:300]], y[:300], 16, 3, verbose=0, shuffle=False)
    same_bits(stepped.parameters, in_order.parameters)


def test_the_same_bits_for_every_number_of_threads(monkeypatch):
    monkeypatch.setenv("FASTWEIGHTS_GRAIN", "0")
    x, y = pairs(500)
    found = []
    for threads in (1, 2, 3, 4):
        with fw.threads(threads):
            model = graph("float32")
            model.fit(x, y, 64, 2, verbose=0)
            found.append([model.parameters, model.predict(x), *model.loss_and_gradients(x, y)[1:]])
    for other in found[1:]:
        same_bits(np.concatenate(other[:1]), np.concatenate(found[0][:1]))
        same_bits(other[1], found[0][1])
        same_bits(other[2], found[0][2])
        for part, expected in zip(other[3], found[0][3], strict=True):
            same_bits(part, expected)


# ---- graphs --------------------------------------------------------------------------------------

MERGES = [
    (layers.Add, sum),
    (layers.Average, lambda parts: np.mean(parts, axis=0)),
    (layers.Multiply, lambda parts: np.prod(parts, axis=0)),
]
SMOOTH = {"linear": lambda z: z, "tanh": np.tanh, "sigmoid": sigmoid}


def random_graph(seed):
    """A model of random form, rows for it, and what plain NumPy makes of them."""
    random = np.random.default_rng(seed)
    inputs = [fw.Input(int(random.integers(1, 5))) for _ in range(random.integers(1, 4))]
    rows = [random.standard_normal((3, *tensor.shape[1:])) for tensor in inputs]
    #: Tensors, with what computes them once the model is built.
    values = [(tensor, lambda x=x: x) for tensor, x in zip(inputs, rows, strict=True)]
    dense, unread = [], set(range(len(inputs)))

    def add(tensor, compute, *reads):
        unread.difference_update(reads)
        unread.add(len(values))
        values.append((tensor, compute))

    def call(layer, at):
        function, compute = SMOOTH[layer.activation.name], values[at][1]
        add(layer(values[at][0]), lambda: function(compute() @ layer.kernel + layer.bias), at)

    for _ in range(random.integers(3, 12)):
        at = int(random.integers(len(values)))
        alike = [i for i, (tensor, _) in enumerate(values) if tensor.shape == values[at][0].shape]
        others = random.choice(alike, 2).tolist()
        kind = random.choice(["dense", "again", "merge", "concatenate", "flatten"])
        fitting = [layer for layer in dense if layer.input.shape == values[at][0].shape]
        if kind == "again" and fitting:
            call(fitting[0], at)
            dense.remove(fitting[0])  # which has one input no longer
        elif kind == "merge":
            merge, fold = MERGES[random.integers(len(MERGES))]
            tensor = merge()([values[i][0] for i in (at, *others)])
            parts = [values[i][1] for i in (at, *others)]
            add(tensor, lambda p=parts, fold=fold: fold([part() for part in p]), at, *others)
        elif kind == "concatenate":
            tensor = layers.Concatenate()(values[at][0], values[0][0])
            parts = values[at][1], values[0][1]
            add(tensor, lambda parts=parts: np.concatenate([p() for p in parts], 1), at, 0)
        elif kind == "flatten":
            add(layers.Flatten()(values[at][0]), values[at][1], at)
        else:
            dense.append(layers.Dense(int(random.integers(1, 5)), str(random.choice([*SMOOTH]))))
            call(dense[-1], at)
    last = sorted(unread)
    parts = [values[i][1] for i in last]
    tensor = (
        values[last[0]][0] if len(last) == 1 else layers.Concatenate()([values[i][0] for i in last])
    )
    add(tensor, lambda: np.concatenate([part() for part in parts], 1), *last)
    call(layers.Dense(2, "tanh"), len(values) - 1)
    model = fw.Model(inputs, values[-1][0], "float64", seed)
    model.compile("adam", "mse")
    return model, rows, values[-1][1]


@pytest.mark.parametrize("seed", range(40))
def test_random_graphs(seed, tmp_path):
    model, x, compute = random_graph(seed)
    model.parameters[:] += 0.1
    np.testing.assert_allclose(model.predict(x), compute(), rtol=1e-12, atol=1e-14)
    y = np.random.default_rng(seed).standard_normal((3, 2))
    report = fw.check_gradients(model, x, y)
    assert report, report
    model.fit(x, y, 2, 2, verbose=0)
    np.testing.assert_allclose(model.predict(x), compute(), rtol=1e-12, atol=1e-14)
    model.save(tmp_path / "m.safetensors")
    again = fw.load(tmp_path / "m.safetensors")
    for each in (model, again):
        each.fit(x, y, 2, 2, verbose=0)
    same_bits(again.parameters, model.parameters)
    same_bits(again.predict(x), model.predict(x))


def test_a_step_follows_the_gradient_where_several_ops_read_an_input():
    """No gradient by it is wanted, though its readers have one for what else they read."""
    a, b = fw.Input(3), fw.Input(3)
    first = layers.Add()(layers.Dense(3, "tanh")(b), a)
    model = fw.Model([a, b], layers.Dense(1)(layers.Concatenate()(first, a, b)), "float64", 0)
    model.compile(fw.optimizers.SGD(0.25), "mse")
    x, y = list(np.random.default_rng(0).standard_normal((2, 40, 3))), np.ones((40, 1))
    before, (_, gradient, _) = model.parameters.copy(), model.loss_and_gradients(x, y)
    model.train_on_batch(x, y)
    np.testing.assert_allclose(model.parameters, before - 0.25 * gradient, rtol=1e-12)


def test_a_shared_layer_has_its_weights_once():
    x = fw.Input(4)
    layer = layers.Dense(4, "tanh")
    model = fw.Model(x, layer(layer(layer(x))), "float64", 0)
    assert model.count_params() == 20
    assert model.layers == (layer,)
    rows = np.random.default_rng(0).standard_normal((5, 4))
    y = rows
    for _ in range(3):
        y = np.tanh(y @ layer.kernel + layer.bias)
    np.testing.assert_allclose(model.predict(rows), y, rtol=1e-13)


@pytest.mark.parametrize("threads", [1, 2])
def test_gradients_of_a_layer_called_twice_are_those_of_all_chunks(threads, monkeypatch):
    """Of a network too large for slices, and more rows than the arena has room for."""
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    width, rows = 260, 1030
    x, layer = fw.Input(width), layers.Dense(width, "tanh", use_bias=False)
    model = fw.Model(x, layer(layer(x)), "float64", seed=0)
    model.compile("sgd", "mse")
    random = np.random.default_rng(0)
    x, y = random.standard_normal((2, rows, width))
    hidden = np.tanh(x @ layer.kernel)
    made = np.tanh(hidden @ layer.kernel)
    by_made = 2 / y.size * (made - y) * (1 - made**2)
    by_hidden = by_made @ layer.kernel.T * (1 - hidden**2)
    with fw.threads(threads):
        found = model.loss_and_gradients(x, y)[1].reshape(width, width)
    expected = hidden.T @ by_made + x.T @ by_hidden
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_layer_called_on_images_of_several_sizes_has_all_of_its_gradient(threads, monkeypatch):
    """Whose op for one size goes through the kernel in other pieces than that for another."""
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    shapes = [(6, 8, 2), (6, 3, 2)]
    inputs = [fw.Input(shape) for shape in shapes]
    layer, pool = layers.Conv2D(4, (3, 2)), layers.GlobalAveragePooling2D()
    model = fw.Model(inputs, layers.Add()([pool(layer(x)) for x in inputs]), "float64", seed=0)
    model.compile("adam", "mse")
    random = np.random.default_rng(0)
    x, y = [random.standard_normal((5, *shape)) for shape in shapes], random.standard_normal((5, 4))
    with fw.threads(threads):
        assert fw.check_gradients(model, x, y)
        twin = model.copy()
        for _ in range(3):
            model.train_on_batch(x, y)
            twin.loss_and_gradients(x, y)
            twin.apply_gradients()
    np.testing.assert_array_equal(model.parameters, twin.parameters)


def test_one_shared_layer_on_rows_of_several_shapes():
    """Its kernel goes along the last axis, whatever stands before it."""
    a, b, layer = fw.Input((2, 3)), fw.Input(3), layers.Dense(4)
    model = fw.Model(
        [a, b], layers.Concatenate()(layers.Flatten()(layer(a)), layer(b)), "float64", 0
    )
    x = [np.ones((5, 2, 3)), np.full((5, 3), 2.0)]
    once = layer.kernel.sum(axis=0)
    np.testing.assert_allclose(model.predict(x)[0], np.concatenate([once, once, 2 * once]))


@pytest.mark.parametrize("ends", [layers.Flatten, lambda: layers.Activation("linear")])
def test_a_model_that_computes_nothing(ends):
    x = fw.Input((2, 3))
    model = fw.Model(x, ends()(x))
    rows = np.arange(12.0, dtype=np.float32).reshape(2, 2, 3)
    assert model.count_params() == 0
    same_bits(model.predict(rows).reshape(rows.shape), rows)


def test_chains_of_thousands_of_layers(tmp_path):
    tensor = x = fw.Input(1)
    for _ in range(2000):
        tensor = layers.Dense(1, kernel_initializer="ones", bias_initializer="zeros")(tensor)
    model = fw.Model(x, tensor, seed=0)
    same_bits(model.predict([[2.0]]), np.array([[2.0]], np.float32))
    model.save(tmp_path / "m.safetensors")
    same_bits(fw.load(tmp_path / "m.safetensors").predict([[2.0]]), model.predict([[2.0]]))
    del tensor, model


def test_a_layer_of_thousands_of_ops():
    class Repeated(layers.Layer):
        def ops(self, x):
            for _ in range(3000):
                x = layers.op("add", x)
            return x

        def config(self):
            return {"name": self.name}

    rows = np.ones((2, 3), np.float32)
    same_bits(fw.Sequential([Repeated()], 3).predict(rows), rows)


def test_a_diamond_of_diamonds_is_walked_once():
    """Thirty of them have a thousand million ways through; the output is 2^30 times the input."""
    tensor = x = fw.Input(2)
    for _ in range(30):
        tensor = layers.Add()(
            layers.Activation("linear")(tensor), layers.Activation("linear")(tensor)
        )
    model = fw.Model(x, tensor, "float64")
    assert len(model.layers) == 90
    same_bits(model.predict([[1.0, -3.0]]), np.array([[1.0, -3.0]]) * 2**30)


def test_layers_that_lead_nowhere_are_not_part_of_the_model():
    x = fw.Input(3)
    hidden = layers.Dense(4)(x)
    layers.Dense(9)(hidden)
    model = fw.Model(x, layers.Dense(2)(hidden))
    assert [layer.units for layer in model.layers] == [4, 2]
    assert [layer.name for layer in model.layers] == ["dense", "dense_1"]


# ---- describing and keeping ----------------------------------------------------------------------


def test_a_config_is_json_and_makes_an_equal_model():
    model, (x, _) = graph(), pairs()
    again = fw.Model.from_config(json.loads(json.dumps(model.config())))
    assert type(again) is fw.Model
    assert again.config() == model.config()
    same_bits(again.predict(x), model.predict(x))


@pytest.mark.parametrize("way", ["save", "copy"])
def test_a_graph_goes_on_bit_for_bit(way, tmp_path):
    model, (x, y) = graph("float32"), pairs(100)
    model.fit(x, y, 16, 3, verbose=0)
    if way == "save":
        model.save(tmp_path / "m.safetensors")
        again = fw.load(tmp_path / "m.safetensors")
    else:
        again = model.copy()
    assert again.input_names == model.input_names
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]
    for each in (model, again):
        each.fit(x, y, 16, 2, verbose=0)
    same_bits(again.parameters, model.parameters)
    assert again.evaluate(x, y) == model.evaluate(x, y)
    assert way == "save" or again.get_layer("shared") is not model.get_layer("shared")


def test_summary_tells_who_reads_what(capsys):
    graph().summary()
    assert capsys.readouterr().out.startswith(
        "Layer                      Output shape  Weights  Biases  Reads\n"
        f"{'-' * 75}\n"
        "left (Input)               (None, 3)\n"
        "right (Input)              (None, 4)\n"
        "one (Dense)                (None, 5)          15       5  left\n"
        "two (Dense)                (None, 5)          20       5  right\n"
        "add (Add)                  (None, 5)           0       0  one, two\n"
        "shared (Dense)             (None, 5)          25       5  add\n"
        "shared (Dense)             (None, 5)      shared          shared\n"
        "concatenate (Concatenate)  (None, 13)          0       0  shared, add, left\n"
        "last (Dense)               (None, 2)          26       2  concatenate\n"
    )


def test_symbolic_ends_of_a_model():
    a, b = fw.Input(3), fw.Input(3)
    layer = layers.Dense(2)
    model = fw.Model([a, b], layer(layers.Add()(a, b)))
    assert model.inputs == model.input == (a, b)
    assert model.outputs == (model.output,) == (layer.output,)
    assert layer.input is model.layers[0].output
    assert model.layers[0].input == [a, b]
    single = fw.Model(a, layers.Dense(2)(a))
    assert single.input is a
    twin = model.copy()
    assert twin.output is twin.layers[-1].output
    assert [tensor.shape for tensor in twin.inputs] == [(None, 3), (None, 3)]


# ---- weights of a layer --------------------------------------------------------------------------


def test_a_layer_gives_and_takes_its_weights():
    model, (x, _) = graph(), pairs()
    layer = model.get_layer("shared")
    assert layer.count_params() == 30
    kernel, bias = layer.get_weights()
    before = model.predict(x)
    kernel *= 2  # a copy
    same_bits(model.predict(x), before)
    layer.set_weights([kernel, bias + 1])
    same_bits(layer.kernel, kernel)
    same_bits(layer.bias, bias + 1)
    np.testing.assert_allclose(model.predict(x), answer(model, *x), rtol=1e-13)
    merge = model.get_layer(index=-2)
    assert merge.get_weights() == []
    assert merge.count_params() == 0
    merge.set_weights([])


def test_weights_may_be_set_from_one_anothers():
    model = fw.Sequential([layers.Dense(3), layers.Dense(3)], 3, seed=0)
    one, other = (layer.kernel.copy() for layer in model.layers)
    weights = model.weights
    model.set_weights([weights[2], weights[1], weights[0], weights[3]])
    same_bits(model.layers[0].kernel, other)
    same_bits(model.layers[1].kernel, one)


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_a_copied_layer_has_not_been_called(again):
    x = fw.Input(3)
    layer = layers.Dense(2)
    model = fw.Model(x, layer(x))
    twin = again(model.layers[0])
    with pytest.raises(ValueError, match="output: got a layer that was not called yet"):
        _ = twin.output
    assert fw.Model(x, twin(x)).count_params() == 8


# ---- stacks --------------------------------------------------------------------------------------


def stack():
    return [layers.Dense(4, "relu"), layers.Dense(2)]


def test_every_way_to_say_what_a_stack_reads():
    ways = [
        fw.Sequential(stack(), 3, seed=1),
        fw.Sequential(stack(), input_shape=(3,), seed=1),
        fw.Sequential([fw.Input(3), *stack()], seed=1),
        fw.Sequential([fw.Input((3,), name="x"), *stack()], 3, seed=1),
        fw.Sequential([layers.Dense(4, "relu", input_shape=(3,)), layers.Dense(2)], seed=1),
        fw.Sequential([layers.Dense(4, "relu", input_dim=3), layers.Dense(2)], seed=1),
    ]
    for begin in ((fw.Input(3),), ()):
        grown = fw.Sequential(seed=1)
        for entry in (*begin, *stack()):
            grown.add(entry)
        if not begin:
            grown.build(3)
        ways.append(grown)
    tensor = x = fw.Input(3)
    for layer in stack():
        tensor = layer(tensor)
    ways.append(fw.Model(x, tensor, seed=1))
    ways.append(fw.Model(x, fw.Sequential(stack())(x), seed=1))
    for model in ways:
        assert model.input_shape == (3,)
        same_bits(model.parameters, ways[0].parameters)


def test_a_stack_grows_and_shrinks_and_keeps_its_weights():
    model = fw.Sequential([fw.Input(3), layers.Dense(4)], seed=1)
    assert model.count_params() == 16
    model.parameters[:] = np.arange(16)
    model.compile("sgd", "mse")
    model.add(layers.Dense(2))
    first, last = model.layers
    same_bits(model.parameters[:16], np.arange(16, dtype=np.float32))
    same_bits(last.kernel, fw.Sequential([layers.Dense(4), layers.Dense(2)], 3, seed=1).weights[2])
    assert np.shares_memory(first.kernel, model.parameters)
    assert model.pop() is last
    assert last.weights == {}
    same_bits(model.parameters, np.arange(16, dtype=np.float32))
    assert model.pop() is first
    assert model.layers == ()
    assert model.input_shape == (3,)
    model.add(first)
    model.add(last)
    model.fit(*data(8, 3, 2), verbose=0)
    assert fw.Sequential([layers.Dense(1)], seed=0).layers[0].name == "dense"


def test_a_popped_layer_takes_its_input_shape_along():
    model = fw.Sequential([layers.Dense(4, input_shape=(3,))])
    model.pop()
    assert model.input_shape is None
    model.add(layers.Dense(4, input_shape=(5,)))
    assert model.input_shape == (5,)


class Picky(layers.Layer):
    def ops(self, x):
        raise ValueError("inputs: got this, expected that")

    def config(self):
        return {"name": self.name}


@pytest.mark.parametrize(
    "layer", [Picky(), layers.Dense(1, name="dense"), 3, layers.Dense(2, input_shape=(9,))]
)
def test_an_add_that_is_refused_changes_nothing(layer):
    model = fw.Sequential([fw.Input(3), layers.Dense(4, name="dense")], seed=1)
    model.compile("sgd", "mse")
    before, (only,) = model.parameters.copy(), model.layers
    with pytest.raises((ValueError, TypeError)):
        model.add(layer)
    assert model.layers == (only,)
    assert only.name == "dense"
    same_bits(model.parameters, before)
    assert np.shares_memory(only.kernel, model.parameters)
    model.fit(*data(8, 3, 4), verbose=0)
    assert (only.kernel != before[:12].reshape(3, 4)).any()


def test_a_stack_that_is_not_built_becomes_part_of_a_network():
    x = fw.Input(3)
    block = fw.Sequential([layers.Dense(4, "tanh"), layers.Dense(3)])
    model = fw.Model(x, layers.Add()(block(x), block(x), x), "float64", 0)
    assert model.count_params() == 31
    rows = np.random.default_rng(0).standard_normal((5, 3))
    first, last = block.layers
    once = np.tanh(rows @ first.kernel + first.bias) @ last.kernel + last.bias
    np.testing.assert_allclose(model.predict(rows), 2 * once + rows, rtol=1e-13)
