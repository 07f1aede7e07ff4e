"""What descriptions say of plain arrays is what the compiled step does; all else is refused."""

import re

import numpy as np
import pytest

import fastweights as fw
from fastweights import constraints, initializers, layers, losses, metrics, optimizers, regularizers
from fastweights._absent import INSTEAD

DTYPES = ("float32", "float64")
SIZES = (0.0, 1e-45, 1e-38, 1e-30, 1e-19, 1e-8, 1.0, 1e15, 1e19, 1e30, 3e38)
CONSTRAINTS = (
    constraints.NonNeg(),
    constraints.MaxNorm(1.0),
    constraints.MaxNorm(0.5, 1),
    constraints.UnitNorm(),
    constraints.UnitNorm((0, 1)),
    constraints.MinMaxNorm(0.5, 2.0, 0.3),
)
REGULARIZERS = (
    regularizers.L1(),
    regularizers.L2(),
    regularizers.L1L2(0.1, 0.2),
    regularizers.OrthogonalRegularizer(),
    regularizers.OrthogonalRegularizer(mode="columns"),
)
SIGNS = np.array([[1, -1, 0.5], [1, 1, 1], [1, 0.25, 1], [1, 1, -1]])


def after_a_step(constraint, weights):
    layer = layers.Dense(3, use_bias=False, kernel_constraint=constraint)
    model = fw.Sequential([layer], 4, dtype=weights.dtype, seed=0)
    model.compile(optimizers.SGD(0.0), "mse")
    layer.kernel[...] = weights
    model.apply_gradients()
    return np.array(layer.kernel)


@pytest.mark.parametrize("constraint", CONSTRAINTS, ids=repr)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_a_constraint_is_what_a_step_leaves(size, dtype, constraint):
    weights = (size * SIGNS).astype(dtype)
    found = constraint(after_a_step(None, weights))  # by which subnormal weights are 0
    assert found.dtype == dtype
    np.testing.assert_allclose(
        found, after_a_step(constraint, weights), rtol=4 * np.finfo(dtype).eps, atol=0
    )
    assert np.isfinite(found).all()


@pytest.mark.parametrize("regularizer", REGULARIZERS, ids=repr)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_a_regularizer_is_what_the_loss_has(size, dtype, regularizer):
    weights = (size * SIGNS).astype(dtype)
    layer = layers.Dense(3, use_bias=False, kernel_regularizer=regularizer)
    model = fw.Sequential([layer], 4, dtype=dtype, seed=0)
    model.compile("sgd", "mse")
    layer.kernel[...] = weights
    cost = model.evaluate(np.zeros((1, 4)), np.zeros((1, 3)))
    limits = np.finfo(dtype)
    wanted = pytest.approx(cost, rel=20 * float(limits.eps), abs=float(limits.smallest_subnormal))
    assert regularizer(weights) == wanted


def test_norms_of_any_group_beside_any_other():
    weights = np.array([[1e300, 1.0, 1e-5], [1e300, 1.0, 1e-5]])
    found = constraints.UnitNorm()(weights)
    np.testing.assert_allclose(found[:, :2], 0.5**0.5, rtol=1e-6)
    layer = layers.Dense(3, use_bias=False, kernel_constraint=constraints.UnitNorm())
    model = fw.Sequential([layer], 2, dtype="float64", seed=0)
    model.compile(optimizers.SGD(0.0), "mse")
    layer.kernel[...] = weights
    model.apply_gradients()
    np.testing.assert_allclose(layer.kernel, found, rtol=1e-15)


