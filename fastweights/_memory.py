"""How much memory there is."""

from __future__ import annotations

import math
import os

from fastweights import _check


def total_memory() -> int | None:
    """The bytes of memory that this machine has, where the system tells."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def refuse_what_fills_memory(argument: str, shape: tuple[int, ...], size: int = 1) -> None:
    """Raises ValueError where rows (rows, ...) of items of `size` bytes take more than there is."""
    memory = total_memory()
    bytes_needed = math.prod(shape) * size
    if memory is not None and bytes_needed > memory:
        got = f"{shape[0]:,} of {shape[1:]}, which take {bytes_needed // 2**30:,} GiB"
        expected = f"what fits the {memory // 2**30:,} GiB of this machine; make them smaller"
        raise ValueError(_check.refusal(argument, got, expected))
