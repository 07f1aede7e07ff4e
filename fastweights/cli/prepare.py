"""From the table of ``train`` to features and targets, telling what was found and done."""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastweights.cli.output import Output
from fastweights.table import Preprocessor, Table, find_task, has_target, read_csv, split

#: Of rows with a target; fewer teach and prove nothing.
MIN_ROWS = 10


@dataclass(frozen=True)
class Data:
    """A table made ready: features and target of all rows, and which rows serve for what."""

    preprocessor: Preprocessor
    x: np.ndarray
    truth: np.ndarray
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    def rows(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Features and truth of some rows."""
        return self.x[chosen], self.truth[chosen]

    def learnable(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Features of some rows, and what the network learns."""
        return self.x[chosen], self.preprocessor.target.encode(self.truth[chosen])

    def figures(self) -> dict[str, Any]:
        """What ``--json`` tells about the data."""
        target = self.preprocessor.target
        return {
            "task": target.task,
            "target": target.name,
            "rows": len(self.x),
            "train_rows": len(self.train),
            "validation_rows": len(self.validation),
            "test_rows": len(self.test),
            "features": self.x.shape[1],
            "dropped_columns": self.preprocessor.dropped,
        }


def prepare(args: argparse.Namespace, output: Output) -> Data:
    """Reads the table, finds out what it holds, and says so."""
    table = read_csv(args.table)
    output.say(f"{args.table}: {len(table):,} rows, {len(table.columns)} columns")
    task, reason = find_task(table[args.target], table.decimal)
    if args.task is not None:
        task, reason = args.task, "as --task says"
    output.say(f"target {args.target!r}: {task}, {reason}")
    table = _with_target(table, args.target, task, output)
    rest, test = split(len(table), args.test_fraction, args.seed)
    train, validation = split(len(rest), args.validation_fraction, args.seed, draw=1)
    train, validation = rest[train], rest[validation]
    preprocessor = Preprocessor.fit(table, args.target, train, task, args.log_target)
    for column, reason in preprocessor.dropped.items():
        output.say(f"column {column!r} is not used: {reason}")
    for remark in preprocessor.remarks(table.take(np.concatenate([validation, test]))):
        output.say(f"held-out rows: {remark}")
    data = Data(
        preprocessor,
        preprocessor.transform(table),
        preprocessor.truth(table)[0],
        train,
        validation,
        test,
    )
    output.say(_columns_in_words(data))
    return data


def _with_target(table: Table, target: str, task: str, output: Output) -> Table:
    """The rows whose target is known; ValueError where they are too few."""
    known = has_target(table[target], task, table.decimal)
    if not known.all():
        output.say(f"{(~known).sum():,} rows are left out: they have no {target!r}")
        table = table.take(known)
    if len(table) < MIN_ROWS:
        expected = f"at least {MIN_ROWS} to learn from and be tested on"
        raise ValueError(
            f"{table.source}: got {len(table)} rows with a target, expected {expected}"
        )
    return table


def _columns_in_words(data: Data) -> str:
    columns = data.preprocessor.columns
    counts = Counter(column.kind for column in columns)
    filled = sum(column.kind == "number" and column.has_missing for column in columns)
    gaps = f" ({filled} with missing cells)" if filled else ""
    return (
        f"{counts['number']} columns of numbers{gaps} and {counts['category']} of categories give "
        f"{data.x.shape[1]} features\n"
        f"{len(data.train):,} rows to train on, {len(data.validation):,} to say when to stop, "
        f"{len(data.test):,} unseen"
    )
