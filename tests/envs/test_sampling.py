"""How levels are drawn: layouts, placement, splits, mixtures, deadlines, twins, and what happens when none fits."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.stats import binomtest, chisquare
from tests.envs.worlds import same_levels

from goalscope.envs.families.coin_corner import FAMILY as COIN_CORNER
from goalscope.envs.families.coin_dish import FAMILY as COIN_DISH
from goalscope.envs.families.colour_shape import FAMILY as COLOUR_SHAPE
from goalscope.envs.family import Family, Settings
from goalscope.envs.layouts import (
    CONNECTED_LAYOUTS,
    LAYOUTS,
    ODD_LAYOUTS,
    draw_walls,
    random_cells,
    scatter,
)
from goalscope.envs.levels import Levels, blank, validate
from goalscope.envs.pursuit import conflict, start_distances
from goalscope.envs.sampling import Distribution, draw_twins, on_picked, redraw
from goalscope.envs.splits import MANY_LAYOUTS, SPLITS, in_split, level_hashes
from goalscope.envs.streaming import LevelStream
from goalscope.errors import KnobError, SamplingError, UnknownNameError
from goalscope.seeding import Keys, keys, stream

FAMILIES = {family.id: family for family in (COIN_CORNER, COIN_DISH, COLOUR_SHAPE)}
SHIFTED = [(family.id, shift.name) for family in FAMILIES.values() for shift in family.shifts if shift.name != "train"]


def layout(kind: str, size: int, p: float = 0.1, canvas: int = 0) -> Settings:
    return Settings({"size": size, "canvas": canvas, "layout": kind, "p": p, "max_steps": 0})


def some_keys(n: int, name: str = "layouts") -> Keys:
    return keys(stream(name), np.arange(n))


def grids(kind: str, size: int, n: int, p: float = 0.1, canvas: int = 0, name: str = "layouts") -> NDArray[np.bool_]:
    """`[N, H, W]` where walls stand."""
    side = canvas or size
    return np.asarray(draw_walls(some_keys(n, name), layout(kind, size, p, canvas)).reshape(n, side, side) == 1)


def joined(free: NDArray[np.bool_]) -> tuple[int, NDArray[np.int32]]:
    """How many parts the free cells `[H, W]` fall into, and the part of every cell, by SciPy."""
    height, width = free.shape
    number = np.arange(height * width).reshape(height, width)
    right = free[:, :-1] & free[:, 1:]
    down = free[:-1] & free[1:]
    a = np.concatenate([number[:, :-1][right], number[:-1][down]])
    b = np.concatenate([number[:, 1:][right], number[1:][down]])
    graph = coo_array((np.ones(len(a)), (a, b)), shape=(height * width, height * width))
    _, part = connected_components(graph, directed=False)
    part = part.reshape(height, width)
    return len(np.unique(part[free])), part


def dead_ends(walls: NDArray[np.bool_]) -> NDArray[np.int64]:
    """`[N]` free cells with exactly one free neighbour."""
    free = ~walls
    around = np.zeros(free.shape, int)
    for axis, shift in ((1, 1), (1, -1), (2, 1), (2, -1)):
        around += np.roll(free, shift, axis)
    return np.asarray((free & (around == 1)).sum((1, 2)))


# -------------------------------------------------------------------------------------------------------------- layouts

SIZES = st.integers(5, 25)


@settings(max_examples=150)
@given(
    kind=st.sampled_from(LAYOUTS), size=SIZES, p=st.floats(0, 0.9), pad=st.integers(0, 20), seed=st.integers(0, 10**6)
)
def test_every_layout_is_walled_in_and_connected_where_it_says_so(
    kind: str, size: int, p: float, pad: int, seed: int
) -> None:
    size += (kind in ODD_LAYOUTS and size % 2 == 0) + (4 if kind == "rooms" and size < 9 else 0)
    size = min(size, 25)
    canvas = min(size + pad, 25)
    walls = grids(kind, size, 3, p, canvas, f"walls {seed}")
    outside = np.ones((canvas, canvas), bool)
    outside[1 : size - 1, 1 : size - 1] = False
    assert walls[:, outside].all()
    if kind in CONNECTED_LAYOUTS:
        assert all(joined(~one)[0] == 1 for one in walls)


@pytest.mark.parametrize("size", [5, 7, 9, 13, 25])
def test_a_tree_joins_every_odd_cell_with_one_edge_less_than_nodes(size: int) -> None:
    walls = grids("tree", size, 50)
    nodes = ((size - 1) // 2) ** 2
    assert not walls[:, 1::2, 1::2].any() and walls[:, ::2, ::2].all()
    assert ((~walls).sum((1, 2)) == nodes + nodes - 1).all()  # an edge is the free cell between two nodes
    assert all(joined(~one)[0] == 1 for one in walls)


def test_braiding_opens_dead_ends_and_changes_nothing_else() -> None:
    tree = grids("tree", 13, 300)
    before = dead_ends(tree)
    assert (grids("braided", 13, 300, 0.0) == tree).all()
    few, many = grids("braided", 13, 300, 0.3), grids("braided", 13, 300, 0.9)
    assert (tree | ~few).all() and (tree | ~many).all()  # walls only vanish
    assert before.mean() > dead_ends(few).mean() > dead_ends(many).mean() > 0
    assert (dead_ends(many) <= before).all()
    assert (dead_ends(grids("braided", 13, 300, 1.0)) == 0).all()


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9])
def test_blocks_stand_on_their_share_of_inner_cells(p: float) -> None:
    walls = grids("blocks", 9, 2000, p)[:, 1:-1, 1:-1]
    assert binomtest(int(walls.sum()), walls.size, p).pvalue > 1e-4
    if p:
        assert chisquare(walls.sum(0).ravel()).pvalue > 1e-4


def test_an_open_room_has_no_inner_wall_and_rooms_have_walls_with_one_doorway() -> None:
    assert not grids("open", 9, 5)[:, 1:-1, 1:-1].any()
    walls = grids("rooms", 9, 500)[:, 1:-1, 1:-1]
    assert set(walls.sum((1, 2)).tolist()) == {6 + 4}  # one wall of 7, then one more in each half of 3 × 7 … or none
    assert len(np.unique(walls.reshape(500, -1), axis=0)) == 32


def test_kept_cells_are_free() -> None:
    walls = draw_walls(some_keys(200), layout("blocks", 9, 0.9), keep=[40, 41])
    assert not walls[:, [40, 41]].any() and walls.reshape(200, -1).mean() > 0.8


def test_the_padding_of_a_canvas_changes_nothing_inside() -> None:
    for kind in LAYOUTS:
        assert (grids(kind, 9, 20) == grids(kind, 9, 20, canvas=14)[:, :9, :9]).all()


COUNTED = [
    *((kind, size, 0.1) for kind in ("open", "tree") for size in (7, 9, 11)),
    *(("blocks", size, p) for size in (7, 9, 11) for p in (0.05, 0.1, 0.3)),
    *(("rooms", size, 0.1) for size in (9, 11, 13, 15)),
    *(("braided", size, 0.3) for size in (7, 9, 11)),
]


@pytest.mark.parametrize(("kind", "size", "p"), COUNTED)
def test_layouts_are_held_out_only_where_there_are_many(kind: str, size: int, p: float) -> None:
    n = 200_000
    packed = np.packbits(grids(kind, size, n, p, name="brute").reshape(n, -1), axis=1)
    padded = np.zeros((n, 32), np.uint8)
    padded[:, : packed.shape[1]] = packed
    _, times = np.unique(padded.view("V32").ravel(), return_counts=True)
    once, twice = int((times == 1).sum()), int((times == 2).sum())
    # Chao's lower bound on the number of distinct layouts, from those seen once and twice.
    distinct = len(times) + once * (once - 1) / 2 / (twice + 1)
    if Distribution(COIN_DISH, knobs={"layout": kind, "size": size, "p": p}).holds_out_layouts:
        assert distinct >= MANY_LAYOUTS
    else:
        assert (times * (times - 1) // 2).sum() > 0.8 * n * (n - 1) / 2 / MANY_LAYOUTS  # effectively fewer
    assert len(times) == {("tree", 7): 88, ("tree", 9): 3820, ("open", size): 1}.get((kind, size), len(times))


@pytest.mark.parametrize("size", [7, 9])
def test_few_layouts_stay_few_where_hardly_any_level_can_be_placed(size: int) -> None:
    for near in range(4, 40):
        knobs: dict[str, Any] = {"layout": "tree", "size": size, "coin_near": near}
        assert not Distribution(COIN_CORNER, "off_corner", knobs).holds_out_layouts, near


@pytest.mark.parametrize("id", FAMILIES)
def test_all_shifts_of_a_family_hold_out_layouts_or_none_does(id: str) -> None:
    family = FAMILIES[id]
    for p in (0.1, 0.2, 0.25, 0.3, 0.35):
        for size in (7, 9, 10):
            knobs: dict[str, Any] = {"layout": "blocks", "size": size, "p": p}
            held_out = {Distribution(family, shift.name, knobs).holds_out_layouts for shift in family.shifts}
            assert len(held_out) == 1, knobs


def test_padding_makes_no_layouts() -> None:
    for size, many in ((9, False), (13, True)):
        assert Distribution(COIN_DISH, knobs={"layout": "tree", "size": size, "canvas": 25}).holds_out_layouts == many


# ------------------------------------------------------------------------------------------------------------ placement


@settings(max_examples=100)
@given(
    kind=st.sampled_from(LAYOUTS),
    size=st.sampled_from([9, 11, 15]),
    p=st.floats(0, 0.6),
    pad=st.integers(0, 6),
    items=st.integers(1, 6),
    radius=st.integers(1, 8),
    seed=st.integers(0, 10**6),
)
def test_items_lie_on_different_free_cells_that_can_be_reached_from_one_another(
    kind: str, size: int, p: float, pad: int, items: int, radius: int, seed: int
) -> None:
    given_keys, knobs = some_keys(4, f"scatter {seed}"), layout(kind, size, p, size + pad)
    walls = draw_walls(given_keys, knobs)
    near = [(-1, 0)] * items
    if items > 2:
        near[2] = (1, radius)
    cells = scatter(walls, given_keys, knobs, np.full((4, items), -1), near=near)
    side = size + pad
    for n in range(4):
        if cells[n, 0] < 0:
            continue
        assert len(set(cells[n].tolist())) == items and not walls[n, cells[n]].any()
        _, part = joined(walls[n].reshape(side, side) == 0)
        assert len(set(part.ravel()[cells[n]].tolist())) == 1
        if items > 2:
            (y1, x1), (y2, x2) = divmod(int(cells[n, 1]), side), divmod(int(cells[n, 2]), side)
            assert abs(x1 - x2) + abs(y1 - y2) <= radius


def test_items_are_uniform_over_the_free_cells() -> None:
    given_keys, knobs = some_keys(6000), layout("open", 6)
    cells = scatter(draw_walls(given_keys, knobs), given_keys, knobs, np.full((6000, 2), -1))
    for k in range(2):
        counts = np.bincount(cells[:, k], minlength=36).reshape(6, 6)
        assert chisquare(counts[1:-1, 1:-1].ravel()).pvalue > 1e-4 and counts[1:-1, 1:-1].sum() == 6000


def test_an_item_near_another_is_uniform_within_its_radius() -> None:
    given_keys, knobs = some_keys(6000), layout("open", 9)
    fixed = np.full((6000, 3), -1)
    fixed[:, 1] = 4 * 9 + 4
    cells = scatter(draw_walls(given_keys, knobs), given_keys, knobs, fixed, near=[(-1, 0), (-1, 0), (1, 2)])
    free = cells[:, 0] >= 0
    around = [(4 + dy) * 9 + 4 + dx for dy in range(-2, 3) for dx in range(-2, 3) if 0 < abs(dx) + abs(dy) <= 2]
    counts = [int((cells[free, 2] == cell).sum()) for cell in around]
    assert sum(counts) == free.sum() == 6000 and chisquare(counts).pvalue > 1e-4


def test_what_blocks_never_shuts_anything_off() -> None:
    given_keys, knobs = some_keys(500), layout("tree", 9)
    walls = draw_walls(given_keys, knobs)
    cells = scatter(walls, given_keys, knobs, np.full((500, 4), -1), blocking=[False, False, True, True])
    placed = np.flatnonzero(cells[:, 0] >= 0)
    assert 20 < len(placed) < 480
    for n in placed:
        open_cells = walls[n] == 0
        open_cells[cells[n, 2:]] = False
        _, part = joined(open_cells.reshape(9, 9))
        assert part.ravel()[cells[n, 0]] == part.ravel()[cells[n, 1]]


def test_a_random_cell_is_uniform_among_those_allowed_and_none_where_none_is() -> None:
    allowed = np.zeros((4000, 3, 4), bool)
    allowed[:, [0, 1, 2], [3, 0, 2]] = True
    allowed[0] = False
    cells = random_cells(some_keys(4000), allowed)
    assert cells[0] == -1
    counts = [int((cells == cell).sum()) for cell in (3, 4, 10)]
    assert sum(counts) == 3999 and chisquare(counts).pvalue > 1e-4


# --------------------------------------------------------------------------------------------------------------- splits


@pytest.mark.parametrize("id", FAMILIES)
@pytest.mark.parametrize("knobs", [{}, {"layout": "tree", "size": 13}], ids=["default", "many layouts"])
def test_every_level_is_in_exactly_one_split_in_the_right_shares(id: str, knobs: dict[str, Any]) -> None:
    family = FAMILIES[id]
    setting = family.settings("train", **knobs)
    assert Distribution(family, knobs=knobs).holds_out_layouts == (bool(knobs) or id != "coin_dish")
    levels = family.generate(some_keys(8000), setting)
    levels = levels.take(levels.placed)
    member = np.stack([in_split(levels, split, bool(knobs)) for split in SPLITS])
    assert (member.sum(0) == 1).all()
    for share, split in zip(member, ("query", "reference", "train"), strict=True):
        assert binomtest(int(share.sum()), len(levels), {"train": 14}.get(split, 1) / 16).pvalue > 1e-4


@pytest.mark.parametrize("id", FAMILIES)
@pytest.mark.parametrize("knobs", [{}, {"layout": "tree", "size": 13}], ids=["default", "many layouts"])
def test_splits_share_no_level_and_where_there_are_many_no_layout(id: str, knobs: dict[str, Any]) -> None:
    family = FAMILIES[id]
    shift = family.shifts[-1].name
    drawn = {split: Distribution(family, shift, knobs, split).draw(range(150)) for split in SPLITS}
    seen = {split: set(level_hashes(levels, bool(knobs)).tolist()) for split, levels in drawn.items()}
    assert not (seen["query"] & seen["reference"] or seen["query"] & seen["train"] or seen["train"] & seen["reference"])
    if knobs:
        walls = {split: {one.tobytes() for one in levels.walls} for split, levels in drawn.items()}
        assert not (walls["query"] & walls["train"] or walls["query"] & walls["reference"])


def changed_copies(levels: Levels) -> dict[str, Levels]:
    """For every field of a level a copy in which that field alone is different."""
    copies = {}
    for f in fields(Levels):
        copy = levels.take(slice(None))
        getattr(copy, f.name).reshape(1, -1)[0, -1] += 1
        copies[f.name] = copy
    return copies


def test_the_whole_level_hash_covers_everything_but_key_and_deadline() -> None:
    levels = blank(1, (5, 6), events=2, movers=2, script=3, mission=2, counters=1)
    same = level_hashes(levels, False)
    changed = {name for name, copy in changed_copies(levels).items() if (level_hashes(copy, False) != same).all()}
    assert changed == {f.name for f in fields(Levels)} - {"key", "max_steps"}


def test_the_walls_hash_covers_the_walls_alone() -> None:
    levels = blank(2, (5, 6), events=2, movers=2, script=3, mission=2, counters=1)
    same = level_hashes(levels.take([0]), True)
    for name, copy in changed_copies(levels.take([0])).items():
        assert (level_hashes(copy, True) == same).all() == (name != "cells"), name
    levels.cells[1, 2, 2] = levels.cells[1, 0, 0]
    assert len(set(level_hashes(levels, True).tolist())) == 2


def test_an_unknown_split_is_named() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'query'"):
        Distribution(COIN_DISH, split="qerry")


# ------------------------------------------------------------------------------------------------------------- mixtures


@pytest.mark.parametrize("id", FAMILIES)
@pytest.mark.parametrize("alpha", [0.01, 0.25, 0.9])
def test_a_mixture_holds_its_share_of_the_other_shift(id: str, alpha: float) -> None:
    family = FAMILIES[id]
    shift = family.shifts[-1].name
    n = 2000
    mixed = Distribution(family, alpha=alpha, alpha_shift=shift, seed=1).draw(range(n))
    base = Distribution(family, seed=1).draw(range(n))
    other = Distribution(family, shift, seed=1).draw(range(n))
    is_base, is_other = mixed.equal(base), mixed.equal(other)
    assert (is_base ^ is_other).all()
    assert binomtest(int(is_other.sum()), n, alpha).pvalue > 1e-4


def test_a_larger_share_holds_the_levels_of_a_smaller_one() -> None:
    chosen = []
    for alpha in (0.1, 0.4):
        mixed = Distribution(COIN_DISH, alpha=alpha, alpha_shift="apart").draw(range(500))
        chosen.append(mixed.equal(Distribution(COIN_DISH, "apart").draw(range(500))))
    assert (chosen[1] | ~chosen[0]).all() and chosen[1].sum() > chosen[0].sum()


def test_nothing_and_everything_can_be_mixed_in() -> None:
    base, other = Distribution(COIN_DISH), Distribution(COIN_DISH, "apart")
    none = Distribution(COIN_DISH, alpha=0.0, alpha_shift="apart")
    every = Distribution(COIN_DISH, alpha=1.0, alpha_shift="apart")
    assert same_levels(none.draw(range(50)), base.draw(range(50)))
    assert same_levels(every.draw(range(50)), other.draw(range(50)))


def test_overrides_reach_the_mixed_in_shift_unless_it_sets_them_itself() -> None:
    mixed = Distribution(COIN_DISH, knobs={"size": 7, "radius": 0}, alpha=1.0, alpha_shift="near").draw(range(20))
    assert mixed.canvas == (7, 7)
    assert same_levels(mixed, Distribution(COIN_DISH, "near", {"size": 7}).draw(range(20)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": 1.5, "alpha_shift": "apart"}, "share from 0 to 1, got 1.5"),
        ({"alpha": -0.1, "alpha_shift": "apart"}, "share from 0 to 1"),
        ({"alpha": float("nan"), "alpha_shift": "apart"}, "share from 0 to 1"),
        ({"alpha": 0.1}, "needs alpha_shift"),
    ],
)
def test_impossible_mixtures_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(KnobError, match=message):
        Distribution(COIN_DISH, **options)


def test_drawing_no_levels_gives_none() -> None:
    for distribution in (
        Distribution(COIN_DISH),
        Distribution(COIN_CORNER, "off_corner", split="query"),
        Distribution(COLOUR_SHAPE, alpha=0.5, alpha_shift="apart"),
    ):
        assert len(distribution.draw([])) == 0


# ---------------------------------------------------------------------------------------------------- streams of levels


def played(batch: int, **options: Any) -> dict[int, list[int]]:
    """Environment -> the level indices that it plays, one episode a step."""
    levels = LevelStream(Distribution(COIN_DISH, knobs={"max_steps": 1}), batch, **options)
    levels.reset()
    indices: dict[int, list[int]] = {b: [] for b in range(batch)}
    for _ in range(30):
        for b, index in enumerate(levels.engine.snapshot().key[:, 1].tolist()):
            indices[b].append(index)
        levels.step(np.zeros(batch, int))
    return indices


@pytest.mark.parametrize("batch", [1, 3])
def test_a_stream_plays_the_levels_that_its_numbers_say(batch: int) -> None:
    for num_levels, first_level in ((0, 0), (0, 100), (10, 0), (7, 50), (1, 3)):
        for b, indices in played(batch, num_levels=num_levels, first_level=first_level).items():
            serial = np.arange(30) * batch + b
            want = first_level + (serial % num_levels if num_levels else serial)
            assert indices == want.tolist()


def test_the_number_of_levels_changes_which_are_played_and_not_what_they_are() -> None:
    distribution = Distribution(COIN_DISH)
    few = LevelStream(distribution, 4, num_levels=4)
    many = LevelStream(distribution, 4, num_levels=0)
    assert (few.reset() == many.reset()).all()
    assert same_levels(few.engine.snapshot(), distribution.draw(range(4)))


# ---------------------------------------------------------------------------------------------- queries, and none found


@pytest.mark.parametrize(("id", "shift"), SHIFTED)
@pytest.mark.parametrize("kind", ["open", "blocks", "tree"])
def test_query_levels_are_conflicts_with_their_deadline(id: str, shift: str, kind: str) -> None:
    distribution = Distribution(FAMILIES[id], shift, {"layout": kind}, "query")
    levels = distribution.draw(range(40))
    validate(levels)
    far = start_distances(FAMILIES[id], levels, distribution.goals)
    assert conflict(FAMILIES[id], levels, distribution.goals).all() and (far >= 3).all()
    assert (levels.max_steps == 2 * far.max(1) + 2).all()


def test_an_impossible_distribution_says_which_check_refused_how_often() -> None:
    nothing = Distribution(COIN_CORNER, "off_corner", {"coin_absent": 1.0}, "query")
    with pytest.raises(SamplingError) as error:
        nothing.draw(range(4096))  # found out on one of them, at little cost
    message = str(error.value)
    assert message.startswith("No query level of coin_corner under off_corner in ") and " 1 of 1 levels: " in message
    assert "placement refused " in message and "split refused " in message
    assert int(message.split("conflict refused ")[1].strip(".")) > 100


def test_an_impossible_placement_is_reported_as_one() -> None:
    nowhere = Distribution(COIN_CORNER, "off_corner", {"coin_near": 500})
    with pytest.raises(SamplingError, match="split refused 0"):
        nowhere.draw(range(4))


def test_one_impossible_level_does_not_hide_behind_many_easy_ones() -> None:
    def propose(rows: NDArray[np.int64], _: Keys) -> Levels:
        levels = blank(len(rows), (5, 5))
        levels.max_steps[:] = rows + 1
        return levels

    checks = {"even": on_picked(lambda levels: np.asarray(levels.max_steps != 8))}
    with pytest.raises(SamplingError, match="No odd level in [0-9]+ draws for 1 of 100 levels: .*even refused [0-9]+"):
        redraw(propose, checks, some_keys(100), "odd level")


# ---------------------------------------------------------------------------------------------------------------- twins

CHANGES: dict[tuple[str, str], tuple[str, ...]] = {
    ("coin_corner", "coin"): ("coin", "hidden coin"),
    ("coin_corner", "mark"): ("mark", "hidden mark", "stop", "corner"),
    ("coin_dish", "coin"): ("coin", "hidden coin"),
    ("coin_dish", "dish"): ("dish", "hidden dish", "stop"),
    ("colour_shape", "shape"): ("ball", "box", "red", "blue", "pays", "stop"),
    ("colour_shape", "colour"): ("ball", "box", "red", "blue", "pays", "stop"),
}
TWINS = [(id, shift.name, factor) for id, f in FAMILIES.items() for shift in f.shifts for factor in f.factors]


def differing(a: Levels, b: Levels) -> set[str]:
    """The fields in which any level of the one differs from the other's."""
    return {f.name for f in fields(Levels) if not np.array_equal(getattr(a, f.name), getattr(b, f.name))}


