"""Keys and chests: rules by hand, levels by counting, pursuers by a search of everything that can happen."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chisquare
from tests.envs.test_families import cells, drawn, is_share
from tests.envs.worlds import STEPS

from goalscope.envs.ascii import from_ascii, to_ascii
from goalscope.envs.codes import EMPTY
from goalscope.envs.engine import Engine
from goalscope.envs.families.keys_chests import FAMILY, WORLD, hoards, is_choice_point
from goalscope.envs.levels import Levels
from goalscope.envs.pursuit import coincident, conflict, distances, start_distances
from goalscope.envs.rollout import pursue
from goalscope.envs.sampling import Distribution, draw_together, draw_twins
from goalscope.errors import SamplingError
from goalscope.seeding import keys

N = 1200
RIGHT, DOWN, LEFT, UP = range(4)
CHEST, KEY = FAMILY.goals

Cell = tuple[int, int]
State = tuple[Cell, int, frozenset[Cell], frozenset[Cell]]
"""The agent's cell, keys in hand, keys lying, chests shut."""


def level(rows: str, hand: int = 0, quota: int = 9) -> Levels:
    return from_ascii([f"counters: {hand}\nquota: {quota} chest\n{rows}"], WORLD)


def played(levels: Levels, actions: list[int]) -> list[tuple[float, int, int, int, bool]]:
    """After each action: the reward, the counts of key and chest, the keys in hand, and whether the game is over."""
    engine, seen = Engine(levels, FAMILY, autoreset="off"), []
    engine.reset()
    for action in actions:
        step = engine.step(np.array([action]))
        taken, opened = (int(engine.counts[0, WORLD.event_index(name)]) for name in ("key", "chest"))
        seen.append((float(step.reward[0]), taken, opened, int(engine.counters[0, 0]), bool(step.terminated[0])))
    return seen


def begin(levels: Levels, n: int) -> State:
    """How level n begins."""
    x, y = levels.agent[n, :2].tolist()
    lying, shut = (frozenset(cells(levels.take([n]), FAMILY, name)[0]) for name in ("key", "chest"))
    return (x, y), int(levels.counters[n, 0]), lying, shut


def after(levels: Levels, n: int, state: State) -> Iterator[tuple[State, str]]:
    """Each next state with the event that leads there, if any."""
    (x, y), hand, lying, shut = state
    for dx, dy in STEPS:
        to = (x + dx, y + dy)
        if levels.cells[n, to[1], to[0]] & 15 != EMPTY:
            continue
        if to in lying:
            yield (to, hand + 1, lying - {to}, shut), "key"
        elif to in shut and hand:
            yield (to, hand - 1, lying, shut - {to}), "chest"
        else:
            yield (to, hand, lying, shut), ""


def fewest(levels: Levels, n: int, start: State, event: str) -> int:
    """The least steps to an event, over everything that can happen; −1 for never."""
    queue, seen = deque([(start, 0)]), {start}
    while queue:
        state, taken = queue.popleft()
        for then, happened in after(levels, n, state):
            if happened == event:
                return taken + 1
            if then not in seen:
                seen.add(then)
                queue.append((then, taken + 1))
    return -1


def steps(levels: Levels, n: int) -> dict[Cell, int]:
    """Steps from the agent of level n to every cell."""
    start = begin(levels, n)[0]
    far, front = {start: 0}, [start]
    while front:
        x, y = front.pop(0)
        for to in ((x + dx, y + dy) for dx, dy in STEPS):
            if to not in far and levels.cells[n, to[1], to[0]] & 15 == EMPTY:
                far[to] = far[x, y] + 1
                front.append(to)
    return far


def small_levels(n: int, **knobs: Any) -> Levels:
    settings = FAMILY.settings(**{"size": 6, "n_keys": 2, "n_chests": 2, "p": 0.2, **knobs})
    levels = FAMILY.generate(keys(7, np.arange(n)), settings)
    return levels.take(levels.placed)


# -------------------------------------------------------------------------------------------------------------- rules


