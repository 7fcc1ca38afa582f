"""What the process does with memory that training frees."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

BLOCK, KEPT = 1 << 25, 1 << 28
"""Bytes: blocks up to this size (glibc's limit, 32 MiB) come from the heap; of the heap so much is kept when free."""
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""glibc's names for the two."""


@cache
def keep_freed_memory() -> bool:
    """Keep freed memory for the next minibatch, in the whole process from now on; returns whether that could be asked.

    By itself glibc gives large blocks back to the system as soon as they are free. A network's activations are such
    blocks, and every minibatch had to get them anew, page by page: that took a sixth to a third of the default conv
    recipe's training time. Where there is no glibc nothing changes.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(
        mallopt(*setting) for setting in ((MMAP_THRESHOLD, BLOCK), (TRIM_THRESHOLD, KEPT))
    )
