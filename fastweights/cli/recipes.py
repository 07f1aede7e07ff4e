"""The recipe that the options of ``train`` say."""

from __future__ import annotations

import argparse
import functools
from typing import Any

from fastweights import _check, losses
from fastweights._json import shown
from fastweights.cli import judging
from fastweights.cli.fitting import class_weight, watched_of
from fastweights.cli.layers_spec import parse_layers
from fastweights.cli.output import Group, add_option, naming_options
from fastweights.cli.parting import folds_of
from fastweights.cli.stepping import follows_a_schedule, optimizer_of, sees_all_rows
from fastweights.table import Recipe, recipe_for
from fastweights.table.recipe import LOSSES, MIN_ROWS
from fastweights.table.targets import ClassTarget, NumberTarget

#: Choices that are options of the same name, and say nothing else.
NAMED = (
    "linear", "linear_gain", "variety", "scale_rate", "warmup", "bins",
    "min_category_rows", "max_categories", "category_numbers", "target_means",
)  # fmt: skip
#: The losses that a regression may choose from, by all names that they have.
LOSS_NAMES = {
    name: own
    for name, kind in losses.LOSSES.items()
    for own, known in ((one, losses.LOSSES[one]) for one in LOSSES)
    if kind is known
}


def add_choices(group: Group) -> None:
    """Adds the options that are choices of a recipe of the same name."""
    group.add_argument(
        "--linear",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="a linear path beside the hidden layers; default: by the preset, which of a "
        "regression on few rows trains networks of both kinds and keeps the better one",
    )
    add_option(
        group,
        "--variety",
        "activations of other networks, which take turns with that of the first (default: by the "
        "preset)",
        metavar="NAME,...",
    )
    option = functools.partial(add_option, group, metavar="N", kind=int)
    option("--bins", "quantile bins that columns of numbers have features of (default: 32)")
    option("--min-category-rows", "of a category that has a feature of its own (default: 10)")
    option("--max-categories", "of a column that have a feature each (default: 200)")
    option(
        "--category-numbers",
        "whole numbers of so many different ones are categories too; 0: never (default: 20)",
    )
    option(
        "--target-means",
        "from more categories on the mean target of each is a feature (default: 10)",
    )
    option = functools.partial(add_option, group, kind=float)
    option(
        "--scale-rate",
        "what the learning rate is multiplied by for the factors of features (default: by the "
        "preset)",
        metavar="FACTOR",
    )
    option(
        "--linear-gain",
        "by which share errors must be smaller with a linear path for it to be taken (default: by "
        "the preset)",
        metavar="SHARE",
    )
    option(
        "--warmup",
        "share of the steps in which the learning rate rises, unless a --schedule is named "
        "(default: 0.05)",
        metavar="SHARE",
    )


def _named(args: argparse.Namespace) -> dict[str, Any]:
    """What these options say; None where they say nothing."""
    variety = args.variety and tuple(name.strip() for name in args.variety.split(","))
    return {**{name: getattr(args, name) for name in NAMED}, "variety": variety}


def check_choices(args: argparse.Namespace) -> None:
    """Refuses what is wrong with these options, before the table is read."""
    told = {name: value for name, value in _named(args).items() if value is not None}
    with naming_options(*NAMED):
        recipe_for(args.preset, "regression", MIN_ROWS, **told)
    if args.warmup is not None and args.schedule is not None:
        got, expected = f"{args.warmup:g} beside --schedule {args.schedule}", "one of them"
        raise ValueError(_check.refusal("--warmup", got, expected))
    for name in ("scale_rate", "warmup"):
        if getattr(args, name) is not None and not follows_a_schedule(args):
            got, expected = f"it for {args.optimizer}", "an optimizer that has a learning rate"
            raise ValueError(_check.refusal(f"--{name.replace('_', '-')}", got, expected))


def refuse_a_loss(args: argparse.Namespace) -> None:
    got = f"{args.loss} for the classes of column {args.target!r}"
    raise ValueError(_check.refusal("--loss", got, "none: classes always have the crossentropy"))


def refuse_other_tasks(args: argparse.Namespace, task: str) -> None:
    """Raises ValueError for options of numbers with a target of classes."""
    if task == "classification":
        if args.loss is not None:
            refuse_a_loss(args)
        if args.log_target:
            got = f"the classes in column {shown(args.target)}"
            raise ValueError(_check.refusal("--log-target", got, "a target of numbers"))


