"""Try many settings of a network on a CSV table or on images by class, and train the best again:
it is reported on and written as 'fastweights train' would.

All networks learn from the same rows and begin with the same seed. The trials are in a file beside
the model; with the same options a sweep that was interrupted goes on from it.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import math
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

import fastweights as fw
from fastweights import _check
from fastweights._trials import SweepResults
from fastweights.cli import checkpoints, runs
from fastweights.cli.fitting import class_weight, listeners_of
from fastweights.cli.kinds import Data, Kind
from fastweights.cli.modelfile import KINDS, kind_meant
from fastweights.cli.options import add_training, check_options, check_settings, refuse_idle_options
from fastweights.cli.output import Output, add_option, check_writable
from fastweights.cli.train import learn

#: What may be tried, of options that do not change the rows.
TRIED = (
    "layers", "activation", "loss", "dropout", "l2", "optimizer", "learning_rate", "momentum",
    "schedule", "batch_size", "epochs", "patience", "augment",
)  # fmt: skip
_WHOLE = ("batch_size", "epochs", "patience")
_NUMBERS = ("dropout", "l2", "learning_rate", "momentum", *_WHOLE)
_RANGE = re.compile(r"\s*(\S+?)\s*\.\.\s*(\S+)\s*")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``fastweights sweep``."""
    results = add_training(parser)
    parser.set_defaults(ensemble=None)  # trials are single networks
    group = parser.add_argument_group("trials")
    group.add_argument(
        "--try",
        dest="tried",
        action="append",
        metavar="OPTION=VALUES",
        help="values of an option of 'fastweights train', apart by semicolons: 'layers=64,32;128'; "
        "or of numbers a range that they are drawn from, 'learning-rate=1e-4..1e-2', evenly in "
        f"their logarithm where it begins above 0; of {', '.join(map(_spelt, TRIED))}",
    )
    add_option(
        group,
        "--trials",
        "how many to draw; default: 20, of lists alone all combinations",
        kind=int,
        metavar="N",
    )
    add_option(
        group,
        "--jobs",
        "how many trials at a time, each in one thread; default: as many as threads",
        kind=int,
        metavar="N",
    )
    add_option(
        results,
        "--results",
        "the trials, a line of JSON each (default: beside the model, model.sweep.jsonl)",
        metavar="FILE",
    )


def run(args: argparse.Namespace) -> int:
    """Runs ``fastweights sweep``."""
    output = Output(args)
    told = _like_train(args)
    space = _space(args.tried)
    kind = kind_meant(args)
    path = args.results or str(Path(args.out).with_suffix(".sweep.jsonl"))
    _check_own_options(args, path)
    check_options(args, kind)
    runs.refuse_to_overwrite(told)
    for params in _corners(space):
        settings = _with(told, params, kind)
        check_settings(settings, kind)
        kind.check_options(settings)
    if args.threads is not None:
        fw.set_num_threads(args.threads)
    data = kind.prepare(args, output)
    refuse_idle_options(told, data, kind)
    belongs_to = checkpoints.identity(runs.learnt_from(told), data)
    results = _swept(args, told, kind, data, space, path, belongs_to)
    output.say(f"\n{results}\n")
    chosen = results.best
    best = argparse.Namespace(**{**vars(told), **chosen["params"]})
    best.resume = checkpoints.is_one(checkpoints.path_of(best.out, best.checkpoint))
    output.say(f"best: trial {chosen['trial']}, trained again; trials: {path}")
    about = {
        "results": path,
        "trials": len(results),
        "trial": chosen["trial"],
        "params": chosen["params"],
        "score": chosen["score"],
        "monitor": chosen["monitor"],
    }
    return learn(_with(best, {}, kind), best, kind, data, output, about)


def _like_train(told: argparse.Namespace) -> argparse.Namespace:
    """The options as 'fastweights train' has them."""
    own = ("tried", "trials", "jobs", "results")
    shared = {name: value for name, value in vars(told).items() if name not in own}
    return argparse.Namespace(**shared, plot=None, resume=False, checkpoint=None)


def _with(told: argparse.Namespace, params: dict[str, Any], kind: Kind) -> argparse.Namespace:
    """The options, with others in their place, and defaults for those that were not given."""
    settings = argparse.Namespace(**{**vars(told), **params})
    kind.settle(settings, KINDS)
    return settings


def _check_own_options(args: argparse.Namespace, path: str) -> None:
    others = [args.data, args.out, runs.beside(args.out), *([args.config] if args.config else [])]
    check_writable("--results", path, others)
    for name in ("trials", "jobs"):
        if getattr(args, name) is not None:
            _check.whole(f"--{name}", getattr(args, name), 1)