def test_a_chest_without_a_key_is_a_free_cell_and_with_one_it_opens_once() -> None:
    out_and_back = played(level("#######\n#>c.k.#\n#######"), [RIGHT, RIGHT, RIGHT, LEFT, LEFT, LEFT, RIGHT])
    assert out_and_back == [
        (0, 0, 0, 0, False),
        (0, 0, 0, 0, False),
        (0, 1, 0, 1, False),
        (0, 1, 0, 1, False),
        (1, 1, 1, 0, False),
        (0, 1, 1, 0, False),
        (0, 1, 1, 0, False),
    ]


def test_a_chest_uses_up_one_key_and_a_key_is_taken_once() -> None:
    there_and_back = played(level("######\n#>kc.#\n######", hand=2), [RIGHT, LEFT, RIGHT, RIGHT, LEFT, RIGHT])
    assert there_and_back == [
        (0, 1, 0, 3, False),
        (0, 1, 0, 3, False),
        (0, 1, 0, 3, False),
        (1, 1, 1, 2, False),
        (0, 1, 1, 2, False),
        (0, 1, 1, 2, False),
    ]


def test_a_key_on_a_chest_opens_it_in_the_same_step() -> None:
    both = level("####\n#>1#\n####\n1 = key + chest", quota=1)
    assert played(both, [RIGHT]) == [(1, 1, 1, 0, True)]


@pytest.mark.parametrize(("quota", "over"), [(1, [False, True]), (2, [False, False, False, True])])
def test_the_episode_ends_when_as_many_chests_have_been_opened_as_can_be(quota: int, over: list[bool]) -> None:
    ways = [RIGHT, RIGHT, RIGHT, RIGHT][: len(over)]
    assert [end for *_, end in played(level("#######\n#>kckc#\n#######", quota=quota), ways)] == over


def test_keys_in_hand_light_a_whole_plane_that_follows_the_game() -> None:
    display = FAMILY.look(FAMILY.settings())
    assert [plane.name for plane in display.planes] == ["walls", "agent", "key", "chest", "keys"]
    levels = level("#######\n#>k.c.#\n#######", hand=3)
    engine = Engine(levels, FAMILY, "planes", display=display, autoreset="off")
    shown = [engine.reset()[0].copy()]
    shown += [engine.step(np.array([RIGHT])).obs[0].copy() for _ in range(3)]
    assert [set(planes[4].ravel().tolist()) for planes in shown] == [{75}, {100}, {100}, {75}]
    assert [int(planes[2].sum()) for planes in shown] == [255, 0, 0, 0]
    assert [int(planes[3].sum()) for planes in shown] == [255, 255, 255, 0]
    full = Engine(level("#######\n#>k.c.#\n#######", hand=11), FAMILY, "planes", display=display).reset()
    assert (full[0, 4] == 255).all()


def test_salience_repeats_the_planes_of_keys_and_chests() -> None:
    names = [plane.name for plane in FAMILY.look(FAMILY.settings(key_salience=2, chest_salience=3)).planes]
    assert names == ["walls", "agent", "key", "key", "chest", "chest", "chest", "keys"]


# ----------------------------------------------------------------------------------------------------------- pursuers


@pytest.mark.parametrize(
    ("rows", "hand", "chest", "key"),
    [
        ("#########\n#k..>..c#\n#########", 0, 9, 3),
        ("#########\n#k..>..c#\n#########", 1, 3, 3),
        ("#########\n#>.k.c..#\n#########", 0, 4, 2),
        ("#########\n#>.c.k..#\n#########", 0, 6, 4),  # over the chest, and back
        ("#########\n#>.c.k.c#\n#########", 0, 6, 4),
        ("#########\n#k#.>..c#\n#########", 1, 3, -1),
        ("#########\n#k#.>..c#\n#########", 0, -1, -1),
    ],
)
def test_the_pursuer_of_chests_fetches_a_key_first_unless_it_has_one(
    rows: str, hand: int, chest: int, key: int
) -> None:
    assert start_distances(FAMILY, level(rows, hand), FAMILY.goals).tolist() == [[chest, key]]


@pytest.mark.parametrize(
    "knobs", [{}, {"inventory": 1}, {"n_keys": 1, "n_chests": 3}, {"layout": "open", "size": 5}], ids=str
)
def test_distances_are_those_of_a_search_over_everything_that_can_happen(knobs: dict[str, Any]) -> None:
    levels = small_levels(310, **knobs)
    far = start_distances(FAMILY, levels, FAMILY.goals)
    want = [[fewest(levels, n, begin(levels, n), goal.event) for goal in FAMILY.goals] for n in range(len(levels))]
    assert len(levels) >= 250 and far.tolist() == want and (far > 0).all()


