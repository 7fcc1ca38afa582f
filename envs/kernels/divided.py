"""Levels divided by a wall with two openings: one is shut in what follows, the other is the gate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goalscope.envs.kernels.boards import (
    ONE,
    ZERO,
    Board,
    Bytes,
    Within,
    bit_of,
    board_words,
    clear_board,
    copy_board,
    count,
    flood,
    has,
    pick,
    read_board,
    steps_of,
    trace,
    without,
    word_of,
    write_board,
)
from goalscope.envs.kernels.jit import inline, kernel
from goalscope.envs.kernels.rng import below, combine, draw

TRIES = 32
"""Walls drawn across one level before it counts as unplaced."""
ENDS = 16
"""Pairs of ends drawn for one wall: for many the way by the gate is far too long, or no longer."""
COUNTERS = 4 + 3 * ENDS
"""Draws set aside for one wall."""

Cells = NDArray[np.int16]


@inline
def _divide(
    free: Board, width: int, size: int, lattice: bool, key: np.uint64, counter: int, openings: Board
) -> tuple[int, int]:
    """Build a wall across a level, upright or level, with one opening; returns its cell and how far its sides are.

    Anywhere but beside the border. On a `lattice` the wall stands on an even line and opens on odd ones, so that it
    runs through no cell of a maze and along the walls of rooms. `openings` are all cells where it could open.
    """
    step = 2 if lattice else 1
    lines, places = (size - 5) // step + 1, (size - 3) // step + 1
    at = 2 + step * below(draw(key, counter + 1), lines)
    upright = draw(key, counter) & np.uint64(1)
    start, along, beside = (at, width, 1) if upright else (at * width, 1, width)
    clear_board(openings)
    for k in range(1, size - 1):
        free[word_of(start + k * along)] &= ~bit_of(start + k * along)
    for k in range(places):
        cell = start + (1 + step * k) * along
        openings[word_of(cell)] |= bit_of(cell)
    shut = start + (1 + step * below(draw(key, counter + 2), places)) * along
    free[word_of(shut)] |= bit_of(shut)
    return shut, beside


@inline
def _gates(openings: Board, shut: int, beside: int, reached: Board, gates: Board) -> None:
    """The `openings` but for `shut` by which there is a way around it: both sides are `reached` from `shut`."""
    without(openings, shut, gates)
    near, far = np.uint64(beside), np.uint64(64 - beside)
    for w in range(1, len(gates) - 1):
        ahead = reached[w] << near | reached[w - 1] >> far
        behind = reached[w] >> near | reached[w + 1] << far
        gates[w] &= ahead & behind


@inline
def _before(shut: int, gate: int, width: int, cells: int, before: Board) -> None:
    """The cells above, or left of, the line through two cells."""
    row, column = shut // width, shut % width
    clear_board(before)
    if row == gate // width:
        for cell in range(row * width):
            before[word_of(cell)] |= bit_of(cell)
        return
    left = bit_of(column) - ONE
    for first in range(0, cells, width):
        at, shift = word_of(first), np.uint64(first & 63)
        before[at] |= left << shift
        before[at + 1] |= left >> ONE >> np.uint64(63) - shift
    before[len(before) - 1] = ZERO


@inline
def _ahead(over: Within, by_gate: Within, end: int) -> int:
    """How many steps farther a cell is from the opening `shut` than from the gate."""
    return steps_of(end, over) - steps_of(end, by_gate)


@inline
def _detours(
    over: Within,
    last: int,
    by_gate: Within,
    last_by_gate: int,
    end: int,
    low: int,
    high: int,
    before: Board,
    allowed: Board,
) -> None:
    """The cells beyond the wall from which the way to `end` by the gate is longer by `low` to `high` than over `shut`.

    `over` are the steps from `shut`, never over the gate, and `by_gate` those from the gate, never over `shut`, both
    with the most steps. As a way to the other side leads over one opening once, it is as long as two ways from that
    opening together. `before` are the cells on one side of the wall.
    """
    clear_board(allowed)
    ahead = _ahead(over, by_gate, end)
    for steps in range(1, last + 1):
        least, most = max(steps + ahead + low, 1), min(steps + ahead + high, last_by_gate)
        if least > most:
            continue
        for w in range(1, len(allowed) - 1):
            allowed[w] |= over[steps, w] & ~over[steps - 1, w] & by_gate[most, w] & ~by_gate[least - 1, w]
    beyond = has(before, end)
    for w in range(1, len(allowed) - 1):
        allowed[w] &= ~before[w] if beyond else before[w]


@inline
def _off_paths(within: Within, one: int, other: int, width: int, front: Board, path: Board, off: Board) -> None:
    """Take the cells of all shortest paths from where a search began to two cells out of `off`."""
    for end in (one, other):
        trace(within, steps_of(end, within), end, width, front, path)
        for w in range(len(off)):
            off[w] &= ~path[w]


@kernel(allocates=True)
def place_astride(
    walls: Bytes,
    width: int,
    size: int,
    lattice: bool,
    keys: NDArray[np.uint64],
    low: int,
    high: int,
    cells: Cells,
) -> None:
    """Build a wall with two openings across each level, and draw two ends of a path on either side of it.

    Fills `cells` `[N, 5]`: both ends, a cell off every shortest path between them, the opening `shut` and the opening
    `gate`; −1 where a few draws give none. The way by the gate is longer by `low` to `high` steps, 2 at least, than
    over `shut`. Each end could lie on two other cells and the cell off the paths on one. `walls` `[N, H·W]` bytes, in
    place; layouts of side `size`, at least 5; `lattice` as in `_divide`.
    """
    total = walls.shape[1]
    words = board_words(total)
    plain, free, rest = np.empty(words, np.uint64), np.empty(words, np.uint64), np.empty(words, np.uint64)
    allowed, off, before = np.empty(words, np.uint64), np.empty(words, np.uint64), np.empty(words, np.uint64)
    ends = np.empty(words, np.uint64)
    over, by_gate = np.empty((total + 1, words), np.uint64), np.empty((total + 1, words), np.uint64)
    for n in range(walls.shape[0]):
        cells[n, :] = -1
        key = combine(keys[n, 0], keys[n, 1])
        read_board(walls, n, 1, plain)
        for attempt in range(TRIES):
            counter = COUNTERS * attempt
            copy_board(plain, free)
            shut, beside = _divide(free, width, size, lattice, key, counter, off)
            one, other = shut - beside, shut + beside
            if not (has(free, one) and has(free, other)):
                continue
            last = flood(free, shut, -1, width, over)
            _gates(off, shut, beside, over[last], rest)
            gate = pick(rest, draw(key, counter + 3))
            if gate < 0:
                continue
            without(free, shut, rest)
            rest[word_of(gate)] |= bit_of(gate)
            last_by_gate = flood(rest, gate, -1, width, by_gate)
            # A cell is nearer to one opening than to the other by no more than lies between the two on its side.
            between_one, between_other = steps_of(one, by_gate) - 1, steps_of(other, by_gate) - 1
            if between_one + between_other < low:
                continue
            without(by_gate[last_by_gate], gate, ends)
            _before(shut, gate, width, total, before)
            for draws in range(counter + 4, counter + COUNTERS, 3):
                end = pick(ends, draw(key, draws))
                between = between_other if has(before, end) else between_one
                if not -between - high <= _ahead(over, by_gate, end) <= between - low:
                    continue
                _detours(over, last, by_gate, last_by_gate, end, low, high, before, allowed)
                if count(allowed) < 3:
                    continue
                start = pick(allowed, draw(key, draws + 1))
                _detours(over, last, by_gate, last_by_gate, start, low, high, before, allowed)
                if count(allowed) < 3:
                    continue
                copy_board(ends, off)
                _off_paths(over, start, end, width, before, rest, off)
                _off_paths(by_gate, start, end, width, before, rest, off)
                if count(off) < 2:
                    continue
                aside = pick(off, draw(key, draws + 2))
                cells[n, 0], cells[n, 1], cells[n, 2], cells[n, 3], cells[n, 4] = start, end, aside, shut, gate
                break
            if cells[n, 0] >= 0:
                free[word_of(gate)] |= bit_of(gate)
                write_board(free, n, 1, walls)
                break


@kernel(allocates=True)
def places_astride(
    walls: Bytes, width: int, shut: Cells, gate: Cells, end: Cells, low: int, high: int, allowed: Bytes
) -> None:
    """Where one end of a path may lie, the other being `end` `[N]`; see :func:`place_astride`.

    `allowed` `[N, H·W]` bytes.
    """
    total = walls.shape[1]
    words = board_words(total)
    free, before, rest = np.empty(words, np.uint64), np.empty(words, np.uint64), np.empty(words, np.uint64)
    over, by_gate = np.empty((total + 1, words), np.uint64), np.empty((total + 1, words), np.uint64)
    for n in range(walls.shape[0]):
        allowed[n, :] = 0
        read_board(walls, n, 1, free)
        without(free, gate[n], rest)
        last = flood(rest, shut[n], -1, width, over)
        without(free, shut[n], rest)
        last_by_gate = flood(rest, gate[n], -1, width, by_gate)
        at, bit = word_of(end[n]), bit_of(end[n])
        if over[last, at] & by_gate[last_by_gate, at] & bit == ZERO:
            continue
        _before(shut[n], gate[n], width, total, before)
        _detours(over, last, by_gate, last_by_gate, end[n], low, high, before, rest)
        write_board(rest, n, 0, allowed)
