"""What docs/command-line.md shows works, and it leaves no option out."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from fastweights import cli

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")

if sys.version_info < (3, 11):
    pytest.importorskip("tomli")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("document")
    for name in ("ames.csv", "cats_dogs.npz"):
        shutil.copy(ROOT / "examples" / "data" / name, path / name)
    for name, text in zip(("run.toml", "sweep.toml"), blocks("toml"), strict=True):
        (path / name).write_text(text)
    return path


@pytest.mark.parametrize("line", [line for block in blocks("bash") for line in block.splitlines()])
def test_examples(line, folder, monkeypatch):
    """In their order, as some read what others wrote."""
    monkeypatch.chdir(folder)
    program, *argv = shlex.split(line)
    assert program == "fastweights"
    assert cli.main(argv) == 0


@pytest.mark.parametrize("command", ["train", "sweep", "predict", "evaluate", "gradcheck"])
def test_every_option_is_named(command):
    parser = argparse.ArgumentParser()
    importlib.import_module(f"fastweights.cli.{command}").add_arguments(parser)
    options = {option for one in parser._actions for option in one.option_strings} - {
        "-h",
        "--help",
    }
    assert {option for option in options if f"`{option}" not in TEXT} == set()


def test_the_table_has_no_other_options():
    parser = argparse.ArgumentParser()
    importlib.import_module("fastweights.cli.train").add_arguments(parser)
    table = TEXT[TEXT.index("| option |") : TEXT.index("`sweep` has these")]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("|")]
    named = {option for cell in cells for option in re.findall(r"`(--[\w-]+)`", cell)}
    known = {option for one in parser._actions for option in one.option_strings}
    assert named == known - {"-h", "--help"}
