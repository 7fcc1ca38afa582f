"""What an agent sees: patched observations equal fresh ones, planes say what they say, hidden things stay hidden."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.envs.worlds import draw, draw_planes, random_levels, random_world, shown_code

from goalscope.envs.ascii import from_ascii
from goalscope.envs.codes import code, minigrid_triple
from goalscope.envs.display import (
    Display,
    Plane,
    Shows,
    colour_blind,
    default_display,
    shadow_table,
    shown_codes,
)
from goalscope.envs.engine import Engine
from goalscope.envs.levels import Levels, blank
from goalscope.envs.world import Mover, Moves, On, Policy, Rule, Then, Thing, World
from goalscope.errors import DeclarationError, UnknownNameError

VIEWS = ("full", "ego", "planes")


def with_values(world: World) -> Display:
    """The world's own display with a value plane for every event and a half-bright one of two things."""
    display = default_display(world)
    extra = [
        Plane(name=f"value {e}", shows=Shows.VALUE, operand=0b101 << 8 | k, level=200)
        for k, e in enumerate(world.events)
    ]
    both = Plane(name="both", shows=Shows.MARKS, operand=0b11, level=128)
    return Display(planes=(*display.planes, both, *extra), alike={})


# ------------------------------------------------------------------------------------------------- patched equals fresh


def follow(engine: Engine, view: str, rng: np.random.Generator, steps: int, storage: bool) -> None:
    """Play at random and compare every observation with a slow drawing of the state; reset in between."""
    height = steps + 1
    stored = rng.integers(0, 256, (height, engine.batch, *engine.obs_shape)).astype(np.uint8) if storage else None
    obs = engine.reset() if stored is None else engine.reset(out=stored[0])
    assert (obs == draw(view, engine)).all()
    for t in range(steps):
        actions = rng.integers(0, engine.world.n_actions, engine.batch)
        pushes = rng.integers(-1, 4, (engine.batch, engine.snapshot().movers.shape[1]))
        step = engine.step(actions, external=pushes, out=None if stored is None else stored[t + 1])
        want = draw(view, engine)
        assert (step.obs == want).all() and (engine.observations == want).all()
        if stored is not None:
            assert np.shares_memory(step.obs, stored[t + 1]) and (stored[t + 1] == want).all()


@pytest.mark.parametrize("storage", [False, True], ids=["in place", "into storage"])
@pytest.mark.parametrize("view", VIEWS)
def test_observations_equal_fresh_ones_after_every_step_of_random_worlds(view: str, storage: bool) -> None:
    rng = np.random.default_rng([VIEWS.index(view), storage])
    for k in range(16):
        world = random_world(rng, moves=Moves(k % 2))
        levels = random_levels(rng, world, 3, (int(rng.integers(4, 8)), int(rng.integers(4, 8))))
        display = with_values(world)
        engine = Engine(levels, world, view, display=display, seed=k, stride=2)
        follow(engine, view, rng, 25, storage)


@pytest.mark.slow
@pytest.mark.parametrize("storage", [False, True], ids=["in place", "into storage"])
@pytest.mark.parametrize("view", VIEWS)
def test_observations_equal_fresh_ones_in_a_great_many_worlds(view: str, storage: bool) -> None:
    rng = np.random.default_rng([7, VIEWS.index(view), storage])
    for k in range(150):
        world = random_world(rng, moves=Moves(k % 2))
        levels = random_levels(rng, world, 4, (int(rng.integers(4, 9)), int(rng.integers(4, 9))))
        follow(Engine(levels, world, view, display=with_values(world), seed=k, stride=3), view, rng, 40, storage)


