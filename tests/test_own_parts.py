"""The guide about parts of one's own: what it shows runs, learns and comes back from files."""

import re
from pathlib import Path

import pytest
from helpers import same_bits

from fastweights import losses, metrics, optimizers

GUIDE = Path(__file__).parents[1] / "docs" / "own-parts.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(autouse=True)
def registered():
    """What files know, for as long as the test lasts."""
    known = losses.own.REGISTERED, metrics.functions.REGISTERED, optimizers.own.REGISTERED
    before = [dict(one) for one in known]
    yield
    for one, was in zip(known, before, strict=True):
        one.clear()
        one.update(was)


def test_there_is_one_of_each_kind():
    assert len(EXAMPLES) == 5


@pytest.mark.parametrize(
    "example", EXAMPLES, ids=["loss", "loss with settings", "metric", "optimizer", "callback"]
)
def test_the_examples_of_the_guide(example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = {"__name__": "guide"}
    exec(compile(example, str(GUIDE), "exec"), found)
    model, again, x, y = (found[name] for name in ("model", "again", "x", "y"))
    same_bits(again.predict(x), model.predict(x))
    assert again.metrics == model.metrics
    assert again.loss == model.loss
    before = model.evaluate(x, y, return_dict=True)["loss"]
    for one in (model, again):
        one.fit(x, y, epochs=20, verbose=0)
    same_bits(again.parameters, model.parameters)
    assert model.evaluate(x, y, return_dict=True)["loss"] < before
    if "history" in found:
        assert len(found["history"].epoch) < 100
