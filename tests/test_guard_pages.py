"""Nothing is read or written beyond any buffer: each ends where an unreadable page begins.

How buffers and arrays come to lie so is said in `guarding.py`.
"""

import sys
import warnings

import numpy as np
import pytest
from guarding import exercise, run
from helpers import data, run_python
from layer_cases import CASES, model_between, rows_for
from reference_updates import CASES as UPDATES

import fastweights as fw
from fastweights import constraints, layers, losses, optimizers, regularizers

#: Few rows of all widths up to two vectors, others of some that are not whole vectors.
ROWS_AND_WIDTHS = ((9, (*range(1, 18), 33)), (1, (1, 2, 7)), (300, (1, 3, 17, 64, 65)))

#: What a step may have besides; one or another stands beside each optimizer.
SETTINGS = [
    {"clipnorm": 0.1},
    {"clipvalue": 0.1, "gradient_accumulation_steps": 2},
    {"global_clipnorm": 0.1, "weight_decay": 0.1},
    {"use_ema": True, "ema_overwrite_frequency": 2},
    {"learning_rate_factors": {"*/kernel": 0.5}},
]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="maps pages as Linux does")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threads", [1, 2])
def test_every_width_up_to_two_vectors(guarded_library, threads, dtype, monkeypatch):
    """Widths and rows of 1 to twice the widest vector and one more, in turn."""
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    vector = 64 // np.dtype(dtype).itemsize
    with fw.threads(threads):
        for n in range(1, 2 * vector + 2):
            exercise((n, 5, 3), "tanh", None, "mse", 9, dtype)
            exercise((5, n, 3), "relu", None, "mae", 9, dtype)
            if n > 1:
                exercise((5, 9, n), "silu", "softmax", "categorical_crossentropy", 9, dtype)
                exercise((5, 9, n), "mish", "sparsemax", "mse", 9, dtype)
                exercise((5, 9, n), "hard_silu", "softmin", "mse", 9, dtype)
            exercise((5, 9, n), "gelu", "sigmoid", "binary_crossentropy", 9, dtype)
            exercise((7, 9, 8), "softplus", None, "huber", n, dtype)
            exercise((n, n, n), "elu", None, "mse", n, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_widths_around_panels_and_blocks(guarded_library, dtype, monkeypatch):
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    with fw.threads(2):
        for n in (47, 49, 63, 65, 97, 127, 129, 191, 193, 257):
            exercise((n, 70, 3), "tanh", None, "mse", 50, dtype)
            exercise((70, n, 9), "relu", None, "mse", 33, dtype)
            exercise((3, 20, n), "tanh", None, "mse", 300, dtype)
            exercise((3, 20, n), "relu6", "sparsemax", "mse", 9, dtype)
        # Long rows, and a layer whose dx goes by the kernel.
        exercise((2049, 300, 3), "relu", None, "mse", 141, dtype)
        exercise((520, 530, 300), "relu", None, "mse", 141, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_layers_that_look_at_no_other_row(guarded_library, name, dtype, monkeypatch):
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    with fw.threads(2):
        for rows, optimizer in ((1, "adam"), (9, "sgd")):
            model = model_between(CASES[name], dtype)
            model.compile(optimizer, "mse")
            random = np.random.default_rng(0)
            run(model, rows_for(model, rows, random), random.standard_normal((rows, 2)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threads", [1, 2])
def test_layers_that_draw(guarded_library, threads, dtype, monkeypatch):
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    random = np.random.default_rng(0)
    with fw.threads(threads):
        for rows, features in [
            *((9, n) for n in range(1, 34)),
            (1, 7),
            (17, 64),
            (3, 700),
            (300, 5),
        ]:
            stack = [
                layers.Dropout(0.5),
                layers.SpatialDropout1D(0.5),
                layers.GaussianNoise(0.5),
                layers.Dense(features),
                layers.AlphaDropout(0.5),
                layers.GaussianDropout(0.5),
                layers.Dropout(0.5),
            ]
            model = fw.Sequential(stack, (2, features), dtype, 0)
            model.compile("adam", "mse")
            run(model, *random.standard_normal((2, rows, 2, features)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threads", [1, 2])
def test_normalised_dense_layers(guarded_library, threads, dtype, monkeypatch):
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    with fw.threads(threads):
        for n in [*range(1, 34), 47, 63, 65, 127, 129, 257]:
            for rows in (1, 9, 300):
                stack = [layers.Dense(n), layers.BatchNormalization(), layers.Activation("relu")]
                model = fw.Sequential([*stack, layers.Dropout(0.1)], 5, dtype, 0)
                model.compile("adam", "mse")
                run(model, *data(rows, 5, n))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threads", [1, 2])
def test_weights_that_are_kept_in_check(guarded_library, threads, dtype, monkeypatch):
    """Kernels and biases that end where the parameters do, of every width up to two vectors."""
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    kinds = ("max_norm", constraints.UnitNorm(-1), "non_neg")
    with fw.threads(threads):
        for n in range(1, 34):
            kept = kinds[n % 3]
            for use_bias in (False, True):
                settings = {"use_bias": use_bias, "kernel_constraint": kept}
                if n > 1:
                    mode = ("rows", "columns")[n % 2]
                    cost = regularizers.OrthogonalRegularizer(0.1, mode)
                    settings["kernel_regularizer"] = cost
                stack = [
                    layers.Dense(3, activity_regularizer="l1_l2"),
                    layers.Dense(n, bias_constraint="non_neg", **settings),
                    layers.ActivityRegularization(0.1, 0.1),
                    layers.Dense(n, bias_constraint="unit_norm", **settings),
                ]
                model = fw.Sequential(stack, 5, dtype, 0)
                model.compile("adam", "mse")
                x, y = data(9, 5, n)
                run(model, x, y)
                model.apply_gradients()


def targets_for(loss, rows, outputs, random):
    """Targets that suit a loss."""
    labels = random.integers(0, outputs, rows)
    if loss.takes_labels:
        return labels
    if "categorical" in loss.name or loss.name == "kl_divergence":
        return np.eye(outputs)[labels]
    if "hinge" in loss.name or "binary" in loss.name:
        return random.integers(0, 2, (rows, outputs)).astype(float)
    return random.uniform(0.5, 2.5, (rows, loss.target_columns(outputs)))


LOSSES = {
    **{name: losses.get(name) for name, kind in losses.LOSSES.items() if kind.name == name},
    "sparse logits": losses.SparseCategoricalCrossentropy(from_logits=True),
    "binary logits": losses.BinaryCrossentropy(from_logits=True),
    "one quantile": losses.Quantile(0.5),
    "two quantiles": losses.Quantile((0.1, 0.9)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LOSSES)
def test_losses_and_weights_of_rows(guarded_library, name, dtype, monkeypatch):
    """Some have fewer targets than outputs; each row counts something, or each line of it."""
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    loss, random = LOSSES[name], np.random.default_rng(0)
    groups = getattr(loss, "outputs_of_each", 1)
    with fw.threads(2), np.errstate(all="ignore"):
        for rows, widths in ROWS_AND_WIDTHS:
            for n in widths:
                outputs = n * groups
                if outputs == 1 and loss.of_classes and groups == 1 and name != "one quantile":
                    continue
                last = None if groups > 1 or "quantile" in name else "softplus"
                stack = [layers.Dense(5, "tanh"), layers.Dense(outputs, last)]
                model = fw.Sequential(stack, 3, dtype, 0)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # about activations that suit others
                    model.compile("adam", loss)
                x = random.standard_normal((rows, 3))
                y = targets_for(loss, rows, outputs, random)
                weights = random.uniform(0.0, 2.0, rows) if n % 2 else None
                run(model, x, y, weights)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", ["categorical_crossentropy", "mse"])
def test_weights_of_lines(guarded_library, loss, dtype, monkeypatch):
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    random = np.random.default_rng(0)
    with fw.threads(2):
        for rows, steps, outputs in ((1, 1, 3), (9, 7, 2), (17, 5, 16), (65, 3, 5)):
            stack = [layers.Dense(5, "tanh"), layers.Dense(outputs, "softmax")]
            model = fw.Sequential(stack, (steps, 3), dtype, 0)
            model.compile("adam", loss)
            labels = random.integers(0, outputs, (rows, steps))
            x, weights = random.standard_normal((rows, steps, 3)), random.random((rows, steps))
            run(model, x, np.eye(outputs)[labels], weights)


#: By last activation and loss, which all of them suit.
METRICS = {
    ("softplus", "mse", 0): (
        *("mse", "rmse", "mae", "mape", "msle", "log_cosh", "poisson", "cosine_similarity", "r2"),
        *("explained_variance", "pearson_correlation", "concordance_correlation"),
    ),
    ("sigmoid", "binary_crossentropy", 0): (
        *("accuracy", "log_loss", "true_positives", "false_positives", "true_negatives"),
        *("false_negatives", "precision", "recall", "auc"),
    ),
    (None, "hinge", 0): ("accuracy", "hinge", "squared_hinge"),
    ("softmax", "categorical_crossentropy", 1): (
        *("accuracy", "log_loss", "f1_score", "fbeta_score", "mcc", "cohen_kappa"),
        *("balanced_accuracy", "confusion_matrix", "categorical_hinge", "kl_divergence"),
    ),
    ("softmax", "sparse_categorical_crossentropy", 1): (
        *("accuracy", "log_loss", "mcc", "confusion_matrix"),
        "sparse_top_k_categorical_accuracy",
    ),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("suited", METRICS, ids=lambda suited: suited[1])
def test_metrics(guarded_library, suited, dtype, monkeypatch):
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    random, (last, loss, fewest) = np.random.default_rng(0), suited
    with fw.threads(2):
        for rows, widths in ROWS_AND_WIDTHS:
            for outputs in widths[fewest:]:
                model = fw.Sequential([layers.Dense(outputs, last)], 3, dtype, 0)
                told = [name for name in METRICS[suited] if outputs > 5 or "top_k" not in name]
                model.compile("adam", loss, told)
                x = random.standard_normal((rows, 3))
                y = targets_for(model.loss, rows, outputs, random)
                run(model, x, y, random.uniform(0.0, 2.0, rows) if outputs % 2 else None)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", UPDATES)
def test_optimizers(guarded_library, name, dtype, monkeypatch):
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    optimizer, every = UPDATES[name][0], SETTINGS[len(name) % len(SETTINGS)]
    settings = {**optimizer.config(), **every}
    with fw.threads(2):
        for n in range(1, 34):
            model = fw.Sequential([layers.Dense(n, use_bias=n % 2 == 0)], 3, dtype, 0)
            model.compile(optimizers.get(settings), "mse")
            run(model, *data(9, 3, n))


def test_the_guard_guards():
    code = (
        "import numpy as np; from helpers import guarded; a = guarded(5);"
        "import ctypes; print(ctypes.string_at(a.ctypes.data + a.nbytes, 1))"
    )
    assert run_python(code).returncode != 0
