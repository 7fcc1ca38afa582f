"""A user's suite in TOML: read as it is meant, and a wrong one explained line by line."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.suites.made_up import AGENTS
from typer.testing import CliRunner

from goalscope.cli import app
from goalscope.detectors.tracks import Budget
from goalscope.errors import DeclarationError
from goalscope.registry import SUITES
from goalscope.suites.population import find_recipe, recipe_members
from goalscope.suites.suite import Suite
from goalscope.suites.suite_file import line_of, load_suite, problems, read_suite

GOOD = """
name = "mine"
zoo = "./zoo"
recipes = ["tiny_dish", "./tiny_corner.py"]
anchors = ["tiny_corner"]
detectors = [
    "./good.py",       # a comment, with "quotes", and [brackets]
    "recipe_mean",
    "./stranger.py",
]
controls = true
settings = ["seed", "recipe"]
budgets = [16, 256]
contrasts = [["stranger", "recipe_mean"], ["stranger", "stranger~untrained"]]
folds = 2
seeds = 1

[budget]
bank_frames = 32
seconds = 5
"""


@pytest.fixture(autouse=True)
def place(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(made)
    return made


def told(text: str) -> list[str]:
    """What is said of a wrong suite, a line each, without the file's name."""
    with pytest.raises(DeclarationError) as caught:
        read_suite(text, "mine.toml")
    first, *lines = str(caught.value).splitlines()
    assert first == "The suite cannot be run." and all(line.startswith("mine.toml:") for line in lines)
    return [line.removeprefix("mine.toml:") for line in lines]


def test_a_suite_is_what_its_file_says() -> None:
    assert read_suite(GOOD, "mine.toml") == Suite(
        name="mine",
        zoo="./zoo",
        recipes=("tiny_dish", "./tiny_corner.py"),
        anchors=("tiny_corner",),
        detectors=("./good.py", "recipe_mean", "./stranger.py"),
        controls=True,
        settings=("seed", "recipe"),
        budgets=(16, 256),
        contrasts=(("stranger", "recipe_mean"), ("stranger", "stranger~untrained")),
        folds=2,
        seeds=1,
        budget=Budget(bank_frames=32, seconds=5),
    )


def line(text: str) -> int:
    return next(number for number, own in enumerate(GOOD.splitlines(), 1) if text in own)


WRONG: dict[str, tuple[str, str, str, list[str]]] = {
    "a field that is misspelt": (
        "seeds",
        "seed = 1",
        "seeds = 1",
        ["seed: there is no field 'seed'. Did you mean 'seeds'?"],
    ),
    "a number in words": ("folds", 'folds = "two"', "folds = 2", ['folds: expected integer, got "two".']),
    "a number that is too small": (
        "folds",
        "folds = 1",
        "folds = 2",
        ["folds: expected greater than or equal to 2, got 1."],
    ),
    "a budget that is misspelt": (
        "bank_frames",
        "bank_frame = 32",
        "bank_frames = 32",
        ["budget.bank_frame: there is no field 'bank_frame'. Did you mean 'bank_frames'?"],
    ),
    "a budget that is no number": (
        "bank_frames",
        'bank_frames = "all"',
        "bank_frames = 32",
        ['budget.bank_frames: expected integer, unable to parse string as an integer, got "all".'],
    ),
    "a setting that is none": (
        "settings",
        'settings = ["seed", "recipes"]',
        'settings = ["seed", "recipe"]',
        ["settings[1]: expected 'seed', 'recipe' or 'family', got \"recipes\"."],
    ),
    "a detector that is not there": (
        '"recipe_mean",',
        '    "recipe_meen",',
        '    "recipe_mean",',
        ["detectors[1]: There is no detector 'recipe_meen'. Did you mean 'recipe_mean'"],
    ),
    "a file that is not there": (
        "stranger.py",
        '"./nobody.py"',
        '"./stranger.py"',
        ["detectors[2]: Could not import './nobody.py'"],
    ),
    "a recipe that is not there": (
        "recipes",
        '["tiny_dosh"',
        '["tiny_dish"',
        ["recipes[0]: There is no recipe in"],
    ),
    "a recipe that is there twice": (
        "recipes",
        '["tiny_dish", "tiny_dish"]',
        '["tiny_dish", "./tiny_corner.py"]',
        ['recipes[1]: "tiny_dish" is there twice: name it once.'],
    ),
    "a zoo that is not there": ("zoo", 'zoo = "./zooo"', 'zoo = "./zoo"', ["zoo: There is no zoo in ./zooo"]),
    "a contrast with a stranger": (
        "contrasts",
        '["stranger", "recipe_man"]',
        '["stranger", "recipe_mean"]',
        ["contrasts[0]: there is no detector of this suite 'recipe_man'. Did you mean 'recipe_mean'?"],
    ),
    "controls that are not asked for": (
        "contrasts",
        "controls = false",
        "controls = true",
        ["contrasts[1]: there is no detector of this suite 'stranger~untrained'."],
    ),
    "too many contrasts": (
        "contrasts",
        f"contrasts = {[['stranger', 'recipe_mean']] * 6}".replace("'", '"'),
        'contrasts = [["stranger", "recipe_mean"], ["stranger", "stranger~untrained"]]',
        ["contrasts: expected "],
    ),
    "a contrast of three": (
        "contrasts",
        '["stranger", "recipe_mean", "good"]',
        '["stranger", "recipe_mean"]',
        ["contrasts[0]: expected "],
    ),
}


