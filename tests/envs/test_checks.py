"""Broken copies of shipped families: the contract names each mistake, in the check that is about it, and hides none.

Mistakes are planted twice over: in families made in Python, for all that the checks can find, and in the text of a
family's file, for what `goalscope check env ./file.py` says to whoever has made one.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.command import goalscope

from goalscope.envs import Display, Family, Goal, Levels, Plane, Rule, Settings, Shift, Shows
from goalscope.envs.ascii import from_ascii
from goalscope.envs.checks import CHECKS, CheckReport, check_env, check_name, run_check
from goalscope.envs.codes import EMPTY_CODE, code
from goalscope.envs.contract.paths import fewest_steps
from goalscope.envs.contract.subject import Subject
from goalscope.envs.display import default_display
from goalscope.envs.families import coin_dish
from goalscope.envs.families.coin_dish import FAMILY, WORLD
from goalscope.envs.family import Value
from goalscope.envs.levels import blank
from goalscope.envs.pursuit import distances
from goalscope.envs.world import Moves, On
from goalscope.errors import CheckFailure, UnknownNameError
from goalscope.seeding import Keys, substream

COIN, DISH = WORLD.bit("coin"), WORLD.bit("dish")


def report_of(broken: Family) -> CheckReport:
    return check_env(broken, levels=64)


def with_knob(name: str, **changes: object) -> Family:
    return replace(FAMILY, knobs=tuple(replace(k, **changes) if k.name == name else k for k in FAMILY.knobs))  # type: ignore[arg-type]


def with_shift(**knobs: Value) -> Family:
    return replace(FAMILY, shifts=(FAMILY.shift("train"), Shift(name="apart", strength=1.0, knobs=knobs)))


def with_goal(goal: Goal) -> Family:
    return replace(FAMILY, goals=tuple(goal if g.name == goal.name else g for g in FAMILY.goals))


def swapped(event: str, rule: Rule) -> tuple[Rule, ...]:
    """The world's rules with another one for an event."""
    return tuple(rule if r.event == event else r for r in WORLD.rules)


def with_world(**changes: object) -> Family:
    return replace(FAMILY, world=replace(WORLD, **changes))  # type: ignore[arg-type]


def coin_walled_in(keys: Keys, settings: Settings) -> Levels:
    """Every second level has walls around the coins, wherever these are."""
    levels = FAMILY.generate(keys, settings)
    coin = levels.marks & COIN != 0
    beside = np.zeros_like(coin)
    for axis in (1, 2):
        for way in (-1, 1):
            beside |= np.roll(coin, way, axis)
    beside[np.arange(len(levels)), levels.agent[:, 1], levels.agent[:, 0]] = False
    levels.cells[beside & (levels.marks == 0) & (keys[:, 1] % 2 == 0)[:, None, None]] = 2 | 5 << 4
    return levels


def another_level_each_time(keys: Keys, settings: Settings) -> Levels:
    levels = FAMILY.generate(keys, settings)
    return levels.take(np.random.default_rng().permutation(len(levels)))


def one_level_for_every_key(keys: Keys, settings: Settings) -> Levels:
    return FAMILY.generate(np.zeros_like(keys), settings)


def agent_on_the_coin(keys: Keys, settings: Settings) -> Levels:
    levels = FAMILY.generate(keys, settings)
    place = np.argmax((levels.marks & COIN).reshape(len(levels), -1), axis=1)
    levels.agent[:, 0], levels.agent[:, 1] = place % levels.canvas[1], place // levels.canvas[1]
    return levels


def crash(keys: Keys, settings: Settings) -> Levels:
    raise ZeroDivisionError("coins per dish")


def both_at_once(levels: Levels, factor: str, keys: Keys, settings: Settings) -> Levels:
    moved = FAMILY.twins(levels, factor, keys, settings)
    return FAMILY.twins(moved, "dish", substream(keys, 5), settings) if factor == "coin" else moved


def agent_goes_along(levels: Levels, factor: str, keys: Keys, settings: Settings) -> Levels:
    moved = FAMILY.twins(levels, factor, keys, settings)
    return FAMILY.twins(moved, "agent", substream(keys, 5), settings) if factor == "dish" else moved


def agent_leaves_a_mark(levels: Levels, factor: str, keys: Keys, settings: Settings) -> Levels:
    moved = FAMILY.twins(levels, factor, keys, settings)
    moved.marks[:, 1, 1] |= WORLD.bit("fork") if factor == "agent" else 0
    return moved


