"""Trains small neural networks on a CPU, fast.

>>> import fastweights as fw
>>> from fastweights import layers
>>> model = fw.Sequential([layers.Dense(16, activation="relu"), layers.Dense(1)], seed=0)
>>> model.compile(optimizer="adam", loss="mse")
>>> history = model.fit(x, y, epochs=20)
"""

__version__ = "0.1.0"

from fastweights import (
    activations,
    callbacks,
    initializers,
    kernels,
    layers,
    losses,
    metrics,
    optimizers,
)
from fastweights.config import (
    config,
    get_num_threads,
    set_matmul_precision,
    set_num_threads,
    threads,
)
from fastweights.gradient_check import check_gradients
from fastweights.models import Sequential
from fastweights.saving import load
from fastweights.training import DivergenceError

__all__ = [
    "DivergenceError",
    "Sequential",
    "activations",
    "callbacks",
    "check_gradients",
    "config",
    "get_num_threads",
    "initializers",
    "kernels",
    "layers",
    "load",
    "losses",
    "metrics",
    "optimizers",
    "set_matmul_precision",
    "set_num_threads",
    "threads",
]
