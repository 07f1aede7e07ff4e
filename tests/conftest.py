"""Fixtures that several test files share."""

import pytest
from layer_cases import Begun, Masked, Merged

from fastweights import layers


@pytest.fixture
def merged_is_known(monkeypatch):
    """The tests' layers of other layers are as some of the library's own: it can be copied."""
    monkeypatch.setitem(layers.LAYERS, "Merged", Merged)
    monkeypatch.setitem(layers.LAYERS, "Masked", Masked)
    monkeypatch.setitem(layers.LAYERS, "Begun", Begun)
