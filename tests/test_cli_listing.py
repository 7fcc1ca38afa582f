"""``goalscope list``: what can be seen of methods, suites and the agents of a zoo without running anything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.suites.made_up import CORNER, DISH, untrained
from typer.testing import CliRunner, Result

from goalscope.agents.agent import Agent
from goalscope.agents.storage import save_agent
from goalscope.cli import app
from goalscope.detectors.tracks import Track
from goalscope.registry import DETECTORS, SUITES


def goalscope(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["list", *arguments])


def listed(*arguments: str) -> list[dict[str, Any]]:
    done = goalscope(*arguments, "--json")
    assert done.exit_code == 0, done.output
    found: list[dict[str, Any]] = json.loads(done.stdout, parse_constant=pytest.fail)
    return found


def rows_in(printed: str) -> Iterator[list[str]]:
    """The words of every line of a table."""
    return (line.split() for line in printed.splitlines() if line.strip())


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two agents of one recipe, one of another, and labels that listing does not read."""
    folder = tmp_path / "zoos" / "pets"
    for agent, competence in ((untrained(DISH, 0), 0.5), (untrained(DISH, 1), 1.0), (untrained(CORNER, 0), 0.25)):
        save(agent, folder, competence)
    (folder / "labels.parquet").write_bytes(b"")
    monkeypatch.setenv("GOALSCOPE_CACHE", str(tmp_path))
    return folder


def save(agent: Agent, folder: Path, competence: float) -> None:
    save_agent(agent, folder / "agents", (4, 7, 7), 4, competence)


def test_detectors_are_listed_with_their_track_and_what_they_say_about_themselves() -> None:
    entries = {entry["id"]: entry for entry in listed("detectors")}
    assert list(entries) == DETECTORS.names()
    assert {entry["track"] for entry in entries.values()} <= {track.label for track in Track}
    assert {entries[name]["track"] for name in ("uniform", "rollouts")} == {"T0 recipe", "T4 rollout"}
    assert all(entry["about"][-1] in ".?" and len(entry["about"]) > 10 for entry in entries.values())
    printed = goalscope("detectors").stdout
    assert all(entry["track"] in printed and entry["about"].split()[0] in printed for entry in entries.values())


def test_suites_are_listed_with_their_counts() -> None:
    entries = {entry["id"]: entry for entry in listed("suites")}
    assert list(entries) == SUITES.names()
    smoke, suite = entries["smoke"], SUITES.load("smoke")
    assert (smoke["recipes"], smoke["detectors"], smoke["seeds"]) == (
        len(suite.recipes),
        len(suite.detectors),
        suite.seeds,
    )
    assert smoke["sha256"] == suite.hash and smoke["zoo"] == "smoke"
    (row,) = [row for row in rows_in(goalscope("suites").stdout) if row[0] == "smoke"]
    assert str(suite.levels) in row and str(len(suite.detectors)) in row


def test_agents_are_listed_a_row_a_recipe(zoo: Path) -> None:
    corner, dish = listed("agents", "pets")
    assert corner["recipe"] == "tiny_corner" and corner["agents"] == 1 and corner["competence"] == 0.25
    assert dish == {
        "recipe": "tiny_dish",
        "role": "admitted",
        "family": "coin_dish",
        "shift": "apart",
        "alpha": 0.0,
        "architecture": "mlp",
        "agents": 2,
        "competence": 0.75,
        "bytes": dish["bytes"],
    }
    assert corner["bytes"] + dish["bytes"] == sum(p.stat().st_size for p in (zoo / "agents").glob("*.safetensors"))
    table = list(rows_in(goalscope("agents", "pets").stdout))
    assert ["tiny_dish", "admitted", "coin_dish", "apart", "0", "mlp", "2", "0.75", f"{dish['bytes']:,}"] in table


def test_half_a_manifest_that_a_killed_build_left_is_no_agent(zoo: Path) -> None:
    before = listed("agents", "pets")
    (zoo / "agents" / ".1234.json").write_text("{")
    assert listed("agents", "pets") == before


def test_a_broken_manifest_and_a_zoo_that_is_not_there_are_one_error(zoo: Path) -> None:
    victim = sorted((zoo / "agents").glob("*.json"))[0]
    victim.write_text("{")
    for arguments, hint in ((("agents", "pets"), str(victim)), (("agents", "zebras"), "There is no zoo 'zebras'")):
        done = goalscope(*arguments)
        assert (done.exit_code, done.stdout) == (2, "") and done.stderr.startswith("Error: "), done.output
        assert hint in done.stderr and "Traceback" not in done.stderr
