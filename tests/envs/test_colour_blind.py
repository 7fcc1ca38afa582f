"""Colour-blind: balls that nothing tells apart in training, and their three single colours in the query."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest, chisquare
from tests.envs.test_families import cells, drawn, is_share, only, returns_and_firsts
from tests.envs.worlds import STEPS

from goalscope.envs.ascii import from_ascii
from goalscope.envs.engine import Engine
from goalscope.envs.families.colour_blind import COLOURS, FAMILY, WORLD, third_is_nearest
from goalscope.envs.levels import Levels
from goalscope.envs.pursuit import coincident, conflict, start_distances
from goalscope.envs.sampling import Distribution, draw_together, draw_twins

MERGES = ["green blue", "red green", "red blue"]
LAYOUTS = ["open", "blocks", "rooms", "tree", "braided"]
VIEWS = ("full", "ego", "planes")
ROLES = ("named", "twin", "third")
N = 1500

Cell = tuple[int, int]


def balls(levels: Levels) -> list[dict[Cell, set[str]]]:
    """For each level the marks of every cell that has any, by name."""
    names = {thing.name: WORLD.bit(thing.name) for thing in WORLD.things}
    return [
        {(int(x), int(y)): {k for k, bit in names.items() if marks[y, x] & bit} for y, x in np.argwhere(marks)}
        for marks in levels.marks
    ]


def merged(merge: str) -> tuple[set[str], str]:
    """The two merged colours, and the third."""
    pair = set(merge.split())
    return pair, single(set(COLOURS) - pair)


def single(names: set[str]) -> str:
    (name,) = names
    return name


def words(levels: Levels) -> list[str]:
    """For each level the colour that its mission names."""
    return [COLOURS[word] for word in levels.mission[:, 0]]


def steps_around(walls: NDArray[np.bool_], start: Cell, goal: Cell, shut: set[Cell]) -> int:
    """Steps from start to goal over free cells that are not shut, −1 if there is no way."""
    found, front, steps = {start}, {start}, 0
    while front and goal not in found:
        ahead = {(x + dx, y + dy) for x, y in front for dx, dy in STEPS}
        front = {c for c in ahead if c not in found and not walls[c[1], c[0]] and (c == goal or c not in shut)}
        found |= front
        steps += 1
    return steps if goal in found else -1


# ------------------------------------------------------------------------------------------------------------ training


@pytest.mark.parametrize("merge", MERGES)
def test_in_training_two_balls_have_both_merged_colours_and_one_its_own(merge: str) -> None:
    pair, third = merged(merge)
    for level in balls(drawn(FAMILY, n=300, merge=merge)):
        looks = sorted((marks - set(ROLES) for marks in level.values()), key=len)
        assert looks == [{third}, pair, pair]


@pytest.mark.parametrize("merge", MERGES)
def test_what_looks_like_the_named_ball_is_named_and_twin_at_once_and_the_rest_is_third(merge: str) -> None:
    _, third = merged(merge)
    levels = drawn(FAMILY, merge=merge)
    for level, word in zip(balls(levels), words(levels), strict=True):
        for marks in level.values():
            like_named = (word == third) == (third in marks)
            assert marks & set(ROLES) == ({"named", "twin"} if like_named else {"third"})


@pytest.mark.parametrize("p_third", [0.0, 1 / 3, 0.8, 1.0])
def test_missions_name_the_third_colour_in_their_share_and_the_merged_ones_equally_often(p_third: float) -> None:
    found = np.array(words(drawn(FAMILY, n=3000, p_third=p_third)))
    assert is_share(found == "red", p_third)
    rest = found[found != "red"]
    if p_third < 1:
        assert binomtest(int((rest == "green").sum()), len(rest)).pvalue > 1e-4
    else:
        assert len(rest) == 0


def test_by_default_every_colour_is_named_equally_often() -> None:
    found = words(drawn(FAMILY))
    assert chisquare([found.count(name) for name in COLOURS]).pvalue > 1e-4


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("merge", MERGES)
def test_training_is_coincident_and_asks_about_the_named_ball_and_its_twin(layout: str, merge: str) -> None:
    distribution = Distribution(FAMILY, knobs={"layout": layout, "merge": merge})
    levels = distribution.draw(range(200))
    assert [goal.name for goal in distribution.goals] == ["named", "twin"]
    assert coincident(FAMILY, levels, distribution.goals, distribution.settings).all()


def test_in_training_both_pursuers_earn_all_and_the_third_nothing() -> None:
    levels = drawn(FAMILY)
    for goal in ("named", "twin"):
        gain, first, length = returns_and_firsts(FAMILY, levels, goal)
        assert (gain == 1).all() and (first[:, 0] == first[:, 1]).all() and (first[:, 2] == -1).all()
        assert (length == start_distances(FAMILY, levels, FAMILY.goals)[:, 0]).all()
    gain, first, _ = returns_and_firsts(FAMILY, levels, "third")
    assert (gain == 0).all() and (first[:, :2] == -1).all()


@pytest.mark.parametrize(
    ("layout", "size", "n"), [("blocks", 9, 1000), ("tree", 9, 1000), ("blocks", 17, 100), ("tree", 25, 100)]
)
@pytest.mark.parametrize("shift", ["train", "full_colour"])
def test_every_ball_can_be_reached_around_the_others_and_pursuers_know_the_steps(
    layout: str, size: int, n: int, shift: str
) -> None:
    levels = drawn(FAMILY, shift, n=n, layout=layout, size=size)
    far = start_distances(FAMILY, levels, FAMILY.goals)
    for n, level in enumerate(balls(levels)):
        start = (int(levels.agent[n, 0]), int(levels.agent[n, 1]))
        steps = {ball: steps_around(levels.walls[n], start, ball, set(level)) for ball in level}
        assert len(level) == 3 and start not in level and min(steps.values()) > 0
        assert far[n].tolist() == [min(steps[b] for b, marks in level.items() if role in marks) for role in ROLES]


@pytest.mark.parametrize("layout", ["open", "blocks"])
def test_no_level_shuts_the_agent_in_among_balls(layout: str) -> None:
    levels = drawn(FAMILY, n=1000, size=5, layout=layout)
    for n, level in enumerate(balls(levels)):
        x, y = (int(v) for v in levels.agent[n, :2])
        assert any(not levels.walls[n, y + dy, x + dx] and (x + dx, y + dy) not in level for dx, dy in STEPS)


def test_agent_and_balls_lie_anywhere() -> None:
    levels = drawn(FAMILY, n=3000, layout="open")
    free = ~levels.walls[0]
    for lie in (levels.agent_cells, levels.marks != 0):
        assert chisquare(lie.sum(0)[free]).pvalue > 1e-4


def test_the_three_balls_of_a_level_are_drawn_alike() -> None:
    far = start_distances(FAMILY, drawn(FAMILY, "full_colour", n=3000, layout="tree"), FAMILY.goals)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        nearer = far[:, one] - far[:, other]
        assert binomtest(int((nearer > 0).sum()), int((nearer != 0).sum())).pvalue > 1e-3


# ----------------------------------------------------------------------------------------------------------- the query


@pytest.mark.parametrize("merge", MERGES)
@pytest.mark.parametrize("split", ["train", "query"])
def test_in_full_colour_three_single_colours_have_a_role_each(merge: str, split: str) -> None:
    pair, third = merged(merge)
    levels = drawn(FAMILY, "full_colour", n=N if split == "train" else 200, split=split, merge=merge)
    for level, word in zip(balls(levels), words(levels), strict=True):
        twin = single(pair - {word})
        assert word in pair
        found = {frozenset(marks) for marks in level.values()}
        assert found == {frozenset({word, "named"}), frozenset({twin, "twin"}), frozenset({third, "third"})}
    first = words(levels).count(min(pair))
    assert binomtest(first, len(levels)).pvalue > 1e-4


def test_in_queries_the_third_ball_is_strictly_the_nearest() -> None:
    levels = drawn(FAMILY, "full_colour", n=300, split="query")
    far = start_distances(FAMILY, levels, FAMILY.goals)
    for n, level in enumerate(balls(levels)):
        start = (int(levels.agent[n, 0]), int(levels.agent[n, 1]))
        places = {single(marks & set(ROLES)): ball for ball, marks in level.items()}
        steps = [steps_around(levels.walls[n], start, places[role], set(level)) for role in ROLES]
        assert far[n].tolist() == steps and 3 <= steps[2] < min(steps[:2])


def test_neither_the_named_ball_nor_its_twin_is_nearer_on_average() -> None:
    far = start_distances(FAMILY, drawn(FAMILY, "full_colour", n=400, split="query"), FAMILY.goals)
    nearer = far[:, 0] - far[:, 1]
    assert binomtest(int((nearer > 0).sum()), int((nearer != 0).sum())).pvalue > 1e-3


def test_in_queries_only_the_named_ball_pays_and_every_ball_ends_the_episode() -> None:
    levels = drawn(FAMILY, "full_colour", n=150, split="query")
    for k, goal in enumerate(FAMILY.goals):
        gain, first, _ = returns_and_firsts(FAMILY, levels, goal.name)
        assert (gain == (goal.name == "named")).all()
        assert (first[:, k] > 0).all() and (np.delete(first, k, axis=1) == -1).all()
        engine = Engine(beside(levels, goal.name), WORLD, autoreset="off")
        engine.reset()
        assert engine.step(np.zeros(len(levels), int)).terminated.all()


def beside(levels: Levels, thing: str) -> Levels:
    """Open rooms with the agent left of where the levels have a thing, or of the next cell to the right."""
    moved = levels.take(slice(None))
    moved.cells[:, 1:-1, 1:-1] = 1
    for n, places in enumerate(cells(levels, FAMILY, thing)):
        x, y = only(places)
        if x == 1:
            moved.marks[n, y, 2], moved.marks[n, y, 1], x = moved.marks[n, y, 1], 0, 2
        moved.agent[n, :2] = x - 1, y
    return moved


QUERY = """
#########
#>......#
#.##.##.#
#1.....2#
#...3...#
#########
"""
STAR = """
#########
#...1...#
#.......#
#2......#
#...>...#
#.......#
#......3#
#.......#
#########
"""
LEGEND = "1 = red + third\n2 = green + named\n3 = blue + twin"


def hand_made(rows: str, legend: str = LEGEND) -> Levels:
    return from_ascii("mission: 1\n" + rows.strip() + "\n" + legend, WORLD)


@pytest.mark.parametrize(
    ("rows", "far", "is_nearest", "is_conflict"),
    [
        (QUERY, [8, 6, 2], True, False),  # the third is too near for a query
        (STAR, [4, 5, 3], True, True),
        (STAR.replace("#.......#\n#2", "#2......#\n#."), [5, 5, 3], True, True),
        (STAR.replace("1", "4").replace("2", "1").replace("4", "2"), [3, 5, 4], False, True),
        (QUERY.replace("1", "4").replace("3", "1").replace("4", "3"), [8, 2, 6], False, False),
        # the only short way to the third leads over its twin: its pursuer walks around, through the lower rooms
        ("#######\n#>.3.1#\n#.###.#\n#.....#\n#....2#\n#######", [7, 2, 8], False, False),
    ],
)
def test_hand_made_levels_are_measured_as_counted(
    rows: str, far: list[int], is_nearest: bool, is_conflict: bool
) -> None:
    level = hand_made(rows)
    assert start_distances(FAMILY, level, FAMILY.goals).tolist() == [far]
    assert third_is_nearest(level, FAMILY.settings("full_colour")).tolist() == [is_nearest]
    assert conflict(FAMILY, level, FAMILY.goals).tolist() == [is_conflict]


# ---------------------------------------------------------------------------------------------------- what can be seen


def names_of(settings: Any) -> list[str]:
    return [plane.name for plane in FAMILY.look(settings).planes]


@pytest.mark.parametrize("merge", MERGES)
@pytest.mark.parametrize("shift", ["train", "full_colour"])
def test_the_third_colours_plane_is_the_first_of_the_balls_and_nothing_hidden_has_one(shift: str, merge: str) -> None:
    a, b = merge.split()
    third = merged(merge)[1]
    order = [third, a, b]
    wanted = ["walls", "agent", *order, *(f"mission {name}" for name in order)]
    assert names_of(FAMILY.settings(shift, merge=merge)) == wanted


def facing(levels: Levels, colours: set[str]) -> list[NDArray[np.uint8]]:
    """By view, `[2, …]` what an agent sees in an empty room from the left of each of two balls of a level."""
    level = balls(levels)[0]
    places = [ball for ball, marks in level.items() if marks & colours]
    rooms = levels.take([0, 0])
    rooms.cells[:, 1:-1, 1:-1] = 1
    rooms.marks[:] = 0
    rooms.agent[:, :3] = 3, 4, 0
    for k, (x, y) in enumerate(places):
        rooms.marks[k, 4, 4] = levels.marks[0, y, x]
    return [Engine(rooms, FAMILY, view).reset().copy() for view in VIEWS]


def test_merged_balls_look_the_same_in_every_view_and_differ_in_full_colour() -> None:
    blind, sighted = drawn(FAMILY, n=20), drawn(FAMILY, "full_colour", n=20)
    for i in range(20):
        assert all((seen[0] == seen[1]).all() for seen in facing(blind.take([i]), {"green", "blue"}))
        assert all((seen[0] != seen[1]).any() for seen in facing(sighted.take([i]), {"green", "blue"}))


@pytest.mark.parametrize("merge", MERGES)
def test_which_merged_ball_was_meant_leaves_no_trace_in_any_view(merge: str) -> None:
    """Balls change places: the two merged ones unnoticed in training, noticed in full colour."""
    for shift, unnoticed in (("train", True), ("full_colour", False)):
        levels = drawn(FAMILY, shift, n=200, merge=merge)
        pair, _ = merged(merge)
        swapped = levels.take(slice(None))
        for n, level in enumerate(balls(levels)):
            (a, b), (c, d) = (ball for ball, marks in level.items() if marks & pair)
            swapped.marks[n, b, a], swapped.marks[n, d, c] = levels.marks[n, d, c], levels.marks[n, b, a]
        look = FAMILY.look(FAMILY.settings(shift, merge=merge))
        for view in ("full", "planes"):
            one, other = (Engine(each, WORLD, view, display=look).reset().copy() for each in (levels, swapped))
            same = (one == other).reshape(200, -1).all(1)
            assert same.all() if unnoticed else not same.any()


def test_in_training_both_planes_of_a_merged_ball_are_lit_and_one_in_full_colour() -> None:
    settings = FAMILY.settings()
    planes = names_of(settings)
    for shift, lit in (("train", 2), ("full_colour", 1)):
        levels = drawn(FAMILY, shift, n=200)
        obs = Engine(levels, FAMILY, "planes", display=FAMILY.look(FAMILY.settings(shift))).reset()
        shown = obs[:, [planes.index("green"), planes.index("blue")]] > 0
        assert (shown.sum(1).max((1, 2)) == lit).all()
        assert ((obs[:, planes.index("red")] > 0).sum((1, 2)) == 1).all()
        assert (shown.any(1).sum((1, 2)) == 2).all()


@pytest.mark.parametrize("shift", ["train", "full_colour"])
@pytest.mark.parametrize("merge", MERGES)
def test_the_missions_planes_stay_distinct(shift: str, merge: str) -> None:
    levels, settings = drawn(FAMILY, shift, n=300, merge=merge), FAMILY.settings(shift, merge=merge)
    obs = Engine(levels, FAMILY, "planes", display=FAMILY.look(settings)).reset()
    for name in COLOURS:
        plane = obs[:, names_of(settings).index(f"mission {name}")]
        wanted = np.array([255 if word == name else 0 for word in words(levels)])
        assert (plane == wanted[:, None, None]).all()
    assert len(set(words(levels))) == (3 if shift == "train" else 2)


def test_roles_cannot_be_seen_in_any_view() -> None:
    for shift in ("train", "full_colour"):
        levels = drawn(FAMILY, shift, n=200)
        bare = levels.take(slice(None))
        bare.marks[:] &= np.uint16(WORLD.mask(COLOURS))
        look = FAMILY.look(FAMILY.settings(shift))
        for view in VIEWS:
            a, b = (Engine(each, WORLD, view, display=look).reset().copy() for each in (levels, bare))
            assert (a == b).all()


@pytest.mark.parametrize("shift", ["train", "full_colour"])
def test_gymnasium_tells_the_named_colour(shift: str) -> None:
    env: Any = gymnasium.make("goalscope/ColourBlind-v0", shift=shift)
    told = set()
    for seed in range(40):
        obs, _ = env.reset(seed=seed)
        assert obs["mission"] == f"reach the {words(env.unwrapped.state)[0]} ball"
        told.add(obs["mission"])
    assert len(told) == (3 if shift == "train" else 2)


# ---------------------------------------------------------------------------------------------- mixtures, matched pairs


def test_a_mixture_shows_its_share_of_levels_in_full_colour_with_one_ball_that_pays() -> None:
    levels = Distribution(FAMILY, alpha=0.3, alpha_shift="full_colour").draw(range(N))
    sighted = np.array([all(len(marks) == 2 for marks in level.values()) for level in balls(levels)])
    assert is_share(sighted, 0.3)
    named = np.array([len(places) for places in cells(levels, FAMILY, "named")])
    assert (named[sighted] == 1).all() and named[~sighted].max() == 2
    planes = names_of(FAMILY.settings())
    obs = Engine(levels, FAMILY, "planes").reset()
    both = (obs[:, planes.index("green")] > 0) & (obs[:, planes.index("blue")] > 0)
    assert (both.any((1, 2)) == ~sighted).all()


@pytest.mark.parametrize("factor", ["named", "twin", "third"])
@pytest.mark.parametrize(("shift", "split"), [("train", "train"), ("full_colour", "query")])
def test_twins_move_one_ball_with_all_that_it_is(factor: str, shift: str, split: str) -> None:
    distribution = Distribution(FAMILY, shift, split=split)
    levels = distribution.draw(range(100))
    twins = draw_twins(distribution, levels, factor)
    for before, after in zip(balls(levels), balls(twins), strict=True):
        gone, come = set(before) - set(after), set(after) - set(before)
        assert before[only(gone)] == after[only(come)] and factor in after[only(come)]
        assert {c: before[c] for c in set(before) & set(after)} == {c: after[c] for c in set(before) & set(after)}
    assert (twins.mission == levels.mission).all()
    if split == "query":
        assert third_is_nearest(twins, distribution.settings).all()


def test_what_moves_together_stays_coincident() -> None:
    distribution = Distribution(FAMILY)
    levels = distribution.draw(range(200))
    moved = draw_together(distribution, levels)
    assert (moved.mission == levels.mission).all() and not levels.equal(moved).any()
    for before, after in zip(balls(levels), balls(moved), strict=True):
        (came,) = set(after) - set(before)
        assert {"named", "twin"} <= after[came]