def quantiles_of(args: argparse.Namespace) -> tuple[float, ...] | None:
    if args.quantiles is None:
        return None
    if args.loss is None or LOSS_NAMES.get(args.loss.lower()) != "quantile":
        got = f"{args.quantiles} and another loss"
        raise ValueError(_check.refusal("--quantiles", got, "--loss quantile beside it"))
    try:
        shares = [float(share) for share in args.quantiles.split(",")]
    except ValueError:
        expected = "SHARE,... such as 0.1,0.5,0.9"
        raise ValueError(_check.refusal("--quantiles", shown(args.quantiles), expected)) from None
    with naming_options("quantiles"):
        return losses.Quantile(tuple(shares)).quantiles


def choices_of(
    args: argparse.Namespace, task: str, rows: int, target: ClassTarget | None
) -> dict[str, Any]:
    """The fields of a recipe that the arguments say."""
    told = {
        "epochs": args.epochs,
        "batch_size": args.batch_size,
        "patience": args.patience,
        "dropout": args.dropout,
        "l2": args.l2,
        "nets": args.ensemble,
        "log_target": args.log_target,
        "quantiles": quantiles_of(args),
        "loss": args.loss and LOSS_NAMES[args.loss.lower()],
        "folds": folds_of(args),
        "activation": args.activation,
        "dtype": args.dtype,
        "split": args.split,
        "learning_rate": args.learning_rate,
        **_named(args),
    }
    found = {name: value for name, value in told.items() if value is not None}
    if args.layers is not None:
        hidden = parse_layers(args.layers, args.activation)
        found["layers"] = tuple(units for units, _ in hidden)
        if any(name for _, name in hidden):
            usual = recipe_for(args.preset, task, max(rows, MIN_ROWS)).activation
            found["activation"] = tuple(str(name or usual) for _, name in hidden)
    loss = _loss(found, task)
    if args.metrics is not None:
        found["metrics"] = tuple(judging.metrics_of("--metrics", args.metrics, loss))
    watched = watched_of(args)
    if watched is not None:
        several = judging.metrics_of("--early-stopping", watched, loss)
        if len(several) > 1:
            raise ValueError(_check.refusal("--early-stopping", watched, "one metric"))
        found["monitor"] = several[0]
    if args.class_weight is not None:
        number = NumberTarget(args.target, False, 0.0, 1.0, 0.0)
        weights = class_weight(args.class_weight, target or number)
        if target is not None and not isinstance(weights, str):
            weights = {target.classes[place]: weight for place, weight in weights.items()}
        found["class_weight"] = weights
    return found


def _loss(choices: dict[str, Any], task: str) -> str:
    usual = "sparse_categorical_crossentropy" if task == "classification" else "huber"
    return str(choices.get("loss", usual))


def _recipe_of(
    args: argparse.Namespace, task: str, rows: int, features: int, choices: dict[str, Any]
) -> Recipe:
    with naming_options(
        "activation", "dropout", "batch_size", "epochs", "patience", "learning_rate", "optimizer",
        "loss", "split", "class_weight", "l2", *NAMED, monitor="--early-stopping",
    ):  # fmt: skip
        return recipe_for(args.preset, task, rows, features, **choices)


def recipe_told(
    args: argparse.Namespace,
    target: NumberTarget | ClassTarget,
    rows: int,
    features: int,
    train_rows: int,
    bins: int,
) -> Recipe:
    """The recipe for so many rows and features, an optimizer in it where the options say one.

    `train_rows` are those that the first network learns from; `bins` those that the features have.
    """
    classes = target if isinstance(target, ClassTarget) else None
    choices = choices_of(args, target.task, rows, classes) | {"bins": bins}
    recipe = _recipe_of(args, target.task, rows, features, choices)
    is_usual = args.optimizer.lower() == "adam" and args.momentum is args.schedule is None
    if is_usual:
        return recipe
    told = argparse.Namespace(**vars(args))
    optimizer = optimizer_of(told, 1.0, None)
    steps = recipe.steps(train_rows)
    if sees_all_rows(optimizer):
        choices.setdefault("batch_size", rows)
        steps = _recipe_of(args, target.task, rows, features, choices).steps(train_rows)
    elif follows_a_schedule(told):
        if told.learning_rate is None and told.optimizer.lower() == "adam":
            told.learning_rate = recipe.learning_rate
        if told.schedule is None:
            rate = optimizer.learning_rate if told.learning_rate is None else told.learning_rate
            told.schedule = (
                f"CosineDecay(initial_learning_rate=0.0, warmup_target={rate!r}, "
                f"warmup_steps={100 * recipe.warmup:g}%)"
            )
    choices["optimizer"] = optimizer_of(told, 1.0, steps)
    return _recipe_of(args, target.task, rows, features, choices)
