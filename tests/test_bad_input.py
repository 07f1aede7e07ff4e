"""What does not fit is refused at the door: a ValueError or TypeError that says which argument,
what came and what was expected, and nothing has changed."""

import numpy as np
import pytest
from helpers import data, network

import fastweights as fw
from fastweights import activations, callbacks, initializers, layers, losses

X, Y = data(12)
LABELS = np.arange(12) % 3


def changed(array, value, at=(3, 1), kind=float):
    array = np.array(array, kind)
    array[at if array.ndim > 1 else at[0]] = value
    return array


def refused(call, error, message):
    """The call raises; its message has the one form and begins as told."""
    with pytest.raises(error) as caught:
        call()
    assert type(caught.value) is error
    text = str(caught.value)
    assert text.startswith(message), text
    assert ": got " in text
    assert ", expected " in text


class Watched:
    """A trained model, and whether anything about it changes."""

    def __init__(self, **settings):
        self.model = network(optimizer="adam", **settings)
        is_sparse = self.model.loss.takes_labels
        self.model.fit(X, LABELS if is_sparse else np.abs(Y) % 1, verbose=0)
        self.model.stop_training = True
        self.before = self.state()

    def state(self):
        model, memory = self.model, self.model._memory
        arrays = [model.parameters, model.gradients, memory.vectors, memory.numbers]
        rest = [
            model.stop_training,
            model.epochs_trained,
            model.optimizer,
            model.loss,
            *model.metrics,
        ]
        return [array.tobytes() for array in arrays] + rest

    def refuses(self, call, error, message):
        refused(lambda: call(self.model), error, message)
        assert self.state() == self.before


# ---- x -------------------------------------------------------------------------------------------

BAD_X = [
    (X[:, :4], ValueError, "x: got shape (12, 4), expected shape (rows, 5)"),
    (X[0], ValueError, "x: got shape (5,), expected shape (rows, 5)"),
    (X[:, :, np.newaxis], ValueError, "x: got shape (12, 5, 1), expected shape (rows, 5)"),
    (3.0, ValueError, "x: got shape (), expected shape (rows, 5)"),
    (np.empty((0, 5)), ValueError, "x: got shape (0, 5), expected shape (rows, 5), none of it 0"),
    ([], ValueError, "x: got shape (0,), expected"),
    (np.empty((12, 0)), ValueError, "x: got shape (12, 0), expected"),
    (X.astype(complex), TypeError, "x: got dtype complex128, expected an array of real numbers"),
    (changed(X, "red", kind=object), TypeError, "x: got the text 'red' at (3, 1), expected"),
    (
        changed(X, None, kind=object),
        ValueError,
        "x: got a missing value (None) at (3, 1), expected",
    ),
    (X.astype(str), TypeError, f"x: got the text {str(X[0, 0])!r} at (0, 0), expected"),
    ("text", TypeError, "x: got the text 'text', expected"),
    (b"text", TypeError, "x: got the text b'text', expected"),
    (None, TypeError, "x: got None, expected an array of real numbers"),
    (np.zeros((12, 5), "M8[s]"), TypeError, "x: got dtype datetime64[s], expected"),
    (np.zeros((12, 5), "f4,f4"), TypeError, "x: got dtype"),
    ([[1.0] * 5, [1.0] * 4], ValueError, "x: got "),
    (
        changed(X, np.nan),
        ValueError,
        "x: got 1 NaN or inf, the first at (3, 1), expected finite numbers",
    ),
    (changed(X, np.inf), ValueError, "x: got 1 NaN or inf, the first at (3, 1), expected"),
    (
        changed(changed(X, np.inf), -np.inf, (4, 0)),
        ValueError,
        "x: got 2 NaN or inf, the first at (3, 1)",
    ),
]


@pytest.mark.parametrize(
    "use",
    [
        "fit",
        "evaluate",
        "train_on_batch",
        "loss_and_gradients",
        "predict",
        "predict_on_batch",
        "forward",
    ],
)
@pytest.mark.parametrize(("x", "error", "message"), BAD_X)
def test_x(x, error, message, use):
    arguments = (x,) if use in ("predict", "predict_on_batch", "forward") else (x, Y)
    Watched().refuses(lambda model: getattr(model, use)(*arguments), error, message)


