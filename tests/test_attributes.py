"""What is set takes effect, or raises: nothing is swallowed, nor changed behind what follows."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from helpers import data, network, same_bits

import fastweights as fw
from fastweights import activations, callbacks, initializers, layers, losses, metrics, optimizers
from fastweights.layers.base import takes

pytestmark = pytest.mark.promises

X, Y = data(20)


def model():
    made = network((5, 7, 3), optimizer="adam", metrics=("mae",))
    made.fit(X, Y, verbose=0)
    return made


def fitted(callback):
    model().fit(X, Y, epochs=2, verbose=0, validation_split=0.5, callbacks=callback)
    return callback


#: Layers that can be made of nothing.
WITHOUT_SETTINGS = [kind for kind in layers.LAYERS.values() if takes(kind, ())]

OBJECTS = {
    "model": model,
    "unbuilt model": lambda: fw.Sequential([layers.Dense(3)]),
    "layer": lambda: model().layers[0],
    "layer not built": lambda: layers.Dense(3, "relu"),
    "Activation": lambda: layers.Activation("relu"),
    **{f"{kind.__name__} layer": kind for kind in WITHOUT_SETTINGS},
    "normalisation that is built": lambda: fw.Sequential(
        [layers.LayerNormalization(), layers.PReLU()], 5
    ).layers[0],
    "PReLU that is built": lambda: fw.Sequential([layers.PReLU()], 5).layers[0],
    "Concatenate": lambda: layers.Concatenate(1),
    "Dot": lambda: layers.Dot(1),
    "Reshape": lambda: layers.Reshape((2, -1)),
    "Permute": lambda: layers.Permute((2, 1)),
    "RepeatVector": lambda: layers.RepeatVector(2),
    "Rescaling": lambda: layers.Rescaling(2.0),
    "SGD": lambda: optimizers.SGD(0.1, 0.9),
    "Adam": lambda: model().optimizer,
    "loss": lambda: model().loss,
    "metric": lambda: model().metrics[0],
    "activation": lambda: activations.ELU(0.5),
    "initializer": lambda: initializers.RandomNormal(),
    "loss with settings": lambda: losses.BinaryCrossentropy(label_smoothing=0.1),
    "metric with settings": lambda: metrics.BinaryAccuracy(threshold=0.3),
    "EarlyStopping": lambda: fitted(callbacks.EarlyStopping()),
    "History": lambda: model().fit(X, Y, verbose=0),
    "ProgbarLogger": lambda: callbacks.ProgbarLogger(),
    "EpochLines": lambda: fitted(callbacks.EpochLines()),
    "weight": lambda: model().weights[0],
}

#: What may be set, and values that it takes.
SETTABLE = {
    **{
        (kind, "trainable"): (True, False)
        for kind, make in OBJECTS.items()
        if isinstance(make(), (layers.Layer, fw.Model))
    },
    ("model", "stop_training"): (True, False),
    ("model", "matmul_precision"): ("high", "medium", None),
    ("unbuilt model", "stop_training"): (True, False),
    ("unbuilt model", "matmul_precision"): ("high", None),
    ("SGD", "learning_rate"): (0.5, 0.0),
    ("Adam", "learning_rate"): (0.5, 0.0),
}

VALUES = (None, 0, 3, 0.5, "x", (1,), [], {}, True, np.zeros(3), abs, layers.Dense(2))

#: Names that code written for other libraries sets, and slips of the pen.
FOREIGN = (
    "trainable", "lr", "clipnorm", "clipvalue", "global_clipnorm", "weight_decay", "metrics_names",
    "kernel_regularizer", "stop_trainning", "learning_rat", "paitence", "units_", "foo",
)  # fmt: skip


def public(thing):
    names = {name for name in dir(thing) if not name.startswith("_")}
    return sorted(names if not isinstance(thing, np.ndarray) else {"name"})


@pytest.mark.parametrize("kind", OBJECTS)
def test_every_public_attribute_takes_effect_or_raises(kind):
    thing = OBJECTS[kind]()
    names = [*public(thing), *([] if kind == "weight" else FOREIGN)]
    for name in names:
        for value in VALUES:
            refusal = None
            try:
                setattr(thing, name, value)
            except (AttributeError, TypeError, ValueError) as error:
                refusal = str(error)
            if refusal is None:
                assert (kind, name) in SETTABLE, (name, value)
                assert getattr(thing, name) == value
            else:
                assert name in refusal or "input_shape" in refusal, (name, value, refusal)
    for name in public(thing):
        with pytest.raises(AttributeError):
            delattr(thing, name)


@pytest.mark.parametrize(("kind", "name"), SETTABLE)
def test_what_may_be_set_is_set(kind, name):
    thing = OBJECTS[kind]()
    for value in SETTABLE[kind, name]:
        setattr(thing, name, value)
        assert getattr(thing, name) == value


@pytest.mark.parametrize(
    ("layer", "name", "start"),
    [
        (layers.Dense(3), "kernel", True),
        (layers.MemberDense(3), "bias", True),
        (layers.MemberScale(), "scale", True),
        (layers.Scale(), "scale", True),
        (layers.Embedding(3, 2), "embeddings", True),
        (layers.PReLU(shared_axes=(1, 2)), "alpha", True),
        (layers.LayerNormalization(), "beta", True),
        (layers.RMSNormalization(), "scale", False),
        (layers.BatchNormalization(), "moving_mean", True),
        (layers.Normalization(), "mean", False),
        (layers.Normalization(mean=0, variance=1), "variance", False),
    ],
)
def test_a_layer_says_why_its_arrays_cannot_be_set_before_they_are_there(layer, name, start):
    expected = f"{name}: is there once its model knows the input"
    expected += f"; {name}_initializer says how it starts" * start
    with pytest.raises(AttributeError, match=f"^{expected}$"):
        setattr(layer, name, 3)


def test_the_learning_rate_takes_effect():
    one, other = (network(optimizer=optimizers.SGD(0.1)) for _ in range(2))
    one.optimizer.learning_rate = 0.0
    before = one.parameters.copy()
    one.train_on_batch(X, Y)
    same_bits(one.parameters, before)
    one.optimizer.learning_rate = 0.1
    for each in (one, other):
        each.train_on_batch(X, Y)
    same_bits(one.parameters, other.parameters)


def test_classes_of_layers_have_no_attributes_that_are_nobody_s_business():
    """What is set for all layers of a class begins with an underscore, but for what users write."""
    for kind in layers.LAYERS.values():
        plain = (int, float, str, bool, tuple, dict)
        found = {name for name, value in inspect.getmembers(kind) if isinstance(value, plain)}
        assert {name for name in found if name[0] != "_"} == {"supports_masking"}, kind


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.layers.pop(),
        lambda m: m.layers.append(layers.Dense(2)),
        lambda m: m.metrics.append("mse"),
        lambda m: m.weights.__setitem__(0, np.zeros((5, 7))),
        lambda m: m.layers[0].weights.pop("kernel"),
        lambda m: m.layers[0].weights.__setitem__("kernel", np.zeros((5, 7))),
        lambda m: m.input_shape.__setitem__(0, 3),
    ],
)
def test_what_is_handed_out_cannot_be_changed(change):
    with pytest.raises((AttributeError, TypeError)):
        change(model())


def test_views_that_are_handed_out_are_the_callers_own():
    """Their shapes may be changed without anything noticing; their numbers are the model's."""
    one = model()
    for view in (one.weights[0], one.layers[0].kernel, one.parameters, one.gradients):
        view.shape = (-1, 1)
        view.dtype = np.uint8
    one.layers[0].weights["kernel"].shape = (35,)
    same_bits(one.predict(X), model().predict(X))
    assert one.layers[0].kernel.shape == one.weights[0].shape == (5, 7)
    one.parameters[:] = 1.0
    assert (one.layers[0].kernel == 1.0).all()


