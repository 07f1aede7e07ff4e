"""Fixtures that several test files share."""

import pytest
from layer_cases import Merged

from fastweights import layers


@pytest.fixture
def merged_is_known(monkeypatch):
    """The tests' layer of several branches is as one of the library's own: it can be copied."""
    monkeypatch.setitem(layers.LAYERS, "Merged", Merged)
