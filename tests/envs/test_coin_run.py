"""The run: a coin on the end tile in training, off it but in sight of every way to it under a shift."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chisquare
from tests.envs.simulator import Simulator
from tests.envs.test_families import cells, drawn, only
from tests.envs.worlds import STEPS, draw_ego

from goalscope.envs.ascii import from_ascii
from goalscope.envs.codes import OBJECT_NAMES
from goalscope.envs.display import default_display
from goalscope.envs.engine import Engine
from goalscope.envs.families.coin_run import (
    FAMILY,
    WORLD,
    ObservedPursuer,
    in_sight,
    near_coin,
    query,
    sees_coin,
    shortest_states,
    to_end_and_coin,
)
from goalscope.envs.levels import Levels, flat
from goalscope.envs.pursuit import coincident, conflict, start_distances
from goalscope.envs.rollout import pursue
from goalscope.envs.sampling import Distribution, draw_together, draw_twins

Cell = tuple[int, int]
State = tuple[int, int, int]
"""x, y, heading."""

SHIFTS = ["near_end", "off_end"]
LOOK = default_display(WORLD)
UPPER_WAY, BLOCK = ("#########", "#.......#"), ("#.#####.#",)


def read(*rows: str) -> Levels:
    return from_ascii("\n".join(rows), WORLD)


def starts(levels: Levels) -> list[State]:
    return [(int(x), int(y), int(h)) for x, y, h, _ in levels.agent]


def successors(walls: NDArray[np.bool_], state: State) -> Iterator[State]:
    """Where a turn to the left, one to the right and a step forward lead; a bump leads nowhere."""
    x, y, heading = state
    yield x, y, (heading + 3) % 4
    yield x, y, (heading + 1) % 4
    dx, dy = STEPS[heading]
    if not walls[y + dy, x + dx]:
        yield x + dx, y + dy, heading


def steps_from(walls: NDArray[np.bool_], start: State, shut: set[Cell]) -> dict[State, int]:
    """Steps to every state within reach; cells that are shut may be entered and not left."""
    found, front = {start: 0}, [start]
    while front:
        ways = [s for here in front if here[:2] not in shut for s in successors(walls, here)]
        front = list(dict.fromkeys(s for s in ways if s not in found))
        found |= dict.fromkeys(front, max(found.values()) + 1)
    return found


def nearest(steps: dict[State, int], cell: Cell) -> int:
    return min((steps[(*cell, h)] for h in range(4) if (*cell, h) in steps), default=-1)


def ways_to(walls: NDArray[np.bool_], steps: dict[State, int], cell: Cell) -> set[State]:
    """All states on shortest paths to a cell, both ends included."""
    least = nearest(steps, cell)
    front = {s for s in steps if s[:2] == cell and steps[s] == least}
    found = set(front)
    while front:
        front = {s for s in steps for after in successors(walls, s) if after in front and steps[s] == steps[after] - 1}
        found |= front
    return found


def sees(levels: Levels, i: int, state: State) -> bool:
    """Whether a slow drawing of MiniGrid's view shows a ball."""
    there = levels.take([i])
    there.agent[0, :3] = state
    return bool((draw_ego(WORLD, LOOK, there, 0)[..., 0] == OBJECT_NAMES.index("ball")).any())


def places(levels: Levels) -> list[tuple[NDArray[np.bool_], State, Cell, Cell]]:
    """Walls, start, coin and end of each level."""
    coins, ends = cells(levels, FAMILY, "coin"), cells(levels, FAMILY, "end")
    found = zip(levels.walls, starts(levels), coins, ends, strict=True)
    return [(walls, start, only(coin), only(end)) for walls, start, coin, end in found]


# ------------------------------------------------------------------------------------------------------------- by hand


@pytest.mark.parametrize(
    ("rows", "coin", "end"),
    [
        # End: four forward. Coin: three forward, right, two forward; first down the side it is a turn more.
        (("########", "#>...e.#", "#......#", "#...c..#", "########"), 6, 4),
        # End: down the column beside the start is a turn more than along the row: 5 + 1 + 2, not 1 + 2 + 1 + 5.
        (("########", "#>.....#", "#.c....#", "#.....e#", "########"), 3, 8),
        # A wall ahead: right, forward, left, five forward, left, forward. The coin is on the way back: 2 + 1 turns.
        (("########", "#>#...e#", "#......#", "########"), -1, 10),
        (("########", "#.>#..e#", "#c#.....#", "########"), 5, -1),
        # Behind the agent: two turns, forward.
        (("######", "#c>.e#", "######"), 3, 2),
    ],
)
def test_distances_count_turns(rows: tuple[str, ...], coin: int, end: int) -> None:
    wide = max(map(len, rows))
    levels = read(*(row.ljust(wide, "#") for row in rows))
    assert start_distances(FAMILY, levels, FAMILY.goals)[0].tolist() == [coin, end]


