"""Chooses the compiled kernels for this CPU, once, at import."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
from types import ModuleType

import numpy as np

from fastweights import _check

try:
    from fastweights._core import cpu
except ImportError as error:
    raise ImportError(
        f"{os.path.dirname(__file__)} has no compiled core and none is installed: "
        "run pip install . (or pip install -e . to work on it)"
    ) from error

LEVELS = ("amx", "avx512", "avx2", "neon", "baseline")
_SUFFIX = {"float32": "f32", "float64": "f64"}


def _is_built(level: str) -> bool:
    return all(
        importlib.util.find_spec(f"fastweights._core.kernels_{level}_{suffix}")
        for suffix in _SUFFIX.values()
    )


def available_levels() -> list[str]:
    """The CPU levels that were built and that this CPU can run, best first."""
    return [level for level in cpu.supported_levels() if _is_built(level)]


def _choose() -> str:
    wanted = os.environ.get("FASTWEIGHTS_ISA", "").strip().lower()
    if not wanted:
        return next(level for level in cpu.supported_levels() if _is_built(level))
    if wanted not in LEVELS:
        raise ValueError(
            _check.refusal("FASTWEIGHTS_ISA", repr(wanted), f"one of {', '.join(LEVELS)}")
        )
    if wanted not in cpu.supported_levels():
        raise ImportError(
            _check.refusal(
                "FASTWEIGHTS_ISA",
                f"{wanted!r}, which this CPU cannot run",
                f"one of {', '.join(available_levels())}",
            )
        )
    if not _is_built(wanted):
        raise ImportError(
            _check.refusal(
                "FASTWEIGHTS_ISA",
                f"{wanted!r}, which this installation was built without",
                f"one of {', '.join(available_levels())}",
            )
        )
    return wanted


#: The CPU level in use.
LEVEL = _choose()


@functools.cache
def kernels(dtype: np.dtype) -> ModuleType:
    """The compiled kernels for ``dtype`` on the CPU level in use."""
    return importlib.import_module(f"fastweights._core.kernels_{LEVEL}_{_SUFFIX[dtype.name]}")
