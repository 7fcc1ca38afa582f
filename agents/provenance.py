"""What made an agent or a label: source, versions and machine, so that bytes that differ can be explained."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import torch

import goalscope

SOURCES = ("agents", "envs")
PACKAGES = ("goalscope", "numba", "numpy", "torch")


@cache
def code_hash() -> str:
    """Over all source of `agents` and `envs`: what can change an agent or what is measured of it."""
    root = Path(goalscope.__file__).parent
    files = [path for folder in SOURCES for path in sorted((root / folder).rglob("*.py"))]
    return sha256(b"".join(sha256(path.read_bytes()).digest() for path in files)).hexdigest()


@cache
def made_here() -> Mapping[str, str]:
    """Code, versions of what computes, the kind of processor, and the instructions by which torch picks its kernels.

    Nothing that tells one machine from its like.
    """
    chosen_by = torch.backends.cpu.get_cpu_capability()
    return {
        "code": code_hash(),
        **{name: version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {processor()}, {chosen_by}",
    }


def processor() -> str:
    """Its model, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or "unknown"


def differences(before: Mapping[str, str]) -> list[str]:
    """In what this code and machine differ from those that made something, a phrase each."""
    now = made_here()
    return [
        f"{name} {_short(before.get(name, 'unknown'))}, now {_short(now.get(name, 'unknown'))}"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    ]


def _short(value: str) -> str:
    return f"{value[:12]}…" if len(value) == sha256().digest_size * 2 else value
