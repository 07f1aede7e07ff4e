"""Optimizers: descriptions of how a gradient moves the weights.

The arithmetic is one compiled pass over the flat vectors (``src_pyx/kernels/updates.pxi``). An
optimizer object may serve several models: what it remembers from step to step lives with the model,
its learning rate is that of all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from fastweights import _check, _dispatch
from fastweights._core import plan as _plan
from fastweights._description import from_config
from fastweights._sealed import Sealed


class Optimizer(Sealed):
    """Base of all optimizers.

    A subclass names its kernel and lists the numbers that the kernel wants. Settings are fixed but
    for the learning rate: models keep memory for the kernel that they chose.
    """

    #: Name of the compiled kernel.
    kernel: str
    #: How many of `numbers`, the last ones, run on from step to step.
    running: ClassVar[int] = 0
    _uncalled: ClassVar[dict[str, str]] = dict.fromkeys(
        ("update_step", "apply_gradients", "apply", "build", "get_config"),
        "sgd or adam with settings of your own; for a step of your own, model.forward, "
        "model.backward, and what you do with model.parameters and model.gradients",
    )

    def __init__(self, learning_rate: float) -> None:
        self.learning_rate = learning_rate

    @property
    def learning_rate(self) -> float:
        """Step size; may be changed between and, by a callback, during fits."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._learning_rate = _check.number("learning_rate", value, minimum=0.0)

    def numbers(self) -> list[float]:
        """The kernel's numbers before the first step, the learning rate first."""
        return [self.learning_rate]

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON can hold them."""
        return {"name": type(self).__name__, "learning_rate": self.learning_rate}

    def __repr__(self) -> str:
        arguments = ", ".join(f"{k}={v!r}" for k, v in self.config().items() if k != "name")
        return f"{type(self).__name__}({arguments})"


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
    """

    def __init__(
        self, learning_rate: float = 0.01, momentum: float = 0.0, nesterov: bool = False
    ) -> None:
        super().__init__(learning_rate)
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
        if self.momentum == 0.0:
            return [self.learning_rate]
        return [self.learning_rate, self.momentum]

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
    """

    kernel = "adam"
    running = 2

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
    ) -> None:
        super().__init__(learning_rate)
        self.beta_1 = _check.number("beta_1", beta_1, minimum=0.0, below=1.0)
        self.beta_2 = _check.number("beta_2", beta_2, minimum=0.0, below=1.0)
        self.epsilon = _check.number("epsilon", epsilon, above=0.0)

    def numbers(self) -> list[float]:
        return [self.learning_rate, self.beta_1, self.beta_2, self.epsilon, 1.0, 1.0]

    def config(self) -> dict[str, Any]:
        return {
            **super().config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }


#: Every optimizer by its name.
OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {"sgd": SGD, "adam": Adam}


def get(identifier: str | Optimizer | Mapping[str, Any]) -> Optimizer:
    """An optimizer from its name, its `config` or itself."""
    if isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, Mapping):
        return from_config("optimizer", identifier, OPTIMIZERS, ignore_case=True)
    return _check.choice("optimizer", identifier, OPTIMIZERS, ignore_case=True)()


def slots(optimizer: Optimizer, dtype: np.dtype) -> int:
    """How many vectors of the parameters' size an optimizer keeps."""
    return _plan.update_slots(_dispatch.kernels(dtype).table, optimizer.kernel)


class Memory:
    """What one optimizer remembers about one model: its state vectors and its running numbers.

    Parameters
    ----------
    vectors : ndarray (slots * parameters,)
        In the model's dtype, one vector after the other.
    numbers : ndarray of float64
        The kernel's numbers, the learning rate first.
    """

    def __init__(self, vectors: np.ndarray, numbers: np.ndarray) -> None:
        self.vectors, self.numbers = vectors, numbers

    @classmethod
    def empty(cls, optimizer: Optimizer, size: int, dtype: np.dtype) -> Memory:
        """That of a model of `size` parameters before the first step."""
        vectors = np.zeros(slots(optimizer, dtype) * size, dtype)
        return cls(vectors, np.array(optimizer.numbers(), np.float64))

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """All of it."""
        return self.vectors, self.numbers
