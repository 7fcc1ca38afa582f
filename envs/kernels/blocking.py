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
    holds_all,
    pick,
    read_board,
    steps_of,
    word_of,
)
from goalscope.envs.kernels.branches import Cells, lay_on_branches
from goalscope.envs.kernels.jit import inline, kernel
from goalscope.envs.kernels.rng import combine, draw

TRIES = 32
"""Draws of all places on one map before it counts as unplaced: few maps need more."""
DRAWS = 16
"""Draws set aside for each of them: more than things are ever laid."""


def lay_blocking(
    walls: Bytes,
    width: int,
    tree: bool,
    keys: NDArray[np.uint64],
    first: int,
    lead: int,
    cells: Cells,
    steps: Cells,
) -> None:
    """Fill `cells` `[N, 1 + K]`, the agent's and those of K things that block, and the `steps` `[N, K]` to each.

    All things are `first` or more steps away from the agent, which none of them shuts in, and each is in reach around
    the others. With a `lead` above 0 the first thing is nearer than any other by at least that. `steps` are around all
    other things. The agent's cell is −1 where no place was found. `walls` `[N, H·W]` bytes, free cells forming a `tree`
    over the odd cells or not.
    """
    if tree:
        lay_on_branches(walls, width, keys, first, lead, cells, steps)
    else:
        lay_around(walls, width, keys, first, lead, cells, steps)


@inline
def _allow(within: Within, least: int, most: int, stops: Board, allowed: Board) -> int:
    """The cells `allowed`, `least` to `most` steps away and without a stop; returns how many."""
    clear_board(allowed)
    if most >= least:
        for w in range(len(allowed)):
            allowed[w] = within[most, w] & ~within[least - 1, w] & ~stops[w]
    return count(allowed)


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
    width: int,
    key: np.uint64,
    counter: int,
    first: int,
    lead: int,
    allowed: Board,
    stops: Board,
    within: Within,
    cells: Cells,
    steps: Cells,
) -> bool:
    """Lay all things of level n once; whether each is in reach then around the rest."""
    clear_board(stops)
    last = flood_around(free, stops, cells[n, 0], width, within)
    least = first
    for k in range(1, cells.shape[1]):
        leads = k == 1 and lead > 0
        needed, most = (1, last - lead) if leads else (cells.shape[1] - k, last)
        if _allow(within, least, most, stops, allowed) < needed:
            return False
        cell = pick(allowed, draw(key, counter + k))
        cells[n, k] = cell
        if leads:
            least = steps_of(cell, within) + lead
        stops[word_of(cell)] |= bit_of(cell)
        last = flood_around(free, stops, cells[n, 0], width, within)
    if not holds_all(within[last], stops):
        return False
    for k in range(steps.shape[1]):
        steps[n, k] = steps_of(cells[n, 1 + k], within)
    return _can_leave(within, stops)


@kernel(allocates=True)
def lay_around(
    walls: Bytes, width: int, keys: NDArray[np.uint64], first: int, lead: int, cells: Cells, steps: Cells
) -> None:
    """As :func:`lay_blocking` in any layout.

    The agent gets a uniform free cell, and each thing one that is in reach around the earlier ones; all are laid anew
    where one is shut off then, or the agent shut in among them. With a lead the first thing lies where enough is left
    so far behind it, and all others lie there. So none of them is on a shortest path to the first, and as things only
    lengthen the way to others, the lead stays.
    """
    words = board_words(walls.shape[1])
    free, stops, allowed = np.empty(words, np.uint64), np.empty(words, np.uint64), np.empty(words, np.uint64)
    within = np.empty((walls.shape[1] + 1, words), np.uint64)
    for n in range(walls.shape[0]):
        key, laid = combine(keys[n, 0], keys[n, 1]), False
        read_board(walls, n, 1, free)
        for attempt in range(TRIES):
            at = attempt * DRAWS
            cells[n, 0] = pick(free, draw(key, at))
            if cells[n, 0] < 0:
                break
            laid = _lay_things(free, n, width, key, at, first, lead, allowed, stops, within, cells, steps)
            if laid:
                break
        if not laid:
            cells[n, 0] = -1
