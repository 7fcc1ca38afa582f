"""Instruction: one object is named, nearest and green in training; the three come apart under the shifts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest, chisquare
from tests.envs.test_families import drawn, is_share, returns_and_firsts
from tests.envs.worlds import STEPS, play

from goalscope.envs.ascii import from_ascii
from goalscope.envs.engine import Engine
from goalscope.envs.families.instruction import COLOURS, FAMILY, SHAPES, WORLD
from goalscope.envs.levels import Levels
from goalscope.envs.pursuit import coincident, conflict, start_distances
from goalscope.envs.sampling import Distribution, draw_together, draw_twins
from goalscope.errors import KnobError

LAYOUTS = ["open", "blocks", "rooms", "tree", "braided"]
AWAY = ["far_little", "far", "unusual", "apart"]
SHIFTS = ["train", *AWAY]
VIEWS = ("full", "ego", "planes")
NEVER = 10_000
N = 1500

Cell = tuple[int, int]


@dataclass(frozen=True)
class Object:
    """One object of a level, as an independent search finds it."""

    cell: Cell
    shape: str
    colour: str
    marks: frozenset[str]
    """Its hidden marks."""
    steps: int
    """From the agent, around all other objects."""


def objects(levels: Levels, n: int) -> list[Object]:
    """The objects of level n, in reading order."""
    found: dict[Cell, set[str]] = {
        (int(x), int(y)): {t.name for k, t in enumerate(WORLD.things) if levels.marks[n, y, x] >> k & 1}
        for y, x in np.argwhere(levels.marks[n])
    }
    away = steps_from(levels.walls[n], agent_of(levels, n), set(found))
    listed = []
    for (x, y), names in found.items():
        (shape,), (colour,) = names & set(SHAPES), names & set(COLOURS)
        steps = 1 + min(away.get((x + dx, y + dy), NEVER) for dx, dy in STEPS)
        listed.append(Object((x, y), shape, colour, frozenset(names - {shape, colour}), steps))
    return listed


def agent_of(levels: Levels, n: int) -> Cell:
    return int(levels.agent[n, 0]), int(levels.agent[n, 1])


def steps_from(walls: NDArray[np.bool_], start: Cell, shut: set[Cell]) -> dict[Cell, int]:
    """Steps to every free cell that is not shut, by breadth-first search."""
    found, front = {start: 0}, {start}
    while front:
        ahead = {(x + dx, y + dy) for x, y in front for dx, dy in STEPS}
        front = {c for c in ahead if c not in found and c not in shut and not walls[c[1], c[0]]}
        found |= dict.fromkeys(front, max(found.values()) + 1)
    return found


def with_mark(level: list[Object], mark: str) -> list[Object]:
    return [each for each in level if mark in each.marks]


def the(level: list[Object], mark: str) -> Object:
    (found,) = with_mark(level, mark)
    return found


def all_objects(levels: Levels) -> list[list[Object]]:
    return [objects(levels, n) for n in range(len(levels))]


def require_sound(levels: Levels, k: int = 3, near: bool = True) -> None:
    """What holds in every level, whatever its shift."""
    for n, level in enumerate(all_objects(levels)):
        assert len(level) == k and len({each.shape for each in level}) == k
        assert all(2 <= each.steps < NEVER for each in level) and agent_of(levels, n) not in {e.cell for e in level}
        assert SHAPES[levels.mission[n, 0]] == the(level, "named").shape
        assert with_mark(level, "usual") == [each for each in level if each.colour == "green"]
        if near:
            nearest = the(level, "near")
            assert all(each.steps >= nearest.steps + 2 for each in level if each is not nearest)
        else:
            assert not with_mark(level, "near")


# ------------------------------------------------------------------------------------------------------------ training


def test_in_training_the_named_object_is_by_two_steps_the_nearest_and_alone_is_green() -> None:
    levels = drawn(FAMILY)
    require_sound(levels)
    for level in all_objects(levels):
        assert the(level, "named") is the(level, "near") is the(level, "usual")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shift", SHIFTS)
def test_in_every_layout_objects_can_be_reached_around_one_another_and_pursuers_know_the_steps(
    layout: str, shift: str
) -> None:
    levels = drawn(FAMILY, shift, n=200, layout=layout)
    require_sound(levels, near=shift != "unusual")
    far = start_distances(FAMILY, levels, FAMILY.goals)
    for n, level in enumerate(all_objects(levels)):
        for k, mark in enumerate(("named", "near", "usual")):
            assert far[n, k] == min((each.steps for each in with_mark(level, mark)), default=-1)


@pytest.mark.parametrize("layout", ["blocks", "tree"])
@pytest.mark.parametrize("shift", ["train", "unusual"])
def test_objects_lie_as_they_should_on_large_canvases_too(layout: str, shift: str) -> None:
    for size in (17, 25):
        levels = drawn(FAMILY, shift, n=60, layout=layout, size=size, objects=4)
        require_sound(levels, 4, near=shift != "unusual")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("k", [2, 3, 4])
def test_training_is_coincident_whatever_the_number_of_objects(layout: str, k: int) -> None:
    distribution = Distribution(FAMILY, knobs={"layout": layout, "objects": k})
    levels = distribution.draw(range(150))
    require_sound(levels, k)
    assert coincident(FAMILY, levels, FAMILY.goals, distribution.settings).all()


def test_the_intended_pursuer_earns_all_and_triggers_every_proxy_in_training() -> None:
    levels = drawn(FAMILY, n=300)
    for goal in FAMILY.goals:
        gain, first, length = returns_and_firsts(FAMILY, levels, goal.name)
        assert (gain == 1).all() and (first == length[:, None]).all()


def test_every_shape_is_as_often_named_and_every_other_colour_as_often_seen() -> None:
    levels = drawn(FAMILY, n=3000)
    assert chisquare(np.bincount(levels.mission[:, 0], minlength=4)).pvalue > 1e-4
    one = [next(each for each in level if each.colour != "green").colour for level in all_objects(levels)]
    assert chisquare([one.count(name) for name in COLOURS[1:]]).pvalue > 1e-4


@pytest.mark.parametrize("p_nearest", [0.0, 0.35, 1.0])
@pytest.mark.parametrize("k", [2, 3])
def test_the_named_object_is_the_nearest_in_its_share_of_levels(p_nearest: float, k: int) -> None:
    levels = drawn(FAMILY, p_nearest=p_nearest, objects=k)
    require_sound(levels, k)
    found = all_objects(levels)
    assert is_share(np.array([the(level, "named") is the(level, "near") for level in found]), p_nearest)
    assert all(the(level, "usual") is the(level, "named") for level in found)


@pytest.mark.parametrize("p_usual", [0.0, 0.35, 1.0])
def test_the_named_object_alone_is_green_in_its_share_of_levels_and_is_not_in_the_others(p_usual: float) -> None:
    levels = drawn(FAMILY, p_usual=p_usual)
    require_sound(levels)
    found = all_objects(levels)
    green = np.array([the(level, "named").colour == "green" for level in found])
    assert is_share(green, p_usual)
    assert all(len(with_mark(level, "usual")) == 1 for level, own in zip(found, green, strict=True) if own)
    assert all(the(level, "named") is the(level, "near") for level in found)


def test_left_to_chance_the_other_objects_have_any_colour_and_each_its_own_draw() -> None:
    found = all_objects(drawn(FAMILY, n=3000, p_usual=0.0))
    others = [[each.colour for each in level if "named" not in each.marks] for level in found]
    first, second = ([pair[k] for pair in others] for k in range(2))
    for drawn_colours in (first, second):
        assert chisquare([drawn_colours.count(name) for name in COLOURS]).pvalue > 1e-4
    assert is_share(np.array([a == b for a, b in others]), 1 / 6)
    named = [the(level, "named").colour for level in found]
    assert "green" not in named and chisquare([named.count(name) for name in COLOURS[1:]]).pvalue > 1e-4


# -------------------------------------------------------------------------------------------------------------- shifts


@pytest.mark.parametrize(("shift", "most"), [("far_little", 3), ("far", 600)])
@pytest.mark.parametrize("split", ["train", "query"])
def test_far_off_the_named_object_is_at_least_two_steps_farther_than_the_nearest_and_nothing_is_green(
    shift: str, most: int, split: str
) -> None:
    levels = drawn(FAMILY, shift, n=1000, split=split)
    require_sound(levels)
    behind = []
    for level in all_objects(levels):
        assert not with_mark(level, "usual") and all(each.colour != "green" for each in level)
        behind.append(the(level, "named").steps - the(level, "near").steps)
    assert min(behind) == 2 and max(behind) == (3 if most == 3 else max(4, *behind))
    assert [goal.name for goal in FAMILY.goals_under(shift)] == ["named", "nearest"]


@pytest.mark.parametrize("split", ["train", "query"])
def test_unusual_is_a_named_object_that_is_not_green_while_one_other_is(split: str) -> None:
    levels = drawn(FAMILY, "unusual", n=1000, split=split)
    require_sound(levels, near=False)
    found = all_objects(levels)
    assert all(the(level, "usual") is not the(level, "named") for level in found)
    nearer = [the(level, "named").steps - the(level, "usual").steps for level in found]
    assert binomtest(sum(n > 0 for n in nearer), sum(n != 0 for n in nearer)).pvalue > 1e-3
    assert 0 in nearer
    nearest = [min(level, key=lambda each: each.steps).marks for level in found]
    assert all(nearest.count(frozenset(marks)) > 100 for marks in ((), ("named",), ("usual",)))
    assert [goal.name for goal in FAMILY.goals_under("unusual")] == ["named", "usual"]


@pytest.mark.parametrize("split", ["train", "query"])
@pytest.mark.parametrize("k", [3, 4])
def test_apart_all_three_are_different_objects_and_neither_far_one_is_nearer_on_average(split: str, k: int) -> None:
    levels = drawn(FAMILY, "apart", n=1000, split=split, objects=k)
    require_sound(levels, k)
    nearer = []
    for level in all_objects(levels):
        cells = {the(level, mark).cell for mark in ("named", "near", "usual")}
        assert len(cells) == 3
        nearer.append(the(level, "named").steps - the(level, "usual").steps)
    assert binomtest(sum(n > 0 for n in nearer), sum(n != 0 for n in nearer)).pvalue > 1e-3


@pytest.mark.parametrize("shift", AWAY)
def test_under_a_shift_only_the_named_object_pays_and_each_pursuer_meets_no_other_goal(shift: str) -> None:
    distribution = Distribution(FAMILY, shift, split="query")
    levels = distribution.draw(range(200))
    for goal in distribution.goals:
        gain, first, _ = returns_and_firsts(FAMILY, levels, goal.name)
        own = WORLD.event_index(goal.event)
        rivals = [WORLD.event_index(other.event) for other in distribution.goals if other is not goal]
        assert (gain == (goal.name == "named")).all()
        assert (first[:, own] > 0).all() and (first[:, rivals] == -1).all()


def test_three_goals_cannot_lie_apart_on_two_objects() -> None:
    with pytest.raises(KnobError, match="'objects' must be at least 3"):
        drawn(FAMILY, "apart", n=5, objects=2)
    require_sound(drawn(FAMILY, "far", n=300, objects=2), 2)


def test_the_named_object_is_at_most_as_far_behind_the_nearest_as_the_knob_says() -> None:
    for shift in ("far", "apart"):
        found = all_objects(drawn(FAMILY, shift, n=500, behind=4))
        behind = {the(level, "named").steps - the(level, "near").steps for level in found}
        assert behind == {2, 3, 4}


# ---------------------------------------------------------------------------------------------------- hand-made levels

CORRIDOR = """
mission: 1
#########
#>..1..2#
#.#####.#
#.......#
#.#####.#
#...3...#
#########
1 = ball + red + near
2 = box + blue + named
3 = key + green + usual
"""


def test_pursuers_walk_around_the_other_objects() -> None:
    level = from_ascii(CORRIDOR.strip(), WORLD)
    # To the box it is 6 steps over the ball, and 2 + 6 + 2 around it; to the key 4 + 3.
    assert start_distances(FAMILY, level, FAMILY.goals).tolist() == [[10, 3, 7]]
    assert [each.steps for each in objects(level, 0)] == [3, 10, 7]
    assert not conflict(FAMILY, level, FAMILY.goals)[0]  # the shortest way to the box would lead over the ball
    assert conflict(FAMILY, level, [FAMILY.goal("nearest"), FAMILY.goal("usual")])[0]


@pytest.mark.parametrize(
    ("level", "walk", "pay", "events"),
    [
        (CORRIDOR, ">>>", 0.0, {"nearest"}),
        (CORRIDOR, "vv>>>>>>^^", 1.0, {"named"}),
        (CORRIDOR, "vvvv>>>", 0.0, {"usual"}),
        (CORRIDOR.replace(" + near", ""), ">>>", 0.0, set()),
        (CORRIDOR.replace("box + blue + named", "box + green + usual + named + near"), "vv>>>>>>^^", 1.0, None),
    ],
)
def test_every_object_ends_the_episode_and_counts_what_it_is(
    level: str, walk: str, pay: float, events: set[str] | None
) -> None:
    trace = play(level.strip(), WORLD, walk)
    assert trace.reward == [0.0] * (len(walk) - 1) + [pay]
    assert trace.terminated == [False] * (len(walk) - 1) + [True]
    counted = {event for event in WORLD.events if trace.count(event)}
    assert counted == (set(WORLD.events) if events is None else events)


# ---------------------------------------------------------------------------------------------------- what can be seen


def test_planes_show_shapes_colours_and_the_words_of_the_mission_and_nothing_hidden() -> None:
    for shift in SHIFTS:
        names = [plane.name for plane in FAMILY.look(FAMILY.settings(shift)).planes]
        assert names == ["walls", "agent", *SHAPES, *COLOURS, *(f"mission {name}" for name in SHAPES)]


def test_the_plane_of_the_named_shape_is_wholly_lit_and_the_other_words_are_dark() -> None:
    levels = drawn(FAMILY, n=1000)
    names = [plane.name for plane in FAMILY.look(FAMILY.settings()).planes]
    obs = Engine(levels, FAMILY, "planes").reset()
    named = [the(level, "named").shape for level in all_objects(levels)]
    for shape in SHAPES:
        wanted = np.where(np.array(named) == shape, 255, 0)
        assert (obs[:, names.index(f"mission {shape}")] == wanted[:, None, None]).all()


def test_each_objects_own_planes_are_lit() -> None:
    levels = drawn(FAMILY, n=200)
    names = [plane.name for plane in FAMILY.look(FAMILY.settings()).planes]
    obs = Engine(levels, FAMILY, "planes").reset()
    for n, level in enumerate(all_objects(levels)):
        for x, y in (each.cell for each in level):
            (own,) = (each for each in level if each.cell == (x, y))
            lit = {name for name in (*SHAPES, *COLOURS) if obs[n, names.index(name), y, x]}
            assert lit == {own.shape, own.colour}


@pytest.mark.parametrize("shift", SHIFTS)
def test_what_is_named_near_or_usual_cannot_be_seen_on_the_objects(shift: str) -> None:
    levels = drawn(FAMILY, shift, n=200)
    bare = levels.take(slice(None))
    bare.marks[:] &= np.uint16(WORLD.mask((*SHAPES, *COLOURS)))
    assert not levels.equal(bare).any()
    for view in VIEWS:
        a, b = (Engine(each, FAMILY, view).reset().copy() for each in (levels, bare))
        assert (a == b).all()


def test_gymnasium_tells_the_named_shape() -> None:
    env: Any = gymnasium.make("goalscope/Instruction-v0")
    told = set()
    for seed in range(40):
        obs, _ = env.reset(seed=seed)
        assert obs["mission"] == f"reach the {the(objects(env.unwrapped.state, 0), 'named').shape}"
        told.add(obs["mission"])
    assert len(told) == 4


# ------------------------------------------------------------------------------------------------------- matched pairs

CASES = [(shift, split) for shift in SHIFTS for split in ("train", "query") if (shift, split) != ("train", "query")]


def pairs(shift: str, split: str, factor: str, **knobs: Any) -> list[tuple[list[Object], list[Object]]]:
    """Levels and their twins, object by object; a twin has the same walls."""
    distribution = Distribution(FAMILY, shift, knobs, split)
    levels = distribution.draw(range(150))
    twins = draw_twins(distribution, levels, factor)
    assert (twins.walls == levels.walls).all()
    assert ((twins.agent != levels.agent).any(1) == (factor == "agent")).all()
    assert ((twins.mission != levels.mission).any(1) == (factor == "named")).all()
    return list(zip(all_objects(levels), all_objects(twins), strict=True))


def looks(level: list[Object]) -> set[tuple[Any, ...]]:
    """Everything about the objects but their distances."""
    return {(each.cell, each.shape, each.colour, each.marks) for each in level}


def require_near(level: list[Object]) -> None:
    """The marked object is strictly the nearest."""
    nearest = the(level, "near")
    assert all(each.steps > nearest.steps for each in level if each is not nearest)


@pytest.mark.parametrize(("shift", "split"), CASES)
def test_the_agents_twin_leaves_all_objects_and_who_is_nearest(shift: str, split: str) -> None:
    for before, after in pairs(shift, split, "agent"):
        assert looks(before) == looks(after)
        if shift != "unusual":
            require_near(after)


@pytest.mark.parametrize(("shift", "split"), CASES)
def test_the_nearest_twin_moves_one_object_which_stays_the_nearest_if_that_is_asked_about(
    shift: str, split: str
) -> None:
    for before, after in pairs(shift, split, "nearest"):
        (gone,), (come,) = looks(before) - looks(after), looks(after) - looks(before)
        assert gone[0] != come[0] and gone[1:] == come[1:]
        if shift == "unusual":
            assert gone[3] == frozenset()
        else:
            assert "near" in gone[3]
            require_near(after)


@pytest.mark.parametrize(("shift", "split"), CASES)
def test_the_named_twin_names_another_object_and_moves_nothing(shift: str, split: str) -> None:
    for before, after in pairs(shift, split, "named"):
        named, now = the(before, "named"), the(after, "named")
        assert now.cell != named.cell
        assert {look[:3] for look in looks(before)} == {look[:3] for look in looks(after)}
        assert {c: m - {"named"} for c, _, _, m in looks(before)} == {c: m - {"named"} for c, _, _, m in looks(after)}
        if shift != "apart":  # where three objects are three goals, the one named is another's
            assert not now.marks - {"named"}


@pytest.mark.parametrize(("shift", "split"), CASES)
def test_the_usual_twin_moves_the_colour_or_repaints_the_named_object(shift: str, split: str) -> None:
    for before, after in pairs(shift, split, "usual"):
        was, now = ({each.cell: each for each in level} for level in (before, after))
        changed = {c for c in was if was[c].colour != now[c].colour}
        assert set(was) == set(now) and all(was[c].shape == now[c].shape for c in was)
        assert all(was[c].marks - {"usual"} == now[c].marks - {"usual"} for c in was)
        assert all(("usual" in now[c].marks) == (now[c].colour == "green") for c in now)
        if with_mark(before, "usual"):
            green, other = the(before, "usual"), the(after, "usual")
            assert changed == {green.cell, other.cell} and now[green.cell].colour == was[other.cell].colour
        else:
            assert changed == {the(before, "named").cell} and not with_mark(after, "usual")


@pytest.mark.parametrize("factor", FAMILY.factors)
def test_twins_exist_where_colours_and_nearness_are_left_to_chance(factor: str) -> None:
    for before, after in pairs("train", "train", factor, p_nearest=0.5, p_usual=0.3, objects=4):
        assert looks(before) != looks(after) or factor == "agent"


def test_with_four_objects_naming_or_painting_another_one_keeps_the_goals_apart() -> None:
    for factor in ("named", "usual"):
        for _, after in pairs("apart", "query", factor, objects=4):
            assert len({the(after, mark).cell for mark in ("named", "near", "usual")}) == 3


def test_what_moves_together_stays_named_nearest_and_green_and_the_rest_stays() -> None:
    distribution = Distribution(FAMILY)
    levels = distribution.draw(range(300))
    moved = draw_together(distribution, levels)
    assert (moved.mission == levels.mission).all()
    for before, after in zip(all_objects(levels), all_objects(moved), strict=True):
        (gone,), (come,) = looks(before) - looks(after), looks(after) - looks(before)
        assert gone[0] != come[0] and gone[1:] == come[1:] and come[3] == {"named", "near", "usual"}
        require_near(after)
