"""Laying things that none can walk past, so that each is reached around all others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goalscope.envs.kernels.boards import (
    ZERO,
    Board,
    Bytes,
    Within,
    bit_of,
    board_words,
    clear_board,
    count,
    flood_around,
    has,
    holds_all,
    pick,
    read_board,
    steps_of,
    trace_beyond,
    word_of,
)
from goalscope.envs.kernels.jit import inline, kernel
from goalscope.envs.kernels.paths import step_of
from goalscope.envs.kernels.rng import combine, draw

TRIES = 32
"""Draws of all places on one map before it counts as unplaced: few maps, even trees, need more."""
SAME = 8
"""Of which so many, in trees, from the same cell of the agent: one flood serves them all."""
DRAWS = 16
"""Draws set aside for each of them: more than things are ever laid."""

Cells = NDArray[np.int16]


@inline
def _allow(within: Within, least: int, most: int, shut: Board, allowed: Board) -> int:
    """The cells `allowed`, `least` to `most` steps away and not `shut`; returns how many."""
    clear_board(allowed)
    if most >= least:
        for w in range(len(allowed)):
            allowed[w] = within[most, w] & ~within[least - 1, w] & ~shut[w]
    return count(allowed)


@inline
def _walk_back(within: Within, steps: int, cell: int, width: int, on: Board) -> None:
    """Add to `on` the cells of a shortest path to a cell that is `steps` away."""
    here = cell
    for step in range(steps - 1, -1, -1):
        for direction in range(4):
            there = here + step_of(direction, width)
            if has(within[step], there):
                here = there
                break
        on[word_of(here)] |= bit_of(here)


@inline
def _can_leave(within: Within, stops: Board) -> bool:
    """Whether some cell beside the agent's holds no stop."""
    free = ZERO
    for w in range(len(stops)):
        free |= within[1, w] & ~within[0, w] & ~stops[w]
    return free != ZERO


@inline
def _lay_things(
    free: Board,
    n: int,
    last: int,
    width: int,
    acyclic: bool,
    key: np.uint64,
    counter: int,
    first: int,
    lead: int,
    allowed: Board,
    stops: Board,
    shut: Board,
    front: Board,
    within: Within,
    cells: Cells,
    steps: Cells,
) -> bool:
    """Lay all things of level n once; whether each is in reach then, as `within` tells, around the rest.

    Before, `within` is what the agent reaches, up to step `last`, around none. In a tree it stays so: a thing beyond no
    other and on no way to one shuts none off, and all ways stay as they were.
    """
    clear_board(stops)
    clear_board(shut)
    least = first
    for k in range(1, cells.shape[1]):
        leads = k == 1 and lead > 0
        needed, most = (1, last - lead) if leads else (cells.shape[1] - k, last)
        if _allow(within, least, most, shut, allowed) < needed:
            return False
        cell = pick(allowed, draw(key, counter + k))
        away = steps_of(cell, within)
        cells[n, k], steps[n, k - 1] = cell, away
        if leads:
            least = away + lead
        stops[word_of(cell)] |= bit_of(cell)
        shut[word_of(cell)] |= bit_of(cell)
        if not acyclic:
            last = flood_around(free, stops, cells[n, 0], width, within)
        elif k < cells.shape[1] - 1:
            trace_beyond(within, away, last, cell, width, front, shut)
            if not leads:
                _walk_back(within, away, cell, width, shut)
    return holds_all(within[last], stops) and _can_leave(within, stops)


@kernel(allocates=True)
def lay_blocking(
    walls: Bytes,
    width: int,
    acyclic: bool,
    keys: NDArray[np.uint64],
    first: int,
    lead: int,
    cells: Cells,
    steps: Cells,
) -> None:
    """Fill `cells` `[N, 1 + K]`, the agent's and those of K things that block, and the `steps` `[N, K]` to each.

    The agent gets a uniform free cell, and each thing one that is `first` or more steps away and within reach around
    the earlier ones; all are laid anew where one is shut off then, or the agent shut in among them. With a `lead` above
    0 the first thing is nearer than any other by at least that: it lies where enough is left so far behind it, and all
    others lie there. So none of them is on a shortest path to the first, and as things only lengthen the way to others,
    the lead stays. `steps` are around all other things. The agent's cell is −1 where no place was found. `walls`
    `[N, H·W]` bytes; where free cells form a tree, `acyclic`, only cells that shut none off are drawn.
    """
    words = board_words(walls.shape[1])
    free, stops, allowed = np.empty(words, np.uint64), np.empty(words, np.uint64), np.empty(words, np.uint64)
    shut, front = np.empty(words, np.uint64), np.empty(words, np.uint64)
    within = np.empty((walls.shape[1] + 1, words), np.uint64)
    for n in range(walls.shape[0]):
        key, laid, last = combine(keys[n, 0], keys[n, 1]), False, 0
        read_board(walls, n, 1, free)
        for attempt in range(TRIES):
            at = attempt * DRAWS
            if not acyclic or attempt % SAME == 0:
                cells[n, 0] = pick(free, draw(key, at))
                if cells[n, 0] < 0:
                    break
                clear_board(stops)
                last = flood_around(free, stops, cells[n, 0], width, within)
            laid = _lay_things(
                free, n, last, width, acyclic, key, at, first, lead, allowed, stops, shut, front, within, cells, steps
            )
            if laid:
                break
        if not laid:
            cells[n, 0] = -1
        elif not acyclic:
            for k in range(steps.shape[1]):
                steps[n, k] = steps_of(cells[n, 1 + k], within)
