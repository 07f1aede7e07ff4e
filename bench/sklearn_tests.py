"""scikit-learn's own tests of its MLP, of the installed version, with our classes in its names.

    python -m bench.sklearn_tests

prints which fail, and ends with 1 where that is another list than the one that is known.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter

import pytest
import sklearn
from sklearn import neural_network

from fastweights import sklearn as ours

#: Those that fail, and why.
KNOWN = {
    "test_gradient": "calls the private method _loss_grad_lbfgs; tests/test_gradient_matrix.py "
    "checks our gradients",
}


class Outcomes:
    """How each test ended; and what scikit-learn's own conftest would have given them."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}

    @pytest.fixture
    def global_random_seed(self) -> int:
        return 42

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.failed or report.skipped:
            self.found[report.nodeid.rpartition("::")[2]] = report.outcome


def run() -> dict[str, str]:
    """The outcome of each test."""
    neural_network.MLPClassifier = ours.MLPClassifier
    neural_network.MLPRegressor = ours.MLPRegressor
    from sklearn.neural_network.tests import test_mlp

    outcomes = Outcomes()
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["-q", "--tb=line", "--import-mode=importlib", "-p", "no:cacheprovider"]
        pytest.main([test_mlp.__file__, *arguments, f"--rootdir={folder}"], [outcomes])
    return outcomes.found


def main() -> int:
    found = run()
    counts = Counter(found.values())
    print(f"scikit-learn {sklearn.__version__}: {dict(counts)}")
    failed = {name for name, outcome in found.items() if outcome == "failed"}
    for name in sorted(failed | set(KNOWN)):
        state = "fails" if name in failed else "no longer fails"
        print(f"{name}: {state}; {KNOWN.get(name, 'not known why')}")
    return int(not found or failed != set(KNOWN))


if __name__ == "__main__":
    sys.exit(main())
