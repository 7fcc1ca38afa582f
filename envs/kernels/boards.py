"""Sets of cells as bits: a search moves on 64 cells in a few instructions.

A *board* holds the cells of one level: cell c is bit c & 63 of word 1 + (c >> 6). The first and the last word stay
empty, so that no shift has to ask where the board ends; and as borders are walled, none carries a cell from one row
into the next. A search fills `within[k]`, the boards of all cells that are k steps away or nearer.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goalscope.envs.kernels.jit import inline
from goalscope.envs.kernels.rng import below, draw

ZERO, ONE = np.uint64(0), np.uint64(1)
SMALL = 5
"""The least length of a board, with three words of cells: canvases of up to 13×13."""

Bytes = NDArray[np.uint8]
"""`[N, H·W]` one byte a cell."""
Board = NDArray[np.uint64]
"""`[B]`"""
Within = NDArray[np.uint64]
"""`[H·W + 1, B]` boards by number of steps."""


@inline
def board_words(cells: int) -> int:
    """The length of a board of so many cells."""
    return max(SMALL, ((cells + 63) >> 6) + 2)


@inline
def word_of(cell: int) -> int:
    return 1 + (cell >> 6)


@inline
def bit_of(cell: int) -> np.uint64:
    return ONE << np.uint64(cell & 63)


@inline
def has(board: Board, cell: int) -> bool:
    return board[word_of(cell)] & bit_of(cell) != ZERO


@inline
def read_board(cells: Bytes, n: int, absent: int, board: Board) -> None:
    """The cells of level n whose byte is 1, or, if `absent` is 1, 0."""
    board[0] = ZERO
    board[len(board) - 1] = ZERO
    total = cells.shape[1]
    for w in range(1, len(board) - 1):
        word, first = ZERO, (w - 1) << 6
        for b in range(max(0, min(64, total - first))):
            word |= np.uint64(cells[n, first + b] ^ absent) << np.uint64(b)
        board[w] = word


@inline
def write_board(board: Board, n: int, absent: int, cells: Bytes) -> None:
    """The bytes of level n: 1 for the board's cells and 0 for others, or, if `absent` is 1, the other way round."""
    for cell in range(cells.shape[1]):
        cells[n, cell] = np.int64(board[word_of(cell)] >> np.uint64(cell & 63) & ONE) ^ absent


@inline
def copy_board(board: Board, copy: Board) -> None:
    for w in range(len(board)):
        copy[w] = board[w]


@inline
def clear_board(board: Board) -> None:
    for w in range(len(board)):
        board[w] = ZERO


@inline
def without(board: Board, cell: int, rest: Board) -> None:
    """`rest`: the board but for one cell."""
    copy_board(board, rest)
    rest[word_of(cell)] &= ~bit_of(cell)


@inline
def _beside(before: np.uint64, here: np.uint64, after: np.uint64, width: int) -> np.uint64:
    """The cells of a word that lie beside some cell, given the words before, here and after."""
    row, rest = np.uint64(width), np.uint64(64 - width)
    level = here << ONE | before >> np.uint64(63) | here >> ONE | after << np.uint64(63)
    return level | here << row | before >> rest | here >> row | after << rest


@inline
def flood(free: Board, start: int, end: int, width: int, within: Within) -> int:
    """Fill `within` from `start` until `end` is met (−1: to the last cell); returns how many steps that takes.

    That is the distance, or −1 where `end` is out of reach.
    """
    for w in range(len(free)):
        within[0, w] = ZERO
    within[0, word_of(start)] = bit_of(start)
    at, wanted = (word_of(end), bit_of(end)) if end >= 0 else (0, ZERO)
    if len(free) == SMALL:
        step, grows = _flood_small(free, at, wanted, width, within)
    else:
        step, grows = _flood_large(free, at, wanted, width, within)
    return step if grows or end < 0 else -1


