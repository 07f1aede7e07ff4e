"""Losses of numbers: each output on its own, the mean over them."""

from __future__ import annotations

import numpy as np

from fastweights import _check
from fastweights.losses.base import Loss, refuse


class MeanSquaredError(Loss):
    """``mean((p - t)^2)``."""

    name = "mean_squared_error"


class MeanAbsoluteError(Loss):
    """``mean(|p - t|)``, with gradient 0 where ``p = t``."""

    name = "mean_absolute_error"


class MeanAbsolutePercentageError(Loss):
    """``100 mean(|p - t| / max(|t|, 1e-7))``, with gradient 0 where ``p = t``.

    Targets near 0 count for more than all others together.
    """

    name = "mean_absolute_percentage_error"


class MeanSquaredLogarithmicError(Loss):
    """``mean((log(1 + p) - log(1 + t))^2)`` for targets of 0 or more.

    Predictions and targets below 1e-7 are taken for that, with gradient 0: the last activation
    should be positive, as softplus is.
    """

    name = "mean_squared_logarithmic_error"

    def suitable(self, argument: str, targets: np.ndarray) -> np.ndarray:
        expected = f"numbers of at least 0 for the loss {self.name}"
        refuse(argument, targets, targets < 0, expected)
        return targets


class Huber(Loss):
    """Mean over ``d = p - t`` of ``d^2 / 2``, or ``delta (|d| - delta / 2)`` where ``|d| > delta``.

    Huber, "Robust estimation of a location parameter" (Annals of Mathematical Statistics, 1964).

    Parameters
    ----------
    delta : float
        Where the square turns into a line, above 0.
    """

    name = "huber"
    delta: float

    def __init__(self, delta: float = 1.0) -> None:
        self._set(delta=_check.number("delta", delta, above=0.0))

    @property
    def options(self) -> tuple[float, ...]:
        return (self.delta,)


class LogCosh(Loss):
    """``mean(log(cosh(p - t)))``: near 0 half the square, far out ``|p - t| - log 2``."""

    name = "log_cosh"


class Poisson(Loss):
    """``mean(p - t log(p + 1e-7))``, up to a constant the negative log-likelihood of counts t.

    `p` is a rate: the last activation should be positive, as softplus is. Targets are 0 or more.
    """

    name = "poisson"

    def suitable(self, argument: str, targets: np.ndarray) -> np.ndarray:
        refuse(argument, targets, targets < 0, f"numbers of at least 0 for the loss {self.name}")
        return targets


class PoissonDeviance(Poisson):
    """``mean(t log(t / q) - t + q)`` of rates ``q = exp(p)``: half the deviance of counts t.

    `p` is the logarithm of a rate, so the last activation is linear, and exact for any of them. At
    ``q = t`` the loss is 0. Keras has none; it is the loss of scikit-learn's ``PoissonRegressor``
    and of ``MLPRegressor(loss="poisson")``.
    """

    name = "poisson_deviance"
