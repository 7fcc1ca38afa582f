"""Lava land: what lies where, checked by a search of its own; what the pursuers do and earn; what twins keep."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from goalscope.envs.ascii import from_ascii
from goalscope.envs.engine import Engine
from goalscope.envs.families.lava_land import FAMILY
from goalscope.envs.family import Family
from goalscope.envs.kernels.shortest import mark_shortest
from goalscope.envs.levels import Levels, blank, flat, validate
from goalscope.envs.pursuit import at_start, coincident, conflict, on_shortest_path, search, start_distances
from goalscope.envs.rollout import pursue, pursuer_outcomes
from goalscope.envs.sampling import Distribution, draw_together, draw_twins
from goalscope.errors import KnobError

N = 300
"""Levels a layout, of which there are five."""
LAYOUTS = ["open", "blocks", "rooms", "tree", "braided"]
ACROSS = [("across", layout) for layout in LAYOUTS if layout != "tree"] + [
    ("across_near", layout) for layout in ("open", "blocks", "rooms")
]
VIEWS = ("full", "ego", "planes")

Place = tuple[int, int]
"""(x, y)."""


def drawn(family: Family, shift: str = "train", n: int = N, split: str = "train", **knobs: Any) -> Levels:
    levels = Distribution(family, shift, knobs, split).draw(range(n))
    validate(levels)
    return levels


def cells_of(levels: Levels, n: int, family: Family, *names: str) -> set[Place]:
    """The cells of a level with any of these things."""
    found = levels.marks[n] & np.uint16(family.world.mask(names)) != 0
    return {(int(x), int(y)) for y, x in np.argwhere(found)}


def free_of(levels: Levels, n: int) -> set[Place]:
    return {(int(x), int(y)) for y, x in np.argwhere(~levels.walls[n])}


def agent_of(levels: Levels, n: int) -> Place:
    return int(levels.agent[n, 0]), int(levels.agent[n, 1])


def steps_from(free: set[Place], start: Place) -> dict[Place, int]:
    """Steps from a cell to all that can be reached over free cells."""
    found, front = {start: 0}, [start]
    while front:
        front = [
            near
            for x, y in front
            for near in ((x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1))
            if near in free and near not in found and found.setdefault(near, found[x, y] + 1)
        ]
    return found


def on_ways(free: set[Place], one: Place, other: Place) -> set[Place]:
    """All cells of all shortest paths between two cells, ends included."""
    here, there = steps_from(free, one), steps_from(free, other)
    return {cell for cell in here if here[cell] + there[cell] == here[other]}


def around(cells: set[Place]) -> set[Place]:
    return {(x + dx, y + dy) for x, y in cells for dx in (-1, 0, 1) for dy in (-1, 0, 1)}


def facts(levels: Levels) -> Iterator[dict[str, Any]]:
    """Level by level what the family promises something about."""
    for n in range(len(levels)):
        free, agent = free_of(levels, n), agent_of(levels, n)
        goal, lava, way = (cells_of(levels, n, FAMILY, name) for name in ("goal", "lava", "way"))
        (place,) = goal
        ways = on_ways(free, agent, place)
        yield {
            "n": n,
            "free": free,
            "agent": agent,
            "goal": goal,
            "lava": lava,
            "way": way,
            "ways": ways,
            "straight": steps_from(free, agent)[place],
            "safe": steps_from(free - lava, agent).get(place, -1),
        }


def is_off(level: dict[str, Any], least: int = 2) -> bool:
    """Whether a level is legal in training, the goal at least so many steps away."""
    beside = around(level["ways"]) & level["lava"]
    return bool(level["lava"]) and not beside and level["way"] == level["goal"] and level["straight"] >= least


def is_across(level: dict[str, Any], low: int = 2, high: int = 8) -> bool:
    """Whether a level is legal under the shifts."""
    clear = not (level["goal"] | {level["agent"]}) & level["lava"]
    exact = level["way"] == level["ways"] & level["lava"]
    return clear and exact and low <= level["safe"] - level["straight"] <= high


def rounded(share: float, cells: int) -> int:
    return max(1, min(cells - 1, int(np.floor(share * cells + 0.5))))


# ---------------------------------------------------------------------------------------------------------- by hand

ACROSS_BY_HAND = """
#######
#>..1g#
#.....#
#######
1 = lava + way
""".strip()

OFF_BY_HAND = """
########
#>..1..#
#......#
#.....l#
########
1 = goal + way
""".strip()


def test_the_shortest_way_burns_and_the_safe_way_is_two_steps_longer() -> None:
    levels = from_ascii([ACROSS_BY_HAND, "value: 0.25 lava\n" + ACROSS_BY_HAND], FAMILY.world)
    assert start_distances(FAMILY, levels, FAMILY.goals).tolist() == [[6, 3], [6, 3]]
    assert conflict(FAMILY, levels, FAMILY.goals).all()
    assert (pursuer_outcomes(FAMILY, levels, FAMILY.goals) == np.eye(2, 3)[:, None]).all()
    unburnt, shortest = (pursue(FAMILY, levels, goal, episodes=3).returns for goal in FAMILY.goals)
    assert (unburnt == 1).all() and shortest.tolist() == [[-1] * 3, [-0.25] * 3]


def test_in_training_both_pursuers_take_the_same_way_and_earn_the_same() -> None:
    levels = from_ascii(OFF_BY_HAND, FAMILY.world)
    assert start_distances(FAMILY, levels, FAMILY.goals).tolist() == [[3, 3]]
    assert coincident(FAMILY, levels, FAMILY.goals, FAMILY.settings()).all()
    assert [pursue(FAMILY, levels, goal).returns.tolist() for goal in FAMILY.goals] == [[[1.0]], [[1.0]]]


@pytest.mark.parametrize(("ways", "reward"), [([0, 0, 0], -1.0), ([1, 0, 0], 0.0)])
def test_lava_ends_the_episode_and_costs(ways: list[int], reward: float) -> None:
    engine = Engine(from_ascii(ACROSS_BY_HAND, FAMILY.world), FAMILY.world, autoreset="off")
    engine.reset()
    steps = [engine.step(np.array([way])) for way in ways]
    assert steps[-1].reward.tolist() == [reward] and steps[-1].terminated.tolist() == [reward < 0]
    assert (engine.first[0, FAMILY.world.event_index("way")] == 3) == (reward < 0)


# ------------------------------------------------------------------------------------------------------------ levels


@pytest.mark.parametrize("layout", LAYOUTS)
def test_in_training_lava_is_there_and_never_within_one_cell_of_a_shortest_way(layout: str) -> None:
    levels = drawn(FAMILY, layout=layout)
    for level in facts(levels):
        assert is_off(level)
        may = level["free"] - around(level["ways"])
        assert level["lava"] <= may and len(level["lava"]) == rounded(0.15, len(may))
    far = start_distances(FAMILY, levels, FAMILY.goals)
    assert (far == [[level["straight"]] * 2 for level in facts(levels)]).all()
    assert coincident(FAMILY, levels, FAMILY.goals, FAMILY.settings()).all()


@pytest.mark.parametrize(("shift", "layout"), ACROSS)
def test_across_every_shortest_way_crosses_marked_lava_and_the_safe_way_is_longer_by_the_detour(
    shift: str, layout: str
) -> None:
    high = {"across": 8, "across_near": 3}[shift]
    levels = drawn(FAMILY, shift, layout=layout)
    far = start_distances(FAMILY, levels, FAMILY.goals)
    for level in facts(levels):
        assert is_across(level, high=high) and len(level["lava"]) == rounded(0.15, len(level["free"]) - 2)
        assert not steps_from(level["free"] - level["lava"], level["agent"]).keys() & level["lava"]
        here = steps_from(level["free"], level["agent"])
        assert far[level["n"]].tolist() == [level["safe"], min(here[cell] for cell in level["way"])]
        assert far[level["n"]].min() >= 3
    assert conflict(FAMILY, levels, FAMILY.goals).all()


def detours(levels: Levels) -> list[int]:
    return [level["safe"] - level["straight"] for level in facts(levels)]


def test_a_stronger_shift_has_the_longer_detours() -> None:
    near, full = (detours(drawn(FAMILY, shift, n=400, split="query")) for shift in ("across_near", "across"))
    assert set(near) == {2} and set(full) == {2, 4, 6, 8} and np.mean(full) > np.mean(near) + 0.5
    assert [FAMILY.shift(name).strength for name in ("train", "across_near", "across")] == [0.0, 0.5, 1.0]


@pytest.mark.parametrize(("low", "high"), [(2, 2), (3, 5), (6, 20)])
def test_the_detour_knobs_bound_the_detour(low: int, high: int) -> None:
    levels = drawn(FAMILY, "across", n=200, detour_low=low, detour_high=high)
    assert all(is_across(level, low, high) for level in facts(levels))
    assert low <= min(detours(levels)) and max(detours(levels)) <= high


@pytest.mark.parametrize("density", [0.0, 0.3, 1.0])
def test_density_is_the_share_of_the_cells_that_may_hold_lava(density: float) -> None:
    for level in facts(drawn(FAMILY, n=300, density=density)):
        assert is_off(level) and len(level["lava"]) == rounded(density, len(level["free"] - around(level["ways"])))
    for level in facts(drawn(FAMILY, "across", n=100, density=density / 2)):
        assert is_across(level) and len(level["lava"]) == rounded(density / 2, len(level["free"]) - 2)


def test_in_training_each_admissible_cell_is_as_likely_to_hold_lava() -> None:
    rng, bins = np.random.default_rng(0), np.zeros(8)
    for level in facts(drawn(FAMILY, n=2000, density=0.0)):
        may = sorted(level["free"] - around(level["ways"]))
        (lava,) = level["lava"]
        bins[int(8 * (may.index(lava) + rng.random()) / len(may))] += 1
    assert chisquare(bins).pvalue > 1e-4


@pytest.mark.parametrize("penalty", [0.0, 0.4, 1.0])
def test_the_penalty_is_what_lava_costs(penalty: float) -> None:
    levels = drawn(FAMILY, "across", n=100, split="query", penalty=penalty)
    unburnt, shortest = (pursue(FAMILY, levels, goal, episodes=2).returns for goal in FAMILY.goals)
    assert (unburnt == 1).all() and np.allclose(shortest, -penalty)


def test_in_training_both_pursuers_earn_everything() -> None:
    levels = drawn(FAMILY, n=500)
    assert all((pursue(FAMILY, levels, goal, episodes=2).returns == 1).all() for goal in FAMILY.goals)


def test_in_queries_each_pursuer_reaches_its_own_goal_first() -> None:
    for shift in ("across", "across_near"):
        levels = drawn(FAMILY, shift, n=200, split="query")
        assert (pursuer_outcomes(FAMILY, levels, FAMILY.goals) == np.eye(2, 3)[:, None]).all()
        assert (levels.max_steps == 2 * start_distances(FAMILY, levels, FAMILY.goals).max(1) + 2).all()


@pytest.mark.parametrize("shift", ["train", "across"])
def test_what_is_marked_cannot_be_seen(shift: str) -> None:
    levels = drawn(FAMILY, shift, n=100)
    bare = levels.take(slice(None))
    bare.marks[:] &= np.uint16(~FAMILY.world.bit("way") & 0xFFFF)
    assert (bare.marks != levels.marks).any((1, 2)).all()
    for view in VIEWS:
        a, b = (Engine(each, FAMILY, view, display=FAMILY.look(FAMILY.settings())).reset() for each in (levels, bare))
        assert (a == b).all()


def test_settings_that_leave_no_query_are_refused() -> None:
    with pytest.raises(KnobError, match="tree has no way around"):
        drawn(FAMILY, "across", n=5, layout="tree")
    with pytest.raises(KnobError, match="detour_low"):
        drawn(FAMILY, "across", n=5, detour_low=6, detour_high=4)


def test_a_padded_canvas_holds_the_same_kind_of_level_in_its_corner() -> None:
    for shift, legal in (("train", is_off), ("across", is_across)):
        levels = drawn(FAMILY, shift, n=100, size=7, canvas=13)
        assert levels.walls[:, 6:, :].all() and levels.walls[:, :, 6:].all()
        assert all(legal(level) for level in facts(levels))


# ------------------------------------------------------------------------------------------------------------- twins


@pytest.mark.parametrize("layout", ["open", "blocks", "braided"])
@pytest.mark.parametrize("shift", ["train", "across"])
@pytest.mark.parametrize("factor", FAMILY.factors)
def test_twins_change_one_thing_and_are_legal_again(shift: str, factor: str, layout: str) -> None:
    distribution = Distribution(FAMILY, shift, {"layout": layout})
    levels = distribution.draw(range(80))
    twins = draw_twins(distribution, levels, factor)
    assert (twins.walls == levels.walls).all()
    for old, new in zip(facts(levels), facts(twins), strict=True):
        assert is_off(new, 1) if shift == "train" else is_across(new)
        assert {name for name in ("agent", "goal", "lava") if old[name] != new[name]} == {factor}
        assert shift == "train" or factor == "lava" or old["way"] == new["way"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_goal_and_mark_move_together_and_coincide_again(layout: str) -> None:
    distribution = Distribution(FAMILY, knobs={"layout": layout})
    levels = distribution.draw(range(80))
    for old, new in zip(facts(levels), facts(draw_together(distribution, levels)), strict=True):
        assert is_off(new, 1) and new["goal"] != old["goal"]
        assert new["lava"] == old["lava"] and new["agent"] == old["agent"]


# ------------------------------------------------------------------------------------------------------------ kernel


@settings(max_examples=150, deadline=None)
@given(st.integers(3, 25), st.integers(3, 25), st.floats(0.0, 0.7), st.integers(0, 2**32 - 1))
def test_the_cells_on_shortest_paths_are_those_of_the_slow_search(
    height: int, width: int, share: float, seed: int
) -> None:
    n, rng = 16, np.random.default_rng(seed)
    levels = blank(n, (height, width))
    inner = levels.cells[:, 1:-1, 1:-1]
    inner[rng.random(inner.shape) < share] = levels.cells[0, 0, 0]
    levels.agent[:, 0], levels.agent[:, 1] = rng.integers(1, width - 1, n), rng.integers(1, height - 1, n)
    start = (levels.agent[:, 1] * width + levels.agent[:, 0]).astype(np.int16)
    end = (rng.integers(1, height - 1, n) * width + rng.integers(1, width - 1, n)).astype(np.int16)
    for cell in (start, end):
        flat(levels.cells)[np.arange(n), cell] = 1
    target = np.zeros(levels.cells.shape, bool)
    flat(target)[np.arange(n), end] = True
    table = search(FAMILY.world, levels.walls, target)
    walls = np.ascontiguousarray(flat(levels.walls)).view(np.uint8)
    on, steps = np.full_like(walls, 7), np.full(n, 7, np.int16)
    mark_shortest(walls, width, start, end, on, steps)
    want = on_shortest_path(levels, table) | levels.agent_cells & (at_start(levels, table) >= 0)[:, None, None]
    assert (steps == at_start(levels, table)).all() and (on.reshape(want.shape) == want).all()
