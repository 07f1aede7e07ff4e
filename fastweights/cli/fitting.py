"""The fit of ``train``: one network or several, until the best epoch is found or Ctrl-C says so."""

from __future__ import annotations

import argparse
import csv
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import fastweights as fw
from fastweights import _check, callbacks
from fastweights._core import philox
from fastweights._json import shown
from fastweights.callbacks import format_logs
from fastweights.cli import checkpoints, judging
from fastweights.cli.kinds import Data, Kind
from fastweights.cli.output import count, naming_options, note
from fastweights.cli.progress import MemberLines, progress
from fastweights.cli.stepping import optimizer_of, sees_all_rows
from fastweights.table.fitting import Best, Trained
from fastweights.table.targets import ClassTarget, NumberTarget

#: Rows a step, unless they are said or all.
BATCH_SIZE = 32


@dataclass(frozen=True)
class Plan:
    """What the networks of a training have in common."""

    data: Data
    batch_size: int
    epochs: int
    #: A figure of the history, and how many epochs may bring none that is better; None: the last
    #: epoch is the one.
    monitor: str | None
    patience: int
    class_weight: Any


def build(
    args: argparse.Namespace,
    kind: Kind,
    data: Data,
    network: Callable[[argparse.Namespace, Data], fw.Sequential],
) -> tuple[list[fw.Sequential], Plan]:
    """The networks that the arguments describe, compiled, and how they are to be fitted."""
    rows = len(data.train)
    unless_said = rows if sees_all_rows(optimizer_of(args, kind.rate_factor, None)) else BATCH_SIZE
    batch_size = args.batch_size or unless_said
    steps = args.epochs * math.ceil(rows / batch_size)
    stops = bool(len(data.validation) and args.patience)
    models, monitor = [], "val_loss"
    for number in range(args.ensemble or 1):
        seed = (args.seed + number) % (philox.MAX_SEED + 1)
        model = network(argparse.Namespace(**{**vars(args), "seed": seed}), data)
        monitor = _compile(args, model, optimizer_of(args, kind.rate_factor, steps), data)
        models.append(model)
    weight = class_weight(args.class_weight, data.preprocessor.target)
    watching = monitor if stops else None
    plan = Plan(data, batch_size, args.epochs, watching, args.patience, weight)
    _refuse_lost_averages(models[0], plan)
    return models, plan


def _compile(
    args: argparse.Namespace,
    model: fw.Sequential,
    optimizer: fw.optimizers.Optimizer,
    data: Data,
) -> str:
    """Compiles a network; returns the key of the history that says when to stop."""
    is_regression = data.preprocessor.target.task == "regression"
    loss = args.loss or "mean_absolute_error"
    loss = loss if is_regression else "sparse_categorical_crossentropy"
    shown_too = judging.metrics_of("--metrics", args.metrics, loss)
    watched = watched_of(args)
    found = judging.metrics_of("--early-stopping", watched, loss)
    if len(found) > 1:
        raise ValueError(_check.refusal("--early-stopping", watched, "one metric"))
    extra = [one for one in found if one not in shown_too]
    with naming_options("metrics", "loss", "optimizer"):
        model.compile(optimizer, loss, metrics=[*shown_too, *extra])
    if not found:
        return "val_loss"
    place = [*shown_too, *extra].index(found[0])
    return f"val_{model._compiled.log_names[1 + place]}"


def watched_of(args: argparse.Namespace) -> str | None:
    """The metric that ``--early-stopping`` names; None: the loss."""
    watched: str | None = args.early_stopping
    if watched is not None and watched.startswith("val_"):
        got = shown(watched)
        expected = f"{watched.removeprefix('val_')}, which is that of the validation rows"
        raise ValueError(_check.refusal("--early-stopping", got, expected))
    return None if watched == "loss" else watched


def options_of_targets(args: argparse.Namespace) -> str:
    """The options that a refusal of targets is about."""
    asked = [n for n in ("loss", "metrics", "early_stopping") if getattr(args, n) is not None]
    return " or ".join(f"--{name.replace('_', '-')}" for name in asked) or "target"


def _refuse_lost_averages(model: fw.Sequential, plan: Plan) -> None:
    """Raises ValueError for averages of the weights that going back to an epoch would undo."""
    optimizer: Any = model.optimizer
    if plan.monitor and optimizer.use_ema and optimizer.ema_overwrite_frequency is None:
        got = "use_ema=true, whose averages going back to the best epoch would undo"
        expected = "ema_overwrite_frequency=STEPS in it, or --patience 0 beside it"
        raise ValueError(_check.refusal("--optimizer", got, expected))


def class_weight(spec: str | None, target: NumberTarget | ClassTarget) -> Any:
    """What ``--class-weight`` says, as `Model.fit` takes it."""
    if spec is None:
        return None
    if not isinstance(target, ClassTarget):
        got = f"{spec} for {shown(target.name)}, which is a number"
        raise ValueError(_check.refusal("--class-weight", got, "a target of classes"))
    if spec == "balanced":
        return spec
    weights: dict[int, float] = {}
    places = {name: place for place, name in enumerate(target.classes)}
    for entry in next(csv.reader([spec], skipinitialspace=True), []):
        name, equals, number = entry.rpartition("=")
        try:
            weight = float(number)
        except ValueError:
            weight = math.nan
        if not equals or not math.isfinite(weight) or weight < 0:
            expected = "balanced, or CLASS=WEIGHT,... with weights of at least 0"
            raise ValueError(_check.refusal("--class-weight", shown(spec), expected))
        place = _check.choice("--class-weight", name, places)
        if place in weights:
            raise ValueError(_check.refusal("--class-weight", f"{name} twice", "each class once"))
        weights[place] = weight
    return weights


