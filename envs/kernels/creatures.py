"""Movers (monsters, leaders) and spawning things."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goalscope.envs.kernels.columns import (
    CHASE,
    EXTERNAL,
    FREE,
    KIND_POLICY,
    MASK,
    MOVER_ALIVE,
    MOVER_KIND,
    MOVER_PLACE,
    MOVER_X,
    MOVER_Y,
    ON,
    ON_MEET,
    P_DOUBLE,
    P_RELIABLE,
    RESPAWN,
    SCRIPT,
    SLOT,
    SPAWN_BIT,
    SPAWN_WHERE,
    TEMPERATURE,
    THEN,
    WALKABLE,
    WIDTH,
    Lens,
    Pool,
    Program,
    Scratch,
    State,
    X,
    Y,
)
from goalscope.envs.kernels.events import apply_rule, next_bits, random_free_cell, touch
from goalscope.envs.kernels.jit import helper, inline
from goalscope.envs.kernels.rng import below, unit

STAY = -1
FAR = 30000


@inline
def _offset(direction: int, width: int) -> int:
    return 1 if direction == 0 else width if direction == 1 else -1 if direction == 2 else -width


@inline
def _walkable(b: int, cell: int, s: State, v: Lens) -> bool:
    return (v.props[s.world[b, cell] & np.uint32(0xFF)] & WALKABLE) != 0


@helper
def _measure(b: int, target: int, s: State, g: Program, v: Lens, scratch: Scratch) -> None:
    """Steps of a mover from every cell to `target`, in the scratch distances."""
    scratch.distance[:] = FAR
    scratch.distance[target] = 0
    scratch.queue[0] = target
    head, tail = 0, 1
    while head < tail:
        here = scratch.queue[head]
        head += 1
        for direction in range(4):
            there = here + _offset(direction, g.config[WIDTH])
            if scratch.distance[there] == FAR and _walkable(b, there, s, v):
                scratch.distance[there] = scratch.distance[here] + 1
                scratch.queue[tail] = there
                tail += 1


@helper
def _softest(b: int, at: int, temperature: float, s: State, g: Program, scratch: Scratch) -> int:
    """A direction by softmax of −distance / temperature over the neighbours that can reach the target."""
    width = g.config[WIDTH]
    nearest = FAR
    for direction in range(4):
        nearest = min(nearest, scratch.distance[at + _offset(direction, width)])
    if nearest == FAR:
        return STAY
    chosen, total = STAY, 0.0
    for direction in range(4):
        distance = scratch.distance[at + _offset(direction, width)]
        if distance < FAR:
            weight = np.exp((nearest - distance) / temperature)
            total += weight
            if unit(next_bits(s.rng, b)) * total < weight:
                chosen = direction
    return chosen


@helper
def _downhill(b: int, at: int, s: State, g: Program, scratch: Scratch) -> int:
    """A uniformly drawn direction that shortens the way to the target."""
    chosen, count = STAY, 0
    for direction in range(4):
        if scratch.distance[at + _offset(direction, g.config[WIDTH])] < scratch.distance[at]:
            count += 1
            if below(next_bits(s.rng, b), count) == 0:
                chosen = direction
    return chosen


@helper
def _follow_script(b: int, m: int, at: int, s: State, p: Pool, g: Program, v: Lens, scratch: Scratch) -> int:
    """Towards the next cell of the script; a leader that has visited them all stays."""
    slot = s.body[b, SLOT]
    place = s.movers[b, m, MOVER_PLACE]
    while place < p.scripts.shape[2] and p.scripts[slot, m, place] == at:
        place += 1
    s.movers[b, m, MOVER_PLACE] = place
    if place >= p.scripts.shape[2] or p.scripts[slot, m, place] < 0:
        return STAY
    _measure(b, p.scripts[slot, m, place], s, g, v, scratch)
    return _downhill(b, at, s, g, scratch)


@helper
def _direction(
    b: int, m: int, at: int, external: NDArray[np.int64], s: State, p: Pool, g: Program, v: Lens, scratch: Scratch
) -> int:
    kind = s.movers[b, m, MOVER_KIND]
    policy = g.kinds[kind, KIND_POLICY]
    if policy == EXTERNAL:
        return external[b, m]
    reliable = g.kind_numbers[kind, P_RELIABLE]
    if reliable < 1.0 and unit(next_bits(s.rng, b)) >= reliable:
        return below(next_bits(s.rng, b), 4)
    if policy == CHASE:
        _measure(b, s.body[b, Y] * g.config[WIDTH] + s.body[b, X], s, g, v, scratch)
        return _softest(b, at, g.kind_numbers[kind, TEMPERATURE], s, g, scratch)
    if policy == SCRIPT:
        return _follow_script(b, m, at, s, p, g, v, scratch)
    return below(next_bits(s.rng, b), 4)


@inline
def _occupied(b: int, cell: int, s: State, width: int) -> bool:
    for m in range(s.movers.shape[1]):
        at = s.movers[b, m, MOVER_Y] * width + s.movers[b, m, MOVER_X]
        if s.movers[b, m, MOVER_ALIVE] and at == cell:
            return True
    return False


@inline
def _relocate(b: int, m: int, cell: int, s: State, g: Program, scratch: Scratch) -> None:
    width = g.config[WIDTH]
    touch(scratch, s.movers[b, m, MOVER_Y] * width + s.movers[b, m, MOVER_X])
    touch(scratch, cell)
    s.movers[b, m, MOVER_X] = cell % width
    s.movers[b, m, MOVER_Y] = cell // width


@helper
def meet(b: int, m: int, s: State, p: Pool, g: Program, scratch: Scratch) -> None:
    """Fire the first MEET rule of the mover's kind that applies, if it and the agent share a cell."""
    if s.movers[b, m, MOVER_X] != s.body[b, X] or s.movers[b, m, MOVER_Y] != s.body[b, Y]:
        return
    for r in range(g.rules.shape[0]):
        if g.rules[r, ON] == ON_MEET and g.rules[r, MASK] >> s.movers[b, m, MOVER_KIND] & 1:
            if not apply_rule(b, r, s, p, g):
                continue
            if g.rules[r, THEN] == RESPAWN:
                place = random_free_cell(b, s, g.config[WIDTH])
                if place >= 0:
                    _relocate(b, m, place, s, g, scratch)
            elif g.rules[r, THEN]:
                s.movers[b, m, MOVER_ALIVE] = 0
                touch(scratch, s.movers[b, m, MOVER_Y] * g.config[WIDTH] + s.movers[b, m, MOVER_X])
            return


