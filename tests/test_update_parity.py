"""Every optimizer beside those of Keras and PyTorch: the same gradients, float64, where they agree.

Skipped where these are not there. Keras is run by a process of its own.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras_updates
import numpy as np
import pytest

import fastweights as fw
from fastweights import layers, optimizers

has_torch = importlib.util.find_spec("torch") is not None
needs_keras = pytest.mark.skipif(
    not (has_torch and importlib.util.find_spec("keras")),
    reason="needs Keras, and PyTorch on which it is run",
)
needs_torch = pytest.mark.skipif(not has_torch, reason="needs PyTorch")

RATE = keras_updates.RATE


def trained(optimizer):
    """Kernel and bias after all steps, and their averages if there are some."""
    model = fw.Sequential([layers.Dense(4)], 5, "float64", seed=0)
    model.compile(optimizer, "mse")
    weights, gradients = keras_updates.numbers()
    model.set_weights(weights)
    for kernel, bias in gradients:
        model.gradients[:20], model.gradients[20:] = kernel.ravel(), bias
        model.apply_gradients()
    found = [model.parameters.copy()]
    if optimizer.use_ema:
        found.append(model._compiled.memory.averages(24).copy())
    return [part for one in found for part in (one[:20].reshape(5, 4), one[20:])]


# ---- Keras ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    path = tmp_path_factory.mktemp("keras") / "told.npz"
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "keras_updates.py"), str(path)],
        env={**os.environ, "KERAS_BACKEND": "torch"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


@needs_keras
@pytest.mark.parametrize("case", keras_updates.CASES)
def test_keras_makes_the_same_of_gradients(theirs, case):
    kind, settings = keras_updates.CASES[case]
    optimizer = getattr(optimizers, kind)(RATE, **settings)
    if "weight_decay" in settings:
        optimizer.exclude_from_weight_decay(var_names=["bias"])
    # Of norms Keras has the factor in float32, whatever the weights are.
    by_norm = "clipnorm" in settings or "global_clipnorm" in settings
    close = {"rtol": 2e-6, "atol": 1e-7} if by_norm else {"rtol": 1e-9, "atol": 1e-11}
    names = ("kernel", "bias", "average of kernel", "average of bias")
    for name, found in zip(names, trained(optimizer), strict=False):
        np.testing.assert_allclose(found, theirs[f"{case} {name}"], **close)


def test_every_optimizer_is_compared():
    compared = {kind for kind, _ in keras_updates.CASES.values()}
    own = {"Rprop", "LBFGS", "LevenbergMarquardt"}
    assert {kind.__name__ for kind in optimizers.OPTIMIZERS.values()} - own == compared


# ---- PyTorch -------------------------------------------------------------------------------------

#: Ours, and the name and settings of theirs. Where epsilon stands in another place none is seen.
TWINS = {
    "sgd": (optimizers.SGD(RATE), "SGD", {}),
    "momentum": (optimizers.SGD(RATE, 0.9), "SGD", {"momentum": 0.9}),
    "nesterov": (optimizers.SGD(RATE, 0.9, True), "SGD", {"momentum": 0.9, "nesterov": True}),
    "adam": (optimizers.Adam(RATE), "Adam", {"eps": 1e-7}),
    "adam with other numbers": (
        optimizers.Adam(RATE, 0.5, 0.9, 0.1),
        "Adam",
        {"betas": (0.5, 0.9), "eps": 0.1},
    ),
    "amsgrad": (
        optimizers.Adam(RATE, 0.5, 0.9, 0.1, amsgrad=True),
        "Adam",
        {"betas": (0.5, 0.9), "eps": 0.1, "amsgrad": True},
    ),
    "adamw": (optimizers.AdamW(RATE, 0.1), "AdamW", {"weight_decay": 0.1, "eps": 1e-7}),
    "adamax": (optimizers.Adamax(RATE, epsilon=1e-30), "Adamax", {"eps": 1e-30}),
    "nadam": (optimizers.Nadam(RATE), "NAdam", {"momentum_decay": 1.0, "eps": 1e-7}),
    "nadam with decay": (
        optimizers.Nadam(RATE, weight_decay=0.1),
        "NAdam",
        {"momentum_decay": 1.0, "eps": 1e-7, "weight_decay": 0.1, "decoupled_weight_decay": True},
    ),
    "rmsprop": (
        optimizers.RMSprop(RATE, 0.9, epsilon=1e-30),
        "RMSprop",
        {"alpha": 0.9, "eps": 1e-30},
    ),
    "rmsprop with momentum": (
        optimizers.RMSprop(RATE, 0.9, 0.9, 1e-30),
        "RMSprop",
        {"alpha": 0.9, "momentum": 0.9, "eps": 1e-30},
    ),
    "adagrad": (
        optimizers.Adagrad(RATE, 0.1, 1e-30),
        "Adagrad",
        {"initial_accumulator_value": 0.1, "eps": 1e-30},
    ),
    "adadelta": (optimizers.Adadelta(RATE), "Adadelta", {"rho": 0.95, "eps": 1e-7}),
    "rprop": (optimizers.Rprop(RATE), "Rprop", {}),
    "rprop with other numbers": (
        optimizers.Rprop(RATE, (0.8, 1.7), (0.01, 1.0)),
        "Rprop",
        {"etas": (0.8, 1.7), "step_sizes": (0.01, 1.0)},
    ),
}


@pytest.fixture
def in_float64():
    """Scalars of PyTorch's optimizers are of the dtype that is the default."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@needs_torch
@pytest.mark.parametrize("averaged", [False, True])
@pytest.mark.parametrize("case", TWINS)
def test_torch_makes_the_same_of_gradients(case, averaged, in_float64):
    import torch
    from torch.optim.swa_utils import get_ema_multi_avg_fn

    optimizer, name, settings = TWINS[case]
    if averaged:
        config = {**optimizer.config(), "use_ema": True, "ema_momentum": 0.75}
        optimizer = optimizers.get(config)
    weights, gradients = keras_updates.numbers()
    tensors = [torch.tensor(one).requires_grad_() for one in weights]
    twin = getattr(torch.optim, name)(tensors, lr=RATE, **settings)
    averages, averaging = None, get_ema_multi_avg_fn(0.75)
    for step in gradients:
        for tensor, gradient in zip(tensors, step, strict=True):
            tensor.grad = torch.tensor(gradient)
        twin.step()
        now = [tensor.detach().clone() for tensor in tensors]
        if averages is None:
            averages = now
        else:
            averaging(averages, now, None)
    expected = [one.detach().numpy() for one in tensors] + [one.numpy() for one in averages]
    for found, wanted in zip(trained(optimizer), expected, strict=False):
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-11)
