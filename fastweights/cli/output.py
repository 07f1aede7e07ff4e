"""What the commands share: where they print, how tables look, which files they may write."""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class Output:
    """Standard output for people, or one JSON object there and the rest on standard error."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.as_json = args.json

    def say(self, text: str = "") -> None:
        """Prints lines for people."""
        print(text, file=sys.stderr if self.as_json else sys.stdout, flush=True)

    def result(self, figures: dict[str, Any]) -> None:
        """Prints the JSON object, where it was asked for."""
        if self.as_json:
            print(json.dumps(_with_null(figures), allow_nan=False))


def _with_null(value: Any) -> Any:
    """The same with None, JSON's null, for numbers that JSON does not have."""
    if isinstance(value, dict):
        return {key: _with_null(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_null(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


#: A parser, or one of its groups.
Group = argparse._ActionsContainer


def add_json(parser: Group) -> None:
    """Adds ``--json``."""
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object with the same figures to standard output, "
        "and everything else to standard error",
    )


def note(text: str) -> None:
    """Says something on standard error."""
    print(f"fastweights: note: {text}", file=sys.stderr)


def count(n: int, what: str) -> str:
    """``1 row``, ``2,930 rows``."""
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells, the first being the header, as aligned lines: the first column to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        first, *others = (
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join([first, *others]).rstrip())
    return "\n".join(lines)


def check_writable(option: str, path: str, inputs: Sequence[str] = ()) -> None:
    """Raises OSError or ValueError where a result could not be written to `path`, before the work.

    An input is never written over.
    """
    target = Path(path)
    if target.is_dir():
        raise ValueError(f"{option}: got the directory {path}, expected a file name")
    if target.exists() and any(target.samefile(other) for other in inputs):
        raise ValueError(f"{option}: got the input {path}, expected another file")
    try:
        with tempfile.TemporaryFile(dir=target.parent):
            pass
        if target.exists():
            target.open("r+b").close()
    except OSError as error:
        raise ValueError(f"{option}: cannot write to {path} ({error.strerror})") from None