def test_both_layers_are_right_from_every_cell() -> None:
    levels = small_levels(80)
    table = distances(FAMILY, CHEST, levels)
    assert table.shape[1] == 2
    for n in range(len(levels)):
        _, _, lying, shut = begin(levels, n)
        for x, y in set(steps(levels, n)) - lying - shut:
            want = [fewest(levels, n, ((x, y), hand, lying, shut), "chest") for hand in (0, 1)]
            assert table[n, :, y, x].tolist() == want


def test_no_more_chests_than_the_quota_can_be_opened_and_so_many_can() -> None:
    for knobs in (
        {"n_keys": 2, "n_chests": 3},
        {"n_keys": 3, "n_chests": 1, "inventory": 1},
        {"n_keys": 1, "inventory": 1},
    ):
        levels = small_levels(25, **{"p_equal": 0.0, **knobs})
        for n in range(len(levels)):
            start = begin(levels, n)
            queue, seen = deque([start]), {start}
            while queue:
                for then, _ in after(levels, n, queue.popleft()):
                    if then not in seen:
                        seen.add(then)
                        queue.append(then)
            most = max(len(start[3]) - len(shut) for _, _, _, shut in seen)
            assert levels.quota[n].tolist() == [-1, most]


def test_in_training_whoever_goes_for_a_chest_takes_a_key_first() -> None:
    levels = drawn(FAMILY, n=300)
    assert coincident(FAMILY, levels, FAMILY.goals, FAMILY.settings()).all()
    rollouts = pursue(FAMILY, levels, CHEST, episodes=3)
    first = rollouts.first
    assert (0 < first[..., 0]).all() and (first[..., 0] < first[..., 1]).all()
    assert (first[..., 1] == start_distances(FAMILY, levels, FAMILY.goals)[:, :1]).all()


# ------------------------------------------------------------------------------------------------------------- levels


def counted(levels: Levels) -> NDArray[np.int64]:
    """`[N, 2]` keys and chests, as glyphs of the texts."""
    texts = [to_ascii(levels, n, WORLD).split("#", 1)[1] for n in range(len(levels))]
    return np.array([[text.count("k"), text.count("c")] for text in texts])


def test_training_has_few_keys_many_chests_and_an_empty_hand() -> None:
    levels = drawn(FAMILY, n=N)
    found = counted(levels)
    assert (found[:, 0] == 3).all() and set(found[:, 1].tolist()) == {3, 10}
    assert is_share(found[:, 1] == 3, 0.1)
    assert not levels.counters.any() and (levels.quota == [-1, 3]).all() and (levels.max_steps == 40).all()


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0])
def test_as_many_chests_as_keys_in_their_share_of_levels(p: float) -> None:
    found = counted(drawn(FAMILY, n=N, p_equal=p, n_keys=12))
    assert is_share(found[:, 1] == 12, p) and set(found[:, 1].tolist()) <= {10, 12}


@pytest.mark.parametrize(("shift", "many", "chests"), [("more_keys", 6, 6), ("many_keys", 10, 3)])
@pytest.mark.parametrize("split", ["train", "query"])
def test_under_a_shift_there_are_keys_to_spare(shift: str, many: int, chests: int, split: str) -> None:
    levels = drawn(FAMILY, shift, n=600, split=split)
    assert (counted(levels) == [many, chests]).all() and (levels.quota == [-1, chests]).all()
    hand = levels.counters[:, 0]
    shares = np.bincount(hand - chests, minlength=3)
    assert len(shares) == 3 and chisquare(shares).pvalue > 1e-4
    assert is_choice_point(levels, FAMILY.settings(shift)).all()


@pytest.mark.parametrize(
    ("shift", "knobs"), [("train", {}), ("train", {"clear": 3}), ("many_keys", {"p": 0.3})], ids=str
)
def test_everything_is_within_the_agents_reach_and_no_nearer_than_it_may_be(shift: str, knobs: dict[str, Any]) -> None:
    levels = drawn(FAMILY, shift, n=300, **knobs)
    clear, nearest = FAMILY.settings(shift, **knobs).clear, []
    for n, things in enumerate(cells(levels, FAMILY, "key", "chest")):
        far = steps(levels, n)
        assert things <= set(far)
        nearest.append(min(far[thing] for thing in things))
    assert min(nearest) == clear


