"""Tables in CSV files: what becomes of their columns, and networks of dense layers on them."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from dataclasses import replace
from typing import ClassVar

import numpy as np

import fastweights as fw
from fastweights import _check, activations, layers, losses, saving
from fastweights._json import shown
from fastweights.cli.kinds import MIN_ROWS, PATIENCE, Data, Kind, is_model, parts_in_words, parts_of
from fastweights.cli.layers_spec import parse_layers, penalty, refuse_huge_networks
from fastweights.cli.output import Output, add_option, count, naming_options
from fastweights.images.files import names_an_image
from fastweights.table import Preprocessor, Table, find_task, has_target, read
from fastweights.table.columns import NumberColumn
from fastweights.table.footers import without_sums
from fastweights.table.numerals import numbers
from fastweights.table.preprocessing import TARGETS

#: The losses for any numbers, which a regression may choose from.
LOSSES = {
    name: kind
    for name, kind in losses.LOSSES.items()
    if kind in (losses.MeanSquaredError, losses.MeanAbsoluteError, losses.Huber, losses.LogCosh)
}

#: What files of tables are called.
ENDINGS = (".csv", ".tsv", ".txt")


class Tables(Kind):
    """Rows of columns, one of which is to be predicted."""

    name, row, key = "a table", "row", saving.TABLE
    own_options = ("task", "log_target", "layers", "activation", "loss", "sample_weight")
    defaults: ClassVar = {
        "layers": "64,32",
        "activation": "tanh",
        "epochs": 100,
        "patience": PATIENCE,
        "test_fraction": 0.2,
        "validation_fraction": 0.1,
    }

    def is_meant(self, args: argparse.Namespace) -> bool:
        return True

    def is_called(self, path: str) -> bool:
        return path.lower().endswith(ENDINGS)

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        group = parser.add_argument_group("tables")
        add_option(
            group, "--task", "what the target is; found from its cells unless given",
            choices=TARGETS,
        )  # fmt: skip
        group.add_argument(
            "--log-target",
            action=argparse.BooleanOptionalAction,
            default=None,
            help="learn the logarithm of the target, which must be above 0: for prices and such",
        )
        add_option(
            group, "--layers",
            "hidden layers, each UNITS or UNITS:ACTIVATION (default: 64,32)", metavar="SPEC",
        )  # fmt: skip
        add_option(
            group, "--activation", "of layers that name none (default: tanh)", metavar="NAME"
        )
        add_option(
            group,
            "--loss",
            "what a regression makes small (default: mean_absolute_error); classes always have "
            "the crossentropy",
            metavar="NAME",
        )
        add_option(
            group,
            "--sample-weight",
            "what each row counts in training, and when to stop: the column of these numbers, 0 "
            "or more, of which nothing is learnt; reports count every row once",
            metavar="COLUMN",
        )

    def check_options(self, args: argparse.Namespace) -> None:
        is_image = names_an_image(args.data)
        if is_image or args.target is None:
            os.stat(args.data)
        if is_image:
            got, expected = f"the image {args.data}", "a folder of images, with a subfolder a class"
            raise ValueError(_check.refusal("DATA", got, expected))
        if args.target is None:
            raise ValueError("the following arguments are required: --target")
        with naming_options("activation"):
            activations.get(args.activation)
        hidden = parse_layers(args.layers, args.activation)
        refuse_huge_networks([1, *(units for units, _ in hidden)], args.dtype)
        if args.loss is not None:
            if args.task == "classification":
                _refuse_a_loss(args)
            _check.choice("--loss", args.loss.lower(), LOSSES)

    def prepare(self, args: argparse.Namespace, output: Output) -> Data:
        table = read_table(args.data)
        output.say(
            f"{args.data}: {count(len(table), 'row')}, {count(len(table.columns), 'column')}"
        )
        table = without_sums(table)
        for remark in table.remarks:
            output.say(remark)
        task, reason = find_task(table, args.target)
        if args.task is not None:
            task, reason = args.task, "as --task says"
        output.say(f"target {shown(args.target)}: {task}, {reason}")
        with naming_options("target"):
            table = _with_target(table, args.target, task, output)
        table, weights = _weighed(table, args)
        train, validation, test = parts_of(
            len(table), args.test_fraction, args.validation_fraction, args.seed, self.row
        )
        with naming_options("target", "log_target"):
            preprocessor = Preprocessor.fit(
                table, args.target, train, task, log_target=bool(args.log_target)
            )
        if weights is not None:
            dropped = {**preprocessor.dropped, args.sample_weight: "it says what rows count"}
            preprocessor = replace(preprocessor, dropped=dropped)
            _refuse_weightless(weights, train, validation)
        for decision in preprocessor.decisions:
            output.say(decision)
        for remark in preprocessor.remarks(table.take(np.concatenate([validation, test]))):
            output.say(f"held-out rows: {remark}")
        x, truth = preprocessor.transform(table, train), preprocessor.truth(table)[0]
        about = {"features": x.shape[1], "dropped_columns": preprocessor.dropped}
        data = Data(preprocessor, x, truth, train, validation, test, about, weights=weights)
        output.say(_columns_in_words(preprocessor, data))
        output.say(parts_in_words(args, self.row, train, validation, test))
        return data

    def network(self, args: argparse.Namespace, data: Data) -> fw.Sequential:
        classes = data.preprocessor.target.task == "classification"
        if classes and args.loss is not None:
            _refuse_a_loss(args)
        hidden = parse_layers(args.layers, args.activation)
        outputs = data.preprocessor.target.outputs
        widths = [data.x.shape[1], *(units for units, _ in hidden), outputs]
        refuse_huge_networks(widths, args.dtype)
        kept = penalty(args)
        stack: list[layers.Layer] = []
        for units, activation in hidden:
            stack.append(layers.Dense(units, activation=activation, kernel_regularizer=kept))
            stack += [layers.Dropout(args.dropout)] if args.dropout else []
        last = "softmax" if classes else None
        stack.append(layers.Dense(outputs, activation=last, kernel_regularizer=kept))
        return fw.Sequential(stack, input_shape=data.x.shape[1:], dtype=args.dtype, seed=args.seed)

    def restored(self, text: str, file_size: int) -> Preprocessor:
        return Preprocessor.from_json(text, file_size)

    def read(self, args: argparse.Namespace, preprocessor: Preprocessor) -> Table:
        return read_table(args.data)

    def read_with_truth(self, args: argparse.Namespace, preprocessor: Preprocessor) -> Table:
        if args.target not in (None, preprocessor.target.name):
            got, expected = shown(args.target), f"{shown(preprocessor.target.name)} of the model"
            raise ValueError(_check.refusal("--target", got, expected))
        return read_table(args.data)


def read_table(path: str) -> Table:
    """The table; ValueError that says so where the file is a model."""
    try:
        return read(path)
    except ValueError:
        if is_model(path):
            raise ValueError(f"{path}: this is a model, expected a CSV table") from None
        raise


def _refuse_a_loss(args: argparse.Namespace) -> None:
    got = f"{args.loss} for the classes of column {args.target!r}"
    raise ValueError(_check.refusal("--loss", got, "none: classes always have the crossentropy"))


def _with_target(table: Table, target: str, task: str, output: Output) -> Table:
    """The rows whose target is known; ValueError where they are too few."""
    known = has_target(table, target, task)
    if not known.all():
        output.say(f"left out for want of a {shown(target)}: {count((~known).sum(), 'row')}")
        table = table.take(known)
    if len(table) < MIN_ROWS:
        expected = f"at least {MIN_ROWS} to learn from and be tested on"
        raise ValueError(
            f"{table.source}: got {count(len(table), 'row')} with a target, expected {expected}"
        )
    return table


def _weighed(table: Table, args: argparse.Namespace) -> tuple[Table, np.ndarray | None]:
    """The table without the column that says what rows count, and these numbers (rows,)."""
    name = args.sample_weight
    if name is None:
        return table, None
    if name == args.target:
        expected = "another column than the target"
        raise ValueError(_check.refusal("--sample-weight", shown(name), expected))
    cells = table[name]
    weights, strange = numbers(cells, table.decimal, table.thousands)
    bad = strange | ~np.isfinite(weights) | (weights < 0)
    if bad.any():
        got = f"{shown(cells.take(bad)[0])} in column {shown(name)}"
        raise ValueError(_check.refusal("--sample-weight", got, "numbers of at least 0"))
    return table.drop([name]), weights


def _refuse_weightless(weights: np.ndarray, *parts: np.ndarray) -> None:
    """Raises ValueError where no row of a part counts."""
    for part in parts:
        if len(part) and not weights[part].any():
            got = "0 in all rows to train on, or to validate on"
            raise ValueError(_check.refusal("--sample-weight", got, "some above 0"))


def _columns_in_words(preprocessor: Preprocessor, data: Data) -> str:
    counts = Counter(kinds[0] for kinds in preprocessor.kinds.values())
    columns = [column for column in preprocessor.columns if isinstance(column, NumberColumn)]
    filled = sum(column.has_missing for column in columns)
    gaps = f" ({filled} with missing cells)" if filled else ""
    words = [
        f"{count(counts[kind], 'column')} of {plural}{gaps if kind == 'number' else ''}"
        for kind, plural in _PLURALS.items()
        if counts[kind]
    ]
    return f"{', '.join(words)}: {count(data.x.shape[1], 'feature')}"


_PLURALS = {
    "number": "numbers",
    "category": "categories",
    "target_mean": "rare categories",
    "date": "dates",
    "text": "free text",
}
