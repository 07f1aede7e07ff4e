"""Arguments that are not there: by which name they are refused, and what to write instead."""

import inspect
import pickle

import numpy as np
import pytest

import fastweights as fw
from fastweights import callbacks, initializers, layers, losses, metrics, optimizers

X, Y = np.ones((8, 4)), np.ones((8, 1))


def model():
    made = fw.Sequential([layers.Dense(1)], 4)
    made.compile("sgd", "mse")
    return made


def batches():
    yield X, Y


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: layers.Conv2D(2), "Conv2D: got no kernel_size, expected Conv2D(filters, kernel_s"),
        (lambda: layers.Conv2D(), "Conv2D: got no filters and no kernel_size, expected Conv2D("),
        (lambda: layers.Dense(*range(13)), "Dense: got 13 arguments without names, expected at m"),
        (lambda: layers.Dense(1, units=2), "Dense: multiple values for argument 'units'"),
        (lambda: layers.Dense(1, nothing=2), "Dense: got nothing=2, expected units, activation, u"),
        (lambda: losses.MeanSquaredError(1), "MeanSquaredError: got 1 argument without names, ex"),
        (lambda: losses.MeanSquaredError(a=1), "MeanSquaredError: got a=1, expected no arguments"),
        (
            lambda: losses.BinaryCrossentropy(reduction="sum"),
            "BinaryCrossentropy: got reduction='sum', expected from_logits, label_smoothing",
        ),
        (lambda: metrics.BinaryAccuracy(thresholds=0.1), "; did you mean 'threshold'?"),
        (lambda: initializers.RandomNormal(stdev=1), "; did you mean 'stddev'?"),
        (lambda: callbacks.EarlyStopping(patient=3), "EarlyStopping: got patient=3, expected no s"),
        (lambda: layers.Conv2D(2, 3, stride=2), "Conv2D: got stride=2, expected no such argument;"),
        (lambda: layers.Conv2D(2, 3, stride=2), "; did you mean 'strides'?"),
        (lambda: layers.Conv2D(2, 3, dilation=2), "; did you mean 'dilation_rate'?"),
        (lambda: layers.Dense(2, batch_input_shape=(None, 3)), "; write input_shape, without the "),
        (lambda: layers.Dense(2, inputshape=3), "; did you mean 'input_shape'?"),
        (lambda: layers.Embedding(3, 2, input_length=4), "; leave it out: what the layer reads"),
        (lambda: layers.Embedding(3, 2, weights=[X]), "; layer.set_weights([...]) once the model"),
        (lambda: layers.LSTM(2, use_cudnn=False), "; leave it out: there is one way to run"),
        (lambda: layers.LSTM(2, implementation=2), "; leave it out: there is one way to run"),
        (lambda: layers.LSTM(2, time_major=True), "; steps are the axis behind the rows"),
        (lambda: layers.LSTM(2, return_sequence=True), "; did you mean 'return_sequences'?"),
        (lambda: layers.MultiHeadAttention(2, embed_dim=4), "; key_dim is embed_dim // num_heads"),
        (lambda: optimizers.Adam(lr=0.1), "; the step size is learning_rate"),
        (lambda: optimizers.Adam(betas=(0.9, 0.99)), "; write beta_1 and beta_2"),
        (lambda: optimizers.Adam(momentum=0.9), "; SGD and RMSprop have it; beta_1 is that"),
        (lambda: optimizers.LBFGS(line_search_fn="strong_wolfe"), "; leave it out: it searches by"),
        (lambda: optimizers.LBFGS(max_iter=20), "; leave it out: an epoch of fit is one step"),
        (lambda: model().compile("sgd", "mse", weighted_metrics=[]), "; write metrics: they are w"),
        (lambda: model().fit(X, Y, weights=Y), "fit: got weights=array([[1.],"),
        (lambda: model().fit(X, Y, weights=Y), "; write sample_weight"),
        (lambda: model().fit(X, Y, sample_weight="balanced"), "; class_weight='balanced' weighs "),
        (lambda: optimizers.AdamW(lr=0.1), "AdamW: got lr=0.1, expected no such argument; the st"),
        (lambda: optimizers.AdamW(weight_decay=True), "weight_decay: got True, expected a number"),
        (lambda: optimizers.AdamW("a"), "learning_rate: got 'a', expected a number"),
        (lambda: optimizers.Adam(decay=0.1), "; learning_rate=fw.schedules.InverseTimeDecay"),
        (lambda: optimizers.Adam(clip_norm=1.0), "; did you mean 'clipnorm'?"),
        (lambda: fw.generate(model(), [1], max_new_tokens=3), "generate: got max_new_tokens=3, ex"),
        (
            lambda: model().test_on_batch(X, Y, class_weight={0: 1}),
            "test_on_batch: got class_weight",
        ),
        (lambda: model().fit(X, Y, epoch=3), "fit: got epoch=3, expected no such argument; did yo"),
        (lambda: model().compile("sgd", metric="mae"), "; did you mean 'metrics'?"),
        (lambda: model().fit(X), "y: got None, expected an array of real numbers; a gene"),
        (
            lambda: model().evaluate(X),
            "y: got None, expected an array of real numbers; a gene",
        ),
        (lambda: fw.plot_filters(model(), "f.png"), "; for a file write to_file='f.png'"),
    ],
)
def test_what_is_not_there_is_named(call, message):
    with pytest.raises(TypeError) as caught:
        call()
    assert message in str(caught.value)
    assert not str(caught.value).startswith("_")


def test_what_is_taken_is_told():
    assert "from_logits" in inspect.signature(losses.BinaryCrossentropy).parameters
    assert not inspect.signature(losses.MeanSquaredError).parameters
    assert list(inspect.signature(fw.Model.fit).parameters)[:3] == ["self", "x", "y"]
    assert pickle.loads(pickle.dumps(losses.Huber())) == losses.Huber()


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for module in (
            *(fw.activations, callbacks, fw.constraints, initializers, layers, losses, metrics),
            *(optimizers, fw.regularizers, fw.schedules),
        )
        for kind in vars(module).values()
        if isinstance(kind, type) and kind.__module__.startswith("fastweights.")
    ],
    ids=lambda kind: kind.__qualname__,
)
def test_every_class_says_what_it_takes(kind):
    names = list(inspect.signature(kind).parameters)
    assert "settings" not in names
    if issubclass(kind, optimizers.Optimizer):
        assert names.count("weight_decay") == ("clipnorm" in names)


class Fails(layers.Layer):
    def __init__(self, name=None):
        super().__init__(name)
        raise TypeError("of its own")


def test_errors_of_a_constructors_own_stay():
    with pytest.raises(TypeError, match=r"^of its own$"):
        Fails()
