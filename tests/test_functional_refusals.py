"""What is wrong with a network is said where it is put together: what came, what is expected."""

import numpy as np
import pytest

import fastweights as fw
from fastweights import layers


def two_inputs():
    a, b = fw.Input(3), fw.Input(4, name="b")
    model = fw.Model([a, b], layers.Dense(2)(layers.Concatenate()(a, b)), seed=0)
    model.compile("sgd", "mse")
    return model


def single():
    model = fw.Sequential([layers.Dense(2)], 3, seed=0)
    model.compile("sgd", "mse")
    return model


X = [np.ones((5, 3)), np.ones((5, 4))]
Y = np.ones((5, 2))
INPUT = fw.Input(3)
MIDDLE = layers.Dense(3)(INPUT)


def refused(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert type(caught.value) is error
    text = str(caught.value)
    assert text.startswith(message), text
    assert ": got " in text
    assert ", expected " in text
    assert "\n" not in text
    assert len(text) < 500


INPUTS = [
    (lambda: fw.Input(0), ValueError, "shape: got 0, expected at least 1"),
    (lambda: fw.Input(()), ValueError, "shape: got (), expected at least one axis"),
    (lambda: fw.Input("3"), TypeError, "shape: got '3', expected a whole number"),
    (lambda: fw.Input(b"3"), TypeError, "shape: got b'3', expected a whole number"),
    (lambda: fw.Input(3.0), TypeError, "shape: got 3.0, expected a whole number"),
    (lambda: fw.Input((None,)), TypeError, "shape: got None, expected a whole number"),
    (lambda: fw.Input((None, 3)), ValueError, "shape: got (None, 3), expected the shape of one"),
    (lambda: fw.Input((3, None)), TypeError, "shape: got None, expected a whole number"),
    (lambda: fw.Input((1,) * 64), ValueError, "shape: got 64 axes, expected at most 63"),
    (lambda: fw.Input(3, 0), ValueError, "batch_size: got 0, expected at least 1"),
    (lambda: fw.Input(3, "32"), TypeError, "batch_size: got '32', expected a whole number"),
    (lambda: fw.Input(3, name=""), TypeError, "name: got '', expected a non-empty string"),
    (lambda: fw.Input(3, name=3), TypeError, "name: got 3, expected a non-empty string"),
    (lambda: fw.Input(3, name="\ud800"), ValueError, "name: got '\\ud800', expected whole char"),
    (lambda: fw.Input(INPUT), TypeError, "shape: got <Tensor of shape (None, 3), an input>"),
]


class Nothing(layers.Layer):
    def ops(self, x):
        return None

    def config(self):
        return {}


class Broken(Nothing):
    def ops(self, x):
        return x.reshaped()


CALLS = [
    (lambda: layers.Dense(2)(), ValueError, "inputs of Dense: got nothing, expected at least one"),
    (lambda: layers.Dense(2)([]), ValueError, "inputs of Dense: got nothing, expected at least"),
    (lambda: layers.Dense(2)(INPUT, INPUT), ValueError, "inputs of Dense: got 2 values, expected"),
    (lambda: layers.Dense(2)([INPUT, INPUT]), ValueError, "inputs of Dense: got 2 values"),
    (lambda: layers.Dense(2)(X[0]), TypeError, "inputs of Dense: got ndarray, expected what fw."),
    (lambda: layers.Dense(2)([[1.0, 2.0]]), TypeError, "inputs of Dense: got list, expected what"),
    (lambda: layers.Dense(2)(fw.Input), TypeError, "inputs of Dense: got function, expected what"),
    (lambda: layers.Dense(2)(layers.Dense(3)), TypeError, "inputs of Dense: got Dense, expected"),
    (lambda: layers.Dense(2)(single()), TypeError, "inputs of Dense: got Sequential, expected"),
    (
        lambda: layers.Add()({"a": INPUT}),
        TypeError,
        "inputs of Add: got dict, expected what fw.Input",
    ),
    (lambda: layers.Add()([INPUT, X[0]]), TypeError, "inputs of Add: got ndarray, expected what"),
    (
        lambda: layers.Add()(INPUT, fw.Input(4)),
        ValueError,
        "inputs: got shapes (3,), (4,), expected",
    ),
    (lambda: Nothing()(INPUT), TypeError, "ops of Nothing: got NoneType, expected a Value"),
]

NO_NUMBERS = "tensor: got <Tensor of shape (None, 3), "
ARITHMETIC = [
    (lambda: INPUT + MIDDLE, TypeError, f"{NO_NUMBERS}an input>, expected numbers: a tensor has"),
    (lambda: MIDDLE + 1, TypeError, f"{NO_NUMBERS}made by Dense>, expected"),
    (lambda: 2 * MIDDLE, TypeError, NO_NUMBERS),
    (lambda: MIDDLE - 1, TypeError, NO_NUMBERS),
    (lambda: 1 - MIDDLE, TypeError, NO_NUMBERS),
    (lambda: MIDDLE / 2, TypeError, NO_NUMBERS),
    (lambda: -MIDDLE, TypeError, NO_NUMBERS),
    (lambda: MIDDLE**2, TypeError, NO_NUMBERS),
    (lambda: MIDDLE @ X[0].T, TypeError, NO_NUMBERS),
    (lambda: X[0] + MIDDLE, TypeError, NO_NUMBERS),
    (lambda: MIDDLE[:, 0], TypeError, NO_NUMBERS),
    (lambda: np.exp(MIDDLE), TypeError, NO_NUMBERS),
    (lambda: np.asarray(MIDDLE), TypeError, NO_NUMBERS),
    (lambda: float(MIDDLE), TypeError, NO_NUMBERS),
    (lambda: list(MIDDLE), TypeError, NO_NUMBERS),
    (lambda: len(MIDDLE), TypeError, NO_NUMBERS),
    (lambda: 1 if MIDDLE else 0, TypeError, NO_NUMBERS),
    (lambda: fw.Input(3, name="x") + 1, TypeError, "tensor: got <Tensor of shape (None, 3), the"),
]  # fmt: skip


class First(layers.Layer):
    def ops(self, x, y):
        return layers.op("add", x, x)


def of_another_graph():
    return fw.Model(INPUT, layers.Dense(2)(fw.Input(3)))


def with_unused(named):
    a, b = fw.Input(3), fw.Input(4)
    return fw.Model({"a": a, "b": b} if named else [a, b], layers.Dense(2)(a))


def weights_that_do_not_fit():
    a, b, layer = fw.Input(3), fw.Input(4), layers.Dense(2)
    return fw.Model([a, b], layers.Add()(layer(a), layer(b)))


def tensors_of_two_models():
    x = fw.Input(3)
    hidden = layers.Dense(4)(x)
    whole = fw.Model(x, layers.Dense(2)(hidden))
    return whole, fw.Model(x, layers.Dense(1)(hidden))


def same_name():
    tensor = layers.Dense(2, name="d")(INPUT)
    return fw.Model(INPUT, layers.Dense(2, name="d")(tensor))


MODELS = [
    (lambda: fw.Model(X[0], MIDDLE), TypeError, "inputs: got ndarray, expected what fw.Input"),
    (lambda: fw.Model(INPUT, Y), TypeError, "outputs: got ndarray, expected what fw.Input or"),
    (lambda: fw.Model(3, MIDDLE), TypeError, "inputs: got int, expected what fw.Input"),
    (lambda: fw.Model([layers.Dense(2)], 3), TypeError, "inputs: got Dense, expected what fw."),
    (lambda: fw.Model([], MIDDLE), ValueError, "inputs: got nothing, expected at least one"),
    (lambda: fw.Model({}, MIDDLE), ValueError, "inputs: got nothing, expected at least one"),
    (lambda: fw.Model(INPUT, []), ValueError, "outputs: got nothing, expected at least one"),
    (lambda: fw.Model([[INPUT]], MIDDLE), TypeError, "inputs: got list, expected what fw.Input"),
    (lambda: fw.Model({"a": [INPUT]}, MIDDLE), TypeError, "inputs: got list, expected what fw."),
    (lambda: fw.Model({1: INPUT}, MIDDLE), TypeError, "key of inputs: got 1, expected a non-empty"),
    (lambda: fw.Model({"": INPUT}, MIDDLE), TypeError, "key of inputs: got '', expected a non-emp"),
    (lambda: fw.Model(INPUT, {1: MIDDLE}), TypeError, "key of outputs: got 1, expected a non-emp"),
    (lambda: fw.Model(MIDDLE, layers.Dense(2)(MIDDLE)), ValueError,
     "inputs: got <Tensor of shape (None, 3), made by Dense>, expected what fw.Input made"),
    (lambda: fw.Model([INPUT, INPUT], MIDDLE), ValueError, "inputs: got one of them twice"),
    (lambda: fw.Model(INPUT, INPUT), ValueError, "outputs: got an input, expected what a layer"),
    (of_another_graph, ValueError,
     "inputs: got outputs that need <Tensor of shape (None, 3), an input>, expected all inputs"),
    (lambda: fw.Model({"\ud800": INPUT}, MIDDLE), ValueError, "key of inputs: got '\\ud800', exp"),
    (lambda: fw.Model(INPUT, MIDDLE, name=3), TypeError, "name: got 3, expected a non-empty stri"),
    (lambda: fw.Model(INPUT, MIDDLE, name=""), TypeError, "name: got '', expected a non-empty st"),
    (lambda: fw.Sequential(name=b"m"), TypeError, "name: got b'm', expected a non-empty string or"),
    (lambda: fw.Sequential(name="\ud800"), ValueError, "name: got '\\ud800', expected whole"),
    (lambda: with_unused(True), ValueError, "inputs: got 'b', which no output needs, expected"),
    (lambda: with_unused(False), ValueError, "inputs: got 'input_1', which no output needs, exp"),
    (lambda: fw.Model([INPUT, x := fw.Input(4)], First()(INPUT, x)), ValueError,
     "inputs of 'first': got number 1, of rows of (4,), that no op reads, expected what its ops"),
    (weights_that_do_not_fit, ValueError,
     "layers: got rows of (4,) for 'dense', expected rows that its weights fit"),
    (tensors_of_two_models, ValueError,
     "layers: got some of another model's layers, without 'dense_1', expected"),
    (same_name, ValueError, "layers: got the name 'd' twice, expected different names"),
    (lambda: fw.Model([fw.Input(2, name="x"), fw.Input(2, name="x")], MIDDLE), ValueError,
     "inputs: got outputs that need"),
    (lambda: fw.Model(INPUT, layers.Dense(3, input_shape=4)(INPUT)), ValueError,
     "input_shape: got (4,) for 'dense', expected (3,), which it reads"),
    (lambda: fw.Model(INPUT, MIDDLE, dtype="float16"), ValueError, "dtype: got float16, expected"),
    (lambda: fw.Model.from_config({}), ValueError, "config: got {}, expected what a model's"),
    (lambda: fw.Model.from_config(3), ValueError, "config: got 3, expected what a model's config"),
]  # fmt: skip


def taken():
    model = single()
    other = fw.Sequential([layers.Dense(2)], 3)
    other.add(model.layers[0])


STACKS = [
    (lambda: fw.Sequential(layers.Dense(2)), TypeError, "layers: got Dense, expected a list of"),
    (lambda: fw.Sequential([layers.Dense(2), fw.Input(3)]), ValueError,
     "layers: got a tensor among layers, expected layers, and an Input before all of them"),
    (lambda: fw.Sequential([MIDDLE, layers.Dense(2)]), ValueError,
     "layers: got <Tensor of shape (None, 3), made by Dense>, expected an fw.Input, and layers"),
    (lambda: fw.Sequential([single()]), TypeError, "layers: got a model among layers, expected"),
    (lambda: fw.Sequential().add(single()), TypeError, "layer: got a model among layers"),
    (lambda: single().add(fw.Input(3)), ValueError, "layer: got a tensor among layers, expected"),
    (lambda: fw.Sequential().add(MIDDLE), ValueError, "layers: got <Tensor of shape (None, 3)"),
    (lambda: fw.Sequential().add(layers.Dense), TypeError, "layer: got an entry of the class"),
    (lambda: fw.Sequential([fw.Input(3), layers.Dense(2)], 4), ValueError,
     "input_shape: got (4,), expected (3,), as the Input says"),
    (lambda: fw.Sequential([layers.Dense(2, input_shape=3)], 4), ValueError,
     "input_shape: got (3,) for 'dense', expected (4,), which it reads"),
    (lambda: fw.Sequential([layers.Dense(2, input_shape=3, input_dim=3)]), ValueError,
     "input_dim: got an input_shape beside it, expected one of the two"),
    (lambda: fw.Sequential([layers.Dense(2), layers.Dense(2, input_dim=3)], 3), ValueError,
     "input_shape: got (3,) for 'dense_1', expected (2,), which it reads"),
    (lambda: fw.Sequential().pop(), ValueError, "pop: got a model without layers, expected one"),
    (lambda: fw.Sequential().build(3), ValueError, "layers: got none, expected at least one"),
    (lambda: fw.Sequential([fw.Input(3)]).build(3), ValueError, "layers: got none, expected"),
    (lambda: fw.Sequential().predict(X[0]), ValueError, "input_shape: got none, expected one"),
    (lambda: fw.Sequential()(INPUT), ValueError, "layers: got none, expected at least one layer"),
    (lambda: fw.Sequential([layers.Dense(2)])([INPUT, INPUT]), ValueError,
     "x: got 2 tensors, expected 1"),
    (taken, ValueError, "layers: got 'dense' of another model, expected new layers"),
]  # fmt: skip


def empty_fit():
    model = fw.Sequential()
    model.compile("sgd", "mse")
    model.fit(X[0], Y)


DATA = [
    (lambda: two_inputs().predict(X[0]), TypeError, "x: got ndarray, expected arrays for input, b"),
    (lambda: two_inputs().predict(X[:1]), ValueError, "x: got 1 arrays, expected arrays for input"),
    (lambda: two_inputs().predict(X + X), ValueError, "x: got 4 arrays, expected arrays for input"),
    (lambda: two_inputs().predict({"input": X[0]}), ValueError, "x: got a dict of ['input'], exp"),
    (lambda: two_inputs().predict({"input": X[0], "c": X[1]}), ValueError,
     "x: got a dict of ['input', 'c'], expected arrays for input, b, in a list or a dict"),
    (lambda: two_inputs().predict(X[::-1]), ValueError, "x['input']: got shape (5, 4), expected"),
    (lambda: two_inputs().predict([X[0], X[1][:2]]), ValueError,
     "x: got 5 rows of 'input' and 2 rows of 'b', exp"),
    (lambda: two_inputs().predict([X[0], None]), TypeError, "x['b']: got None, expected an array"),
    (lambda: two_inputs().predict([X[0] * np.nan, X[1]]), ValueError, "x['input']: got 15 NaN"),
    (lambda: two_inputs().predict(*X), TypeError, "batch_size: got array([[1., 1., 1., 1.], [1., "),
    (lambda: two_inputs().fit(*X, Y), TypeError, "batch_size: got array([[1., 1.], [1., 1.]"),
    (lambda: two_inputs().fit(X, Y[:3]), ValueError, "y: got 3 rows, expected as many as there a"),
    (lambda: two_inputs().fit(X, Y, validation_data=X), TypeError,
     "validation x: got ndarray, expected arrays for input, b, in a list or a dict"),
    (lambda: two_inputs().fit(X, Y, validation_data=(X[:1], Y)), ValueError,
     "validation x: got 1 arrays, expected"),
    (lambda: two_inputs()([X[0], INPUT]), TypeError, "x: got ndarray, expected what fw.Input or"),
    (lambda: two_inputs()([INPUT]), ValueError, "x: got 1 tensors, expected 2"),
    (lambda: single()(X[0], training=True), ValueError, "training: got True, expected False"),
    (lambda: single().predict({"x": X[0]}), TypeError,
     "x: got a dict of 'x', expected an array, or"),
    (lambda: single().predict([X[0], X[0]]), ValueError, "x: got shape (2, 5, 3), expected shape"),
    (lambda: single().predict(INPUT), TypeError, "x: got a Tensor that does not become an array"),
    (empty_fit, ValueError, "layers: got none, expected at least one layer"),
]  # fmt: skip


LOOKS = [
    (lambda: two_inputs().get_layer("none"), ValueError, "name: got 'none', expected one of"),
    (lambda: two_inputs().get_layer(1), TypeError, "name: got int, expected a name; for"),
    (lambda: fw.Sequential([layers.Dense(1)]).inputs, ValueError, "input_shape: got none, exp"),
    (lambda: layers.Dense(1).output, ValueError, "output: got a layer that was not called yet"),
    (lambda: layers.Dense(1).input, ValueError, "input: got a layer that was not called yet"),
    (lambda: two_inputs().get_layer(index=2), ValueError, "index: got 2, expected at most 1"),
    (lambda: two_inputs().get_layer(index="x"), TypeError, "index: got 'x', expected a whole"),
    (lambda: two_inputs().get_layer(), ValueError, "get_layer: got neither name nor index, exp"),
    (lambda: two_inputs().get_layer("a", 1), ValueError, "get_layer: got both name and index, exp"),
    (lambda: layers.Dense(2).get_weights(), ValueError, "get_weights: got a layer that is not b"),
    (lambda: layers.Dense(2).count_params(), ValueError, "count_params: got a layer that is not"),
    (lambda: layers.Dense(2).set_weights([]), ValueError, "weights: got a layer that is not built"),
    (lambda: single().layers[0].set_weights([Y]), ValueError, "weights: got 1 arrays, expected 2"),
    (lambda: single().layers[0].set_weights(3), TypeError, "weights: got int, expected a list of"),
    (lambda: single().layers[0].set_weights([Y, Y]), ValueError,
     "dense/kernel: got shape (5, 2), expected shape (3, 2)"),
    (lambda: single().layers[0].set_weights([np.full((3, 2), np.inf), np.ones(2)]), ValueError,
     "dense/kernel: got 6 NaN or inf"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [*INPUTS, *CALLS, *ARITHMETIC, *MODELS, *STACKS, *DATA, *LOOKS],
)
def test_refusals(call, error, message):
    refused(call, error, message)


def test_an_error_of_a_layers_own_is_not_taken_for_a_wrong_call():
    with pytest.raises(TypeError, match=r"reshaped\(\) missing 1 required positional argument"):
        Broken()(INPUT)


def test_what_was_refused_leaves_the_layers_free():
    x, layer = fw.Input(3), layers.Dense(3)
    with pytest.raises(ValueError, match="weights fit"):
        fw.Model([x, y := fw.Input(4)], layers.Add()(layer(x), layer(y)))
    assert fw.Model(x, layer(x)).count_params() == 12


def test_layers_of_a_model_that_is_gone_can_be_used_again():
    x = fw.Input(3)
    hidden = layers.Dense(4)
    model = fw.Model(x, layers.Dense(2)(hidden(x)))
    with pytest.raises(ValueError, match="some of another model's layers"):
        fw.Model(x, layers.Dense(1)(hidden.output))
    inner, outer = model.input, layers.Dense(1)(hidden.output)
    del model
    assert fw.Model(inner, outer).output_shape == (1,)


def test_more_calls_than_there_may_be():
    tensor = x = fw.Input(1)
    for _ in range(10_001):
        tensor = layers.Flatten()(tensor)
    refused(
        lambda: fw.Model(x, tensor),
        ValueError,
        "layers: got 10,001 calls that read 10,001 values, expected at most 10,000 that",
    )