@pytest.mark.parametrize("view", VIEWS)
def test_storage_and_engine_buffer_can_alternate(view: str) -> None:
    rng = np.random.default_rng(11)
    world = random_world(rng, moves=Moves.TURNING)
    engine = Engine(random_levels(rng, world, 4, (6, 7)), world, view)
    spare = [np.full((4, *engine.obs_shape), 77, np.uint8) for _ in range(2)]
    engine.reset()
    for t in range(40):
        out = (None, spare[0], spare[0], spare[1], None)[t % 5]
        obs = engine.step(rng.integers(0, 7, 4), out=out).obs
        assert (obs == draw(view, engine)).all()


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("autoreset", ["off", "next"])
def test_observations_stay_right_around_the_end_of_an_episode(view: str, autoreset: str) -> None:
    world = World(
        things=(Thing(name="coin", glyph="c", shape="ball", colour="yellow"),),
        rules=(Rule(on=On.ENTER, what="coin", ends=True, then=Then.REMOVE),),
    )
    engine = Engine(
        from_ascii(["######\n#>.c.#\n######"] * 2, world),
        world,
        view,
        autoreset=autoreset,
        starts=np.zeros(2, int),
        stride=0,
    )
    stored = np.full((9, 2, *engine.obs_shape), 9, np.uint8)
    engine.reset(out=stored[0])
    rng = np.random.default_rng(0)
    for t in range(8):
        engine.step(np.array([0, rng.integers(4)]), out=stored[t + 1])
        assert (stored[t + 1] == draw(view, engine)).all(), t


@pytest.mark.parametrize("view", ["full", "planes"])
def test_a_step_that_changes_a_cell_very_often_still_shows_the_other_cells(view: str) -> None:
    coins = tuple(Thing(name=f"coin {k}", glyph="abcdefgh"[k], shape="ball", colour="yellow") for k in range(8))
    rules = [Rule(on=On.ENTER, what=coin.name, then=Then.REMOVE) for coin in coins for _ in range(8)]
    world = World(things=coins, movers=(Mover(kind="ghost", policy=Policy.EXTERNAL, glyph="G"),), rules=tuple(rules))
    levels = from_ascii("#####\n#>.G#\n#####", world)
    levels.marks[0, 1, 2] = 0xFF
    engine = Engine(levels, world, view)
    engine.reset()
    obs = engine.step(np.array([0]), external=np.array([[2]])).obs  # the ghost walks onto the agent
    assert (obs == draw(view, engine)).all()


# ------------------------------------------------------------------------------------------------------ what planes say

COIN = Thing(name="coin", glyph="c", shape="ball", colour="yellow", salience=3, intensity=0.5)
DISH = Thing(name="dish", glyph="d", shape="box", colour="blue")
TRAP = Thing(name="trap", glyph="t")
SCENERY = World(
    moves=Moves.TURNING,
    things=(COIN, DISH, TRAP),
    objects=("locked door red", "key blue"),
    movers=(Mover(kind="ghost", policy=Policy.EXTERNAL, glyph="G"),),
    counters=("purse",),
    rules=(
        Rule(on=On.ENTER, what="coin", event="coin", add=("purse", 100)),
        Rule(on=On.ENTER, what="dish", event="dish", add=("purse", -150)),
    ),
)
SCENE = "value: 0.5 coin\n#######\n#v1c2G#\n#.d3..#\n#######\n1 = locked door red\n2 = key blue\n3 = coin + dish + trap"


def planes_of(world: World, levels: Levels, display: Display | None = None) -> dict[str, list[NDArray[np.uint8]]]:
    """The planes of the first level, by name, all copies."""
    engine = Engine(levels, world, "planes", display=display)
    obs = engine.reset()[0]
    named: dict[str, list[NDArray[np.uint8]]] = {}
    for c, plane in enumerate(engine.display.planes):
        named.setdefault(plane.name, []).append(obs[c])
    return named


def lit(plane: NDArray[np.uint8]) -> dict[tuple[int, int], int]:
    """(x, y) -> byte, where it is not 0."""
    return {(int(x), int(y)): int(plane[y, x]) for y, x in np.argwhere(plane)}


def test_planes_light_walls_marks_objects_movers_each_where_they_are() -> None:
    planes = planes_of(SCENERY, from_ascii(SCENE, SCENERY))
    assert set(lit(planes["walls"][0]).values()) == {255} and len(lit(planes["walls"][0])) == 18
    assert [lit(p) for p in planes["coin"]] == [{(3, 1): 128, (3, 2): 128}] * 3  # half as bright, three copies
    assert [lit(p) for p in planes["dish"]] == [{(2, 2): 255, (3, 2): 255}]
    assert [lit(p) for p in planes["locked door red"]] == [{(2, 1): 255}]
    assert [lit(p) for p in planes["key blue"]] == [{(4, 1): 255}]
    assert [lit(p) for p in planes["ghost"]] == [{(5, 1): 255}]
    assert [lit(p) for p in planes["purse"]] == [{}]
    assert "trap" not in planes


