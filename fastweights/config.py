"""Process-wide settings, and what this installation runs on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from fastweights import _check, _dispatch

PRECISIONS = {"highest": "highest", "high": "high", "medium": "medium"}

_settings: dict[str, Any] = {"num_threads": None, "matmul_precision": "highest"}


def _default_threads() -> int:
    """OMP_NUM_THREADS where it is a whole number, but never more than the CPUs of this process."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    limit = int(asked) if asked.isdigit() and int(asked) > 0 else available
    return max(1, min(limit or 1, available or 1))


def set_num_threads(n: int) -> None:
    """Sets the most threads that a step may use, at least 1."""
    _settings["num_threads"] = _check.whole("n", n, 1)


def get_num_threads() -> int:
    """The most threads that a step may use.

    Unless `set_num_threads` said otherwise: the CPUs that this process may run on, or fewer if
    ``OMP_NUM_THREADS`` says so.
    """
    return _settings["num_threads"] or _default_threads()


@contextlib.contextmanager
def threads(n: int) -> Iterator[None]:
    """``with fw.threads(2): ...`` sets the number of threads for a while."""
    before = _settings["num_threads"]
    set_num_threads(n)
    try:
        yield
    finally:
        _settings["num_threads"] = before


def set_matmul_precision(precision: str) -> None:
    """Sets how exact float32 matrix products must be, ``"highest"``, ``"high"`` or ``"medium"``.

    ``highest`` is float32 accuracy. The other two allow about 4e-6 and 2e-3 of relative error where
    that is faster; on a CPU or level where it is not, products keep float32 accuracy.
    """
    _settings["matmul_precision"] = _check.choice("precision", precision, PRECISIONS)


def config() -> dict[str, Any]:
    """What is in use: version, CPU level, levels to choose from, threads, matmul precision."""
    from fastweights import __version__

    return {
        "version": __version__,
        "cpu_level": _dispatch.LEVEL,
        "available_levels": _dispatch.available_levels(),
        "num_threads": get_num_threads(),
        "matmul_precision": _settings["matmul_precision"],
    }
