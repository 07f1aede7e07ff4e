"""Process-wide settings, and what this installation runs on."""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import os
import threading
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from fastweights import _check, _dispatch

#: The names of the precisions: into how many bfloat16 parts matrix products then split float32.
PRECISIONS: Mapping[str, int] = MappingProxyType({"highest": 3, "high": 2, "medium": 1})

#: The largest team, MAX_MEMBERS of team.pxi.
MAX_TEAM = 64

_settings: dict[str, Any] = {"matmul_precision": "highest", "reproducible": False}

#: The most threads, by who asked for them: 0 is `set_num_threads`, and each open block of `threads`
#: has a later number. One of several threads that leaves its block takes away its own.
_num_threads: dict[int, int] = {}
_blocks = itertools.count(1)

#: How many parts are allowed now, by the precision that a model has of its own (None: none); 0 is
#: for no splitting.
matmul_parts: dict[str | None, int] = {None: 3}
matmul_parts.update(PRECISIONS)


#: In place of FASTWEIGHTS_GRAIN, for tests.
_grain: float | None = None


class _OfThisThread(threading.local):
    """What holds for one Python thread alone."""

    #: The most threads that its steps may use.
    num_threads = MAX_TEAM


_of_this_thread = _OfThisThread()


class Budget(NamedTuple):
    """What a step may spend: threads, of how many CPUs, and the work that repays a thread."""

    threads: int
    cpus: int
    grain: float


@functools.cache
def _quota(root: str = "/sys/fs/cgroup") -> int | None:
    """The CPUs' worth of time that Linux allows this process's container, rounded up, or None."""
    try:
        with open(f"{root}/cpu.max") as file:  # control groups, version 2
            quota, period = file.read().split()
    except (OSError, ValueError):
        try:
            with open(f"{root}/cpu/cpu.cfs_quota_us") as file:  # version 1
                quota = file.read()
            with open(f"{root}/cpu/cpu.cfs_period_us") as file:
                period = file.read()
        except OSError:
            return None
    try:
        return -(-int(quota) // int(period)) if int(quota) > 0 else None
    except (ValueError, ZeroDivisionError):  # "max"
        return None


def _available_cpus() -> int:
    """The CPUs that this process may run on, or fewer where it may not use all of their time."""
    if hasattr(os, "sched_getaffinity"):
        available = len(os.sched_getaffinity(0))
    else:
        available = os.cpu_count() or 1
    return min(available, _quota() or available)


def _count(text: str) -> int | None:
    """The whole number of at least 1 that these digits are, or None."""
    try:
        count = int(text) if text.isascii() and text.isdigit() else 0
    except ValueError:  # more digits than int() reads
        count = 0
    return count or None


def _default_threads() -> int:
    """FASTWEIGHTS_NUM_THREADS, or else the CPUs of this process, or fewer by OMP_NUM_THREADS."""
    own = os.environ.get("FASTWEIGHTS_NUM_THREADS", "").strip()
    if own:
        limit = _count(own)
        if limit is None:
            raise ValueError(
                _check.refusal("FASTWEIGHTS_NUM_THREADS", repr(own), "a whole number, at least 1")
            )
        return limit
    available = _available_cpus()
    asked = _count(os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip())
    return min(asked or available, available)


@functools.cache
def _default_grain() -> float:
    """FASTWEIGHTS_GRAIN, or else what makes one more thread worth while, about 15 us of work.

    In multiply-adds; 0 takes every thread for every step, however small, which tests want.
    """
    text = os.environ.get("FASTWEIGHTS_GRAIN", "").strip() or "4e5"
    try:
        grain = float(text)
    except ValueError:
        grain = math.nan
    if not 0.0 <= grain < math.inf:
        raise ValueError(
            _check.refusal("FASTWEIGHTS_GRAIN", repr(text), "a finite number, at least 0")
        )
    return grain


def budget() -> Budget:
    """Threads beyond the CPUs would only be in each other's way."""
    grain = _default_grain() if _grain is None else _grain
    cpus = _available_cpus()
    most = min(get_num_threads(), _of_this_thread.num_threads)
    return Budget(min(most, cpus if grain > 0.0 else MAX_TEAM), cpus, grain)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Has steps of the calling Python thread use no other one, within the block."""
    before = _of_this_thread.num_threads
    _of_this_thread.num_threads = 1
    try:
        yield
    finally:
        _of_this_thread.num_threads = before


def set_num_threads(n: int) -> None:
    """Sets the most threads that a step may use, at least 1.

    While a block of `threads` is open, that block's number holds, and this one afterwards.
    """
    _num_threads[0] = _check.whole("n", n, 1)


def get_num_threads() -> int:
    """The most threads that a step may use.

    Unless `set_num_threads` said otherwise: ``FASTWEIGHTS_NUM_THREADS``, or else the CPUs that this
    process may run on (affinity, and a container's limit), or fewer if ``OMP_NUM_THREADS`` says so.
    """
    asked = list(_num_threads.items())  # in one go: other threads come and leave
    return max(asked)[1] if asked else _default_threads()


@contextlib.contextmanager
def threads(n: int) -> Iterator[None]:
    """``with fw.threads(2): ...`` sets the number of threads for a while, for the whole process.

    Of blocks that are open at a time, in one Python thread or in several, the one entered last
    decides; whichever is left, the others' numbers stay as they are.
    """
    block = next(_blocks)
    try:
        _num_threads[block] = _check.whole("n", n, 1)
        yield
    finally:
        _num_threads.pop(block, None)


def set_matmul_precision(precision: str) -> None:
    """Sets how exact float32 matrix products must be, ``"highest"``, ``"high"`` or ``"medium"``.

    ``highest`` is float32 accuracy. The other two allow about 4e-6 and 2e-3 of relative error where
    that is faster; on a CPU or level where it is not, products keep float32 accuracy. A model may
    have a precision of its own, ``Sequential(..., matmul_precision="high")``.
    """
    _check.choice("precision", precision, PRECISIONS)
    _set_matmul(matmul_precision=precision)


def set_reproducible(reproducible: bool) -> None:
    """Sets whether one seed must give the same bits on every CPU with fused multiply-adds.

    By default CPUs with matrix tiles (AMX) use them where they are faster, within the precision
    asked for, and round differently there from other CPUs. True keeps to multiply-adds, whatever
    precision was set. The bits never depend on the number of threads.
    """
    _set_matmul(reproducible=_check.flag("reproducible", reproducible))


def _set_matmul(**changed: Any) -> None:
    _settings.update(changed)
    for own, parts in PRECISIONS.items():
        matmul_parts[own] = 0 if _settings["reproducible"] else parts
    matmul_parts[None] = matmul_parts[_settings["matmul_precision"]]


def config() -> dict[str, Any]:
    """What is in use: version, CPU level, levels to choose from, threads, how products are done.

    ``"matmul"`` says what large float32 products are made of.
    """
    from fastweights import __version__

    return {
        "version": __version__,
        "cpu_level": _dispatch.level(),
        "available_levels": _dispatch.available_levels(),
        "cpus": _available_cpus(),
        "num_threads": get_num_threads(),
        "matmul_precision": _settings["matmul_precision"],
        "reproducible": _settings["reproducible"],
        "matmul": _matmul_in_use(),
    }


def _matmul_in_use() -> str:
    parts = matmul_parts[None]
    if _dispatch.level() != "amx" or parts == 0:
        return "float32 multiply-adds"
    products = {3: "six bfloat16 products", 2: "three bfloat16 products", 1: "bfloat16 products"}
    return f"{products[parts]} on AMX tiles where that is faster, float32 multiply-adds elsewhere"
