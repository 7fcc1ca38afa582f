"""Where lava may lie: off every shortest path between two cells, or across them all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goalscope.envs.kernels.boards import (
    ZERO,
    Bytes,
    bit_of,
    board_words,
    choose,
    flood,
    mark_board,
    read_board,
    trace,
    widen,
    without,
    word_of,
)
from goalscope.envs.kernels.jit import kernel
from goalscope.envs.kernels.rng import combine

TRIES = 32
"""Draws of the lava of one level before it counts as unplaced."""
DRAWS = 1024
"""Draws set aside for each of them: more than the largest canvas has cells."""
NEAREST = 3
"""The least steps to what lies across a path: nothing nearer tells one goal from another in a query."""

Cells = NDArray[np.int16]


@kernel(allocates=True)
def lay_beside(
    walls: Bytes,
    width: int,
    keys: NDArray[np.uint64],
    start: Cells,
    end: Cells,
    share: float,
    bits: int,
    marks: NDArray[np.uint16],
    laid: NDArray[np.bool_],
) -> None:
    """Add `bits` to a share of the free cells that lie not within 1, diagonals included, of any shortest path.

    At least one cell, and not all of them, so that they could lie otherwise. `laid` `[N]` becomes false where that
    cannot be, and where the path from `start` to `end` (`[N]` cells, −1 for none) is shorter than 2 steps, so that
    neither end could lie on a cell between them. `marks` `[N, H·W]`.
    """
    words = board_words(walls.shape[1])
    free, left, path = np.empty(words, np.uint64), np.empty(words, np.uint64), np.empty(words, np.uint64)
    wide, lava = np.empty(words, np.uint64), np.empty(words, np.uint64)
    within = np.empty((walls.shape[1] + 1, words), np.uint64)
    for n in range(walls.shape[0]):
        laid[n] = False
        if start[n] < 0:
            continue
        read_board(walls, n, 1, free)
        steps = flood(free, start[n], end[n], width, within)
        if steps < 2:
            continue
        trace(within, steps, end[n], width, left, path)
        widen(path, width, wide)
        for w in range(words):
            left[w] = free[w] & ~wide[w]
        laid[n] = choose(left, share, combine(keys[n, 0], keys[n, 1]), 0, lava) > 0
        if laid[n]:
            mark_board(lava, n, bits, marks)


@kernel(allocates=True)
def lay_across(
    walls: Bytes,
    width: int,
    keys: NDArray[np.uint64],
    start: Cells,
    end: Cells,
    share: float,
    low: int,
    high: int,
    bits: int,
    crossed: int,
    marks: NDArray[np.uint16],
    laid: NDArray[np.bool_],
) -> None:
    """Add `bits` to a share of the free cells, so that the way around them all is longer by `low` to `high` steps.

    Those that lie on a shortest path that ignores them get `crossed` instead; the nearest is 3 steps away or more.
    `low` is at least 1: every shortest path crosses one. `laid` `[N]` becomes false where none of a few draws does
    that. `marks` `[N, H·W]`; `start`, `end` `[N]` cells, −1 for none, which keep free.
    """
    words = board_words(walls.shape[1])
    free, left, path = np.empty(words, np.uint64), np.empty(words, np.uint64), np.empty(words, np.uint64)
    among, lava, safe = np.empty(words, np.uint64), np.empty(words, np.uint64), np.empty(words, np.uint64)
    close = np.empty(words, np.uint64)
    within = np.empty((walls.shape[1] + 1, words), np.uint64)
    for n in range(walls.shape[0]):
        laid[n] = False
        if start[n] < 0:
            continue
        read_board(walls, n, 1, free)
        steps = flood(free, start[n], end[n], width, within)
        if steps <= NEAREST:
            continue
        trace(within, steps, end[n], width, left, path)
        for w in range(words):
            among[w], close[w] = free[w], within[NEAREST - 1, w] & path[w]
        without(among, start[n], among)
        without(among, end[n], among)
        key = combine(keys[n, 0], keys[n, 1])
        for attempt in range(TRIES):
            if choose(among, share, key, attempt * DRAWS, lava) == 0:
                break
            too_close = ZERO
            for w in range(words):
                safe[w] = free[w] & ~lava[w]
                too_close |= lava[w] & close[w]
            if too_close != ZERO:
                continue
            around = flood(safe, start[n], end[n], width, within)
            if steps + low <= around <= steps + high:
                laid[n] = True
                for w in range(words):
                    left[w] = lava[w] & ~path[w]
                    lava[w] &= path[w]
                mark_board(left, n, bits, marks)
                mark_board(lava, n, crossed, marks)
                break


@kernel(allocates=True)
def places_beside(walls: Bytes, lava: Bytes, width: int, end: Cells, allowed: Bytes) -> None:
    """Where one end of a path may lie, the other being `end` `[N]`, so that `lava` is not within 1 of any shortest one.

    `allowed` `[N, H·W]` bytes; never `end` itself. `walls`, `lava` `[N, H·W]` bytes.
    """
    words = board_words(walls.shape[1])
    free, left, path = np.empty(words, np.uint64), np.empty(words, np.uint64), np.empty(words, np.uint64)
    hot, near = np.empty(words, np.uint64), np.empty(words, np.uint64)
    within = np.empty((walls.shape[1] + 1, words), np.uint64)
    for n in range(walls.shape[0]):
        allowed[n, :] = 0
        read_board(walls, n, 1, free)
        read_board(lava, n, 0, hot)
        widen(hot, width, near)
        last = flood(free, end[n], -1, width, within)
        for steps in range(1, last + 1):
            for cell in range(walls.shape[1]):
                at, bit = word_of(cell), bit_of(cell)
                if within[steps, at] & bit != ZERO and within[steps - 1, at] & bit == ZERO:
                    trace(within, steps, cell, width, left, path)
                    met = ZERO
                    for w in range(words):
                        met |= path[w] & near[w]
                    allowed[n, cell] = met == ZERO


@kernel(allocates=True)
def places_across(
    walls: Bytes, lava: Bytes, crossed: Bytes, width: int, end: Cells, low: int, high: int, allowed: Bytes
) -> None:
    """Where one end of a path may lie, the other being `end` `[N]`, so that it crosses the `lava` as it should.

    As it should: the lava on the shortest paths that ignore it is exactly what `crossed` says, and the way around all
    lava is longer by `low` to `high`, at least 1. `walls`, `lava`, `crossed`, `allowed` `[N, H·W]` bytes.
    """
    words = board_words(walls.shape[1])
    free, left, path = np.empty(words, np.uint64), np.empty(words, np.uint64), np.empty(words, np.uint64)
    hot, wanted = np.empty(words, np.uint64), np.empty(words, np.uint64)
    within = np.empty((walls.shape[1] + 1, words), np.uint64)
    around = np.empty((walls.shape[1] + 1, words), np.uint64)
    for n in range(walls.shape[0]):
        allowed[n, :] = 0
        read_board(walls, n, 1, free)
        read_board(lava, n, 0, hot)
        read_board(crossed, n, 0, wanted)
        last = flood(free, end[n], -1, width, within)
        for w in range(words):
            path[w] = free[w] & ~hot[w]
        last_around = flood(path, end[n], -1, width, around)
        for steps in range(1, last + 1):
            for cell in range(walls.shape[1]):
                at, bit = word_of(cell), bit_of(cell)
                if within[steps, at] & bit == ZERO or within[steps - 1, at] & bit != ZERO:
                    continue
                soon, late = min(steps + low - 1, last_around), min(steps + high, last_around)
                if around[soon, at] & bit != ZERO or around[late, at] & bit == ZERO:
                    continue
                trace(within, steps, cell, width, left, path)
                differs = ZERO
                for w in range(words):
                    differs |= path[w] & hot[w] ^ wanted[w]
                allowed[n, cell] = differs == ZERO
