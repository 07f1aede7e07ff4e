"""What docs/keras.md says of this library, row by row; what it says of Keras was run under Keras.

A row stands here by how its first cell begins. Some rows are of words, or held by tests of their
own; they are listed, so that each row of the table is one or the other.
"""

from __future__ import annotations

import inspect
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest

import fastweights as fw
from fastweights import constraints, layers, losses, metrics, optimizers, regularizers

X = np.random.default_rng(0).standard_normal((8, 4))
Y = X[:, :1].copy()


def refused(call, *arguments, **settings):
    with pytest.raises((TypeError, ValueError, AttributeError)) as caught:
        call(*arguments, **settings)
    assert isinstance(caught.value, AttributeError) or ": got " in str(caught.value), caught.value


def arguments(call):
    return [name for name in inspect.signature(call).parameters if name != "self"]


def model_of(outputs=1, activation=None, loss="mse", chosen=(), **more):
    model = fw.Sequential([layers.Dense(outputs, activation)], 4, "float64", 0, **more)
    model.compile("sgd", loss, chosen)
    return model


def shows(outputs, loss, chosen):
    """A model whose outputs are its inputs."""
    model = fw.Sequential([layers.Identity()], outputs, "float64", 0)
    model.compile("sgd", loss, chosen)
    return model


def two_headed(names=("b", "a")):
    x = fw.Input(4)
    model = fw.Model(x, [layers.Dense(1, name=name)(x) for name in names], "float64", 0)
    model.compile("sgd", "mse", [["mae"], ["mae"]])
    return model


def predicted(layer, shape):
    """What a layer with weights of one seed makes of two rows."""
    model = fw.Sequential([layer], shape, "float64", 0)
    return model.predict(np.random.default_rng(0).standard_normal((2, *shape)))


def masked_away(layer):
    """What a layer makes of a row whose steps are all masked."""
    x = fw.Input((3, 2))
    steps = layers.Masking()(x)
    attends = isinstance(layer, layers.MultiHeadAttention)
    return fw.Model(x, layer(steps, steps) if attends else layer(steps)).predict(
        np.zeros((1, 3, 2))
    )


def numbers_of_masked_steps():
    x, y = fw.Input((3, 1)), fw.Input((3, 1))
    one, other = layers.Masking(9)(x), layers.Masking(9)(y)
    merged = [kind()([one, other]) for kind in (layers.Multiply, layers.Maximum, layers.Minimum)]
    rows = [np.array([[[2.0], [9.0], [3.0]]]), np.array([[[5.0], [7.0], [9.0]]])]
    # Masking makes 0 of what it masks.
    expected = [[10.0, 0.0, 0.0], [5.0, 7.0, 3.0], [2.0, 0.0, 0.0]]
    found = fw.Model([x, y], merged).predict(rows)
    assert [made.ravel().tolist() for made in found] == expected


def an_additive_mask():
    x, m = fw.Input((3, 2)), fw.Input(3)
    model = fw.Model([x, m], layers.MultiHeadAttention(1, 2)(x, x, attention_mask=m))
    refused(model.predict, [np.ones((1, 3, 2)), np.array([[0.0, 0.0, -1e9]])])


def an_image_has_its_own_place():
    model = fw.Sequential([layers.RandomCrop(2, 2)], (8, 8, 1), "float64", 0)
    model.compile("sgd", "mse")
    image = np.random.default_rng(0).standard_normal((1, 8, 8, 1))
    made = model.forward(np.repeat(image, 9, axis=0), training=True)
    assert len({one.tobytes() for one in made}) > 4
    assert np.array_equal(model.predict(image), image[:, 3:5, 3:5])


def a_model_without_a_shape():
    model = fw.Sequential([layers.Dense(1)])
    model.compile("sgd", "mse")
    for call in (model.predict, model, model.forward):
        refused(call, X)
    refused(model.evaluate, X, Y)
    model.build(4)
    assert model.predict(X).shape == (8, 1)


def names_in_each_model():
    for _ in range(2):
        model = fw.Sequential([layers.Dense(2), layers.Dense(1)], 4)
        assert [layer.name for layer in model.layers] == ["dense", "dense_1"]


def some_of_another_model():
    x = fw.Input(4)
    hidden = layers.Dense(3, name="features")(x)
    base = fw.Model(x, layers.Dense(1)(hidden))
    assert fw.Model(x, hidden).layers == base.layers[:1]
    refused(fw.Model, x, layers.Dense(2)(hidden))
    part = fw.Model(base.input, base.get_layer("features").output).copy()
    assert fw.Model(x, layers.Dense(2)(part(x))).predict(X).shape == (8, 2)


