"""Pilots on disk: settings are checked, agents measured once are not trained again, nothing is lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.command import complaint, output

from goalscope.agents.measure import Measures, fresh_training, query_distribution
from goalscope.agents.pilot import Piloted, run_pilots
from goalscope.agents.pilot_file import add_row, read_rows, read_settings
from goalscope.agents.recipe import PPOConfig
from goalscope.errors import StorageError

DOCS = Path(__file__).parents[2] / "docs"
SETTING = {"family": "coin_dish", "query": "apart", "budget": 4096, "knobs": {"pairs": 2, "p": 0.1, "dish_ends": True}}


def settings_file(folder: Path, **changes: object) -> Path:
    path = folder / "settings.json"
    path.write_text(
        json.dumps({"one": {**SETTING, **changes}, "two": {**SETTING, "alpha": 0.1, "alpha_shift": "near"}})
    )
    return path


def test_settings_are_recipes_with_typed_knobs(tmp_path: Path) -> None:
    one, two = read_settings(settings_file(tmp_path, ppo={"entropy": 0.01}))
    assert (one.name, one.family, one.learner) == ("one", "coin_dish", PPOConfig(entropy=0.01))
    assert one.knobs["pairs"] == 2 and one.knobs["dish_ends"] is True
    assert two.alpha == 0.1 and one.hash != two.hash


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"famly": "x"}, "unknown fields famly"),
        ({"ppo": {"entropi": 1}}, "unknown settings entropi"),
        ({"budget": "many"}, "budget"),
        ({"query": None}, "query"),
    ],
)
def test_a_wrong_setting_is_one_error_that_names_it(changes: dict[str, object], said: str, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=said):
        read_settings(settings_file(tmp_path, **changes))


@pytest.mark.parametrize("text", ["", "[1, 2]", "{", '{"one": 3}'])
def test_a_file_that_holds_no_settings_is_one_error(text: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    path.write_text(text)
    with pytest.raises(StorageError, match="Expected JSON such as"):
        read_settings(path)


def test_rows_come_back_and_those_of_other_settings_stay(tmp_path: Path) -> None:
    one, two = read_settings(settings_file(tmp_path))
    rows = tmp_path / "rows.csv"
    agents = [Piloted(r, 10_000, Measures(0.95, 0.5, 0.25, 0.25, 0.5, 1.0), 0.5) for r in (one, two)]
    for agent in agents:
        add_row(rows, agent)
    assert read_rows(rows, [one, two]) == agents and read_rows(rows, [two]) == agents[1:]
    assert read_rows(tmp_path / "none.csv", [one]) == []


def test_known_agents_are_not_trained_again(tmp_path: Path) -> None:
    one, _ = read_settings(settings_file(tmp_path))
    known = [Piloted(one, 10_000 + k, Measures(1.0, 0.5, 0.25, 0.25, 0.5, 1.0), 0.5) for k in range(2)]
    seen: list[Piloted] = []
    (pilot,) = run_pilots([one], 2, 1, seen.append, known)
    assert seen == known and pilot.agents == tuple(agent.measures for agent in known)


def test_damaged_rows_are_one_error_and_stay_as_they_are(tmp_path: Path) -> None:
    one, _ = read_settings(settings_file(tmp_path))
    rows = tmp_path / "rows.csv"
    add_row(rows, Piloted(one, 10_000, Measures(0.95, 0.5, 0.25, 0.25, 0.5, 1.0), 0.5))
    damaged = rows.read_text().replace("0.9500", "much")
    rows.write_text(damaged)
    with pytest.raises(StorageError, match="Move the file away"):
        read_rows(rows, [one])
    assert rows.read_text() == damaged


def test_the_command_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path, rows = settings_file(tmp_path), tmp_path / "rows.csv"
    command = ("pilot", "--file", path, "--rows", rows, "--seeds", "2", "--workers", "1", "--json")
    output(*command, "one")
    kept = rows.read_text()
    summary = json.loads(output(*command))
    assert rows.read_text().startswith(kept) and len(rows.read_text().splitlines()) == 5
    assert [row["recipe"] for row in summary] == ["one", "two"]


def test_a_name_that_is_not_in_the_file_is_an_error(tmp_path: Path) -> None:
    assert "Did you mean 'one'" in complaint("pilot", "--file", settings_file(tmp_path), "onne")
    assert "Name a recipe" in complaint("pilot")


@pytest.mark.parametrize("name", ["pilots.json", "proposed_recipes.json"])
def test_published_settings_have_levels_to_train_and_to_ask_on(name: str) -> None:
    for recipe in read_settings(DOCS / name):
        training, query = fresh_training(recipe, 1), query_distribution(recipe)
        assert len(training[1]) == 1 and len(query.draw([0])) == 1
        if recipe.alpha:
            assert recipe.alpha_shift in {shift.name for shift in query.family.shifts}


def test_every_published_agent_belongs_to_a_published_setting() -> None:
    rows = (DOCS / "pilots.csv").read_text().splitlines()[1:]
    agents = read_rows(DOCS / "pilots.csv", read_settings(DOCS / "pilots.json"))
    assert len(agents) == len(rows) == len({agent.key for agent in agents})
    for agent in agents:
        measured = agent.measures
        assert measured.intended + measured.proxies + measured.neither == pytest.approx(1, abs=2e-4)
