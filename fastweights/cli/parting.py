"""Which rows of a table serve for what: options, and the parts that they make."""

from __future__ import annotations

import argparse

import numpy as np

from fastweights import _check
from fastweights.cli.columns import column_of
from fastweights.cli.output import Group, add_option
from fastweights.table import Table, splitting
from fastweights.table.fitting import groups_of, times_of
from fastweights.table.recipe import MIN_ROWS
from fastweights.table.targets import ClassTarget

#: Draws of folds; those of networks have others.
_FOLDS_DRAW = 1 << 16


def add_parting(group: Group) -> None:
    """Adds the options that say which rows are held out."""
    add_option(
        group,
        "--test",
        "a table of other rows, which are not seen in training and are reported on",
        metavar="FILE",
    )
    add_option(
        group,
        "--split",
        "how rows are held out: random, with each class's share; time:COLUMN, the last ones; "
        "group:COLUMN, all those of a group together (default: random)",
        metavar="HOW",
    )
    add_option(
        group,
        "--cv",
        "scores over so many folds, each predicted by a training on the others; then all rows are "
        "trained on",
        kind=int,
        metavar="K",
    )


def check_parting(args: argparse.Namespace) -> None:
    """Refuses what is wrong with these options, before the table is read."""
    how, _, column = args.split.partition(":")
    if args.split != "random" and (how not in ("time", "group") or not column):
        expected = "random, time:COLUMN or group:COLUMN"
        raise ValueError(_check.refusal("--split", args.split, expected))
    if column and column == args.target:
        raise ValueError(_check.refusal("--split", args.split, "another column than the target"))
    if args.cv is not None:
        _check.whole("--cv", args.cv, 2)
        if how == "time":
            got = f"{args.cv} beside --split {args.split}"
            raise ValueError(_check.refusal("--cv", got, "random, or group:COLUMN"))
    if args.test is not None and args.test_fraction:
        got = f"{args.test_fraction:g} beside --test {args.test}"
        raise ValueError(_check.refusal("--test-fraction", got, "one of them"))


def folds_of(args: argparse.Namespace) -> int | None:
    """Of how many parts of the training rows a network leaves out one; None: by the preset."""
    share = args.validation_fraction
    if share is None:
        return None
    if not share:
        return 0
    if not share <= 0.5:
        expected = "0, or a part of the rows, at most 0.5, that each network leaves out"
        raise ValueError(_check.refusal("--validation-fraction", f"{share:g}", expected))
    return max(2, round(1 / share))


def parted(
    args: argparse.Namespace, table: Table, target: ClassTarget | None
) -> tuple[Table, Table]:
    """The rows to learn from, and those that are held out for the report."""
    rest, held = _parts(args, table, target)
    if len(rest) < MIN_ROWS:
        raise ValueError(
            f"--test-fraction: leaves {len(rest)} of {len(table)} rows to train on, expected at "
            f"least {MIN_ROWS}"
        )
    return table.take(rest), table.take(held)


def _parts(args: argparse.Namespace, table: Table, target: ClassTarget | None) -> splitting.Parts:
    how, _, name = args.split.partition(":")
    if name:
        column_of(table, "--split", name)
    share, rows = args.test_fraction, len(table)
    if not share:
        return np.arange(rows), np.zeros(0, np.int64)
    if how == "time":
        return splitting.split_by_time(_times(table, name), share)
    if how == "group":
        try:
            return splitting.split_by_group(groups_of(table[name]), share, args.seed)
        except ValueError:
            got = f"{args.split}, whose cells are all the same"
            raise ValueError(_check.refusal("--split", got, "at least two groups")) from None
    return splitting.split(rows, share, args.seed, labels=labels_of(table, target))


def _times(table: Table, name: str) -> np.ndarray:
    try:
        return times_of(table, name)
    except ValueError as error:
        raise ValueError(f"--{error}") from None


def folded(
    args: argparse.Namespace, table: Table, target: ClassTarget | None
) -> list[tuple[Table, Table]]:
    """For each fold of ``--cv`` the other rows, and its own."""
    how, _, name = args.split.partition(":")
    groups = groups_of(table[name]) if how == "group" else None
    labels = None if how == "group" else labels_of(table, target)
    try:
        parts = splitting.folds(
            len(table), args.cv, args.seed, _FOLDS_DRAW, labels=labels, groups=groups
        )
    except ValueError as error:
        raise ValueError(str(error).replace("folds:", "--cv:", 1)) from None
    return [(table.take(rest), table.take(held)) for rest, held in parts]


def labels_of(table: Table, target: ClassTarget | None) -> np.ndarray | None:
    """Each row's class, so that every part has its share."""
    return None if target is None else target.truth(table)[0]