def a_model_within():
    x, inner = fw.Input(4), model_of(3)
    outer = fw.Model(x, layers.Dense(1)(inner(x)), "float64")
    assert outer.layers[0] is inner.layers[0]
    assert [layer.name for layer in outer.layers] == ["dense", "dense_1"]


def an_input_for_nothing():
    x, y = fw.Input(4), fw.Input(4)
    refused(fw.Model, [x, y], layers.Dense(1)(x))


def arithmetic():
    x = fw.Input(4)
    refused(lambda: x + x)
    refused(lambda: x[:, 0])
    refused(lambda: fw.ops)


def add_and_pop():
    model = fw.Sequential([layers.Dense(2)], 4)
    model.add(layers.Dense(1))
    model.pop()
    model.compile("sgd", "mse")
    model.train_on_batch(X, Y.repeat(2, 1))
    kept = model.parameters.copy()
    model.add(layers.Dense(1))
    assert (model.parameters[: kept.size] == kept).all()
    part = fw.Model(model.input, model.layers[0].output)
    refused(model.pop)
    del part


def inputs_and_outputs(tmp_path):
    model = model_of()
    model.save(tmp_path / "m.safetensors")
    for one in (model, fw.load(tmp_path / "m.safetensors"), two_headed()):
        assert isinstance(one.inputs, tuple)
        assert isinstance(one.outputs, tuple)
        assert one.input.shape == (None, 4)
    assert model.output.shape == (None, 1)


def shapes_of_one_row():
    assert model_of().input_shape == (4,)
    assert two_headed().output_shape == ((1,), (1,))


def more_keys():
    x = {"a": fw.Input(4), "b": fw.Input(4)}
    model = fw.Model(x, layers.Add()(list(x.values())))
    refused(model.predict, {"a": X, "b": X, "c": X})


def a_layer_twice():
    layer = layers.Dense(4)
    refused(fw.Sequential, [layer, layer], 4)


def an_initializer_for_each_activation():
    found = [layers.Dense(1, name).kernel_initializer.name for name in ("relu", "selu", "tanh")]
    assert found == ["he_normal", "lecun_normal", "glorot_uniform"]


def a_kernel_is_an_array():
    model = model_of()
    model.layers[0].kernel[...] = 0.5
    assert set(model.parameters[:4]) == {0.5}


def a_call_predicts():
    model = model_of()
    np.testing.assert_array_equal(model(X), model.predict(X))
    refused(model, X, training=True)


def names_of_files(tmp_path):
    refused(model_of().save, tmp_path / "m.keras")
    for _ in range(2):
        model_of().save(tmp_path / "m.safetensors")


def classes_of_ones_own(tmp_path):
    class Own(fw.initializers.Ones):
        pass

    model = fw.Sequential([layers.Dense(1, kernel_initializer=Own())], 4)
    refused(model.copy)
    refused(model.save, tmp_path / "m.safetensors")


def what_is_fixed():
    model = model_of()
    for one, name, value in [
        (model.layers[0], "units", 3),
        (model, "loss", "mae"),
        (model.optimizer, "momentum", 0.5),
    ]:
        refused(setattr, one, name, value)
    model.optimizer.learning_rate = 0.5
    model.stop_training, model.matmul_precision, model.trainable = True, "high", False


def a_seed_of_a_layer():
    x = fw.Input(100)
    model = fw.Model(x, [layers.Dropout(0.5, seed=1)(x), layers.Dropout(0.5, seed=1)(x)], seed=0)
    one, other = model.forward(np.ones((1, 100)), training=True)
    assert (one != other).any()


def weights_of_a_normalization():
    adapted = layers.Normalization()
    adapted.adapt(X)
    for layer in (adapted, layers.Normalization(mean=0.0, variance=1.0)):
        model = fw.Sequential([layer], 4)
        assert [one.shape for one in model.layers[0].get_weights()] == [(4,), (4,)]


def the_last_axis():
    for kind in (layers.LayerNormalization, layers.BatchNormalization, layers.Softmax):
        kind(axis=-1)
        refused(kind, axis=1)


def a_regularizer_of_what_is_made():
    x, layer = fw.Input(4), layers.Dense(4, activity_regularizer="l2")
    model = fw.Model(x, layer(layer(x)), "float64", 0)
    model.compile("sgd", "mse")
    first = X @ layer.kernel
    second = first @ layer.kernel
    cost = 0.01 * ((first**2).sum() + (second**2).sum()) / len(X)
    assert model.evaluate(X, second) == pytest.approx(cost)