def test_operations_in_place_are_taken():
    one, other = model(), model()
    one.layers[0].kernel *= 0.5
    one.parameters *= 2.0
    one.gradients += 0.0
    other.layers[0].kernel[...] = other.layers[0].kernel * 0.5
    other.parameters[:] = other.parameters * 2.0
    same_bits(one.parameters, other.parameters)
    with pytest.raises(AttributeError, match=r"parameters: is the model's own vector; write"):
        one.parameters = np.zeros(one.count_params())
    with pytest.raises(AttributeError, match=r"kernel: is the model's own; write"):
        one.layers[0].kernel = np.zeros((5, 7))


@pytest.mark.parametrize(
    ("set_it", "words"),
    [
        (lambda: setattr(model().optimizer, "lr", 0), "the step size is learning_rate"),
        (lambda: setattr(optimizers.Adam(), "clipnorm", 1), "clipnorm: is fixed"),
        (lambda: setattr(layers.Dense(2), "kernel", 1), "kernel_initializer says how it starts"),
        (lambda: setattr(model(), "loss", "mae"), "call model.compile"),
        (lambda: setattr(model(), "optimizer", "sgd"), "call model.compile"),
        (lambda: setattr(callbacks.EarlyStopping(), "paitence", 1), "did you mean 'patience'"),
    ],
)
def test_what_to_do_instead(set_it, words):
    with pytest.raises(AttributeError, match=words):
        set_it()


# ---- callbacks of one's own ----------------------------------------------------------------------


@pytest.mark.parametrize("hook", ["on_train_batch_ends", "on_step_begin", "on_epoch_ends"])
def test_a_hook_that_is_never_called_is_refused(hook):
    with pytest.raises(TypeError, match=f"{hook}: got a hook that fit does not call, expected"):
        type("Own", (callbacks.Callback,), {hook: lambda self, *rest: None})
    with pytest.raises(TypeError, match=f"{hook}: got a hook"):
        setattr(callbacks.Callback(), hook, lambda *rest: None)


def test_a_callback_of_ones_own_keeps_what_it_likes():
    class Own(callbacks.EarlyStopping):
        def on_epoch_end(self, epoch, logs):
            super().on_epoch_end(epoch, logs)
            self.count = epoch

    own = fitted(Own())
    assert own.count == 1
    with pytest.raises(AttributeError, match="model: is set by fit"):
        own.model = None


def test_settings_of_the_process_are_set_by_functions_alone():
    for name, value in inspect.getmembers(fw.config()):
        if not name.startswith("_"):
            assert callable(value)
    fw.config()["num_threads"] = 99
    assert fw.get_num_threads() != 99


@pytest.mark.parametrize("name", ["call", "train_step", "compute_loss"])
def test_methods_that_nobody_would_call_are_refused(name):
    with pytest.raises(TypeError, match=f"Net: got a method {name}, which nobody calls"):
        type("Net", (fw.Sequential,), {name: lambda self: None})


def test_nesterov_needs_momentum():
    with pytest.raises(ValueError, match="nesterov: got True without momentum"):
        fw.optimizers.SGD(nesterov=True)
