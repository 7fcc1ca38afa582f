"""What differs between two runs, by hand and through the commands."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.suites.made_up import AGENTS, rows_of, truth, write_suite
from typer.testing import CliRunner, Result

from goalscope.cli import app
from goalscope.suites.diff import compare
from goalscope.suites.rows import read_part, write_part

KNOWN = [truth(0), truth(1)]
SAID = [t.shares for t in KNOWN]


def made(**about: Any) -> list[dict[str, Any]]:
    return [{**row, "code_sha256": "c", "versions": "{}"} for row in rows_of(KNOWN, SAID, **about)]


def test_the_same_rows_in_any_order_are_equal() -> None:
    rows = made()
    found = compare(rows, rows[::-1])
    assert found.equal and found.cases == 16 and found.causes == ()


def test_another_forecast_is_found_with_its_cause() -> None:
    rows = made()
    other = [dict(row) for row in rows]
    other[3] = {**other[3], "forecast": other[3]["forecast"] + 0.25, "code_sha256": "d"}
    found = compare(rows, other)
    assert not found.equal and len(found.changed) == 1
    assert found.changed[0].task == "made up on recipe 0, seed 0, 0 bank frames, setting seed"
    assert found.changed[0].cases == 1 and found.changed[0].largest == pytest.approx(0.25)
    assert found.changed[0].why == ("code_sha256",) == found.causes


def test_a_flag_a_lost_forecast_and_a_lost_row_are_differences_too() -> None:
    rows = made()
    for other in ([{**rows[0], "flag": "raised"}, *rows[1:]], [{**rows[0], "forecast": None}, *rows[1:]], rows[1:]):
        found = compare(rows, other)
        assert not found.equal and [t.cases for t in found.changed] == [1] and found.changed[0].largest == 0


def test_code_that_changes_nothing_is_told_and_makes_no_difference() -> None:
    rows = made()
    found = compare(rows, [{**row, "code_sha256": "d", "seconds": 9.0} for row in rows])
    assert found.equal and found.causes == ("code_sha256",)


def test_tasks_in_one_run_only_are_named() -> None:
    found = compare([*made(), *made(seed=1)], [*made(), *made(detector="new")])
    assert [t.split(",")[0:2] for t in found.only_first] == [[f"made up on recipe {i}", " seed 1"] for i in (0, 1)]
    assert len(found.only_second) == 2 and found.changed == () and not found.equal and found.cases == 16


def test_budgets_and_settings_are_not_confused() -> None:
    rows = [{**row, "bank_frames": 16} for row in made()]
    found = compare(rows, [{**row, "bank_frames": 64} for row in rows])
    assert len(found.only_first) == len(found.only_second) == 2 and found.cases == 0


# Through the commands


@pytest.fixture(scope="module")
def runs(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two equal runs of the tiny suite, `one` and `other`."""
    place = tmp_path_factory.mktemp("runs")
    write_suite(place)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOALSCOPE_CACHE", str(cache))
        patch.chdir(place)
        patch.setattr("goalscope.cli.run.write_page", lambda done, scores, page: page)
        invoke("run", "./tiny_suite.py", "--detector", "recipe_mean", "--workers", "1", "--out", "one", code=0)
    shutil.copytree(place / "one", place / "other")
    return place


@pytest.fixture
def place(runs: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of both runs, in which commands are run."""
    monkeypatch.setenv("GOALSCOPE_CACHE", str(cache))
    shutil.copytree(runs, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*arguments: str, code: int) -> str:
    result: Result = CliRunner().invoke(app, [*arguments])
    assert result.exit_code == code, result.output
    return result.output


def edited(folder: Path) -> None:
    """Give the first case of one part a forecast of its own."""
    part = sorted((folder / "rows").glob("recipe_mean-tiny_dish*"))[0]
    rows = read_part(part)
    rows[0]["forecast"] = np.full_like(rows[0]["forecast"], 1 / 3)
    write_part(part, rows)


def test_equal_runs_end_with_zero_and_others_with_one(place: Path) -> None:
    assert f"{2 * 2 * AGENTS} cases are in both; all answers are equal." in invoke("diff", "one", "other", code=0)
    edited(place / "other")
    said = invoke("diff", "one", "other", code=1)
    assert "recipe_mean on tiny_dish, seed 0" in said and ": 1 cases" in said and "the runs differ" in said
    found = json.loads(invoke("diff", "one", "other", "--json", code=1))
    assert not found["equal"] and len(found["changed"]) == 1 and found["unscored"] == ""
    moved = {c["detector"]: c["after"] - c["before"] for c in found["skills"]}
    assert moved["recipe_mean"] != 0 and moved["good"] == 0


def test_rows_are_compared_where_nothing_can_be_scored(place: Path) -> None:
    next((place / "other" / "rows").glob("good-tiny_corner*")).unlink()
    said = invoke("diff", "one", "other", code=1)
    assert "Only in the first run: 1 tasks" in said and "good on tiny_corner" in said
    assert "Skills are not compared" in said and "parts are missing" in said


def test_a_folder_that_is_no_run_is_one_error(place: Path) -> None:
    assert "is no readable description of a run" in invoke("diff", "one", "nowhere", code=2)


def test_reliability_of_a_run(place: Path) -> None:
    said = invoke("reliability", "one", code=0)
    assert "Setting seed, 2 ranked methods: Kendall τ" in said and "95 % of 200 random splits" in said
    found = json.loads(invoke("reliability", "one", "--json", code=0))["settings"][0]
    assert found["methods"] == ["good", "recipe_mean"] and -1 <= found["tau"]["low"] <= found["tau"]["high"] <= 1
