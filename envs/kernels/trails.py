"""Trails: one shortest path a level, drawn uniformly among all of them, and marked cell by cell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goalscope.envs.kernels.jit import inline, kernel
from goalscope.envs.kernels.paths import FAR, step_of
from goalscope.envs.kernels.rng import combine, draw, unit

WALL = np.int16(-2)
DRAWS = 8
"""Draws set aside for each step: one for each further way on, and the last for whether the cell is left out."""


@inline
def _count_paths(
    walls: NDArray[np.uint8],
    n: int,
    start: int,
    end: int,
    width: int,
    steps: NDArray[np.int16],
    paths: NDArray[np.float64],
    queue: NDArray[np.int16],
) -> bool:
    """Search from `end` until `start` is met: steps to the end, and how many shortest paths lead there.

    When the start is met every cell nearer to the end has its final count. False where the start is out of reach.
    """
    for cell in range(walls.shape[1]):
        steps[cell] = WALL if walls[n, cell] else FAR
    steps[end], paths[end], queue[0] = 0, 1.0, end
    head, tail = 0, 1
    while head < tail:
        here = queue[head]
        head += 1
        further, ways = np.int16(steps[here] + 1), paths[here]
        for direction in range(4):
            there = here + step_of(direction, width)
            if steps[there] == FAR:
                steps[there] = further
                if there == start:
                    return True
                paths[there] = ways
                queue[tail] = there
                tail += 1
            elif steps[there] == further:
                paths[there] += ways
    return False


@inline
def _next_cell(
    here: int, left: int, width: int, steps: NDArray[np.int16], paths: NDArray[np.float64], key: np.uint64
) -> int:
    """A neighbour from which `left` steps are left, drawn in proportion to the shortest paths that go on from it."""
    chosen, total = here, 0.0
    for direction in range(4):
        there = here + step_of(direction, width)
        if steps[there] == left:
            total += paths[there]
            if total == paths[there] or unit(draw(key, left * DRAWS + direction)) * total < paths[there]:
                chosen = there
    return chosen


@kernel(allocates=True)
def lay_trails(
    walls: NDArray[np.uint8],
    shut: NDArray[np.uint8],
    width: int,
    keys: NDArray[np.uint64],
    start: NDArray[np.int16],
    end: NDArray[np.int16],
    along: NDArray[np.uint16],
    at_end: NDArray[np.uint16],
    gap: float,
    marks: NDArray[np.uint16],
    laid: NDArray[np.bool_],
) -> None:
    """Mark one shortest path a level from `start` to `end` (`[N]` cells, −1 for none), each of them equally probable.

    The bits `along` `[N]` go to every cell between the two, but for a share `gap` of them, and `at_end` `[N]` to the
    end. `laid` `[N]` becomes false where there is no path, or where the one drawn leads over a cell of `shut`; the
    marks of such a level are of no use. `walls`, `shut` `[N, H·W]` bytes, the border walled; `marks` `[N, H·W]`.
    """
    cells = walls.shape[1]
    steps, paths, queue = np.empty(cells, np.int16), np.empty(cells, np.float64), np.empty(cells, np.int16)
    for n in range(walls.shape[0]):
        laid[n] = False
        if start[n] < 0 or end[n] < 0:
            continue
        if not _count_paths(walls, n, start[n], end[n], width, steps, paths, queue):
            continue
        key = combine(keys[n, 0], keys[n, 1])
        laid[n] = True
        here, left = np.int64(start[n]), np.int64(steps[start[n]]) - 1
        while left > 0:
            here = _next_cell(here, left, width, steps, paths, key)
            if shut[n, here]:
                laid[n] = False
            if gap == 0.0 or unit(draw(key, left * DRAWS + 7)) >= gap:
                marks[n, here] |= along[n]
            left -= 1
        marks[n, end[n]] |= at_end[n]