def test_no_l2_costs_nothing_where_squares_overflow():
    assert regularizers.L1(0.5)([1e200, -1e200]) == 1e200
    layer = layers.Dense(1, use_bias=False, kernel_regularizer=regularizers.L1(0.5))
    model = fw.Sequential([layer], 2, dtype="float64", seed=0)
    model.compile("sgd", "mse")
    layer.kernel[...] = [[1e200], [-1e200]]
    assert model.evaluate(np.zeros((1, 2)), np.zeros((1, 1))) == 1e200


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: regularizers.L2()(None), "weights: got None, expected"),
        (lambda: regularizers.L2()("abc"), "weights: got the text 'abc'"),
        (lambda: constraints.UnitNorm()([1j, 2]), "weights: got dtype complex128"),
        (lambda: constraints.UnitNorm()(None), "weights: got None"),
        (lambda: constraints.UnitNorm()(2.0), "weights: got axis 0 for weights"),
        (lambda: constraints.NonNeg()("abc"), "weights: got the text 'abc'"),
        (lambda: constraints.MaxNorm(1, 3)([1.0, 2.0]), "weights: got axis 3 for weights"),
        (lambda: initializers.Zeros()("abc"), "shape: got 'abc', expected a whole number"),
        (lambda: initializers.Zeros()((-1, 2)), "shape: got -1, expected at least 0"),
        (lambda: initializers.Zeros().fill([1], 0, 0), "out: got list, expected a NumPy array"),
        (lambda: initializers.Zeros().fill(np.zeros(2, int), 0, 0), "out: got int64"),
        (lambda: initializers.Zeros().fill(np.zeros(2), "a", 0), "seed: got 'a'"),
        (lambda: initializers.Zeros().fill(np.zeros(2), 0, 0, "l2"), "fan_in: got 'l2'"),
        (lambda: losses.get({"name": "huber", "dleta": 2}), "loss: got 'dleta', expected settings"),
        (
            lambda: metrics.get({"kind": "r2_score", "threshold": "a"}, losses.get("mse")),
            "metrics: got 'threshold', expected settings of r2_score: name",
        ),
        (
            lambda: optimizers.get({"name": "sgd", "momentun": 0.9}),
            "optimizer: got 'momentun', expected settings of sgd: learning_rate, weight_decay",
        ),
        (
            lambda: optimizers.get({"class_name": "Adam", "config": {"learning_rate": 0.1}}),
            "optimizer: got a dict of 'class_name', 'config', expected one with 'name', as "
            "config() gives; of Keras's class_name and config write {'name': class_name, **config}",
        ),
        (lambda: losses.get({}), "loss: got a dict of nothing, expected one with 'name'"),
        (
            lambda: metrics.get({"name": "auc"}, losses.get("mse")),
            "metrics: got a dict of 'name', expected one with 'kind', as config() gives",
        ),
        (
            lambda: metrics.get(lambda y_true, y_pred, more: 0.0, losses.get("mse")),
            "fn: got one of (y_true, y_pred, more), expected a function (y_true, y_pred)",
        ),
        (
            lambda: metrics.MeanMetricWrapper(lambda y_true, y_pred: 0.0, name="a", scale=2),
            "fn: got one of (y_true, y_pred): got an unexpected keyword argument 'scale', expected "
            "a function (y_true, y_pred, scale)",
        ),
        (
            lambda: fw.callbacks.LearningRateScheduler(lambda epoch, rate, more: rate),
            "schedule: got one of (epoch, rate, more), expected a function of epoch and learning",
        ),
        (lambda: fw.callbacks.TensorBoard(log_dir=5), "log_dir: got int, expected a str, bytes or"),
        (lambda: fw.callbacks.CSVLogger(5), "filename: got int, expected a str, bytes or"),
        (lambda: fw.callbacks.ModelCheckpoint(5), "filepath: got int, expected a str, bytes or"),
        (
            lambda: fw.callbacks.BackupAndRestore(__file__),
            f"backup_dir: got {__file__}, which is a file, expected a folder",
        ),
        (lambda: trained_with(resume=True), "resume: got bool, expected a str, bytes or path-like"),
        (lambda: regularizers.get({"name": "l2", "l3": 1}), "regularizer: got 'l3', expected"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    assert str(caught.value).startswith(message)


def trained_with(**settings):
    model = fw.Sequential([layers.Dense(1)], 2)
    model.compile("sgd", "mse")
    return model.fit(np.ones((4, 2)), np.ones(4), verbose=0, **settings)


def test_folders_that_are_not_there_are_named_before_training(tmp_path):
    path = tmp_path / "none" / "x.csv"
    ran = []
    callbacks = [
        fw.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: ran.append(epoch)),
        fw.callbacks.CSVLogger(path),
    ]
    with pytest.raises(
        FileNotFoundError, match=r"^filename: got .*x\.csv, expected a folder .*none"
    ):
        trained_with(callbacks=callbacks)
    assert not ran
    pytest.importorskip("matplotlib")
    with pytest.raises(FileNotFoundError, match=r"^to_file: got .*x\.png, expected a folder"):
        trained_with().plot(to_file=path.with_suffix(".png"))
    with pytest.raises(FileNotFoundError, match=r"^to_file: got .*x\.png, expected a folder"):
        fw.plot_model(fw.Sequential([layers.Dense(1)], 2), path.with_suffix(".png"))