@pytest.mark.parametrize(("id", "shift", "factor"), TWINS)
def test_a_twin_differs_from_its_level_in_exactly_one_factor(id: str, shift: str, factor: str) -> None:
    family = FAMILIES[id]
    distribution = Distribution(family, shift, split="train" if shift == "train" else "query")
    levels = distribution.draw(range(60))
    twins = draw_twins(distribution, levels, factor)
    validate(twins)
    assert not twins.equal(levels).any()
    assert differing(levels, twins) == {"agent" if factor == "agent" else "marks"}  # so key and deadline stay
    if factor == "agent":
        assert (levels.agent[:, 2:] == twins.agent[:, 2:]).all()
    else:
        changed = int(np.bitwise_or.reduce(levels.marks ^ twins.marks, axis=None))
        assert changed & ~family.world.mask(CHANGES[id, factor]) == 0
        for bit in (1 << k for k in range(16)):  # nothing is lost and nothing added
            assert ((levels.marks & bit != 0).sum((1, 2)) == (twins.marks & bit != 0).sum((1, 2))).all()
    assert (start_distances(family, twins, distribution.goals) >= 0).all()


# Where a factor has only few places to go to, not every level has a strict twin.
FREE = [t for t in TWINS if t[1] in ("off_corner", "apart")] + [("coin_corner", "other_corner", "agent")]