def to_one_cell(levels: Levels, factor: str, keys: Keys, settings: Settings) -> Levels:
    """Both balls' twins come to lie on the same cell."""
    moved, ball = levels.take(slice(None)), code("ball", "red" if factor == "coin" else "blue")
    moved.cells[moved.cells == ball] = EMPTY_CODE
    moved.cells[:, 2, 6] = ball
    return moved


def nothing_moves(levels: Levels, factor: str, keys: Keys, settings: Settings) -> Levels:
    return levels.take(slice(None))


def one_step_too_many(levels: Levels) -> NDArray[np.int16]:
    table = distances(FAMILY, FAMILY.goal("coin"), levels)
    return np.where(table > 0, table + 1, table).astype(np.int16)


def to_the_dish(levels: Levels) -> NDArray[np.int16]:
    return distances(FAMILY, FAMILY.goal("dish"), levels)


def shows_the_hidden_coin(settings: Settings) -> Display:
    usual = default_display(WORLD, settings)
    peek = Plane(name="peek", shows=Shows.MARKS, operand=WORLD.bit("hidden coin"))
    return Display(planes=(*usual.planes, peek), alike={})


def without_the_dishs_plane(settings: Settings) -> Display:
    planes = default_display(WORLD, settings).planes
    swapped = tuple(replace(p, operand=WORLD.bit("fork")) if p.name == "dish" else p for p in planes)
    return Display(planes=swapped, alike={})


def another_length(keys: Keys, settings: Settings) -> Levels:
    """A number for one counter, in a world with two."""
    levels = FAMILY.generate(keys, settings)
    return replace(levels, counters=np.ones((len(levels), 1), np.int16))


def says(*words: int) -> Family:
    """A family that knows two words, and whose missions are these."""

    def generate(keys: Keys, settings: Settings) -> Levels:
        levels = FAMILY.generate(keys, settings)
        return replace(levels, mission=np.tile(np.array(words, np.int16), (len(levels), 1)))

    return replace(FAMILY, generate=generate, words=("coin", "dish"))


def with_plane(family: Family, plane: Plane) -> Family:
    def display(settings: Settings) -> Display:
        return Display(planes=(*default_display(WORLD, settings).planes, plane), alike={})

    return replace(family, display=display)


def says_so_to_no_twin(levels: Levels, factor: str, keys: Keys, settings: Settings) -> Levels:
    """The twin's mission is beyond the words."""
    moved = FAMILY.twins(levels, factor, keys, settings)
    moved.mission[:] = 7 if factor == "dish" else moved.mission
    return moved


def its_own_memory(keys: Keys, settings: Settings) -> Levels:
    """Every call writes into the same arrays."""
    levels = FAMILY.generate(keys, settings)
    kept = _kept(levels.canvas)
    if len(levels) > len(kept):
        return levels
    kept.put(np.arange(len(levels)), levels)
    return replace(kept, **{name: array[: len(levels)] for name, array in kept.__dict__.items()})


@cache
def _kept(canvas: tuple[int, int]) -> Levels:
    return blank(4096, canvas, events=len(WORLD.events))


DISH_WITH_A_KEY = Rule(on=On.ENTER, what=("dish", "hidden dish"), event="dish", need=("keys", 1, 9))
DISH_IN_TIME = Rule(on=On.ENTER, what=("dish", "hidden dish"), event="dish", need=("clock", 0, 1))
TICK = Rule(on=On.STEP, add=("clock", 1))
BOTH_BUMPED = tuple(Rule(on=On.BUMP, what="stop", event=event) for event in ("coin", "dish"))
TWO_NEEDS = (
    Rule(on=On.ENTER, what=("coin", "hidden coin"), event="coin", reward=1.0, ends=True, need=("purse", 2, 9)),
    Rule(on=On.ENTER, what=("dish", "hidden dish"), event="dish", need=("keys", 1, 9)),
)
DISH_COUNTS_AS_COIN = Rule(on=On.ENTER, what=("coin", "hidden coin", "dish"), event="coin", reward=1.0, ends=True)

