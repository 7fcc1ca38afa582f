"""Laying things that none can walk past in a tree: each lies on a branch of its own, so none shuts off another.

Places drawn among all cells would mostly be in vain there, as most of a tree lies on the way to the rest or beyond.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from goalscope.envs.kernels.boards import ONE, ZERO, Bytes
from goalscope.envs.kernels.jit import inline, kernel
from goalscope.envs.kernels.mazes import COUNT
from goalscope.envs.kernels.paths import step_of
from goalscope.envs.kernels.rng import below, combine, draw

AGENTS, CHOICES = 4, 8
"""Cells drawn for the agent before a map counts as unplaced, and draws of all things from each: one walk serves them
all."""

FIRST_WAY = np.array([0] + [(ways & -ways).bit_length() - 1 for ways in range(1, 16)])
"""`[16]` the first direction in a set of them, one bit each: 0 to 3 for right, down, left, up."""
ONWARD = np.array([15 ^ 1 << (way ^ 2) for way in FIRST_WAY], np.uint64)
"""`[16]` all directions but the one that leads back after a step in the first one."""

Cells = NDArray[np.int16]
Numbers = NDArray[np.int64]


class Tree(NamedTuple):
    """A tree of free cells, and what a depth-first walk through it found."""

    ways: NDArray[np.uint8]
    """`[H·W]` the directions in which a free cell lies beside each cell; of use within the border only."""
    leaps: Numbers
    """`[16]` the step of the first direction in a set of them."""
    trail: Numbers
    """All cells as they were met."""
    depths: Numbers
    """The steps to each: from one to the next on the trail they rise by one or fall."""
    ends: Numbers
    """The dead ends, as places on the trail."""
    forks: Numbers
    """The steps to where the way to each dead end leaves the way to the one before."""
    stack: Numbers
    """For the walk: places behind that have other ways out, and these."""


class Branches(NamedTuple):
    """For each thing the stretch of a way to a dead end on which it may lie."""

    ends: Numbers
    """The dead ends, as places on the trail."""
    near: Numbers
    """The fewest steps to the thing."""
    far: Numbers
    """The most."""


@inline
def _free_cell(walls: Bytes, n: int, key: np.uint64) -> int:
    """A uniform free cell of level n, which has one: random cells are drawn until one is free."""
    counter, cell = 1, below(draw(key, 0), walls.shape[1])
    while walls[n, cell]:
        cell = below(draw(key, counter), walls.shape[1])
        counter += 1
    return cell


@inline
def _read_ways(walls: Bytes, n: int, width: int, ways: NDArray[np.uint8]) -> None:
    """The ways out of each cell of level n, for many cells in an instruction."""
    inner = walls.shape[1] - 2 * width
    up, down, within = walls[n, :inner], walls[n, 2 * width :], ways[width : width + inner]
    left, right = walls[n, width - 1 : width - 1 + inner], walls[n, width + 1 : width + 1 + inner]
    one, two, three, all_ways = np.uint8(1), np.uint8(2), np.uint8(3), np.uint8(15)
    for cell in range(inner):
        within[cell] = all_ways ^ (right[cell] | down[cell] << one | left[cell] << two | up[cell] << three)


@inline
def _walk(tree: Tree, start: int, width: int) -> int:
    """Walk through a tree depth first; returns how many dead ends it has.

    Every second cell is one of the maze's odd cells: the cell between two of them leads straight on and is passed in
    the same stride. The first stride is shorter if the walk starts there. What is left of a set of ways goes on the
    stack without asking whether there is any: branches that cannot be guessed cost most. Each stride waits for the one
    before, so what it looks up is numbered without a sign, which saves asking whether it counts from the end.
    """
    root = start // width & start % width & 1
    here, depth, place, last, top, dead, long = start, 0, 0, 0, 0, 0, root
    tree.trail[0], tree.depths[0], tree.forks[0] = start, 0, 0
    out = np.uint64(tree.ways[here])
    while True:
        if out == ZERO:
            tree.ends[dead] = last
            dead += 1
            if top == 0:
                return dead
            top -= 2
            place, out = tree.stack[top], np.uint64(tree.stack[top + 1])
            here, depth, long = tree.trail[place], tree.depths[place], root if place == 0 else 1
            tree.forks[dead] = depth
        left, leap = out & (out - ONE), tree.leaps[out]
        tree.stack[top], tree.stack[top + 1] = place, left
        top += 2 * np.int64(left != ZERO)
        tree.trail[last + 1], tree.depths[last + 1] = here + leap, depth + 1
        here, depth, last = here + (leap << long), depth + 1 + long, last + 1 + long
        tree.trail[last], tree.depths[last] = here, depth
        place, long = last, 1
        out = np.uint64(tree.ways[np.uint64(here)]) & ONWARD[out]


@inline
def _choose_branches(tree: Tree, dead: int, first: int, key: np.uint64, branches: Branches) -> None:
    """As many different dead ends as there are things, in the order of the walk, and the stretches to each alone."""
    chosen, fork = 0, tree.forks[0]
    for number in range(dead):
        fork = min(fork, tree.forks[number])
        if below(draw(key, number), dead - number) >= len(branches.ends) - chosen:
            continue
        end = tree.ends[number]
        branches.ends[chosen], branches.near[chosen], branches.far[chosen] = end, max(first, fork + 1), tree.depths[end]
        if chosen:
            branches.near[chosen - 1] = max(branches.near[chosen - 1], fork + 1)
        chosen, fork = chosen + 1, tree.depths[end]


@inline
def _put_first(branches: Branches, lead: int, bits: np.uint64) -> bool:
    """Bring a thing to the front and settle how far it is, so that all others can lie behind it by the lead.

    It is the first that can be, from a random one on; returns whether there is any.
    """
    ends, near, far = branches
    one = below(bits, len(ends))
    for _ in range(len(ends)):
        one = one + 1 if one + 1 < len(ends) else 0
        most = far[one]
        for other in range(len(ends)):
            most = min(most, far[other] - lead * np.int64(other != one))
        if near[one] <= most:
            at = near[one] + below(bits << np.uint64(32), most - near[one] + 1)
            for other in range(len(ends)):
                near[other] = max(near[other], at + lead)
            ends[0], ends[one] = ends[one], ends[0]
            near[one], far[one] = near[0], far[0]
            near[0], far[0] = at, at
            return True
    return False


@inline
def _lay_things(n: int, ways: int, tree: Tree, branches: Branches, key: np.uint64, cells: Cells, steps: Cells) -> bool:
    """Lay each thing of level n anywhere on its stretch; whether all have one and not all `ways` out are shut."""
    beside = 0
    for k in range(steps.shape[1]):
        near, far = branches.near[k], branches.far[k]
        if near > far:
            return False
        away, at = near + below(draw(key, k), far - near + 1), branches.ends[k]
        while tree.depths[at] > away:  # as going back on the trail depths fall by no more than one, none is missed
            at -= tree.depths[at] - away
        cells[n, 1 + k], steps[n, k] = tree.trail[at], away
        beside += away == 1
    return beside < ways


@inline
def _lay_level(
    walls: Bytes,
    n: int,
    width: int,
    key: np.uint64,
    first: int,
    lead: int,
    tree: Tree,
    branches: Branches,
    cells: Cells,
    steps: Cells,
) -> bool:
    """Lay the agent and all things of level n; whether a place was found."""
    _read_ways(walls, n, width, tree.ways)
    for agent in range(AGENTS):
        tries = draw(key, agent)
        start = _free_cell(walls, n, draw(tries, 0))
        dead, ways = _walk(tree, start, width), COUNT[tree.ways[start]]
        cells[n, 0] = start
        for choice in range(CHOICES if dead >= steps.shape[1] else 0):
            bits = draw(tries, 1 + choice)
            _choose_branches(tree, dead, first, draw(bits, 0), branches)
            if lead and not _put_first(branches, lead, draw(bits, 1)):
                continue
            if _lay_things(n, ways, tree, branches, draw(bits, 2), cells, steps):
                return True
    return False


@kernel(allocates=True)
def lay_on_branches(
    walls: Bytes, width: int, keys: NDArray[np.uint64], first: int, lead: int, cells: Cells, steps: Cells
) -> None:
    """As :func:`goalscope.envs.kernels.blocking.lay_blocking` where free cells form a tree over a maze's odd cells.

    The agent gets a uniform free cell. K of the dead ends are drawn, all sets alike, and each thing lies anywhere on
    the stretch of the way to its dead end that leads to none of the others. With a lead a random one of those that can
    be the first is laid before the rest, no farther than leaves each of them a place. All others come in the order of
    the walk: who is who has to be drawn.
    """
    size = walls.shape[1]
    leaps = np.array([step_of(way, width) for way in FIRST_WAY])
    found, spans = np.empty((5, size), np.int64), np.empty((3, steps.shape[1]), np.int64)
    tree = Tree(np.empty(size, np.uint8), leaps, found[0], found[1], found[2], found[3], found[4])
    branches = Branches(spans[0], spans[1], spans[2])
    for n in range(walls.shape[0]):
        key = combine(keys[n, 0], keys[n, 1])
        if not _lay_level(walls, n, width, key, first, lead, tree, branches, cells, steps):
            cells[n, 0] = -1
