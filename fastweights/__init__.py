"""Trains small neural networks on a CPU, fast.

>>> import fastweights as fw
>>> from fastweights import layers
>>> model = fw.Sequential([layers.Dense(16, activation="relu"), layers.Dense(1)], seed=0)
>>> model.compile(optimizer="adam", loss="mse")
>>> history = model.fit(x, y, epochs=20)
"""

__version__ = "0.1.0"

from typing import TYPE_CHECKING, Any

from fastweights import (
    activations,
    callbacks,
    initializers,
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
from fastweights.models import Sequential
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

if TYPE_CHECKING:
    from fastweights import kernels
    from fastweights.gradient_check import check_gradients
    from fastweights.saving import load
else:
    #: What is imported at its first use, and from which module; not needed to train, or slow.
    _LATER = {"check_gradients": "gradient_check", "kernels": "kernels", "load": "saving"}

    def __getattr__(name: str) -> Any:
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        module = import_module(f"{__name__}.{_LATER[name]}")
        value = module if name == _LATER[name] else getattr(module, name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
