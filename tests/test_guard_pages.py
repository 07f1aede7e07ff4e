"""Nothing is read or written beyond any buffer: each ends where an unreadable page begins.

How buffers and arrays come to lie so is said in `guarding.py`.
"""

import sys

import numpy as np
import pytest
from guarding import exercise, run
from helpers import data, run_python
from layer_cases import CASES, model_between, rows_for

import fastweights as fw
from fastweights import constraints, layers, regularizers

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


def test_the_guard_guards():
    code = (
        "import numpy as np; from helpers import guarded; a = guarded(5);"
        "import ctypes; print(ctypes.string_at(a.ctypes.data + a.nbytes, 1))"
    )
    assert run_python(code).returncode != 0
