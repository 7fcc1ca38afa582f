"""Levels divided by a wall with two openings: one is shut in what follows, the other is the gate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goalscope.envs.kernels.boards import (
    ONE,
    SMALL,
    ZERO,
    Board,
    Bytes,
    Within,
    _beside,
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
    without,
    word_of,
    write_board,
)
from goalscope.envs.kernels.jit import inline, kernel
from goalscope.envs.kernels.rng import below, combine, draw

TRIES = 32
"""Walls drawn across one level before it counts as unplaced."""
COUNTERS = 7
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
def _farther(
    over: Within, last: int, by_gate: Within, last_by_gate: int, low: int, high: int, side: Board, flip: bool, on: Board
) -> None:
    """The cells `on` one side that are farther from the gate than from `shut` by `low` to `high` steps.

    `over` are the steps from `shut`, never over the gate, and `by_gate` those from the gate, never over `shut`, both
    with the most steps. `side` are the cells on one side of the wall, on the other one if `flip`.
    """
    first, beyond = max(1, 1 - high), min(last, last_by_gate - low) + 1
    if len(on) == SMALL:
        _farther_small(over, by_gate, last_by_gate, first, beyond, low, high, on)
    else:
        _farther_large(over, by_gate, last_by_gate, first, beyond, low, high, on)
    flipped = ~ZERO if flip else ZERO
    for w in range(1, len(on) - 1):
        on[w] &= side[w] ^ flipped


@inline
def _farther_small(
    over: Within, by_gate: Within, last: int, first: int, beyond: int, low: int, high: int, on: Board
) -> None:
    """As :func:`_farther_large` with all that is found in variables, not in memory: four words, as machines like."""
    a, b, c, d = ZERO, ZERO, ZERO, ZERO
    for steps in range(first, beyond):
        here, before = over[np.uint64(steps)], over[np.uint64(steps - 1)]
        near, far = by_gate[np.uint64(max(steps + low, 1) - 1)], by_gate[np.uint64(min(steps + high, last))]
        a |= here[0] & ~before[0] & far[0] & ~near[0]
        b |= here[1] & ~before[1] & far[1] & ~near[1]
        c |= here[2] & ~before[2] & far[2] & ~near[2]
        d |= here[3] & ~before[3] & far[3] & ~near[3]
    on[0], on[1], on[2], on[3] = a, b, c, d


@inline
def _farther_large(
    over: Within, by_gate: Within, last: int, first: int, beyond: int, low: int, high: int, on: Board
) -> None:
    """The cells `first` to `beyond` steps from `shut` that are farther by `low` to `high` from the gate."""
    clear_board(on)
    for steps in range(first, beyond):
        least, most = max(steps + low, 1) - 1, min(steps + high, last)
        for w in range(1, len(on) - 1):
            on[w] |= over[steps, w] & ~over[steps - 1, w] & by_gate[most, w] & ~by_gate[least, w]


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

    As a way to the other side leads over one opening once, it is as long as two ways from that opening together.
    `before` are the cells on one side of the wall; see :func:`_farther`.
    """
    ahead = steps_of(end, over) - steps_of(end, by_gate)
    _farther(over, last, by_gate, last_by_gate, ahead + low, ahead + high, before, has(before, end), allowed)


@inline
def _likely_ends(
    over: Within,
    last: int,
    by_gate: Within,
    last_by_gate: int,
    one: int,
    other: int,
    low: int,
    high: int,
    before: Board,
    rest: Board,
    ends: Board,
) -> None:
    """The cells that may be an end, going by how far apart both openings are on the other end's side.

    Where that is d, no cell is nearer to one opening than to the other by more. `one` and `other` are the cells before
    and behind `shut`; `before` are those before the wall.
    """
    apart = steps_of(other, by_gate) - 1
    _farther(over, last, by_gate, last_by_gate, low - apart, high + apart, before, False, ends)
    apart = steps_of(one, by_gate) - 1
    _farther(over, last, by_gate, last_by_gate, low - apart, high + apart, before, True, rest)
    for w in range(1, len(ends) - 1):
        ends[w] |= rest[w]


@inline
def _draw_ends(
    over: Within,
    last: int,
    by_gate: Within,
    last_by_gate: int,
    low: int,
    high: int,
    before: Board,
    ends: Board,
    key: np.uint64,
    counter: int,
    allowed: Board,
) -> tuple[int, int]:
    """Draw one of the likely `ends`, and a start beyond the wall; each could lie on two other cells. −1 if none."""
    end = pick(ends, draw(key, counter))
    if end < 0:
        return -1, -1
    _detours(over, last, by_gate, last_by_gate, end, low, high, before, allowed)
    if count(allowed) < 3:
        return -1, -1
    start = pick(allowed, draw(key, counter + 1))
    _detours(over, last, by_gate, last_by_gate, start, low, high, before, allowed)
    return (start, end) if count(allowed) >= 3 else (-1, -1)


@inline
def _off_paths(within: Within, one: int, other: int, width: int, front: Board, off: Board) -> None:
    """Take the cells of all shortest paths from where a search began to two cells out of `off`.

    The two lie on different sides of it, so that both paths are traced at once.
    """
    to_one, to_other = steps_of(one, within), steps_of(other, within)
    clear_board(front)
    for step in range(max(to_one, to_other), -1, -1):
        before = ZERO
        for w in range(1, len(off) - 1):
            here = front[w]
            front[w] = _beside(before, here, front[w + 1], width) & within[step, w]
            before = here
        if step == to_one:
            front[word_of(one)] |= bit_of(one)
        if step == to_other:
            front[word_of(other)] |= bit_of(other)
        for w in range(1, len(off) - 1):
            off[w] &= ~front[w]


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
    ends, over, by_gate = (
        np.empty(words, np.uint64),
        np.empty((total + 1, words), np.uint64),
        np.empty((total + 1, words), np.uint64),
    )
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
            _before(shut, gate, width, total, before)
            without(by_gate[last_by_gate], gate, ends)
            if lattice:  # in mazes few ends will do, elsewhere many: there walls count by how many
                _likely_ends(over, last, by_gate, last_by_gate, one, other, low, high, before, rest, ends)
            start, end = _draw_ends(
                over, last, by_gate, last_by_gate, low, high, before, ends, key, counter + 4, allowed
            )
            if end < 0:
                continue
            without(by_gate[last_by_gate], gate, off)
            _off_paths(over, start, end, width, rest, off)
            _off_paths(by_gate, start, end, width, rest, off)
            if count(off) < 2:
                continue
            aside = pick(off, draw(key, counter + 6))
            cells[n, 0], cells[n, 1], cells[n, 2], cells[n, 3], cells[n, 4] = start, end, aside, shut, gate
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
