"""``goalscope zoo``: built from files, verified, inspected, merged; and the time that is left."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.agents.test_zoo import TINY, contents
from tests.command import complaint, goalscope, output

from goalscope.agents import zoo as zoos
from goalscope.agents.members import members, read_members
from goalscope.agents.storage import read_manifest
from goalscope.agents.zoo import build, find_zoo
from goalscope.cli import progress as showing
from goalscope.cli.progress import Pace, duration, progress

TINY_JSON: dict[str, Any] = {
    "family": "coin_dish",
    "query": "apart",
    "knobs": {"size": 7},
    "arch": "mlp",
    "budget": 2048,
    "ppo": {"envs": 32},
}


@pytest.fixture(scope="module")
def recipes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of two recipes: of one a zoo takes two agents, of the other as many as it is told."""
    path = tmp_path_factory.mktemp("recipes") / "recipes.json"
    path.write_text(json.dumps({"first": {**TINY_JSON, "role": "planted"}, "other": {**TINY_JSON, "budget": 1024}}))
    return path


@pytest.fixture(scope="module")
def place(recipes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two zoos that the command built."""
    folder = tmp_path_factory.mktemp("zoos")
    command = ("zoo", "build", "--file", recipes, "--folder", folder, "--workers", "1")
    assert output(*command, "pets", "--recipe", "first") == f"2 agents in {folder / 'pets'}\n"
    output(*command, "more", "--seeds", "1")
    return folder


def agents(zoo: Path) -> list[tuple[str, int]]:
    return [(member.recipe.name, member.seed) for member in read_members(zoo)]


def test_roles_or_the_command_say_how_many_agents_there_are(place: Path) -> None:
    assert agents(place / "pets") == [("first", 0), ("first", 1)]
    assert agents(place / "more") == [("first", 0), ("other", 0)]


def test_the_same_command_again_finds_all_there(place: Path, recipes: Path) -> None:
    before = contents(place / "pets")
    done = goalscope("zoo", "build", "pets", "--file", recipes, "--recipe", "first", "--folder", place)
    assert done.exit_code == 0 and "2 of 2 agents are there already" in done.stderr
    assert contents(place / "pets") == before


def test_recipes_of_the_zoos_name_that_come_with_it_are_what_it_holds(
    recipes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zoos, "BUNDLED", tmp_path)
    ours = {
        "one": {**TINY_JSON, "role": "planted", "budget": 512},
        "two": {**TINY_JSON, "role": "anchor", "budget": 256},
    }
    (tmp_path / "ours.json").write_text(json.dumps(ours))
    command = ("zoo", "build", "ours", "--folder", tmp_path, "--workers", "1")
    output(*command, "--recipe", "two")
    assert agents(tmp_path / "ours") == [("two", 0), ("two", 1)]
    output(*command)
    assert agents(tmp_path / "ours") == [("one", 0), ("one", 1), ("two", 0), ("two", 1)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("build", "none"), "No suite uses a zoo 'none': say with --recipe or --file"),
        (("build", "x", "--recipe", "dish_opn"), "Did you mean 'dish_open'"),
        (("build", "x", "--file", "RECIPES", "--recipe", "frist"), "Did you mean 'first'"),
        (("build", "x", "--file", "nowhere.json"), "Cannot read recipes from nowhere.json"),
        (("verify", "none"), "There is no zoo 'none'"),
        (("inspect", "none"), "There is no zoo 'none'"),
        (("inspect", "smoke", "0123"), "There is no agent in"),
        (("merge", "smoke", "--into", "x"), "Merging takes two zoos or more, got 1"),
        (("merge", "smoke", "none", "--into", "x"), "There is no zoo 'none'"),
    ],
)
def test_what_cannot_be_is_one_error(arguments: tuple[str, ...], said: str, recipes: Path) -> None:
    given = [str(recipes) if argument == "RECIPES" else argument for argument in arguments]
    assert said in complaint("zoo", *given)


def test_verify_asks_for_what_the_zoo_lists_and_trains_again(place: Path) -> None:
    verify = ("zoo", "verify", "--folder", place, "--workers", "1")
    assert output(*verify, "more") == "2 agents are as they were built\n"
    again = "2 agents are as they were built, and 1 of them come out the same when trained anew\n"
    assert output(*verify, "more", "--retrain", "1") == again


def test_verify_names_what_is_wrong_and_fails(place: Path, tmp_path: Path) -> None:
    build(tmp_path / "tiny", members([TINY], 1), 1, lambda member: None)
    (victim,) = (tmp_path / "tiny" / "agents").glob("*.safetensors")
    victim.unlink()
    done = goalscope("zoo", "verify", "tiny", "--folder", tmp_path, "--retrain", "1")
    assert done.exit_code == 1 and done.stdout.startswith(f"Cannot read {victim}")
    assert "There is no zoo 'cats' in" in complaint("zoo", "verify", "cats", "--folder", tmp_path)


def test_inspect_tells_what_is_in_a_zoo_and_not_what_agents_do(place: Path) -> None:
    found = json.loads(output("zoo", "inspect", "more", "--folder", place, "--json"))
    assert (found["agents"], found["members"], found["labelled"], found["stages"]) == (2, 2, 2, 0)
    assert found["formats"] == {"goalscope.zoo/1": 2} and found["core_minutes"] > 0
    assert [(entry["recipe"], entry["role"], entry["agents"]) for entry in found["recipes"]] == [
        ("first", "planted", 1),
        ("other", "admitted", 1),
    ]
    files = (place / "more" / "agents").glob("*.safetensors")
    assert found["bytes"] == sum(entry["bytes"] for entry in found["recipes"]) == sum(p.stat().st_size for p in files)
    printed = output("zoo", "inspect", "more", "--folder", place)
    assert "2 of 2 agents, 2 labelled" in printed and "goalscope.zoo/1 (2)" in printed
    for told in (printed, json.dumps(found)):
        assert "intended" not in told and "outcome" not in told


def test_inspect_tells_everything_about_one_agent(place: Path) -> None:
    member = read_members(place / "more")[0]
    found = json.loads(output("zoo", "inspect", "more", member.id, "--folder", place, "--json"))
    path = place / "more" / "agents" / f"{member.id}.json"
    assert found["manifest"] == json.loads(path.read_text()) == read_manifest(path).model_dump(mode="json")
    assert found["sites"]["input"] == [4, 7, 7] and found["sites"]["actor.dense1"] == [64]
    tower = (196 + 1) * 64 + (64 + 1) * 64
    assert (found["memory"], found["parameters"], found["labelled"]) == (0, 2 * tower + (64 + 1) * (4 + 1), True)
    printed = output("zoo", "inspect", "more", member.id, "--folder", place)
    assert "site actor.dense1" in printed and member.id in printed and "4 × 7 × 7" in printed


def test_the_bundled_zoo_can_be_inspected() -> None:
    found = json.loads(output("zoo", "inspect", "smoke", "--json"))
    assert (found["agents"], found["labelled"]) == (80, 80) and 10 < found["core_minutes"] < 100
    assert found["formats"] == {"goalscope.zoo/1": 80} and len(found["recipes"]) == 12
    listed = json.loads(output("list", "agents", "--json"))
    shared = listed[0].keys()
    assert [{name: entry[name] for name in shared} for entry in found["recipes"]] == listed


def test_zoos_are_merged(place: Path) -> None:
    told = output("zoo", "merge", "pets", "more", "--into", "all", "--folder", place)
    assert told == f"3 agents in {place / 'all'}\n"
    assert agents(place / "all") == [("first", 0), ("first", 1), ("other", 0)]
    assert "3 agents are as" in output("zoo", "verify", "all", "--folder", place)
    assert "exists already" in complaint("zoo", "merge", "pets", "more", "--into", "all", "--folder", place)


def test_a_bundled_zoo_can_be_merged_with_ones_own(
    place: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GOALSCOPE_CACHE", str(tmp_path))
    (tmp_path / "zoos").mkdir()
    (tmp_path / "zoos" / "pets").symlink_to(place / "pets")
    assert output("zoo", "merge", "smoke", "pets", "--into", "all") == f"82 agents in {tmp_path / 'zoos' / 'all'}\n"
    assert find_zoo("all") == tmp_path / "zoos" / "all"
    assert json.loads(output("zoo", "inspect", "all", "--json"))["formats"] == {"goalscope.zoo/1": 82}


# The time that is left


def test_time_left_goes_by_work_and_not_by_numbers() -> None:
    now = [100.0]
    pace = Pace(3, work=1000, clock=lambda: now[0])
    assert pace.left() is None and str(pace) == "0 of 3"
    now[0] += 60
    pace.add(200)
    assert pace.left() == pytest.approx(240) and str(pace) == "1 of 3, 4 min left"
    now[0] += 60  # nothing new: so it goes slower than was thought
    assert pace.left() == pytest.approx(480)
    pace.add(800)
    assert pace.left() == 0


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min"), (11_100, "3 h 05 min")]
)
def test_durations_are_said_as_people_say_them(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_without_a_terminal_a_line_is_printed_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(showing, "monotonic", lambda: now[0])
    with progress(4, 8) as tell:
        for name in ("a", "b", "c", "d"):
            now[0] += 20
            tell(name, 2)
    assert capsys.readouterr() == ("", "2 of 4, 40 s left: b\n4 of 4, 0 s left: d\n")


def test_on_a_terminal_a_bar_says_how_long_it_will_take(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(showing, "monotonic", lambda: now[0])
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with progress(4) as tell:
        now[0] += 600
        tell("first")
    assert "1 of 4, 30 min left" in capsys.readouterr().err
