"""Fixtures that several test files share."""

import numpy as np
import pytest
from layer_cases import Masked, Merged

from fastweights import _building, _plans, layers, optimizers


@pytest.fixture
def merged_is_known(monkeypatch):
    """The tests' layers of other layers are as some of the library's own: it can be copied."""
    monkeypatch.setitem(layers.LAYERS, "Merged", Merged)
    monkeypatch.setitem(layers.LAYERS, "Masked", Masked)


@pytest.fixture(scope="session")
def faulty_core(tmp_path_factory):
    """The core with all faults planted in it, built once."""
    from faults import PLANTED
    from planted import build  # which needs Cython

    return build(tmp_path_factory.mktemp("planted"), PLANTED)


@pytest.fixture(scope="session")
def guarded_plan(tmp_path_factory):
    """The plan's module with an arena of guarded buffers, built once."""
    from guarding import build_plan

    return build_plan(tmp_path_factory.mktemp("guarded"))


@pytest.fixture
def guarded_library(guarded_plan, monkeypatch):
    """The library with that plan; models' arrays end where an unreadable page begins."""
    from guarding import guarded_copy

    for module in (_plans, _building, optimizers):
        monkeypatch.setattr(module, "_plan", guarded_plan)
    monkeypatch.setattr(
        _building, "aligned_zeros", lambda n, dtype: guarded_copy(np.zeros(n, dtype))
    )