def test_a_function_of_scikit_learn_that_wants_classes_is_told_how():
    sklearn = pytest.importorskip("sklearn.metrics")
    model = fw.Sequential([layers.Dense(1, "sigmoid")], 2)
    model.compile("sgd", "binary_crossentropy", [sklearn.f1_score])
    with pytest.raises(ValueError, match=r"metrics: got f1_score of scikit-learn.*from_sklearn"):
        model.evaluate(np.ones((4, 2)), np.arange(4) % 2)


@pytest.mark.parametrize(
    ("base", "name"),
    [
        *((layers.Layer, name) for name in ("call", "build", "get_config", "compute_mask")),
        *((layers.Dense, name) for name in ("compute_output_shape", "add_weight", "add_loss")),
        (layers.NumpyLayer, "call"),
        *((constraints.Constraint, name) for name in ("__call__", "call", "get_config")),
        (constraints.MaxNorm, "__call__"),
        *((regularizers.Regularizer, name) for name in ("__call__", "call", "get_config")),
        (fw.activations.Activation, "__call__"),
        (fw.activations.ReLU, "call"),
        (initializers.Initializer, "__call__"),
        (initializers.HeNormal, "get_config"),
        *((optimizers.SGD, name) for name in ("update_step", "apply_gradients", "build")),
        (optimizers.Optimizer, "get_config"),
        *((metrics.Metric, name) for name in ("update_state", "reset_state", "result")),
        (fw.Sequential, "call"),
        (fw.Model, "get_config"),
    ],
)
def test_overrides_that_nobody_would_call(base, name):
    with pytest.raises(TypeError, match=f"Mine: got a method {name}.*, expected "):
        type("Mine", (base,), {name: lambda self: None})


def test_subclasses_with_settings_of_their_own_are_taken():
    class Half(constraints.MaxNorm):
        def __init__(self):
            super().__init__(0.5)

    class Mine(regularizers.Regularizer):
        pass

    layers.Dense(2, kernel_constraint=Half())
    with pytest.raises(TypeError, match=r"kernel_regularizer: got Mine, .+cannot be compiled"):
        layers.Dense(2, kernel_regularizer=Mine())


@pytest.mark.parametrize(
    ("owner", "name", "instead"),
    [
        (layers, "Lambda", "NumpyLayer"),
        (layers, "Input", "fw.Input"),
        (layers, "concatenate", r"layers.Concatenate\(\)"),
        (layers, "MaxPool2D", "the layer is MaxPooling2D"),
        (layers, "GlobalAvgPool1D", "the layer is GlobalAveragePooling1D"),
        (layers, "Convolution1D", "the layer is Conv1D"),
        (layers, "Convolution2DTranspose", "the layer is Conv2DTranspose"),
        (layers, "GRUCell", r"use layers.GRU, which a model's stream\(\)"),
        (layers, "RNN", "use layers.LSTM, GRU or SimpleRNN"),
        (layers, "ThresholdedReLU", "threshold="),
        (layers, "GlobalMaxPooling3D", "none yet"),
        (layers, "RandomShear", "beforehand"),
        (fw, "utils", "np.eye"),
        (fw, "load_model", "use fw.load"),
        (fw, "set_random_seed", "seed=0"),
        (fw, "plot_weights", "it is a method of models"),
        (fw, "Ftrl", "none yet"),
        (fw.callbacks, "RemoteMonitor", "on_epoch_end"),
        (optimizers, "legacy", "optimizers.Adam"),
        (optimizers, "Ftrl", "none yet"),
        (optimizers, "Lookahead", "use_ema=True"),
        (optimizers, "rmsprop", "use optimizers.RMSprop"),
        (optimizers, "NAdam", "use optimizers.Nadam"),
        (fw.schedules, "StepLR", "use schedules.StepDecay"),
        (fw.schedules, "CosineAnnealingLR", "use schedules.CosineDecay"),
        (fw.schedules, "OneCycleLR", "use schedules.OneCycle"),
        (fw.schedules, "CosineDecayRestart", "did you mean 'CosineDecayRestarts'"),
        (metrics, "F1", "use metrics.F1Score"),
        (metrics, "MatthewsCorrelationCoefficient", "use metrics.MatthewsCorrelation"),
        (metrics, "AUROC", "use metrics.AUC"),
        (metrics, "mse", "use metrics.MeanSquaredError"),
        (losses, "binary_crossentropy", "use losses.BinaryCrossentropy"),
        (losses, "MSE", "use losses.MeanSquaredError"),
        (losses, "CrossEntropyLoss", r"SparseCategoricalCrossentropy\(from_logits=True"),
        (losses, "SigmoidFocalCrossEntropy", "use losses.BinaryFocalCrossentropy"),
        (losses, "PinballLoss", "use losses.Quantile"),
        (fw.Sequential([layers.Dense(1)], 2), "history", r"history = model.fit\("),
        (fw.callbacks.EarlyStopping(), "best_weights", "restore_best_weights=True"),
        (optimizers.Adam(), "variables", "model.save"),
        (layers.Dense(1), "get_config", r"config\(\)"),
    ],
)
def test_names_of_keras_that_are_not_here(owner, name, instead):
    assert not hasattr(owner, name)
    with pytest.raises(AttributeError, match=f"no attribute {name!r}; .*{instead}"):
        getattr(owner, name)


