"""The command line for those who submit a method: `goalscope new detector` and `goalscope check detector`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.command import complaint, goalscope, output

# new detector


def test_a_new_detector_is_short_and_keeps_the_contract(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "folder" / "my_method.py"
    printed = output("new", "detector", file)
    assert [path.name for path in file.parent.iterdir()] == ["my_method.py"]
    assert len(file.read_text().splitlines()) <= 20
    assert max(map(len, file.read_text().splitlines())) <= 120
    for step in (
        f"goalscope check detector {file}",
        f"goalscope run smoke --detector {file}",
        "your_package.my_method",
    ):
        assert step in printed
    assert output("check", "detector", file) == f"✓ {file}, T2 whitebox\n"


def test_new_never_overwrites(tmp_path: Path) -> None:
    file = tmp_path / "my_method.py"
    file.write_text("mine")
    assert "is there already" in complaint("new", "detector", file)
    assert file.read_text() == "mine"


@pytest.mark.parametrize("name", ["my_method", "My-Method.py", "1st.py", "class.py", "_x.py", "uniform.py", ".py"])
def test_new_refuses_names_that_cannot_be_modules_or_are_taken(name: str, tmp_path: Path) -> None:
    assert name.removesuffix(".py") in complaint("new", "detector", tmp_path / name)
    assert list(tmp_path.iterdir()) == []


# check detector


def test_a_check_for_programs_is_json() -> None:
    found = json.loads(output("check", "detector", "uniform", "--json"))
    assert found == {"detector": "uniform", "passed": True, "message": ""}


def test_a_detector_that_breaks_its_contract_fails_and_says_why(tmp_path: Path) -> None:
    file = tmp_path / "my_method.py"
    output("new", "detector", file)
    file.write_text(file.read_text().replace('track="whitebox"', 'track="blackbox"'))
    done = goalscope("check", "detector", file)
    assert done.exit_code == 1
    assert done.stdout.startswith(f"✗ {file}\n")
    assert "Gradients are for track T2 whitebox" in done.stdout and "my_method.py:" in done.stdout
    found = json.loads(goalscope("check", "detector", file, "--json").stdout)
    assert not found["passed"] and "Likely cause" in found["message"]


def test_a_file_that_cannot_be_imported_fails_its_check(tmp_path: Path) -> None:
    (tmp_path / "leaky.py").write_text("raise RuntimeError('a pipe burst')\n")
    done = goalscope("check", "detector", tmp_path / "leaky.py")
    assert done.exit_code == 1 and "a pipe burst" in done.stdout


def test_checking_something_unknown_is_a_mistake_of_the_caller() -> None:
    assert "Did you mean 'uniform'" in complaint("check", "detector", "unifrom")