def test_a_turning_agent_has_one_plane_a_heading_and_a_cardinal_one_plane() -> None:
    planes = planes_of(SCENERY, from_ascii(SCENE, SCENERY))
    assert [lit(p) for p in planes["agent"]] == [{}, {(1, 1): 255}, {}, {}]
    cardinal = World(things=(DISH,))
    assert [lit(p) for p in planes_of(cardinal, from_ascii("####\n#v.#\n####", cardinal))["agent"]] == [{(1, 1): 255}]


def test_a_counter_fills_its_plane_and_stays_within_a_byte() -> None:
    engine = Engine(from_ascii("######\n#>ccc#\n######", SCENERY), SCENERY, "planes")
    purse = [p.name for p in engine.display.planes].index("purse")
    engine.reset()
    seen = [np.unique(engine.step(np.array([2])).obs[0, purse]).tolist() for _ in range(4)]
    assert seen == [[100], [200], [255], [255]]
    engine = Engine(from_ascii("#####\n#>dc#\n#####", SCENERY), SCENERY, "planes")
    engine.reset()
    assert np.unique(engine.step(np.array([2])).obs[0, purse]).tolist() == [0]  # below nothing


@pytest.mark.parametrize(("value", "byte"), [(0.0, 0), (0.25, 64), (0.5, 128), (1.0, 255), (7.0, 255), (-2.0, 0)])
def test_a_value_plane_shows_the_levels_value_where_the_marks_lie(value: float, byte: int) -> None:
    levels = from_ascii(SCENE, SCENERY)
    levels.value[0, 0] = value
    plane = Plane(name="worth", shows=Shows.VALUE, operand=SCENERY.bit("coin") << 8 | 0)
    shown = planes_of(SCENERY, levels, Display(planes=(plane,), alike={}))["worth"][0]
    assert lit(shown) == ({(3, 1): byte, (3, 2): byte} if byte else {})


@pytest.mark.parametrize(("intensity", "byte"), [(0.0, 0), (0.2, 51), (0.5, 128), (1.0, 255)])
def test_intensity_sets_the_brightness_of_a_plane(intensity: float, byte: int) -> None:
    world = World(things=(replace(COIN, intensity=intensity, salience=1),))
    shown = planes_of(world, from_ascii("####\n#>c#\n####", world))["coin"][0]
    assert int(shown[1, 2]) == byte


def test_salience_and_intensity_can_come_from_knobs() -> None:
    world = World(things=(replace(COIN, salience="copies", intensity="light"),))
    display = default_display(world, {"copies": 4, "light": 0.2})
    assert [p.level for p in display.planes if p.name == "coin"] == [51] * 4


def test_a_knob_that_is_missing_or_no_number_is_named() -> None:
    world = World(things=(replace(COIN, salience="copies"),))
    for settings in ({}, {"copies": "many"}):
        with pytest.raises(DeclarationError, match="'copies'"):
            default_display(world, settings)


def test_things_of_one_name_order_make_the_same_planes_every_time() -> None:
    assert default_display(SCENERY) == default_display(SCENERY)
    names = [p.name for p in default_display(SCENERY).planes]
    agents = ["agent"] * 4
    assert names == ["walls", *agents, "coin", "coin", "coin", "dish", "locked door red", "key blue", "ghost", "purse"]


# ------------------------------------------------------------------------------------------------------------- priority


def looks(*things: Thing) -> int:
    """What a cell with all these things looks like."""
    world = World(things=things)
    return int(shown_codes(world, default_display(world))[(1 << len(things)) - 1])


