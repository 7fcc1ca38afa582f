"""What is installed: four linked folders in a checkout, and one complete package in a wheel."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[1]
LINKED = ("envs", "agents", "detectors", "suites")


@pytest.mark.parametrize("name", LINKED)
def test_each_linked_folder_is_the_top_level_one(name: str) -> None:
    link = ROOT / "src" / "goalscope" / name
    assert link.is_dir(), f"{link} is not a folder: git must check out symbolic links (git config core.symlinks true)"
    assert link.samefile(ROOT / name)


def checkout_files() -> list[str]:
    """What a clone holds: files that git tracks, or would with the next `git add`."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    return [name for name in listed if name and (ROOT / name).exists()]


def installed_name(name: str) -> str:
    """Where a file of the checkout lies in an installed package; empty if it does not belong there."""
    if name.startswith("src/goalscope/"):
        return name.removeprefix("src/")
    return f"goalscope/{name}" if name.startswith(tuple(f"{folder}/" for folder in LINKED)) else ""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The names in a wheel that was built from a source distribution of a copy of the checkout."""
    if not (ROOT / ".git").exists():
        pytest.skip("needs a git checkout, to know which files belong to it")
    copy = tmp_path_factory.mktemp("checkout")
    for name in checkout_files():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy / name, follow_symlinks=False)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", "out", "."]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = (copy / "out").glob("*.whl")
    return ZipFile(built).namelist()


def test_the_wheel_holds_every_file_of_the_package(wheel: list[str]) -> None:
    links = {f"goalscope/{name}" for name in LINKED}
    expected = {installed_name(name) for name in checkout_files()} - links - {""}
    assert "goalscope/py.typed" in expected
    assert sorted(expected - set(wheel)) == []


def test_the_wheel_claims_one_import_name_and_holds_no_tests(wheel: list[str]) -> None:
    tops = {name.split("/")[0] for name in wheel}
    assert sorted(top.partition("-")[0] for top in tops) == ["goalscope", "goalscope"]
    assert {top.rpartition(".")[2] for top in tops} == {"goalscope", "dist-info"}
    assert [name for name in wheel if "test" in name.split("/")[1:-1]] == []