@pytest.mark.parametrize(
    ("rows", "good"),
    [
        # In the window from the start: four columns ahead, three rows to the side.
        (("#########", "#>.....e#", "#.......#", "#.......#", "#...c...#", "#########"), True),
        # Four rows to the side: out of the window as long as the agent looks along its row.
        (("#########", "#>.....e#", "#.......#", "#.......#", "#.......#", "#...c...#", "#########"), False),
        # Behind a wall; through the gap in it the agent sees what lies ahead of the gap, never what lies behind.
        (("#########", "#>.....e#", "######.##", "#.......#", "#..c....#", "#########"), False),
        (("#########", "#>.....e#", "######.##", "#.......#", "#.....c.#", "#########"), True),
        # Of two ways around a block the lower one passes the coin, the upper one does not.
        ((*UPPER_WAY, *BLOCK * 3, "#>#####e#", *BLOCK * 3, "#.......#", "####c####", "#########"), False),
        # With the upper way shut there is only one.
        ((*UPPER_WAY, *BLOCK * 2, "#######.#", "#>#####e#", *BLOCK * 3, "#.......#", "####c####", "#########"), True),
        # No way to the coin but over the end.
        (("########", "#>...ec#", "########"), False),
    ],
)
def test_query_levels_show_the_coin_from_every_shortest_path_to_the_end(rows: tuple[str, ...], good: bool) -> None:
    assert in_sight(read(*rows))[0] == good


@pytest.mark.parametrize(("length", "good"), [(12, True), (18, True), (19, True), (20, False), (22, False)])
def test_a_coin_that_is_seen_too_late_to_go_back_is_refused(length: int, good: bool) -> None:
    """A peephole at the far end: light passes between two walls that meet at a corner, the agent has to go back.

    The end is length − 2 steps, a turn and a step away, the coin length + 5 steps by the lower row; it is seen after
    length − 7 steps, from where it is 2 · length more: 3 · length − 7 in all, of 2 · (length + 5) + 2.
    """
    rows = [
        "#" * (length + 2),
        "#" * (length - 1) + "e##",
        "#>" + "." * (length - 2) + "##",
        "#." + "#" * (length - 2) + "c#",
        "#." + "." * (length - 1) + "#",
        "#" * (length + 2),
    ]
    levels = read(*rows)
    assert start_distances(FAMILY, levels, FAMILY.goals)[0].tolist() == [length + 5, length]
    assert in_sight(levels)[0] == good


def test_coin_and_end_look_like_a_green_ball_together_and_keep_a_feature_each_apart() -> None:
    together = from_ascii("#####\n#>1.#\n#...#\n#####\n1 = coin + end", WORLD)
    views = [
        Engine(levels, FAMILY, "full").reset()[0] for levels in (together, read("#####", "#>c.#", "#.e.#", "#####"))
    ]
    ball, floor = OBJECT_NAMES.index("ball"), OBJECT_NAMES.index("floor")
    green, yellow = 1, 4
    assert views[0][2, 1].tolist() == [ball, green, 0]
    assert views[1][2, 1].tolist() == [ball, yellow, 0] and views[1][2, 2].tolist() == [floor, green, 0]


# ------------------------------------------------------------------------------------------------------ drawn levels


