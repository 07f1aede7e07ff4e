"""Every gradient of every configuration against central differences of the reported loss.

Activation x loss x depth, with the output width and the batch size running through their values
beside them, so that each pair of settings occurs. Smooth configurations must agree to 1e-8 in norm.
"""

import itertools
import warnings

import numpy as np
import pytest
from layer_cases import CASES, model_between, rows_for

import fastweights as fw
from fastweights import layers, losses

SMOOTH = (
    "linear", "gelu", "gelu_tanh", "silu", "mish", "softplus", "sigmoid", "tanh", "exponential",
    "softmax", "log_softmax", "softmin",
)  # fmt: skip
KINKED = (
    "relu", "relu6", "leaky_relu", "elu", "selu", "softsign", "hard_silu", "hard_sigmoid",
    "sparsemax",
)  # fmt: skip
LOSSES = {
    "mse": None,
    "mae": None,
    "huber": None,
    "log_cosh": None,
    "poisson": "softplus",
    "hinge": None,
    "binary_crossentropy": "sigmoid",
    "binary_crossentropy_logits": None,
    "categorical_crossentropy": "softmax",
    "categorical_crossentropy_logits": None,
    "sparse_categorical_crossentropy": "softmax",
    "sparse_categorical_crossentropy_logits": None,
}
#: The others: activation of the last layer, and settings.
MORE_LOSSES = {
    "mean_absolute_percentage_error": (None, {}),
    "mean_squared_logarithmic_error": ("softplus", {}),
    "squared_hinge": ("tanh", {}),
    "categorical_hinge": (None, {}),
    "binary_focal_crossentropy": ("sigmoid", {"gamma": 1.5}),
    "binary_focal_crossentropy balanced": ("sigmoid", {"apply_class_balancing": True}),
    "binary_focal_crossentropy logits": (None, {"from_logits": True, "label_smoothing": 0.1}),
    "binary_focal_crossentropy probabilities": ("softmax", {"gamma": 2.5}),
    "categorical_focal_crossentropy": ("softmax", {"gamma": 1.5}),
    "categorical_focal_crossentropy logits": (None, {"from_logits": True, "label_smoothing": 0.1}),
    "categorical_focal_crossentropy probabilities": ("softplus", {}),
    "categorical_crossentropy smoothed": ("softmax", {"label_smoothing": 0.2}),
    "sparse_categorical_crossentropy smoothed": ("softmax", {"label_smoothing": 0.2}),
    "sparse_categorical_crossentropy logits": (None, {"from_logits": True, "label_smoothing": 0.2}),
    "sparse_categorical_crossentropy probabilities": ("softplus", {"label_smoothing": 0.1}),
    "kl_divergence": ("softmax", {}),
    "cosine_similarity": ("softplus", {}),
    "poisson_deviance": (None, {}),
    "quantile": (None, {}),
    "quantile two": (None, {"quantiles": (0.25, 0.75)}),
    "gaussian_nll": (None, {}),
    "gaussian_nll full": (None, {"full": True, "epsilon": 0.1}),
}
#: Of these, those whose gradient jumps, or whose last activation's does.
MORE_KINKED = ("percentage", "hinge", "quantile")

#: Losses whose gradient jumps: their differences are as exact, but only off the kink.
KINKED_LOSSES = ("mae", "huber", "hinge")
DEPTHS = (0, 1, 2, 3, 4)
OUTPUTS = (1, 2, 3, 5)
UNITS = (9, 3, 17, 5)  # narrow layers and others, each before and after the other
WIDTH = 8  # float64 lanes of the widest vector
BATCHES = (1, 5, WIDTH - 1, WIDTH, WIDTH + 1)


#: Those of many parameters or steps, for which one loss is enough.
LARGE = ("LSTM 70 2x9", "GRU 70 2x9", "GRU before 70 2x9", "causal attention over blocks")

