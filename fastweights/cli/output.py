"""What the commands share: where they print, how tables look, which files they may write."""

from __future__ import annotations

import argparse
import contextlib
import errno
import io
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from fastweights import _files
from fastweights._json import with_null

#: A disk without room for so much is full.
PROBE_BYTES = 65_536


class Output:
    """Standard output for people, or one JSON object there and the rest on standard error.

    It never keeps a command from its work: what cannot be printed is told by `finish`.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self.as_json = args.json
        self._error: OSError | None = None

    def say(self, text: str = "") -> None:
        """Prints lines for people."""
        self._print(text, sys.stderr if self.as_json else sys.stdout)

    def result(self, figures: dict[str, Any]) -> None:
        """Prints the JSON object, where it was asked for."""
        if self.as_json:
            self._print(json.dumps(with_null(figures), allow_nan=False), sys.stdout)

    def _print(self, text: str, stream: TextIO | None) -> None:
        error = tell(text, stream)
        if stream is sys.stdout:
            self._error = self._error or error

    def finish(self) -> None:
        """Raises the OSError, if any, for which standard output lacks something."""
        if self._error is not None:
            raise self._error


def replace_unknown_letters() -> None:
    """Lets standard output print ``?`` for what its encoding lacks."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors in (
        "strict",
        "surrogateescape",
    ):
        sys.stdout.reconfigure(errors="replace")


@contextlib.contextmanager
def to_stream(stream: TextIO | None) -> Iterator[None]:
    """What the block prints is on its way at its end, or nobody reads it; else OSError.

    After an error the stream goes nowhere, so that Python does not complain again at its end.
    """
    try:
        yield
        if stream is not None and not stream.closed:
            stream.flush()
    except OSError as error:
        if stream is None or error.filename is not None:
            raise
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())
        gone = error.errno == errno.EPIPE or (os.name == "nt" and error.errno == errno.EINVAL)
        if not gone:
            name = "standard output" if stream is sys.stdout else "standard error"
            raise OSError(error.errno, error.strerror, name) from None


def tell(text: str, stream: TextIO | None) -> OSError | None:
    """Prints lines, unless the stream is closed; returns the error where it cannot take them."""
    if stream is not None and not stream.closed:
        try:
            with to_stream(stream):
                print(text, file=stream)
        except OSError as error:
            return error
    return None


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


def add_option(
    group: Group,
    name: str,
    words: str,
    default: Any = None,
    kind: Callable[[str], Any] = str,
    **more: Any,
) -> None:
    """Adds an option; its type is that of its default, which the help tells."""
    if default is not None:
        kind, words = type(default), f"{words} (default: {default})"
    group.add_argument(name, default=default, type=kind, help=words, **more)


def note(text: str) -> None:
    """Says something on standard error."""
    tell(f"fastweights: note: {text}", sys.stderr)


@contextlib.contextmanager
def naming_options(*arguments: str, **others: str) -> Iterator[None]:
    """Refusals of these arguments, such as ``batch_size``, name the option, ``--batch-size``.

    `others` are options of another name than their arguments'.
    """
    options = {name: f"--{name.replace('_', '-')}" for name in arguments} | others
    try:
        yield
    except (ValueError, TypeError) as error:
        argument, _, rest = str(error).partition(":")
        if argument in options:
            raise ValueError(f"{options[argument]}:{rest}") from None
        raise


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
    """Raises ValueError where a result could not be written to `path`, before the work.

    An input is never written over.
    """
    target = Path(path)
    try:
        if target.is_dir():
            raise ValueError(f"{option}: got the directory {path}, expected a file name")
        if any(same_file(path, other) for other in inputs):
            raise ValueError(f"{option}: got the input {path}, expected another file")
        if target.exists():
            _files.refuse_other_kinds(path, target.stat().st_mode, option)
            target.open("r+b").close()
        with tempfile.TemporaryFile(dir=Path(os.path.realpath(path)).parent) as probe:
            probe.write(bytes(PROBE_BYTES))
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        raise ValueError(f"{option}: cannot write to {path} ({error.strerror})") from None


def same_file(path: str, other: str) -> bool:
    if os.path.exists(path) and os.path.exists(other):
        return os.path.samefile(path, other)
    return os.path.realpath(path) == os.path.realpath(other)
