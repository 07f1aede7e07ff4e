"""Predict the target of the rows of a CSV table, or of images; the predictions are a CSV table too.

It has a column of the target's name; for classes, the probability of each follows, unless told
otherwise; of quantiles there is a column each. Where images come from files, their paths stand in
front.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Iterable, Sequence
from typing import BinaryIO, NamedTuple, TextIO

import numpy as np

from fastweights import _check, _files
from fastweights._json import shown
from fastweights.cli.images import add_names
from fastweights.cli.modelfile import model_meant
from fastweights.cli.output import check_writable, note, to_stream
from fastweights.cli.reading import add_reading
from fastweights.table.targets import ClassTarget, NumberTarget

#: Endings of names of what is no text, or other text than a CSV table.
_OTHER_FORMATS = (
    *(".csv.gz", ".csv.bz2", ".csv.xz", ".csv.zip", ".gz", ".bz2", ".xz", ".zip", ".zst"),
    *(".xlsx", ".xlsm", ".xls", ".ods", ".parquet", ".feather", ".arrow", ".json", ".jsonl"),
    *(".npy", ".npz", ".safetensors", ".pkl", ".pickle", ".joblib", ".h5"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``fastweights predict``."""
    parser.add_argument("model", metavar="MODEL", help="a file that 'fastweights train' wrote")
    parser.add_argument(
        "data",
        metavar="DATA",
        help="rows to predict: a table, in which columns that the model ignores may be; a "
        "folder of images, or one; or an .npz file of images",
    )
    add_names(parser)
    add_reading(parser)
    parser.add_argument(
        "--proba",
        action=argparse.BooleanOptionalAction,
        help="whether the probability of each class stands beside it (default: yes)",
    )
    parser.add_argument(
        "--out", metavar="FILE", help="where the predictions go (default: standard output)"
    )


def run(args: argparse.Namespace) -> int:
    """Runs ``fastweights predict``."""
    if args.out:
        _refuse_other_formats(args.out)
        check_writable("--out", args.out, [args.model, args.data])
    elif sys.stdout is None or sys.stdout.closed:
        got = "none, and a standard output that is closed"
        raise ValueError(_check.refusal("--out", got, "a file for the predictions"))
    loaded = model_meant(args)
    kind, preprocessor = loaded.kind, loaded.preprocessor
    if args.proba is not None and not isinstance(preprocessor.target, ClassTarget):
        got = f"it for {shown(preprocessor.target.name)}, which is a number"
        raise ValueError(_check.refusal("--proba", got, "a target of classes"))
    source = kind.read(args, preprocessor)
    predictions = loaded.predict(source)
    for remark in preprocessor.remarks(source):
        note(remark)
    result = Result(
        preprocessor.target,
        predictions,
        kind.row_names(source),
        loaded.quantiles,
        args.proba is not False,
    )
    if args.out:
        _files.replace(args.out, lambda file: _write_utf8(file, result))
    else:
        _note_unknown_letters(result)
        with to_stream(sys.stdout):
            _write(sys.stdout, result)
    return 0


def _refuse_other_formats(path: str) -> None:
    """Raises ValueError for a name by which other programs would take CSV for something else."""
    ending = next((one for one in _OTHER_FORMATS if path.lower().endswith(one)), None)
    if ending is not None:
        expected = f"a name such as {path[: -len(ending)]}.csv: predictions are a CSV table"
        raise ValueError(_check.refusal("--out", path, expected))


class Result(NamedTuple):
    """What is predicted of each row; what their names are, and these, where they have some."""

    target: NumberTarget | ClassTarget
    predictions: np.ndarray
    names: tuple[str, Sequence[str]] | None
    quantiles: tuple[float, ...] = ()
    has_probabilities: bool = True


def _note_unknown_letters(result: Result) -> None:
    encoding = sys.stdout.encoding or "utf-8"
    words = [*_header(result), *(result.names[1] if result.names else ())]
    lacking = [name for name in words if name.encode(encoding, "replace").decode(encoding) != name]
    if lacking:
        note(
            f"standard output, in {encoding}, lacks letters of {shown(lacking[0])}, "
            "which become '?'; --out FILE has them all"
        )


def _write_utf8(file: BinaryIO, result: Result) -> None:
    text = io.TextIOWrapper(
        file, encoding="utf-8", errors="replace", newline="", write_through=True
    )
    _write(text, result)
    text.detach()


def _write(file: TextIO, result: Result) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_header(result))
    if result.names is None:
        writer.writerows(_lines(result))
    else:
        lines = zip(result.names[1], _lines(result), strict=True)
        writer.writerows([name, *line] for name, line in lines)


def _header(result: Result) -> list[str]:
    target, names = result.target, result.names
    header = [] if names is None else [names[0]]
    if result.quantiles:
        return [*header, *(f"{target.name}={share:g}" for share in result.quantiles)]
    header.append(target.name)
    if isinstance(target, ClassTarget) and result.has_probabilities:
        header += [f"{target.name}={label}" for label in target.classes]
    return header


def _lines(result: Result) -> Iterable[list[str]]:
    if isinstance(result.target, NumberTarget):
        for values in result.predictions.reshape(len(result.predictions), -1):
            yield [f"{value:.7g}" for value in values]
    else:
        for probabilities in result.predictions:
            label = result.target.classes[probabilities.argmax()]
            shown_too = probabilities if result.has_probabilities else ()
            yield [label, *(f"{probability:.6g}" for probability in shown_too)]
