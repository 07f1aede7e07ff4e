"""Imports at first use: a fork in the middle of one leaves nobody waiting in the child."""

from __future__ import annotations

import os

import pytest
from helpers import run_python

pytestmark = [
    pytest.mark.promises,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system"),
]

# A child that is there after a minute waits for ever.
FORK = """
import os, signal, sys, threading, time, warnings
from fastweights import _importing
warnings.simplefilter("ignore", DeprecationWarning)
def fork(act):
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        act()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""


def test_a_fork_waits_for_the_imports_of_other_threads(tmp_path):
    (tmp_path / "slow_one.py").write_text("import time; time.sleep(0.5); value = 3\n")
    found = run_python(
        FORK + f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "load = lambda: _importing.imported('slow_one').value\n"
        "other = threading.Thread(target=load); other.start()\n"
        "while 'slow_one' not in sys.modules: time.sleep(0.001)\n"
        "fork(load)\n"
        "other.join(); print(_importing._importing, _importing._forking)\n"
    )
    assert found.stdout == "[] []\n", found.stderr


def test_a_fork_in_the_middle_of_an_import_goes_on_with_it(tmp_path):
    (tmp_path / "forking.py").write_text(
        "import os\nchild = os.fork()\nif child: assert os.waitpid(child, 0)[1] == 0\n"
    )
    found = run_python(
        FORK + f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "signal.alarm(60)\n"
        "module = _importing.imported('forking')\n"
        "assert not _importing._importing and not _importing._forking\n"
        "if not module.child: os._exit(0)\n"
        "print('done')\n"
    )
    assert found.stdout == "done\n", found.stderr


def test_names_that_threads_ask_for_first_while_another_forks():
    found = run_python(
        FORK + "import fastweights as fw\n"
        "names = [n for n in fw.__all__ if n not in vars(fw)]\n"
        "def ask(): [getattr(fw, name) for name in names]\n"
        "other = threading.Thread(target=ask); other.start()\n"
        "fork(ask)\n"
        "other.join(); print('done')\n"
    )
    assert found.stdout == "done\n", found.stderr