@pytest.mark.parametrize(("id", "shift", "factor"), FREE)
def test_a_strict_twin_is_a_conflict_level_too(id: str, shift: str, factor: str) -> None:
    distribution = Distribution(FAMILIES[id], shift, {"layout": "open", "size": 13}, "query")
    levels = distribution.draw(range(20))
    twins = draw_twins(distribution, levels, factor, strict=True)
    assert conflict(FAMILIES[id], twins, distribution.goals).all() and not twins.equal(levels).any()


@pytest.mark.parametrize("factor", COIN_CORNER.factors)
@pytest.mark.parametrize("region", [1, 3])
def test_a_twin_of_coin_corner_is_legal_under_its_own_setting(factor: str, region: int) -> None:
    distribution = Distribution(COIN_CORNER, "off_corner_near", {"region": region, "layout": "open"}, "query")
    levels = distribution.draw(range(100))
    twins = draw_twins(distribution, levels, factor)
    mark, coin = COIN_CORNER.world.bit("mark"), COIN_CORNER.world.bit("coin")
    for each in (levels, twins):
        for n in range(100):
            coins, marks = np.argwhere(each.marks[n] & coin), np.argwhere(each.marks[n] & mark)
            if factor != "mark" or each is levels:  # a moved mark cannot keep its distance
                assert 4 <= abs(coins[:, None] - marks[None]).sum(2).min() <= 6  # an open room: Manhattan distances
            assert not (set(map(tuple, coins)) & set(map(tuple, marks)))
            x, y = each.agent[n, :2]
            assert each.marks[n, y, x] == 0


