"""One step of every environment: act, rules, movers, deadline, reset, observe."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from goalscope.envs.kernels.columns import (
    AUTORESET,
    CARRIED,
    CARRIED_CONTENTS,
    ENDED,
    EPISODE,
    EVENTS,
    EVERY_STEP,
    HEADING,
    IN_PLACE,
    KEEP_FINAL,
    LAST_HEADING,
    LAST_LENGTH,
    LAST_RETURN,
    LAST_SLOT,
    LAST_TALLY,
    MAX_STEPS,
    MOVER_ALIVE,
    MOVER_PLACE,
    NEXT_STEP,
    NOW,
    ON_BUMP,
    ON_DROP,
    ON_ENTER,
    ON_PICKUP,
    ON_TOGGLE,
    OVER,
    PICKABLE,
    REWRITE,
    SAME_STEP,
    SLOT,
    SO_FAR,
    START_CARRIED,
    START_CONTENTS,
    START_HEADING,
    START_MAX_STEPS,
    START_QUOTA,
    START_X,
    START_Y,
    STRIDE,
    TIME,
    TURNING,
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
from goalscope.envs.kernels.creatures import move_creatures, spawn_things
from goalscope.envs.kernels.events import fire_every_step, fire_on_cell, remember_counts, touch
from goalscope.envs.kernels.jit import helper, inline, kernel
from goalscope.envs.kernels.observe import observe, observe_anew
from goalscope.envs.kernels.sharing import SHARES, claim

EMPTY, GOAL, LAVA, DOOR, KEY, BOX, CLOSED, LOCKED = 1, 8, 9, 4, 5, 7, 11, 12
MINIGRID_DECAY = 0.9


@helper
def reset_one(b: int, s: State, p: Pool, g: Program) -> None:
    """Start the level in the environment's slot."""
    slot = s.body[b, SLOT]
    for cell in range(s.world.shape[1]):
        s.world[b, cell] = p.world[slot, cell]
    s.body[b, X] = p.start[slot, START_X]
    s.body[b, Y] = p.start[slot, START_Y]
    s.body[b, HEADING] = p.start[slot, START_HEADING]
    s.body[b, CARRIED] = p.start[slot, START_CARRIED]
    s.body[b, CARRIED_CONTENTS] = p.start[slot, START_CONTENTS]
    s.body[b, MAX_STEPS] = p.start[slot, START_MAX_STEPS]
    s.body[b, TIME] = 0
    s.body[b, OVER] = 0
    events = g.config[EVENTS]
    for i in range(s.tally.shape[1]):
        if i < 2 * events:
            s.tally[b, i] = -1 if events <= i else 0
        else:
            s.tally[b, i] = p.start[slot, START_QUOTA + i - events]
    s.gains[b, SO_FAR] = 0.0
    for m in range(s.movers.shape[1]):
        for i in range(MOVER_ALIVE + 1):
            s.movers[b, m, i] = p.movers[slot, m, i]
        s.movers[b, m, MOVER_PLACE] = 0


@helper
def _record_episode(b: int, s: State, p: Pool, g: Program) -> None:
    """Keep what the finished episode did."""
    s.last[b, LAST_LENGTH] = s.body[b, TIME]
    s.last[b, LAST_SLOT] = s.body[b, SLOT]
    s.last[b, LAST_HEADING] = s.body[b, HEADING]
    for i in range(2 * g.config[EVENTS]):
        s.last[b, LAST_TALLY + i] = s.tally[b, i]
    s.gains[b, LAST_RETURN] = s.gains[b, SO_FAR]
    s.body[b, EPISODE] += 1
    s.body[b, OVER] = 1


@helper
def _go_on(b: int, s: State, p: Pool, g: Program) -> None:
    """Start the environment's next level."""
    s.body[b, SLOT] = (s.body[b, SLOT] + g.config[STRIDE]) % p.world.shape[0]
    reset_one(b, s, p, g)


@inline
def _enter(b: int, cell: int, s: State, p: Pool, g: Program, scratch: Scratch) -> None:
    """Step onto a cell: MiniGrid's goal pays and ends, its lava ends, then the marks' rules."""
    width = g.config[WIDTH]
    touch(scratch, s.body[b, Y] * width + s.body[b, X])
    touch(scratch, cell)
    s.body[b, X] = cell % width
    s.body[b, Y] = cell // width
    kind = s.world[b, cell] & np.uint32(15)
    if kind == GOAL:
        s.gains[b, NOW] += 1.0 - MINIGRID_DECAY * (s.body[b, TIME] / s.body[b, MAX_STEPS])
        s.body[b, ENDED] = 1
    elif kind == LAVA:
        s.body[b, ENDED] = 1
    fire_on_cell(b, ON_ENTER, cell, s, p, g, scratch)


