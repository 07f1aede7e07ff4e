"""Fixtures that several test files share."""

import os

import numpy as np
import pytest
from layer_cases import Begun, Masked, Merged

from fastweights import _building, _plans, layers, optimizers

#: What tests of random networks beside PyTorch are called, and what they compare.
COMPARED = {
    "test_a_network_of_all_kinds_of_layers": "of all kinds of layers",
    "test_a_convolutional_network": "convolutional",
    "test_a_random_network_is_as_in_pytorch": "recurrent",
    "test_a_network_with_attention": "with attention",
}


def pytest_terminal_summary(terminalreporter):
    """How many networks were the same in PyTorch, by family."""
    names = [
        report.nodeid.split("::")[-1].split("[")[0]
        for report in terminalreporter.stats.get("passed", [])
    ]
    found = [f"{names.count(test)} {kind}" for test, kind in COMPARED.items() if test in names]
    if found:
        terminalreporter.write_line(f"networks as in PyTorch: {', '.join(found)}")


@pytest.fixture
def merged_is_known(monkeypatch):
    """The tests' layers of other layers are as some of the library's own: it can be copied."""
    monkeypatch.setitem(layers.LAYERS, "Merged", Merged)
    monkeypatch.setitem(layers.LAYERS, "Masked", Masked)
    monkeypatch.setitem(layers.LAYERS, "Begun", Begun)


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory):
    """A folder of this run of the tests, which all of its workers have."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def faulty_core(shared_folder):
    """The core with all faults planted in it, built once."""
    from faults import PLANTED
    from planted import build  # which needs Cython

    return build(shared_folder / "planted", PLANTED)


@pytest.fixture(scope="session")
def guarded_plan(shared_folder):
    """The plan's module with an arena of guarded buffers, built once."""
    from guarding import build_plan

    return build_plan(shared_folder / "guarded")


@pytest.fixture
def guarded_library(guarded_plan, monkeypatch):
    """The library with that plan; models' arrays end where an unreadable page begins."""
    from guarding import guarded_copy

    for module in (_plans, _building, optimizers.base):
        monkeypatch.setattr(module, "_plan", guarded_plan)
    monkeypatch.setattr(
        _building, "aligned_zeros", lambda n, dtype: guarded_copy(np.zeros(n, dtype))
    )