def test_a_number_too_large_for_float32():
    model = network(dtype="float32")
    for value in (1e39, -1e39):
        refused(
            lambda value=value: model.predict(changed(X, value)),
            ValueError,
            f"x: got 1 too large for float32, the first {value} at (3, 1), expected numbers up to",
        )
    assert np.isfinite(network().predict(changed(X, 1e39))).all()


def test_large_finite_numbers_are_no_nan():
    huge = np.full((12, 5), 1e308)
    assert network().predict(huge).shape == (12, 3)
    assert network(dtype="float32").predict(np.full((12, 5), 3e38)).shape == (12, 3)


# ---- y -------------------------------------------------------------------------------------------

BAD_Y = [
    ("mse", Y[:, :2], ValueError, "y: got shape (12, 2), expected shape (rows, 3)"),
    ("mse", Y[:, 0], ValueError, "y: got shape (12,), expected shape (rows, 3)"),
    ("mse", Y[:11], ValueError, "y: got 11 rows, expected as many as there are inputs, 12"),
    (
        "mse",
        np.vstack([Y, Y]),
        ValueError,
        "y: got 24 rows, expected as many as there are inputs, 12",
    ),
    ("mse", Y[:0], ValueError, "y: got shape (0, 3), expected"),
    ("mse", Y + 1j, TypeError, "y: got dtype complex128, expected"),
    ("mse", changed(Y, b"a", kind=object), TypeError, "y: got the text b'a' at (3, 1), expected"),
    ("mse", [["a"] * 3] * 12, TypeError, "y: got the text 'a' at (0, 0), expected"),
    ("mse", None, TypeError, "y: got None, expected an array of real numbers"),
    ("mse", changed(Y, np.nan), ValueError, "y: got 1 NaN or inf, the first at (3, 1), expected"),
    ("mse", changed(Y, -np.inf), ValueError, "y: got 1 NaN or inf, the first at (3, 1), expected"),
    (
        "poisson",
        changed(np.abs(Y), -1),
        ValueError,
        "y: got -1.0 in row 3, expected numbers of at least 0",
    ),
    (
        "hinge",
        np.full((12, 3), 0.5),
        ValueError,
        "y: got 0.5 in row 0, expected targets of -1 and 1",
    ),
    ("hinge", changed(np.zeros((12, 3)), -1), ValueError, "y: got -1.0 in row 3, expected"),
    (
        "bce",
        changed(np.ones((12, 3)), 1.5),
        ValueError,
        "y: got 1.5 in row 3, expected numbers from 0 to 1",
    ),
    (
        "categorical_crossentropy",
        LABELS,
        ValueError,
        "y: got shape (12,), expected shape (rows, 3); for class",
    ),
    (
        "categorical_crossentropy",
        LABELS[:, None],
        ValueError,
        "y: got shape (12, 1), expected shape (rows, 3)",
    ),
    (
        "sparse_categorical_crossentropy",
        np.eye(3)[LABELS],
        ValueError,
        "y: got shape (12, 3), expected class labels of shape (rows,); for one-hot rows",
    ),
    (
        "sparse_categorical_crossentropy",
        changed(LABELS, 3),
        ValueError,
        "y: got 3.0 in row 3, expected whole numbers from 0 to 2",
    ),
    (
        "sparse_categorical_crossentropy",
        changed(LABELS, -1),
        ValueError,
        "y: got -1.0 in row 3, expected",
    ),
    (
        "sparse_categorical_crossentropy",
        changed(LABELS, 0.5),
        ValueError,
        "y: got 0.5 in row 3, expected",
    ),
    ("sparse_categorical_crossentropy", changed(LABELS, np.nan), ValueError, "y: got 1 NaN or inf"),
    (
        "sparse_categorical_crossentropy",
        LABELS + 2**40,
        ValueError,
        "y: got 1099511627776 in row 0, expected",
    ),
    ("sparse_categorical_crossentropy", LABELS - 1, ValueError, "y: got -1 in row 0, expected"),
    ("sparse_categorical_crossentropy", LABELS[:5], ValueError, "y: got 5 rows, expected as many"),
    (
        "sparse_categorical_crossentropy",
        ["a"] * 12,
        TypeError,
        "y: got the text 'a' at (0,), expected an array of real numbers; np.unique(names,",
    ),
]


