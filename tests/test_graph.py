"""Ops that read any values: random graphs within one layer, against NumPy and differences."""

import sys

import numpy as np
import pytest

import fastweights as fw
from fastweights import activations, initializers, layers

FOLDS = {
    "add": np.add,
    "average": np.add,
    "multiply": np.multiply,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "subtract": np.subtract,
}
FUNCTIONS = {
    "linear": lambda z: z,
    "tanh": np.tanh,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "relu": lambda z: np.maximum(z, 0),
}


class Graph(layers.Layer):
    """Some ops, each of which reads values that are there already, the last of them as output."""

    def __init__(self, seed, width, name=None):
        super().__init__(name)
        self.seed, self.width = seed, width
        self._steps, self._shapes = steps(seed, width)

    def config(self):
        return {"seed": self.seed, "width": self.width, "name": self.name}

    def variables(self, input_shape):
        return [
            layers.Variable(name, shape, initializers.get("random_normal", "linear"), 1, 1)
            for name, shape in self._shapes
        ]

    def ops(self, x):
        values = [x]
        for kind, reads, width, names, activation in self._steps:
            values.append(
                layers.op(
                    kind,
                    *(values[number] for number in reads),
                    shape=(width,),
                    variables=names,
                    activation=activations.get(activation),
                )
            )
        return values[-1]

    def computed(self, x):
        """The same in NumPy."""
        values = [x]
        for kind, reads, _, names, activation in self._steps:
            read = [values[number] for number in reads]
            if kind == "dense":
                y = read[0] @ getattr(self, names[0])
                y = y + getattr(self, names[1]) if len(names) > 1 else y
            elif kind == "concatenate":
                y = np.concatenate(read, axis=1)
            elif kind == "softmax":
                y = np.exp(read[0])
                y /= y.sum(axis=1, keepdims=True)
            elif kind == "activation":
                y = read[0]
            else:
                y = read[0]
                for other in read[1:]:
                    y = FOLDS[kind](y, other)
                if kind == "average":
                    y = y / len(read)
            values.append(FUNCTIONS[activation](y))
        return values[-1]


def steps(seed, width):
    """(kind, reads, width, variables, activation) of each op, and the shapes of the variables."""
    random = np.random.default_rng(seed)
    widths, found, shapes = [width], [], []
    kinds = ["dense", "dense", "activation", "softmax", "concatenate", *FOLDS]
    for number in range(random.integers(2, 10)):
        kind = str(random.choice(kinds))
        reads = [int(random.integers(len(widths)))]
        alike = [k for k, other in enumerate(widths) if other == widths[reads[0]]]
        names, activation, result = [], "linear", widths[reads[0]]
        if kind == "dense":
            result = int(random.integers(1, 12))
            names = [f"kernel_{number}", f"bias_{number}"][: random.integers(1, 3)]
            for name, shape in zip(names, [(widths[reads[0]], result), (result,)], strict=False):
                shapes.append((name, shape))
            activation = str(random.choice(["linear", "tanh", "relu"]))
        elif kind == "activation":
            activation = "sigmoid"
        elif kind == "concatenate":
            reads += [int(random.integers(len(widths))) for _ in range(random.integers(0, 3))]
            result = sum(widths[k] for k in reads)
        elif kind != "softmax":
            others = 1 if kind == "subtract" else random.integers(0, 3)
            reads += [int(random.choice(alike)) for _ in range(others)]
        widths.append(result)
        found.append((kind, reads, result, names, activation))
    return found, shapes


def network(seed, dtype="float64"):
    stack = [layers.Dense(6, "tanh"), Graph(seed, 6), layers.Dense(2)]
    model = fw.Sequential(stack, 4, dtype=dtype, seed=seed)
    random = np.random.default_rng(seed)
    for weight in model.weights:
        weight += random.normal(0, 0.3, weight.shape)
    model.compile("adam", "mse")
    return model


def data(rows, seed=0):
    random = np.random.default_rng(seed)
    return random.standard_normal((rows, 4)), random.standard_normal((rows, 2))


@pytest.fixture(autouse=True)
def known_layer(monkeypatch):
    monkeypatch.setitem(layers.LAYERS, "Graph", Graph)


@pytest.mark.parametrize("seed", range(120))
def test_outputs_and_gradients(seed):
    model = network(seed)
    x, y = data(9, seed)
    first, graph, last = model.layers
    hidden = graph.computed(np.tanh(x @ first.kernel + first.bias))
    np.testing.assert_allclose(
        model.predict(x), hidden @ last.kernel + last.bias, rtol=1e-12, atol=1e-12
    )
    report = fw.check_gradients(model, x, y, tolerance=1e-7)
    assert report, report


@pytest.mark.parametrize("seed", range(0, 120, 8))
def test_a_step_goes_against_the_gradient_in_batches_of_any_size(seed):
    """Whole, in slices and in chunks: the mean of the gradients of single rows."""
    for rows in (40, 300, 1100):
        model = network(seed)
        x, y = data(rows, seed)
        _, gradient, by_input = model.loss_and_gradients(x, y)
        parts = [model.loss_and_gradients(x[i : i + 20], y[i : i + 20]) for i in range(0, rows, 20)]
        mean = np.mean([part[1] for part in parts], axis=0)
        np.testing.assert_allclose(gradient, mean, rtol=1e-9, atol=1e-13)
        apart = np.concatenate([part[2] for part in parts]) * 20 / rows
        np.testing.assert_allclose(by_input, apart, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("seed", range(0, 120, 8))
def test_the_same_bits_for_any_number_of_threads(seed, monkeypatch):
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    for batch in (40, 700):
        found = []
        for threads in (1, 2, 4):
            model = network(seed, "float32")
            with fw.threads(threads):
                model.fit(*data(1500, seed), batch, 2, verbose=0)
            found.append(model.parameters.copy())
        assert all((found[0] == other).all() for other in found)


def test_equal_numbers_share_the_gradient_of_their_maximum():
    class Largest(layers.Layer):
        def ops(self, x):
            return layers.op("maximum", x, layers.op("activation", x), layers.op("activation", x))

        def config(self):
            return {"name": self.name}

    model = fw.Sequential([Largest()], 3, dtype="float64")
    model.compile("sgd", "mse")
    x = np.array([[1.0, 2.0, 3.0]])
    model.forward(x)
    np.testing.assert_array_equal(model.backward(np.ones((1, 3))), np.ones((1, 3)))