BROKEN: dict[str, tuple[Family, str, str]] = {
    "unsolvable": (replace(FAMILY, generate=coin_walled_in), "solvable", r"−1 is out of reach.*\n#########"),
    "random": (replace(FAMILY, generate=another_level_each_time), "determinism", "numpy.random"),
    "keys_ignored": (replace(FAMILY, generate=one_level_for_every_key), "determinism", "ignores its keys"),
    "starts_there": (replace(FAMILY, generate=agent_on_the_coin), "arrays", "free cell without marks.*scatter"),
    "not_coincident": (with_knob("radius", default=5), "coincident", "trigger every proxy.*set the goals apart"),
    "no_conflict": (with_shift(radius=0), "query", "conflict refused [1-9].*goals are not apart"),
    "two_changes": (replace(FAMILY, twins=both_at_once), "twins", "'coin' and 'dish' twins.*both change"),
    "agent_moved": (replace(FAMILY, twins=agent_goes_along), "twins", "'dish' twin.*to keep its agent"),
    "trace_left": (replace(FAMILY, twins=agent_leaves_a_mark), "twins", "'agent' twin.*to keep its marks"),
    "no_change": (replace(FAMILY, twins=nothing_moves), "twins", "'agent' twin.*differ from it.*does nothing"),
    "too_far": (
        with_goal(Goal(name="coin", event="coin", intended=True, pursuer=one_step_too_many)),
        "pursuers",
        "exact",
    ),
    "wrong_way": (
        with_goal(Goal(name="coin", event="coin", intended=True, pursuer=to_the_dish)),
        "pursuers",
        "heads for",
    ),
    "no_key": (
        with_world(rules=swapped("dish", DISH_WITH_A_KEY), counters=("keys",)),
        "solvable",
        r"steps \{'coin': \d+, 'dish': -1\}.*a counter",
    ),
    "too_late": (
        with_world(rules=(*swapped("dish", DISH_IN_TIME), TICK), counters=("clock",)),
        "pursuers",
        "a counter",
    ),
    "wrong_width": (
        replace(with_world(counters=("purse", "bag")), generate=another_length),
        "arrays",
        r"2 counters, but the levels hold 1.*\n#########.*`lay_out` or `blank`",
    ),
    "speechless": (says(), "arrays", "words, numbered 0 to 1.*have no mission.*`mission=`"),
    "unknown_word": (says(1, 2), "arrays", "words, numbered 0 to 1.*a number in it that is no word.*mission: 1 2"),
    "unknown_in_twins": (replace(says(1), twins=says_so_to_no_twin), "twins", "'dish' twin.*words, numbered 0 to 1"),
    "wordless": (replace(FAMILY, words=("coin", " ")), "declaration", "every word of a mission to have a text"),
    "word_plane": (
        with_plane(says(1), Plane(name="colour", shows=Shows.WORD, operand=1 << 8)),
        "observations",
        r"plane 'colour' shows \(WORD, operand 0x100\) to exist.*missions of 1 words",
    ),
    "value_plane": (
        with_plane(FAMILY, Plane(name="worth", shows=Shows.OWN_VALUE, operand=7 << 8)),
        "observations",
        "plane 'worth' shows .OWN_VALUE.*2 events",
    ),
    "hidden_worth": (
        with_plane(FAMILY, Plane(name="worth", shows=Shows.OWN_VALUE, operand=WORLD.bit("stop") << 8)),
        "observations",
        "'stop', which is invisible",
    ),
    "kept_arrays": (replace(FAMILY, generate=its_own_memory), "splits", "another split.*`generate` returns arrays"),
    "few_layouts": (
        replace(FAMILY, holds_out="layouts"),
        "splits",
        "be 'levels' or '', not 'layouts'.*fewer than 100,000",
    ),
    "many_layouts": (
        replace(
            FAMILY, holds_out="levels", shifts=(FAMILY.shifts[0], *with_shift(radius=50, layout="blocks").shifts[1:])
        ),
        "splits",
        "under 'apart' to hold out layouts.*at least 100,000 different layouts, measured.*training and query share",
    ),
    "bumped_into": (with_world(rules=(*WORLD.rules, *BOTH_BUMPED)), "declaration", "told apart.*bumping into stop"),
    "two_needs": (
        with_world(rules=TWO_NEEDS, counters=("keys", "purse")),
        "declaration",
        "one counter.*1 of 'keys', 2 of 'purse'",
    ),
    "turning": (
        with_world(rules=swapped("dish", DISH_WITH_A_KEY), counters=("keys",), moves=Moves.TURNING),
        "declaration",
        "moves cardinally.*one that turns",
    ),
    "ambiguous": (with_world(rules=swapped("coin", DISH_COUNTS_AS_COIN)), "declaration", "told apart.*entering dish"),
    "default": (with_knob("pairs", default=3), "declaration", "'pairs' to be an integer from 1 to 2.*got 3"),
    "unbounded": (with_knob("pairs", high=np.inf), "declaration", "bounds for knob 'pairs'"),
    "too_large": (with_knob("size", high=40), "knobs", "size = 40.*Narrow those of 'size'"),
    "peek": (replace(FAMILY, display=shows_the_hidden_coin), "observations", "'hidden coin', which is invisible"),
    "unseen": (replace(FAMILY, display=without_the_dishs_plane), "observations", "'dish', which is visible"),
    "crash": (
        replace(FAMILY, generate=crash),
        "determinism",
        r"ZeroDivisionError: coins per dish \(.*test_checks.py:\d+\)",
    ),
}
"""What is broken -> the family, the check that must name it, and words it must use."""


