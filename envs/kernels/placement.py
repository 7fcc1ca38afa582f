"""Placing things on free cells that can all be reached from one another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goalscope.envs.kernels.jit import inline, kernel
from goalscope.envs.kernels.paths import flood
from goalscope.envs.kernels.rng import below, combine, draw

TRIES = 256
DRAWS = 1024
"""Draws set aside for each item: more than the largest canvas has cells."""
NOWHERE = -1


@inline
def _random_free(walls: NDArray[np.uint8], n: int, key: np.uint64) -> int:
    """A uniform free cell by rejection; none is found only where next to nothing is free."""
    for attempt in range(TRIES):
        cell = below(draw(key, attempt), walls.shape[1])
        if not walls[n, cell]:
            return cell
    return NOWHERE


@inline
def _first_cell(walls: NDArray[np.uint8], n: int, fixed: NDArray[np.int16], key: np.uint64) -> int:
    """A cell of the component in which everything will lie: a fixed item's, else a random free cell."""
    for k in range(fixed.shape[1]):
        if fixed[n, k] >= 0:
            return NOWHERE if walls[n, fixed[n, k]] else fixed[n, k]
    return _random_free(walls, n, key)


@inline
def _choose(
    walls: NDArray[np.uint8],
    seen: NDArray[np.int32],
    stamp: int,
    taken: NDArray[np.int32],
    n: int,
    k: int,
    key: np.uint64,
) -> int:
    """A uniform free cell for item k where none lies; one that the flood has reached, if `stamp` is positive."""
    for attempt in range(TRIES):
        cell = below(draw(key, (k + 1) * DRAWS + attempt), walls.shape[1])
        if not walls[n, cell] and (stamp == 0 or seen[cell] == stamp) and taken[cell] != n + 1:
            return cell
    return NOWHERE


@inline
def _choose_near(
    walls: NDArray[np.uint8],
    seen: NDArray[np.int32],
    stamp: int,
    taken: NDArray[np.int32],
    n: int,
    k: int,
    centre: int,
    radius: int,
    width: int,
    key: np.uint64,
) -> int:
    """As :func:`_choose` within a Manhattan radius of a cell: few cells are, so that all of them are looked at."""
    chosen, count, row, column = NOWHERE, 0, centre // width, centre % width
    for cell in range(walls.shape[1]):
        if walls[n, cell] or (stamp > 0 and seen[cell] != stamp) or taken[cell] == n + 1:
            continue
        if abs(cell // width - row) + abs(cell % width - column) <= radius:
            count += 1
            if below(draw(key, (k + 1) * DRAWS + count), count) == 0:
                chosen = cell
    return chosen


@inline
def _still_reached(
    walls: NDArray[np.uint8],
    passable: NDArray[np.uint8],
    blocking: NDArray[np.uint8],
    cells: NDArray[np.int16],
    n: int,
    width: int,
    seen: NDArray[np.int32],
    stamp: int,
    queue: NDArray[np.int16],
) -> bool:
    """Whether the agent reaches every item, around all those that block; a blocking one from a cell beside it."""
    for cell in range(walls.shape[1]):
        passable[0, cell] = walls[n, cell]
    for k in range(cells.shape[1]):
        if blocking[k]:
            passable[0, cells[n, k]] = 1
    flood(passable, 0, cells[n, 0], width, seen, stamp, queue)
    for k in range(cells.shape[1]):
        cell = cells[n, k]
        reached = seen[cell] == stamp
        if blocking[k]:  # the border is walled, so a free cell has four neighbours
            beside = seen[cell - 1] == stamp or seen[cell + 1] == stamp
            reached = beside or seen[cell - width] == stamp or seen[cell + width] == stamp
        if not reached:
            return False
    return True


@inline
def _place_all(
    walls: NDArray[np.uint8],
    seen: NDArray[np.int32],
    stamp: int,
    taken: NDArray[np.int32],
    cells: NDArray[np.int16],
    n: int,
    near: NDArray[np.int16],
    radius: NDArray[np.int16],
    width: int,
    key: np.uint64,
) -> bool:
    """Find a place for each item that has none yet; cells in use are those whose `taken` is n + 1."""
    for k in range(cells.shape[1]):
        if cells[n, k] >= 0:
            taken[cells[n, k]] = n + 1
    for k in range(cells.shape[1]):
        if cells[n, k] < 0:
            if near[k] < 0:
                cells[n, k] = _choose(walls, seen, stamp, taken, n, k, key)
            else:
                centre = cells[n, near[k]]
                cells[n, k] = _choose_near(walls, seen, stamp, taken, n, k, centre, radius[k], width, key)
        cell = cells[n, k]
        if cell < 0 or walls[n, cell] or (stamp > 0 and seen[cell] != stamp):
            return False
        taken[cell] = n + 1
    return True


@kernel(allocates=True)
def scatter_items(
    walls: NDArray[np.uint8],
    width: int,
    connected: bool,
    keys: NDArray[np.uint64],
    fixed: NDArray[np.int16],
    near: NDArray[np.int16],
    radius: NDArray[np.int16],
    blocking: NDArray[np.uint8],
    cells: NDArray[np.int16],
) -> None:
    """Place K items a level on different cells of one component; see :func:`goalscope.envs.layouts.scatter`."""
    n_cells = walls.shape[1]
    seen, taken = np.zeros(n_cells, np.int32), np.zeros(n_cells, np.int32)
    queue = np.empty(n_cells, np.int16)
    passable = np.empty((1, n_cells), np.uint8)
    blocks = blocking.any()
    for n in range(walls.shape[0]):
        key = combine(keys[n, 0], keys[n, 1])
        for k in range(cells.shape[1]):
            cells[n, k] = fixed[n, k]
        stamp = 0
        if not connected:
            start = _first_cell(walls, n, fixed, key)
            if start < 0:
                cells[n, 0] = NOWHERE
                continue
            stamp = 2 * n + 1
            flood(walls, n, start, width, seen, stamp, queue)
        placed = _place_all(walls, seen, stamp, taken, cells, n, near, radius, width, key)
        if placed and blocks:
            placed = _still_reached(walls, passable, blocking, cells, n, width, seen, 2 * n + 2, queue)
        if not placed:
            cells[n, 0] = NOWHERE


@kernel()
def add_marks(marks: NDArray[np.uint16], cells: NDArray[np.int16], bits: NDArray[np.uint16]) -> None:
    """Add `bits` `[N, K]` to `marks` `[N, H·W]` at the `cells` `[N, K]` that are not negative."""
    for n in range(cells.shape[0]):
        for k in range(cells.shape[1]):
            if cells[n, k] >= 0:
                marks[n, cells[n, k]] |= bits[n, k]