@inline
def _flood_small(free: Board, at: int, wanted: np.uint64, width: int, within: Within) -> tuple[int, bool]:
    """As :func:`_flood_large` with all that is reached in variables, not in memory: more than twice as fast."""
    free_a, free_b, free_c = free[1], free[2], free[3]
    end_a, end_b, end_c = wanted * np.uint64(at == 1), wanted * np.uint64(at == 2), wanted * np.uint64(at == 3)
    a, b, c = within[0, 1], within[0, 2], within[0, 3]
    step = 0
    while (a & end_a | b & end_b | c & end_c) == ZERO:
        next_a = (a | _beside(ZERO, a, b, width)) & free_a
        next_b = (b | _beside(a, b, c, width)) & free_b
        next_c = (c | _beside(b, c, ZERO, width)) & free_c
        if next_a == a and next_b == b and next_c == c:
            return step, False
        a, b, c = next_a, next_b, next_c
        step += 1
        within[step, 0], within[step, 1], within[step, 2], within[step, 3], within[step, 4] = ZERO, a, b, c, ZERO
    return step, True


@inline
def _flood_large(free: Board, at: int, wanted: np.uint64, width: int, within: Within) -> tuple[int, bool]:
    """Grow until a bit is met, or nothing grows any more: after how many steps, and whether it is the former."""
    last, step = len(free) - 1, 0
    while within[step, at] & wanted == ZERO:
        new = ZERO
        within[step + 1, 0] = ZERO
        within[step + 1, last] = ZERO
        for w in range(1, last):
            here = within[step, w]
            found = (here | _beside(within[step, w - 1], here, within[step, w + 1], width)) & free[w]
            within[step + 1, w] = found
            new |= found ^ here
        if new == ZERO:
            return step, False
        step += 1
    return step, True


@inline
def flood_around(free: Board, stops: Board, start: int, width: int, within: Within) -> int:
    """Fill `within` from `start` over `free` cells, where `stops` are entered and not passed; returns the last step."""
    for w in range(len(free)):
        within[0, w] = ZERO
    within[0, word_of(start)] = bit_of(start)
    if len(free) == SMALL:
        return _flood_around_small(free, stops, width, within)
    return _flood_around_large(free, stops, width, within)


@inline
def _flood_around_small(free: Board, stops: Board, width: int, within: Within) -> int:
    """As :func:`_flood_around_large`, all in variables."""
    free_a, free_b, free_c = free[1], free[2], free[3]
    open_a, open_b, open_c = ~stops[1], ~stops[2], ~stops[3]
    a, b, c = within[0, 1], within[0, 2], within[0, 3]
    step = 0
    while True:
        from_a, from_b, from_c = a & open_a, b & open_b, c & open_c
        next_a = a | _beside(ZERO, from_a, from_b, width) & free_a
        next_b = b | _beside(from_a, from_b, from_c, width) & free_b
        next_c = c | _beside(from_b, from_c, ZERO, width) & free_c
        if next_a == a and next_b == b and next_c == c:
            return step
        a, b, c = next_a, next_b, next_c
        step += 1
        within[step, 0], within[step, 1], within[step, 2], within[step, 3], within[step, 4] = ZERO, a, b, c, ZERO


@inline
def _flood_around_large(free: Board, stops: Board, width: int, within: Within) -> int:
    """Grow from all that is reached and no stop until nothing grows any more."""
    last, step, new = len(free) - 1, 0, ONE
    while new != ZERO:
        new, before, here = ZERO, ZERO, within[step, 1] & ~stops[1]
        within[step + 1, 0] = ZERO
        within[step + 1, last] = ZERO
        for w in range(1, last):
            after = within[step, w + 1] & ~stops[w + 1]
            found = within[step, w] | _beside(before, here, after, width) & free[w]
            new |= found ^ within[step, w]
            within[step + 1, w] = found
            before, here = here, after
        step += 1
    return step - 1


@inline
def holds_all(board: Board, cells: Board) -> bool:
    """Whether all these cells are among the board's."""
    missing = ZERO
    for w in range(len(board)):
        missing |= cells[w] & ~board[w]
    return missing == ZERO