@pytest.mark.parametrize("mistake", BROKEN)
def test_a_planted_mistake_is_named_by_its_check(mistake: str) -> None:
    broken, name, words = BROKEN[mistake]
    check = next(c for c in CHECKS if check_name(c) == name)
    message = run_check(check, Subject(broken, levels=64)).message
    assert re.search(words, message, re.DOTALL), message
    assert message.startswith("Expected ") and "\nFound " in message and "\nLikely cause: " in message


def test_one_mistake_leaves_the_other_checks_green() -> None:
    report = report_of(BROKEN["two_changes"][0])
    assert [r.name for r in report.results] == [check_name(c) for c in CHECKS]
    assert [r.name for r in report.failures] == ["twins"]
    with pytest.raises(CheckFailure, match=r"1 of 14 checks failed for family 'coin_dish'(.|\n)*\[twins\]"):
        report.raise_on_failure()


def test_two_mistakes_are_both_told() -> None:
    report = report_of(replace(BROKEN["two_changes"][0], sentence="Coins are nice"))
    assert [r.name for r in report.failures] == ["declaration", "twins"]


def test_results_are_reported_as_they_come() -> None:
    seen: list[str] = []
    report = check_env(FAMILY, levels=16, report=lambda result: seen.append(result.name))
    assert report.passed and seen == [r.name for r in report.results]
    assert [row["check"] for row in report.rows()] == seen
    report.raise_on_failure()


def test_a_file_that_cannot_be_imported_is_a_failed_declaration(tmp_path: Path) -> None:
    file = tmp_path / "my_family.py"
    file.write_text("from goalscope.envs.families.coin_dish import FAMILY as ours\nFAMILY = ours.settings(pairs=9)\n")
    report = check_env(str(file))
    assert [r.name for r in report.failures] == ["declaration"]
    assert "Knob 'pairs' must be an integer from 1 to 2, got 9" in report.results[0].message
    assert "my_family.py:2" in report.results[0].message


def test_an_unknown_id_is_an_error_and_no_report() -> None:
    with pytest.raises(UnknownNameError, match="coin_dish"):
        check_env("coin_dihs")


def test_the_search_of_all_moves_walks_around_walls_and_ends() -> None:
    level = from_ascii(
        """
        ########
        #>#....#
        #.#.d#.#
        #.c.#..#
        #...#..#
        ########
        """,
        WORLD,
    )
    assert fewest_steps(WORLD, level, 12).tolist() == [[3, 8]]  # the short way to the dish leads over the coin
    assert fewest_steps(WORLD, level, 7).tolist() == [[3, -1]]


def test_goals_that_chance_finds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("goalscope.envs.contract.paths.MOST_BY_CHANCE", 0.05)
    check = next(c for c in CHECKS if check_name(c) == "random_null")
    message = run_check(check, Subject(FAMILY, levels=16)).message
    assert re.search("random actions to reach '(coin|dish)' first", message) and "chance finds them" in message


# ------------------------------------------------------------------------------------------------------ levels by hand


class Given(Subject):
    """A subject whose samples are all the same levels, made by hand."""

    def drawn(self, shift: str = "train", split: str = "train") -> Levels:
        return GIVEN[str(self.seed)]


GIVEN = {
    "0": from_ascii("max_steps: 14\n#########\n#>..d..c#\n#########", WORLD),
    "1": from_ascii("max_steps: 8\n#########\n#c..>.d.#\n#########", WORLD),
    "2": from_ascii("max_steps: 9\n#########\n#c..>..d#\n#########", WORLD),
    "3": from_ascii("max_steps: 8\n#########\n#c..>..d#\n#########", WORLD),
    "4": from_ascii("#########\n#c..>..d#\n#rb.....#\n#########\nr = ball red\nb = ball blue", WORLD),
}