@helper
def move_creatures(
    b: int, external: NDArray[np.int64], s: State, p: Pool, g: Program, v: Lens, scratch: Scratch
) -> None:
    """Contacts made by the agent's own move, then every mover's move or moves and the contacts they make."""
    width = g.config[WIDTH]
    for m in range(s.movers.shape[1]):
        if s.movers[b, m, MOVER_ALIVE]:
            meet(b, m, s, p, g, scratch)
    for m in range(s.movers.shape[1]):
        double = g.kind_numbers[s.movers[b, m, MOVER_KIND], P_DOUBLE]
        moves = 1
        if double > 0.0 and unit(next_bits(s.rng, b)) < double:
            moves = 2
        for _ in range(moves):
            if not s.movers[b, m, MOVER_ALIVE]:
                break
            at = s.movers[b, m, MOVER_Y] * width + s.movers[b, m, MOVER_X]
            direction = _direction(b, m, at, external, s, p, g, v, scratch)
            if direction < 0:
                continue
            there = at + _offset(direction, width)
            if _walkable(b, there, s, v) and not _occupied(b, there, s, width):
                _relocate(b, m, there, s, g, scratch)
                meet(b, m, s, p, g, scratch)


@helper
def _regrown_cell(b: int, bit: int, s: State, p: Pool, width: int) -> int:
    """A uniform cell that began with the mark, has lost it, and is not under the agent; −1 if there is none."""
    chosen, count = -1, 0
    for cell in range(s.world.shape[1]):
        began = (p.world[s.body[b, SLOT], cell] >> np.uint32(16)) & np.uint32(bit)
        has = (s.world[b, cell] >> np.uint32(16)) & np.uint32(bit)
        if began and not has and s.body[b, Y] * width + s.body[b, X] != cell:
            count += 1
            if below(next_bits(s.rng, b), count) == 0:
                chosen = cell
    return chosen


@helper
def spawn_things(b: int, s: State, p: Pool, g: Program, scratch: Scratch) -> None:
    """Each spawn adds at most one thing, with the probability for the number there now."""
    for i in range(g.spawns.shape[0]):
        bit = g.spawns[i, SPAWN_BIT]
        alive = 0
        for cell in range(s.world.shape[1]):
            if (s.world[b, cell] >> np.uint32(16)) & np.uint32(bit):
                alive += 1
        if unit(next_bits(s.rng, b)) >= g.spawn_p[i, min(alive, g.spawn_p.shape[1] - 1)]:
            continue
        if g.spawns[i, SPAWN_WHERE] == FREE:
            cell = random_free_cell(b, s, g.config[WIDTH])
        else:
            cell = _regrown_cell(b, bit, s, p, g.config[WIDTH])
        if cell >= 0:
            s.world[b, cell] = s.world[b, cell] | (np.uint32(bit) << np.uint32(16))
            touch(scratch, cell)
