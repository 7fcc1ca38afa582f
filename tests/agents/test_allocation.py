"""Memory that is freed and asked for again."""

from __future__ import annotations

import platform
import resource

import torch

from goalscope.agents.allocation import keep_freed_memory

PAGES, BLOCKS, ROUNDS = 2048, 12, 10


def faults() -> int:
    """How many pages of memory the process gets from the system while it fills and frees large blocks many times."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(ROUNDS):
        [torch.ones(PAGES, resource.getpagesize(), dtype=torch.uint8) for _ in range(BLOCKS)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_freed_memory_is_used_again() -> None:
    kept = keep_freed_memory()
    assert kept == (platform.libc_ver()[0] == "glibc")
    faults()
    assert faults() < BLOCKS * PAGES or not kept
