"""What keeps a network from learning by heart does: the example's case, which overfits."""

import importlib.util
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parent.parent / "examples" / "overfitting.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("overfitting", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_way_alone_lowers_the_loss_of_unseen_rows(example, tmp_path):
    kept = example.unseen_losses(seed=0)
    by_heart = kept.pop("nothing")
    assert by_heart[-1] > 1.2 * min(by_heart)  # it overfits
    assert list(kept) == ["dropout 0.5", "L2 0.01", "early stopping"]
    for name, losses in kept.items():
        assert losses[-1] < 0.9 * by_heart[-1], name
    assert len(kept["early stopping"]) < len(by_heart)
    pytest.importorskip("matplotlib")
    example.draw({"nothing": by_heart, **kept}, tmp_path / "o.png")
    assert (tmp_path / "o.png").read_bytes().startswith(b"\x89PNG")
