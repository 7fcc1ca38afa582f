"""Walls: open rooms, random blocks, divided rooms, spanning trees, braided mazes.

Every kernel works on flat cells (y · W + x) of one level and takes the random draws from the level's own key. A layout
of side `size` fills the top left corner of the canvas; the rest of the canvas is wall.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goalscope.envs.kernels.jit import inline, kernel
from goalscope.envs.kernels.rng import below, combine, draw, unit

OPEN, BLOCKS, ROOMS, TREE, BRAIDED = range(5)
SMALLEST_ROOM = 3

RIGHT, DOWN, LEFT, UP = 1, 2, 4, 8
COUNT = np.array([bin(ways).count("1") for ways in range(16)])
"""`[16]` how many directions are in a set of them."""
NTH = np.array(
    [([d for d in range(4) if ways >> d & 1] + [0] * 4)[k] for ways in range(16) for k in range(4)], np.int64
)
"""`[16 · 4]` the first, second, third and fourth direction in a set of them: 0 to 3 for right, down, left, up."""


@inline
def _carve_open(walls: NDArray[np.uint8], n: int, size: int, width: int) -> None:
    for y in range(1, size - 1):
        for x in range(1, size - 1):
            walls[n, y * width + x] = 0


@inline
def _add_blocks(walls: NDArray[np.uint8], n: int, size: int, width: int, p: float, key: np.uint64) -> None:
    counter = 0
    for y in range(1, size - 1):
        for x in range(1, size - 1):
            walls[n, y * width + x] = 1 if unit(draw(key, counter)) < p else 0
            counter += 1


@inline
def _mark_ways(size: int, width: int, ways: NDArray[np.uint8]) -> None:
    """In which directions, one bit each, an odd cell lies two cells away from each odd cell.

    `ways` has a margin of two rows and two cells on both sides, so that no cell has to look where it lies.
    """
    ways[:] = 0
    for y in range(1, size - 1, 2):
        for x in range(1, size - 1, 2):
            right, down = x < size - 2, y < size - 2
            left, up = x > 1, y > 1
            ways[(y + 2) * width + 2 + x] = right | down << 1 | left << 2 | up << 3


@inline
def _enter(walls: NDArray[np.uint8], n: int, cell: int, width: int, ways: NDArray[np.uint8]) -> None:
    """Carve an odd cell: from none of the four around it does a way lead here any more."""
    walls[n, cell] = 0
    at = cell + 2 * width + 2
    ways[at - 2] &= 0xF ^ RIGHT
    ways[at - 2 * width] &= 0xF ^ DOWN
    ways[at + 2] &= 0xF ^ LEFT
    ways[at + 2 * width] &= 0xF ^ UP


@inline
def _carve_tree(
    walls: NDArray[np.uint8],
    n: int,
    size: int,
    width: int,
    key: np.uint64,
    ways: NDArray[np.uint8],
    stack: NDArray[np.int16],
) -> int:
    """A depth-first spanning tree over the odd cells; returns how many draws it used.

    The stack holds the cells behind that had another way out when they were left. A draw serves four choices, sixteen
    bits each (bias below 5e-5). There are few branches, since what they depend on is random: guessed wrong half of the
    time, they cost more than all the rest.
    """
    half = (size - 1) // 2
    bits = draw(key, 0)
    x, y = 1 + 2 * below(bits, half), 1 + 2 * below(bits << np.uint64(32), half)
    here = np.int64(y * width + x)
    _enter(walls, n, here, width, ways)
    depth, used, left = 0, 1, 0
    while True:
        out = np.int64(ways[here + 2 * width + 2])
        if out == 0:
            if depth == 0:
                return used
            depth -= 1
            here = np.int64(stack[depth])
            continue
        count = COUNT[out]
        several = np.int64(count > 1)
        if left < several:
            bits = draw(key, used)
            used += 1
            left = 4
        pick = np.int64((bits & np.uint64(0xFFFF)) * np.uint64(count) >> np.uint64(16))  # 0 where count is 1
        bits >>= np.uint64(16 * several)
        left -= several
        way = np.int64(NTH[4 * out + pick])
        stack[depth] = here
        depth += several
        along = 1 - (way & 2)
        step = along * width if way & 1 else along
        walls[n, here + step] = 0
        here += 2 * step
        _enter(walls, n, here, width, ways)


@inline
def _open_dead_ends(
    walls: NDArray[np.uint8], n: int, size: int, width: int, p: float, key: np.uint64, counter: int
) -> None:
    """Give each dead end, with probability `p`, a second way out."""
    for y in range(1, size - 1, 2):
        for x in range(1, size - 1, 2):
            here = y * width + x
            shut = walls[n, here + 1] + walls[n, here - 1] + walls[n, here + width] + walls[n, here - width]
            counter += 1
            if shut < 3 or unit(draw(key, counter - 1)) >= p:
                continue
            first = below(draw(key, counter), 4)
            counter += 1
            for turn in range(4):
                direction = (first + turn) & 3
                step = 1 if direction == 0 else width if direction == 1 else -1 if direction == 2 else -width
                ny, nx = (here + 2 * step) // width, (here + 2 * step) % width
                if walls[n, here + step] and 0 < ny < size - 1 and 0 < nx < size - 1:
                    if 0 < (here + step) // width < size - 1 and 0 < (here + step) % width < size - 1:
                        walls[n, here + step] = 0
                        break


@inline
def _divide_rooms(
    walls: NDArray[np.uint8], n: int, size: int, width: int, key: np.uint64, stack: NDArray[np.int16]
) -> None:
    """Recursive division: walls on even lines, one doorway on an odd line each, so no wall ever shuts a doorway."""
    _carve_open(walls, n, size, width)
    stack[0], stack[1], stack[2], stack[3] = 1, 1, size - 2, size - 2
    depth = 1
    counter = 0
    while depth > 0:
        depth -= 1
        x0, y0, x1, y1 = stack[4 * depth], stack[4 * depth + 1], stack[4 * depth + 2], stack[4 * depth + 3]
        wide, high = x1 - x0 + 1, y1 - y0 + 1
        bits = draw(key, counter)
        counter += 1
        upright = wide > high or (wide == high and (bits & np.uint64(1)) == 0)
        if (wide if upright else high) < 2 * SMALLEST_ROOM + 1:
            continue
        if upright:
            at = x0 + SMALLEST_ROOM + 2 * below(bits, (wide - 2 * SMALLEST_ROOM + 1) // 2)
            door = y0 + 2 * below(draw(key, counter), (high + 1) // 2)
            for y in range(y0, y1 + 1):
                walls[n, y * width + at] = 0 if y == door else 1
            stack[4 * depth], stack[4 * depth + 1], stack[4 * depth + 2], stack[4 * depth + 3] = x0, y0, at - 1, y1
            depth += 1
            stack[4 * depth], stack[4 * depth + 1], stack[4 * depth + 2], stack[4 * depth + 3] = at + 1, y0, x1, y1
        else:
            at = y0 + SMALLEST_ROOM + 2 * below(bits, (high - 2 * SMALLEST_ROOM + 1) // 2)
            door = x0 + 2 * below(draw(key, counter), (wide + 1) // 2)
            for x in range(x0, x1 + 1):
                walls[n, at * width + x] = 0 if x == door else 1
            stack[4 * depth], stack[4 * depth + 1], stack[4 * depth + 2], stack[4 * depth + 3] = x0, y0, x1, at - 1
            depth += 1
            stack[4 * depth], stack[4 * depth + 1], stack[4 * depth + 2], stack[4 * depth + 3] = x0, at + 1, x1, y1
        depth += 1
        counter += 1


@kernel(allocates=True)
def draw_mazes(
    walls: NDArray[np.uint8],
    width: int,
    keys: NDArray[np.uint64],
    kind: int,
    size: int,
    p: float,
    keep: NDArray[np.int16],
) -> None:
    """Fill `walls` `[N, H·W]` with layouts of a kind; the cells of `keep` are forced free."""
    stack = np.empty(4 * size * size, np.int16)
    ways, all_ways = np.empty((size + 4) * width, np.uint8), np.empty((size + 4) * width, np.uint8)
    _mark_ways(size, width, all_ways)
    for n in range(walls.shape[0]):
        key = combine(keys[n, 0], keys[n, 1])
        walls[n, :] = 1
        if kind == OPEN:
            _carve_open(walls, n, size, width)
        elif kind == BLOCKS:
            _add_blocks(walls, n, size, width, p, key)
        elif kind == ROOMS:
            _divide_rooms(walls, n, size, width, key, stack)
        else:
            ways[:] = all_ways
            used = _carve_tree(walls, n, size, width, key, ways, stack)
            if kind == BRAIDED:
                _open_dead_ends(walls, n, size, width, p, key, used)
        for cell in keep:
            walls[n, cell] = 0


@kernel()
def hash_rows(rows: NDArray[np.uint8], hashes: NDArray[np.uint64]) -> None:
    """Fold the bytes of each row of `rows` `[N, K]` into `hashes` `[N]`, eight at a time."""
    for n in range(rows.shape[0]):
        h = hashes[n]
        word = np.uint64(0)
        for k in range(rows.shape[1]):
            word = (word << np.uint64(8)) | np.uint64(rows[n, k])
            if k & 7 == 7:
                h = combine(h, word)
                word = np.uint64(0)
        hashes[n] = combine(h, word ^ np.uint64(rows.shape[1]))