@inline
def _advance(b: int, cell: int, s: State, p: Pool, g: Program, v: Lens, scratch: Scratch) -> None:
    if v.props[s.world[b, cell] & np.uint32(0xFF)] & WALKABLE:
        _enter(b, cell, s, p, g, scratch)
    else:
        fire_on_cell(b, ON_BUMP, cell, s, p, g, scratch)


@inline
def _put(b: int, cell: int, code: int, contents: int, s: State, scratch: Scratch) -> None:
    """Set a cell's object and its contents; the marks stay."""
    s.world[b, cell] = (
        (s.world[b, cell] & np.uint32(0xFFFF0000)) | np.uint32(code) | np.uint32(contents) << np.uint32(8)
    )
    touch(scratch, cell)


@inline
def _pickup(b: int, cell: int, s: State, p: Pool, g: Program, v: Lens, scratch: Scratch) -> None:
    code = np.int64(s.world[b, cell] & np.uint32(0xFF))
    if s.body[b, CARRIED] == 0 and v.props[code] & PICKABLE:
        s.body[b, CARRIED] = code
        s.body[b, CARRIED_CONTENTS] = np.int64((s.world[b, cell] >> np.uint32(8)) & np.uint32(0xFF))
        _put(b, cell, EMPTY, 0, s, scratch)
        fire_on_cell(b, ON_PICKUP, cell, s, p, g, scratch)


@inline
def _drop(b: int, cell: int, s: State, p: Pool, g: Program, scratch: Scratch) -> None:
    if s.body[b, CARRIED] != 0 and (s.world[b, cell] & np.uint32(15)) == EMPTY:
        _put(b, cell, s.body[b, CARRIED], s.body[b, CARRIED_CONTENTS], s, scratch)
        s.body[b, CARRIED] = 0
        s.body[b, CARRIED_CONTENTS] = 0
        fire_on_cell(b, ON_DROP, cell, s, p, g, scratch)


@inline
def _toggle(b: int, cell: int, s: State, p: Pool, g: Program, scratch: Scratch) -> None:
    """Open and close doors, unlock with the key of the same colour, replace a box by its contents."""
    value = s.world[b, cell]
    kind, colour = np.int64(value & np.uint32(15)), np.int64((value >> np.uint32(4)) & np.uint32(15))
    code = -1
    if kind == DOOR:
        code = CLOSED | colour << 4
    elif kind == CLOSED or (kind == LOCKED and s.body[b, CARRIED] == KEY | colour << 4):
        code = DOOR | colour << 4
    elif kind == BOX:
        inside = np.int64((value >> np.uint32(8)) & np.uint32(0xFF))
        code = inside if inside else EMPTY
    if code >= 0:
        _put(b, cell, code, 0, s, scratch)
        fire_on_cell(b, ON_TOGGLE, cell, s, p, g, scratch)


@inline
def _act(b: int, action: int, s: State, p: Pool, g: Program, v: Lens, scratch: Scratch) -> None:
    width = g.config[WIDTH]
    turning = g.config[TURNING]
    here = s.body[b, Y] * width + s.body[b, X]
    if turning and action < 2:
        s.body[b, HEADING] = (s.body[b, HEADING] + (3 if action == 0 else 1)) & 3
        touch(scratch, here)
        return
    way = s.body[b, HEADING] if turning else action
    front = here + (1 if way == 0 else width if way == 1 else -1 if way == 2 else -width)
    if not turning or action == 2:
        _advance(b, front, s, p, g, v, scratch)
    elif action == 3:
        _pickup(b, front, s, p, g, v, scratch)
    elif action == 4:
        _drop(b, front, s, p, g, scratch)
    elif action == 5:
        _toggle(b, front, s, p, g, scratch)


