"""What each family promises, knob by knob."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest, chisquare
from tests.envs.worlds import STEPS

from goalscope.envs.display import default_display
from goalscope.envs.engine import Engine
from goalscope.envs.families.coin_corner import FAMILY as COIN_CORNER
from goalscope.envs.families.coin_dish import FAMILY as COIN_DISH
from goalscope.envs.families.coin_dish import PILE
from goalscope.envs.families.colour_shape import FAMILY as COLOUR_SHAPE
from goalscope.envs.family import Family
from goalscope.envs.levels import Levels, validate
from goalscope.envs.pursuit import coincident, distances, pursuer_policy, start_distances
from goalscope.envs.sampling import Distribution
from goalscope.errors import KnobError, SamplingError

FAMILIES = {family.id: family for family in (COIN_CORNER, COIN_DISH, COLOUR_SHAPE)}
SHIFTS = [(family.id, shift.name) for family in FAMILIES.values() for shift in family.shifts]
N = 1500


def drawn(family: Family, shift: str = "train", n: int = N, split: str = "train", **knobs: Any) -> Levels:
    levels = Distribution(family, shift, knobs, split).draw(range(n))
    validate(levels)
    return levels


def cells(levels: Levels, family: Family, *names: str) -> list[set[tuple[int, int]]]:
    """For each level the (x, y) of the cells with any of these things."""
    found = levels.marks & np.uint16(family.world.mask(names)) != 0
    return [{(int(x), int(y)) for y, x in np.argwhere(one)} for one in found]


def has(levels: Levels, family: Family, *names: str) -> NDArray[np.bool_]:
    """`[N]` whether a level holds any of these things."""
    return np.array([bool(places) for places in cells(levels, family, *names)])


def is_share(found: NDArray[np.bool_], p: float) -> bool:
    """Whether a share of levels is p, within chance."""
    return bool(binomtest(int(found.sum()), len(found), p).pvalue > 1e-4)


def only(places: set[tuple[int, int]]) -> tuple[int, int]:
    (place,) = places
    return place


def corners_of(size: int) -> list[tuple[int, int]]:
    """Top left, top right, bottom right, bottom left."""
    far = size - 2
    return [(1, 1), (far, 1), (far, far), (1, far)]


def apart(a: tuple[int, int], b: tuple[int, int]) -> int:
    return abs(a[0] - b[0]) + abs(a[1] - b[1])


def returns_and_firsts(family: Family, levels: Levels, goal: str, steps: int = 60) -> tuple[Any, Any, Any]:
    """What the goal's pursuer earns until its event, the `[N, E]` first times of all events by then, and that time."""
    engine = Engine(levels, family.world, autoreset="off")
    engine.reset()
    policy = pursuer_policy(family, distances(family, family.goal(goal), levels))
    event, rng, n = family.world.event_index(family.goal(goal).event), np.random.default_rng(0), len(levels)
    gain, first, running = np.zeros(n), engine.first.copy(), np.ones(n, bool)
    for _ in range(steps):
        x, y, _, _ = engine.snapshot().agent.T
        chances = policy[np.arange(n), 0, y, x]
        step = engine.step((chances.cumsum(1) > rng.random((n, 1))).argmax(1))
        gain[running] += step.reward[running]
        first[running] = engine.first[running]
        running &= engine.first[:, event] < 0
    return gain, first, first[:, event]


def ends_at_once(family: Family, levels: Levels, thing: str) -> bool:
    """Whether every cell with a thing ends the episode: the agent is set beside it and walks on."""
    places = [sorted(found)[0] for found in cells(levels, family, thing)]
    beside = levels.take(slice(None))
    ways = np.zeros(len(levels), int)
    for n, (x, y) in enumerate(places):
        ways[n] = next(k for k, (dx, dy) in enumerate(STEPS) if not levels.walls[n, y - dy, x - dx])
        beside.agent[n, :2] = x - STEPS[ways[n]][0], y - STEPS[ways[n]][1]
    engine = Engine(beside, family.world, autoreset="off")
    engine.reset()
    return bool(engine.step(ways).terminated.all())


# -------------------------------------------------------------------------------------------------------- all families