#: Layer, loss, rows.
LAYERS = [
    (name, loss, rows)
    for (name, losses), rows in zip(
        itertools.product(CASES, (("mse", "categorical_crossentropy_logits"),)),
        itertools.cycle(BATCHES),
        strict=False,
    )
    for loss in (losses[:1] if name in LARGE else losses)
]


def loss_named(name):
    if name.endswith("_logits"):
        return losses.get(
            {"name": losses.get(name.removesuffix("_logits")).config()["name"], "from_logits": True}
        )
    return name


def targets(rng, loss, rows, outputs):
    if loss.startswith("sparse"):
        return rng.integers(0, outputs, rows)
    if loss.startswith("categorical"):
        return np.eye(outputs)[rng.integers(0, outputs, rows)]
    if loss in ("hinge", "binary_crossentropy", "binary_crossentropy_logits"):
        return rng.integers(0, 2, (rows, outputs)).astype(float)
    if loss == "poisson":
        return rng.uniform(0.5, 3.0, (rows, outputs))
    return rng.standard_normal((rows, outputs))


def configurations():
    sizes = itertools.cycle(itertools.product(OUTPUTS, BATCHES))
    for activation, loss, depth in itertools.product(SMOOTH + KINKED, LOSSES, DEPTHS):
        outputs, rows = next(sizes)
        if activation == "exponential" and depth > 2:  # a tower of powers leaves the range
            continue
        if "categorical" in loss and outputs == 1:
            outputs = 4
        yield activation, loss, depth, outputs, rows


CONFIGURATIONS = list(configurations())


