"""Options that take columns of a table: what these are, and what rows count."""

from __future__ import annotations

import argparse
import csv

import numpy as np

from fastweights import _check
from fastweights._json import shown
from fastweights.cli.output import Group, add_option
from fastweights.table import Table
from fastweights.table.columns.common import named
from fastweights.table.numerals import numbers

#: Options that say what columns are, and in which words.
_KINDS = {
    "drop": "of which nothing is learnt",
    "keep": "that are learnt from though they look like names of rows",
    "category": "whose cells are names, also where they are numbers",
    "number": "of numbers; what is none in them is missing",
    "date": "of dates or times",
    "text": "of free text, of which length and presence are learnt",
}
COLUMN_OPTIONS = tuple(_KINDS)
#: Columns that a message names at most.
_MOST_NAMED = 12


def add_kinds(group: Group) -> None:
    """Adds the options that say what columns are."""
    for name, words in _KINDS.items():
        add_option(group, f"--{name}", f"columns {words}", metavar="COLUMN,...")
    add_option(
        group,
        "--sample-weight",
        "what each row counts in training, and when to stop: the column of these numbers, 0 or "
        "more, of which nothing is learnt; reports count every row once",
        metavar="COLUMN",
    )


def column_of(table: Table, option: str, name: str) -> str:
    """The name, of a column that there is; ValueError that lists them and suggests the nearest."""
    if name in table.columns:
        return name
    near = table.nearest(name)
    hint = f"; did you mean {shown(near)}?" if near else ""
    known = named(table.columns, _MOST_NAMED)
    raise ValueError(
        f"{option}: {table.source} has no column {shown(name)} among "
        f"{len(table.columns):,}: {known}{hint}"
    )


def kinds_told(args: argparse.Namespace, table: Table | None = None) -> dict[str, str]:
    """What columns are, by their names, as the options say; those of a table, where it is given."""
    found: dict[str, str] = {}
    for kind in _KINDS:
        for name in _names(getattr(args, kind)):
            option = f"--{kind}"
            if table is not None:
                column_of(table, option, name)
            if found.setdefault(name, kind) != kind:
                got = f"{shown(name)}, which --{found[name]} names too"
                raise ValueError(_check.refusal(option, got, "each column once"))
            for other in ("target", "sample_weight"):
                if name == getattr(args, other):
                    got = f"{shown(name)}, which is --{other.replace('_', '-')}"
                    raise ValueError(_check.refusal(option, got, "columns to learn from"))
    return found


def _names(text: str | None) -> list[str]:
    """The names in ``a,"b, or c"``."""
    if text is None:
        return []
    return [name.strip() for name in next(csv.reader([text], skipinitialspace=True), [])]


def weights_of(args: argparse.Namespace, table: Table) -> tuple[Table, np.ndarray | None]:
    """The table without the column that says what rows count, and these numbers (rows,)."""
    name = args.sample_weight
    if name is None:
        return table, None
    if name == args.target:
        expected = "another column than the target"
        raise ValueError(_check.refusal("--sample-weight", shown(name), expected))
    cells = table[column_of(table, "--sample-weight", name)]
    weights, strange = numbers(cells, table.decimal, table.thousands)
    bad = strange | ~np.isfinite(weights) | (weights < 0)
    if bad.any():
        got = f"{shown(cells.take(bad)[0])} in column {shown(name)}"
        raise ValueError(_check.refusal("--sample-weight", got, "numbers of at least 0"))
    return table.drop([name]), weights