def test_shape_and_colour_come_separately_from_the_highest_priority() -> None:
    ball = Thing(name="ball", glyph="a", shape="ball", priority=1)
    red = Thing(name="red", glyph="b", colour="red", priority=3)
    blue_box = Thing(name="blue box", glyph="d", shape="box", colour="blue", priority=2)
    assert looks(ball, red) == code("ball", "red")
    assert looks(ball, red, blue_box) == code("box", "red")
    assert looks(ball, replace(red, priority=0), blue_box) == code("box", "blue")
    assert looks(replace(ball, priority=9), replace(red, priority=0), blue_box) == code("ball", "blue")


def test_a_colour_alone_is_a_floor_and_nothing_to_see_is_the_object_below() -> None:
    red = Thing(name="red", glyph="b", colour="red")
    assert looks(red) == code("floor", "red") and looks(TRAP) == 0
    world = World(things=(TRAP,))
    level = from_ascii("####\n#>1#\n####\n1 = key blue + trap", world)
    assert Engine(level, world).reset()[0, 2, 1].tolist() == list(minigrid_triple(code("key", "blue")))


def test_the_first_of_equal_priorities_is_seen() -> None:
    ball = Thing(name="ball", glyph="a", shape="ball", colour="red")
    box = Thing(name="box", glyph="b", shape="box", colour="blue")
    assert looks(ball, box) == code("ball", "red") and looks(box, ball) == code("box", "blue")


def test_the_look_of_every_combination_of_marks_is_the_one_of_its_things() -> None:
    rng = np.random.default_rng(2)
    for _ in range(20):
        world = random_world(rng, moves=Moves.CARDINAL)
        display = default_display(world)
        table = shown_codes(world, display)
        n = 1 << len(world.things)
        assert table[:n].tolist() == [shown_code(world, display, marks) for marks in range(n)]


# -------------------------------------------------------------------------------------------------------- hidden things


@pytest.mark.parametrize("view", VIEWS)
def test_what_is_hidden_shows_in_no_view(view: str) -> None:
    with_traps = from_ascii("######\n#>tct#\n#t..1#\n######\n1 = dish + trap", SCENERY)
    without = with_traps.take([0])
    without.marks[:] &= np.uint16(~SCENERY.bit("trap") & 0xFFFF)
    assert not with_traps.equal(without).any()
    engines = [Engine(levels, SCENERY, view) for levels in (with_traps, without)]
    assert (engines[0].reset() == engines[1].reset()).all()
    rng = np.random.default_rng(0)
    for _ in range(40):
        action = rng.integers(0, 7, 1)
        a, b = (engine.step(action).obs for engine in engines)
        assert (a == b).all()


# ----------------------------------------------------------------------------------------------------- colour-blindness

CUP = Thing(name="cup", glyph="u", shape="key", colour="green", priority=5)
RULES = (
    Rule(on=On.ENTER, what="coin", event="coin", reward=1.0, ends=True),
    Rule(on=On.ENTER, what="dish", event="dish", reward=-1.0),
)


def confused(things: tuple[Thing, ...], *names: str) -> tuple[World, Display]:
    world = World(things=things, rules=RULES)
    return world, colour_blind(world, default_display(world), *names)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("coin", [COIN, replace(COIN, priority=9)], ids=["equal priorities", "unequal priorities"])
def test_confused_things_cannot_be_told_apart_wherever_they_lie(view: str, coin: Thing) -> None:
    world, display = confused((coin, DISH, CUP), "coin", "dish")
    for other in (0, world.bit("cup")):
        levels = blank(2, (5, 5), events=2)
        levels.marks[0, 2, 2] = world.bit("coin") | other
        levels.marks[1, 2, 2] = world.bit("dish") | other
        a, b = Engine(levels, world, view, display=display).reset()
        assert (a == b).all()


@pytest.mark.parametrize("view", VIEWS)
def test_the_normal_sighted_tell_them_apart(view: str) -> None:
    world, _ = confused((COIN, DISH, CUP), "coin", "dish")
    levels = blank(2, (5, 5), events=2)
    levels.marks[0, 2, 2], levels.marks[1, 2, 2] = world.bit("coin"), world.bit("dish")
    a, b = Engine(levels, world, view).reset()
    assert not (a == b).all()


