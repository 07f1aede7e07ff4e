"""Losses: descriptions of what training makes small. Names and definitions are Keras 3's.

The value of a row is the mean over its outputs (of losses of classes and of likeness one number for
the last axis), the loss of a batch the mean over its rows; of an output with a mask (see
:class:`fastweights.layers.Masking`) over its steps that count. The arithmetic is compiled
(``src_pyx/kernels/losses.pxi``); what is here are the settings, and the checks of the targets. One
of your own is a function of NumPy arrays: see :class:`FunctionLoss`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from fastweights import _check
from fastweights._absent import refusal_of, refuse_foreign
from fastweights._description import from_config
from fastweights._own import is_of_somebody
from fastweights.losses.base import Loss
from fastweights.losses.crossentropy import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    SparseCategoricalCrossentropy,
)
from fastweights.losses.distributions import GaussianNLL, Quantile
from fastweights.losses.hinges import CategoricalHinge, Hinge, SquaredHinge
from fastweights.losses.likeness import CosineSimilarity, KLDivergence
from fastweights.losses.own import (
    FunctionLoss,
    NumpyLoss,
    known_loss,
    refuse_other_functions,
)
from fastweights.losses.regression import (
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    PoissonDeviance,
)

__all__ = [
    "LOSSES",
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "FunctionLoss",
    "GaussianNLL",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "NumpyLoss",
    "Poisson",
    "PoissonDeviance",
    "Quantile",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "get",
]

#: Every loss by its name and, as Keras has them, by its short name.
LOSSES: dict[str, type[Loss]] = {
    **{
        kind.name: kind
        for kind in (
            MeanSquaredError,
            MeanAbsoluteError,
            MeanAbsolutePercentageError,
            MeanSquaredLogarithmicError,
            Huber,
            LogCosh,
            Poisson,
            PoissonDeviance,
            Hinge,
            SquaredHinge,
            CategoricalHinge,
            BinaryCrossentropy,
            BinaryFocalCrossentropy,
            CategoricalCrossentropy,
            CategoricalFocalCrossentropy,
            SparseCategoricalCrossentropy,
            KLDivergence,
            CosineSimilarity,
            Quantile,
            GaussianNLL,
        )
    },
    "mse": MeanSquaredError,
    "mae": MeanAbsoluteError,
    "mape": MeanAbsolutePercentageError,
    "msle": MeanSquaredLogarithmicError,
    "logcosh": LogCosh,
    "bce": BinaryCrossentropy,
    "kld": KLDivergence,
}


def get(identifier: Any) -> Loss:
    """A loss from its name, its `config`, a function of your own or itself."""
    if isinstance(identifier, NumpyLoss):
        identifier.refuse_unfit()
        return identifier
    if isinstance(identifier, Loss):
        if LOSSES.get(getattr(identifier, "name", "")) is not type(identifier):
            expected = "a loss of this library, or one of your own derived from losses.NumpyLoss"
            raise TypeError(_check.refusal("loss", type(identifier).__name__, expected))
        return identifier
    refuse_foreign("loss", "losses", identifier)
    if isinstance(identifier, Mapping):
        if is_of_somebody(identifier.get("name")):
            return known_loss(identifier, {})
        return from_config("loss", identifier, LOSSES, ignore_case=True)
    if callable(identifier) and not isinstance(identifier, type):
        refuse_other_functions("loss", identifier)
        return FunctionLoss(identifier)
    return _check.choice("loss", identifier, LOSSES, ignore_case=True)()


def __getattr__(name: str) -> NoReturn:
    raise refusal_of(__name__, name, LOSSES)
