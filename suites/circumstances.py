"""Where and with what rows are made: versions, hardware, and the commit of the source."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path

import goalscope
from goalscope.agents.provenance import processor

PACKAGES = ("goalscope", "numpy", "scipy", "torch", "scikit-learn", "numba", "gymnasium", "minigrid")


@cache
def versions() -> dict[str, str]:
    """Of what can change a number."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


@cache
def hardware() -> dict[str, str | int]:
    """System, processor model and number of cores; of the machine that works, not of the one that collects."""
    return {"machine": platform.platform(), "cpu": processor(), "cores": os.cpu_count() or 1}


def commit() -> dict[str, str | bool | None]:
    """The git commit of the package's source and whether files differ from it; nothing where it is no checkout."""
    folder = Path(goalscope.__file__).resolve().parent
    try:
        _git(folder, "ls-files", "--error-unmatch", "__init__.py")  # the checkout of somebody's project is not ours
        return {
            "git_commit": _git(folder, "rev-parse", "HEAD"),
            "git_dirty": bool(_git(folder, "status", "--porcelain")),
        }
    except (OSError, subprocess.SubprocessError):
        return {"git_commit": None, "git_dirty": None}


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