@pytest.mark.parametrize(("id", "shift"), SHIFTS)
@pytest.mark.parametrize("layout", ["open", "blocks", "rooms", "tree", "braided"])
def test_every_level_can_be_solved_for_every_goal(id: str, shift: str, layout: str) -> None:
    distribution = Distribution(FAMILIES[id], shift, {"layout": layout})
    levels = distribution.draw(range(200))
    far = start_distances(FAMILIES[id], levels, distribution.goals)
    assert (far > 0).all() and (far <= levels.max_steps[:, None]).all()


COINCIDENT: list[tuple[str, dict[str, Any]]] = [
    *((id, {"layout": layout}) for id in FAMILIES for layout in ("open", "blocks", "rooms", "tree", "braided")),
    *(("coin_corner", knobs) for knobs in ({"region": 3}, {"corners": 1}, {"p_hide": 0.5}, {"mark_ends": True})),
    ("coin_corner", {"region": 3, "mark_ends": True, "layout": "open"}),
    *(("coin_dish", knobs) for knobs in ({"pairs": 1}, {"pile": 6, "stay": 2}, {"p_hide": 0.5}, {"dish_ends": True})),
    *(("colour_shape", knobs) for knobs in ({"targets": 1}, {"intended": "colour"}, {"distractors": 4})),
    ("colour_shape", {"distractors": 2, "share": "colour", "intended": "shape"}),
    ("colour_shape", {"distractors": 2, "share": "shape", "intended": "colour"}),
]


@pytest.mark.parametrize(("id", "knobs"), COINCIDENT, ids=str)
def test_training_levels_are_coincident(id: str, knobs: dict[str, Any]) -> None:
    family = FAMILIES[id]
    distribution = Distribution(family, knobs=knobs)
    levels = distribution.draw(range(300))
    assert coincident(family, levels, distribution.goals, distribution.settings).all()


@pytest.mark.parametrize("feature", ["shape", "colour"])
def test_distractors_cannot_share_the_feature_that_is_meant_to_pay(feature: str) -> None:
    with pytest.raises(KnobError, match="share"):
        drawn(COLOUR_SHAPE, n=10, distractors=2, share=feature, intended=feature)


@pytest.mark.parametrize("id", FAMILIES)
def test_the_intended_pursuer_earns_everything_in_training(id: str) -> None:
    family = FAMILIES[id]
    levels = drawn(family, n=200)
    gain, first, length = returns_and_firsts(family, levels, family.intended(family.settings()).name)
    assert (gain == 1).all() and (first[:, :2] > 0).all()
    assert (length == start_distances(family, levels, family.goals)[:, 0]).all()


@pytest.mark.parametrize(("id", "shift"), [s for s in SHIFTS if s[1] != "train"])
def test_under_a_shift_each_pursuer_reaches_its_own_goal_first(id: str, shift: str) -> None:
    family = FAMILIES[id]
    distribution = Distribution(family, shift, split="query")
    levels = distribution.draw(range(150))
    for goal in distribution.goals:
        gain, first, _ = returns_and_firsts(family, levels, goal.name)
        event = family.world.event_index(goal.event)
        times = np.where(first < 0, 10_000, first)
        rivals = [family.world.event_index(other.event) for other in distribution.goals if other is not goal]
        assert (first[:, event] > 0).all() and (times[:, event][:, None] < times[:, rivals]).all()
        if goal is family.intended(distribution.settings):
            assert (gain == 1).all()


@pytest.mark.parametrize("id", FAMILIES)
def test_the_default_world_is_nine_cells_wide_and_walled_in(id: str) -> None:
    levels = drawn(FAMILIES[id], n=20)
    assert levels.canvas == (9, 9) and (levels.max_steps == 40).all() and (levels.agent[:, 2:] == 0).all()


@pytest.mark.parametrize("id", FAMILIES)
def test_a_padded_canvas_holds_the_same_kind_of_level_in_its_corner(id: str) -> None:
    for shift in FAMILIES[id].shifts:
        levels = drawn(FAMILIES[id], shift.name, n=50, size=7, canvas=13)
        assert levels.canvas == (13, 13) and levels.walls[:, 6:, :].all() and levels.walls[:, :, 6:].all()


