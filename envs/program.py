"""Turning a declared world and its levels into the tables that the kernels read."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goalscope.envs.codes import code
from goalscope.envs.display import Display, Shows
from goalscope.envs.kernels.columns import (
    CONFIG,
    EGO_SIDE,
    EVENTS,
    EVERY_STEP,
    HEIGHT,
    REWRITE,
    RULE,
    SEE_THROUGH,
    START_QUOTA,
    TURNING,
    VIEW,
    WIDTH,
    Pool,
    Program,
)
from goalscope.envs.levels import Levels
from goalscope.envs.world import Moves, On, Rule, World
from goalscope.errors import LevelError, unknown_name

VIEWS = ("full", "ego", "planes")


def view_index(view: str) -> int:
    """The kernel's number of a view."""
    if view not in VIEWS:
        raise unknown_name("view", view, VIEWS)
    return VIEWS.index(view)


def observation_shape(view: str, canvas: tuple[int, int], display: Display) -> tuple[int, ...]:
    """The shape of one observation; the full grid has MiniGrid's own axes (x first)."""
    height, width = canvas
    shapes = ((width, height, 3), (EGO_SIDE, EGO_SIDE, 3), (len(display.planes), height, width))
    return shapes[view_index(view)]


def _rule_row(world: World, rule: Rule) -> list[int]:
    if rule.on is On.MEET:
        kinds = [m.kind for m in world.movers]
        mask = sum(1 << kinds.index(name) for name in rule.names)
    elif rule.on is On.QUOTA:
        mask = sum(1 << world.event_index(name) for name in rule.names)
    else:
        mask = world.mask(rule.names)
    need = rule.need or ("", 0, 0)
    add = rule.add or ("", 0)
    counter = {name: i for i, name in enumerate(world.counters)}
    event = world.event_index(rule.event) if rule.event else -1
    low_high = [counter.get(need[0], -1), need[1], need[2]]
    return [rule.on, mask, event, int(rule.ends), *low_high, counter.get(add[0], -1), add[1], rule.then]


def _spawn_table(world: World) -> NDArray[np.float64]:
    longest = max((len(s.p) for s in world.spawns), default=1)
    rows = [list(s.p) + [s.p[-1]] * (longest - len(s.p)) for s in world.spawns]
    return np.array(rows, np.float64).reshape(len(world.spawns), longest)


def make_program(world: World, canvas: tuple[int, int], view: str, display: Display) -> Program:
    """A world's tables for one canvas and view; the engine fills in how it resets."""
    config = np.zeros(CONFIG, np.int32)
    config[HEIGHT], config[WIDTH] = canvas
    config[TURNING] = world.moves is Moves.TURNING
    config[EVENTS] = len(world.events)
    config[VIEW] = view_index(view)
    config[SEE_THROUGH] = world.see_through
    # A counter's plane changes everywhere at once, so patching cells would not do.
    config[REWRITE] = any(p.shows is Shows.COUNTER for p in display.planes)
    config[EVERY_STEP] = any(r.on in (On.STEP, On.QUOTA) for r in world.rules)
    kinds = [(m.policy, code(m.shape, m.colour)) for m in world.movers]
    numbers = [(m.temperature, m.p_double, m.p_reliable) for m in world.movers]
    return Program(
        config=config,
        rules=np.array([_rule_row(world, r) for r in world.rules], np.int32).reshape(-1, RULE),
        pays=np.array([(r.reward, r.decay) for r in world.rules], np.float64).reshape(-1, 2),
        kinds=np.array(kinds, np.int32).reshape(-1, 2),
        kind_numbers=np.array(numbers, np.float64).reshape(-1, 3),
        spawns=np.array([(world.bit(s.thing), s.where) for s in world.spawns], np.int32).reshape(-1, 2),
        spawn_p=_spawn_table(world),
    )


def _check_words(levels: Levels, display: Display) -> None:
    """Raise a :class:`LevelError` if a plane shows a word that missions do not have: kernels would read beyond them."""
    words = levels.mission.shape[1]
    for plane in display.planes:
        if plane.shows is Shows.WORD and plane.operand >> 8 >= words:
            raise LevelError(
                f"Plane {plane.name!r} shows word {plane.operand >> 8} of the mission, but the levels' missions have "
                f"{words} words: lay_out(mission=…) makes room for them."
            )


def make_pool(levels: Levels, world: World, display: Display | None = None) -> Pool:
    """Levels packed for the kernels, checked against the world they will run in, and how they will be seen."""
    if len(levels) == 0:
        raise LevelError("An engine needs at least one level.")
    _check_fit(levels, world)
    if display is not None:
        _check_words(levels, display)
    n, (height, width) = len(levels), levels.canvas
    packed = levels.cells.astype(np.uint32)
    packed |= levels.contents.astype(np.uint32) << np.uint32(8)
    packed |= levels.marks.astype(np.uint32) << np.uint32(16)
    events, counters = len(world.events), len(world.counters)
    start = np.zeros((n, START_QUOTA + events + counters + levels.mission.shape[1]), np.int32)
    start[:, :4] = levels.agent
    start[:, 4] = levels.carried_contents
    start[:, 5] = levels.max_steps
    start[:, START_QUOTA : START_QUOTA + events] = levels.quota
    if levels.counters.shape[1]:
        start[:, START_QUOTA + events : START_QUOTA + events + counters] = levels.counters
    start[:, START_QUOTA + events + counters :] = levels.mission
    return Pool(
        world=packed.reshape(n, height * width),
        start=start,
        value=np.ascontiguousarray(levels.value),
        movers=np.ascontiguousarray(levels.movers),
        scripts=np.ascontiguousarray(levels.scripts),
    )


def _check_fit(levels: Levels, world: World) -> None:
    events = len(world.events)
    if levels.value.shape[1] != events or levels.quota.shape[1] != events:
        raise LevelError(
            f"The world has {events} events ({', '.join(world.events) or 'none'}), but the levels hold values for "
            f"{levels.value.shape[1]} and quotas for {levels.quota.shape[1]}: make them with blank(events={events})."
        )
    if levels.counters.shape[1] not in (0, len(world.counters)):
        raise LevelError(
            f"The world has {len(world.counters)} counters, but the levels hold {levels.counters.shape[1]}: make them "
            f"with blank(counters={len(world.counters)}), or without any where all begin with 0."
        )
    if not levels.placed.all():
        raise LevelError(f"Level {int(np.argmin(levels.placed))} was never placed: its agent has x = -1.")
    unknown = ~np.uint16((1 << len(world.things)) - 1)
    if (levels.marks & unknown).any():
        raise LevelError(f"The levels hold mark bits beyond the world's {len(world.things)} things.")
    kinds = levels.movers[..., 2]
    if kinds.size and (kinds.min() < 0 or kinds.max() >= len(world.movers)):
        raise LevelError(f"The levels hold movers of kinds beyond the world's {len(world.movers)}.")
