"""Broken copies of coin_dish: the contract names each mistake, in the check that is about it, and hides no other."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from goalscope.envs import Display, Family, Goal, Levels, Plane, Rule, Settings, Shift, Shows
from goalscope.envs.ascii import from_ascii
from goalscope.envs.checks import CHECKS, CheckReport, check_env, check_name, run_check
from goalscope.envs.contract.paths import fewest_steps
from goalscope.envs.contract.subject import Subject
from goalscope.envs.display import default_display
from goalscope.envs.families.coin_dish import FAMILY, WORLD
from goalscope.envs.pursuit import distances
from goalscope.envs.world import On
from goalscope.errors import CheckFailure, UnknownNameError
from goalscope.seeding import Keys, substream

COIN, DISH = WORLD.bit("coin"), WORLD.bit("dish")


def report_of(broken: Family) -> CheckReport:
    return check_env(broken, levels=64)


def with_knob(name: str, **changes: object) -> Family:
    return replace(FAMILY, knobs=tuple(replace(k, **changes) if k.name == name else k for k in FAMILY.knobs))  # type: ignore[arg-type]


def with_shift(**knobs: int) -> Family:
    return replace(FAMILY, shifts=(FAMILY.shift("train"), Shift(name="apart", strength=1.0, knobs=knobs)))


def with_goal(goal: Goal) -> Family:
    return replace(FAMILY, goals=tuple(goal if g.name == goal.name else g for g in FAMILY.goals))


def with_rule(event: str, rule: Rule, counters: tuple[str, ...] = ()) -> Family:
    rules = tuple(rule if r.event == event else r for r in WORLD.rules)
    return replace(FAMILY, world=replace(WORLD, rules=rules, counters=counters))


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


DISH_WITH_A_KEY = Rule(on=On.ENTER, what=("dish", "hidden dish"), event="dish", need=("keys", 1, 9))
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
    "never_counted": (with_rule("dish", DISH_WITH_A_KEY, ("keys",)), "pursuers", "search −?-1.*a counter"),
    "ambiguous": (with_rule("coin", DISH_COUNTS_AS_COIN), "declaration", "told apart.*entering dish"),
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