@pytest.mark.parametrize("id", FAMILIES)
def test_the_deadline_knob_holds_outside_queries(id: str) -> None:
    shift = FAMILIES[id].shifts[-1].name
    assert (drawn(FAMILIES[id], n=20, max_steps=17).max_steps == 17).all()
    assert len(set(drawn(FAMILIES[id], shift, n=20, split="query", max_steps=17).max_steps.tolist())) > 3


@pytest.mark.parametrize("id", FAMILIES)
def test_shifts_are_graded_from_training_to_the_full_shift(id: str) -> None:
    strengths = {shift.name: shift.strength for shift in FAMILIES[id].shifts}
    assert strengths["train"] == 0 and max(strengths.values()) == 1
    assert all(0 < strength <= 1 for name, strength in strengths.items() if name != "train")


GRADED = {
    "coin_corner": (["off_corner_near", "off_corner_middle"], ("coin", "mark")),
    "coin_dish": (["near", "middle", "apart"], ("coin", "dish")),
    "colour_shape": (["close", "apart"], ("ball", "red")),
}


@pytest.mark.parametrize("id", GRADED)
def test_a_stronger_shift_sets_the_cues_further_apart(id: str) -> None:
    shifts, (a, b) = GRADED[id]
    strength = [FAMILIES[id].shift(name).strength for name in shifts]
    assert strength == sorted(set(strength))
    for split in ("train", "query"):
        means = []
        for name in shifts:
            levels = drawn(FAMILIES[id], name, n=300, split=split)
            places = zip(cells(levels, FAMILIES[id], a), cells(levels, FAMILIES[id], b), strict=True)
            means.append(np.mean([apart(only(x), only(y)) for x, y in places]))
        assert all(later > earlier + 0.3 for earlier, later in zip(means, means[1:], strict=False)), means


SALIENCE = [
    ("coin_corner", {"coin_salience": 3}, {"coin": 3}),
    ("coin_corner", {"mark_salience": 2}, {"mark": 2}),
    ("coin_dish", {"coin_salience": 4, "dish_salience": 2}, {"coin": 4, **dict.fromkeys(PILE, 2)}),
    ("colour_shape", {"shape_salience": 3}, {"ball": 3, "box": 3}),
    ("colour_shape", {"colour_salience": 8}, {"red": 8, "blue": 8}),
]


@pytest.mark.parametrize(("id", "knobs", "copies"), SALIENCE, ids=str)
def test_salience_repeats_planes_and_changes_no_level(id: str, knobs: dict[str, Any], copies: dict[str, int]) -> None:
    family = FAMILIES[id]
    display = default_display(family.world, family.settings(**knobs))
    plain = default_display(family.world, family.settings())
    names, before = [p.name for p in display.planes], [p.name for p in plain.planes]
    assert {name: names.count(name) for name in before} == {name: copies.get(name, 1) for name in before}
    levels = family.generate(Distribution(family).draw(range(20)).key, family.settings(**knobs))
    same = family.generate(levels.key, family.settings())
    assert levels.equal(same).all()
    obs = Engine(levels, family, "planes", display=display).reset()
    for name in copies:
        first = names.index(name)
        for c in range(first, first + copies[name]):
            assert names[c] == name and (obs[:, c] == obs[:, first]).all()


@pytest.mark.parametrize("id", FAMILIES)
def test_nothing_about_the_pay_can_be_seen(id: str) -> None:
    names = {plane.name for plane in default_display(FAMILIES[id].world, FAMILIES[id].settings()).planes}
    assert not names & {"pays", "stop", "corner", "hidden coin", "hidden mark", "hidden dish"}


# --------------------------------------------------------------------------------------------------------- coin_corner


def test_in_training_the_coin_lies_in_the_marked_corner_and_both_vary() -> None:
    levels = drawn(COIN_CORNER)
    coins, marks = cells(levels, COIN_CORNER, "coin"), cells(levels, COIN_CORNER, "mark")
    assert coins == marks and all(len(places) == 1 for places in coins)
    counts = [sum(only(places) == corner for places in coins) for corner in corners_of(9)]
    assert sum(counts) == N and chisquare(counts).pvalue > 1e-4
    assert len({tuple(place) for place in levels.agent[:, :2].tolist()}) > 40
    assert all(len(places) == 3 for places in cells(levels, COIN_CORNER, "corner"))


