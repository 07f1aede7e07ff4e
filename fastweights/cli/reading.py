"""How tables are read: options, and the table that they read."""

from __future__ import annotations

import argparse

from fastweights.cli.kinds import is_model
from fastweights.cli.output import Group, add_option, naming_options
from fastweights.table import Table, read

READING = ("encoding", "delimiter", "decimal", "no_header", "skip_bad_lines")


def add_reading(group: Group) -> None:
    """Adds the options that say how a table is read."""
    add_option(group, "--encoding", "of a text file, such as cp1252; found unless given",
               metavar="NAME")  # fmt: skip
    add_option(
        group, "--delimiter", "what parts cells, such as ';', tab or space; found unless given",
        metavar="LETTER",
    )  # fmt: skip
    add_option(
        group, "--decimal", "mark of numbers, point or comma; found unless given",
        choices=(".", ","),
    )  # fmt: skip
    group.add_argument(
        "--no-header",
        action="store_true",
        default=None,
        help="the first line names no columns: they are column_1, column_2, ...",
    )
    group.add_argument(
        "--skip-bad-lines",
        action="store_true",
        default=None,
        help="leave out lines that have more or fewer cells than there are columns",
    )


_DELIMITERS = {"tab": "\t", r"\t": "\t", "space": " "}


def read_table(path: str, args: argparse.Namespace) -> Table:
    """The table; ValueError that says so where the file is a model."""
    delimiter = args.delimiter
    try:
        with naming_options("encoding", "delimiter"):
            return read(
                path,
                encoding=args.encoding,
                delimiter=delimiter and _DELIMITERS.get(delimiter.lower(), delimiter),
                decimal=args.decimal,
                header=not args.no_header,
                skip_bad_lines=bool(args.skip_bad_lines),
            )
    except ValueError:
        if is_model(path):
            raise ValueError(f"{path}: this is a model, expected a CSV table") from None
        raise
