"""Settings of parts of one's own: kept by files and copies, or refused by their names."""

import copy
import pickle

import numpy as np
import pytest
from helpers import same_bits

import fastweights as fw
from fastweights import _registry, layers, losses, optimizers

rng = np.random.default_rng(0)
X = rng.normal(size=(24, 3))
Y = rng.normal(size=(24, 1))


class Scaled(losses.NumpyLoss):
    def __init__(self, factor=2.0, **settings):
        super().__init__(**settings)
        self.factor = factor
        self._half = factor / 2

    def call(self, y_true, y_pred):
        d = y_pred - y_true
        return self._half * (d**2).mean(axis=1), 2 * self._half * d / d.shape[1]


class Renamed(Scaled):
    def __init__(self, factor=2.0):
        losses.NumpyLoss.__init__(self)
        self._set(scale=factor)
        self._half = factor / 2


class Steps(optimizers.NumpyOptimizer):
    def __init__(self, learning_rate=0.1, factor=2.0, **settings):
        super().__init__(learning_rate, **settings)
        self.factor = factor

    def update(self, step, learning_rate, parameters, gradients):
        return parameters - learning_rate * self.factor * gradients


class Hidden(Steps):
    def __init__(self, learning_rate=0.1, factor=2.0, **settings):
        optimizers.NumpyOptimizer.__init__(self, learning_rate, **settings)
        self._factor = factor

    def update(self, step, learning_rate, parameters, gradients):
        return parameters - learning_rate * self._factor * gradients


class Times(layers.NumpyLayer):
    def __init__(self, factor=2.0, name=None):
        super().__init__(name)
        self._factor = factor

    def forward(self, x):
        return x * self._factor, None

    def backward(self, dy, kept):
        return dy * self._factor


@pytest.fixture(autouse=True)
def registered():
    """What files know, for as long as a test lasts."""
    known = losses.own.REGISTERED, optimizers.own.REGISTERED, _registry.REGISTERED
    before = [dict(one) for one in known]
    yield
    for one, was in zip(known, before, strict=True):
        one.clear()
        one.update(was)


def a_model(optimizer="sgd", loss="mse", *more):
    model = fw.Sequential([layers.Dense(4, "tanh"), *more, layers.Dense(1)], 3, "float64", seed=0)
    model.compile(optimizer, loss)
    return model


def test_a_loss_keeps_what_its_constructor_sets(tmp_path):
    fw.register_loss("own")(Scaled)
    model = a_model(loss=Scaled(3.0))
    model.fit(X, Y, epochs=2, verbose=0)
    model.save(tmp_path / "model.safetensors")
    again = fw.load(tmp_path / "model.safetensors")
    assert again.loss.factor == 3.0
    assert again.loss == model.loss
    for one in (model, again):
        one.fit(X, Y, epochs=2, verbose=0)
    same_bits(model.parameters, again.parameters)


@pytest.mark.parametrize(
    "alike",
    [copy.copy, copy.deepcopy, lambda loss: pickle.loads(pickle.dumps(loss)), lambda loss: loss],
)
def test_a_loss_is_fixed_once_it_is_made(alike):
    loss = alike(Scaled(3.0))
    assert loss == Scaled(3.0) != Scaled(2.0)
    with pytest.raises(AttributeError, match=r"factor: is fixed; make a new Scaled"):
        loss.factor = 2.0
    with pytest.raises(AttributeError, match=r"other: is fixed; make a new Scaled"):
        loss.other = 2.0
    assert "_is_new" not in repr(loss)


def test_settings_under_other_names_are_refused(tmp_path):
    model = a_model(Hidden(0.1, 3.0), Renamed(3.0))
    model.fit(X, Y, epochs=1, verbose=0)  # without files nothing is lost
    with pytest.raises(TypeError, match=r"copy: got Hidden, whose __init__ takes factor and keeps"):
        model.copy()
    fw.register_optimizer("own")(Hidden)
    fw.register_loss("own")(Renamed)
    with pytest.raises(TypeError, match=r"optimizer: got Hidden.*expected self\.factor = factor"):
        model.compile(Hidden(0.1, 3.0), "mse")
    with pytest.raises(TypeError, match=r"loss: got Renamed.*expected self\.factor = factor"):
        model.compile("sgd", Renamed(3.0))
    for saved in (model, a_model(loss=Scaled(), optimizer=Steps())):
        with pytest.raises(TypeError):
            saved.save(tmp_path / "model.safetensors")
    fw.register_layer("own")(Times)
    with pytest.raises(
        TypeError, match=r"whose __init__ takes factor, which its config\(\) leaves"
    ):
        a_model("sgd", "mse", Times(3.0)).save(tmp_path / "model.safetensors")


def test_a_constructor_that_does_not_call_the_one_before_it_is_named():
    class Bare(Steps):
        def __init__(self):
            self.factor = 1.0

    with pytest.raises(TypeError, match=r"Bare, whose __init__.*super\(\)\.__init__\(learning_rat"):
        a_model(Bare())


def test_functions_of_other_arguments_are_refused_when_they_are_compiled():
    class Short(Steps):
        def update(self, step, learning_rate, parameters):
            return parameters

    class Wide(Steps):
        vectors = 2

    class Single(Scaled):
        def call(self, y_true):
            return y_true, y_true

    with pytest.raises(TypeError, match=r"one of \(step, learning_rate, parameters, gradients\)$"):
        a_model(Short())
    with pytest.raises(TypeError, match=r"gradients, vector_1, vector_2\)$"):
        a_model(Wide())
    with pytest.raises(TypeError, match=r"loss: got Single.*expected one of \(y_true, y_pred\)"):
        a_model(loss=Single())


def test_settings_of_a_file_for_another_class_of_its_name_are_refused(tmp_path):
    fw.register_optimizer("own")(Steps)
    fw.register_loss("own")(Scaled)
    model = a_model(Steps(0.1, 3.0), Scaled(3.0))
    model.save(tmp_path / "model.safetensors")

    class Other(optimizers.NumpyOptimizer):
        def update(self, step, learning_rate, parameters, gradients):
            return parameters

    class OtherLoss(losses.NumpyLoss):
        def call(self, y_true, y_pred):
            return y_true, y_pred

    for name, kind in (("Steps", Other), ("Scaled", OtherLoss)):
        with pytest.raises(ValueError, match=rf"'own>{name}'.*does not take.*factor.*saved with"):
            fw.load(tmp_path / "model.safetensors", custom_objects={name: kind})


def test_vectors_that_are_no_numbers_end_the_call_before_the_step():
    class Counting(Steps):
        vectors = 1

        def update(self, step, learning_rate, parameters, gradients, sums):
            return parameters - learning_rate * gradients, sums + (np.inf if step == 3 else 1.0)

    model = a_model(Counting())
    with pytest.raises(ValueError, match=r"vector 1 of update of Counting: got inf"):
        model.fit(X, Y, batch_size=8, epochs=9, verbose=0)
    assert model.optimizer.iterations == 2