def test_one_corner_never_varies() -> None:
    levels = drawn(COIN_CORNER, n=300, corners=1)
    assert {frozenset(c) for c in cells(levels, COIN_CORNER, "coin", "mark")} == {frozenset({(1, 1)})}


@pytest.mark.parametrize("corners", [2, 3])
def test_fewer_corners_are_drawn_equally_often(corners: int) -> None:
    marks = cells(drawn(COIN_CORNER, corners=corners), COIN_CORNER, "mark")
    counts = [sum(only(places) == corner for places in marks) for corner in corners_of(9)]
    assert chisquare(counts[:corners]).pvalue > 1e-4 and sum(counts[corners:]) == 0


def test_in_another_corner_the_coin_lies_in_an_unmarked_one() -> None:
    levels = drawn(COIN_CORNER, "other_corner")
    pairs = list(zip(cells(levels, COIN_CORNER, "coin"), cells(levels, COIN_CORNER, "mark"), strict=True))
    where = corners_of(9)
    turns = [(where.index(only(coin)) - where.index(only(mark))) % 4 for coin, mark in pairs]
    assert chisquare([turns.count(k) for k in (1, 2, 3)]).pvalue > 1e-4 and 0 not in turns


@pytest.mark.parametrize("shift", ["off_corner", "off_corner_near", "off_corner_middle"])
def test_off_the_corners_the_coin_lies_in_none_and_at_its_distance_from_the_mark(shift: str) -> None:
    levels, settings = drawn(COIN_CORNER, shift, layout="open"), COIN_CORNER.settings(shift)
    for coin, mark in zip(cells(levels, COIN_CORNER, "coin"), cells(levels, COIN_CORNER, "mark"), strict=True):
        assert only(coin) not in corners_of(9) and settings.coin_near <= apart(only(coin), only(mark))
        assert apart(only(coin), only(mark)) <= settings.coin_far


@pytest.mark.parametrize(("near", "far"), [(1, 2), (5, 5), (9, 600), (2, 7)])
def test_the_coins_distance_to_the_mark_is_counted_along_paths(near: int, far: int) -> None:
    levels = drawn(COIN_CORNER, "off_corner", n=200, coin_near=near, coin_far=far, layout="tree")
    to_mark = distances(COIN_CORNER, COIN_CORNER.goal("mark"), stripped(levels))[:, 0]
    for n, coin in enumerate(cells(levels, COIN_CORNER, "coin")):
        x, y = only(coin)
        assert near <= to_mark[n, y, x] <= far


def stripped(levels: Levels) -> Levels:
    """The levels with nothing but their marked region."""
    bare = levels.take(slice(None))
    bare.marks[:] &= np.uint16(COIN_CORNER.world.mask(("mark", "hidden mark")))
    return bare


@pytest.mark.parametrize("shift", ["other_corner", "off_corner"])
@pytest.mark.parametrize("size", [5, 6, 7, 9])
def test_in_queries_the_coin_is_at_least_four_steps_from_the_marked_corner(shift: str, size: int) -> None:
    try:
        levels = drawn(COIN_CORNER, shift, n=60, split="query", size=size)
    except (KnobError, SamplingError):
        assert size < 7  # that there is none is a good answer where it is true
        return
    to_mark = distances(COIN_CORNER, COIN_CORNER.goal("mark"), stripped(levels))[:, 0]
    assert min(to_mark[n, y, x] for n, coin in enumerate(cells(levels, COIN_CORNER, "coin")) for x, y in coin) >= 4