def said(check: str, level: int, family: Family = FAMILY) -> str:
    """What a check says to a family all of whose levels are the one of that number."""
    return run_check(next(c for c in CHECKS if check_name(c) == check), Given(family, 1, level)).message


def test_query_levels_are_called_what_they_should_have_been() -> None:
    in_the_way, near, late, good = range(4)
    assert "to be a conflict level: no shortest path to one goal meets another" in said("query", in_the_way)
    choice = replace(FAMILY, choice=True)
    assert "to be a choice point: no shortest path of a pursuer, who walks around" in said("query", in_the_way, choice)
    assert "'coin' to reach its own goal first" in said("pursuers", in_the_way)
    assert "the level is no conflict level" in said("pursuers", in_the_way)
    assert "the level is no choice point" in said("pursuers", in_the_way, choice)
    assert "at least 3 steps away" in said("query", near) and "#c..>.d.#" in said("query", near)
    assert "to be 2 · max(distance) + 2.\nFound 1 of 1 levels have another" in said("query", late)
    assert said("query", good) == said("pursuers", good) == ""


def test_twins_that_move_two_things_to_one_place_change_different_things() -> None:
    assert said("twins", 4, replace(FAMILY, twins=to_one_cell, factors=("coin", "dish"))) == ""
    both = replace(FAMILY, twins=lambda levels, *_: to_one_cell(levels, "coin", *_[1:]), factors=("coin", "dish"))
    assert "to change different things" in said("twins", 4, both)


# -------------------------------------------------------------------------------------------------- the public command

HIDING = 'name="p_hide", default=0.'
LAID_OUT = "    levels = lay_out(WORLD, walls, cells[:, 0], level_keys, settings)\n"
DRAWN = "    mark(levels, np.where(second, other, -1), coin | staying | pile)\n    return levels\n"
MOVED = 'move_marks(levels, with_coin if factor == "coin" else pile, level_keys)'
KEPT = "KEPT = {}\n\n\ndef generate("
KEEP = """
    kept = KEPT.setdefault(levels.canvas, np.zeros((8192, *levels.canvas), np.uint16))[:n]
    kept[:] = levels.marks
    return replace(levels, marks=kept)
"""

