"""scikit-learn's own tests of its MLP, with our classes in its names: the long form alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(
    not os.environ.get("FASTWEIGHTS_LONG"), reason="FASTWEIGHTS_LONG=1 runs scikit-learn's tests"
)
def test_those_that_fail_are_known():
    root = Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, "-m", "bench.sklearn_tests"]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