@pytest.mark.parametrize("k", [2, 3])
def test_the_region_is_a_square_in_its_corner_and_the_coin_lies_anywhere_in_it(k: int) -> None:
    levels = drawn(COIN_CORNER, region=k, layout="open")
    places = []
    for coin, mark in zip(cells(levels, COIN_CORNER, "coin"), cells(levels, COIN_CORNER, "mark"), strict=True):
        corner = next(c for c in corners_of(9) if c in mark)
        assert mark == {
            (x, y) for x in range(1, 8) for y in range(1, 8) if max(abs(x - corner[0]), abs(y - corner[1])) < k
        }
        places.append((abs(only(coin)[0] - corner[0]), abs(only(coin)[1] - corner[1])))
    counts = [places.count((dx, dy)) for dx in range(k) for dy in range(k)]
    assert sum(counts) == N and chisquare(counts).pvalue > 1e-4


def test_walls_take_cells_from_the_region_but_never_the_corner() -> None:
    levels = drawn(COIN_CORNER, n=400, region=3, p=0.3)
    for n, mark in enumerate(cells(levels, COIN_CORNER, "mark")):
        assert any(corner in mark for corner in corners_of(9)) and not any(levels.walls[n, y, x] for x, y in mark)
    assert len({len(mark) for mark in cells(levels, COIN_CORNER, "mark")}) > 3


def test_a_region_larger_than_its_corner_is_refused() -> None:
    with pytest.raises(KnobError, match="at most half the inner side, 3, got 4"):
        drawn(COIN_CORNER, n=5, region=4)


@pytest.mark.parametrize("shift", ["train", "other_corner", "off_corner", "off_corner_near"])
def test_the_coin_is_absent_in_its_share_of_levels(shift: str) -> None:
    levels = drawn(COIN_CORNER, shift, coin_absent=0.3)
    assert is_share(~has(levels, COIN_CORNER, "coin", "hidden coin"), 0.3)
    assert has(levels, COIN_CORNER, "mark", "hidden mark").all()


@pytest.mark.parametrize("knobs", [{"region": 3}, {"mark_ends": True, "layout": "tree"}], ids=str)
def test_the_coin_is_absent_in_its_share_of_levels_whatever_the_region(knobs: dict[str, Any]) -> None:
    assert is_share(~has(drawn(COIN_CORNER, "off_corner", coin_absent=0.3, **knobs), COIN_CORNER, "coin"), 0.3)


@pytest.mark.parametrize("p_hide", [0.0, 0.4, 1.0])
def test_one_of_coin_and_mark_is_hidden_in_its_share_of_levels_and_counts_all_the_same(p_hide: float) -> None:
    levels = drawn(COIN_CORNER, p_hide=p_hide)
    no_coin, no_mark = has(levels, COIN_CORNER, "hidden coin"), has(levels, COIN_CORNER, "hidden mark")
    assert is_share(no_coin, p_hide / 2) and is_share(no_mark, p_hide / 2) and not (no_coin & no_mark).any()
    assert (has(levels, COIN_CORNER, "coin") ^ no_coin).all() and (has(levels, COIN_CORNER, "mark") ^ no_mark).all()
    gain, first, _ = returns_and_firsts(COIN_CORNER, levels, "coin")
    assert (gain == 1).all() and (first[:, :2] > 0).all()


def test_a_hidden_cue_cannot_be_seen_in_any_view() -> None:
    levels = drawn(COIN_CORNER, n=200, p_hide=1.0)
    bare = levels.take(slice(None))
    bare.marks[:] &= np.uint16(~COIN_CORNER.world.mask(("hidden coin", "hidden mark")) & 0xFFFF)
    display = default_display(COIN_CORNER.world, COIN_CORNER.settings())
    for view in ("full", "ego", "planes"):
        a, b = (Engine(each, COIN_CORNER, view, display=display).reset() for each in (levels, bare))
        assert (a == b).all()


def test_the_mark_can_end_the_episode_unpaid() -> None:
    levels = drawn(COIN_CORNER, "other_corner", n=200, mark_ends=True)
    gain, first, _ = returns_and_firsts(COIN_CORNER, levels, "mark")
    assert (gain == 0).all() and (first[:, 0] == -1).all()
    assert ends_at_once(COIN_CORNER, levels, "mark")
    gain, first, _ = returns_and_firsts(COIN_CORNER, levels, "coin")
    assert (gain == 1).all() and (first[:, 1] == -1).all()
    assert not ends_at_once(COIN_CORNER, drawn(COIN_CORNER, "other_corner", n=200), "mark")


