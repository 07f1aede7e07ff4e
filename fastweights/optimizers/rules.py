"""Optimizers that move each weight by a rule of its own gradient: one compiled pass."""

from __future__ import annotations

from typing import Any

from fastweights import _check
from fastweights.optimizers.base import Optimizer


class SGD(Optimizer):
    """Stochastic gradient descent: ``w -= learning_rate * g``.

    With momentum ``v = momentum * v - learning_rate * g`` and ``w += v`` (Polyak 1964); with
    `nesterov` besides ``w += momentum * v - learning_rate * g`` (Sutskever et al. 2013).

    Parameters
    ----------
    learning_rate : float
        Step size, at least 0.
    momentum : float
        In [0, 1); 0 keeps no velocity.
    nesterov : bool
        Looks ahead along the velocity; needs momentum.
    **settings
        Those of every `Optimizer`.
    """

    def __init__(
        self,
        learning_rate: float = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(learning_rate, **settings)
        self.momentum = _check.number("momentum", momentum, minimum=0.0, below=1.0)
        self.nesterov = _check.flag("nesterov", nesterov)
        if self.nesterov and self.momentum == 0.0:
            raise ValueError(_check.refusal("nesterov", "True without momentum", "a momentum"))

    @property
    def kernel(self) -> str:  # type: ignore[override]
        if self.momentum == 0.0:
            return "sgd"
        return "nesterov" if self.nesterov else "momentum"

    def numbers(self) -> list[float]:
        return super().numbers() + ([] if self.momentum == 0.0 else [self.momentum])

    def config(self) -> dict[str, Any]:
        return {**super().config(), "momentum": self.momentum, "nesterov": self.nesterov}


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, Algorithm 1).

    ``m = beta_1 m + (1 - beta_1) g``, ``v = beta_2 v + (1 - beta_2) g^2``, and with both divided by
    ``1 - beta^t``: ``w -= learning_rate * m / (sqrt(v) + epsilon)``.

    Parameters
    ----------
    learning_rate : float
        Step size, at least 0.
    beta_1, beta_2 : float
        Decay of the two moments, each in [0, 1).
    epsilon : float
        Keeps the division finite, above 0. At least the root of the smallest normal number
        divided by ``1 - beta_2`` is taken, 3.4e-18 in float32: below it `v` is 0 where `m` is not.
    **settings
        Those of every `Optimizer`.
    """

    kernel = "adam"
    running = 2

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **settings: Any,
    ) -> None:
        super().__init__(learning_rate, **settings)
        self.beta_1 = _check.number("beta_1", beta_1, minimum=0.0, below=1.0)
        self.beta_2 = _check.number("beta_2", beta_2, minimum=0.0, below=1.0)
        self.epsilon = _check.number("epsilon", epsilon, above=0.0)

    def numbers(self) -> list[float]:
        return [*super().numbers(), self.beta_1, self.beta_2, self.epsilon, 1.0, 1.0]

    def config(self) -> dict[str, Any]:
        return {
            **super().config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }
