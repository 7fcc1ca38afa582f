"""Pursuers: exact shortest paths to every goal, and what they say about a level (conflict, coincidence, margin)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from goalscope.envs.codes import GOAL, LAVA
from goalscope.envs.display import code_properties
from goalscope.envs.family import Family, Goal, Settings
from goalscope.envs.kernels.columns import WALKABLE
from goalscope.envs.kernels.paths import cell_distances, heading_distances
from goalscope.envs.levels import Levels, flat
from goalscope.envs.world import Moves, On, World
from goalscope.errors import DeclarationError, UnsupportedError

NEVER = np.iinfo(np.int16).max

NEAREST_GOAL = 3
"""Every goal of a conflict level is at least this many steps from the start."""

Distances = NDArray[np.int16]
Mask = NDArray[np.bool_]

STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))
"""(row, column) offsets of right, down, left, up."""


def blocked_cells(levels: Levels) -> Mask:
    """`[N, H, W]` where the agent cannot walk: walls, shut doors, objects."""
    return np.asarray(code_properties()[levels.cells] & WALKABLE == 0)


def ending_cells(world: World, levels: Levels) -> Mask:
    """`[N, H, W]` where an episode ends: MiniGrid's lava and goal, and marks whose ENTER rules end it."""
    return np.isin(levels.cells & 15, (LAVA, GOAL)) | has_marks(levels, world.ending_mask())


def has_marks(levels: Levels, mask: int) -> Mask:
    """`[N, H, W]` where a cell holds any of the mark bits."""
    return np.asarray(levels.marks & np.uint16(mask) != 0)


def search(world: World, blocked: Mask, target: Mask) -> Distances:
    """Steps to the nearest target: `[N, D, H, W]`, D = 1 for cardinal moves and 4 headings where the agent turns."""
    n, height, width = blocked.shape
    headings = world.headings
    walls = np.ascontiguousarray(flat(blocked)).view(np.uint8)
    goals = np.ascontiguousarray(flat(target)).view(np.uint8)
    table = np.empty((n, headings, height * width), np.int16)
    if headings == 1:
        cell_distances(walls, goals, width, table[:, 0])
    else:
        heading_distances(walls, goals, width, table)
    return table.reshape(n, headings, height, width)


def targets(family: Family, goal: Goal, levels: Levels) -> Mask:
    """`[N, H, W]` the cells whose marks count the goal's event: on entering them or, where blocked, on bumping."""
    enter, bump = (family.world.trigger_mask(goal.event, on) for on in (On.ENTER, On.BUMP))
    if not enter | bump:
        raise DeclarationError(
            f"Goal {goal.name!r}: no ENTER or BUMP rule counts its event {goal.event!r}; declare a pursuer."
        )
    blocked = blocked_cells(levels)
    return np.asarray(has_marks(levels, enter) & ~blocked | has_marks(levels, bump) & blocked)


def distances(family: Family, goal: Goal, levels: Levels) -> Distances:
    """Steps of the goal's pursuer from every cell, `[N, D, H, W]`, −1 where the goal is out of reach.

    The pursuer walks around whatever ends the episode without counting its own event. D is 1; 4 where the agent turns,
    a layer a heading; 2 where the event needs a counter: first for an agent that has what the level begins with, then
    for one that has enough.
    """
    if goal.pursuer is not None:
        return goal.pursuer(levels)
    return _distances(family, goal, levels, np.zeros(levels.cells.shape, bool))


def _distances(family: Family, goal: Goal, levels: Levels, avoid: Mask) -> Distances:
    """As :func:`distances`, by search, never over the cells to `avoid`."""
    target = targets(family, goal, levels) & ~avoid
    blocked = (blocked_cells(levels) | ending_cells(family.world, levels) | avoid) & ~target
    table = search(family.world, blocked, target)
    if not is_needy(family.world, goal):
        return table
    return _with_need(family.world, levels, table, blocked)


def is_needy(world: World, goal: Goal) -> bool:
    """Whether a goal's event counts only while a counter is large enough."""
    return any(r.on is On.ENTER and r.event == goal.event and r.need is not None for r in world.rules)


def _with_need(world: World, levels: Levels, enough: Distances, blocked: Mask) -> Distances:
    """`[N, 2, H, W]` two layers: for an agent that may still have to fetch what the event needs, and `enough`.

    Where a level begins with enough both are the same. On a cell that gives what is needed the layers agree: whoever
    has come there has it.
    """
    if world.moves is not Moves.CARDINAL or world.need is None:
        raise UnsupportedError("An event that needs a counter has an exact pursuer in worlds with cardinal moves only.")
    given = has_marks(levels, giving_mask(world)) & ~blocked
    begun = begins_with_enough(world, levels)
    fetch = np.where(begun[:, None, None] | given, enough[:, 0], np.int16(-1))
    free = ~blocked & ~given & ~begun[:, None, None]
    while True:  # one step further out in each round, until nothing gets nearer
        near = np.full(fetch.shape, NEVER, np.int16)
        for dy, dx in STEPS:
            ahead = np.roll(fetch, (-dy, -dx), axis=(1, 2))
            near = np.where(ahead >= 0, np.minimum(near, ahead), near)
        nearer = free & (near < NEVER) & ((fetch < 0) | (near + 1 < fetch))
        if not nearer.any():
            return np.stack([fetch, enough[:, 0]], axis=1)
        fetch = np.where(nearer, near + 1, fetch).astype(np.int16)


def begins_with_enough(world: World, levels: Levels) -> NDArray[np.bool_]:
    """`[N]` whether the agent begins with what some event needs."""
    if world.need is None or not levels.counters.shape[1]:
        return np.full(len(levels), world.need is None)
    counter, least = world.need
    return np.asarray(levels.counters[:, counter] >= least)


def giving_mask(world: World) -> int:
    """The marks that give, when entered, what some event needs."""
    counter = world.counters[world.need[0]] if world.need else ""
    adding = [r for r in world.rules if r.on is On.ENTER and r.add is not None]
    return world.mask(n for r in adding if r.add and r.add[0] == counter and r.add[1] > 0 for n in r.names)


def at_start(levels: Levels, table: Distances) -> NDArray[np.int16]:
    """`[N]` the entry of a distance table at the agent's start."""
    x, y, heading, _ = levels.agent.T
    return np.asarray(table[np.arange(len(levels)), heading if table.shape[1] == 4 else 0, y, x])


def start_distances(family: Family, levels: Levels, goals: Sequence[Goal]) -> NDArray[np.int16]:
    """`[N, K]` each pursuer's steps from the start, −1 where its goal is out of reach."""
    return np.stack([at_start(levels, distances(family, g, levels)) for g in goals], axis=1)


def solvable(family: Family, levels: Levels, goals: Sequence[Goal]) -> NDArray[np.bool_]:
    """`[N]` whether every goal can be reached within the deadline."""
    far = start_distances(family, levels, goals)
    return np.asarray(((far >= 0) & (far <= levels.max_steps[:, None])).all(1))


def _can_miss(family: Family, levels: Levels, goal: Goal, other: Goal) -> NDArray[np.bool_]:
    """`[N]` whether some shortest path of the goal's pursuer never enters a cell that triggers `other`.

    That is so if and only if the distance stays the same when all those cells are walled off (the start, where the
    agent stands without having entered, excepted).
    """
    trigger = targets(family, other, levels) & ~levels.agent_cells
    around = at_start(levels, _distances(family, goal, levels, trigger))
    return np.asarray(around == at_start(levels, distances(family, goal, levels)))


def _may_meet(family: Family, levels: Levels, goals: Sequence[Goal], goal: Goal) -> NDArray[np.bool_]:
    """`[N]` whether some shortest path to `goal` enters a cell that triggers another of the goals.

    Here a path may lead over another goal even where that would end the episode: it is then what lies in the way. Only
    the pursuers of a family with choice points walk around it.
    """
    target = targets(family, goal, levels)
    others = np.zeros(target.shape, bool)
    for other in goals:
        if other is not goal:
            others |= targets(family, other, levels)
    if family.choice:
        table = distances(family, goal, levels)
    else:
        ending = ending_cells(family.world, levels) & ~others
        table = search(family.world, (blocked_cells(levels) | ending) & ~target, target)
    return np.asarray((on_shortest_path(levels, table) & others).any((1, 2)))


def on_shortest_path(levels: Levels, table: Distances) -> Mask:
    """`[N, H, W]` the cells that any shortest path from the start to where `table` is 0 enters, not the start."""
    n = len(levels)
    reached = np.zeros(table.shape, bool)
    x, y, heading, _ = levels.agent.T
    reached[np.arange(n), heading if table.shape[1] == 4 else 0, y, x] = at_start(levels, table) >= 0
    for left in range(int(at_start(levels, table).max(initial=0)), 0, -1):
        front = reached & (table == left)
        for d, (dy, dx) in enumerate(STEPS):
            moving = front[:, d] if table.shape[1] == 4 else front[:, 0]
            ahead = np.roll(moving, (dy, dx), axis=(1, 2))
            layer = d if table.shape[1] == 4 else 0
            reached[:, layer] |= ahead & (table[:, layer] == left - 1)
            if table.shape[1] == 4:
                for turn in (1, 3):
                    other = (d + turn) & 3
                    reached[:, other] |= moving & (table[:, other] == left - 1)
    entered = np.asarray(reached.any(1))
    entered[np.arange(n), y, x] = False
    return entered


def conflict(family: Family, levels: Levels, goals: Sequence[Goal]) -> NDArray[np.bool_]:
    """`[N]` strict conflict levels (design §2): every goal reachable and at least 3 steps away, and no shortest path to
    one goal meets the trigger of another. The deadline is a level's own; see :func:`conflict_deadline`.

    In a family with choice points the paths are those of the pursuers, who walk around what ends the episode. Where an
    event needs something, the agent has it from the start: there is nothing to fetch first.
    """
    far = start_distances(family, levels, goals)
    good = np.asarray((far >= NEAREST_GOAL).all(1))
    if any(is_needy(family.world, goal) for goal in goals):
        if family.choice:
            raise UnsupportedError(f"{family.id}: choice points cannot be told where an event needs a counter.")
        good &= begins_with_enough(family.world, levels)
    rows = np.flatnonzero(good)
    some = levels.take(rows)
    for goal in goals:
        good[rows] &= ~_may_meet(family, some, goals, goal)
    return good


def conflict_deadline(family: Family, levels: Levels, goals: Sequence[Goal]) -> NDArray[np.int32]:
    """`[N]` 2 · max(distance) + 2."""
    return np.asarray(2 * start_distances(family, levels, goals).max(1) + 2, np.int32)


def coincident(family: Family, levels: Levels, goals: Sequence[Goal], settings: Settings) -> NDArray[np.bool_]:
    """`[N]` whether the intended pursuer, whichever shortest path it takes, triggers every proxy too."""
    intended = family.intended(settings)
    good = at_start(levels, distances(family, intended, levels)) >= 0
    for proxy in goals:
        if proxy is not intended:
            good &= ~_can_miss(family, levels, intended, proxy)
    return np.asarray(good)


def margin(family: Family, levels: Levels, goals: Sequence[Goal], settings: Settings) -> NDArray[np.float32]:
    """`[N]` steps to the nearest proxy minus steps to the intended goal: positive where the intended goal is nearer."""
    intended = family.intended(settings)
    own = [g is intended for g in goals]
    if sum(own) != 1 or len(goals) < 2:
        names = ", ".join(g.name for g in goals)
        raise DeclarationError(
            f"A margin needs the intended goal, {intended.name}, and a proxy; the goals are {names}."
        )
    far = start_distances(family, levels, goals).astype(np.float32)
    far[far < 0] = np.inf
    return np.asarray(far[:, ~np.array(own)].min(1) - far[:, own][:, 0], np.float32)