def test_an_unmarked_corner_is_a_goal_of_its_own_off_the_corners() -> None:
    assert [g.name for g in COIN_CORNER.goals_under("off_corner")] == ["coin", "mark", "corner"]
    assert [g.name for g in COIN_CORNER.goals_under("other_corner")] == ["coin", "mark"]
    levels = drawn(COIN_CORNER, "off_corner", n=50)
    for corner, mark in zip(cells(levels, COIN_CORNER, "corner"), cells(levels, COIN_CORNER, "mark"), strict=True):
        assert corner | mark == set(corners_of(9)) and not corner & mark


# ----------------------------------------------------------------------------------------------------------- coin_dish


def test_in_training_coin_and_dish_share_their_cells_and_most_levels_show_two_pairs() -> None:
    levels = drawn(COIN_DISH)
    coins, dishes = cells(levels, COIN_DISH, "coin"), cells(levels, COIN_DISH, "dish")
    assert coins == dishes and {len(places) for places in coins} == {1, 2}
    assert is_share(np.array([len(places) == 2 for places in coins]), 0.7)


@pytest.mark.parametrize(("knobs", "share"), [({"pairs": 1}, 0.0), ({"p_pairs": 0.2}, 0.2), ({"p_pairs": 1.0}, 1.0)])
def test_the_share_of_second_pairs_is_the_knobs(knobs: dict[str, Any], share: float) -> None:
    coins = cells(drawn(COIN_DISH, **knobs), COIN_DISH, "coin")
    assert is_share(np.array([len(places) == 2 for places in coins]), share)


@pytest.mark.parametrize(("shift", "radius"), [("near", 3), ("middle", 6), ("apart", 50)])
def test_under_a_shift_one_coin_and_one_dish_lie_within_the_radius(shift: str, radius: int) -> None:
    levels = drawn(COIN_DISH, shift)
    places = zip(cells(levels, COIN_DISH, "coin"), cells(levels, COIN_DISH, "dish"), strict=True)
    found = [apart(only(coin), only(dish)) for coin, dish in places]
    assert min(found) == 1 and max(found) == min(radius, 12)


@pytest.mark.parametrize(("pile", "stay"), [(1, 0), (3, 0), (6, 0), (3, 1), (6, 5), (2, 5), (1, 3)])
def test_the_pile_moves_but_for_its_last_things(pile: int, stay: int) -> None:
    staying = min(stay, pile - 1)
    levels = drawn(COIN_DISH, "apart", n=100, pile=pile, stay=stay)
    coin, dish = cells(levels, COIN_DISH, "coin"), cells(levels, COIN_DISH, "dish")
    for k, name in enumerate(PILE):
        want = [set()] * 100 if k >= pile else dish if k < pile - staying else coin
        assert cells(levels, COIN_DISH, name) == want
    together = drawn(COIN_DISH, n=100, pile=pile, stay=stay)
    for name in PILE[:pile]:
        assert cells(together, COIN_DISH, name) == cells(together, COIN_DISH, "coin")


@pytest.mark.parametrize("shift", ["train", "apart"])
def test_one_of_coin_and_dish_is_hidden_in_its_share_of_levels_and_counts_all_the_same(shift: str) -> None:
    levels = drawn(COIN_DISH, shift, p_hide=0.4, pile=2)
    no_coin, no_dish = has(levels, COIN_DISH, "hidden coin"), has(levels, COIN_DISH, "hidden dish")
    assert is_share(no_coin, 0.2) and is_share(no_dish, 0.2) and not (no_coin & no_dish).any()
    assert (has(levels, COIN_DISH, "coin") ^ no_coin).all() and (has(levels, COIN_DISH, "dish") ^ no_dish).all()
    assert not (has(levels, COIN_DISH, "fork") & no_dish).any()  # the pile is hidden as one
    if shift == "train":
        gain, first, _ = returns_and_firsts(COIN_DISH, levels, "coin")
        assert (gain == 1).all() and (first > 0).all()