@pytest.mark.parametrize("use", ["fit", "evaluate", "train_on_batch", "loss_and_gradients"])
@pytest.mark.parametrize(("loss", "y", "error", "message"), BAD_Y)
def test_y(loss, y, error, message, use):
    last = "softmax" if "categorical" in loss else "softplus" if loss == "poisson" else None
    watched = Watched(loss=loss, last=last) if loss != "hinge" else Watched(loss="mse")
    if loss == "hinge":
        watched.model.compile("adam", "hinge")
        watched.model._optimizer_memory()
        watched.before = watched.state()
    watched.refuses(lambda model: getattr(model, use)(X, y), error, message)


@pytest.mark.parametrize("loss", ["categorical_crossentropy", "sparse_categorical_crossentropy"])
def test_classes_need_more_than_one_output(loss):
    model = network((5, 1), loss=loss)
    refused(
        lambda: model.fit(X, LABELS),
        ValueError,
        f"loss: got {loss} for a network with 1 output, expected 2",
    )


# ---- fit -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, "batch_size: got 0, expected at least 1"),
        ({"batch_size": -3}, ValueError, "batch_size: got -3, expected at least 1"),
        ({"batch_size": 2.5}, TypeError, "batch_size: got 2.5, expected a whole number"),
        ({"batch_size": 2.0}, TypeError, "batch_size: got 2.0, expected a whole number"),
        ({"batch_size": True}, TypeError, "batch_size: got True, expected a whole number"),
        ({"batch_size": "8"}, TypeError, "batch_size: got '8', expected a whole number"),
        ({"batch_size": None}, TypeError, "batch_size: got None, expected a whole number"),
        ({"epochs": -1}, ValueError, "epochs: got -1, expected at least 0"),
        ({"epochs": 1.5}, TypeError, "epochs: got 1.5, expected a whole number"),
        ({"initial_epoch": -1}, ValueError, "initial_epoch: got -1, expected at least 0"),
        ({"shuffle": 1}, TypeError, "shuffle: got 1, expected True or False"),
        ({"shuffle": "batch"}, TypeError, "shuffle: got 'batch', expected True or False"),
        ({"verbose": 3}, ValueError, "verbose: got 3, expected 'auto', 0, 1 or 2"),
        ({"verbose": "yes"}, ValueError, "verbose: got 'yes', expected 'auto', 0, 1 or 2"),
        (
            {"validation_split": 1.0},
            ValueError,
            "validation_split: got 1.0, expected a finite number and at",
        ),
        ({"validation_split": -0.1}, ValueError, "validation_split: got -0.1, expected"),
        (
            {"validation_split": np.nan},
            ValueError,
            "validation_split: got nan, expected a finite number",
        ),
        ({"validation_split": "0.1"}, TypeError, "validation_split: got '0.1', expected a number"),
        (
            {"validation_split": 0.05},
            ValueError,
            "validation_split: got 0.05 of 12 rows, expected a share that",
        ),
        (
            {"validation_data": X},
            ValueError,
            "validation_data: got ndarray, expected a pair (x, y)",
        ),
        (
            {"validation_data": (X, Y, Y)},
            ValueError,
            "validation_data: got tuple, expected a pair (x, y)",
        ),
        (
            {"validation_data": (X[:, :4], Y)},
            ValueError,
            "validation x: got shape (12, 4), expected",
        ),
        ({"validation_data": (X, Y[:3])}, ValueError, "validation y: got 3 rows, expected"),
        (
            {"validation_data": (changed(X, np.nan), Y)},
            ValueError,
            "validation x: got 1 NaN or inf",
        ),
        (
            {"callbacks": callbacks.History()},
            TypeError,
            "callbacks: got History, expected a list of Callback",
        ),
        (
            {"callbacks": [print]},
            TypeError,
            "callbacks: got an entry of builtin_function_or_method, expected",
        ),
        ({"callbacks": 3}, TypeError, "callbacks: got int, expected a list of Callback objects"),
    ],
)
def test_fit(settings, error, message):
    Watched().refuses(lambda model: model.fit(X, Y, **settings), error, message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((changed(X, np.nan), Y), "x: got 1 NaN"),
        ((X, Y[:5]), "y: got 5 rows"),
        ((X, Y[:, 0]), "y: got shape (12,)"),
        (
            (X[:, :, np.newaxis], Y),
            "input of dense: got rows of shape (5, 1), expected rows of shape (features,)",
        ),
        ((X, Y, 0), "batch_size: got 0"),
        (
            (X, Y, 8, 1, 0, None, 0.0, (X[:, :4], Y)),
            "validation x: got shape (12, 4), expected shape (rows, 5)",
        ),
        ((X, Y, 8, 1, 0, None, 0.0, (X, Y[:4])), "validation y: got 4 rows"),
    ],
)
def test_a_refused_fit_leaves_a_model_without_shape_open(arguments, message):
    model = fw.Sequential([layers.Dense(3)], seed=0)
    model.compile("adam", "mse")
    refused(lambda: model.fit(*arguments), ValueError, message)
    assert model.input_shape is None
    assert model.layers[0].weights == {}
    model.fit(X[:, :2], Y, verbose=0)
    assert model.input_shape == (2,)


