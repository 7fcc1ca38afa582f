"""What tests of suites share."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

import pytest
from tests.suites.made_up import AGENTS, save_zoo, write_suite

from goalscope.envs.kernels.jit import cache_root


@pytest.fixture(scope="session")
def tiny_zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny zoo: not to be changed. Whoever of the processes that share the tests comes first makes it."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    folder = shared / "tiny_zoo"
    with (shared / "tiny_zoo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            save_zoo(shared / "half_zoo", agents=AGENTS)
            (shared / "half_zoo").rename(folder)
    return folder


@pytest.fixture(scope="session")
def cache(tiny_zoo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder with the tiny zoo, and the kernels that are compiled already: not to be changed."""
    folder = tmp_path_factory.mktemp("cache")
    kernels = cache_root() / "kernels"
    kernels.mkdir(parents=True, exist_ok=True)
    (folder / "kernels").symlink_to(kernels)
    shutil.copytree(tiny_zoo, folder / "zoos" / "tiny")
    return folder


@pytest.fixture(scope="module")
def made(tiny_zoo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny zoo, its recipes, a suite and detectors: not to be changed."""
    folder = tmp_path_factory.mktemp("made")
    shutil.copytree(tiny_zoo, folder / "zoo")
    write_suite(folder)
    return folder
