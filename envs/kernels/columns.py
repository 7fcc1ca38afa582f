"""The packed arrays that kernels share, grouped by role, and names for their columns.

Sizes: B environments, N pooled levels, E events, C counters, M movers, S script length, R rules, K kinds of mover.
Kernels that Python calls take plain arrays (unpacking a tuple of them costs more than a small step) and group them
inside.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class State(NamedTuple):
    """What changes while B environments run."""

    world: NDArray[np.uint32]
    """`[B, H·W]` code | contents << 8 | marks << 16."""
    body: NDArray[np.int32]
    """`[B, BODY]`"""
    tally: NDArray[np.int32]
    """`[B, 2E + C]` counts and first times (−1: never) of events, counters."""
    gains: NDArray[np.float64]
    """`[B, 3]` reward of this step, return so far, return of the last episode."""
    movers: NDArray[np.int16]
    """`[B, M, 5]`"""
    rng: NDArray[np.uint64]
    """`[B, 2]` key, counter."""
    last: NDArray[np.int32]
    """`[B, 3 + 2E]` length, slot and last heading of the last episode, its counts and first times."""


class Pool(NamedTuple):
    """The N levels that episodes start from."""

    world: NDArray[np.uint32]
    start: NDArray[np.int32]
    """`[N, 6 + E + C + Q]` agent, deadline, quotas, what counters begin with, words of the mission."""
    value: NDArray[np.float32]
    movers: NDArray[np.int16]
    scripts: NDArray[np.int16]


class Program(NamedTuple):
    """A world's rules, movers and spawns as tables."""

    config: NDArray[np.int32]
    rules: NDArray[np.int32]
    """`[R, RULE]`"""
    pays: NDArray[np.float64]
    """`[R, 2]` reward and decay."""
    kinds: NDArray[np.int32]
    """`[K, 2]` policy and code of each kind of mover."""
    kind_numbers: NDArray[np.float64]
    """`[K, 3]`"""
    spawns: NDArray[np.int32]
    """`[·, 2]` mark bit and place."""
    spawn_p: NDArray[np.float64]
    """`[·, n + 1]` probability by number alive."""


class Lens(NamedTuple):
    """How a state looks."""

    shown: NDArray[np.uint8]
    """`[65536]` the code that a cell's marks look like, 0 for nothing."""
    look: NDArray[np.uint32]
    """`[256]` a code's three MiniGrid bytes, packed."""
    sight: NDArray[np.uint16]
    """`[128 · 128]` shadow casting of one row: (lit, clear) -> lit in the row | lit in the next row << 7."""
    props: NDArray[np.uint8]
    """`[256]` properties of a code."""
    planes: NDArray[np.int32]
    """`[·, 3]` kind, operand, brightness."""


class Scratch(NamedTuple):
    """One thread's working memory."""

    dirty: NDArray[np.int32]
    """Cells changed in this step; entry 0 counts them. When it is full, everything counts as changed."""
    distance: NDArray[np.int16]
    queue: NDArray[np.int16]
    before: NDArray[np.int32]
    """Event counts before this step."""


# body
X, Y, HEADING, CARRIED, CARRIED_CONTENTS, TIME, MAX_STEPS, SLOT, EPISODE, OVER, ENDED = range(11)
BODY = 11

# gains
NOW, SO_FAR, LAST_RETURN = range(3)
GAINS = 3

# pool.start
START_X, START_Y, START_HEADING, START_CARRIED, START_CONTENTS, START_MAX_STEPS, START_QUOTA = range(7)

# movers
MOVER_X, MOVER_Y, MOVER_KIND, MOVER_ALIVE, MOVER_PLACE = range(5)
MOVER = 5

# last
LAST_LENGTH, LAST_SLOT, LAST_HEADING, LAST_TALLY = range(4)

# config
HEIGHT, WIDTH, TURNING, EVENTS, AUTORESET, VIEW, SEE_THROUGH, STRIDE, IN_PLACE, KEEP_FINAL, REWRITE, EVERY_STEP = range(
    12
)
CONFIG = 12

# autoreset
OFF, SAME_STEP, NEXT_STEP = range(3)

# views
FULL, EGO, PLANES = range(3)
EGO_SIDE = 7

# rules
ON, MASK, EVENT, ENDS, NEED, LOW, HIGH, ADD, DELTA, THEN = range(10)
RULE = 10
ON_ENTER, ON_BUMP, ON_PICKUP, ON_DROP, ON_TOGGLE, ON_MEET, ON_STEP, ON_QUOTA = range(8)
KEEP, REMOVE, RESPAWN = range(3)
REWARD, DECAY = range(2)

# kinds of mover
KIND_POLICY, KIND_CODE = range(2)
TEMPERATURE, P_DOUBLE, P_RELIABLE = range(3)
RANDOM, CHASE, SCRIPT, EXTERNAL = range(4)

# spawns
SPAWN_BIT, SPAWN_WHERE = range(2)
SAME, FREE = range(2)

# planes
PLANE_KIND, PLANE_OPERAND, PLANE_LEVEL = range(3)
WALLS, AGENT_AT, MARKED, OBJECT_IS, COUNTED, VALUED, MOVER_IS, OWN_VALUED, WORDED = range(9)

# properties of a code, one bit each
WALKABLE, OPAQUE, PICKABLE = 1, 2, 4