# ---- before its time -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "use",
    [
        lambda model: model.predict(X),
        lambda model: model.summary(),
        lambda model: model.count_params(),
        lambda model: model.parameters,
        lambda model: model.gradients,
        lambda model: model.weights,
        lambda model: model.get_weights(),
        lambda model: model.output_shape,
        lambda model: model.copy(),
        lambda model: model.save("never.safetensors"),
        lambda model: model.apply_gradients(),
    ],
)
def test_before_the_shape_is_known(use):
    model = fw.Sequential([layers.Dense(3)])
    model.compile()
    refused(
        lambda: use(model),
        ValueError,
        "input_shape: got none, expected one: give it to Sequential, build or",
    )


@pytest.mark.parametrize(
    "use", ["fit", "evaluate", "train_on_batch", "loss_and_gradients", "apply_gradients"]
)
def test_before_compile(use):
    model = fw.Sequential([layers.Dense(3)], input_shape=5)
    arguments = () if use == "apply_gradients" else (X, Y)
    refused(
        lambda: getattr(model, use)(*arguments),
        ValueError,
        "compile: got no loss yet, expected model.compile(",
    )


def test_backward_before_forward():
    def backward(model, dy=Y):
        refused(
            lambda: model.backward(dy),
            ValueError,
            "backward: got no forward pass before it, expected",
        )

    backward(fw.Sequential([layers.Dense(3)]))
    model = network()
    backward(model)
    model.predict(X)
    backward(model)
    model.forward(X)
    model.loss_and_gradients(X, Y)  # forgets what forward kept
    backward(model)
    model.forward(X)
    model.compile("sgd", "mse")
    backward(model)


@pytest.mark.parametrize(
    ("dy", "error", "message"),
    [
        (Y[:5], ValueError, "dy: got 5 rows, expected as many as forward had, 12"),
        (Y[:, :2], ValueError, "dy: got shape (12, 2), expected shape (rows, 3)"),
        (changed(Y, np.nan), ValueError, "dy: got 1 NaN or inf"),
        (Y + 1j, TypeError, "dy: got dtype complex128"),
    ],
)
def test_backward(dy, error, message):
    watched = Watched()
    watched.model.forward(X)
    watched.refuses(lambda model: model.backward(dy), error, message)
    watched.model.backward(Y)


def test_forward():
    Watched().refuses(
        lambda model: model.forward(X, training=1), TypeError, "training: got 1, expected True or"
    )


