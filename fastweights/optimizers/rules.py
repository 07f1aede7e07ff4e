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
        From 0, which keeps no velocity, to 1, which keeps all of it.
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
        self.momentum = _check.number("momentum", momentum, minimum=0.0, maximum=1.0)
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


class _TwoMeans(Optimizer):
    """What optimizers with two means have in common: of gradients, and of how large they are."""

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
        products = [1.0] * self.running
        return [*super().numbers(), self.beta_1, self.beta_2, self.epsilon, *products]

    def config(self) -> dict[str, Any]:
        return {
            **super().config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }


class Adam(_TwoMeans):
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
    amsgrad : bool
        Takes the largest `v` that there was in place of `v` (Reddi, Kale & Kumar 2018).
    epsilon_hat : bool
        Whether `epsilon` stands beside the root of the `v` that is not divided, as what the paper
        calls epsilon hat in its section 2, and Keras and scikit-learn have it: it counts for more
        in the first steps.
    **settings
        Those of every `Optimizer`.
    """

    running = 2

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        *,
        epsilon_hat: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **settings)
        self.amsgrad = _check.flag("amsgrad", amsgrad)
        self.epsilon_hat = _check.flag("epsilon_hat", epsilon_hat)

    @property
    def kernel(self) -> str:  # type: ignore[override]
        return ("amsgrad" if self.amsgrad else "adam") + ("_hat" if self.epsilon_hat else "")

    def config(self) -> dict[str, Any]:
        return {**super().config(), "amsgrad": self.amsgrad, "epsilon_hat": self.epsilon_hat}


class AdamW(Adam):
    """Adam with weight decay (Loshchilov & Hutter 2019).

    Each step is ``w -= learning_rate * weight_decay * w`` and then that of `Adam`.

    Parameters
    ----------
    learning_rate, beta_1, beta_2, epsilon, amsgrad, **settings
        As `Adam` has them.
    weight_decay : float
        At least 0.
    """

    def __init__(
        self,
        learning_rate: float = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **settings: Any,
    ) -> None:
        if weight_decay is None:
            raise ValueError(_check.refusal("weight_decay", "None", "a number; Adam has none"))
        super().__init__(
            learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **settings
        )


class Adamax(_TwoMeans):
    """Adam by the largest gradient instead of the mean of squares (Kingma & Ba 2015, section 7.1).

    ``m = beta_1 m + (1 - beta_1) g``, ``u = max(beta_2 u, |g|)`` and
    ``w -= learning_rate / (1 - beta_1^t) * m / (u + epsilon)``.

    Parameters
    ----------
    learning_rate : float
        Step size, at least 0.
    beta_1, beta_2 : float
        Decay of `m` and of `u`, each in [0, 1).
    epsilon : float
        Keeps the division finite, above 0; at least the smallest normal number is taken.
    **settings
        Those of every `Optimizer`.
    """

    kernel = "adamax"
    running = 1


class Nadam(_TwoMeans):
    """Adam with Nesterov's momentum (Dozat 2015).

    With ``u_t = beta_1 (1 - 0.96^t / 2)`` and ``U_t = u_1 u_2 ... u_t``, and with `m` and `v` as
    `Adam` has them: ``w -= learning_rate * n / (sqrt(v / (1 - beta_2^t)) + epsilon)``, where
    ``n = u_{t+1} m / (1 - U_{t+1}) + (1 - u_t) g / (1 - U_t)``. The schedule of momentum is Keras
    3's; that of the paper and of PyTorch takes 250 times as long.

    Parameters
    ----------
    learning_rate : float
        Step size, at least 0.
    beta_1, beta_2 : float
        Decay of the two moments, each in [0, 1).
    epsilon : float
        As `Adam` has it.
    **settings
        Those of every `Optimizer`.
    """

    kernel = "nadam"
    running = 3


class Lion(Optimizer):
    """Steps of one size by the sign of a momentum (Chen et al. 2023).

    ``w -= learning_rate * sign(beta_1 m + (1 - beta_1) g)``, then
    ``m = beta_2 m + (1 - beta_2) g``. A learning rate three to ten times smaller than Adam's, and a
    weight decay as many times larger, suit it.

    Parameters
    ----------
    learning_rate : float
        Step size, at least 0.
    beta_1 : float
        Share of `m` in a step's direction, above 0 and at most 1.
    beta_2 : float
        Decay of `m`, in [0, 1).
    **settings
        Those of every `Optimizer`.
    """

    kernel = "lion"

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        **settings: Any,
    ) -> None:
        super().__init__(learning_rate, **settings)
        self.beta_1 = _check.number("beta_1", beta_1, above=0.0, maximum=1.0)
        self.beta_2 = _check.number("beta_2", beta_2, minimum=0.0, below=1.0)

    def numbers(self) -> list[float]:
        return [*super().numbers(), self.beta_1, self.beta_2]

    def config(self) -> dict[str, Any]:
        return {**super().config(), "beta_1": self.beta_1, "beta_2": self.beta_2}


class RMSprop(Optimizer):
    """Gradients over the root of their mean square (Hinton 2012).

    ``v = rho v + (1 - rho) g^2`` and ``w -= learning_rate * g / sqrt(v + epsilon)``. With
    `centered` also ``a = rho a + (1 - rho) g``, and the variance ``v - a^2`` in place of `v`
    (Graves 2013).
    With `momentum` ``b = momentum b + learning_rate * g / sqrt(...)`` and ``w -= b``. PyTorch has
    epsilon beside the root.

    Parameters
    ----------
    learning_rate : float
        Step size, at least 0.
    rho : float
        Decay of the means, in [0, 1).
    momentum : float
        In [0, 1); 0 keeps no velocity.
    epsilon : float
        Keeps the division finite, above 0. At least the smallest normal number divided by
        ``1 - rho`` is taken, 1.2e-37 in float32: below it `v` is 0 where `g` is not.
    centered : bool
        Takes the variance in place of the mean square.
    **settings
        Those of every `Optimizer`.
    """

    def __init__(
        self,
        learning_rate: float = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(learning_rate, **settings)
        self.rho = _check.number("rho", rho, minimum=0.0, below=1.0)
        self.momentum = _check.number("momentum", momentum, minimum=0.0, below=1.0)
        self.epsilon = _check.number("epsilon", epsilon, above=0.0)
        self.centered = _check.flag("centered", centered)

    @property
    def kernel(self) -> str:  # type: ignore[override]
        centered = "_centered" if self.centered else ""
        return f"rmsprop{centered}" + ("" if self.momentum == 0.0 else "_momentum")

    def numbers(self) -> list[float]:
        momentum = [] if self.momentum == 0.0 else [self.momentum]
        return [*super().numbers(), self.rho, self.epsilon, *momentum]

    def config(self) -> dict[str, Any]:
        return {
            **super().config(),
            "rho": self.rho,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "centered": self.centered,
        }


class Adagrad(Optimizer):
    """Gradients over the root of the sum of all their squares (Duchi, Hazan & Singer 2011).

    ``n += g^2`` and ``w -= learning_rate * g / sqrt(n + epsilon)``. PyTorch has epsilon beside the
    root.

    Parameters
    ----------
    learning_rate : float
        Step size, at least 0; the paper's is larger than the default.
    initial_accumulator_value : float
        Where `n` starts, at least 0.
    epsilon : float
        Keeps the division finite, above 0; at least the smallest normal number is taken.
    **settings
        Those of every `Optimizer`.
    """

    kernel = "adagrad"

    def __init__(
        self,
        learning_rate: float = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **settings: Any,
    ) -> None:
        super().__init__(learning_rate, **settings)
        self.initial_accumulator_value = _check.number(
            "initial_accumulator_value", initial_accumulator_value, minimum=0.0
        )
        self.epsilon = _check.number("epsilon", epsilon, above=0.0)

    def numbers(self) -> list[float]:
        return [*super().numbers(), self.epsilon]

    def initial_state(self) -> tuple[float, ...]:
        return (self.initial_accumulator_value,)

    def config(self) -> dict[str, Any]:
        return {
            **super().config(),
            "initial_accumulator_value": self.initial_accumulator_value,
            "epsilon": self.epsilon,
        }


class Adadelta(Optimizer):
    """Steps in the measure of the weights (Zeiler 2012).

    ``n = rho n + (1 - rho) g^2``, ``d = g sqrt(u + epsilon) / sqrt(n + epsilon)``,
    ``w -= learning_rate * d`` and ``u = rho u + (1 - rho) d^2``.

    Parameters
    ----------
    learning_rate : float
        Step size, at least 0; the paper's is 1.
    rho : float
        Decay of the means, in [0, 1).
    epsilon : float
        Where steps begin, and what keeps the division finite, above 0. At least the smallest
        normal number divided by ``1 - rho`` is taken.
    **settings
        Those of every `Optimizer`.
    """

    kernel = "adadelta"

    def __init__(
        self,
        learning_rate: float = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        **settings: Any,
    ) -> None:
        super().__init__(learning_rate, **settings)
        self.rho = _check.number("rho", rho, minimum=0.0, below=1.0)
        self.epsilon = _check.number("epsilon", epsilon, above=0.0)

    def numbers(self) -> list[float]:
        return [*super().numbers(), self.rho, self.epsilon]

    def config(self) -> dict[str, Any]:
        return {**super().config(), "rho": self.rho, "epsilon": self.epsilon}


class Rprop(Optimizer):
    """A step size for each weight, by the signs of its gradients (Riedmiller & Braun 1993).

    Where a gradient has the sign of the one before, the weight's step is multiplied by the larger
    of `etas`; where it has turned, by the smaller one, and the weight rests for this step. Then
    ``w -= step * sign(g)``. Not in Keras; names and defaults are PyTorch's.

    Signs mean something where all rows are in each step: `fit` warns where they are not.

    Parameters
    ----------
    learning_rate : float
        The first step of every weight, at least 0. Where it is changed later, all steps are, by the
        same factor.
    etas : (float, float)
        Factors of the step, between 0 and 1 and above 1.
    step_sizes : (float, float)
        The smallest and the largest step, above 0.
    **settings
        Those of every `Optimizer`.
    """

    kernel = "rprop"
    wants_all_rows = True

    def __init__(
        self,
        learning_rate: float = 0.01,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50.0),
        **settings: Any,
    ) -> None:
        super().__init__(learning_rate, **settings)
        minus, plus = _pair("etas", etas)
        least, most = _pair("step_sizes", step_sizes)
        self.etas = (
            _check.number("etas[0]", minus, above=0.0, below=1.0),
            _check.number("etas[1]", plus, above=1.0),
        )
        least = _check.number("step_sizes[0]", least, above=0.0)
        self.step_sizes = (least, _check.number("step_sizes[1]", most, minimum=least))

    def numbers(self) -> list[float]:
        return [*super().numbers(), *self.etas, *self.step_sizes]

    def initial_state(self) -> tuple[float, ...]:
        return (0.0, 1.0)

    def config(self) -> dict[str, Any]:
        return {
            **super().config(),
            "etas": list(self.etas),
            "step_sizes": list(self.step_sizes),
        }


def _pair(argument: str, got: Any) -> tuple[Any, Any]:
    if not isinstance(got, (tuple, list)) or len(got) != 2:
        raise TypeError(_check.refusal(argument, _check.shown(got), "a pair of numbers"))
    return got[0], got[1]
