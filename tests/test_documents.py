"""What the documents say runs, and what they name is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from fastweights import callbacks, losses, metrics, optimizers, schedules

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
FEATURES = (DOCS / "features.md").read_text(encoding="utf-8")


def snippets(name):
    """The Python of a document, each with the line that it begins in."""
    text = (DOCS / name).read_text(encoding="utf-8")
    return [
        (text.count("\n", 0, found.start(1)), found.group(1))
        for found in re.finditer(r"```python\n(.*?)```", text, re.DOTALL)
    ]


def test_the_guide_of_training_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pytest.importorskip("sklearn")  # of which one metric is
    names = {"__name__": "guide"}
    for line, code in snippets("training.md"):
        padded = "\n" * line + code  # so that errors tell lines of the document
        exec(compile(padded, str(DOCS / "training.md"), "exec"), names)
    assert "all gradients are right" in capsys.readouterr().out
    assert names["history"].history["loss"]
    assert names["mean"].shape == names["spread"].shape == (100, 1)


@pytest.mark.parametrize("path", [*ROOT.glob("*.md"), *DOCS.glob("*.md")], ids=lambda p: p.name)
def test_links_lead_somewhere(path):
    for link in re.findall(r"\]\(([^)]+)\)", path.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        name, _, heading = link.partition("#")
        assert (path.parent / name).exists(), link
        if heading:
            text = (path.parent / name).read_text(encoding="utf-8")
            titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
            assert heading in {title.lower().replace(" ", "-") for title in titles}, link


# ---- features and their tests --------------------------------------------------------------------


@cache
def tests_of(path):
    """Names of the tests of a file, those of classes behind the class's."""
    found = set()
    for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{one.name}" for one in node.body if hasattr(one, "name")}
    return found


def test_every_test_that_is_named_exists():
    named = re.findall(r"`(tests/\w+\.py)::([\w:]+)`", FEATURES)
    assert len(named) > 100
    for path, test in named:
        assert test in tests_of(path), f"{path}::{test}"


def test_every_row_names_what_proves_it():
    rows = [line.split(" | ") for line in FEATURES.splitlines() if line.startswith("| ")]
    for feature, *proofs in rows:
        if (feature, *proofs) == ("| feature", "test |"):
            continue
        assert len(proofs) == 1, feature
        for proof in proofs[0].removesuffix(" |").split(", "):
            assert re.fullmatch(r"`(tests/\w+\.py::[\w:]+|python -m [\w.]+)`", proof), proof
            if script := re.match(r"`python -m ([\w.]+)`", proof):
                path = ROOT / script.group(1).replace(".", "/")
                assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), proof


#: Of a module's public names those that are no feature: bases, tables, types, functions that find.
BESIDES = {
    optimizers: {"Memory", "Minimizer", "OPTIMIZERS", "Optimizer", "get", "schedules"},
    schedules: {"LearningRateSchedule", "SCHEDULES", "get"},
    losses: {"LOSSES", "Loss", "get"},
    metrics: {"Figure", "Metric", "ScikitLearn", "get"},
    callbacks: {"Logs", "format_logs"},
}


@pytest.mark.parametrize("module", BESIDES)
def test_every_name_is_a_feature(module):
    section = FEATURES
    if module in (losses, metrics):  # which have names in common
        title = module.__name__.rpartition(".")[2].title()
        section = FEATURES.partition(f"## {title}\n")[2].partition("\n## ")[0]
    assert BESIDES[module] < set(module.__all__)
    for name in set(module.__all__) - BESIDES[module]:
        assert re.search(rf"`(fw\.)?{name}\b", section), name