@pytest.mark.parametrize(("shift", "split"), [("train", "train"), ("near_end", "query"), ("off_end", "query")])
def test_pursuers_take_the_fewest_turns_and_steps(shift: str, split: str) -> None:
    levels = drawn(FAMILY, shift, 400, split, obstacles=0.2)
    claimed = start_distances(FAMILY, levels, FAMILY.goals)
    for i, (walls, start, coin, end) in enumerate(places(levels)):
        steps = steps_from(walls, start, {coin})
        assert [nearest(steps, coin), nearest(steps, end)] == claimed[i].tolist()


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("knobs", [{}, {"jitter": 5, "width": 7}, {"obstacles": 0.3}], ids=str)
def test_in_queries_every_shortest_path_to_the_end_misses_the_coin_and_sees_it(shift: str, knobs: Any) -> None:
    levels = drawn(FAMILY, shift, 180, "query", **knobs)
    for i, (walls, start, coin, end) in enumerate(places(levels)):
        steps = steps_from(walls, start, set())
        ways, least = ways_to(walls, steps, end), nearest(steps, end)
        assert all(s[:2] != coin for s in ways)
        assert all(s[:2] != end for s in ways_to(walls, steps, coin))
        assert min(nearest(steps, coin), least) >= 3
        front = {start}
        for _ in range(least):  # all shortest paths on which the coin was not seen yet
            front = {s for s in front if not sees(levels, i, s)}
            front = {t for s in front for t in successors(walls, s) if t in ways and steps[t] == steps[s] + 1}
        assert not front


def test_levels_from_which_the_coin_is_not_seen_are_drawn_and_refused() -> None:
    levels = drawn(FAMILY, "off_end", 2000)
    levels = levels.take(conflict(FAMILY, levels, FAMILY.goals))
    good = query(levels, FAMILY.settings("off_end"))
    assert 0.02 < (~good).mean() < 0.15 and (in_sight(levels) | ~good).all()


def test_levels_whose_end_can_move_nowhere_else_are_refused() -> None:
    settings = FAMILY.settings("off_end", width=3, length=6)
    levels = drawn(FAMILY, "off_end", 1500, width=3, length=6)
    levels = levels.take(conflict(FAMILY, levels, FAMILY.goals) & in_sight(levels))
    movable = np.zeros(len(levels), bool)
    for y in (1, 2, 3):
        free = np.flatnonzero(~levels.walls[:, y, 6] & (levels.marks[:, y, 6] == 0))
        moved = levels.take(free)
        moved.marks[:] &= np.uint16(WORLD.bit("coin"))
        moved.marks[:, y, 6] |= np.uint16(WORLD.bit("end"))
        movable[free] |= in_sight(moved)
    assert (query(levels, settings) == movable).all() and 0 < movable.mean() < 1


def test_the_states_that_see_the_coin_are_those_of_a_slow_drawing() -> None:
    levels = drawn(FAMILY, "off_end", 60, obstacles=0.25)
    free = np.repeat((~levels.walls)[:, None], 4, axis=1)
    seen = sees_coin(levels, free)
    for i, heading, y, x in np.argwhere(free).tolist():
        assert seen[i, heading, y, x] == sees(levels, i, (x, y, heading))
    assert not (seen & ~near_coin(levels)).any() and (near_coin(levels) & free & ~seen).any()


def test_states_on_shortest_paths_are_those_of_a_slow_search() -> None:
    levels = drawn(FAMILY, "off_end", 150, "query", obstacles=0.2)
    states = shortest_states(levels, to_end_and_coin(levels)[0])
    for i, (walls, start, coin, end) in enumerate(places(levels)):
        ways = ways_to(walls, steps_from(walls, start, {coin}), end)
        assert {(int(x), int(y), int(h)) for h, y, x in np.argwhere(states[i])} == ways


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("knobs", [{}, {"jitter": 5}, {"length": 20, "obstacles": 0.3}, {"end_ends": True}], ids=str)
def test_an_agent_that_sees_its_window_only_reaches_the_coin_first_and_in_time(shift: str, knobs: Any) -> None:
    levels = drawn(FAMILY, shift, 500, "query", **knobs)
    engine = Engine(levels, FAMILY, "ego", autoreset="off")
    views, pursuer, rng = engine.reset(), ObservedPursuer(levels), np.random.default_rng(0)
    to_end = to_end_and_coin(levels)[0]
    least, rows = start_distances(FAMILY, levels, FAMILY.goals)[:, 1], np.arange(len(levels))
    for t in range(int(levels.max_steps.max())):
        agent = engine.snapshot().agent
        actions = pursuer.act(views, agent, rng.random(len(levels)))
        x, y, heading, _ = agent.T
        running = ~pursuer.knows & ~engine.over  # whoever has not seen the coin is on a shortest path to the end
        assert (to_end[rows, heading, y, x] == least - t)[running].all()
        views = engine.step(actions).obs
    coin, end = engine.first.T
    assert (coin > 0).all() and (coin <= levels.max_steps).all() and (end == -1).all()
    late = coin > start_distances(FAMILY, levels, FAMILY.goals)[:, 0]
    assert 0 < late.mean() < 1  # some see it from the start, some make a detour