def no_slope_at_zero():
    model = fw.Sequential([layers.Dense(1, kernel_initializer="zeros", kernel_regularizer="l1")], 4)
    model.compile("sgd", "mse")
    model.train_on_batch(X * 0, Y * 0)
    assert not model.parameters.any()


def methods_that_nobody_calls():
    for base, name in [
        (layers.Layer, "call"), (constraints.NonNeg, "__call__"), (metrics.Metric, "get_config"),
    ]:  # fmt: skip
        refused(type, "Own", (base,), {name: lambda *_: None})


def trainable_at_each_step():
    model = model_of()
    for trainable in (True, False, True):
        model.trainable = trainable
        before = model.parameters.copy()
        model.train_on_batch(X, Y)
        assert (model.parameters != before).any() == trainable


def compile_alone():
    model = fw.Sequential([layers.Dense(1)], 4)
    model.compile()
    assert (type(model.optimizer), model.loss) == (optimizers.SGD, losses.get("mse"))


def rows_of_sparsemax():
    row = np.zeros((1, 524_288 + 1))
    fw.Sequential([layers.Activation("sparsemax")], row.shape[1] - 1)
    refused(fw.Sequential, [layers.Activation("sparsemax")], row.shape[1])


def names_in_one_spelling():
    refused(metrics.get, "R2Score", losses.get("mse"))
    refused(fw.initializers.get, "HeNormal")
    assert metrics.get("R2_SCORE", losses.get("mse")).kind == "r2_score"
    assert (losses.get("MSE"), type(optimizers.get("ADAM"))) == (losses.get("mse"), optimizers.Adam)


def warned(*arguments):
    with pytest.warns(UserWarning, match="crossentropy"):
        model_of(*arguments)


def names_beside_those_of_keras():
    for name in ("rmse", "r2", "mae"):
        metrics.get(name, losses.get("mse"))
    assert losses.get("logcosh") == losses.get("log_cosh")
    assert {fw.activations.get(name).name for name in ("gelu_tanh", "softmin")} == {
        "gelu_tanh", "softmin",
    }  # fmt: skip


def certain_and_wrong():
    model = fw.Sequential([layers.Dense(2, "softmax")], 2, "float64")
    model.layers[0].kernel[...] = np.eye(2)
    model.compile("sgd", "categorical_crossentropy")
    loss, _, dx = model.loss_and_gradients([[100.0, -100.0]], [[0.0, 1.0]])
    assert (loss, dx[0, 1]) == (pytest.approx(200.0), pytest.approx(-1.0))
    clipped = losses.get("categorical_crossentropy")([[0.0, 1.0]], [[1.0, 0.0]])
    assert 16.0 < clipped < 16.2


def targets_of_another_loss():
    for outputs, activation, loss, value in [
        (1, "sigmoid", "binary_crossentropy", 2.0),
        (1, "exponential", "poisson", -1.0),
        (2, "softmax", "categorical_crossentropy", -1.0),
        (1, None, "hinge", 0.5),
    ]:
        refused(model_of(outputs, activation, loss).evaluate, X, np.full((8, outputs), value))


def classes_of_one_output():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for loss in ("categorical_crossentropy", "sparse_categorical_crossentropy"):
            refused(lambda loss=loss: model_of(1, "softmax", loss).evaluate(X, Y * 0 + 1))


Z, SIGNS = np.array([[0.25], [0.75], [-1.0]]), np.array([[1.0], [1.0], [0.0]])


def where_accuracy_cuts():
    logits = losses.BinaryCrossentropy(from_logits=True)
    assert shows(1, logits, ["accuracy"]).evaluate(Z, SIGNS)[1] == 1.0
    assert shows(1, "hinge", ["accuracy"]).evaluate(Z, 2 * SIGNS - 1)[1] == 1.0
    assert shows(1, logits, [metrics.Recall()]).evaluate(Z, SIGNS)[1] == 1.0
    assert metrics.get(metrics.AUC(200), logits).from_logits


def where_f1_cuts():
    assert shows(1, "hinge", [metrics.F1Score()]).evaluate(Z, 2 * SIGNS - 1)[1] == 1.0
    assert metrics.get(metrics.F1Score(), losses.CategoricalCrossentropy()).threshold is None