@pytest.mark.parametrize(("where", "new", "old", "expected"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_with_its_line(where: str, new: str, old: str, expected: list[str]) -> None:
    assert old in GOOD
    found = told(GOOD.replace(old, new))
    assert len(found) == len(expected), found
    for own, start in zip(found, expected, strict=True):
        assert own.startswith(f"{line(where)}: {start}"), own


def test_all_errors_are_told_at_once_in_the_order_of_their_lines() -> None:
    text = 'nam = "x"\nzoo = "./zooo"\ndetectors = [\n  "recipe_mean",\n  "uniforn",\n]\nlevels = 0\nseeds = true\n'
    found = told(text)
    assert [own.split(":")[0] for own in found] == [" name", " recipes", "1", "2", "5", "7", "8"], found
    assert "'uniform'" in found[4]


def test_what_is_no_toml_is_said_with_its_line() -> None:
    with pytest.raises(DeclarationError, match=r"mine\.toml:2: no TOML"):
        read_suite('name = "x"\nzoo = = 1\n', "mine.toml")
    with pytest.raises(DeclarationError, match=r"Cannot read the suite \./none\.toml"):
        load_suite("./none.toml")


def test_lines_of_items_are_found_in_lists_of_any_form() -> None:
    text = "a = 1\nb = [ 'x,y', # c, d\n  [1, 2],\n\n 3 ]\n[t]\na = 2\nc = 1\n"
    assert [line_of(text, ("b", i)) for i in range(3)] == [2, 3, 5]
    assert (line_of(text, ("a",)), line_of(text, ("t", "a")), line_of(text, ("t",))) == (1, 7, 6)
    assert line_of(text, ("none",)) == 0


def test_a_wrong_suite_runs_nothing(place: Path) -> None:
    Path("wrong.toml").write_text(GOOD.replace('"recipe_mean",', '"recipe_meen",'))
    done = CliRunner().invoke(app, ["run", "./wrong.toml", "--workers", "1"])
    assert done.exit_code == 2 and f"./wrong.toml:{line('recipe_mean')}: detectors[1]: " in done.stderr
    assert not Path("runs").exists()


def test_recipes_are_found_by_name_in_the_zoo_with_the_seeds_that_it_holds(place: Path) -> None:
    assert find_recipe(place / "zoo", "tiny_dish").family == "coin_dish"
    assert [member.seed for member in recipe_members(place / "zoo", "tiny_dish")] == list(range(AGENTS))
    assert recipe_members(place / "zoo", "./tiny_dish.py") == recipe_members(place / "zoo", "tiny_dish")
    assert find_recipe(place / "zoo", "dish_open").name == "dish_open"


@pytest.mark.parametrize("name", SUITES.names())
def test_suites_that_come_with_goalscope_name_what_is_there(name: str) -> None:
    suite = SUITES.load(name)
    others = [problem for problem in problems(suite) if problem.place[0] not in ("zoo", "recipes", "anchors", "doses")]
    assert suite.name == name and others == []
