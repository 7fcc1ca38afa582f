"""Which cells shortest paths cross, and what may lie on them: searches on bitboards, one 32-bit word a row.

A *layer* is the set of cells a given number of steps away; a whole row of it moves on in a few instructions. All
kernels want the border walled and a canvas of at most 32 columns. Paths count both of their ends.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goalscope.envs.kernels.jit import inline, kernel
from goalscope.envs.kernels.rng import below, combine, draw

TRIES = 32
"""Draws of the lava of one level before it counts as unplaced."""
DRAWS = 1024
"""Draws set aside for each of them: more than the largest canvas has cells."""
NEAREST = 3
"""The least steps to what lies across a path: nothing nearer tells one goal from another in a query."""

Bytes = NDArray[np.uint8]
Cells = NDArray[np.int16]
Rows = NDArray[np.uint32]
"""`[H]` the cells of one level, bit x of row y."""
Layers = NDArray[np.uint32]
"""`[H·W, H]` rows by number of steps."""


@inline
def _read(cells: Bytes, n: int, width: int, absent: int, rows: Rows) -> None:
    """The cells of level n whose byte is 1, or, if `absent` is 1, 0, as rows."""
    cell = 0
    for y in range(len(rows)):
        row = 0
        for x in range(width):
            row |= (np.int64(cells[n, cell]) ^ absent) << x
            cell += 1
        rows[y] = row


@inline
def _flood(free: Rows, start: int, end: int, width: int, layers: Layers, left: Rows) -> int:
    """Fill `layers` from `start` until `end` is met (−1: to the last cell); returns the number of the last layer.

    That is the distance, or −1 where `end` is out of reach. `left` is scratch.
    """
    height = len(free)
    for y in range(height):
        left[y] = free[y]
        layers[0, y] = 0
    layers[0, start // width] = 1 << (start % width)
    left[start // width] &= ~(1 << (start % width))
    row, column = (end // width, end % width) if end >= 0 else (0, 0)
    step = 0
    while end < 0 or not layers[step, row] >> column & 1:
        grown = 0
        layers[step + 1, 0] = 0
        layers[step + 1, height - 1] = 0
        for y in range(1, height - 1):
            here = layers[step, y]
            found = (here << 1 | here >> 1 | layers[step, y - 1] | layers[step, y + 1]) & left[y]
            layers[step + 1, y] = found
            left[y] &= ~found
            grown |= found
        if grown == 0:
            return step if end < 0 else -1
        step += 1
    return step


@inline
def _trace(layers: Layers, steps: int, end: int, width: int, front: Rows, on: Rows) -> None:
    """The cells `on` any shortest path from where the layers begin to `end`, which lies in layer `steps`."""
    height = len(on)
    for y in range(height):
        front[y] = 0
        on[y] = 0
    front[end // width] = 1 << (end % width)
    on[end // width] = 1 << (end % width)
    for step in range(steps - 1, -1, -1):
        above = np.uint32(0)
        for y in range(1, height - 1):
            here = front[y]
            front[y] = (here << 1 | here >> 1 | above | front[y + 1]) & layers[step, y]
            above = here
            on[y] |= front[y]


@inline
def _widen(rows: Rows, wide: Rows) -> None:
    """All cells within one step, also a diagonal one, of `rows`, but for the border."""
    for y in range(1, len(rows) - 1):
        both = rows[y - 1] | rows[y] | rows[y + 1]
        wide[y] = both | both << 1 | both >> 1
    wide[0] = 0
    wide[len(rows) - 1] = 0


@inline
def _count(rows: Rows) -> int:
    """How many cells, by adding up neighbouring bits, pairs, fours ..."""
    total = 0
    for y in range(len(rows)):
        bits = np.int64(rows[y])
        bits -= bits >> 1 & 0x55555555
        bits = (bits & 0x33333333) + (bits >> 2 & 0x33333333)
        bits = (bits + (bits >> 4)) & 0x0F0F0F0F
        total += (bits * 0x01010101 & 0xFFFFFFFF) >> 24
    return total


@inline
def _choose(among: Rows, share: float, key: np.uint64, counter: int, chosen: Rows) -> int:
    """A uniform draw of this share of the cells `among`, but at least one and not all of them; returns how many.

    None of fewer than two. Each cell is taken with the probability (still wanted) / (still to come).
    """
    total = _count(among)
    wanted = max(1, min(total - 1, int(share * total + 0.5)))
    for y in range(len(among)):
        chosen[y] = 0
    if total < 2:
        return 0
    missing, coming = wanted, total
    for y in range(1, len(among) - 1):
        bits = np.int64(among[y])
        while bits and missing:
            if below(draw(key, counter + coming), coming) < missing:
                chosen[y] |= bits & -bits
                missing -= 1
            coming -= 1
            bits &= bits - 1
    return wanted


@inline
def _pick(among: Rows, width: int, bits: np.uint64) -> int:
    """One of the cells `among`, all with the same probability; −1 where there is none."""
    total = _count(among)
    if total == 0:
        return -1
    ahead = below(bits, total)
    for y in range(len(among)):
        for x in range(width):
            ahead -= np.int64(among[y] >> x & 1)
            if ahead < 0:
                return y * width + x
    return -1


@inline
def _write(rows: Rows, n: int, width: int, bits: int, marks: NDArray[np.uint16]) -> None:
    for y in range(1, len(rows) - 1):
        if rows[y]:
            for x in range(width):
                if rows[y] >> x & 1:
                    marks[n, y * width + x] |= bits


@inline
def _spread(rows: Rows, n: int, width: int, cells: Bytes) -> None:
    """The bytes of level n from rows."""
    for y in range(len(rows)):
        for x in range(width):
            cells[n, y * width + x] = rows[y] >> x & 1


@kernel(allocates=True)
def mark_shortest(walls: Bytes, width: int, start: Cells, end: Cells, on: Bytes, steps: Cells) -> None:
    """The cells `on` `[N, H·W]` any shortest path from `start` to `end` `[N]`, and its `steps`, −1 where there is none.

    `walls` `[N, H·W]` bytes.
    """
    height = walls.shape[1] // width
    free, left, path = np.empty(height, np.uint32), np.empty(height, np.uint32), np.empty(height, np.uint32)
    layers = np.empty((walls.shape[1] + 1, height), np.uint32)
    for n in range(walls.shape[0]):
        _read(walls, n, width, 1, free)
        steps[n] = _flood(free, start[n], end[n], width, layers, left)
        on[n, :] = 0
        if steps[n] >= 0:
            _trace(layers, steps[n], end[n], width, left, path)
            _spread(path, n, width, on)


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
    height = walls.shape[1] // width
    free, left, path = np.empty(height, np.uint32), np.empty(height, np.uint32), np.empty(height, np.uint32)
    wide, lava = np.empty(height, np.uint32), np.empty(height, np.uint32)
    layers = np.empty((walls.shape[1] + 1, height), np.uint32)
    for n in range(walls.shape[0]):
        laid[n] = False
        if start[n] < 0:
            continue
        _read(walls, n, width, 1, free)
        steps = _flood(free, start[n], end[n], width, layers, left)
        if steps < 2:
            continue
        _trace(layers, steps, end[n], width, left, path)
        _widen(path, wide)
        for y in range(height):
            left[y] = free[y] & ~wide[y]
        laid[n] = _choose(left, share, combine(keys[n, 0], keys[n, 1]), 0, lava) > 0
        if laid[n]:
            _write(lava, n, width, bits, marks)


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
    height = walls.shape[1] // width
    free, left, path = np.empty(height, np.uint32), np.empty(height, np.uint32), np.empty(height, np.uint32)
    among, lava, safe = np.empty(height, np.uint32), np.empty(height, np.uint32), np.empty(height, np.uint32)
    close = np.empty(height, np.uint32)
    layers = np.empty((walls.shape[1] + 1, height), np.uint32)
    for n in range(walls.shape[0]):
        laid[n] = False
        if start[n] < 0:
            continue
        _read(walls, n, width, 1, free)
        steps = _flood(free, start[n], end[n], width, layers, left)
        if steps <= NEAREST:
            continue
        _trace(layers, steps, end[n], width, left, path)
        for y in range(height):
            among[y], close[y] = free[y], 0
            for step in range(1, NEAREST):
                close[y] |= layers[step, y] & path[y]
        among[start[n] // width] &= ~(1 << (start[n] % width))
        among[end[n] // width] &= ~(1 << (end[n] % width))
        key = combine(keys[n, 0], keys[n, 1])
        for attempt in range(TRIES):
            if _choose(among, share, key, attempt * DRAWS, lava) == 0:
                break
            too_close = 0
            for y in range(height):
                safe[y] = free[y] & ~lava[y]
                too_close |= lava[y] & close[y]
            if too_close:
                continue
            around = _flood(safe, start[n], end[n], width, layers, left)
            if steps + low <= around <= steps + high:
                laid[n] = True
                for y in range(height):
                    left[y] = lava[y] & ~path[y]
                    lava[y] &= path[y]
                _write(left, n, width, bits, marks)
                _write(lava, n, width, crossed, marks)
                break


@kernel(allocates=True)
def places_beside(walls: Bytes, lava: Bytes, width: int, end: Cells, allowed: Bytes) -> None:
    """Where one end of a path may lie, the other being `end` `[N]`, so that `lava` is not within 1 of any shortest one.

    `allowed` `[N, H·W]` bytes; never `end` itself. `walls`, `lava` `[N, H·W]` bytes.
    """
    height = walls.shape[1] // width
    free, left, path = np.empty(height, np.uint32), np.empty(height, np.uint32), np.empty(height, np.uint32)
    hot, near = np.empty(height, np.uint32), np.empty(height, np.uint32)
    layers = np.empty((walls.shape[1] + 1, height), np.uint32)
    for n in range(walls.shape[0]):
        allowed[n, :] = 0
        _read(walls, n, width, 1, free)
        _read(lava, n, width, 0, hot)
        _widen(hot, near)
        last = _flood(free, end[n], -1, width, layers, left)
        for steps in range(1, last + 1):
            for cell in range(walls.shape[1]):
                if layers[steps, cell // width] >> (cell % width) & 1:
                    _trace(layers, steps, cell, width, left, path)
                    met = 0
                    for y in range(height):
                        met |= path[y] & near[y]
                    allowed[n, cell] = met == 0


@kernel(allocates=True)
def places_across(
    walls: Bytes, lava: Bytes, crossed: Bytes, width: int, end: Cells, low: int, high: int, allowed: Bytes
) -> None:
    """Where one end of a path may lie, the other being `end` `[N]`, so that it crosses the `lava` as it should.

    As it should: the lava on the shortest paths that ignore it is exactly what `crossed` says, and the way around all
    lava is longer by `low` to `high`, at least 1. `walls`, `lava`, `crossed`, `allowed` `[N, H·W]` bytes.
    """
    height = walls.shape[1] // width
    free, left, path = np.empty(height, np.uint32), np.empty(height, np.uint32), np.empty(height, np.uint32)
    hot, wanted = np.empty(height, np.uint32), np.empty(height, np.uint32)
    layers = np.empty((walls.shape[1] + 1, height), np.uint32)
    around = np.empty((walls.shape[1] + 1, height), np.uint32)
    for n in range(walls.shape[0]):
        allowed[n, :] = 0
        _read(walls, n, width, 1, free)
        _read(lava, n, width, 0, hot)
        _read(crossed, n, width, 0, wanted)
        last = _flood(free, end[n], -1, width, layers, left)
        for y in range(height):
            path[y] = free[y] & ~hot[y]
        last_around = _flood(path, end[n], -1, width, around, left)
        for steps in range(1, last + 1):
            for cell in range(walls.shape[1]):
                row, column = cell // width, cell % width
                if not layers[steps, row] >> column & 1:
                    continue
                fits = False
                for longer in range(steps + low, min(steps + high, last_around) + 1):
                    if around[longer, row] >> column & 1:
                        fits = True
                if not fits:
                    continue
                _trace(layers, steps, cell, width, left, path)
                differs = 0
                for y in range(height):
                    differs |= path[y] & hot[y] ^ wanted[y]
                allowed[n, cell] = differs == 0


@inline
def _divide(free: Rows, width: int, size: int, lattice: bool, key: np.uint64, counter: int) -> tuple[int, int]:
    """Build a wall across a level, upright or level, with two openings; returns their cells, in the order drawn.

    Anywhere but beside the border. On a `lattice` the wall stands on an even line and opens on odd ones, so that it
    runs through no cell of a maze and along the walls of rooms.
    """
    step = 2 if lattice else 1
    lines, places = (size - 5) // step + 1, (size - 3) // step + 1
    at = 2 + step * below(draw(key, counter + 1), lines)
    first = below(draw(key, counter + 2), places)
    second = (first + 1 + below(draw(key, counter + 3), places - 1)) % places
    one, other = 1 + step * first, 1 + step * second
    if draw(key, counter) & np.uint64(1):
        for y in range(1, size - 1):
            free[y] &= ~(1 << at)
        free[one] |= 1 << at
        free[other] |= 1 << at
        return one * width + at, other * width + at
    free[at] = 1 << one | 1 << other
    return at * width + one, at * width + other


@inline
def _shut_cell(free: Rows, cell: int, width: int, shut: Rows) -> None:
    """`shut`: the free cells but one."""
    for y in range(len(free)):
        shut[y] = free[y]
    shut[cell // width] &= ~(1 << (cell % width))


@inline
def _around_gate(free: Rows, shut: int, gate: int, width: int, layers: Layers, left: Rows, rest: Rows) -> int:
    """Steps from one side of the cell `shut` of a wall to the other by way of `gate`; −1 where there is no way."""
    beside = width if shut // width == gate // width else 1
    one, other = shut - beside, shut + beside
    _shut_cell(free, shut, width, rest)
    if not (free[one // width] >> (one % width) & free[other // width] >> (other % width) & 1):
        return -1
    return _flood(rest, one, other, width, layers, left)


@inline
def _far_side(shut: int, gate: int, end: int, width: int, far: Rows) -> None:
    """The cells on the other side, seen from `end`, of the line through two cells."""
    row, column = shut // width, shut % width
    for y in range(len(far)):
        far[y] = 0
        if row == gate // width:
            if (y - row) * (end // width - row) < 0:
                far[y] = 0xFFFFFFFF
        else:
            before = (1 << column) - 1
            far[y] = ~before & ~(1 << column) if end % width < column else before


@inline
def _around(
    free: Rows,
    shut: int,
    gate: int,
    end: int,
    low: int,
    high: int,
    width: int,
    layers: Layers,
    around: Layers,
    left: Rows,
    allowed: Rows,
) -> None:
    """Free cells on the far side from which the way to `end` around `shut` is longer by `low` to `high` than over it.

    Fills `layers` with the steps from `end`, and `around` with those around `shut`.
    """
    height = len(free)
    last = _flood(free, end, -1, width, layers, left)
    _shut_cell(free, shut, width, allowed)
    last_around = _flood(allowed, end, -1, width, around, left)
    _far_side(shut, gate, end, width, left)
    for y in range(height):
        allowed[y] = 0
    for steps in range(1, last + 1):
        for longer in range(steps + low + (low & 1), min(steps + high, last_around) + 1, 2):  # an odd detour is none
            for y in range(height):
                allowed[y] |= layers[steps, y] & around[longer, y] & left[y]


@inline
def _off_paths(layers: Layers, around: Layers, end: int, width: int, front: Rows, path: Rows, off: Rows) -> None:
    """Take the cells of all shortest paths to `end`, in both sets of layers, out of `off`."""
    for way in range(2):
        steps, seen = 0, layers if way == 0 else around
        while not seen[steps, end // width] >> (end % width) & 1:
            steps += 1
        _trace(seen, steps, end, width, front, path)
        for y in range(len(off)):
            off[y] &= ~path[y]


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
    height = walls.shape[1] // width
    plain, free, left = np.empty(height, np.uint32), np.empty(height, np.uint32), np.empty(height, np.uint32)
    allowed, off, path = np.empty(height, np.uint32), np.empty(height, np.uint32), np.empty(height, np.uint32)
    layers = np.empty((walls.shape[1] + 1, height), np.uint32)
    around = np.empty((walls.shape[1] + 1, height), np.uint32)
    for n in range(walls.shape[0]):
        cells[n, :] = -1
        key = combine(keys[n, 0], keys[n, 1])
        _read(walls, n, width, 1, plain)
        for attempt in range(TRIES):
            for y in range(height):
                free[y] = plain[y]
            shut, gate = _divide(free, width, size, lattice, key, 8 * attempt)
            if _around_gate(free, shut, gate, width, layers, left, off) < low + 2:
                continue
            _flood(free, shut, -1, width, layers, left)
            for y in range(height):
                off[y] = free[y] & ~left[y]
            off[shut // width] &= ~(1 << (shut % width))
            off[gate // width] &= ~(1 << (gate % width))
            end = _pick(off, width, draw(key, 8 * attempt + 4))
            _around(free, shut, gate, end, low, high, width, layers, around, left, allowed)
            if _count(allowed) < 3:
                continue
            start = _pick(allowed, width, draw(key, 8 * attempt + 5))
            _around(free, shut, gate, start, low, high, width, layers, around, left, allowed)
            if _count(allowed) < 3:
                continue
            _off_paths(layers, around, end, width, left, path, off)
            if _count(off) < 2:
                continue
            aside = _pick(off, width, draw(key, 8 * attempt + 6))
            cells[n, 0], cells[n, 1], cells[n, 2], cells[n, 3], cells[n, 4] = start, end, aside, shut, gate
            for y in range(height):
                free[y] = ~free[y]
            _spread(free, n, width, walls)
            break


@kernel(allocates=True)
def places_astride(
    walls: Bytes, width: int, shut: Cells, gate: Cells, end: Cells, low: int, high: int, allowed: Bytes
) -> None:
    """Where one end of a path may lie, the other being `end` `[N]`; see :func:`place_astride`.

    `allowed` `[N, H·W]` bytes.
    """
    height = walls.shape[1] // width
    free, left, found = np.empty(height, np.uint32), np.empty(height, np.uint32), np.empty(height, np.uint32)
    layers = np.empty((walls.shape[1] + 1, height), np.uint32)
    around = np.empty((walls.shape[1] + 1, height), np.uint32)
    for n in range(walls.shape[0]):
        _read(walls, n, width, 1, free)
        _around(free, shut[n], gate[n], end[n], low, high, width, layers, around, left, found)
        _spread(found, n, width, allowed)
