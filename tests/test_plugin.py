"""A family in somebody else's package: installed, and with that alone known everywhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parent / "plugin"


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds the installed example; built from a copy, so that the checkout stays clean."""
    folder = tmp_path_factory.mktemp("plugin")
    source = shutil.copytree(EXAMPLE, folder / "source", ignore=shutil.ignore_patterns("__pycache__"))
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(folder / "site")]
    command = [sys.executable, "-m", "pip", "install", *options, str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


def python(installed: Path, *arguments: str) -> str:
    """The output of a Python process that sees the installed example."""
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_importing_goalscope_makes_its_gymnasium_id_known(installed: Path) -> None:
    code = "import goalscope, gymnasium; print(gymnasium.spec('goalscope/Lighthouse-v0').kwargs)"
    assert python(installed, "-c", code).strip() == "{'family': 'lighthouse'}"


def test_gymnasium_makes_it(installed: Path) -> None:
    code = (
        "import goalscope, gymnasium\n"
        "env = gymnasium.make('goalscope/Lighthouse-v0')\n"
        "observation, info = env.reset(seed=1)\n"
        "env.action_space.seed(1)\n"
        "observation, reward, terminated, truncated, info = env.step(env.action_space.sample())\n"
        "print(env.observation_space.contains(observation))"
    )
    assert python(installed, "-c", code).strip() == "True"


def test_the_command_line_lists_it(installed: Path) -> None:
    assert "lighthouse" in python(installed, "-m", "goalscope", "list", "envs")


def test_it_keeps_the_contract_and_has_pursuers_splits_and_pictures(installed: Path, tmp_path: Path) -> None:
    assert "✗" not in python(installed, "-m", "goalscope", "check", "env", "lighthouse")
    picture = tmp_path / "far.png"
    options = ["--shift", "far", "--split", "query", "--grid", "2x2", "--paths", "--out", str(picture)]
    python(installed, "-m", "goalscope", "levels", "lighthouse", *options)
    assert picture.stat().st_size > 1000


def test_it_is_one_short_file() -> None:
    lines = (EXAMPLE / "goalscope_plugin_example" / "lighthouse.py").read_text().splitlines()
    assert len(lines) <= 60
