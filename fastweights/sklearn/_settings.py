"""The parameters of an MLP, checked and turned into this library's terms."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np

from fastweights import _check, activations, losses, optimizers
from fastweights.activations import Activation
from fastweights.losses import Loss
from fastweights.optimizers import Optimizer
from fastweights.optimizers.minimizer import Minimizer
from fastweights.schedules import LearningRateSchedule

#: scikit-learn's names for activations that have others here.
ACTIVATIONS = {"identity": "linear", "logistic": "sigmoid"}
#: Those whose meaning is scikit-learn's.
SOLVERS = ("lbfgs", "sgd", "adam")
RATES = ("constant", "invscaling", "adaptive")


class Settings(NamedTuple):
    """What an estimator's parameters say, beside those that are used as they are."""

    hidden: tuple[int, ...]
    activations: tuple[Activation, ...]
    dropout: tuple[float, ...]
    alpha: float
    #: A schedule, or one of `RATES`.
    rate: LearningRateSchedule | str
    dtype: np.dtype | None

    @classmethod
    def of(cls, estimator: Any) -> Settings:
        """Those of an estimator.

        Raises
        ------
        ValueError, TypeError
            A parameter does not suit.
        """
        hidden = _sizes(estimator.hidden_layer_sizes)
        _check_numbers(estimator)
        rate = estimator.learning_rate
        if not isinstance(rate, LearningRateSchedule):
            _check.choice("learning_rate", rate, dict.fromkeys(RATES))
        elif isinstance(estimator.solver, Optimizer) or estimator.solver == "lbfgs":
            got = f"a schedule beside the solver {estimator.solver!r}"
            expected = "a solver that is given its learning rate, such as 'adam'"
            raise ValueError(_check.refusal("learning_rate", got, expected))
        return cls(
            hidden,
            _activations(estimator.activation, len(hidden)),
            _dropout(estimator.dropout, len(hidden)),
            _check.number("alpha", estimator.alpha, minimum=0.0),
            rate,
            None if estimator.dtype is None else _check.dtype("dtype", estimator.dtype),
        )


def _sizes(given: Any) -> tuple[int, ...]:
    several = [given] if not isinstance(given, Iterable) else list(given)
    sizes = []
    for size in several:
        if not isinstance(size, Integral) or isinstance(size, (bool, np.bool_)) or size <= 0:
            got = _check.shown(given) if isinstance(given, (str, bytes)) else repr(given)
            expected = "whole numbers above 0: hidden_layer_sizes must be > 0"
            raise ValueError(_check.refusal("hidden_layer_sizes", got, expected))
        sizes.append(int(size))
    return tuple(sizes)


def _activations(given: Any, layers: int) -> tuple[Activation, ...]:
    """That of each hidden layer."""
    several = list(given) if isinstance(given, (list, tuple)) else [given] * layers
    if len(several) != layers:
        expected = f"one name, or one for each of {layers} hidden layers"
        raise ValueError(_check.refusal("activation", f"{len(several)} of them", expected))
    return tuple(
        activations.get(ACTIVATIONS.get(one, one) if isinstance(one, str) else one)
        for one in several
    )


def _dropout(given: Any, layers: int) -> tuple[float, ...]:
    """The rate behind each hidden layer."""
    several = list(given) if isinstance(given, (list, tuple)) else [given] * layers
    if len(several) != layers:
        expected = f"one rate, or one for each of {layers} hidden layers"
        raise ValueError(_check.refusal("dropout", f"{len(several)} of them", expected))
    return tuple(_check.number("dropout", one, minimum=0.0, below=1.0) for one in several)


def _check_numbers(estimator: Any) -> None:
    """Raises ValueError or TypeError for a parameter that is no number as it is to be."""
    for name, bounds in _BOUNDS.items():
        _check.number(name, getattr(estimator, name), **bounds)
    for name in ("shuffle", "warm_start", "nesterovs_momentum", "early_stopping"):
        _check.flag(name, getattr(estimator, name))
    _check.whole("max_iter", estimator.max_iter, 1)
    _check.whole("max_fun", estimator.max_fun, 1)
    if estimator.n_iter_no_change != math.inf:
        _check.whole("n_iter_no_change", estimator.n_iter_no_change, 1)
    if not isinstance(estimator.batch_size, str) or estimator.batch_size != "auto":
        _check.whole("batch_size", estimator.batch_size, 1)


_BOUNDS: dict[str, dict[str, float]] = {
    "learning_rate_init": {"above": 0.0},
    "power_t": {"minimum": 0.0},
    "tol": {"minimum": 0.0},
    "momentum": {"minimum": 0.0, "maximum": 1.0},
    "validation_fraction": {"minimum": 0.0, "below": 1.0},
    "beta_1": {"minimum": 0.0, "below": 1.0},
    "beta_2": {"minimum": 0.0, "below": 1.0},
    "epsilon": {"above": 0.0},
}


def loss_of(given: Any, own: Sequence[str]) -> Loss:
    """One of :mod:`fastweights.losses`, where it is none of the estimator's own names."""
    if isinstance(given, str):
        known: dict[str, Any] = {**dict.fromkeys(own), **losses.LOSSES}
        return _check.choice("loss", given, known)()
    return losses.get(given)


def is_stochastic(solver: Any) -> bool:
    """Whether a solver makes steps by batches, so that there is a `partial_fit`."""
    return solver != "lbfgs" and not isinstance(solver, Minimizer)


def optimizer_of(estimator: Any, settings: Settings) -> Optimizer:
    """A new one that is what `solver` says."""
    solver = estimator.solver
    if isinstance(solver, Optimizer):
        return solver.again()
    rate: Any = settings.rate
    if isinstance(rate, str):
        rate = float(estimator.learning_rate_init)
    if solver == "sgd":
        momentum = float(estimator.momentum)
        looks_ahead = bool(estimator.nesterovs_momentum) and momentum > 0.0
        return optimizers.SGD(rate, momentum=momentum, nesterov=looks_ahead)
    if solver == "adam":
        return optimizers.Adam(
            rate, estimator.beta_1, estimator.beta_2, estimator.epsilon, epsilon_hat=True
        )
    known: dict[str, Any] = {**dict.fromkeys(SOLVERS), **optimizers.OPTIMIZERS}
    kind = _check.choice("solver", solver, known)
    return kind() if issubclass(kind, Minimizer) else kind(learning_rate=rate)
