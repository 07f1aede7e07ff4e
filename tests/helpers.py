"""What several test files share: networks, their twins in plain NumPy, fresh interpreters."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import reference

import fastweights as fw
from fastweights import layers


def network(
    widths: tuple[int, ...] = (5, 7, 3),
    activation: str = "tanh",
    last: str | None = None,
    optimizer: Any = "sgd",
    loss: Any = "mse",
    metrics: tuple[str, ...] = (),
    dtype: str = "float64",
    seed: int = 0,
) -> fw.Sequential:
    """A compiled stack of Dense layers; widths begin with the inputs."""
    *hidden, outputs = widths[1:]
    stack = [layers.Dense(units, activation) for units in hidden]
    model = fw.Sequential([*stack, layers.Dense(outputs, last)], widths[0], dtype, seed)
    model.compile(optimizer, loss, metrics)
    return model


def data(rows: int, inputs: int = 5, outputs: int = 3, seed: int = 0) -> tuple[Any, Any]:
    """Normally distributed rows and targets."""
    random = np.random.default_rng(seed)
    return random.standard_normal((rows, inputs)), random.standard_normal((rows, outputs))


def twin(model: fw.Sequential) -> reference.MLP:
    """The oracle's network with the model's weights."""
    widths = [model.input_shape[0], *(layer.units for layer in model.layers)]
    activations = [layer.activation.name for layer in model.layers]
    loss = "mean_squared_error" if model.loss is None else model.loss.kernel
    copy = reference.MLP(widths, activations, loss)
    copy.parameters = model.parameters.astype(float)
    return copy


def same_bits(a: np.ndarray, b: np.ndarray) -> None:
    assert a.dtype == b.dtype
    np.testing.assert_array_equal(a.view(np.uint8), b.view(np.uint8))


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs code in an interpreter of its own."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