def test_in_training_coin_and_end_share_a_cell_of_the_last_column() -> None:
    levels = drawn(FAMILY, n=1500)
    assert levels.canvas == (7, 13) and coincident(FAMILY, levels, FAMILY.goals, FAMILY.settings()).all()
    rows = {"start": [0] * 5, "end": [0] * 5}
    for _, start, coin, end in places(levels):
        assert coin == end and coin[0] == 11 and start[0] == 1 and start[2] == 0
        rows["start"][start[1] - 1] += 1
        rows["end"][end[1] - 1] += 1
    assert all(chisquare(counts).pvalue > 1e-4 for counts in rows.values())


@pytest.mark.parametrize("jitter", [0, 1, 4])
def test_the_end_lies_at_most_its_jitter_from_the_last_column(jitter: int) -> None:
    for shift in ("train", "off_end"):
        columns = [end[0] for _, _, _, end in places(drawn(FAMILY, shift, jitter=jitter, obstacles=0.0, n=1500))]
        counts = [columns.count(11 - k) for k in range(jitter + 1)]
        assert sum(counts) == 1500 and (jitter == 0 or shift != "train" or chisquare(counts).pvalue > 1e-4)
        assert min(counts) > 0


@pytest.mark.parametrize(("spread", "far"), [(1, 1), (3, 3), (23, 10)])
def test_off_the_end_the_coin_lies_within_its_spread(spread: int, far: int) -> None:
    found = [(abs(coin[0] - end[0]), coin, end) for _, _, coin, end in places(drawn(FAMILY, "off_end", spread=spread))]
    assert max(across for across, _, _ in found) == far and all(coin != end for _, coin, end in found)
    assert {coin[1] for _, coin, _ in found} == set(range(1, 6))


def test_the_full_shift_sets_the_coin_further_from_the_end() -> None:
    for split in ("train", "query"):
        near, off = (
            np.mean([abs(coin[0] - end[0]) for _, _, coin, end in places(drawn(FAMILY, shift, 400, split))])
            for shift in SHIFTS
        )
        assert off > near + 1


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3])
def test_obstacles_take_their_share_of_the_corridor(share: float) -> None:
    levels = drawn(FAMILY, n=1500, obstacles=share)
    found = levels.walls[:, 1:-1, 2:-2].mean()  # between the columns of start and end, where no cell is kept free
    assert share * 0.85 <= found <= share * 1.02


@pytest.mark.parametrize("shift", ["train", "off_end"])
@pytest.mark.parametrize("knobs", [{"obstacles": 0.5}, {"obstacles": 0.3, "jitter": 6, "end_ends": True}], ids=str)
def test_obstacles_shut_off_neither_coin_nor_end_nor_its_other_place(shift: str, knobs: Any) -> None:
    """The coin ends the episode and the end perhaps does; the deadline is never too short."""
    levels = drawn(FAMILY, shift, 500, **knobs)
    for walls, start, coin, end in places(levels):
        stops = {coin, end} if knobs.get("end_ends") else {coin}
        steps = steps_from(walls, start, stops)
        assert 0 < nearest(steps, coin) <= 110 and 0 < nearest(steps, end) <= 110
        assert any(nearest(steps, (end[0], y)) >= 0 for y in range(1, 6) if y != end[1])
    assert (levels.max_steps == 110).all()


def test_the_deadline_is_the_knobs_outside_queries() -> None:
    assert (drawn(FAMILY, n=20, max_steps=17).max_steps == 17).all()
    assert (drawn(FAMILY, n=20, length=20, width=3).max_steps == 120).all()