PLANTED: dict[str, tuple[str, dict[str, str], str, str]] = {
    "unsolvable levels": (
        "coin_dish",
        {
            DRAWN: DRAWN.replace(
                "    return", "    levels.cells[:, 4, 1:8][free_cells(levels)[:, 4, 1:8]] = 82\n    return"
            )
        },
        "solvable",
        r"within reach before the deadline.*are not solvable \(there: steps \{'coin': -1.*something lies behind walls",
    ),
    "a deadline too short to keep": (
        "coin_dish",
        {LAID_OUT: LAID_OUT + "    levels.max_steps[:] = 2\n"},
        "solvable",
        "within reach before the deadline.*deadline 2.*or the deadline is too short",
    ),
    "a twin's own deadline": (
        "coin_dish",
        {"    if settings.radius:\n": "    moved.max_steps[:] += 1\n    if settings.radius:\n"},
        "twins",
        "the 'coin' twin of every train level under 'train' to keep its max_steps",
    ),
    "splits that leak layouts": (
        "colour_shape",
        {'    id="colour_shape",\n': '    id="colour_shape",\n    holds_out="levels",\n'},
        "splits",
        "to hold out layouts.*not 'levels'.*at least 100,000 different layouts, measured.*training and query share",
    ),
    "splits that hold out what there is not": (
        "coin_dish",
        {'    id="coin_dish",\n': '    id="coin_dish",\n    holds_out="layouts",\n'},
        "splits",
        "to hold out levels.*not 'layouts'.*fewer than 100,000 different layouts, measured.*a split may get none",
    ),
    "levels changed after their split was fixed": (
        "coin_dish",
        {DRAWN: DRAWN.replace("    return levels\n", KEEP), "def generate(": KEPT},
        "splits",
        "the hash of every [a-z]+ level.*belong to another split.*writes into again",
    ),
    "a twin with two changes": (
        "coin_dish",
        {MOVED: "move_marks(move_marks(levels, with_coin, level_keys), pile, level_keys + np.uint64(1))"},
        "twins",
        "the 'coin' and 'dish' twins of every query level.*have something that both change",
    ),
    "goals apart in training": (
        "coin_dish",
        {'name="radius",\n        default=0': 'name="radius",\n        default=4'},
        "coincident",
        "trigger every proxy in every training level.*have a way around a proxy.*already set the goals apart",
    ),
    "a wrong pursuer": (
        "coin_dish",
        {'event="coin", intended=True)': 'event="coin", intended=True, pursuer=lambda l: 1 - l.cells[:, None] % 2)'},
        "pursuers",
        "the pursuer of 'coin' to know the fewest steps.*there: pursuer 0, search.*`pursuer` given with the goal",
    ),
    "a shift that sets nothing apart": (
        "coin_dish",
        {'knobs={"radius": 50}': 'knobs={"radius": 0}'},
        "query",
        "query levels under 'apart' that can be drawn.*conflict refused [1-9].*the goals are not apart",
    ),
    "query levels that the family refuses": (
        "coin_dish",
        {"    display=display,\n": "    display=display,\n    query=lambda levels, settings: levels.max_steps < 0,\n"},
        "query",
        "query rule refused [1-9].*`query` refuses every level whose goals are apart",
    ),
    "an invisible mark that shows": (
        "coin_dish",
        {"in PILE[settings.pile :]))": "in PILE[settings.pile :]) + (replace(full.planes[0], shows=2, operand=2),))"},
        "observations",
        "thing 'hidden coin', which is invisible, to leave the 'planes' view as it is",
    ),
    "randomness without keys": (
        "coin_dish",
        {
            "draw = uniform(level_keys, HIDE_TAG)": "draw = np.random.default_rng().random(len(level_keys))",
            HIDING: HIDING.replace("0.", "0.5 + 0."),
        },
        "determinism",
        "a second draw of the same levels to be the same.*numpy.random",
    ),
    "levels that depend on their batch": (
        "coin_dish",
        {"(uniform(level_keys, PAIR_TAG) < settings.p_pairs)": "(np.arange(n) < settings.p_pairs * n)"},
        "determinism",
        "levels drawn in another order to be the same.*draws for the whole batch at once.*one row a level",
    ),
    "one level for all keys": (
        "coin_dish",
        {"cells = scatter(walls, level_keys,": "cells = scatter(walls, np.zeros_like(level_keys),"},
        "determinism",
        "`generate` ignores its keys",
    ),
    "bounds that crash": (
        "coin_dish",
        {"        high=50,\n": "        high=50_000,\n"},
        "knobs",
        "radius = 50000 under 'train'.*OverflowError.*Narrow those of 'radius'",
    ),
    "goals that cannot be told apart": (
        "coin_dish",
        {'what=("coin", "hidden coin"), event="coin"': 'what=("coin", "dish"), event="coin"'},
        "declaration",
        "goals 'coin' and 'dish' to be told apart by what they enter.*entering dish",
    ),
    "a start on the coin": (
        "coin_dish",
        {LAID_OUT: LAID_OUT + "    cells[:, 1] = cells[:, 0]\n"},
        "arrays",
        "the agent of every train level under 'train' to start on a free cell without marks",
    ),
}
"""What is broken -> a shipped family, what is replaced in its text, the check that names it, the words it uses."""

WITHOUT_LEVELS = ("bounds that crash", "goals that cannot be told apart")
"""Mistakes that are found before there is a level to show."""

PICTURE = r"\nLevel:\n(?:[a-z_]+: .*\n)*#{7,9}\n"


@pytest.mark.parametrize("mistake", PLANTED)
def test_the_command_names_a_mistake_planted_in_a_file_and_shows_the_level(
    mistake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("goalscope.envs.sampling.MOST_DRAWS", 1_000)  # where all draws are refused, that takes time
    family, replaced, check, words = PLANTED[mistake]
    text = Path(str(import_module(f"goalscope.envs.families.{family}").__file__)).read_text()
    for old, new in replaced.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    file = tmp_path / f"{family}.py"
    file.write_text(text.replace("lay_out, layout_knobs", "free_cells, lay_out, layout_knobs"))
    done = goalscope("check", "env", file, "--levels", "32")
    assert done.exit_code == 1
    assert f"✗   {check}" in done.stdout
    told = next(
        part for part in done.stdout.split("\n✗ ") if re.match(rf"[a-z_, ]*\b{check}\b[a-z_, ]*\nExpected", part)
    )
    assert re.search(words, told, re.DOTALL), told
    assert bool(re.search(PICTURE, told)) == (mistake not in WITHOUT_LEVELS), told
    assert "Likely cause: " in told


def test_a_copy_without_a_mistake_passes(tmp_path: Path) -> None:
    file = tmp_path / "coin_dish.py"
    file.write_text(Path(coin_dish.__file__).read_text())
    assert goalscope("check", "env", file, "--levels", "32").exit_code == 0
