"""Memory that is freed and asked for again."""

from __future__ import annotations

import platform
import resource

import torch

from goalscope.agents.allocation import keep_freed_memory

PAGES, ROUNDS = 4096, 20


def faults() -> int:
    """How often this process has got a page of memory from the system."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def test_freed_memory_is_used_again() -> None:
    kept = keep_freed_memory()
    assert kept == (platform.libc_ver()[0] == "glibc")
    torch.ones(PAGES, resource.getpagesize(), dtype=torch.uint8)
    before = faults()
    for _ in range(ROUNDS):
        torch.ones(PAGES, resource.getpagesize(), dtype=torch.uint8)
    assert faults() - before < PAGES or not kept