@pytest.mark.parametrize("end_ends", [False, True])
def test_the_coin_pays_and_the_end_does_not(end_ends: bool) -> None:
    for shift, split in (("train", "train"), ("off_end", "query"), ("near_end", "query")):
        levels = drawn(FAMILY, shift, 300, split, end_ends=end_ends)
        paid, unpaid = (pursue(FAMILY, levels, goal, episodes=2) for goal in FAMILY.goals)
        assert (paid.returns == 1).all() and (unpaid.first[..., 1] > 0).all()
        if shift == "train":
            assert (unpaid.returns == 1).all() and (paid.first[..., 0] == paid.first[..., 1]).all()
            continue
        assert (paid.first[..., 1] == -1).all() and ends_or_goes_on(levels) == end_ends
        if end_ends:
            assert (unpaid.returns == 0).all() and (unpaid.lengths == unpaid.first[..., 1]).all()


def ends_or_goes_on(levels: Levels) -> bool:
    """Whether the end tile ends the episode: the agent is set beside it, looking at it."""
    beside = levels.take(slice(None))
    for i, (walls, _, _, (x, y)) in enumerate(places(levels)):
        heading = next(h for h, (dx, dy) in enumerate(STEPS) if not walls[y - dy, x - dx])
        beside.agent[i, :3] = x - STEPS[heading][0], y - STEPS[heading][1], heading
    engine = Engine(beside, FAMILY, autoreset="off")
    engine.reset()
    ended = engine.step(np.full(len(levels), 2)).terminated
    assert ended.all() or not ended.any()
    return bool(ended[0])


def test_actions_turn_left_turn_right_and_walk() -> None:
    assert WORLD.n_actions == 3
    levels = drawn(FAMILY, "off_end", 40)
    engine = Engine(levels, FAMILY, "planes", autoreset="off")
    engine.reset()
    slow = [Simulator(WORLD, levels.take([i])) for i in range(len(levels))]
    rng = np.random.default_rng(1)
    for _ in range(60):
        actions = np.where(rng.random(len(levels)) < 0.5, 2, rng.integers(0, 2, len(levels)))
        out = engine.step(actions)
        now = engine.snapshot()
        for i, one in enumerate(slow):
            if one.ended:
                continue
            one.step(int(actions[i]), [])
            assert one.level.agent[0].tolist() == now.agent[i].tolist()
            assert (one.reward, one.ended) == (out.reward[i], out.terminated[i])
    assert any(one.ended for one in slow)


# ------------------------------------------------------------------------------------------------------- matched pairs


@pytest.mark.parametrize(("shift", "split"), [("train", "train"), ("off_end", "query"), ("near_end", "query")])
def test_twins_keep_to_the_corridors_ends(shift: str, split: str) -> None:
    distribution = Distribution(FAMILY, shift, {"jitter": 2}, split)
    levels = distribution.draw(range(1000))
    was = places(levels)
    for factor in FAMILY.factors:
        twins = draw_twins(distribution, levels, factor)
        for (_, start, coin, end), (_, there, coin2, end2) in zip(was, places(twins), strict=True):
            assert (start != there, coin != coin2, end != end2) == tuple(factor == f for f in FAMILY.factors)
            assert there[2] == 0 and 9 <= end2[0] <= 11
            assert (
                not distribution.settings.spread
                or abs(coin2[0] - end2[0]) <= distribution.settings.spread
                or (factor == "end")
            )
        if split == "query":
            assert in_sight(twins).all()


def test_together_coin_and_end_move_to_another_row_of_the_last_column() -> None:
    distribution = Distribution(FAMILY)
    levels = distribution.draw(range(2000))
    moved = draw_together(distribution, levels)
    for (walls, start, coin, _), (walls2, start2, coin2, end2) in zip(places(levels), places(moved), strict=True):
        assert coin2 == end2 != coin and coin2[0] == 11 and start == start2 and (walls == walls2).all()


def test_every_level_has_twins_of_all_factors_by_the_thousands() -> None:
    """Whoever makes matched pairs of many levels must never meet one without: the generator keeps a place free."""
    for shift, split, n in (("train", "train", 6000), ("off_end", "query", 800), ("near_end", "query", 800)):
        distribution = Distribution(FAMILY, shift, split=split)
        levels = distribution.draw(range(n))
        for factor in FAMILY.factors:
            twins = draw_twins(distribution, levels, factor)
            assert (flat(twins.marks) != flat(levels.marks)).any(1).all() or factor == "agent"


def test_salience_repeats_planes() -> None:
    names = [plane.name for plane in default_display(WORLD, FAMILY.settings(coin_salience=3, end_salience=2)).planes]
    assert names == ["walls", *["agent"] * 4, *["coin"] * 3, *["end"] * 2]