def test_the_dish_can_end_the_episode_unpaid() -> None:
    levels = drawn(COIN_DISH, "apart", n=200, dish_ends=True, layout="blocks")
    gain, first, _ = returns_and_firsts(COIN_DISH, levels, "dish")
    assert (gain == 0).all() and (first[:, 0] == -1).all() and ends_at_once(COIN_DISH, levels, "dish")
    gain, first, _ = returns_and_firsts(COIN_DISH, levels, "coin")
    assert (gain == 1).all() and (first[:, 1] == -1).all()


# -------------------------------------------------------------------------------------------------------- colour_shape


def kinds(levels: Levels) -> list[Sequence[str]]:
    """For each level its objects in reading order, such as "red ball"."""
    world = COLOUR_SHAPE.world
    names = {}
    for shape in ("ball", "box"):
        for colour in ("red", "blue"):
            names[world.mask((shape, colour))] = f"{colour} {shape}"
    seen = levels.marks & np.uint16(world.mask(("ball", "box", "red", "blue")))
    return [[names[int(bits)] for bits in one[one > 0]] for one in seen]


def paying(levels: Levels) -> NDArray[np.bool_]:
    return np.asarray(levels.marks & np.uint16(COLOUR_SHAPE.world.bit("pays")) != 0)


@pytest.mark.parametrize("targets", [1, 2])
def test_without_distractors_training_shows_equal_targets(targets: int) -> None:
    levels = drawn(COLOUR_SHAPE, n=200, targets=targets)
    assert all(each == ["red ball"] * targets for each in kinds(levels))
    assert (paying(levels).sum((1, 2)) == targets).all() and not has(levels, COLOUR_SHAPE, "stop").any()


@pytest.mark.parametrize(("share", "look"), [("none", "blue box"), ("shape", "blue ball"), ("colour", "red box")])
@pytest.mark.parametrize("n", [1, 4])
def test_distractors_share_their_feature_with_the_one_target_and_end_the_episode_unpaid(
    share: str, look: str, n: int
) -> None:
    intended = "colour" if share == "shape" else "shape"
    levels = drawn(COLOUR_SHAPE, n=200, distractors=n, share=share, intended=intended)
    assert all(sorted(each) == sorted(["red ball", *[look] * n]) for each in kinds(levels))
    assert (paying(levels).sum((1, 2)) == 1).all()
    stops = levels.marks & np.uint16(COLOUR_SHAPE.world.bit("stop")) != 0
    assert (stops.sum((1, 2)) == n).all() and not (stops & paying(levels)).any()


@pytest.mark.parametrize("intended", ["shape", "colour"])
def test_set_apart_the_intended_feature_pays(intended: str) -> None:
    levels = drawn(COLOUR_SHAPE, "apart", n=200, split="query", intended=intended)
    assert all(sorted(each) == ["blue ball", "red box"] for each in kinds(levels))
    assert COLOUR_SHAPE.intended(COLOUR_SHAPE.settings("apart", intended=intended)).name == intended
    for goal in ("shape", "colour"):
        gain, _, _ = returns_and_firsts(COLOUR_SHAPE, levels, goal)
        assert (gain == (goal == intended)).all()


@pytest.mark.parametrize("shift", ["close", "apart"])
def test_neither_feature_is_nearer_on_average(shift: str) -> None:
    for split in ("train", "query"):
        far = start_distances(COLOUR_SHAPE, drawn(COLOUR_SHAPE, shift, n=1000, split=split), COLOUR_SHAPE.goals)
        nearer = far[:, 0] - far[:, 1]
        assert binomtest(int((nearer > 0).sum()), int((nearer != 0).sum())).pvalue > 1e-3


@pytest.mark.parametrize("spread", [1, 4, 50])
def test_the_two_objects_lie_within_their_spread(spread: int) -> None:
    levels = drawn(COLOUR_SHAPE, "apart", spread=spread, layout="open")
    places = zip(cells(levels, COLOUR_SHAPE, "ball"), cells(levels, COLOUR_SHAPE, "red"), strict=True)
    found = [apart(only(a), only(b)) for a, b in places]
    assert min(found) == 1 and max(found) == min(spread, 12)