def a_crossentropy_reads_what_the_loss_reads():
    logits = losses.BinaryCrossentropy(from_logits=True)
    loss, figure = shows(1, logits, ["binary_crossentropy"]).evaluate(Z, SIGNS)
    assert loss == pytest.approx(figure)


def accuracy_of_several_outputs():
    x, y = np.array([[0.9, 0.8, 0.1], [0.1, 0.7, 0.2]]), np.array([[1, 1, 0], [0, 1, 1]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = shows(3, "binary_crossentropy", ["accuracy"])
    assert model.evaluate(x, y)[1] == pytest.approx(5 / 6)


def first_step_of_adam():
    model = fw.Sequential(
        [layers.Dense(1, use_bias=False, kernel_initializer="ones")], 1, "float64"
    )
    model.compile(optimizers.Adam(0.1, epsilon=0.1), "mse")
    model.train_on_batch([[1.0]], [[1.0 - 0.15]])  # a gradient of 0.3
    assert model.parameters[0] == pytest.approx(1 - 0.1 * 0.3 / 0.4)


def order_of_a_history():
    history = model_of(chosen=["rmse", "mae"]).fit(X, Y, verbose=0, validation_split=0.5).history
    figures = ["loss", "rmse", "mae"]
    assert list(history) == [*figures, *(f"val_{name}" for name in figures)]


def nothing_is_printed(capsys):
    model_of().evaluate(X, Y, batch_size=2, verbose=1)
    model_of().predict(X, batch_size=2, verbose=1)
    assert capsys.readouterr().out == ""


def order_of_outputs():
    found = two_headed().evaluate(X, [Y, Y], return_dict=True)
    assert list(found) == ["loss", "b_loss", "a_loss", "b_mae", "a_mae"]
    assert two_headed().evaluate(X, [Y, Y]) == list(found.values())


def fits_that_diverge():
    model = fw.Sequential([layers.Dense(1)], 4, seed=0)
    model.compile(optimizers.SGD(1e30), "mse")
    with pytest.raises(fw.DivergenceError):
        model.fit(X, Y, epochs=20, verbose=0)
    assert np.isfinite(model.parameters).all()


def what_callbacks_get():
    seen = {}

    class Seeing(fw.callbacks.Callback):
        def on_train_end(self, logs=None):
            seen["params"] = self.params

    model_of().fit(X, Y, verbose=0, callbacks=Seeing())
    assert list(seen["params"]) == ["epochs", "steps", "rows"]


def a_figure_that_is_not_there():
    for kind in (STOPPING, fw.callbacks.ReduceLROnPlateau):
        refused(model_of().fit, X, Y, verbose=0, callbacks=kind("val_loss"))


def unknown_attributes():
    for one in (layers.Dense(1), model_of(), optimizers.SGD(), fw.callbacks.EarlyStopping()):
        refused(setattr, one, "anything", 1)


def compile_in_a_callback():
    class Compiling(fw.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs):
            self.model.compile("adam", "mae")

    with pytest.raises(RuntimeError):
        model_of().fit(X, Y, verbose=0, callbacks=Compiling())


def a_loss_that_is_a_function():
    def squares(y_true, y_pred):
        error = y_pred - y_true
        return (error**2).mean(axis=1), 2 * error / error.shape[1]

    one, other = model_of(loss=squares), model_of()
    assert one.evaluate(X, Y) == pytest.approx(other.evaluate(X, Y))
    refused(model_of(loss=lambda y_true, y_pred: (y_true - y_pred) ** 2).fit, X, Y, verbose=0)


def a_metric_that_is_a_function():
    calls = []

    def middle(y_true, y_pred):
        calls.append(len(y_true))
        return float(np.median(abs(y_true - y_pred)))

    model_of(chosen=[middle]).evaluate(X, Y, batch_size=2)
    assert calls == [8]


def a_rate_that_is_set():
    optimizer = optimizers.SGD(SCHEDULES.ExponentialDecay(0.1, 10, 0.5))
    optimizer.learning_rate = 0.2
    assert optimizer.learning_rate == 0.2


def an_area_is_exact():
    scores, truth = np.array([[0.5001], [0.5002], [0.9]]), np.array([[0.0], [1.0], [1.0]])
    exact, counted = (
        shows(1, "mse", [metrics.AUC(many)]).evaluate(scores, truth)[1] for many in (None, 200)
    )
    assert (exact, counted) == (pytest.approx(1.0), pytest.approx(0.75))


def absent(module, *names):
    for name in names:
        refused(getattr, module, name)


def has(call, *names):
    assert not set(names) & set(arguments(call))


STOPPING, SCHEDULES = fw.callbacks.EarlyStopping, optimizers.schedules
#: Each row of which something is run.
ROWS = {
    "`Sequential(layers, trainable, name)`": lambda: arguments(fw.Sequential)
    == ["layers", "input_shape", "dtype", "seed", "matmul_precision", "name"],
    "`Model(inputs, outputs, name=...)`": lambda: arguments(fw.Model)
    == ["inputs", "outputs", "dtype", "seed", "matmul_precision", "name"],
    "a class of one's own derived from `Model`": lambda: refused(
        type, "Own", (fw.Model,), {"call": lambda self, x: x}
    ),
    "`Input(shape, batch_size, dtype, sparse, ...)`": lambda: (
        refused(fw.Input, (None, 3)),
        refused(fw.Input, (3, None)),
    ),
    "a model without a shape": a_model_without_a_shape,
    '`data_format="channels_first"`': lambda: refused(
        layers.Conv2D, 3, 2, data_format="channels_first"
    ),
    "`strides` and `dilation_rate`": lambda: predicted(
        layers.Conv1D(2, 2, strides=2, dilation_rate=2), (9, 3)
    ).shape
    == (2, 4, 2),
    "`Conv3D`, `ConvLSTM2D`": lambda: [
        refused(lambda name=name: getattr(layers, name))
        for name in ("Conv3D", "ConvLSTM2D", "MaxPooling3D")
    ],
    "`RandomCrop` takes one": an_image_has_its_own_place,
    '`UpSampling2D(interpolation="bicubic")`': lambda: (
        refused(layers.UpSampling2D, 2, interpolation="bicubic"),
        refused(layers.Resizing, 2, 2, interpolation="bicubic"),
    ),
    "`LSTM(unroll=True)`": lambda: np.array_equal(
        predicted(layers.LSTM(3, unroll=True), (4, 2)), predicted(layers.LSTM(3), (4, 2))
    ),
    "`MultiHeadAttention(..., return_attention_scores=True)`": lambda: refused(
        layers.MultiHeadAttention(1, 2), fw.Input((3, 4)), return_attention_scores=True
    ),
    "`Multiply`, `Maximum`, `Minimum`": numbers_of_masked_steps,
    "`TimeDistributed` of": lambda: [
        refused(layers.TimeDistributed(layer), fw.Input((2, 4, 4, 1)))
        for layer in (layers.Conv2D(2, 3), layers.MaxPooling2D(), layers.LSTM(2))
    ]
    and refused(layers.TimeDistributed, model_of()),
    "`layer(x, mask=m)`": lambda: refused(layers.LSTM(2), fw.Input((3, 2)), mask=fw.Input(3)),
    "an additive or other": an_additive_mask,
    "`GlobalAveragePooling1D` of": lambda: not masked_away(layers.GlobalAveragePooling1D()).any(),
    "a query of attention": lambda: not masked_away(layers.MultiHeadAttention(1, 2)).any(),
    "`RMSNormalization` drops": lambda: layers.RMSNormalization().supports_masking,
    "`PositionEmbedding`, `Sine": lambda: all(
        kind(*given).supports_masking
        for kind, *given in (
            (layers.PositionEmbedding, 3), (layers.SinePositionEncoding,), (layers.RotaryEmbedding,)
        )
    ),
    "dtype by": lambda: str(model_of().dtype) == "float64",
    "names count": names_in_each_model,
    "`loss=None` for some": lambda: refused(two_headed().compile, "sgd", ["mse", None]),
    "`compile(optimizer, loss, loss_weights, metrics)`": lambda: (
        arguments(fw.Model.compile)[:3] == ["optimizer", "loss", "metrics"]
    ),
    "`layers.concatenate`": lambda: [
        refused(getattr, layers, name) for name in ("concatenate", "add")
    ],
    "`keras.utils.to_categorical": lambda: refused(lambda: fw.utils),
    "any layers of other models": some_of_another_model,
    "a model within another one": a_model_within,
    "a model among the layers": lambda: refused(fw.Sequential, [model_of()], 4),
    "an input that no output needs": an_input_for_nothing,
    "arithmetic on tensors": arithmetic,
    "`layer(x)` of an array": lambda: refused(layers.Dense(1), X),
    "`input_shape=` of a layer": lambda: refused(
        lambda: fw.Model(x := fw.Input(3), layers.Dense(1, input_shape=4)(x))
    ),
    "`model.add` and `pop`": add_and_pop,
    "`model.inputs` and `outputs`": inputs_and_outputs,
    "`layer.weights` is a list": lambda: list(model_of().layers[0].weights) == ["kernel", "bias"]
    and isinstance(model_of().layers[0].get_weights(), list),
    "`get_weights()` of a layer": lambda: refused(layers.Dense(1).get_weights),
    "`model.input_shape` is": shapes_of_one_row,
    "a dict of arrays": more_keys,
    "`plot_model` has": lambda: has(fw.plot_model, "show_dtype", "expand_nested", "dpi")
    or inspect.signature(fw.plot_model).parameters["show_layer_names"].default is True,
    "a layer may stand twice": a_layer_twice,
    "`kernel_initializer=": an_initializer_for_each_activation,
    "`layer.kernel` is": a_kernel_is_an_array,
    "`model(x)` is a tensor": a_call_predicts,
    '`save("model.keras")`': names_of_files,
    "losses, metrics, initialisers, ...": classes_of_ones_own,
    "layers, losses, optimizers and what was compiled": what_is_fixed,
    "`model.layers`, `model.weights`": lambda: all(
        isinstance(getattr(model_of(), name), tuple) for name in ("layers", "weights", "metrics")
    ),
    "`Dropout(noise_shape=...)`": lambda: has(layers.Dropout, "noise_shape"),
    "a layer's `seed`": a_seed_of_a_layer,
    "`AlphaDropout(1)`": lambda: (
        refused(layers.AlphaDropout, 1),
        refused(layers.GaussianDropout, 1),
    ),
    "`Normalization.get_weights()`": weights_of_a_normalization,
    "`axis=` of normalisations": the_last_axis,
    "`activity_regularizer` by position": lambda: has(layers.Dense.__init__, "activity_regularizer")
    or layers.Dense(1, activity_regularizer="l2").activity_regularizer == regularizers.get("l2"),
    "`OrthogonalRegularizer` of one": lambda: refused(
        regularizers.OrthogonalRegularizer(0.1), np.ones((1, 4))
    ),
    "a layer that is called twice": a_regularizer_of_what_is_made,
    "the slope of `l1`": no_slope_at_zero,
    "`renorm` and `synchronized`": lambda: has(
        layers.BatchNormalization.__init__, "renorm", "synchronized"
    ),
    "`reverse_dtype`": lambda: refused(layers.ReversibleEmbedding, 3, 2, reverse_dtype="float16"),
    "`call`, `build`, `get_config`": methods_that_nobody_calls,
    "`trainable` of a model": trainable_at_each_step,
    "`compile()` means": compile_alone,
    "a loss is a function of tensors": a_loss_that_is_a_function,
    "a metric that is a function": a_metric_that_is_a_function,
    "models pickle": lambda: np.array_equal(
        pickle.loads(pickle.dumps(one := model_of())).parameters, one.parameters
    ),
    "`sparsemax` of rows": rows_of_sparsemax,
    '`reduction="sum"`': lambda: has(losses.MeanSquaredError, "reduction"),
    "the same metric twice": lambda: refused(model_of, 1, None, "mse", ["mae", "mae"]),
    "names in any spelling": names_in_one_spelling,
    "besides Keras's names": names_beside_those_of_keras,
    "a crossentropy behind an activation": lambda: (
        warned(1, "relu", "binary_crossentropy"),
        warned(1, "sigmoid", losses.BinaryCrossentropy(from_logits=True)),
    ),
    "a crossentropy after softmax": certain_and_wrong,
    "labels outside the classes": lambda: refused(
        model_of(2, "softmax", "sparse_categorical_crossentropy").evaluate, X, np.full(8, 2)
    ),
    "targets that a loss is not for": targets_of_another_loss,
    "targets `(rows, 1)`": lambda: refused(model_of(3).evaluate, X, Y),
    "classes of a network with one output": classes_of_one_output,
    '`"accuracy"` cuts': where_accuracy_cuts,
    '`"binary_crossentropy"` by name': a_crossentropy_reads_what_the_loss_reads,
    '`"accuracy"` beside `binary_crossentropy`': accuracy_of_several_outputs,
    '`"accuracy"` beside `mse`': lambda: refused(model_of, 1, None, "mse", ["accuracy"]),
    "`F1Score()` and": where_f1_cuts,
    "`r2_score` of constant targets": lambda: shows(1, "mse", ["r2_score"]).evaluate(
        np.ones((3, 1)), np.ones((3, 1))
    )
    == [0.0, 1.0],
    "Adam adds": first_step_of_adam,
    "a negative `learning_rate`": lambda: refused(optimizers.SGD, -0.1),
    "a schedule of one's own": lambda: (
        refused(type, "Own", (SCHEDULES.LearningRateSchedule,), {"__call__": lambda self, n: 0.1}),
        refused(optimizers.SGD, lambda step: 0.1),
    ),
    "`learning_rate` cannot be set": a_rate_that_is_set,
    "schedules and optimizers have": lambda: has(
        optimizers.Adam.__init__, "name", "loss_scale_factor"
    )
    or has(SCHEDULES.CosineDecay.__init__, "name"),
    "`exclude_from_weight_decay": lambda: (
        refused(optimizers.AdamW().exclude_from_weight_decay, [model_of().parameters]),
        optimizers.AdamW().exclude_from_weight_decay(var_names=["dense/bias"]),
    ),
    "besides Keras's `Rprop`": lambda: all(
        hasattr(optimizers, name) for name in ("Rprop", "LBFGS", "LevenbergMarquardt")
    )
    and all(
        hasattr(SCHEDULES, name)
        for name in ("StepDecay", "OneCycle", "LinearWarmup", "CosLog4", "Constant")
    ),
    "`Adafactor`, `Ftrl`": lambda: absent(
        optimizers,
        "Adafactor", "Ftrl", "Lamb", "LossScaleOptimizer", "MultiOptimizer", "Muon",
        "ScheduleFreeAdamW",
    ),
    "`alpha` of `CategoricalFocal": lambda: refused(
        losses.CategoricalFocalCrossentropy, alpha=[0.25, 0.5]
    ),
    "`SparseCategoricalCrossentropy(ignore": lambda: refused(
        losses.SparseCategoricalCrossentropy, ignore_class=0
    )
    or losses.SparseCategoricalCrossentropy(label_smoothing=0.1),
    "`CosineSimilarity(axis": lambda: refused(losses.CosineSimilarity, axis=0),
    "besides Keras's `Quantile`": lambda: (losses.Quantile(), losses.GaussianNLL()),
    "`CTC`, `Circle`": lambda: absent(
        losses, "CTC", "Circle", "Dice", "Tversky", "CategoricalGeneralizedCrossEntropy"
    ),
    "`AUC` counts": an_area_is_exact,
    "`F1Score` without": lambda: shows(
        2, losses.CategoricalCrossentropy(from_logits=True), [metrics.F1Score()]
    ).evaluate([[0.5, 0.5], [0.2, 0.8]], [[1, 0], [0, 1]])[1].tolist()
    == [1.0, 1.0],
    "`PearsonCorrelation` and": lambda: shows(1, "mse", [metrics.PearsonCorrelation()]).evaluate(
        [[0.0], [1.0], [3.0]], [[1.0], [3.0], [7.0]]
    )[1]
    == pytest.approx(1.0),
    "`TopKCategoricalAccuracy(k=1)`": lambda: refused(metrics.TopKCategoricalAccuracy, 1),
    "`IoU` and its kin": lambda: absent(
        metrics,
        "IoU", "MeanIoU", "OneHotIoU", "PrecisionAtRecall", "RecallAtPrecision",
        "SensitivityAtSpecificity", "Mean", "Sum", "Accuracy",
    ),
    "besides Keras's `BalancedAccuracy`": lambda: all(
        hasattr(metrics, name)
        for name in (
            "BalancedAccuracy", "MatthewsCorrelation", "CohenKappa", "ConfusionMatrix",
            "ExplainedVariance", "from_sklearn",
        )
    ),
    "`RemoteMonitor`": lambda: absent(fw.callbacks, "RemoteMonitor", "OrbaxCheckpoint"),
    "besides Keras's `OptunaPruning`": lambda: arguments(fw.callbacks.ModelCheckpoint)[-1]
    == "keep",
    "no `weighted_metrics`": lambda: has(
        fw.Model.compile, "weighted_metrics", "run_eagerly", "steps_per_execution", "jit_compile"
    ),
    "`shuffle=1`": lambda: [
        refused(model_of().fit, X, Y, shuffle=wrong, verbose=0) for wrong in (1, "batch")
    ],
    "rows that are not finite": lambda: [
        refused(fw.Sequential([layers.Dense(1)], 4).predict, X * huge) for huge in (np.nan, 1e300)
    ],
    "a loss or validation loss": fits_that_diverge,
    '`"categorical_accuracy"` of one': lambda: [
        refused(lambda name=name: model_of(1, None, "mse", [name]).evaluate(X, Y))
        for name in ("categorical_accuracy", "binary_crossentropy")
    ],
    "rows as lists": lambda: model_of().fit(X.tolist(), Y.tolist(), verbose=0) is not None,
    "arrays of objects": lambda: (
        model_of().predict(X.astype(object)),
        refused(model_of().predict, np.array([["a"] * 4], object)),
    ),
    "`history.history` has": order_of_a_history,
    "`evaluate` and `predict` print": nothing_is_printed,
    "`evaluate` of several outputs": order_of_outputs,
    "`predict` without rows": lambda: refused(model_of().predict, X[:0]),
    "`EarlyStopping`, `ModelCheckpoint`": a_figure_that_is_not_there,
    "`ModelCheckpoint` writes": lambda: [
        refused(fw.callbacks.ModelCheckpoint, name) for name in ("a.keras", "a.weights.h5")
    ],
    "`TensorBoard(": lambda: arguments(fw.callbacks.TensorBoard) == ["log_dir", "update_freq"],
    "`LambdaCallback` and": lambda: (
        refused(fw.callbacks.LambdaCallback, on_batch=print),
        refused(
            model_of().fit, X, Y, verbose=0,
            callbacks=fw.callbacks.LambdaCallback(on_epoch_end=lambda epoch: None),
        ),
    ),
    "hooks of batches": lambda: hasattr(fw.callbacks.Callback, "on_progress"),
    "`params` has": what_callbacks_get,
    "an attribute that a layer": unknown_attributes,
    "`compile` in a callback": compile_in_a_callback,
}  # fmt: skip
#: Of words, or held by the tests of what they are about.
ELSEWHERE = {
    "`PyDataset(workers": "test_batches.py",
    "besides Keras's `.npy`": "test_from_disk.py, test_parquet.py",
    "with `sample_weight` or": "test_row_weights.py",
    "metrics know of weights": "test_row_weights.py",
    "weights that are negative": "test_row_weight_arguments.py",
    "`class_weight` and `sample_weight` together": "test_row_weights.py",
    "`class_weight` is a dict": "test_row_weight_arguments.py",
    "weights of one output": "test_row_weights.py",
    "`reset_metrics`, `metrics_names`": "test_row_weight_arguments.py",
    "AMSGrad likewise": "test_update_rules.py",
    "schedules count steps": "test_schedules.py",
    "`clipnorm`, `clipvalue` and": "test_stepping.py",
    "seeds by": "test_models.py, test_initializers.py",
    "`@keras.saving.register_keras": "test_own_layers.py",
    "`Layer.build`, `add_weight`": "test_own_layers.py",
    "frames are taken": "test_frames.py",
    "`Dropout(rate)` drops": "test_noise.py",
    '`verbose="auto"`': "test_callbacks.py",
    "a layer with `stateful=True`": "test_stateful.py",
    "a `stateful` layer that is called twice": "test_stateful.py",
    "`save_weights(": "test_pretrained.py",
    "`load_weights(": "test_pretrained.py",
    "a callback object": "test_callbacks.py",
    "a first figure that is NaN": "test_callbacks.py",
    '`mode="auto"` refuses': "test_callbacks.py",
    "`BackupAndRestore` begins": "test_resuming.py",
    "`BackupAndRestore` removes": "test_resuming.py",
    "`TerminateOnNaN`": "test_callbacks_of_keras.py",
    "a recurrent layer called with": "test_recurrent_states.py",
    "`RootMeanSquaredError` and": "test_masks.py",
    "`evaluate` of masked outputs": "test_masks.py",
}


def first_cells():
    """Of each row; where it says nothing of Keras the next one."""
    text = (Path(__file__).parent.parent / "docs" / "keras.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| ")]
    cells = [row[1].strip() or row[2].strip() for row in rows]
    return [cell for cell in cells if cell != "Keras 3"]


def test_each_row_is_here_once():
    for cell in first_cells():
        assert sum(cell.startswith(begin) for begin in (*ROWS, *ELSEWHERE)) == 1, cell
    for begin in (*ROWS, *ELSEWHERE):
        assert sum(cell.startswith(begin) for cell in first_cells()) == 1, begin


@pytest.mark.parametrize("begin", ROWS)
def test_what_a_row_says_of_this_library(begin, tmp_path, capsys):
    fixtures = {"tmp_path": tmp_path, "capsys": capsys}
    row = ROWS[begin]
    assert row(*(fixtures[name] for name in arguments(row))) is not False