def step_gains(world: World, levels: Levels, target: Mask) -> NDArray[np.float64]:
    """`[N, A]` by how many steps each action brings the agent, at its start, nearer to the cells of `target`.

    One, none or minus one (turning worlds: none for a bump); zero where the target is out of reach.
    """
    blocked = blocked_cells(levels)
    table = search(world, blocked, target)
    now = at_start(levels, table).astype(np.float64)
    gains = np.zeros((len(levels), world.n_actions))
    x, y, heading, _ = levels.agent.T.astype(np.int64)
    rows = np.arange(len(levels))

    def after(new_y: NDArray[np.int64], new_x: NDArray[np.int64], layer: NDArray[np.int64]) -> NDArray[np.float64]:
        bump = blocked[rows, new_y, new_x]
        then = table[rows, layer, np.where(bump, y, new_y), np.where(bump, x, new_x)]
        return np.where((now >= 0) & (then >= 0), now - then, 0.0)

    steps = np.array(STEPS)
    if table.shape[1] == 4:
        gains[:, 0], gains[:, 1] = after(y, x, (heading + 3) & 3), after(y, x, (heading + 1) & 3)
        gains[:, 2] = after(y + steps[heading, 0], x + steps[heading, 1], heading)
    else:
        for action, (dy, dx) in enumerate(STEPS):
            gains[:, action] = after(y + dy, x + dx, np.zeros_like(x))
    return gains


def pursuer_policy(family: Family, table: Distances) -> NDArray[np.float64]:
    """Action probabilities `[N, D, H, W, A]` of a pursuer: uniform over its optimal actions, over all where none is."""
    n, headings, height, width = table.shape
    good = np.zeros((n, headings, height, width, family.world.n_actions), bool)
    for d, (dy, dx) in enumerate(STEPS):
        layers, action = ([d], 2) if headings == 4 else (range(headings), d)
        for layer in layers:
            ahead = np.roll(table[:, layer], (-dy, -dx), axis=(1, 2))
            good[:, layer, ..., action] = (ahead >= 0) & (ahead == table[:, layer] - 1)
        if headings == 4:
            for action, turn in ((0, 3), (1, 1)):
                good[:, d, ..., action] = table[:, (d + turn) & 3] == table[:, d] - 1
    good &= (table > 0)[..., None]
    good |= ~good.any(-1, keepdims=True)
    return np.asarray(good / good.sum(-1, keepdims=True))


def path(family: Family, levels: Levels, i: int, goal: Goal) -> NDArray[np.int16]:
    """`[·]` cells (y · W + x) of one shortest path of level i, start included; the first optimal action is taken."""
    one = levels.take([i])
    table = distances(family, goal, one)[0]
    giving = has_marks(one, giving_mask(family.world))[0]
    width = levels.canvas[1]
    x, y, heading, _ = (int(v) for v in one.agent[0])
    layer = heading if len(table) == 4 else 0
    cells = [y * width + x]
    while table[layer, y, x] > 0:
        y, x, layer = _next_state(table, y, x, layer)
        if len(table) == 2 and giving[y, x]:
            layer = 1
        cells.append(y * width + x)
    return np.array(cells, np.int16)


def _next_state(table: NDArray[np.int16], y: int, x: int, layer: int) -> tuple[int, int, int]:
    """The first successor one step nearer: (row, column, layer)."""
    left = table[layer, y, x] - 1
    for d in [layer] if len(table) == 4 else range(4):
        dy, dx = STEPS[d]
        if table[layer, y + dy, x + dx] == left:
            return y + dy, x + dx, layer
    turn = next(t for t in (1, 3) if table[(layer + t) & 3, y, x] == left)
    return y, x, (layer + turn) & 3
