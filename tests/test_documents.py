"""What the documents say runs, and names what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


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