@pytest.mark.parametrize("view", VIEWS)
def test_colour_blindness_joins_with_an_earlier_one(view: str) -> None:
    world, display = confused((COIN, DISH, CUP), "coin", "dish")
    for order in (("dish", "cup"), ("cup", "dish")):
        both = colour_blind(world, display, *order)
        levels = blank(3, (5, 5), events=2)
        levels.marks[[0, 1, 2], 2, 2] = [world.bit(name) for name in ("coin", "dish", "cup")]
        a, b, c = Engine(levels, world, view, display=both).reset()
        assert (b == c).all() and (a == b).all()


def test_colour_blind_value_planes_show_both_things() -> None:
    world, _ = confused((COIN, DISH), "coin", "dish")
    values = [Plane(name=n, shows=Shows.VALUE, operand=world.bit(n) << 8 | k) for k, n in enumerate(("coin", "dish"))]
    display = colour_blind(world, Display(planes=tuple(values), alike={}), "coin", "dish")
    levels = blank(2, (5, 5), events=2)
    levels.marks[[0, 1], 2, 2] = [world.bit("coin"), world.bit("dish")]
    a, b = Engine(levels, world, "planes", display=display).reset()
    assert (a == b).all()


def test_colour_blindness_leaves_the_rules_alone() -> None:
    world, display = confused((COIN, DISH), "coin", "dish")
    for look in (display, None):
        engine = Engine(from_ascii("#####\n#>dc#\n#####", world), world, display=look, autoreset="off")
        engine.reset()
        steps = [engine.step(np.array([0])) for _ in range(1)]
        assert steps[0].reward[0] == -1
        assert engine.step(np.array([0])).reward[0] == 1 and engine.counts.tolist() == [[1, 1]]


def test_colour_blindness_keeps_salience_and_brightness_of_each_plane() -> None:
    _, display = confused((COIN, DISH), "coin", "dish")
    assert [(p.name, p.level) for p in display.planes[2:]] == [("coin", 128)] * 3 + [("dish", 255)]


def test_an_unknown_thing_cannot_be_confused() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'coin'"):
        confused((COIN, DISH), "coins", "dish")


# ------------------------------------------------------------------------------------------------------- shadow casting


def test_the_shadow_table_is_minigrids_process_vis_row_by_row() -> None:
    table = shadow_table()
    assert table.shape == (128 * 128,)
    for lit_bits, clear_bits in product(range(128), range(128)):
        row, beyond = [lit_bits >> i & 1 for i in range(7)], [0] * 7
        for i in range(6):  # MiniGrid: light goes right, and with it one row on
            if row[i] and clear_bits >> i & 1:
                row[i + 1] = beyond[i + 1] = beyond[i] = 1
        for i in reversed(range(1, 7)):
            if row[i] and clear_bits >> i & 1:
                row[i - 1] = beyond[i - 1] = beyond[i] = 1
        want = sum(bit << i for i, bit in enumerate(row)) | sum(bit << 7 + i for i, bit in enumerate(beyond))
        assert table[lit_bits << 7 | clear_bits] == want


def test_the_view_is_empty_beyond_a_wall_and_full_where_the_world_is_transparent() -> None:
    text = "#########\n#.......#\n#.......#\n#########\n#...^...#\n#########"
    for see_through in (False, True):
        world = World(moves=Moves.TURNING, things=(DISH,), see_through=see_through)
        obs = Engine(from_ascii(text, world), world, "ego").reset()[0]
        assert obs[3, 5].tolist() == [2, 5, 0]
        assert (obs[:, 4].any() != 0) == see_through


def options(world: World) -> list[dict[str, Any]]:
    return [{"view": view, "display": with_values(world)} for view in VIEWS]


def test_a_first_observation_is_the_drawing_of_its_level() -> None:
    rng = np.random.default_rng(4)
    for _ in range(10):
        world = random_world(rng, moves=Moves.TURNING)
        levels = random_levels(rng, world, 5, (7, 6))
        for each in options(world):
            engine = Engine(levels, world, **each)
            assert (engine.reset() == draw(each["view"], engine)).all()
    zero = draw_planes(default_display(SCENERY), from_ascii(SCENE, SCENERY), 0, [0])
    assert zero.shape == (13, 4, 7)
