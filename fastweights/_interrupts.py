"""Ctrl-C while the command is still being imported, which `cli.main` cannot catch yet.

Imported before everything else. It does nothing in a program that merely uses the library.
"""

from __future__ import annotations

import os
import sys
from types import TracebackType


def _is_the_command() -> bool:
    """Whether this process is ``fastweights ...`` or ``python -m fastweights ...``."""
    started = getattr(sys, "argv", [""])[0]
    if started == "-m":  # while the module is being looked for
        return not {"fastweights", "-mfastweights"}.isdisjoint(sys.orig_argv)
    return os.path.splitext(os.path.basename(started))[0] == "fastweights"


def _without_traceback(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        return sys.__excepthook__(kind, error, trace)
    if sys.stderr is not None:
        sys.stderr.write("fastweights: error: interrupted\n")
        sys.stderr.flush()
    os._exit(130)


if _is_the_command():
    sys.excepthook = _without_traceback