def _swept(
    args: argparse.Namespace,
    told: argparse.Namespace,
    kind: Kind,
    data: Data,
    space: dict[str, Any],
    path: str,
    belongs_to: str,
) -> SweepResults:
    """All trials, those that the file has and others.

    Their seeds, which the file has too, are of the options and the rows: it is no other sweep's.
    """
    held_out = data.validating()
    if held_out is None:
        got, expected = "no rows to compare trials by", "it above 0"
        raise ValueError(_check.refusal("--validation-fraction", got, expected))
    monitor = _monitor(args, kind, data)

    def built(**params: Any) -> tuple[fw.Model, dict[str, Any]]:
        settings = _with(told, params, kind)
        settings.metrics = _with_score(settings, data)
        (model,), plan = kind.build(settings, data)
        return model, {
            "batch_size": plan.batch_size,
            "epochs": plan.epochs,
            "callbacks": listeners_of(plan),
        }

    drawn = any(not isinstance(values, list) for values in space.values())
    with contextlib.redirect_stdout(sys.stderr):
        return fw.sweep(
            built,
            space,
            *data.learnable(data.train),
            n_trials=args.trials or (20 if drawn else None),
            validation_data=held_out,
            class_weight=class_weight(args.class_weight, data.preprocessor.target),
            sample_weight=data.training_weights(),
            monitor=monitor,
            seed=int(hashlib.sha256(belongs_to.encode()).hexdigest()[:12], 16),
            path=path,
            n_jobs=args.jobs,
            verbose=0 if args.quiet else "auto",
        )


def _score(data: Data) -> str:
    """The metric that trials are compared by: not the loss, which penalties are part of."""
    is_regression = data.preprocessor.target.task == "regression"
    return "mean_absolute_error" if is_regression else "sparse_categorical_crossentropy"


def _with_score(args: argparse.Namespace, data: Data) -> str:
    return ",".join(filter(None, (_score(data), args.metrics)))


def _monitor(args: argparse.Namespace, kind: Kind, data: Data) -> str:
    """The figure that trials are compared by: what ``--early-stopping`` names, or that metric."""
    if args.early_stopping in (None, "loss"):
        return f"val_{_score(data)}"
    monitor = kind.build(args, data)[1].monitor
    assert monitor is not None
    return monitor


# ---- what is tried -------------------------------------------------------------------------------


def _spelt(name: str) -> str:
    return name.replace("_", "-")


def _space(tried: list[str] | None) -> dict[str, Any]:
    """What ``--try`` says: for each option a list, or what draws a number."""
    if not tried:
        raise ValueError("the following arguments are required: --try")
    space: dict[str, Any] = {}
    for spec in tried:
        name, equals, values = spec.partition("=")
        name = name.strip().removeprefix("--")
        if not equals or not values.strip():
            expected = "OPTION=VALUES, such as layers=64,32;128"
            raise ValueError(_check.refusal("--try", repr(spec), expected))
        _check.choice("--try", name.replace("_", "-"), dict.fromkeys(map(_spelt, TRIED)))
        key = name.replace("-", "_")
        if key in space:
            raise ValueError(_check.refusal("--try", f"{name} twice", "each option once"))
        space[key] = _values_of(key, values)
    return space


def _values_of(name: str, text: str) -> Any:
    found = _RANGE.fullmatch(text)
    if found and name in _NUMBERS:
        low, high = (_one(name, end) for end in found.groups())
        if not low < high:
            raise ValueError(_check.refusal(f"--try {_spelt(name)}", repr(text), "low..high"))
        return _Range(low, high, is_whole=name in _WHOLE)
    return [_one(name, value.strip()) for value in text.split(";")]


def _one(name: str, text: str) -> Any:
    if name not in _NUMBERS:
        return text
    try:
        value = int(text) if name in _WHOLE else float(text)
        if math.isfinite(value):
            return value
    except ValueError:
        pass
    expected = "whole numbers" if name in _WHOLE else "numbers"
    raise ValueError(_check.refusal(f"--try {_spelt(name)}", repr(text), expected))


class _Range:
    """Draws numbers from `low` to `high`, evenly in their logarithm where `low` is above 0."""

    def __init__(self, low: float, high: float, is_whole: bool) -> None:
        self.low, self.high, self.is_whole = low, high, is_whole

    def __call__(self, random: np.random.Generator) -> float:
        if self.low > 0:
            drawn = math.exp(random.uniform(math.log(self.low), math.log(self.high)))
        else:
            drawn = random.uniform(self.low, self.high)
        # In few digits, as a person would say it.
        drawn = min(max(float(f"{drawn:.4g}"), self.low), self.high)
        return round(drawn) if self.is_whole else float(drawn)


def _corners(space: dict[str, Any]) -> list[dict[str, Any]]:
    """Settings by which it is seen before the work that values will do, those that do alone."""
    found = []
    for name, values in space.items():
        if name in ("momentum", "schedule", "optimizer"):
            continue
        several = [values.low, values.high] if isinstance(values, _Range) else values
        found += [{name: value} for value in several]
    return found
