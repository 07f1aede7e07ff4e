"""Chooses the compiled kernels for this CPU, once, when they are first asked for."""

from __future__ import annotations

import functools
import os
from types import ModuleType

import numpy as np

from fastweights import _check
from fastweights._importing import imported

_BUILD_IT = "run pip install . (or pip install -e . to work on it)"

try:
    from fastweights._core import plan
    from fastweights._core.cpu import KERNELS_STAMP, OPS_STAMP, supported_levels
except ImportError as error:
    raise ImportError(
        f"{os.path.dirname(__file__)} has no compiled core, or an old one, and none is installed: "
        + _BUILD_IT
    ) from error

if getattr(plan, "STAMP", None) != OPS_STAMP:
    raise ImportError(f"{plan.__file__} was built from other sources than the rest: {_BUILD_IT}")

LEVELS = ("amx", "avx512", "avx2", "neon", "baseline")
_SUFFIX = {"float32": "f32", "float64": "f64"}


def _module(level: str, suffix: str) -> ModuleType:
    module: ModuleType = imported(f"fastweights._core.kernels_{level}_{suffix}")
    return module


@functools.cache
def _obstacle(level: str) -> str | None:
    """Why this level cannot be used, or None."""
    if level not in supported_levels():
        return "which this CPU cannot run"
    try:
        modules = [_module(level, suffix) for suffix in _SUFFIX.values()]
    except ModuleNotFoundError:
        return "which this installation was built without"
    except ImportError as error:
        return f"which cannot be loaded ({error})"
    if any(getattr(module, "STAMP", None) != KERNELS_STAMP for module in modules):
        return f"which was built from other sources than the rest ({_BUILD_IT})"
    return None


def available_levels() -> list[str]:
    """The CPU levels that were built with this library and that this CPU can run, best first."""
    return [level for level in LEVELS if _obstacle(level) is None]


@functools.cache
def level() -> str:
    """The CPU level in use: that of FASTWEIGHTS_ISA, or else the best one."""
    wanted = os.environ.get("FASTWEIGHTS_ISA", "").strip().lower()
    if not wanted:
        for best in LEVELS:
            if _obstacle(best) is None:
                return best
        reasons = "; ".join(f"{name}, {_obstacle(name)}" for name in supported_levels())
        raise ImportError(f"no compiled kernels to use: {reasons}")
    if wanted not in LEVELS:
        raise ValueError(
            _check.refusal("FASTWEIGHTS_ISA", repr(wanted), f"one of {', '.join(LEVELS)}")
        )
    obstacle = _obstacle(wanted)
    if obstacle is not None:
        usable = available_levels()
        expected = f"one of {', '.join(usable)}" if usable else "another build"
        raise ImportError(_check.refusal("FASTWEIGHTS_ISA", f"{wanted!r}, {obstacle}", expected))
    return wanted


@functools.cache
def kernels(dtype: np.dtype) -> ModuleType:
    """The compiled kernels for ``dtype`` on the CPU level in use."""
    return _module(level(), _SUFFIX[dtype.name])
