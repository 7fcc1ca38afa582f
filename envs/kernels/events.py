"""Rules at work: counting events, paying rewards, ending episodes, changing marks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goalscope.envs.kernels.columns import (
    ADD,
    DECAY,
    DELTA,
    ENDED,
    ENDS,
    EVENT,
    EVENTS,
    HIGH,
    LOW,
    MASK,
    MAX_STEPS,
    MOVER_ALIVE,
    MOVER_X,
    MOVER_Y,
    NEED,
    NOW,
    ON,
    ON_QUOTA,
    ON_STEP,
    RESPAWN,
    REWARD,
    SLOT,
    START_QUOTA,
    THEN,
    TIME,
    WIDTH,
    Pool,
    Program,
    Scratch,
    State,
    X,
    Y,
)
from goalscope.envs.kernels.jit import helper, inline
from goalscope.envs.kernels.rng import below, draw

TRIES = 32
NOTHING = np.uint32(1)


@inline
def next_bits(rng: NDArray[np.uint64], b: int) -> np.uint64:
    """64 random bits of environment b's own sequence."""
    rng[b, 1] += np.uint64(1)
    return draw(rng[b, 0], rng[b, 1])


@inline
def touch(scratch: Scratch, cell: int) -> None:
    """Remember that a cell changed."""
    if scratch.dirty[0] + 1 < scratch.dirty.shape[0]:
        scratch.dirty[0] += 1
        scratch.dirty[scratch.dirty[0]] = cell


@inline
def is_free(b: int, cell: int, s: State, width: int) -> bool:
    """Whether an inner cell holds nothing at all: no object, mark, agent or mover."""
    x, y = cell % width, cell // width
    if x == 0 or y == 0 or x == width - 1 or y == s.world.shape[1] // width - 1:
        return False
    if s.world[b, cell] != NOTHING or s.body[b, Y] * width + s.body[b, X] == cell:
        return False
    for m in range(s.movers.shape[1]):
        at = s.movers[b, m, MOVER_Y] * width + s.movers[b, m, MOVER_X]
        if s.movers[b, m, MOVER_ALIVE] and at == cell:
            return False
    return True


@helper
def random_free_cell(b: int, s: State, width: int) -> int:
    """A uniform free cell, or −1 if there is none: rejection first, then a scan of all."""
    cells = s.world.shape[1]
    for _ in range(TRIES):
        cell = below(next_bits(s.rng, b), cells)
        if is_free(b, cell, s, width):
            return cell
    chosen, count = -1, 0
    for cell in range(cells):
        if is_free(b, cell, s, width):
            count += 1
            if below(next_bits(s.rng, b), count) == 0:
                chosen = cell
    return chosen


@helper
def _change_marks(b: int, cell: int, r: int, s: State, g: Program, scratch: Scratch) -> None:
    """Take a rule's marks off a cell or, for RESPAWN, move them to a random free one if there is any."""
    taken = s.world[b, cell] & (np.uint32(g.rules[r, MASK]) << np.uint32(16))
    if g.rules[r, THEN] == RESPAWN:
        place = random_free_cell(b, s, g.config[WIDTH])
        if place < 0:
            return
        s.world[b, place] = s.world[b, place] | taken
        touch(scratch, place)
    s.world[b, cell] = s.world[b, cell] & ~taken
    touch(scratch, cell)


@helper
def apply_rule(b: int, r: int, s: State, p: Pool, g: Program) -> bool:
    """Count, pay and end as rule r says, if its counter allows; returns whether it did."""
    events = g.config[EVENTS]
    if g.rules[r, NEED] >= 0:
        held = s.tally[b, 2 * events + g.rules[r, NEED]]
        if held < g.rules[r, LOW] or held > g.rules[r, HIGH]:
            return False
    event = g.rules[r, EVENT]
    reward = g.pays[r, REWARD]
    if event >= 0:
        s.tally[b, event] += 1
        if s.tally[b, events + event] < 0:
            s.tally[b, events + event] = s.body[b, TIME]
    if reward != 0.0:
        reward *= 1.0 - g.pays[r, DECAY] * (s.body[b, TIME] / s.body[b, MAX_STEPS])
        if event >= 0:
            reward *= p.value[s.body[b, SLOT], event]
        s.gains[b, NOW] += reward
    if g.rules[r, ADD] >= 0:
        s.tally[b, 2 * events + g.rules[r, ADD]] += g.rules[r, DELTA]
    s.body[b, ENDED] |= g.rules[r, ENDS]
    return True


@helper
def _fire(b: int, on: int, cell: int, marks: int, s: State, p: Pool, g: Program, scratch: Scratch) -> None:
    for r in range(g.rules.shape[0]):
        if g.rules[r, ON] == on and marks & g.rules[r, MASK] and apply_rule(b, r, s, p, g) and g.rules[r, THEN]:
            _change_marks(b, cell, r, s, g, scratch)


@inline
def fire_on_cell(b: int, on: int, cell: int, s: State, p: Pool, g: Program, scratch: Scratch) -> None:
    """Fire every rule of a kind whose marks lay on a cell when the step reached it."""
    marks = np.int64(s.world[b, cell] >> np.uint32(16))
    if marks:
        _fire(b, on, cell, marks, s, p, g, scratch)


@helper
def remember_counts(b: int, s: State, g: Program, scratch: Scratch) -> None:
    """Keep the event counts from before this step."""
    for event in range(g.config[EVENTS]):
        scratch.before[event] = s.tally[b, event]


@helper
def fire_every_step(b: int, s: State, p: Pool, g: Program, scratch: Scratch) -> None:
    """Fire the STEP rules, then the QUOTA rules of events that have reached the level's quota in this step."""
    for r in range(g.rules.shape[0]):
        if g.rules[r, ON] == ON_STEP:
            apply_rule(b, r, s, p, g)
    reached = 0
    for event in range(g.config[EVENTS]):
        if scratch.before[event] < p.start[s.body[b, SLOT], START_QUOTA + event] <= s.tally[b, event]:
            reached |= 1 << event
    for r in range(g.rules.shape[0]):
        for event in range(g.config[EVENTS]):
            if g.rules[r, ON] == ON_QUOTA and (g.rules[r, MASK] & reached) >> event & 1:
                apply_rule(b, r, s, p, g)
