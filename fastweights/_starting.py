"""What goes wrong while the command is still being imported, which `cli.main` cannot catch yet.

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


def _in_one_line(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Ctrl-C, and settings in the environment that are no good, as `cli.main` tells them."""
    if issubclass(kind, KeyboardInterrupt):
        message, code = "interrupted", 130
    elif issubclass(kind, (ValueError, ImportError)):
        message, code = " ".join(str(error).split()), 2
    else:
        return sys.__excepthook__(kind, error, trace)
    if sys.stderr is not None:
        sys.stderr.write(f"fastweights: error: {message}\n")
        sys.stderr.flush()
    os._exit(code)


if _is_the_command():
    sys.excepthook = _in_one_line