@pytest.mark.parametrize("clear", [1, 2])
def test_keys_and_chests_lie_anywhere(clear: int) -> None:
    levels = drawn(FAMILY, n=N, layout="open", clear=clear)
    for name in ("key", "chest"):
        places = np.zeros((9, 9))
        for found in cells(levels, FAMILY, name):
            for x, y in found:
                places[y, x] += 1
        if clear == 1:  # draws without replacement vary less than chance, so this errs on the safe side
            assert chisquare(places[1:-1, 1:-1].ravel()).pvalue > 1e-4
        assert (places[1:-1, 1:-1] > 0).all() and places.sum() == places[1:-1, 1:-1].sum()


def test_what_is_drawn_first_does_not_depend_on_how_many_things_a_level_shows() -> None:
    some = keys(3, np.arange(200))
    few, many = (FAMILY.generate(some, FAMILY.settings(p_equal=p)) for p in (1.0, 1e-9))
    assert (few.agent == many.agent).all() and cells(few, FAMILY, "key") == cells(many, FAMILY, "key")
    few, many = few.take(few.placed), many.take(many.placed)
    assert all(a < b for a, b in zip(cells(few, FAMILY, "chest"), cells(many, FAMILY, "chest"), strict=True))


@pytest.mark.parametrize("shift", ["more_keys", "many_keys"])
def test_in_queries_no_shortest_way_to_either_goal_meets_the_other(shift: str) -> None:
    levels = drawn(FAMILY, shift, n=N // 2, split="query")
    assert conflict(FAMILY, levels, FAMILY.goals).all()
    things = [cells(levels, FAMILY, name) for name in ("chest", "key")]
    ends = start_distances(FAMILY, levels, FAMILY.goals)
    for n in range(len(levels)):
        far = steps(levels, n)
        for k in (0, 1):
            aims, others = things[k][n], things[1 - k][n]
            nearest = min(far[cell] for cell in aims)
            assert nearest == ends[n, k] >= 3
            assert not shortest_ways(far, {cell for cell in aims if far[cell] == nearest}) & others
        assert levels.max_steps[n] == 2 * ends[n].max() + 2


def shortest_ways(far: dict[Cell, int], aims: set[Cell]) -> set[Cell]:
    """All cells on shortest paths to these cells, backwards from them."""
    found, front = set(aims), list(aims)
    while front:
        x, y = front.pop()
        for before in ((x + dx, y + dy) for dx, dy in STEPS):
            if before in far and far[before] == far[x, y] - 1 and before not in found:
                found.add(before)
                front.append(before)
    return found


@pytest.mark.parametrize("shift", ["more_keys", "many_keys"])
def test_pursuers_part_and_only_that_of_chests_is_paid(shift: str) -> None:
    levels = drawn(FAMILY, shift, n=200, split="query")
    to_chest, to_key = (pursue(FAMILY, levels, goal, episodes=2).first for goal in FAMILY.goals)
    assert (to_chest[..., 1] > 0).all() and (to_key[..., 0] > 0).all()
    assert ((to_chest[..., 0] < 0) | (to_chest[..., 0] > to_chest[..., 1])).all()
    assert ((to_key[..., 1] < 0) | (to_key[..., 1] > to_key[..., 0])).all()


def test_a_choice_point_has_chests_and_keys_left_and_enough_in_hand() -> None:
    rows = ("#######\n#k.>cc#\n#######", "#######\n#..>cc#\n#######", "#######\n#k.>..#\n#######")
    found = [is_choice_point(level(row, hand), FAMILY.settings())[0] for row in rows for hand in (1, 2, 3)]
    assert found == [False, True, True, *[False] * 6]
    with pytest.raises(SamplingError, match="query rule refused [1-9]"):
        drawn(FAMILY, "many_keys", n=1, split="query", inventory=2, spare=0)


# -------------------------------------------------------------------------------------------------------------- twins


@pytest.mark.parametrize(("shift", "split"), [("train", "train"), ("many_keys", "query")])
@pytest.mark.parametrize("factor", ["key", "chest"])
def test_the_first_key_or_chest_moves_within_reach_and_nothing_else_does(shift: str, split: str, factor: str) -> None:
    distribution = Distribution(FAMILY, shift, {"p": 0.25}, split)
    levels = distribution.draw(range(150))
    twins = draw_twins(distribution, levels, factor)
    other = "chest" if factor == "key" else "key"
    assert cells(twins, FAMILY, other) == cells(levels, FAMILY, other)
    for name in ("cells", "agent", "counters", "quota", "value", "max_steps", "key"):
        assert (getattr(twins, name) == getattr(levels, name)).all()
    pairs = zip(cells(levels, FAMILY, factor), cells(twins, FAMILY, factor), strict=True)
    for n, (before, now) in enumerate(pairs):
        first = min(before, key=lambda cell: (cell[1], cell[0]))
        assert before - now == {first} and len(now) == len(before) and now <= set(steps(levels, n))


def test_the_agent_moves_to_where_everything_is_in_reach() -> None:
    distribution = Distribution(FAMILY, knobs={"p": 0.3})
    levels = distribution.draw(range(150))
    twins = draw_twins(distribution, levels, "agent")
    assert (twins.marks == levels.marks).all() and (twins.agent != levels.agent).any(1).all()
    for n, things in enumerate(cells(twins, FAMILY, "key", "chest")):
        assert things <= set(steps(twins, n)) and begin(twins, n)[0] not in things


def test_together_moves_a_nearest_key() -> None:
    distribution = Distribution(FAMILY)
    levels = distribution.draw(range(300))
    moved = draw_together(distribution, levels)
    assert coincident(FAMILY, moved, FAMILY.goals, FAMILY.settings()).all()
    assert cells(moved, FAMILY, "chest") == cells(levels, FAMILY, "chest")
    assert (moved.agent == levels.agent).all() and (moved.quota == levels.quota).all()
    for n, (before, now) in enumerate(zip(cells(levels, FAMILY, "key"), cells(moved, FAMILY, "key"), strict=True)):
        far, (gone,) = steps(levels, n), before - now
        assert far[gone] == min(far[cell] for cell in before) and len(now) == 3 and now <= set(far)


# ------------------------------------------------------------------------------------------------------ whole episodes


def repeated(rows: str, hand: int, n: int, quota: int) -> Levels:
    return level(rows, hand, quota).take([0] * n)


@pytest.mark.parametrize(
    ("hand", "taken", "opened", "outcome"),
    [
        (2, [0, 1, 2, 3, 4], [2, 2, 2, 2, 2], [0, 2, 1, 1, 1]),  # four keys, all surplus
        (0, [2, 3, 4], [2, 2, 2], [0, 1, 1]),  # two keys needed, two surplus: one is half
        (1, [1, 2, 3, 4], [2, 2, 2, 2], [0, 2, 1, 1]),  # three surplus: one is less than half, two are more
        (2, [0, 0, 3, 4], [0, 1, 0, 1], [2, 2, 1, 1]),  # chests left shut: no surplus taken tells nothing
    ],
)
def test_who_takes_half_of_the_surplus_hoards(
    hand: int, taken: list[int], opened: list[int], outcome: list[int]
) -> None:
    levels = repeated("########\n#>kkkk.#\n#.c..c.#\n########", hand, len(taken), 2)
    assert hoards(levels, np.array(taken), np.array(opened)).tolist() == outcome


def test_where_no_key_is_surplus_nobody_hoards() -> None:
    levels = repeated("########\n#>kk...#\n#.c.cc.#\n########", 0, 3, 2)
    assert hoards(levels, np.array([0, 2, 2]), np.array([0, 1, 2])).tolist() == [2, 2, 0]


@pytest.mark.parametrize(
    ("way", "outcome"),
    [([DOWN, RIGHT, RIGHT, RIGHT], 0), ([RIGHT, DOWN, RIGHT, RIGHT], 2), ([RIGHT, RIGHT, DOWN, LEFT, RIGHT, RIGHT], 1)],
)
def test_whole_episodes_are_scored_by_what_the_engine_counts(way: list[int], outcome: int) -> None:
    levels = level("########\n#>kkkk.#\n#.c.c..#\n########", hand=2, quota=2)
    *_, (_, taken, opened, _, over) = played(levels, way)
    assert over and hoards(levels, np.array([taken]), np.array([opened])).tolist() == [outcome]
