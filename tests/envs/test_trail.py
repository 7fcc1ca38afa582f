"""The trail: one shortest path, a coin at its end in training, and an end that looks like the way to it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest, chisquare
from tests.envs.test_families import apart, cells, drawn, ends_at_once, has, is_share, only, returns_and_firsts
from tests.envs.worlds import STEPS

from goalscope.envs.display import Plane
from goalscope.envs.engine import Engine
from goalscope.envs.families.trail import FAMILY, WORLD
from goalscope.envs.kernels.trails import lay_trails
from goalscope.envs.levels import Levels, flat
from goalscope.envs.pursuit import coincident, start_distances
from goalscope.envs.sampling import Distribution, draw_together, draw_twins
from goalscope.seeding import keys

Cell = tuple[int, int]
LAYOUTS = ["open", "blocks", "rooms", "tree", "braided"]
SHIFTS = ["train", "close", "apart"]
COINS, ENDS = ("coin", "hidden coin"), ("trail end", "second end", "hidden end")
N = 1500


def beside(cell: Cell) -> list[Cell]:
    return [(cell[0] + dx, cell[1] + dy) for dx, dy in STEPS]


def steps_from(walls: NDArray[np.bool_], start: Cell, shut: set[Cell] | None = None) -> dict[Cell, int]:
    """Steps to every cell (x, y) within reach of the start, by breadth-first search around walls and shut cells."""
    found, front = {start: 0}, [start]
    while front:
        front = list(dict.fromkeys(c for here in front for c in beside(here) if c not in found))
        front = [c for c in front if not walls[c[1], c[0]] and c not in (shut or set())]
        found |= dict.fromkeys(front, max(found.values()) + 1)
    return found


def agent_cells(levels: Levels) -> list[Cell]:
    return [(int(x), int(y)) for x, y in levels.agent[:, :2]]


def is_shortest_path(start: Cell, path: set[Cell], end: Cell, steps: dict[Cell, int]) -> bool:
    """Whether the cells of `path`, one at each distance from the start, lead step by step from there to the end."""
    way = [start, *sorted(path, key=lambda c: steps.get(c, -1)), end]
    in_order = [steps.get(c) for c in way] == list(range(len(way)))
    return in_order and all(b in beside(a) for a, b in zip(way, way[1:], strict=False))


def with_trail_for_end(levels: Levels) -> Levels:
    """The levels without coins, every visible end of a trail a plain cell of it."""
    plain = levels.take(slice(None))
    ends = plain.marks & np.uint16(WORLD.mask(("trail end", "second end"))) != 0
    plain.marks[:] &= np.uint16(WORLD.mask(("trail", "second trail")))
    plain.marks[ends] |= np.uint16(WORLD.bit("trail"))
    return plain


def images(levels: Levels, **knobs: Any) -> list[NDArray[np.uint8]]:
    """The first observations in each of the three views."""
    display = FAMILY.look(FAMILY.settings(**knobs))
    return [Engine(levels, WORLD, view, display=display).reset() for view in ("full", "ego", "planes")]


# ------------------------------------------------------------------------------------------------------------ the trail


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shift", SHIFTS)
def test_the_trail_is_a_shortest_path_from_the_agent_that_leads_over_no_coin(shift: str, layout: str) -> None:
    levels = drawn(FAMILY, shift, n=150, layout=layout)
    trails, ends, coins = (cells(levels, FAMILY, name) for name in ("trail", "trail end", "coin"))
    for n, start in enumerate(agent_cells(levels)):
        end, coin = only(ends[n]), coins[n] - ends[n]
        steps = steps_from(levels.walls[n], start)
        assert len(trails[n]) == steps[end] - 1 and is_shortest_path(start, trails[n], end, steps)
        assert not trails[n] & coins[n] and steps_from(levels.walls[n], start, coin)[end] == steps[end]
        if coin:  # and not every way to the coin leads over the trail's end
            assert steps_from(levels.walls[n], start, {end})[only(coin)] == steps[only(coin)]


def test_trails_are_of_many_lengths_and_lead_everywhere() -> None:
    levels = drawn(FAMILY, layout="open")
    ends = Counter(only(places) for places in cells(levels, FAMILY, "trail end"))
    assert len(ends) == 49 and chisquare(list(ends.values())).pvalue > 1e-4
    assert {len(path) for path in cells(levels, FAMILY, "trail")} == set(range(12))


@pytest.mark.parametrize(
    "knobs", [{}, {"layout": "tree"}, {"gap": 0.4}, {"p_hide": 0.5}, {"trail_ends": True}], ids=str
)
@pytest.mark.parametrize("pairs", [1, 2])
def test_in_training_every_coin_lies_on_a_trail_end_and_levels_are_coincident(
    pairs: int, knobs: dict[str, Any]
) -> None:
    distribution = Distribution(FAMILY, knobs={"pairs": pairs, **knobs})
    levels = distribution.draw(range(300))
    assert cells(levels, FAMILY, *COINS) == cells(levels, FAMILY, *ENDS)
    assert coincident(FAMILY, levels, distribution.goals, distribution.settings).all()


def test_the_pursuer_of_the_coin_earns_it_and_triggers_the_trail() -> None:
    levels = drawn(FAMILY, n=300)
    gain, first, length = returns_and_firsts(FAMILY, levels, "coin")
    assert (gain == 1).all() and (first[:, 0] == first[:, 1]).all()
    trails = cells(levels, FAMILY, "trail")
    assert (length == [len(path) + 1 for path in trails]).all()


def test_a_plain_cell_of_the_trail_does_nothing() -> None:
    levels = drawn(FAMILY, "apart", n=200)
    trails = cells(levels, FAMILY, "trail")
    levels = levels.take([n for n, path in enumerate(trails) if path])
    engine = Engine(levels, WORLD, autoreset="off")
    engine.reset()
    first = [
        [c in path for c in beside(start)].index(True)
        for start, path in zip(agent_cells(levels), cells(levels, FAMILY, "trail"), strict=True)
    ]
    step = engine.step(np.array(first))
    assert len(levels) > 100 and (engine.counts == 0).all() and (step.reward == 0).all() and not step.terminated.any()


# ----------------------------------------------------------------------------------------------------- which path it is


def laid(level: list[str], n: int, shut: Cell | None = None) -> tuple[list[frozenset[Cell]], NDArray[np.bool_]]:
    """`n` trails of a drawn level ('#' wall, 'a' start, 'e' end), as sets of cells, and whether each was laid."""
    drawing = np.array([list(row) for row in level])
    height, width = drawing.shape
    walls = np.repeat((drawing == "#").reshape(1, -1).astype(np.uint8), n, axis=0)
    closed = walls.copy()
    if shut is not None:
        closed[:, shut[1] * width + shut[0]] = 1
    start, end = (
        np.repeat(np.flatnonzero(drawing.ravel() == c)[:1] if c in drawing else [-1], n).astype(np.int16) for c in "ae"
    )
    marks, good = np.zeros((n, height * width), np.uint16), np.zeros(n, bool)
    along, at_end = np.full(n, 4, np.uint16), np.full(n, 8, np.uint16)
    lay_trails(walls, closed, width, keys(11, np.arange(n)), start, end, along, at_end, 0.0, marks, good)
    assert ((marks[np.arange(n), end] == 8) | ~good).all()
    return [frozenset((int(c) % width, int(c) // width) for c in np.flatnonzero(row == 4)) for row in marks], good


PATHS = [
    (["######", "#a...#", "#....#", "#...e#", "######"], 10),
    (["######", "#...a#", "#....#", "#....#", "#e...#", "######"], 20),
    (["#######", "#a....#", "#..#..#", "#....e#", "#######"], 6),  # 15 but for the block, through which 3 · 3 lead
    (["#######", "#.###.#", "#a...e#", "#.....#", "#######"], 1),
]


@pytest.mark.parametrize(("level", "paths"), PATHS)
def test_every_shortest_path_is_equally_probable(level: list[str], paths: int) -> None:
    trails, good = laid(level, 4000)
    counts = Counter(trails)
    assert good.all() and len(counts) == paths
    assert paths == 1 or chisquare(list(counts.values())).pvalue > 1e-4


@pytest.mark.parametrize(
    ("level", "shut"),
    [
        (["#####", "#a#e#", "#####"], None),
        (["#####", "#a..#", "#####"], None),
        (["#####", "#..e#", "#####"], None),
        (["#####", "#a.e#", "#####"], (2, 1)),
    ],
)
def test_no_trail_is_laid_where_there_is_no_way_to_an_end(level: list[str], shut: Cell | None) -> None:
    assert not laid(level, 3, shut)[1].any()
    assert laid(["#####", "#a.e#", "#####"], 3, (3, 1))[1].all()  # the end itself may be shut: coins lie on it


# ------------------------------------------------------------------------------------------------------------ the shift


@pytest.mark.parametrize("spread", [1, 4, 50])
@pytest.mark.parametrize("split", ["train", "reference"])
def test_set_apart_the_trail_ends_within_its_spread_of_the_coin(spread: int, split: str) -> None:
    levels = drawn(FAMILY, "apart", split=split, spread=spread, layout="open")
    places = zip(cells(levels, FAMILY, "coin"), cells(levels, FAMILY, "trail end"), strict=True)
    found = [apart(only(coin), only(end)) for coin, end in places]
    assert min(found) == 1 and max(found) == min(spread, 12)


def test_a_stronger_shift_sets_coin_and_trail_end_further_apart() -> None:
    assert [(s.name, s.strength) for s in FAMILY.shifts] == [("train", 0.0), ("close", 0.5), ("apart", 1.0)]
    for split in ("train", "query"):
        means = []
        for shift in SHIFTS[1:]:
            levels = drawn(FAMILY, shift, n=300, split=split)
            places = zip(cells(levels, FAMILY, "coin"), cells(levels, FAMILY, "trail end"), strict=True)
            means.append(np.mean([apart(only(coin), only(end)) for coin, end in places]))
        assert means[1] > means[0] + 1


@pytest.mark.parametrize("shift", ["close", "apart"])
def test_in_queries_each_pursuer_reaches_its_own_goal_first(shift: str) -> None:
    levels = drawn(FAMILY, shift, n=200, split="query")
    assert (start_distances(FAMILY, levels, FAMILY.goals) >= 3).all()
    for k, goal in enumerate(FAMILY.goals):
        gain, first, _ = returns_and_firsts(FAMILY, levels, goal.name)
        assert (first[:, k] > 0).all() and (first[:, 1 - k] == -1).all() and (gain == (goal.name == "coin")).all()


@pytest.mark.parametrize("split", ["train", "query"])
@pytest.mark.parametrize("shift", ["close", "apart"])
def test_neither_coin_nor_trail_end_is_nearer_on_average(shift: str, split: str) -> None:
    far = start_distances(FAMILY, drawn(FAMILY, shift, n=1000, split=split), FAMILY.goals)
    nearer = far[:, 0] - far[:, 1]
    assert binomtest(int((nearer > 0).sum()), int((nearer != 0).sum())).pvalue > 1e-3


def test_neither_coin_nor_trail_end_lies_nearer_to_the_middle() -> None:
    """What is drawn within a radius of the other does, but for the toss of which is drawn first."""
    levels = drawn(FAMILY, "close", layout="open")
    places = zip(cells(levels, FAMILY, "coin"), cells(levels, FAMILY, "trail end"), strict=True)
    nearer = np.array([apart(only(coin), (4, 4)) - apart(only(end), (4, 4)) for coin, end in places])
    assert binomtest(int((nearer > 0).sum()), int((nearer != 0).sum())).pvalue > 1e-3


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("knobs", [{}, {"pairs": 2}, {"trail_ends": True}], ids=str)
def test_every_level_can_be_solved_for_every_goal_in_time(shift: str, layout: str, knobs: dict[str, Any]) -> None:
    levels = drawn(FAMILY, shift, n=150, layout=layout, **knobs)
    far = start_distances(FAMILY, levels, FAMILY.goals)
    assert (far > 0).all() and (far <= levels.max_steps[:, None]).all()


def test_the_trails_end_can_end_the_episode_unpaid() -> None:
    levels = drawn(FAMILY, "apart", n=200, trail_ends=True)
    gain, first, _ = returns_and_firsts(FAMILY, levels, "trail")
    assert (gain == 0).all() and (first[:, 0] == -1).all() and ends_at_once(FAMILY, levels, "trail end")
    gain, first, _ = returns_and_firsts(FAMILY, levels, "coin")
    assert (gain == 1).all() and (first[:, 1] == -1).all()
    assert not ends_at_once(FAMILY, drawn(FAMILY, "apart", n=200), "trail end")


# ------------------------------------------------------------------------------------------------------------ the knobs


@pytest.mark.parametrize("gap", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("shift", ["train", "apart"])
def test_a_share_of_the_trail_but_not_its_end_is_left_out(shift: str, gap: float) -> None:
    levels = drawn(FAMILY, shift, n=600, gap=gap)
    trails, ends = cells(levels, FAMILY, "trail"), cells(levels, FAMILY, "trail end")
    left_out = []
    for n, start in enumerate(agent_cells(levels)):
        steps = steps_from(levels.walls[n], start)
        length = steps[only(ends[n])]
        seen = [steps[c] for c in trails[n]]
        assert len(set(seen)) == len(seen) and set(seen) <= set(range(1, length))
        left_out += [step not in seen for step in range(1, length)]
    assert len(left_out) > 1000 and is_share(np.array(left_out), gap)


@pytest.mark.parametrize(("knobs", "share"), [({}, 0.7), ({"p_pairs": 0.2}, 0.2), ({"p_pairs": 1.0}, 1.0)])
@pytest.mark.parametrize("layout", ["blocks", "tree"])
def test_the_share_of_second_pairs_is_the_knobs(layout: str, knobs: dict[str, Any], share: float) -> None:
    levels = drawn(FAMILY, pairs=2, layout=layout, **knobs)
    coins = cells(levels, FAMILY, "coin")
    assert {len(places) for places in coins} <= {1, 2}
    assert is_share(np.array([len(places) == 2 for places in coins]), share)
    assert (has(levels, FAMILY, "second end") == [len(places) == 2 for places in coins]).all()


@pytest.mark.parametrize("layout", ["open", "tree"])
def test_each_of_two_coins_has_a_trail_of_its_own(layout: str) -> None:
    levels = drawn(FAMILY, n=200, pairs=2, p_pairs=1.0, layout=layout)
    coins = cells(levels, FAMILY, "coin")
    for body, tip in (("trail", "trail end"), ("second trail", "second end")):
        bodies, tips = cells(levels, FAMILY, body), cells(levels, FAMILY, tip)
        for n, start in enumerate(agent_cells(levels)):
            steps = steps_from(levels.walls[n], start)
            assert is_shortest_path(start, bodies[n], only(tips[n]), steps) and not bodies[n] & coins[n]
            assert tips[n] < coins[n]


@pytest.mark.parametrize("shift", ["train", "apart"])
@pytest.mark.parametrize("pairs", [1, 2])
def test_coin_or_trail_is_hidden_in_its_share_of_levels_and_counts_all_the_same(shift: str, pairs: int) -> None:
    levels = drawn(FAMILY, shift, p_hide=0.4, pairs=pairs)
    no_coin, no_trail = has(levels, FAMILY, "hidden coin"), has(levels, FAMILY, "hidden end")
    assert is_share(no_coin, 0.2) and is_share(no_trail, 0.2) and not (no_coin & no_trail).any()
    assert (has(levels, FAMILY, "coin") ^ no_coin).all() and (has(levels, FAMILY, "trail end") ^ no_trail).all()
    assert not (has(levels, FAMILY, "trail", "second trail", "second end") & no_trail).any()
    for goal, event in (("coin", 0), ("trail", 1)):
        gain, first, _ = returns_and_firsts(FAMILY, levels, goal)
        assert (first[:, event] > 0).all() and (gain[first[:, 0] > 0] == 1).all()


@pytest.mark.parametrize("shift", ["train", "apart"])
def test_a_hidden_cue_cannot_be_seen_in_any_view(shift: str) -> None:
    levels = drawn(FAMILY, shift, n=200, p_hide=1.0)
    bare = levels.take(slice(None))
    bare.marks[:] &= np.uint16(~WORLD.mask(("hidden coin", "hidden end", "stop")) & 0xFFFF)
    no_trail = has(levels, FAMILY, "hidden end")
    assert 0 < no_trail.sum() < 200 and not has(bare.take(no_trail), FAMILY, "trail", *ENDS).any()
    assert all((a == b).all() for a, b in zip(images(levels), images(bare), strict=True))


@pytest.mark.parametrize(("shift", "knobs"), [("train", {}), ("train", {"pairs": 2}), ("apart", {"gap": 0.5})], ids=str)
def test_the_end_of_a_trail_cannot_be_told_from_its_other_cells(shift: str, knobs: dict[str, Any]) -> None:
    levels = drawn(FAMILY, shift, n=200, **knobs)
    plain = with_trail_for_end(levels)
    assert not has(plain, FAMILY, *ENDS, *COINS).any()
    ends_kept = levels.take(slice(None))
    ends_kept.marks[:] &= np.uint16(WORLD.mask(("trail", "second trail", *ENDS)))
    assert all((a == b).all() for a, b in zip(images(ends_kept), images(plain), strict=True))
    bare = plain.take(slice(None))
    bare.marks[:] = 0  # the trail is seen at all: in the full view and in its plane it takes the place of nothing
    assert all(
        (a != b).reshape(200, -1).any(1).all() for a, b in zip(images(plain)[::2], images(bare)[::2], strict=True)
    )


def planes(**knobs: Any) -> tuple[Plane, ...]:
    return FAMILY.look(FAMILY.settings(**knobs)).planes


def test_one_plane_shows_all_of_the_trail() -> None:
    assert [p.name for p in planes()] == ["walls", "agent", "coin", "trail"]
    assert planes()[3].operand == WORLD.mask(("trail", "trail end", "second trail", "second end"))
    names = [p.name for p in planes(coin_salience=2, trail_salience=3)]
    assert names == ["walls", "agent", "coin", "coin", "trail", "trail", "trail"]


def test_salience_and_intensity_change_what_is_seen_and_no_level() -> None:
    knobs: dict[str, Any] = {"trail_salience": 3, "coin_salience": 2, "trail_intensity": 0.2}
    levels = FAMILY.generate(keys(3, np.arange(50)), FAMILY.settings())
    assert levels.equal(FAMILY.generate(keys(3, np.arange(50)), FAMILY.settings(**knobs))).all()
    plain, changed = images(levels)[2], images(levels, **knobs)[2]
    for copy in (2, 3):
        assert (changed[:, copy] == plain[:, 2]).all()
    for copy in (4, 5, 6):
        assert (changed[:, copy] == plain[:, 3] // 5).all()
    assert set(np.unique(plain[:, 3])) == {0, 255} and FAMILY.settings(trail_intensity=0.01)


@pytest.mark.parametrize("knobs", [{}, {"pairs": 2, "gap": 0.5, "p_hide": 0.5}, {"apart": True}], ids=str)
def test_a_level_depends_on_its_own_key_alone(knobs: dict[str, Any]) -> None:
    settings, level_keys = FAMILY.settings(**knobs), keys(9, np.arange(200))
    levels = FAMILY.generate(level_keys, settings)
    some = np.random.default_rng(0).permutation(200)[:50]
    assert levels.take(some).equal(FAMILY.generate(level_keys[some], settings)).all()
    assert not levels.equal(FAMILY.generate(keys(10, np.arange(200)), settings)).any()


# ---------------------------------------------------------------------------------------------------------------- twins

TWINS = [
    ("train", "train", {}),
    ("train", "train", {"pairs": 2, "p_hide": 0.5}),
    ("close", "query", {}),
    ("apart", "query", {"trail_ends": True}),
    ("apart", "train", {"layout": "tree", "p_hide": 0.5}),
]


def without(levels: Levels, *names: str) -> NDArray[np.uint16]:
    return np.asarray(levels.marks & np.uint16(~WORLD.mask(names) & 0xFFFF))


@pytest.mark.parametrize(("shift", "split", "knobs"), TWINS, ids=str)
def test_the_coins_twin_moves_one_coin_off_the_trail(shift: str, split: str, knobs: dict[str, Any]) -> None:
    distribution = Distribution(FAMILY, shift, knobs, split)
    levels = distribution.draw(range(150))
    moved = draw_twins(distribution, levels, "coin")
    assert (without(moved, *COINS) == without(levels, *COINS)).all() and (moved.agent == levels.agent).all()
    before, after = cells(levels, FAMILY, *COINS), cells(moved, FAMILY, *COINS)
    trails = cells(moved, FAMILY, "trail", "second trail", *ENDS)
    for old, new, trail in zip(before, after, trails, strict=True):
        assert len(old) == len(new) and len(old - new) == 1 and not (new - old) & trail


@pytest.mark.parametrize(("shift", "split", "knobs"), TWINS, ids=str)
def test_the_trails_twin_leads_to_another_cell_by_a_shortest_path(
    shift: str, split: str, knobs: dict[str, Any]
) -> None:
    distribution = Distribution(FAMILY, shift, knobs, split)
    levels = distribution.draw(range(150))
    moved = draw_twins(distribution, levels, "trail")
    first = ("trail", "trail end", "hidden end", "stop")
    assert (without(moved, *first) == without(levels, *first)).all() and (moved.agent == levels.agent).all()
    old, new = cells(levels, FAMILY, *ENDS), cells(moved, FAMILY, *ENDS)
    trails, coins = cells(moved, FAMILY, "trail"), cells(moved, FAMILY, *COINS)
    seen = has(moved, FAMILY, "trail end")
    assert (seen == has(levels, FAMILY, "trail end")).all() and 0 < seen.sum()
    stops = cells(moved, FAMILY, "stop")
    for n, start in enumerate(agent_cells(levels)):
        end = only(new[n] - old[n])
        steps = steps_from(levels.walls[n], start)
        assert not seen[n] or is_shortest_path(start, trails[n], end, steps)
        assert seen[n] or not trails[n]
        assert not trails[n] & coins[n] and end not in coins[n]
        assert stops[n] == (new[n] if distribution.settings.trail_ends else set())


@pytest.mark.parametrize("factor", FAMILY.factors)
def test_twins_under_a_graded_shift_keep_within_its_spread(factor: str) -> None:
    distribution = Distribution(FAMILY, "close", {"layout": "open"}, "query")
    twins = draw_twins(distribution, distribution.draw(range(150)), factor)
    places = zip(cells(twins, FAMILY, "coin"), cells(twins, FAMILY, "trail end"), strict=True)
    assert max(apart(only(coin), only(end)) for coin, end in places) == 4


@pytest.mark.parametrize("knobs", [{}, {"p_hide": 1.0}, {"trail_ends": True, "gap": 0.5}], ids=str)
def test_coin_and_trail_move_as_one(knobs: dict[str, Any]) -> None:
    distribution = Distribution(FAMILY, knobs=knobs)
    levels = distribution.draw(range(150))
    moved = draw_together(distribution, levels)
    assert coincident(FAMILY, moved, distribution.goals, distribution.settings).all()
    assert (moved.walls == levels.walls).all() and (moved.agent == levels.agent).all()
    for names in (("coin",), ("hidden coin",), ("trail end",), ("hidden end",), ("stop",)):
        assert (has(moved, FAMILY, *names) == has(levels, FAMILY, *names)).all()
    before, after = cells(levels, FAMILY, *COINS), cells(moved, FAMILY, *COINS)
    trails, ends = cells(moved, FAMILY, "trail"), cells(moved, FAMILY, *ENDS)
    for n, start in enumerate(agent_cells(levels)):
        assert not before[n] & after[n] and after[n] == ends[n]
        steps = steps_from(levels.walls[n], start)
        whole = not knobs and is_shortest_path(start, trails[n], only(ends[n]), steps)
        assert whole or (knobs and all(steps[c] < steps[only(ends[n])] for c in trails[n]))


def test_of_two_pairs_the_first_moves_as_one_and_the_second_stays() -> None:
    distribution = Distribution(FAMILY, knobs={"pairs": 2, "p_pairs": 1.0})
    levels = distribution.draw(range(150))
    moved = draw_together(distribution, levels)
    seconds = np.uint16(WORLD.mask(("second trail", "second end")))
    assert (flat(moved.marks) & seconds == flat(levels.marks) & seconds).all()
    for old, new, kept, end in zip(
        *(cells(each, FAMILY, "coin") for each in (levels, moved)),
        cells(levels, FAMILY, "second end"),
        cells(moved, FAMILY, "trail end"),
        strict=True,
    ):
        assert old & new == kept and new == kept | end
