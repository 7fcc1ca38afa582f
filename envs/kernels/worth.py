"""An agent and two objectives, the larger of which is worth more from wherever it lies: place and value together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goalscope.envs.kernels.boards import (
    Board,
    Bytes,
    Within,
    board_words,
    copy_board,
    flood,
    pick,
    read_board,
    without,
)
from goalscope.envs.kernels.jit import inline, kernel
from goalscope.envs.kernels.rng import combine, draw, unit
from goalscope.envs.kernels.shortest import Cells, _steps_beside

TRIES = 16
"""Places drawn in one map before it counts as unplaced: in mazes one objective walls off the other in half of them."""
DRAWS = 4
"""Pairs of values tried for one try's places."""
COUNTERS = 16
"""Draws set aside for one try."""


@inline
def _draw_values(
    key: np.uint64,
    counter: int,
    near: int,
    far: int,
    bounds: NDArray[np.float64],
    discounted: NDArray[np.float64],
    n: int,
    values: NDArray[np.float32],
) -> bool:
    """Draw the larger and the smaller value of level n until the larger is worth more at the farther place, too."""
    lowest, margin, widest, least_gain = bounds
    for k in range(DRAWS):
        gap = margin + unit(draw(key, counter + 2 * k)) * (widest - margin)
        small = lowest + unit(draw(key, counter + 2 * k + 1)) * (1.0 - lowest - gap)
        values[n, 0] = small + gap
        values[n, 1] = small
        gain = np.float64(values[n, 0]) * discounted[far] - np.float64(values[n, 1]) * discounted[near]
        if gain >= least_gain:
            return True
    return False


@inline
def _draw_places(
    free: Board, connected: bool, width: int, key: np.uint64, counter: int, within: Within, rest: Board
) -> tuple[int, int, int]:
    """Three different cells of one component, the first of which is any free one; −1 for those without a place."""
    agent = pick(free, draw(key, counter))
    if agent < 0:
        return -1, -1, -1
    if connected:
        without(free, agent, rest)
    else:
        last = flood(free, agent, -1, width, within)
        copy_board(within[last], rest)
        without(rest, agent, rest)
    one = pick(rest, draw(key, counter + 1))
    if one < 0:
        return agent, -1, -1
    without(rest, one, rest)
    return agent, one, pick(rest, draw(key, counter + 2))


@kernel(allocates=True)
def place_worth(
    walls: Bytes,
    width: int,
    connected: bool,
    keys: NDArray[np.uint64],
    bounds: NDArray[np.float64],
    discounted: NDArray[np.float64],
    cells: Cells,
    values: NDArray[np.float32],
) -> None:
    """Draw where the agent and two objectives are and what these are worth, so that the larger may be either of them.

    Fills `cells` `[N, 3]`, the agent's first, and `values` `[N, 2]`, the larger first; all −1 where no try fits. What
    fits: both objectives can be reached around the other one, and the larger value, discounted by the steps to the
    farther place, exceeds the smaller at the nearer by the least gain. `bounds` are the lowest value, the least and the
    largest difference of the two, and that gain; `discounted` is what 1 is worth by number of steps. `walls`
    `[N, H·W]`; `connected` if all free cells can be reached from one another.
    """
    words = board_words(walls.shape[1])
    free, rest = np.empty(words, np.uint64), np.empty(words, np.uint64)
    within = np.empty((walls.shape[1] + 1, words), np.uint64)
    for n in range(walls.shape[0]):
        cells[n, :] = -1
        key = combine(keys[n, 0], keys[n, 1])
        read_board(walls, n, 1, free)
        for attempt in range(TRIES):
            counter = COUNTERS * attempt
            agent, one, two = _draw_places(free, connected, width, key, counter, within, rest)
            if two < 0:
                continue
            without(free, one, rest)
            without(rest, two, rest)
            last = flood(rest, agent, -1, width, within)
            to_one = _steps_beside(one, width, within, last)
            to_two = _steps_beside(two, width, within, last)
            if to_one < 0 or to_two < 0:
                continue
            near, far = min(to_one, to_two), max(to_one, to_two)
            if _draw_values(key, counter + 3, near, far, bounds, discounted, n, values):
                cells[n, 0], cells[n, 1], cells[n, 2] = agent, one, two
                break
        if cells[n, 0] < 0:
            values[n, :] = -1