@inline
def _play(
    b: int, action: int, external: NDArray[np.int64], s: State, p: Pool, g: Program, v: Lens, scratch: Scratch
) -> None:
    """Everything that happens in the world in one step."""
    scratch.dirty[0] = 0
    s.body[b, TIME] += 1
    s.body[b, ENDED] = 0
    s.gains[b, NOW] = 0.0
    if g.config[EVERY_STEP]:
        remember_counts(b, s, g, scratch)
    _act(b, action, s, p, g, v, scratch)
    if s.movers.shape[1]:
        move_creatures(b, external, s, p, g, v, scratch)
    if g.config[EVERY_STEP]:
        fire_every_step(b, s, p, g, scratch)
    if g.spawns.shape[0]:
        spawn_things(b, s, p, g, scratch)
    s.gains[b, SO_FAR] += s.gains[b, NOW]


@inline
def _copy_row(b: int, source: NDArray[np.uint8], target: NDArray[np.uint8]) -> None:
    for i in range(target.shape[1]):
        target[b, i] = source[b, i]


@helper
def _finish(
    b: int,
    s: State,
    p: Pool,
    g: Program,
    v: Lens,
    scratch: Scratch,
    obs: NDArray[np.uint8],
    final: NDArray[np.uint8],
) -> bool:
    """Close an episode; returns whether a new one began in this very step."""
    _record_episode(b, s, p, g)
    if g.config[AUTORESET] != SAME_STEP:
        return False
    if g.config[KEEP_FINAL]:
        observe_anew(b, s, p, g, v, scratch, final)
    _go_on(b, s, p, g)
    return True


@inline
def step_range(
    low: int,
    high: int,
    s: State,
    p: Pool,
    g: Program,
    v: Lens,
    scratch: Scratch,
    actions: NDArray[np.int64],
    external: NDArray[np.int64],
    previous: NDArray[np.uint8],
    obs: NDArray[np.uint8],
    final: NDArray[np.uint8],
    reward: NDArray[np.float32],
    ended: NDArray[np.bool_],
) -> None:
    """Step environments `low` to `high`; `ended` `[2, B]` receives terminated and truncated."""
    mode = g.config[AUTORESET]
    for b in range(np.uint64(low), np.uint64(high)):  # unsigned: no index has to be tested for counting from the end
        reward[b] = 0.0
        if s.body[b, OVER]:
            if mode == NEXT_STEP:
                _go_on(b, s, p, g)
                ended[0, b] = ended[1, b] = False
            observe_anew(b, s, p, g, v, scratch, obs)
            continue
        _play(b, actions[b], external, s, p, g, v, scratch)
        reward[b] = s.gains[b, NOW]
        ended[0, b] = s.body[b, ENDED] != 0
        ended[1, b] = s.body[b, TIME] >= s.body[b, MAX_STEPS]
        fresh = g.config[REWRITE] != 0
        if ended[0, b] or ended[1, b]:
            fresh |= _finish(b, s, p, g, v, scratch, obs, final)
        if not fresh and not g.config[IN_PLACE]:
            _copy_row(b, previous, obs)
        observe(b, fresh, s, p, g, v, scratch, obs)


@kernel()
def step_serial(
    world: NDArray[np.uint32],
    body: NDArray[np.int32],
    tally: NDArray[np.int32],
    gains: NDArray[np.float64],
    movers: NDArray[np.int16],
    rng: NDArray[np.uint64],
    last: NDArray[np.int32],
    pool_world: NDArray[np.uint32],
    pool_start: NDArray[np.int32],
    pool_value: NDArray[np.float32],
    pool_movers: NDArray[np.int16],
    pool_scripts: NDArray[np.int16],
    config: NDArray[np.int32],
    rules: NDArray[np.int32],
    pays: NDArray[np.float64],
    kinds: NDArray[np.int32],
    kind_numbers: NDArray[np.float64],
    spawns: NDArray[np.int32],
    spawn_p: NDArray[np.float64],
    shown: NDArray[np.uint8],
    look: NDArray[np.uint32],
    sight: NDArray[np.uint16],
    props: NDArray[np.uint8],
    planes: NDArray[np.int32],
    dirty: NDArray[np.int32],
    distance: NDArray[np.int16],
    queue: NDArray[np.int16],
    before: NDArray[np.int32],
    actions: NDArray[np.int64],
    external: NDArray[np.int64],
    previous: NDArray[np.uint8],
    obs: NDArray[np.uint8],
    final: NDArray[np.uint8],
    reward: NDArray[np.float32],
    ended: NDArray[np.bool_],
) -> None:
    """Step all environments on the calling thread."""
    s = State(world, body, tally, gains, movers, rng, last)
    p = Pool(pool_world, pool_start, pool_value, pool_movers, pool_scripts)
    g = Program(config, rules, pays, kinds, kind_numbers, spawns, spawn_p)
    v = Lens(shown, look, sight, props, planes)
    scratch = Scratch(dirty[0], distance[0], queue[0], before[0])
    step_range(0, world.shape[0], s, p, g, v, scratch, actions, external, previous, obs, final, reward, ended)