# ---- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message", "suggestion"),
    [
        (
            lambda: network(optimizer="adma"),
            "optimizer: got 'adma', expected one of sgd, adam",
            "adam",
        ),
        (
            lambda: network(loss="mean_square_error"),
            "loss: got 'mean_square_error'",
            "mean_squared_error",
        ),
        (lambda: network(metrics=("acuracy",)), "metrics: got 'acuracy'", "accuracy"),
        (lambda: network(activation="rellu"), "activation: got 'rellu'", "relu"),
        (lambda: layers.Activation("sofmax"), "activation: got 'sofmax'", "softmax"),
        (
            lambda: layers.Dense(1, kernel_initializer="he_norml"),
            "initializer: got 'he_norml'",
            "he_normal",
        ),
        (lambda: fw.set_matmul_precision("hihg"), "precision: got 'hihg'", "high"),
        (
            lambda: fw.Sequential([layers.Dense(1)], matmul_precision="medum"),
            "matmul_precision: got 'medum'",
            "medium",
        ),
    ],
)
def test_unknown_names_suggest_the_nearest(call, message, suggestion):
    refused(call, ValueError, message)
    with pytest.raises(ValueError, match=f"; did you mean '{suggestion}'\\?$"):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: losses.get("something else"),
        lambda: activations.get("something else"),
        lambda: initializers.get("something else"),
    ],
)
def test_a_name_like_no_other_suggests_none(call):
    with pytest.raises(ValueError, match="got 'something else', expected one of") as caught:
        call()
    assert "did you mean" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("sdg", "mse"), ValueError, "optimizer: got 'sdg', expected one of"),
        (("sgd", "mes"), ValueError, "loss: got 'mes', expected one of"),
        (("sgd", "mse", ["mea"]), ValueError, "metrics: got 'mea', expected one of"),
        (("sgd", "mse", "mae"), TypeError, "metrics: got 'mae', expected a list: ['mae']"),
        (
            ("sgd", "mse", ["mae", "mae"]),
            ValueError,
            "metrics: got the name 'mae' twice, expected different",
        ),
        (
            ("sgd", "mse", ["accuracy"]),
            ValueError,
            "metrics: got 'accuracy' beside the loss mean_squared_error",
        ),
        ((fw.optimizers.SGD, "mse"), TypeError, "optimizer: got type, expected a name"),
        ((None, "mse"), TypeError, "optimizer: got NoneType, expected a name"),
        (("sgd", abs), TypeError, "loss: got builtin_function_or_method, expected a name"),
        (("sgd", None), TypeError, "loss: got NoneType, expected a name"),
        (("sgd", "mse", [None]), TypeError, "metrics: got NoneType, expected a name"),
    ],
)
def test_compile(arguments, error, message):
    Watched(metrics=("rmse",)).refuses(lambda model: model.compile(*arguments), error, message)


