"""The command line for those who add an environment: `goalscope new env` and `goalscope check env`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.command import complaint, goalscope, output

from goalscope.registry import FAMILIES

# new env


def test_a_new_family_is_short_and_keeps_the_contract(tmp_path: Path) -> None:
    printed = output("new", "env", "harbour", "--out", tmp_path / "deep" / "folder")
    folder = tmp_path / "deep" / "folder"
    assert sorted(path.name for path in folder.iterdir()) == ["harbour.py", "test_harbour.py"]
    assert len((folder / "harbour.py").read_text().splitlines()) <= 60
    assert FAMILIES.load(str(folder / "harbour.py")).id == "harbour"
    for step in (f"goalscope check env {folder}/harbour.py", "goalscope levels", 'harbour = "your_package.harbour"'):
        assert step in printed
    report = json.loads(output("check", "env", folder / "harbour.py", "--levels", "64", "--json"))
    assert report["family"] == "harbour" and report["passed"]


def test_the_test_of_a_new_family_passes(tmp_path: Path) -> None:
    output("new", "env", "harbour", "--out", tmp_path)
    options = ["-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    done = subprocess.run([sys.executable, "-m", "pytest", *options, tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


@pytest.mark.parametrize("there", ["harbour.py", "test_harbour.py"])
def test_new_never_overwrites(there: str, tmp_path: Path) -> None:
    (tmp_path / there).write_text("mine")
    assert "is there already" in complaint("new", "env", "harbour", "--out", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "mine"


@pytest.mark.parametrize(
    "name", ["", "My-World", "1st", "_x", "class", "über", "a b", "../up", "random", "numpy", "coin_dish"]
)
def test_new_refuses_names_that_cannot_be_modules_or_are_taken(name: str, tmp_path: Path) -> None:
    assert repr(name) in complaint("new", "env", name, "--out", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_new_needs_a_folder_to_write_into(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "Could not make the folder" in complaint("new", "env", "harbour", "--out", tmp_path / "file")


# check env


def test_a_check_tells_people_what_passed_and_what_the_levels_are_like() -> None:
    printed = output("check", "env", "coin_dish", "--levels", "32")
    assert "✓   twins" in printed and "✗" not in printed
    assert "training levels; splits hold out levels" in printed
    assert "cannot show which of the two an agent pursues" in printed
    assert [line.split()[:2] for line in printed.splitlines() if line.startswith("  apart")] == [["apart", "1"]]


def test_a_check_for_programs_is_strict_json() -> None:
    found = json.loads(output("check", "env", "coin_dish", "--levels", "32", "--json"), parse_constant=pytest.fail)
    assert list(found) == ["family", "passed", "results", "support", "diversity", "null", "problems"]
    assert (found["family"], found["passed"], found["problems"]) == ("coin_dish", True, [])
    assert all(list(result) == ["name", "passed", "seconds", "message"] for result in found["results"])
    assert [null["shift"] for null in found["null"]] == ["near", "middle", "apart"]
    assert all(sum(null["null"].values()) == pytest.approx(1) for null in found["null"])


def test_a_family_that_breaks_its_contract_fails_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("goalscope.envs.sampling.MOST_DRAWS", 1_000)  # enough to see that there is none
    output("new", "env", "harbour", "--out", tmp_path)
    file = tmp_path / "harbour.py"
    file.write_text(file.read_text().replace("2 if settings.gap else 1", "1"))  # the sign never leaves the prize
    done = goalscope("check", "env", file, "--levels", "32")
    assert done.exit_code == 1
    assert "✗   query" in done.stdout and "✓   coincident" in done.stdout
    assert done.stdout.count("Likely cause: under this shift the goals are not apart") == 1  # though many checks fail
    assert "No report on chance under apart" in done.stdout


def test_a_file_that_cannot_be_imported_fails_its_check(tmp_path: Path) -> None:
    (tmp_path / "leaky.py").write_text("raise RuntimeError('a pipe burst')\n")
    done = goalscope("check", "env", tmp_path / "leaky.py")
    assert done.exit_code == 1
    assert "a pipe burst" in done.stdout
    found = json.loads(goalscope("check", "env", tmp_path / "leaky.py", "--json").stdout)
    assert (found["passed"], found["support"], found["null"]) == (False, None, [])


def test_checking_something_unknown_is_a_mistake_of_the_caller() -> None:
    assert "Did you mean 'coin_dish'" in complaint("check", "env", "coin_dich")
