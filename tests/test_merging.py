"""Layers of several values: what they refuse, equal numbers, branches that nobody trains."""

import numpy as np
import pytest
from layer_cases import Merged

import fastweights as fw
from fastweights import initializers, layers
from fastweights.layers.ops import given


def values(*shapes):
    return [given(shape) for shape in shapes]


@pytest.mark.parametrize(
    ("layer", "shapes", "message"),
    [
        (layers.Add(), ((3,), (4,)), r"inputs: got shapes \(3,\), \(4,\), expected one shape"),
        (layers.Add(), ((3,), (2, 3)), r"inputs: got shapes \(3,\), \(2, 3\), expected one shape"),
        (layers.Multiply(), ((2, 3), (3, 1)), "expected one shape, of which an input may have"),
        (layers.Subtract(), ((3,),), "inputs: got 1 values, expected two"),
        (layers.Subtract(), ((3,),) * 3, "inputs: got 3 values, expected two"),
        (layers.Dot(1), ((3,),), "inputs: got 1 values, expected two"),
        (layers.Dot(1), ((3,), (4,)), r"inputs: got shapes \(3,\), \(4,\), expected equal lengths"),
        (layers.Dot((1, 3)), ((3,), (4,)), r"axes: got 3, expected an axis of rows \(4,\)"),
        (layers.Dot(-2), ((3,), (3,)), r"axes: got -2, expected an axis of rows \(3,\)"),
        (layers.Concatenate(), ((2, 3), (3, 3)), "expected shapes that differ along axis -1 alone"),
        (layers.Concatenate(), ((2, 3), (3,)), "expected shapes that differ along axis -1 alone"),
        (layers.Concatenate(3), ((2, 3),) * 2, r"axis: got 3, expected an axis of rows \(2, 3\)"),
    ],
)
def test_values_that_do_not_fit_are_refused(layer, shapes, message):
    with pytest.raises(ValueError, match=message):
        layer.ops(*values(*shapes))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: layers.Concatenate(0), ValueError, "axis: got 0, expected an axis of the numbers"),
        (lambda: layers.Concatenate("last"), TypeError, "axis: got 'last', expected a whole"),
        (lambda: layers.Dot((1, 0)), ValueError, "axes: got 0, expected an axis of the numbers"),
        (lambda: layers.Dot((1, 2, 3)), ValueError, r"axes: got \(1, 2, 3\), expected one number"),
        (lambda: layers.Dot(1, normalize=1), TypeError, "normalize: got 1, expected True or False"),
    ],
)
def test_settings_that_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("layer", "shapes", "shape"),
    [
        (layers.Dot(1), ((5,), (5,)), (1,)),
        (layers.Dot(2), ((3, 5), (4, 5)), (3, 4)),
        (layers.Dot((1, 2)), ((5, 3), (4, 5)), (3, 4)),
        (layers.Dot((2, 1)), ((3, 5), (5,)), (3,)),
        (layers.Dot((3, 1)), ((2, 3, 5), (5, 4)), (2, 3, 4)),
        (layers.Concatenate(1), ((2, 3), (4, 3)), (6, 3)),
        (layers.Add(), ((2, 1), (1, 3), (1, 1)), (2, 3)),
    ],
)
def test_shapes(layer, shapes, shape):
    assert layer.output_shape(*shapes) == shape
    assert layer.variables(*shapes) == []


def gradient(layer, x):
    """By x, of half the sum of the layer's squares."""
    model = fw.Sequential([layer], x.shape[1:], "float64")
    y = model.forward(x)
    return model.backward(y), y


@pytest.mark.parametrize("merge", [layers.Maximum(), layers.Minimum()])
def test_of_equal_ones_each_has_half_of_the_gradient(merge):
    x = np.arange(-3.0, 4.0)[np.newaxis]
    same = layers.Identity()
    dx, y = gradient(Merged(merge, (same, layers.Rescaling(1.0), layers.Rescaling(1.0))), x)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(dx, x)
    three = Merged(merge, (layers.Rescaling(3.0), layers.Rescaling(3.0), layers.Rescaling(-3.0)))
    dx, y = gradient(three, np.abs(x[:, -3:]))
    np.testing.assert_array_equal(dx, 3 * y if isinstance(merge, layers.Maximum) else -3 * y)


def test_a_factor_of_zero():
    same = layers.Identity()
    model = fw.Sequential([Merged(layers.Multiply(), (same, layers.Rescaling(1, 2)))], 3, "float64")
    x = np.array([[0.0, -2.0, 1.0]])
    np.testing.assert_array_equal(model.forward(x), x * (x + 2))
    np.testing.assert_array_equal(model.backward(np.ones((1, 3))), 2 * x + 2)


class Beside(layers.Layer):
    """A value that nobody trains, tanh(x), beside a dense layer's of the same x."""

    def variables(self, input_shape):
        inputs = input_shape[-1]
        rule = initializers.GlorotUniform()
        return [layers.Variable("kernel", (inputs, inputs), rule, inputs, inputs)]

    def ops(self, x):
        dense = layers.op("dense", x, shape=(*x.shape[:-1], x.features), variables=("kernel",))
        return self.merge.ops(layers.Activation("tanh").ops(x), dense)

    def config(self):
        return {}


@pytest.mark.parametrize(
    "merge", [layers.Concatenate(), layers.Add(), layers.Multiply(), layers.Subtract(),
              layers.Average(), layers.Maximum(), layers.Dot(1)],
    ids=lambda merge: type(merge).__name__,
)  # fmt: skip
def test_what_nobody_trains_has_no_gradient(merge):
    """Its maker has no dy, which a backward pass would finish."""
    layer = type("Beside", (Beside,), {"merge": merge})()
    model = fw.Sequential([layer, layers.Dense(2)], 4, "float64", seed=0)
    model.compile(fw.optimizers.SGD(0.5), "mse")
    random = np.random.default_rng(0)
    x, y = random.standard_normal((9, 4)), random.standard_normal((9, 2))
    before = model.parameters.copy()
    _, expected, _ = model.loss_and_gradients(x, y)
    model.train_on_batch(x, y)
    np.testing.assert_allclose(model.parameters, before - 0.5 * expected, rtol=1e-13, atol=1e-15)
