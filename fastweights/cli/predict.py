"""Predict the target of the rows of a CSV table; the predictions are a CSV table too.

Its first column has the target's name; for classes, the probability of each follows.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Iterable
from typing import BinaryIO, TextIO

import numpy as np

from fastweights import _check, _files
from fastweights._json import shown
from fastweights.cli.modelfile import load_model, read_table
from fastweights.cli.output import check_writable, note, to_stream
from fastweights.table.targets import ClassTarget, NumberTarget


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``fastweights predict``."""
    parser.add_argument("model", metavar="MODEL", help="a file that 'fastweights train' wrote")
    parser.add_argument(
        "table",
        metavar="NEW.csv",
        help="rows to predict; columns that the model ignores may be there",
    )
    parser.add_argument(
        "--out", metavar="FILE", help="where the predictions go (default: standard output)"
    )


def run(args: argparse.Namespace) -> int:
    """Runs ``fastweights predict``."""
    if args.out:
        check_writable("--out", args.out, [args.model, args.table])
    elif sys.stdout is None or sys.stdout.closed:
        got = "none, and a standard output that is closed"
        raise ValueError(_check.refusal("--out", got, "a file for the predictions"))
    model, preprocessor = load_model(args.model, args.table)
    table = read_table(args.table)
    x = preprocessor.transform(table)
    for remark in preprocessor.remarks(table):
        note(remark)
    predictions = preprocessor.inverse_transform(model.predict(x))
    if args.out:
        _files.replace(args.out, lambda file: _write_utf8(file, preprocessor.target, predictions))
    else:
        _note_unknown_letters(_header(preprocessor.target))
        with to_stream(sys.stdout):
            _write(sys.stdout, preprocessor.target, predictions)
    return 0


def _note_unknown_letters(header: list[str]) -> None:
    encoding = sys.stdout.encoding or "utf-8"
    lacking = [name for name in header if name.encode(encoding, "replace").decode(encoding) != name]
    if lacking:
        note(
            f"standard output, in {encoding}, lacks letters of {shown(lacking[0])}, "
            "which become '?'; --out FILE has them all"
        )


def _write_utf8(
    file: BinaryIO, target: NumberTarget | ClassTarget, predictions: np.ndarray
) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    _write(text, target, predictions)
    text.detach()


def _write(file: TextIO, target: NumberTarget | ClassTarget, predictions: np.ndarray) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_header(target))
    writer.writerows(_lines(target, predictions))


def _header(target: NumberTarget | ClassTarget) -> list[str]:
    if isinstance(target, NumberTarget):
        return [target.name]
    return [target.name, *(f"{target.name}={label}" for label in target.classes)]


def _lines(target: NumberTarget | ClassTarget, predictions: np.ndarray) -> Iterable[list[str]]:
    if isinstance(target, NumberTarget):
        for value in predictions:
            yield [f"{value:.7g}"]
    else:
        for probabilities in predictions:
            label = target.classes[probabilities.argmax()]
            yield [label, *(f"{probability:.6g}" for probability in probabilities)]
