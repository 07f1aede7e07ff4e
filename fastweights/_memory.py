"""How much memory there is."""

from __future__ import annotations

import os


def total_memory() -> int | None:
    """The bytes of memory that this machine has, where the system tells."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None
