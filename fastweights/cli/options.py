"""The options that ``train`` and ``sweep`` have in common, and what is wrong with them."""

from __future__ import annotations

import argparse
import functools
from typing import Any

from fastweights import _check, saving
from fastweights._core import philox
from fastweights.cli import judging, runs, stepping
from fastweights.cli.calls import calls_of
from fastweights.cli.checkpoints import path_of, refuse_to_lose
from fastweights.cli.kinds import Data, Kind
from fastweights.cli.modelfile import KINDS
from fastweights.cli.output import Group, add_json, add_option, check_writable

#: More networks than anybody averages.
MAX_ENSEMBLE = 1000


def add_training(parser: argparse.ArgumentParser) -> Group:
    """Adds data, results and training, and the options of each kind of data; returns results."""
    parser.add_argument(
        "data",
        nargs="?",
        metavar="DATA",
        help="a table whose first line names columns (CSV, Parquet, Excel and others, or - for the "
        "standard input); a folder of images, with a subfolder for "
        "each class, or with train, val and test and such subfolders in them; or an .npz file of "
        "images and labels",
    )
    parser.add_argument(
        "--target",
        metavar="NAME",
        help="the column of a table to predict; in an .npz file the array of labels, or those of "
        "all parts (fine for fine_train and fine_test), which are found unless told",
    )
    results = parser.add_argument_group("results")
    add_option(
        results,
        "--out",
        "the model; how it was trained is written beside it, as model.toml",
        "model.safetensors",
        metavar="FILE",
    )
    runs.add_config(results)
    results.add_argument("--quiet", action="store_true", help="show no progress")
    add_json(results)
    _add_fit(parser.add_argument_group("training"))
    stepping.add_options(parser.add_argument_group("steps"))
    for kind in reversed(KINDS):
        kind.add_options(parser)
    return results


def _add_fit(group: Group) -> None:
    option = functools.partial(add_option, group)
    option(
        "--epochs",
        "passes over the rows, at most; default: by the preset, of images 40",
        kind=int,
        metavar="N",
    )
    option(
        "--patience",
        "stop when what --early-stopping names has not improved for so many epochs, and go back "
        "to the best; 0 never stops; default: by the preset, of images 0 without --early-stopping",
        kind=int,
        metavar="N",
    )
    option(
        "--early-stopping",
        "the metric of the validation rows that says when to stop: loss (the default), or one of "
        "--metrics, of which it is known whether larger is better",
        metavar="METRIC",
    )
    judging.add_metrics(
        group, "what is told beside the loss, and of the unseen rows in their units"
    )
    option(
        "--batch-size",
        "rows a step; default: by the preset, of images 32, of lbfgs, levenbergmarquardt and rprop "
        "all",
        kind=int,
        metavar="ROWS",
    )
    option(
        "--dropout",
        "share of what hidden layers make that is left out in training; default: by the preset, "
        "of images 0.3 and 0.5",
        kind=float,
        metavar="RATE",
    )
    option(
        "--l2",
        "what the square of each weight, biases apart, adds to the loss (default: 0)",
        kind=float,
        metavar="FACTOR",
    )
    option(
        "--class-weight",
        "what rows of a class count in training: balanced, so that all classes count alike, or "
        "CLASS=WEIGHT,... and 1 for others",
        metavar="SPEC",
    )
    option(
        "--test-fraction",
        "share of the rows held out for the report; 0 trains on all (default: 0.2)",
        kind=float,
        metavar="SHARE",
    )
    option(
        "--validation-fraction",
        "share of the other rows that says when to stop; 0 trains on all of them; default: by "
        "the preset, of images 0",
        kind=float,
        metavar="SHARE",
    )
    option("--dtype", "of weights and arithmetic", "float32", choices=_check.FLOATS)
    option("--seed", "fixes held-out rows, initial weights and shuffling", 0, metavar="N")
    option("--threads", "to use at most; default: as many as CPUs", kind=int, metavar="N")


def check_options(args: argparse.Namespace, kind: Kind) -> None:
    """Refuses what is wrong with the options whatever the data hold, before they are read."""
    _check_files(args)
    check_settings(args, kind)
    kind.check_options(args)
    for option in ("test_fraction", "validation_fraction"):
        if getattr(args, option) is not None:
            spelt = f"--{option.replace('_', '-')}"
            _check.number(spelt, getattr(args, option), minimum=0.0, below=1.0)
    _check.whole("--seed", args.seed, 0, philox.MAX_SEED)
    if args.threads is not None:
        _check.whole("--threads", args.threads, 1)


def check_settings(args: argparse.Namespace, kind: Kind) -> None:
    """Refuses what is wrong with those of the options that say how a network is trained."""
    stepping.optimizer_of(args, kind.rate_factor, None)
    for option in ("metrics", "early_stopping"):
        if getattr(args, option) is not None:
            calls_of(f"--{option.replace('_', '-')}", getattr(args, option))
    if args.epochs is not None:
        _check.whole("--epochs", args.epochs, 1)
    if args.patience is not None:
        _check.whole("--patience", args.patience, 0)
    if args.early_stopping is not None and args.patience == 0:
        got, expected = "0 beside --early-stopping", "at least 1"
        raise ValueError(_check.refusal("--patience", got, expected))
    if args.batch_size is not None:
        _check.whole("--batch-size", args.batch_size, 1)
    if args.dropout is not None:
        _check.number("--dropout", args.dropout, minimum=0.0, below=1.0)
    if args.l2 is not None:
        _check.number("--l2", args.l2, minimum=0.0)
    if args.ensemble is not None:
        _check.whole("--ensemble", args.ensemble, 1, MAX_ENSEMBLE)
        if args.ensemble > 1 and not kind.resumes_ensembles:
            _refuse_beside_ensemble(args)


def _refuse_beside_ensemble(args: argparse.Namespace) -> None:
    for name in ("resume", "checkpoint"):
        if getattr(args, name, None):
            got = "it beside --ensemble"
            raise ValueError(_check.refusal(f"--{name.replace('_', '-')}", got, "one network"))


def _check_files(args: argparse.Namespace) -> None:
    """Raises ValueError where a file of the run could not be written, or is another one of it."""
    others = [args.data, *([args.config] if args.config else [])]
    check_writable("--out", args.out, others)
    saving.refuse_other_formats("--out", args.out)
    others += [args.out, runs.beside(args.out)]
    plot = getattr(args, "plot", None)
    if plot:
        from fastweights.cli.plot import check_format

        check_format(plot)
        check_writable("--plot", plot, others)
        others.append(plot)
    if hasattr(args, "checkpoint"):
        checkpoint = path_of(args.out, args.checkpoint)
        check_writable("--checkpoint", checkpoint, others)
        saving.refuse_other_formats("--checkpoint", checkpoint)
        if not args.resume:
            refuse_to_lose(checkpoint)


def refuse_idle_options(told: argparse.Namespace, data: Data, kind: Kind) -> None:
    """Raises ValueError for options that were given and change nothing with these data."""
    for name in ("patience", "early_stopping"):
        value: Any = getattr(told, name)
        if value and not len(data.validation):
            got = f"{value} and no {kind.row}s that say when to stop"
            expected = "a --validation-fraction above 0 beside it"
            raise ValueError(_check.refusal(f"--{name.replace('_', '-')}", got, expected))
    for use in sorted(data.divided):
        if getattr(told, f"{use}_fraction") is not None:
            got = f"it for {told.data}, which says itself which {kind.row}s are for {use}"
            raise ValueError(_check.refusal(f"--{use}-fraction", got, "data without such a part"))