# ---- the fit -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Training:
    """What a fit was like; of several networks the history is the first one's."""

    history: dict[str, list[Any]]
    best_epoch: int
    seconds: float
    parameters: int
    interrupted: bool
    #: Of all networks.
    histories: list[dict[str, list[Any]]]
    best_epochs: list[int]
    #: How many networks there are, and how many epochs and which were run and kept of each.
    members: list[dict[str, Any]] = field(default_factory=list)
    #: What was decided in the fit, in words.
    remarks: Sequence[str] = ()

    @classmethod
    def of(
        cls,
        trained: Sequence[Trained],
        seconds: float,
        parameters: int,
        interrupted: bool,
        remarks: Sequence[str] = (),
    ) -> Training:
        """That of these networks."""
        members = [
            {"epochs": len(one.history["loss"]), "best_epoch": one.best_epoch + 1}
            for one in trained
        ]
        first = trained[0]
        several = members if len(members) > 1 else []
        return cls(
            first.history,
            first.best_epoch,
            seconds,
            parameters,
            interrupted,
            [one.history for one in trained],
            [one.best_epoch for one in trained],
            several,
            remarks,
        )

    @property
    def epochs(self) -> int:
        """How many epochs were run."""
        return len(self.history["loss"])

    def summary(self) -> str:
        """The fit in words."""
        kept = format_logs({key: values[self.best_epoch] for key, values in self.history.items()})
        if self.members:
            epochs = [member["epochs"] for member in self.members]
            return (
                f"{len(self.members)} networks of {self.parameters:,} parameters trained for "
                f"{min(epochs):,} to {max(epochs):,} epochs in {self.seconds:.1f} s"
            )
        return (
            f"{self.parameters:,} parameters trained for {count(self.epochs, 'epoch')} in "
            f"{self.seconds:.1f} s; kept epoch {self.best_epoch + 1}: {kept}"
        )

    def figures(self) -> dict[str, Any]:
        """What ``--json`` tells about the fit."""
        best = {key: values[self.best_epoch] for key, values in self.history.items()}
        return {
            "epochs": self.epochs,
            "interrupted": self.interrupted,
            "best_epoch": self.best_epoch + 1,
            "seconds": self.seconds,
            "parameters": self.parameters,
            **({"members": self.members} if self.members else {}),
            **{k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in best.items()},
        }


def fit(
    args: argparse.Namespace, models: Sequence[fw.Sequential], plan: Plan, belongs_to: str
) -> Training:
    """Trains the networks, stopping early where validation rows or Ctrl-C say so."""
    bests = [Best(plan.monitor) for _ in models]
    began = time.perf_counter()
    interrupted = False
    run: Callable[..., None] = _fit_one if len(models) == 1 else _fit_many
    try:
        spelt = options_of_targets(args)
        with naming_options("batch_size", "optimizer", "loss", monitor="--early-stopping", y=spelt):
            run(args, models, plan, bests, belongs_to)
    except KeyboardInterrupt:
        if not all(best.is_there for best in bests):
            raise
        interrupted = True
        note("interrupted: going on with what was learnt so far (Ctrl-C again ends at once)")
    seconds = time.perf_counter() - began
    trained = [best.bring_back(interrupted) for best in bests]
    return Training.of(trained, seconds, models[0].count_params(), interrupted)


def listeners_of(plan: Plan, best: Best | None = None) -> list[callbacks.Callback]:
    """What keeps the best epoch, and ends a fit that has none that is better for a while."""
    found: list[callbacks.Callback] = [] if best is None else [best]
    if plan.monitor is not None:
        found.append(callbacks.EarlyStopping(plan.monitor, patience=plan.patience))
    return found


def _fit_one(
    args: argparse.Namespace,
    models: Sequence[fw.Sequential],
    plan: Plan,
    bests: Sequence[Best],
    belongs_to: str,
) -> None:
    path = checkpoints.path_of(args.out, args.checkpoint)
    data = plan.data
    models[0].fit(
        *data.learnable(data.train),
        batch_size=plan.batch_size,
        epochs=plan.epochs,
        verbose=0,
        callbacks=[
            *listeners_of(plan, bests[0]),
            *([] if args.quiet else [progress()]),
            checkpoints.Checkpoint(path, belongs_to),
        ],
        validation_data=data.validating(),
        class_weight=plan.class_weight,
        sample_weight=data.training_weights(),
        resume=checkpoints.found(path, belongs_to) if args.resume else None,
    )


def _fit_many(
    args: argparse.Namespace,
    models: Sequence[fw.Sequential],
    plan: Plan,
    bests: Sequence[Best],
    belongs_to: str,
) -> None:
    data, lock = plan.data, threading.Lock()
    fw.fit_many(
        models,
        *data.learnable(data.train),
        batch_size=plan.batch_size,
        epochs=plan.epochs,
        verbose=0,
        callbacks=[
            [
                *listeners_of(plan, best),
                *([] if args.quiet else [MemberLines(number, len(models), lock)]),
            ]
            for number, best in enumerate(bests)
        ],
        validation_data=data.validating(),
        class_weight=plan.class_weight,
        sample_weight=data.training_weights(),
    )
