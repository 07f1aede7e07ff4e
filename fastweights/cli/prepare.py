"""From the table of ``train`` to features and targets, telling what was found and done."""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastweights._json import shown
from fastweights.cli.modelfile import read_table
from fastweights.cli.output import Output, count, naming_options
from fastweights.table import Preprocessor, Table, find_task, has_target, split
from fastweights.table.columns import NumberColumn

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
    table = read_table(args.table)
    output.say(f"{args.table}: {count(len(table), 'row')}, {count(len(table.columns), 'column')}")
    task, reason = find_task(table[args.target], table.decimal)
    if args.task is not None:
        task, reason = args.task, "as --task says"
    output.say(f"target {shown(args.target)}: {task}, {reason}")
    table = _with_target(table, args.target, task, output)
    train, validation, test = _parts(len(table), args)
    with naming_options("target", "log_target"):
        preprocessor = Preprocessor.fit(table, args.target, train, task, args.log_target)
    for column, reason in preprocessor.dropped.items():
        output.say(f"column {shown(column)} is not used: {reason}")
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


def _parts(rows: int, args: argparse.Namespace) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The numbers of the rows to train on, to validate on, and to keep unseen."""
    rest, test = split(rows, args.test_fraction, args.seed)
    train, validation = split(len(rest), args.validation_fraction, args.seed, draw=1)
    if len(train) < 2:
        raise ValueError(f"--test-fraction: leaves {len(train)} of {rows} rows to train on")
    return rest[train], rest[validation], test


def _with_target(table: Table, target: str, task: str, output: Output) -> Table:
    """The rows whose target is known; ValueError where they are too few."""
    known = has_target(table[target], task, table.decimal)
    if not known.all():
        output.say(f"left out for want of a {shown(target)}: {count((~known).sum(), 'row')}")
        table = table.take(known)
    if len(table) < MIN_ROWS:
        expected = f"at least {MIN_ROWS} to learn from and be tested on"
        raise ValueError(
            f"{table.source}: got {count(len(table), 'row')} with a target, expected {expected}"
        )
    return table


def _columns_in_words(data: Data) -> str:
    columns = data.preprocessor.columns
    counts = Counter(column.kind for column in columns)
    filled = sum(isinstance(column, NumberColumn) and column.has_missing for column in columns)
    gaps = f" ({filled} with missing cells)" if filled else ""
    return (
        f"{count(counts['number'], 'column')} of numbers{gaps} and {counts['category']} "
        f"of categories give {count(data.x.shape[1], 'feature')}\n"
        f"{count(len(data.train), 'row')} to train on, {len(data.validation):,} to say when "
        f"to stop, {len(data.test):,} unseen"
    )
