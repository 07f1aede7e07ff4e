"""What all optimizers are, and what one remembers about a model."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, ClassVar

import numpy as np

from fastweights import _check, _dispatch, schedules
from fastweights._core import plan as _plan
from fastweights._sealed import Sealed
from fastweights.schedules import LearningRateSchedule, Scheduled

#: Parameters [begin, end) of the flat vector, and factors of learning rate and weight decay.
Span = tuple[int, int, float, float]


class Optimizer(Sealed):
    """Base of all optimizers.

    A subclass names its kernel and lists the numbers that the kernel wants. Settings are fixed but
    for the learning rate: models keep memory for the kernel that they chose.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
        Step size, at least 0.
    weight_decay : float or LearningRateSchedule, optional
        At least 0. Before its update each step takes ``learning_rate * weight_decay`` of every
        weight off it, apart from what the gradient does (Loshchilov & Hutter 2019).
    clipnorm : float, optional
        The gradient by each variable whose norm is larger is scaled down to it.
    clipvalue : float, optional
        No number of a gradient is beyond it, above or below 0.
    global_clipnorm : float, optional
        All gradients are scaled by one factor where their norm is larger. Of these three there may
        be one.
    use_ema : bool
        Whether to keep averages of the weights, ``a = ema_momentum * a + (1 - ema_momentum) * w``
        after each batch, from the weights after the first step on; `fit` ends with them as the
        weights.
    ema_momentum : float
        From 0 to 1.
    ema_overwrite_frequency : int, optional
        After so many steps each time the averages become the weights.
    gradient_accumulation_steps : int, optional
        How many batches make a step, at least 2: it goes by the mean of their gradients. The end of
        an epoch, or of a fit, makes none of those that are waiting. Schedules count batches.
    learning_rate_factors, weight_decay_factors : dict of str to float, optional
        What learning rate, and weight decay, are multiplied by for the weights whose names
        (``"dense/kernel"``), or layers' names, match a pattern of the shell: ``{"dense_1": 0.1,
        "*/bias": 2.0}``. Of several that match all count. One that matches nothing is an error.

    Attributes
    ----------
    iterations : int
        Steps made of the model that it trained last.

    Notes
    -----
    Keras's `name` and `loss_scale_factor`, which change nothing here, are no arguments.
    """

    #: Name of the compiled kernel.
    kernel: str
    #: How many of `numbers`, the last ones, run on from step to step.
    running: ClassVar[int] = 0
    #: Whether it goes wrong where a step does not see all rows.
    wants_all_rows: ClassVar[bool] = False
    #: Whether it looks at gradients of single rows.
    takes_rows_alone: ClassVar[bool] = False
    #: Whether another learning rate may be set.
    takes_rates: ClassVar[bool] = True
    _uncalled: ClassVar[dict[str, str]] = dict.fromkeys(
        ("update_step", "apply_gradients", "apply", "build", "get_config"),
        "sgd or adam with settings of your own, or a class derived from "
        "optimizers.NumpyOptimizer, of which each step calls update",
    )
    _fixed: ClassVar[dict[str, str]] = {"iterations": "is counted by steps"}

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule,
        *,
        weight_decay: float | LearningRateSchedule | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        gradient_accumulation_steps: int | None = None,
        learning_rate_factors: Mapping[str, float] | None = None,
        weight_decay_factors: Mapping[str, float] | None = None,
    ) -> None:
        #: How many batches there were of the model that was trained last, live.
        self._batches: np.ndarray | None = None
        self.weight_decay = (
            None if weight_decay is None else schedules.get("weight_decay", weight_decay)
        )
        self.learning_rate = learning_rate
        limits = {
            "clipnorm": clipnorm,
            "clipvalue": clipvalue,
            "global_clipnorm": global_clipnorm,
        }
        given = [name for name, limit in limits.items() if limit is not None]
        if len(given) > 1:
            raise ValueError(_check.refusal(given[1], f"a limit beside {given[0]}", "one of them"))
        for name in given:
            limits[name] = _check.number(name, limits[name], above=0.0)
        self.clipnorm, self.clipvalue, self.global_clipnorm = limits.values()
        self.use_ema = _check.flag("use_ema", use_ema)
        self.ema_momentum = _check.number("ema_momentum", ema_momentum, minimum=0.0, maximum=1.0)
        self.ema_overwrite_frequency = _count("ema_overwrite_frequency", ema_overwrite_frequency, 1)
        if not self.use_ema and (
            self.ema_momentum != 0.99 or self.ema_overwrite_frequency is not None
        ):
            got = f"{self.ema_momentum:g}, and ema_overwrite_frequency {ema_overwrite_frequency}"
            expected = "neither without use_ema=True"
            raise ValueError(_check.refusal("ema_momentum", got, expected))
        self.gradient_accumulation_steps = _count(
            "gradient_accumulation_steps", gradient_accumulation_steps, 2
        )
        self._learning_rate_factors = _factors("learning_rate_factors", learning_rate_factors)
        self._weight_decay_factors = _factors("weight_decay_factors", weight_decay_factors)
        if self._weight_decay_factors and self.weight_decay is None:
            expected = "none without weight_decay"
            got = _check.shown(self._weight_decay_factors)
            raise ValueError(_check.refusal("weight_decay_factors", got, expected))

    @property
    def learning_rate(self) -> float:
        """Step size; may be changed between and, by a callback, during fits.

        With a schedule it is that of the next step. A number, or another schedule, takes its place.
        """
        return _value(self._learning_rate, self._made())

    @learning_rate.setter
    def learning_rate(self, value: float | LearningRateSchedule) -> None:
        self._learning_rate = schedules.get("learning_rate", value)
        decay = 0.0 if self.weight_decay is None else self.weight_decay
        #: What the compiled loop goes by; another one whenever it is to change.
        self._rates = schedules.numbers_of(self._learning_rate), schedules.numbers_of(decay)

    @property
    def _given_rate(self) -> float | None:
        """The learning rate, where that is a number."""
        return None if self._follows_a_schedule else self.learning_rate

    @property
    def _follows_a_schedule(self) -> bool:
        return isinstance(self._learning_rate, LearningRateSchedule)

    def _no_rate(self) -> str | None:
        """Which rate of the next step is no finite number, in words."""
        for name, scheduled in (
            ("learning rate", self._learning_rate),
            ("weight decay", self.weight_decay or 0.0),
        ):
            if not math.isfinite(rate := _value(scheduled, self._made())):
                kind = type(scheduled).__name__
                return f"the {name} became {rate}, which is {kind}'s at step {self._made()}"
        return None

    def _made(self) -> int:
        """How many batches there were of the model that was trained last."""
        return 0 if self._batches is None else int(self._batches[0])

    @property
    def iterations(self) -> int:
        return self._made() // (self.gradient_accumulation_steps or 1)

    @property
    def learning_rate_factors(self) -> dict[str, float] | None:
        return dict(self._learning_rate_factors) or None

    @property
    def weight_decay_factors(self) -> dict[str, float] | None:
        return dict(self._weight_decay_factors) or None

    def exclude_from_weight_decay(
        self, var_list: None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Leaves weights out of weight decay, before any model is trained.

        Parameters
        ----------
        var_list : None
            Of Keras; weights have names here.
        var_names : sequence of str
            Parts of names such as ``"dense/bias"``, layers' names included (Keras looks at
            ``"bias"`` alone). Each must be a part of some; patterns go to `weight_decay_factors`.
        """
        call = "exclude_from_weight_decay"
        if var_list is not None:
            got, expected = _check.kind_of(var_list), "None, and var_names=['bias', 'gamma', ...]"
            raise TypeError(_check.refusal("var_list", got, expected))
        if isinstance(var_names, str) or not isinstance(var_names, (list, tuple, set, frozenset)):
            expected = "a list of parts of names"
            raise TypeError(_check.refusal("var_names", _check.shown(var_names), expected))
        if self.weight_decay is None:
            raise ValueError(_check.refusal(call, "no weight_decay", "some, to leave weights out"))
        if self._batches is not None:
            expected = "one before any model is trained; make a new optimizer"
            raise ValueError(_check.refusal(call, "a call after it", expected))
        excluded = {}
        for part in var_names:
            if set(_check.name("var_names", part)) & set("*?[]^$.+(){}|\\"):
                expected = "parts of names; patterns go to weight_decay_factors"
                raise ValueError(_check.refusal("var_names", _check.shown(part), expected))
            excluded[f"*{part}*"] = 0.0
        self._weight_decay_factors = {**self._weight_decay_factors, **excluded}

    def numbers(self) -> list[float]:
        """The kernel's numbers before the first step: learning rate, weight decay, its own."""
        decay = 0.0 if self.weight_decay is None else self.weight_decay
        return [_value(self._learning_rate, 0), _value(decay, 0)]

    def step_settings(self) -> dict[str, Any]:
        """What a plan wants to know of a step beside kernel and rates."""
        clipped = [
            (name, limit)
            for name in ("clipnorm", "clipvalue", "global_clipnorm")
            if (limit := getattr(self, name)) is not None
        ]
        averaging = (self.ema_momentum, self.ema_overwrite_frequency or 0)
        return {
            "clipping": clipped[0] if clipped else None,
            "accumulation": self.gradient_accumulation_steps or 0,
            "averaging": averaging if self.use_ema else None,
        }

    def spans(self, places: Iterable[tuple[str, int, int]]) -> list[Span]:
        """Stretches of the flat vector that have factors, of (name, begin, size) of each weight.

        Raises
        ------
        ValueError
            A pattern matches no name.
        """
        places = list(places)
        for argument, factors in self._all_factors().items():
            for pattern in factors:
                if not any(_matches(pattern, name) for name, _, _ in places):
                    if pattern.startswith("*") and factors[pattern] == 0.0:
                        argument += ", or var_names of exclude_from_weight_decay"
                    expected = f"a pattern of some of {', '.join(name for name, _, _ in places)}"
                    raise ValueError(_check.refusal(argument, _check.shown(pattern), expected))
        spans: list[Span] = []
        for name, begin, size in sorted(places, key=lambda place: place[1]):
            learning_rate, weight_decay = (
                _factor(factors, name) for factors in self._all_factors().values()
            )
            if size == 0 or learning_rate == weight_decay == 1.0:
                continue
            span = (begin, begin + size, learning_rate, weight_decay)
            if spans and spans[-1][1:] == (begin, learning_rate, weight_decay):
                span = (spans.pop()[0], *span[1:])
            spans.append(span)
        return spans

    def _all_factors(self) -> dict[str, dict[str, float]]:
        return {
            "learning_rate_factors": self._learning_rate_factors,
            "weight_decay_factors": self._weight_decay_factors,
        }

    def initial_state(self) -> tuple[float, ...]:
        """What each of the vectors that are remembered starts with; those beyond start with 0."""
        return ()

    def largest_running(self) -> list[float]:
        """What the numbers that run on are at most, whatever steps there were."""
        numbers = self.numbers()
        return numbers[len(numbers) - self.running :]

    def slots(self, dtype: np.dtype) -> int:
        """How many vectors of the parameters' size it keeps.

        They are those of its kernel, then the sums of gradients that wait for more batches, then
        the averages of weights.
        """
        accumulates = self.gradient_accumulation_steps is not None
        return self._own_slots(dtype) + accumulates + self.use_ema

    def _own_slots(self, dtype: np.dtype) -> int:
        return _plan.update_slots(_dispatch.kernels(dtype).table, self.kernel)

    def rule(
        self, spans: Sequence[Span], size: int, real: np.dtype
    ) -> tuple[Callable[..., Any], int] | None:
        """What a plan calls in place of a kernel, and how many vectors that has; None: nothing.

        It is for `size` weights, of which these stretches have factors.
        """
        return None

    def again(self) -> Optimizer:
        """Another one with the same settings."""
        return type(self)(**{k: v for k, v in self.config().items() if k != "name"})

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON can hold them."""
        return {
            "name": type(self).__name__,
            "learning_rate": schedules.config_of(self._learning_rate),
            "weight_decay": schedules.config_of(self.weight_decay),
            **{name: getattr(self, name) for name in _SETTINGS},
        }

    def __repr__(self) -> str:
        settings = {k: v for k, v in self.config().items() if k != "name"}
        for name, default in {"weight_decay": None, **_SETTINGS}.items():
            if name in settings and settings[name] == default:
                del settings[name]
        for name in ("learning_rate", "weight_decay"):
            if name in settings:
                settings[name] = getattr(self, name if name == "weight_decay" else "_learning_rate")
        arguments = ", ".join(f"{k}={v!r}" for k, v in settings.items())
        return f"{type(self).__name__}({arguments})"


#: Settings of all optimizers that files keep as they are, with their defaults.
_SETTINGS: dict[str, Any] = {
    "clipnorm": None,
    "clipvalue": None,
    "global_clipnorm": None,
    "use_ema": False,
    "ema_momentum": 0.99,
    "ema_overwrite_frequency": None,
    "gradient_accumulation_steps": None,
    "learning_rate_factors": None,
    "weight_decay_factors": None,
}


def _value(scheduled: Scheduled, batch: int) -> float:
    """A number, or that of a schedule at a batch."""
    return scheduled(batch) if isinstance(scheduled, LearningRateSchedule) else scheduled


def _count(argument: str, got: Any, minimum: int) -> int | None:
    return None if got is None else _check.whole(argument, got, minimum)


def _factors(argument: str, got: Any) -> dict[str, float]:
    """A factor for each pattern."""
    if got is None:
        return {}
    if not isinstance(got, Mapping):
        expected = "a dict of patterns of names and factors"
        raise TypeError(_check.refusal(argument, _check.kind_of(got), expected))
    return {
        _check.name(argument, pattern): _check.number(argument, factor, minimum=0.0)
        for pattern, factor in got.items()
    }


def _matches(pattern: str, name: str) -> bool:
    """Whether a pattern is one of a weight, by its own name or its layer's."""
    return fnmatchcase(name, pattern) or fnmatchcase(name.rpartition("/")[0], pattern)