@inline
def steps_of(cell: int, within: Within) -> int:
    """How many steps away a cell is that was reached."""
    step, at, bit = 0, word_of(cell), bit_of(cell)
    while within[step, at] & bit == ZERO:
        step += 1
    return step


@inline
def trace(within: Within, steps: int, end: int, width: int, front: Board, on: Board) -> None:
    """The cells `on` any shortest path from where the search began to `end`, which is `steps` away."""
    clear_board(front)
    clear_board(on)
    front[word_of(end)] = bit_of(end)
    on[word_of(end)] = bit_of(end)
    for step in range(steps - 1, -1, -1):
        before = ZERO
        for w in range(1, len(on) - 1):
            here = front[w]
            front[w] = _beside(before, here, front[w + 1], width) & within[step, w]
            before = here
            on[w] |= front[w]


@inline
def widen(board: Board, width: int, wide: Board) -> None:
    """All cells within one step, also a diagonal one, of the board's; of use within the border only."""
    row, rest = np.uint64(width), np.uint64(64 - width)
    last = len(board) - 1
    wide[0] = ZERO
    wide[last] = ZERO
    for w in range(1, last):
        here = board[w]
        wide[w] = here | here << row | board[w - 1] >> rest | here >> row | board[w + 1] << rest
    before = ZERO
    for w in range(1, last):
        here = wide[w]
        wide[w] = here | here << ONE | before >> np.uint64(63) | here >> ONE | wide[w + 1] << np.uint64(63)
        before = here


@inline
def _bits(word: np.uint64) -> int:
    """How many bits of a word are set, by adding up neighbouring bits, pairs, fours ..."""
    word -= word >> ONE & np.uint64(0x5555555555555555)
    word = (word & np.uint64(0x3333333333333333)) + (word >> np.uint64(2) & np.uint64(0x3333333333333333))
    word = word + (word >> np.uint64(4)) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64(word * np.uint64(0x0101010101010101) >> np.uint64(56))


@inline
def _first(word: np.uint64) -> int:
    """The number of the lowest bit set."""
    return _bits((word & (~word + ONE)) - ONE)


@inline
def count(board: Board) -> int:
    total = 0
    for w in range(1, len(board) - 1):
        total += _bits(board[w])
    return total


@inline
def pick(among: Board, bits: np.uint64) -> int:
    """One of the cells `among`, all with the same probability; −1 where there is none."""
    total = count(among)
    if total == 0:
        return -1
    ahead = below(bits, total)
    for w in range(1, len(among) - 1):
        word = among[w]
        here = _bits(word)
        if ahead < here:
            for _ in range(ahead):
                word &= word - ONE
            return ((w - 1) << 6) + _first(word)
        ahead -= here
    return -1


@inline
def choose(among: Board, share: float, key: np.uint64, counter: int, chosen: Board) -> int:
    """A uniform draw of this share of the cells `among`, but at least one and not all of them; returns how many.

    None of fewer than two. Each cell is taken with the probability (still wanted) / (still to come).
    """
    total = count(among)
    wanted = max(1, min(total - 1, int(share * total + 0.5)))
    clear_board(chosen)
    if total < 2:
        return 0
    missing, coming = wanted, total
    for w in range(1, len(among) - 1):
        word = among[w]
        while word != ZERO and missing:
            if below(draw(key, counter + coming), coming) < missing:
                chosen[w] |= word & (~word + ONE)
                missing -= 1
            coming -= 1
            word &= word - ONE
    return wanted


@inline
def mark_board(board: Board, n: int, bits: int, marks: NDArray[np.uint16]) -> None:
    """Add `bits` to the cells of level n, `marks` `[N, H·W]`."""
    for w in range(1, len(board) - 1):
        word = board[w]
        while word != ZERO:
            marks[n, ((w - 1) << 6) + _first(word)] |= bits
            word &= word - ONE