def outputs_for(loss, outputs):
    """The next number of outputs that the loss is for."""
    group = {"quantile": 3, "quantile two": 2, "gaussian_nll": 2, "gaussian_nll full": 2}
    least = 2 if MORE_LOSSES[loss][0] == "softmax" or "categorical" in loss else 1
    one = group.get(loss, 1)
    return -(-max(outputs, least) // one) * one


def more_configurations():
    sizes = itertools.cycle(itertools.product(OUTPUTS, BATCHES))
    activations = ("tanh", "silu", "gelu", "relu")
    for loss, activation, depth, _ in itertools.product(
        MORE_LOSSES, activations, (0, 1, 2), range(4)
    ):
        outputs, rows = next(sizes)
        yield loss, activation, depth, outputs_for(loss, outputs), rows


MORE_CONFIGURATIONS = list(more_configurations())


def build(activation, loss, depth, outputs, rows, dtype="float64"):
    rng = np.random.default_rng([depth, outputs, rows])
    stack = [layers.Dense(units, activation) for units in UNITS[:depth]]
    stack.append(layers.Dense(outputs, LOSSES[loss]))
    model = fw.Sequential(stack, input_shape=4, dtype=dtype, seed=depth)
    model.compile(loss=loss_named(loss))
    return model, rng.standard_normal((rows, 4)), targets(rng, loss, rows, outputs)


def test_there_are_at_least_500_configurations():
    assert len(CONFIGURATIONS) >= 500
    assert {outputs for *_, outputs, _ in CONFIGURATIONS} >= set(OUTPUTS)
    assert {rows for *_, rows in CONFIGURATIONS} == set(BATCHES)
    assert len(MORE_CONFIGURATIONS) >= 1000


@pytest.mark.parametrize(("activation", "loss", "depth", "outputs", "rows"), CONFIGURATIONS)
def test_gradients_agree_with_central_differences(activation, loss, depth, outputs, rows):
    model, x, y = build(activation, loss, depth, outputs, rows)
    smooth = activation in SMOOTH and loss not in KINKED_LOSSES
    report = fw.check_gradients(model, x, y, tolerance=1e-8)
    assert report.passed, f"\n{report}"
    assert report.redraws == 0 or not smooth


@pytest.mark.parametrize(("activation", "loss", "depth", "outputs", "rows"), CONFIGURATIONS)
def test_float32_gradients_agree_with_float64(activation, loss, depth, outputs, rows):
    single, x, y = build(activation, loss, depth, outputs, rows, "float32")
    x = x.astype(np.float32)
    double = single.copy("float64")
    gradient = single.loss_and_gradients(x, y)[1].astype(np.float64)
    exact = double.loss_and_gradients(x, y)[1]
    assert np.linalg.norm(gradient - exact) <= 1e-5 * np.linalg.norm(exact)


def more_targets(rng, loss, rows, outputs):
    kind = losses.get(loss)
    if kind.takes_labels:
        return rng.integers(0, outputs, rows)
    if kind.name in ("kl_divergence", "categorical_focal_crossentropy", "categorical_crossentropy"):
        return rng.dirichlet(np.ones(outputs), rows)
    if kind.name == "categorical_hinge":
        return np.eye(outputs)[rng.integers(0, outputs, rows)]
    if "binary" in kind.name or "hinge" in kind.name:
        return rng.integers(0, 2, (rows, outputs)).astype(float)
    return rng.uniform(0.5, 3.0, (rows, kind.target_columns(outputs)))


@pytest.mark.parametrize(("loss", "activation", "depth", "outputs", "rows"), MORE_CONFIGURATIONS)
def test_gradients_of_more_losses_agree_with_central_differences(
    loss, activation, depth, outputs, rows
):
    last, settings = MORE_LOSSES[loss]
    rng = np.random.default_rng([depth, outputs, rows])
    stack = [layers.Dense(units, activation) for units in (3, 5)[:depth]]
    stack.append(layers.Dense(outputs, last))
    model = fw.Sequential(stack, 3, "float64", seed=depth)
    kind = losses.get({"name": loss.split(" ")[0], **settings})
    with warnings.catch_warnings():  # of probabilities that no activation makes
        warnings.simplefilter("ignore")
        model.compile(loss=kind)
    x, y = rng.standard_normal((rows, 3)), more_targets(rng, kind, rows, outputs)
    report = fw.check_gradients(model, x, y, tolerance=1e-8)
    assert report.passed, f"\n{report}"
    jumps = activation == "relu" or any(part in loss for part in MORE_KINKED)
    assert report.redraws == 0 or jumps
    if "probabilities" in loss:
        return  # of which float32 has few digits where one is nearly sure
    single = model.copy("float32")
    gradient = single.loss_and_gradients(x.astype(np.float32), y)[1].astype(np.float64)
    exact = single.copy("float64").loss_and_gradients(x.astype(np.float32), y)[1]
    assert np.linalg.norm(gradient - exact) <= 1e-5 * np.linalg.norm(exact) + 1e-7


def build_layer(name, loss, rows, dtype="float64"):
    model = model_between(CASES[name], dtype, outputs=3)
    model.compile(loss=loss_named(loss))
    rng = np.random.default_rng(rows)
    return model, rows_for(model, rows, rng), targets(rng, loss, rows, 3)


@pytest.mark.parametrize(("name", "loss", "rows"), LAYERS)
def test_gradients_of_layers_agree_with_central_differences(merged_is_known, name, loss, rows):
    report = fw.check_gradients(*build_layer(name, loss, rows), tolerance=1e-8)
    assert report.passed, f"\n{report}"
    assert report.redraws == 0 or not CASES[name].smooth


@pytest.mark.parametrize(("name", "loss", "rows"), LAYERS)
def test_float32_gradients_of_layers_agree_with_float64(merged_is_known, name, loss, rows):
    single, x, y = build_layer(name, loss, rows, "float32")
    x = x.astype(np.float32)  # whole numbers may come as such
    double = single.copy("float64")
    gradient = single.loss_and_gradients(x, y)[1].astype(np.float64)
    exact = double.loss_and_gradients(x, y)[1]
    assert np.linalg.norm(gradient - exact) <= 1e-5 * np.linalg.norm(exact)