def _factor(factors: Mapping[str, float], name: str) -> float:
    """The product of all that match."""
    product = 1.0
    for pattern, factor in factors.items():
        if _matches(pattern, name):
            product *= factor
    return product


class Memory:
    """What one optimizer remembers about one model.

    Parameters
    ----------
    vectors : ndarray (slots * parameters,)
        In the model's dtype, one vector after the other.
    numbers : ndarray of float64
        The kernel's numbers: learning rate, weight decay, its own.
    batches : ndarray (1,) of int64, optional
        How many there were; none by default.
    """

    def __init__(
        self, vectors: np.ndarray, numbers: np.ndarray, batches: np.ndarray | None = None
    ) -> None:
        self.vectors, self.numbers = vectors, numbers
        self.batches = np.zeros(1, np.int64) if batches is None else batches
        #: 1 while averages and weights are in each other's places.
        self.exchanged = np.zeros(1, np.uint8)

    @classmethod
    def empty(cls, optimizer: Optimizer, size: int, dtype: np.dtype) -> Memory:
        """That of a model of `size` parameters before the first step."""
        vectors = np.zeros(optimizer.slots(dtype) * size, dtype)
        starts = optimizer.initial_state()
        if not isinstance(starts, (tuple, list)):
            expected = "a tuple of a number for each vector"
            raise TypeError(_check.refusal("initial_state", _check.shown(starts), expected))
        for slot, start in enumerate(starts):
            vectors[slot * size : (slot + 1) * size] = start
        return cls(vectors, np.array(optimizer.numbers(), np.float64))

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All of it."""
        return self.vectors, self.numbers, self.batches

    def averages(self, size: int) -> np.ndarray:
        """Those of `size` weights, of an optimizer that keeps them."""
        return self.vectors[self.vectors.size - size :]
