"""How the weights move: what ``--optimizer`` and ``--schedule`` spell."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from typing import Any

from fastweights import _check, optimizers, schedules
from fastweights.cli.calls import Call, Share, call_of, kind_of, made, parameters
from fastweights.cli.output import add_option
from fastweights.optimizers import Minimizer, Optimizer

#: Every optimizer by the name of its class.
_OPTIMIZERS: dict[str, Any] = {kind.__name__: kind for kind in optimizers.OPTIMIZERS.values()}
#: Settings of schedules that, unless they are given, are the learning rate or all steps.
_HEIGHTS = ("initial_learning_rate", "max_learning_rate", "value")
_LENGTHS = ("decay_steps", "first_decay_steps", "total_steps")
_STEPS = (*_LENGTHS, "warmup_steps", "boundaries")
MOMENTUM = 0.9


def add_options(group: Any) -> None:
    """Adds the options that say how the weights move."""
    add_option(
        group,
        "--optimizer",
        "how gradients move the weights, with settings of its own if any, such as "
        f"'adamw(weight_decay=0.01)': one of {', '.join(optimizers.OPTIMIZERS)}",
        "adam",
        metavar="SPEC",
    )
    add_option(
        group,
        "--learning-rate",
        "default: of adam by the preset, else the optimizer's own, such as 0.01 of sgd; of images "
        "twice its own",
        kind=float,
        metavar="RATE",
    )
    add_option(group, "--momentum", "of sgd; default: 0.9", kind=float, metavar="SHARE")
    names = ", ".join(schedules.SCHEDULES)
    add_option(
        group,
        "--schedule",
        "how the learning rate changes from step to step, such as "
        "'LinearWarmup(schedule=CosineDecay, warmup_steps=5%%)': it begins, or is highest, at "
        "--learning-rate, and takes all steps of the training unless it says how many, or which "
        f"share; one of {names}; default: by the preset, a line up and a cosine to 0; "
        "of images CosineDecay(alpha=0.01)",
        metavar="SPEC",
    )


def optimizer_of(args: argparse.Namespace, rate_factor: float, steps: int | None) -> Optimizer:
    """The optimizer that the arguments describe, for a training of so many steps at most.

    As long as it is not known how many, None, numbers stand for schedules. An optimizer's own
    learning rate, unless one is given, is multiplied by `rate_factor`.
    """
    call = call_of("--optimizer", args.optimizer)
    maker = kind_of("--optimizer", call, _OPTIMIZERS)
    known, settings = parameters(maker), dict(call.settings)
    if rate := next((name for name in ("learning_rate", "lr") if name in settings), None):
        got, expected = f"{rate} in it", "--learning-rate beside it"
        raise ValueError(_check.refusal("--optimizer", got, expected))
    settings.update(_momentum(args, maker, known, settings))
    for name, value in settings.items():
        if isinstance(value, (Call, Share)):
            settings[name] = _schedule(f"--optimizer: {name}", value, None, steps)
    if "learning_rate" in known:
        settings["learning_rate"] = _learning_rate(args, maker, rate_factor, steps)
    else:
        for option in ("learning_rate", "schedule"):
            if getattr(args, option) is not None:
                got, expected = f"it for {call.name}", "an optimizer that has a learning rate"
                spelt = f"--{option.replace('_', '-')}"
                raise ValueError(_check.refusal(spelt, got, expected))
    return made("--optimizer", Call(call.name, settings), maker)


def follows_a_schedule(args: argparse.Namespace) -> bool:
    """Whether the optimizer that the arguments name moves by a learning rate that may change."""
    maker = kind_of("--optimizer", call_of("--optimizer", args.optimizer), _OPTIMIZERS)
    return "learning_rate" in parameters(maker) and not issubclass(maker, Minimizer)


def sees_all_rows(optimizer: Optimizer) -> bool:
    """Whether its steps are made of all rows."""
    return optimizer.wants_all_rows or isinstance(optimizer, Minimizer)


def _momentum(
    args: argparse.Namespace, maker: Any, known: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, float]:
    """The setting that ``--momentum``, or the lack of it, adds."""
    if args.momentum is None:
        is_set = maker is not optimizers.SGD or "momentum" in settings
        return {} if is_set else {"momentum": MOMENTUM}
    got = f"{args.momentum:g}"
    if "momentum" not in known:
        raise ValueError(_check.refusal("--momentum", got, "--optimizer sgd beside it"))
    if "momentum" in settings:
        expected = "it there or in --optimizer, not twice"
        raise ValueError(_check.refusal("--momentum", got, expected))
    return {"momentum": _check.number("--momentum", args.momentum, minimum=0.0, below=1.0)}


def _learning_rate(
    args: argparse.Namespace, maker: Any, rate_factor: float, steps: int | None
) -> Any:
    """A number, or the schedule that begins with it."""
    rate = args.learning_rate
    if rate is None:
        rate = parameters(maker)["learning_rate"].default * rate_factor
    _check.number("--learning-rate", rate, above=0.0)
    if args.schedule is None:
        return rate
    if issubclass(maker, Minimizer):
        got, expected = f"it for {args.optimizer}", "an optimizer that follows one"
        raise ValueError(_check.refusal("--schedule", got, expected))
    return _schedule("--schedule", call_of("--schedule", args.schedule), rate, steps)


def _schedule(
    option: str, given: Call | Share | float, rate: float | None, steps: float | None
) -> schedules.Scheduled:
    """The schedule of a call: `rate` high and `steps` long where it does not say it itself."""
    if isinstance(given, Share):
        raise ValueError(_check.refusal(option, "a share of all steps", "a number or a schedule"))
    if not isinstance(given, Call):
        return given
    maker = kind_of(option, given, schedules.SCHEDULES)
    for name in _STEPS:
        _refuse_other_shares(option, name, given.settings.get(name))
    if steps is None:
        return 1.0
    settings = {
        name: _in_steps(value, steps) if name in _STEPS else value
        for name, value in given.settings.items()
    }
    left = steps
    if isinstance(settings.get("warmup_steps"), (int, float)):
        left = max(steps - settings["warmup_steps"], 1)
    own = parameters(maker)
    lacking = [n for n, one in own.items() if one.default is one.empty and n not in settings]
    for name in lacking:
        if rate is not None and name in _HEIGHTS:
            settings[name] = rate
        elif name in _LENGTHS and maker is not schedules.StepDecay:
            settings[name] = left
        elif rate is not None and name == "schedule":
            settings[name] = rate
        else:
            expected = f"{given.name}({name}=...)"
            raise ValueError(_check.refusal(option, f"{given.name} without {name}", expected))
    if isinstance(settings.get("schedule"), str):
        settings["schedule"] = call_of(option, settings["schedule"])
    if isinstance(settings.get("schedule"), Call):
        settings["schedule"] = _schedule(option, settings["schedule"], rate, left)
    return made(option, Call(given.name, settings), maker)


def _refuse_other_shares(option: str, name: str, value: Any) -> None:
    """Raises ValueError for shares of all steps that are none, or more than all."""
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, Share) and not 0.0 < one.value <= 1.0:
            got, expected = f"{name}={100 * one.value:.6g}%", "above 0% and at most 100%"
            raise ValueError(_check.refusal(option, got, expected))


def _in_steps(value: Any, steps: float) -> Any:
    """Steps, of those or of a share of all."""
    if isinstance(value, list):
        return [_in_steps(one, steps) for one in value]
    return max(1, math.floor(value.value * steps + 0.5)) if isinstance(value, Share) else value