@pytest.mark.parametrize("factor", COIN_DISH.factors)
def test_a_twin_of_coin_dish_keeps_within_the_radius(factor: str) -> None:
    distribution = Distribution(COIN_DISH, "near", split="query")
    twins = draw_twins(distribution, distribution.draw(range(100)), factor)
    assert manhattan(COIN_DISH, twins, "coin", "dish").max() <= 3


@pytest.mark.parametrize("factor", COLOUR_SHAPE.factors)
def test_a_twin_of_colour_shape_keeps_within_the_spread(factor: str) -> None:
    distribution = Distribution(COLOUR_SHAPE, "close", split="query")
    twins = draw_twins(distribution, distribution.draw(range(100)), factor)
    assert manhattan(COLOUR_SHAPE, twins, "ball", "red").max() <= 4


def manhattan(family: Family, levels: Levels, a: str, b: str) -> NDArray[np.int64]:
    """`[N]` between the one cell with each mark."""
    places = [np.argwhere(levels.marks & family.world.bit(name))[:, 1:] for name in (a, b)]
    return np.asarray(abs(places[0] - places[1]).sum(1))


def test_agents_have_twins_on_levels_without_a_coin_too() -> None:
    distribution = Distribution(COIN_CORNER, knobs={"coin_absent": 0.5})
    levels = distribution.draw(range(20))
    assert not draw_twins(distribution, levels, "agent").equal(levels).any()


def test_an_unknown_factor_is_named() -> None:
    distribution = Distribution(COIN_DISH)
    with pytest.raises(UnknownNameError, match="Did you mean 'coin'"):
        draw_twins(distribution, distribution.draw(range(2)), "coim")