@kernel(parallel=True)
def step_parallel(
    threads: int,
    claimed: NDArray[np.int64],
    world: NDArray[np.uint32],
    body: NDArray[np.int32],
    tally: NDArray[np.int32],
    gains: NDArray[np.float64],
    movers: NDArray[np.int16],
    rng: NDArray[np.uint64],
    last: NDArray[np.int32],
    pool_world: NDArray[np.uint32],
    pool_start: NDArray[np.int32],
    pool_value: NDArray[np.float32],
    pool_movers: NDArray[np.int16],
    pool_scripts: NDArray[np.int16],
    config: NDArray[np.int32],
    rules: NDArray[np.int32],
    pays: NDArray[np.float64],
    kinds: NDArray[np.int32],
    kind_numbers: NDArray[np.float64],
    spawns: NDArray[np.int32],
    spawn_p: NDArray[np.float64],
    shown: NDArray[np.uint8],
    look: NDArray[np.uint32],
    sight: NDArray[np.uint16],
    props: NDArray[np.uint8],
    planes: NDArray[np.int32],
    dirty: NDArray[np.int32],
    distance: NDArray[np.int16],
    queue: NDArray[np.int16],
    before: NDArray[np.int32],
    actions: NDArray[np.int64],
    external: NDArray[np.int64],
    previous: NDArray[np.uint8],
    obs: NDArray[np.uint8],
    final: NDArray[np.uint8],
    reward: NDArray[np.float32],
    ended: NDArray[np.bool_],
) -> None:
    """Step all environments on `threads` threads; which thread steps which does not matter to any of them."""
    batch = world.shape[0]
    share = max(1, batch // (threads * SHARES))
    claimed[0] = 0
    for thread in numba.prange(threads):
        s = State(world, body, tally, gains, movers, rng, last)
        p = Pool(pool_world, pool_start, pool_value, pool_movers, pool_scripts)
        g = Program(config, rules, pays, kinds, kind_numbers, spawns, spawn_p)
        v = Lens(shown, look, sight, props, planes)
        scratch = Scratch(dirty[thread], distance[thread], queue[thread], before[thread])
        low = claim(claimed) * share
        while low < batch:
            high = min(low + share, batch)
            step_range(low, high, s, p, g, v, scratch, actions, external, previous, obs, final, reward, ended)
            low = claim(claimed) * share


@kernel()
def reset_all(
    world: NDArray[np.uint32],
    body: NDArray[np.int32],
    tally: NDArray[np.int32],
    gains: NDArray[np.float64],
    movers: NDArray[np.int16],
    rng: NDArray[np.uint64],
    last: NDArray[np.int32],
    pool_world: NDArray[np.uint32],
    pool_start: NDArray[np.int32],
    pool_value: NDArray[np.float32],
    pool_movers: NDArray[np.int16],
    pool_scripts: NDArray[np.int16],
    config: NDArray[np.int32],
    rules: NDArray[np.int32],
    pays: NDArray[np.float64],
    kinds: NDArray[np.int32],
    kind_numbers: NDArray[np.float64],
    spawns: NDArray[np.int32],
    spawn_p: NDArray[np.float64],
    shown: NDArray[np.uint8],
    look: NDArray[np.uint32],
    sight: NDArray[np.uint16],
    props: NDArray[np.uint8],
    planes: NDArray[np.int32],
    dirty: NDArray[np.int32],
    distance: NDArray[np.int16],
    queue: NDArray[np.int16],
    before: NDArray[np.int32],
    obs: NDArray[np.uint8],
) -> None:
    """Start the level in every environment's slot and write all observations."""
    s = State(world, body, tally, gains, movers, rng, last)
    p = Pool(pool_world, pool_start, pool_value, pool_movers, pool_scripts)
    g = Program(config, rules, pays, kinds, kind_numbers, spawns, spawn_p)
    v = Lens(shown, look, sight, props, planes)
    scratch = Scratch(dirty[0], distance[0], queue[0], before[0])
    for b in range(np.uint64(world.shape[0])):
        reset_one(b, s, p, g)
        observe_anew(b, s, p, g, v, scratch, obs)
