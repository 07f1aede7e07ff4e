"""Running commands of the command line in tests."""

from __future__ import annotations

import csv
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from fastweights import cli

COMMAND = [sys.executable, "-m", "fastweights"]
posix = pytest.mark.skipif(os.name != "posix", reason="signals and shells of POSIX")


def write_csv(path: Path, columns: dict[str, object]) -> str:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return str(path)


def run_json(capsys, *argv: str) -> dict:
    """Runs a command with --json and returns the one object on its standard output."""
    capsys.readouterr()
    assert cli.main([*argv, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys, *argv: str) -> str:
    """Runs a command that must end with code 2 and one line; returns the line."""
    capsys.readouterr()
    assert cli.main(list(argv)) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("fastweights: error: ")
    assert captured.err.count("\n") == 1, captured.err
    return captured.err


def listen() -> None:
    """Hears Ctrl-C also where the tests run in the background, which a shell lets ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