# ---- making a model ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: fw.Sequential([]), ValueError, "layers: got none, expected at least one layer"),
        (
            lambda: fw.Sequential(layers.Dense(1)),
            TypeError,
            "layers: got Dense, expected a list of Layer objects",
        ),
        (lambda: fw.Sequential(None), TypeError, "layers: got NoneType, expected a list of Layer"),
        (
            lambda: fw.Sequential(["relu"]),
            TypeError,
            "layers: got an entry of str, expected Layer objects",
        ),
        (
            lambda: fw.Sequential([layers.Dense]),
            TypeError,
            "layers: got an entry of type, expected Layer objects",
        ),
        (
            lambda: fw.Sequential([layers.Dense(1, name="a"), layers.Dense(1, name="a")]),
            ValueError,
            "layers: got the name 'a' twice, expected different names",
        ),
        (
            lambda: fw.Sequential([layers.Dense(1)], 0),
            ValueError,
            "input_shape: got 0, expected at least 1",
        ),
        (
            lambda: fw.Sequential([layers.Dense(1)], (3, 0)),
            ValueError,
            "input_shape: got 0, expected at least 1",
        ),
        (lambda: fw.Sequential([layers.Dense(1)], ()), ValueError, "input_shape: got (), expected"),
        (
            lambda: fw.Sequential([layers.Dense(1)], 2.5),
            TypeError,
            "input_shape: got 2.5, expected a whole number",
        ),
        (
            lambda: fw.Sequential([layers.Dense(1)], True),
            TypeError,
            "input_shape: got True, expected a whole",
        ),
        (
            lambda: fw.Sequential([layers.Dense(1)], "12"),
            TypeError,
            "input_shape: got '1', expected a whole",
        ),
        (
            lambda: fw.Sequential([layers.Dense(1)], (2, 3)),
            ValueError,
            "input of dense: got rows of shape (2, 3), expected rows of shape (features,)",
        ),
        (
            lambda: fw.Sequential([layers.Activation("softmax")], (2, 3)),
            ValueError,
            "input of softmax: got rows of shape (2, 3), expected",
        ),
        (
            lambda: network().build(5),
            ValueError,
            "input_shape: got (5,), expected (5,): the model is built",
        ),
        (
            lambda: network(dtype="float16"),
            ValueError,
            "dtype: got float16, expected float32 or float64",
        ),
        (lambda: network(dtype=">f4"), ValueError, "dtype: got >f4, expected float32 or float64"),
        (
            lambda: network(dtype="flaot32"),
            TypeError,
            "dtype: got 'flaot32', expected float32 or float64",
        ),
        (lambda: network(dtype=None), TypeError, "dtype: got None, expected float32 or float64"),
        (lambda: network(seed=-1), ValueError, "seed: got -1, expected at least 0"),
        (
            lambda: network(seed=2**64),
            ValueError,
            "seed: got 18446744073709551616, expected at most",
        ),
        (lambda: network(seed=1.5), TypeError, "seed: got 1.5, expected a whole number"),
        (lambda: layers.Dense(0), ValueError, "units: got 0, expected at least 1"),
        (lambda: layers.Dense(-4), ValueError, "units: got -4, expected at least 1"),
        (lambda: layers.Dense(2.5), TypeError, "units: got 2.5, expected a whole number"),
        (lambda: layers.Dense("4"), TypeError, "units: got '4', expected a whole number"),
        (lambda: layers.Dense(1, use_bias=0), TypeError, "use_bias: got 0, expected True or False"),
        (lambda: layers.Dense(1, name=""), TypeError, "name: got '', expected a non-empty string"),
        (lambda: layers.Dense(1, name=3), TypeError, "name: got 3, expected a non-empty string"),
        (
            lambda: layers.Dense(1, activation=abs),
            TypeError,
            "activation: got builtin_function_or_method, expected",
        ),
    ],
)
def test_models_and_layers(make, error, message):
    refused(make, error, message)


WEIGHTS = network().get_weights()


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        (WEIGHTS[:3], ValueError, "weights: got 3 arrays, expected 4"),
        ([], ValueError, "weights: got 0 arrays, expected 4"),
        (3, TypeError, "weights: got int, expected a list of arrays"),
        (
            [*WEIGHTS[:3], WEIGHTS[3][:2]],
            ValueError,
            "dense_1/bias: got shape (2,), expected shape (3,)",
        ),
        (
            [WEIGHTS[0].T, *WEIGHTS[1:]],
            ValueError,
            "dense/kernel: got shape (7, 5), expected shape (5, 7)",
        ),
        ([*WEIGHTS[:3], WEIGHTS[3] * np.nan], ValueError, "dense_1/bias: got 3 NaN or inf"),
        ([*WEIGHTS[:3], WEIGHTS[3] + 1j], TypeError, "dense_1/bias: got dtype complex128"),
    ],
)
def test_set_weights(weights, error, message):
    Watched().refuses(lambda model: model.set_weights(weights), error, message)


def test_set_weights_too_large_for_float32():
    weights = [np.full(array.shape, 1e300) for array in WEIGHTS]
    model = network(dtype="float32")
    refused(lambda: model.set_weights(weights), ValueError, "dense/kernel: got 35 NaN or inf")
    assert np.isfinite(model.parameters).all()


# ---- settings of the process ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "error", "message"),
    [
        (0, ValueError, "n: got 0, expected at least 1"),
        (1.5, TypeError, "n: got 1.5, expected a whole number"),
        (True, TypeError, "n: got True, expected a whole number"),
    ],
)
def test_number_of_threads(n, error, message):
    before = fw.get_num_threads()
    refused(lambda: fw.set_num_threads(n), error, message)
    with pytest.raises(error), fw.threads(n):
        pass
    assert fw.get_num_threads() == before


def test_reproducible_is_a_truth_value():
    refused(lambda: fw.set_reproducible("yes"), TypeError, "reproducible: got 'yes', expected")
