"""Which cells shortest paths cross, and how long two are that may not cross each other's ends."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goalscope.envs.kernels.boards import (
    ZERO,
    Bytes,
    Within,
    bit_of,
    board_words,
    flood,
    read_board,
    trace,
    without,
    word_of,
    write_board,
)
from goalscope.envs.kernels.jit import inline, kernel

Cells = NDArray[np.int16]


@kernel(allocates=True)
def mark_shortest(walls: Bytes, width: int, start: Cells, end: Cells, on: Bytes, steps: Cells) -> None:
    """The cells `on` `[N, H·W]` any shortest path from `start` to `end` `[N]`, and its `steps`, −1 where there is none.

    Paths count both of their ends. `walls` `[N, H·W]` bytes.
    """
    words = board_words(walls.shape[1])
    free, front, path = np.empty(words, np.uint64), np.empty(words, np.uint64), np.empty(words, np.uint64)
    within = np.empty((walls.shape[1] + 1, words), np.uint64)
    for n in range(walls.shape[0]):
        read_board(walls, n, 1, free)
        steps[n] = flood(free, start[n], end[n], width, within)
        on[n, :] = 0
        if steps[n] >= 0:
            trace(within, steps[n], end[n], width, front, path)
            write_board(path, n, 0, on)


@inline
def _steps_beside(cell: int, width: int, within: Within, last: int) -> int:
    """One more than the fewest steps to a cell beside the given one; −1 where none was reached."""
    right, down, left, up = cell + 1, cell + width, cell - 1, cell - width
    for step in range(last + 1):
        beside = within[step, word_of(right)] & bit_of(right) | within[step, word_of(down)] & bit_of(down)
        beside |= within[step, word_of(left)] & bit_of(left) | within[step, word_of(up)] & bit_of(up)
        if beside != ZERO:
            return step + 1
    return -1


@kernel(allocates=True)
def steps_around(walls: Bytes, width: int, start: Cells, ends: Cells, steps: Cells) -> None:
    """`steps` `[N, 2]` from `start` `[N]` to each of two `ends` `[N, 2]`, never over the other one; −1 for no way.

    Also −1 for a negative start. `walls` `[N, H·W]` bytes.
    """
    words = board_words(walls.shape[1])
    free = np.empty(words, np.uint64)
    within = np.empty((walls.shape[1] + 1, words), np.uint64)
    for n in range(walls.shape[0]):
        steps[n, 0] = -1
        steps[n, 1] = -1
        if start[n] < 0:
            continue
        read_board(walls, n, 1, free)
        without(free, ends[n, 0], free)
        without(free, ends[n, 1], free)
        last = flood(free, start[n], -1, width, within)
        for k in range(2):
            steps[n, k] = _steps_beside(ends[n, k], width, within, last)
