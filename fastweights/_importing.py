"""Imports at first use, none of which a fork leaves half done.

# Design: a forked process has the locks of the modules that other threads of its parent were in the
# middle of importing, and nobody who would give them back: whoever imports those there waits for
# ever. So a fork waits for imports that have begun, and imports for a fork that has. Neither waits
# long: an import may itself wait for what the forking thread is in the middle of importing.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from _thread import get_ident
from collections.abc import Callable
from typing import Any

#: How long a fork and an import wait for each other at most, and between two looks: seconds.
PATIENCE, NAP = 5.0, 1e-3

#: The threads that are importing, once for each import, and those that are forking. Lists whose
#: methods are atomic, rather than a lock that a fork could copy.
_importing: list[int] = []
_forking: list[int] = []


def imported(name: str) -> Any:
    """The module of this full name, which is imported where it was not yet."""
    module = sys.modules.get(name)
    if module is not None and not getattr(module.__spec__, "_initializing", False):
        return module
    me = get_ident()
    if me not in _importing:  # whoever is, is waited for
        _wait_while(lambda: any(thread != me for thread in _forking))
    _importing.append(me)
    try:
        return importlib.import_module(name)
    finally:
        if me in _importing:  # unless a fork left it behind
            _importing.remove(me)


def _wait_while(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while holds() and time.monotonic() < until:
        time.sleep(NAP)


def _before_fork() -> None:
    me = get_ident()
    _forking.append(me)
    _wait_while(lambda: any(thread != me for thread in _importing))


def _after_fork() -> None:
    _forking.remove(get_ident())


def _after_fork_in_child() -> None:
    me = get_ident()
    _importing[:] = [thread for thread in _importing if thread == me]
    _forking.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork,
        after_in_child=_after_fork_in_child,
    )
