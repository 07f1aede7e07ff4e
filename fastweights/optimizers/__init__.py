"""Optimizers: descriptions of how a gradient moves the weights.

The arithmetic is one compiled pass over the flat vectors (``src_pyx/kernels/updates.pxi``). An
optimizer object may serve several models: what it remembers from step to step lives with the model,
its learning rate is that of all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from fastweights import _check, schedules
from fastweights._absent import refusal_of, refuse_foreign
from fastweights._description import from_config
from fastweights._own import is_of_somebody
from fastweights.optimizers.base import Memory, Optimizer
from fastweights.optimizers.lbfgs import LBFGS
from fastweights.optimizers.levenberg_marquardt import LevenbergMarquardt
from fastweights.optimizers.minimizer import Minimizer
from fastweights.optimizers.own import NumpyOptimizer, known_optimizer, refuse_unfit
from fastweights.optimizers.rules import (
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Lion,
    Nadam,
    RMSprop,
    Rprop,
)

__all__ = [
    "LBFGS",
    "OPTIMIZERS",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "LevenbergMarquardt",
    "Lion",
    "Memory",
    "Minimizer",
    "Nadam",
    "NumpyOptimizer",
    "Optimizer",
    "RMSprop",
    "Rprop",
    "get",
    "schedules",
]

#: Every optimizer by its name.
OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    kind.__name__.lower(): kind
    for kind in (
        *(SGD, Adam, AdamW, Adamax, Nadam, Lion, RMSprop, Adagrad, Adadelta, Rprop),
        *(LBFGS, LevenbergMarquardt),
    )
}


def get(identifier: str | Optimizer | Mapping[str, Any]) -> Optimizer:
    """An optimizer from its name, its `config` or itself."""
    if isinstance(identifier, NumpyOptimizer):
        refuse_unfit(identifier)
    if isinstance(identifier, Optimizer):
        return identifier
    refuse_foreign("optimizer", "optimizers", identifier)
    if isinstance(identifier, Mapping):
        if is_of_somebody(identifier.get("name")):
            return known_optimizer(identifier, {})
        return from_config("optimizer", identifier, OPTIMIZERS, ignore_case=True)
    return _check.choice("optimizer", identifier, OPTIMIZERS, ignore_case=True)()


def __getattr__(name: str) -> NoReturn:
    raise refusal_of(__name__, name, OPTIMIZERS)
