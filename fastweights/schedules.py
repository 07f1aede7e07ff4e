"""Schedules: numbers that change from step to step, for learning rates, weight decay and dropout.

Any optimizer takes one as its `learning_rate` or `weight_decay`, and dropout layers as their
`rate`. The compiled loop asks it before every step; ``schedule(step)`` asks the same code.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NoReturn

from fastweights import _check
from fastweights._absent import refusal_of
from fastweights._core import plan as _plan
from fastweights._description import Description, of_library

__all__ = [
    "SCHEDULES",
    "Constant",
    "CosLog4",
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "LinearWarmup",
    "OneCycle",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "StepDecay",
    "get",
]


class LearningRateSchedule(Description):
    """Base of all schedules: ``schedule(step)`` is the number of a step, counted from 0.

    They are those of Keras, with its formulas in float64, and some more. Steps are those that an
    optimizer has made of a model, in all fits, each batch counting as one also where gradients of
    several are added up. Keras's `name`, which changes nothing, is no argument here.
    """

    _uncalled: ClassVar[dict[str, str]] = dict.fromkeys(
        ("__call__", "get_config"),
        "a schedule of this library, or a callback that sets model.optimizer.learning_rate",
    )

    def _compiled(self) -> tuple[float, ...]:
        """Kind and numbers, as compiled code wants them."""
        raise TypeError(
            _check.refusal("schedule", _check.kind_of(self), "one of those that there are")
        )

    def __call__(self, step: float) -> float:
        return compiled(self).at(_check.number("step", step, minimum=0.0))

    def _set_numbers(self, **numbers: float) -> None:
        """Takes settings that are numbers of at least 0."""
        self._set(**{name: _check.number(name, n, minimum=0.0) for name, n in numbers.items()})

    def _set_steps(self, name: str, steps: float) -> None:
        """Takes a setting that is a number of steps."""
        self._set(**{name: _check.number(name, steps, above=0.0)})


#: What stands where a number may change from step to step.
Scheduled = float | LearningRateSchedule


def _numbered(kind: str, *numbers: float) -> tuple[float, ...]:
    return (float(_plan.SCHEDULES[kind]), *map(float, numbers))


class Constant(LearningRateSchedule):
    """The same number at all steps.

    Parameters
    ----------
    value : float
        At least 0.
    """

    name = "Constant"
    value: float

    def __init__(self, value: float) -> None:
        self._set_numbers(value=value)

    def _compiled(self) -> tuple[float, ...]:
        return _numbered("constant", self.value)


class ExponentialDecay(LearningRateSchedule):
    """``initial_learning_rate * decay_rate ** (step / decay_steps)``.

    Parameters
    ----------
    initial_learning_rate : float
        At least 0.
    decay_steps : float
        Above 0.
    decay_rate : float
        At least 0.
    staircase : bool
        Whether the exponent is rounded down to a whole number.
    """

    name = "ExponentialDecay"

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
    ) -> None:
        self._set_numbers(initial_learning_rate=initial_learning_rate)
        self._set_steps("decay_steps", decay_steps)
        self._set_numbers(decay_rate=decay_rate)
        self._set(staircase=_check.flag("staircase", staircase))

    def _compiled(self) -> tuple[float, ...]:
        initial, steps, rate, staircase = vars(self).values()
        return _numbered("exponential", initial, steps, rate, staircase)


class StepDecay(LearningRateSchedule):
    """``initial_learning_rate * decay_rate ** floor(step / decay_steps)``.

    Parameters
    ----------
    initial_learning_rate : float
        At least 0.
    decay_steps : float
        After how many steps each time, above 0.
    decay_rate : float
        What it is multiplied by then, at least 0.
    """

    name = "StepDecay"

    def __init__(
        self, initial_learning_rate: float, decay_steps: float, decay_rate: float = 0.1
    ) -> None:
        self._set_numbers(initial_learning_rate=initial_learning_rate)
        self._set_steps("decay_steps", decay_steps)
        self._set_numbers(decay_rate=decay_rate)

    def _compiled(self) -> tuple[float, ...]:
        return _numbered("exponential", *vars(self).values(), True)


class PiecewiseConstantDecay(LearningRateSchedule):
    """``values[0]`` up to step ``boundaries[0]``, which it includes, then ``values[1]``, and so on.

    Parameters
    ----------
    boundaries : sequence of float
        Steps that increase; at least one.
    values : sequence of float
        One more than there are boundaries, each at least 0.
    """

    name = "PiecewiseConstantDecay"
    boundaries: tuple[float, ...]
    values: tuple[float, ...]

    def __init__(self, boundaries: Sequence[float], values: Sequence[float]) -> None:
        boundaries = _numbers("boundaries", boundaries)
        values = _numbers("values", values)
        if not boundaries or any(b <= a for a, b in itertools.pairwise(boundaries)):
            got = _check.shown(list(boundaries))
            raise ValueError(_check.refusal("boundaries", got, "steps that increase"))
        if len(values) != len(boundaries) + 1:
            got, expected = (
                f"{len(values)} numbers",
                f"{len(boundaries) + 1}, one more than boundaries",
            )
            raise ValueError(_check.refusal("values", got, expected))
        self._set(boundaries=boundaries, values=values)

    def _compiled(self) -> tuple[float, ...]:
        return _numbered("piecewise", len(self.boundaries), *self.boundaries, *self.values)


def _numbers(argument: str, got: Any) -> tuple[float, ...]:
    """Numbers of at least 0."""
    if isinstance(got, str) or not isinstance(got, Sequence):
        raise TypeError(_check.refusal(argument, _check.kind_of(got), "a list of numbers"))
    return tuple(_check.number(argument, number, minimum=0.0) for number in got)


class PolynomialDecay(LearningRateSchedule):
    """From `initial_learning_rate` to `end_learning_rate` by a power of the share that is left.

    ``(initial - end) * (1 - step / decay_steps) ** power + end`` up to `decay_steps`, `end` from
    then on; with `cycle` `decay_steps` is multiplied by the smallest whole number that makes it
    reach to the step.

    Parameters
    ----------
    initial_learning_rate : float
        At least 0.
    decay_steps : float
        Above 0.
    end_learning_rate : float
        At least 0.
    power : float
        At least 0.
    cycle : bool
    """

    name = "PolynomialDecay"

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
    ) -> None:
        self._set_numbers(initial_learning_rate=initial_learning_rate)
        self._set_steps("decay_steps", decay_steps)
        self._set_numbers(end_learning_rate=end_learning_rate, power=power)
        self._set(cycle=_check.flag("cycle", cycle))

    def _compiled(self) -> tuple[float, ...]:
        return _numbered("polynomial", *vars(self).values())


class InverseTimeDecay(LearningRateSchedule):
    """``initial_learning_rate / (1 + decay_rate * step / decay_steps)``.

    Parameters
    ----------
    initial_learning_rate : float
        At least 0.
    decay_steps : float
        Above 0.
    decay_rate : float
        At least 0.
    staircase : bool
        Whether ``step / decay_steps`` is rounded down to a whole number.
    """

    name = "InverseTimeDecay"

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
    ) -> None:
        self._set_numbers(initial_learning_rate=initial_learning_rate)
        self._set_steps("decay_steps", decay_steps)
        self._set_numbers(decay_rate=decay_rate)
        self._set(staircase=_check.flag("staircase", staircase))

    def _compiled(self) -> tuple[float, ...]:
        return _numbered("inverse_time", *vars(self).values())


class CosineDecay(LearningRateSchedule):
    """Half a cosine from `initial_learning_rate` to `alpha` times that.

    ``initial * ((1 - alpha) * (1 + cos(pi * step / decay_steps)) / 2 + alpha)`` up to
    `decay_steps`. With a `warmup_target` the number first goes in a line from the initial one to
    the target in `warmup_steps`, and the cosine begins there.

    Parameters
    ----------
    initial_learning_rate : float
        At least 0.
    decay_steps : float
        Of the cosine, above 0.
    alpha : float
        What is left at the end, as a share; at least 0.
    warmup_target : float, optional
        At least 0.
    warmup_steps : float
        At least 0; without a target there are none.

    References
    ----------
    I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts" (ICLR 2017).
    """

    name = "CosineDecay"
    warmup_steps: float

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        alpha: float = 0.0,
        warmup_target: float | None = None,
        warmup_steps: float = 0,
    ) -> None:
        self._set_numbers(initial_learning_rate=initial_learning_rate)
        self._set_steps("decay_steps", decay_steps)
        self._set_numbers(alpha=alpha)
        self._set(warmup_target=None)
        if warmup_target is not None:
            self._set_numbers(warmup_target=warmup_target)
        self._set_numbers(warmup_steps=warmup_steps)
        if warmup_target is None and self.warmup_steps > 0:
            got = f"{self.warmup_steps:g} without warmup_target"
            raise ValueError(_check.refusal("warmup_steps", got, "a target to warm up to"))

    def _compiled(self) -> tuple[float, ...]:
        initial, steps, alpha, target, warmup = vars(self).values()
        if target is None:
            return _numbered("cosine", initial, steps, alpha)
        cosine = _numbered("cosine", target, steps, alpha)
        return (*_numbered("warmup", warmup, initial), *cosine) if warmup > 0 else cosine


class CosineDecayRestarts(LearningRateSchedule):
    """Half cosines one after the other.

    The first is of `first_decay_steps`, each later one `t_mul` times as long as the one before and
    from `m_mul` times its height; what is left at the end of the first is `alpha`.

    Parameters
    ----------
    initial_learning_rate : float
        At least 0.
    first_decay_steps : float
        Above 0.
    t_mul : float
        At least 1.
    m_mul, alpha : float
        At least 0.

    References
    ----------
    I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts" (ICLR 2017).
    """

    name = "CosineDecayRestarts"

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: float,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
    ) -> None:
        self._set_numbers(initial_learning_rate=initial_learning_rate)
        self._set_steps("first_decay_steps", first_decay_steps)
        self._set(t_mul=_check.number("t_mul", t_mul, minimum=1.0))
        self._set_numbers(m_mul=m_mul, alpha=alpha)

    def _compiled(self) -> tuple[float, ...]:
        return _numbered("restarts", *vars(self).values())


class OneCycle(LearningRateSchedule):
    """Up to `max_learning_rate` and down to nearly nothing, as PyTorch's ``OneCycleLR``.

    The number begins at ``max_learning_rate / div_factor``, is highest at step
    ``pct_start * total_steps - 1`` and ends at ``1 / final_div_factor`` of where it began in step
    ``total_steps - 1``; with `three_phase` it comes down to its beginning as fast as it went up
    first. Momentum is not cycled.

    Parameters
    ----------
    max_learning_rate : float
        At least 0.
    total_steps : int
        At least 2.
    pct_start : float
        Share of the steps on the way up, from 0 to 1, and less than half with `three_phase`.
    anneal_strategy : {"cos", "linear"}
    div_factor, final_div_factor : float
        Above 0.
    three_phase : bool

    References
    ----------
    L. Smith, N. Topin, "Super-convergence: very fast training of neural networks using large
    learning rates" (2018).
    """

    name = "OneCycle"
    max_learning_rate: float
    total_steps: int
    pct_start: float
    anneal_strategy: str
    div_factor: float
    final_div_factor: float
    three_phase: bool

    def __init__(
        self,
        max_learning_rate: float,
        total_steps: int,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
    ) -> None:
        self._set_numbers(max_learning_rate=max_learning_rate)
        self._set(
            total_steps=_check.whole("total_steps", total_steps, 2),
            pct_start=_check.number("pct_start", pct_start, minimum=0.0, maximum=1.0),
        )
        _check.choice("anneal_strategy", anneal_strategy, {"cos": True, "linear": False})
        self._set(
            anneal_strategy=anneal_strategy,
            div_factor=_check.number("div_factor", div_factor, above=0.0),
            final_div_factor=_check.number("final_div_factor", final_div_factor, above=0.0),
            three_phase=_check.flag("three_phase", three_phase),
        )
        (_, first, _), *_, (_, _, last) = phases = self._phases()
        for argument, rate in (("div_factor", first), ("final_div_factor", last)):
            if not math.isfinite(rate):
                got, expected = f"{getattr(self, argument):g}", "one that leaves rates finite"
                raise ValueError(_check.refusal(argument, got, expected))
        ends = [0.0, *(phase[0] for phase in phases)]
        if any(b <= a for a, b in itertools.pairwise(ends)):
            got = f"{self.pct_start:g} of {self.total_steps} steps"
            raise ValueError(_check.refusal("pct_start", got, "phases of some steps each"))

    def _phases(self) -> list[tuple[float, float, float]]:
        """Of each its last step, and where it begins and ends."""
        highest, total = self.max_learning_rate, self.total_steps
        first = highest / self.div_factor
        last, up = first / self.final_div_factor, self.pct_start * total
        phases = [(up - 1.0, first, highest)]
        if self.three_phase:
            return [*phases, (2.0 * up - 2.0, highest, first), (total - 1.0, first, last)]
        return [*phases, (total - 1.0, highest, last)]

    def _compiled(self) -> tuple[float, ...]:
        phases = self._phases()
        numbers = [number for phase in phases for number in phase]
        return _numbered("phases", self.anneal_strategy == "cos", len(phases), *numbers)


class CosLog4(LearningRateSchedule):
    """Four cosines, each twice as long as the one before, of the same height.

    ``initial_learning_rate * (1 - cos(2 pi log2(1 + 15 t))) / 2``, where t goes from 0 to 1 in
    `decay_steps`: it begins and ends at 0.

    Parameters
    ----------
    initial_learning_rate : float
        The height, at least 0.
    decay_steps : float
        Above 0; 0 is the number of all steps after them.

    References
    ----------
    D. Holzmüller et al., "Better by default: strong pre-tuned MLPs and boosted trees on tabular
    data" (NeurIPS 2024).
    """

    name = "CosLog4"

    def __init__(self, initial_learning_rate: float, decay_steps: float) -> None:
        self._set_numbers(initial_learning_rate=initial_learning_rate)
        self._set_steps("decay_steps", decay_steps)

    def _compiled(self) -> tuple[float, ...]:
        return _numbered("logarithmic", *vars(self).values())


class LinearWarmup(LearningRateSchedule):
    """A line from `initial_learning_rate` to where another schedule begins, then that schedule.

    Parameters
    ----------
    schedule : LearningRateSchedule or float
        Any schedule but another `LinearWarmup`; its own steps count from the end of the line. A
        number is a constant.
    warmup_steps : float
        Above 0.
    initial_learning_rate : float
        At least 0.
    """

    name = "LinearWarmup"
    schedule: Scheduled
    warmup_steps: float
    initial_learning_rate: float

    def __init__(
        self,
        schedule: float | LearningRateSchedule | Mapping[str, Any],
        warmup_steps: float,
        initial_learning_rate: float = 0.0,
    ) -> None:
        found = get("schedule", schedule)
        if isinstance(found, LinearWarmup):
            got, expected = "another LinearWarmup", "what follows a warm-up"
            raise ValueError(_check.refusal("schedule", got, expected))
        self._set(schedule=found)
        self._set_steps("warmup_steps", warmup_steps)
        self._set_numbers(initial_learning_rate=initial_learning_rate)

    def config(self) -> dict[str, Any]:
        return {**super().config(), "schedule": config_of(self.schedule)}

    def _compiled(self) -> tuple[float, ...]:
        begun = _numbered("warmup", self.warmup_steps, self.initial_learning_rate)
        return (*begun, *numbers_of(self.schedule))


#: Every schedule by its name.
SCHEDULES: dict[str, type[LearningRateSchedule]] = {
    kind.name: kind
    for kind in (
        Constant,
        ExponentialDecay,
        StepDecay,
        PiecewiseConstantDecay,
        PolynomialDecay,
        InverseTimeDecay,
        CosineDecay,
        CosineDecayRestarts,
        OneCycle,
        CosLog4,
        LinearWarmup,
    )
}


def get(argument: str, identifier: Any, **bounds: float) -> Scheduled:
    """A schedule from itself or its `config`, or a number within bounds, 0 at least."""
    if isinstance(identifier, LearningRateSchedule):
        return of_library(argument, identifier, SCHEDULES)
    if isinstance(identifier, Mapping):
        settings = dict(identifier)
        kind = _check.choice(f"{argument}['name']", settings.pop("name", None), SCHEDULES)
        return kind(**settings)
    return _check.number(argument, identifier, **{"minimum": 0.0, **bounds})


def config_of(scheduled: Scheduled | None) -> Any:
    """What `get` turns back, as JSON can hold it."""
    return scheduled.config() if isinstance(scheduled, LearningRateSchedule) else scheduled


def numbers_of(scheduled: Scheduled) -> tuple[float, ...]:
    """Kind and numbers, as compiled code wants them."""
    if isinstance(scheduled, LearningRateSchedule):
        return scheduled._compiled()
    return _numbered("constant", scheduled)


def compiled(scheduled: Scheduled) -> _plan.Schedule:
    """What the compiled loop asks."""
    return _plan.Schedule(numbers_of(scheduled))


def __getattr__(name: str) -> NoReturn:
    raise refusal_of(__name__, name)
