"""Scripts for Keras 3 run here when their imports are changed: same shapes, same numbers.

Each file of ``keras_scripts`` is a program as a user of Keras writes it, apart from its imports,
which ``python keras_scripts/NAME.py keras`` or ``... fastweights`` decides, and from handing on its
weights. Skipped where Keras is not there.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("keras", "jax")),
    reason="needs Keras, and JAX on which it is run",
)

FOLDER = Path(__file__).parent / "keras_scripts"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*_*.py"))


def told(script, library, folder, *flags):
    """What a script said at its end."""
    command = [sys.executable, *flags, str(FOLDER / f"{script}.py"), library, str(folder)]
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    found = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout.splitlines()[-1])


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_for_keras_does_the_same_here(script, tmp_path):
    theirs = told(script, "keras", tmp_path)
    ours = told(script, "fastweights", tmp_path, "-W", "error")
    assert ours["shapes"] == theirs["shapes"]
    assert ours["parameters"] == theirs["parameters"]
    assert ours["figures"].keys() == theirs["figures"].keys()
    for name, figures in theirs["figures"].items():
        np.testing.assert_allclose(
            ours["figures"][name], figures, rtol=1e-5, atol=1e-6, err_msg=name
        )
