"""Optimizers whose rule is written in NumPy: one call a step."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from fastweights import _check
from fastweights._own import Registry, refuse_lost_settings, refuse_other_methods
from fastweights.optimizers.base import Optimizer, Span

#: Classes of other people's by package and name: see `fastweights.register_optimizer`.
REGISTERED = Registry("optimizer")


class NumpyOptimizer(Optimizer):
    """An optimizer of your own, written in NumPy.

    A subclass writes `update` and says how many `vectors` it keeps. With settings of its own it
    takes them in ``__init__``, keeps each under its name, and hands all others on:
    ``super().__init__(learning_rate, **settings)``. Schedules, weight decay, clipping, averages of
    weights, accumulation and factors are those of every optimizer, and none of its business. Once
    it is registered by `fastweights.register_optimizer`, models that it trains can be saved.

    Notes
    -----
    `update` is called once a step, with copies of what belongs to all weights together, in the
    order and dtype of `Model.parameters`. What it gives is copied, once all of it is there and only
    where weights are trained: of the others gradients are 0. An exception, also Ctrl-C, ends the
    call before the step. The model is busy meanwhile: calling it from `update` is refused.

    Examples
    --------
    >>> class SignMomentum(optimizers.NumpyOptimizer):
    ...     vectors = 1
    ...
    ...     def update(self, step, learning_rate, parameters, gradients, mean):
    ...         mean = 0.9 * mean + 0.1 * gradients
    ...         return parameters - learning_rate * np.sign(mean), mean
    >>> model.compile(SignMomentum(0.001, weight_decay=0.01), "mse")
    """

    kernel = "numpy"  # which no plan looks for
    #: How many vectors of the parameters' size run on from step to step; `initial_state` says from
    #: which numbers, where these are not 0.
    vectors: ClassVar[int] = 0

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        _check.whole(f"{cls.__name__}.vectors", cls.vectors, 0)

    @abstractmethod
    def update(
        self,
        step: int,
        learning_rate: float | np.ndarray,
        parameters: np.ndarray,
        gradients: np.ndarray,
        *vectors: np.ndarray,
    ) -> Any:
        """The weights after a step, and the vectors.

        Parameters
        ----------
        step : int
            Its number, from 1 on.
        learning_rate : float or ndarray (parameters,)
            That of this step; an array where there are `learning_rate_factors`.
        parameters, gradients : ndarray (parameters,)
            After weight decay and clipping.
        *vectors : ndarray (parameters,)
            As the last step left them.

        Returns
        -------
        parameters : ndarray (parameters,)
            Alone where there are no vectors, else the first of a tuple.
        *vectors : ndarray (parameters,)
        """

    @property
    def name(self) -> str:
        """By which files know it; its own where nobody could find it."""
        return REGISTERED.name_of(type(self)) or type(self).__name__

    @property
    def is_registered(self) -> bool:
        """Whether `fastweights.load` can make it again."""
        return REGISTERED.name_of(type(self)) is not None

    def rule(
        self, spans: Sequence[Span], size: int, real: np.dtype
    ) -> tuple[Callable[..., Any], int]:
        rates, decays = (_factors_of_each(spans, part, size) for part in (2, 3))

        def moved(
            step: int,
            learning_rate: float,
            weight_decay: float,
            parameters: np.ndarray,
            gradients: np.ndarray,
            vectors: np.ndarray,
        ) -> tuple[np.ndarray, np.ndarray]:
            rate = learning_rate if rates is None else learning_rate * rates
            if weight_decay:
                decay = weight_decay if decays is None else weight_decay * decays
                parameters -= parameters * np.asarray(rate * decay, real)
            if rates is not None:
                rate = np.asarray(rate, real)
            return self._checked(
                self.update(step, rate, parameters, gradients, *vectors), size, real
            )

        return moved, self.vectors

    def _checked(self, made: Any, size: int, real: np.dtype) -> tuple[np.ndarray, np.ndarray]:
        """What `update` gave, in the model's dtype, or a refusal."""
        call = f"update of {type(self).__name__}"
        several = made if isinstance(made, tuple) else (made,)
        expected = f"parameters of shape ({size},)" + (
            f" and {self.vectors} vectors of this shape, in a tuple" if self.vectors else ""
        )
        if made is None or len(several) != 1 + self.vectors:
            got = f"a tuple of {len(made)}" if isinstance(made, tuple) else _check.kind_of(made)
            raise TypeError(_check.refusal(call, got, expected))
        found = np.empty((len(several), size), real)
        # What overflows on the way is found by those who look at the weights.
        with np.errstate(over="ignore", invalid="ignore"):
            for number, one in enumerate(several):
                part = "parameters" if number == 0 else f"vector {number}"
                array = _check.numeric_array(f"{part} of {call}", one)
                if array.shape != (size,):
                    got = f"shape {array.shape}"
                    raise ValueError(_check.refusal(f"{part} of {call}", got, f"shape ({size},)"))
                found[number] = array
        # Weights that are no numbers end training as any others; a file can keep neither.
        if np.isfinite(found[0]).all() and not np.isfinite(found[1:]).all():
            number = int(np.argwhere(~np.isfinite(found))[0, 0])
            got = f"{found[number][~np.isfinite(found[number])][0]}"
            raise ValueError(_check.refusal(f"vector {number} of {call}", got, "finite numbers"))
        return found[0], found[1:]

    def _own_slots(self, dtype: np.dtype) -> int:
        return self.vectors

    def config(self) -> dict[str, Any]:
        taken = inspect.signature(type(self)).parameters
        own = {name: getattr(self, name) for name in taken if name in vars(self)}
        found = {**own, **super().config()}
        if not any(one.kind is one.VAR_KEYWORD for one in taken.values()):
            found = {name: setting for name, setting in found.items() if name in taken}
        return {**found, "name": self.name}


def _factors_of_each(spans: Sequence[Span], part: int, size: int) -> np.ndarray | None:
    """Those of each weight; None where all are 1."""
    factors = np.ones(size)
    for span in spans:
        factors[span[0] : span[1]] = span[part]
    return None if (factors == 1.0).all() else factors


def known_optimizer(config: Mapping[str, Any], custom: Mapping[str, Any]) -> NumpyOptimizer:
    """What a config describes that names an optimizer of somebody's own, of `custom` first."""
    settings = dict(config)
    name = settings.pop("name")
    kind = REGISTERED.find(name, custom)
    if not (isinstance(kind, type) and issubclass(kind, NumpyOptimizer)):
        expected = "a class derived from optimizers.NumpyOptimizer"
        raise TypeError(_check.refusal("optimizer", _check.shown(kind), expected))
    with REGISTERED.making(name, kind):
        return kind(**settings)


def refuse_unfit(optimizer: NumpyOptimizer) -> None:
    """Raises TypeError where a model could not be trained by it, or not be saved with it."""
    if "_rates" not in vars(optimizer):
        got = f"{type(optimizer).__name__}, whose __init__ does not call the one before it"
        expected = "super().__init__(learning_rate, **settings) in it"
        raise TypeError(_check.refusal("optimizer", got, expected))
    given = ("step", "learning_rate", "parameters", "gradients")
    vectors = [f"vector_{number}" for number in range(1, optimizer.vectors + 1)]
    refuse_other_methods("optimizer", optimizer, "update", [*given, *vectors])
    if optimizer.is_registered:
        refuse_lost_settings("optimizer", optimizer)