def test_what_is_recommended_is_there():
    """Every ``module.Name`` that a hint has exists, and no name with a hint does."""
    for place, names in INSTEAD.items():
        module = fw if place == "fastweights" else getattr(fw, place, None)
        for name, text in names.items():
            assert name not in getattr(module, "__all__", ())
            for owner, found in re.findall(r"\b(fw|[a-z]+)\.([A-Z]\w+)", text):
                where = fw if owner == "fw" else getattr(fw, owner)
                assert hasattr(where, found), text


@pytest.mark.parametrize("name", ["add", "average", "dot", "Lambda", "Input", "StepLR"])
def test_hints_fit_the_place(name):
    """What a module lacks says nothing of an object's attribute, nor of an argument."""
    layer = layers.Dense(1)
    for of_object in (lambda: getattr(layer, name), lambda: setattr(layer, name, 1)):
        with pytest.raises(AttributeError) as caught:
            of_object()
        assert "use " not in str(caught.value)
    model = fw.Sequential([layer], 2)
    model.compile("sgd", "mse")
    for call in (
        lambda: metrics.Precision(**{name: 1}),
        lambda: fw.callbacks.EarlyStopping(**{name: 1}),
        lambda: model.fit(np.ones((2, 2)), np.ones(2), **{name: 1}),
    ):
        with pytest.raises(TypeError) as caught:
            call()
        assert f"got {name}=1, expected" in str(caught.value)
        assert "use " not in str(caught.value)


def test_public_names_alone_are_listed():
    assert [name for name in dir(fw) if name.startswith("_") and name[1] != "_"] == []
    assert set(fw.__all__) <= set(dir(fw))


def test_messages_name_what_came():
    model = fw.Sequential([layers.Dense(1)], 2)
    tensor = fw.Input(2)
    for call, message in (
        (
            lambda: model.compile("adam", "mse", [0.5]),
            "metrics: got the number 0.5",
        ),
        (lambda: np.array(tensor), "tensor: got <Tensor"),
        (lambda: model(tensor, tensor), r"training: got <Tensor.*model\(\[a, b\]\)"),
        (lambda: model.predict({"x": [[1, 2]]}), "x: got a dict of 'x', .*'input'"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            call()
    model.compile("sgd", "mse", loss_weights=np.array([2.0]))


def test_a_numpy_layer_may_give_a_list_and_keeps_nothing_by_itself():
    class Plain(layers.NumpyLayer):
        def forward(self, x):
            return x, None

        def backward(self, dy, kept):
            return [dy]

    class Remembering(Plain):
        def forward(self, x):
            self.cache = x
            return x, None

    x = np.ones((2, 3))
    model = fw.Sequential([Plain(), layers.Dense(1)], 3, seed=0)
    model.compile("sgd", "mse")
    model.train_on_batch(x, np.ones(2))
    with pytest.raises(TypeError, match="check_gradients: got the layer"):
        fw.check_gradients(model, x, np.ones(2))
    model = fw.Sequential([Remembering()], 3)
    with pytest.raises(AttributeError, match=r"cache: .*returned by forward: y, kept"):
        model.predict(x)


def test_targets_of_several_axes_are_asked_for_as_such():
    model = fw.Sequential([layers.Dense(6), layers.Reshape((2, 3))], 3)
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"y: got shape \(2, 5\), expected shape \(rows, 2, 3\)"):
        model.fit(np.ones((2, 3)), np.ones((2, 5)), verbose=0)
