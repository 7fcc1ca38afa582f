"""Divided mazes: as `divided`, several times as fast, for mazes whose odd cells fit into one word.

In a maze only odd cells, the *nodes*, and the passages between two of them are free. Nodes are bits of a word, row by
row, and so are passages, by the node before them: those `across` the wall's direction in one word, those `along` it in
another. A maze that a level wall is to divide is read with rows and columns exchanged, so that all walls are upright.

A search holds nodes only: layer k of one from an opening has the nodes within 2k + 1 steps. A passage is a step farther
than the nearer of its nodes, so that of it, too, the distances from two openings differ by twice as much as the layers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goalscope.envs.kernels.boards import ONE, SMALL, ZERO, Board, Bytes, bit_of, count, pick, word_of
from goalscope.envs.kernels.divided import COUNTERS, TRIES, Cells
from goalscope.envs.kernels.jit import inline, kernel
from goalscope.envs.kernels.rng import below, combine, draw

LARGEST_MAZE = 17
"""The longest side with at most 64 nodes."""
AT_ONCE = 8
"""Walls of one direction that are tried before it is drawn again: to read the maze anew takes as long as two walls."""
NODES, ACROSS, ALONG = 1, 2, 3
"""The words of a board of nodes and passages."""

Word = np.uint64
Layers = NDArray[np.uint64]
"""`[K]` the nodes within so many layers of a search."""


@inline
def _list_cells(half: int, across: int, along: int, cells: Cells) -> None:
    """Fill `cells` `[192]` with the cell of each bit of a board; the next cell across or along is so much farther."""
    for row in range(half):
        for column in range(half):
            node, cell = row * half + column, (2 * row + 1) * along + (2 * column + 1) * across
            cells[node], cells[64 + node], cells[128 + node] = cell, cell + across, cell + along


@inline
def _read_maze(walls: Bytes, n: int, half: int, across: int, along: int) -> tuple[Word, Word]:
    """The passages across and along of level n; see :func:`_list_cells`."""
    passages, others = ZERO, ZERO
    for row in range(half):
        for column in range(half):
            cell, shift = (2 * row + 1) * along + (2 * column + 1) * across, np.uint64(row * half + column)
            passages |= np.uint64(walls[n, cell + across] ^ 1) << shift
            others |= np.uint64(walls[n, cell + along] ^ 1) << shift
    return passages, others


@inline
def _nodes_of(place: int, row: Word) -> Word:
    """The node of a board's bit, or both of a passage."""
    node, kind = bit_of(place), word_of(place)
    return node | (node << ONE) * np.uint64(kind == ACROSS) | (node << row) * np.uint64(kind == ALONG)


@inline
def _flood_maze(opening: Word, across: Word, along: Word, row: Word, layers: Layers) -> int:
    """Search from an opening to the last node; returns the last layer. `row` is how many nodes a row has."""
    across |= opening
    nodes, met, step = ZERO, opening | opening << ONE, -1
    while met != nodes:
        nodes = met
        step += 1
        layers[step] = nodes
        a, b = (nodes | nodes >> ONE) & across, (nodes | nodes >> row) & along
        met = nodes | a | a << ONE | b | b << row
    return step


@inline
def _layer_of(nodes: Word, layers: Layers) -> int:
    """The first layer with one of these nodes."""
    step = 0
    while layers[step] & nodes == ZERO:
        step += 1
    return step


@inline
def _lead(place: Word, over: Layers, by_gate: Layers) -> int:
    """By how many layers a cell, given as nodes, is farther from the gate than from `shut`."""
    return _layer_of(place, by_gate) - _layer_of(place, over)


@inline
def _leading(over: Layers, last: int, by_gate: Layers, last_by_gate: int, least: int) -> Word:
    """The nodes with a lead of `least` or more. Both searches meet the same nodes."""
    nodes = over[min(-least, last)] if least <= 0 else ZERO
    for step in range(max(0, 1 - least), min(last, last_by_gate - least) + 1):
        nodes |= over[step] & ~by_gate[step + least - 1]
    return nodes


@inline
def _with_next(nodes: Word, shift: Word, either: bool) -> Word:
    """The nodes that are in a set with the next one, `shift` on, or, with `either`, where one of the two is."""
    return nodes | nodes >> shift if either else nodes & nodes >> shift


@inline
def _with_lead(
    over: Layers,
    last: int,
    by_gate: Layers,
    last_by_gate: int,
    odd: int,
    low: int,
    high: int,
    side: Word,
    across: Word,
    along: Word,
    row: Word,
    on: Board,
) -> int:
    """The cells `on` the side of these nodes with a lead of `low` to `high`; returns how many.

    All nodes' leads are odd, or all even, as `odd` says. A passage's is the mean of its nodes', equal or two apart:
    where a bound lies between these, one node within it will do.
    """
    least = _leading(over, last, by_gate, last_by_gate, low) & side
    more = _leading(over, last, by_gate, last_by_gate, high + 1) & side
    either_least, either_more = (low ^ odd) & 1 == 1, (high + 1 ^ odd) & 1 == 1
    on[NODES] = least & ~more
    on[ACROSS] = across & _with_next(least, ONE, either_least) & ~_with_next(more, ONE, either_more)
    on[ALONG] = along & _with_next(least, row, either_least) & ~_with_next(more, row, either_more)
    return count(on)


@inline
def _draw_openings(
    plain: Word,
    along: Word,
    columns: Word,
    half: int,
    key: np.uint64,
    counter: int,
    over: Layers,
    by_gate: Layers,
    among: Board,
) -> tuple[int, int, int, int, int]:
    """Draw a wall's line and two openings by which there is a way around each other, and search from both.

    Returns how many columns lie before the wall, both openings (−1 if none), and both last layers. `columns` has the
    nodes of the first column.
    """
    line, row = below(draw(key, counter), half - 1), np.uint64(half)
    wall, shut = columns << np.uint64(line), 64 + line + half * below(draw(key, counter + 1), half)
    last = _flood_maze(bit_of(shut), plain & ~wall, along, row, over)
    among[NODES], among[ACROSS], among[ALONG] = ZERO, wall & over[last] & over[last] >> ONE & ~bit_of(shut), ZERO
    gate = pick(among, draw(key, counter + 2))
    if gate < 0:
        return line + 1, -1, -1, 0, 0
    return line + 1, shut, gate, last, _flood_maze(bit_of(gate), plain & ~wall, along, row, by_gate)


@inline
def _draw_ends(
    over: Layers,
    last: int,
    by_gate: Layers,
    last_by_gate: int,
    low: int,
    high: int,
    left: Word,
    across: Word,
    along: Word,
    row: Word,
    key: np.uint64,
    counter: int,
    among: Board,
) -> tuple[int, int, bool]:
    """Draw an end among all that is met, and a start beyond the wall; each could lie on two other cells. −1 if none.

    As a way crosses the wall once, its detour is the lead of both ends together. Where hardly a start has one of `low`
    to `high`, the openings may have to be swapped; whether they were is returned, too.
    """
    among[NODES], among[ACROSS], among[ALONG] = over[last], over[last] & across, over[last] & along
    end = pick(among, draw(key, counter))
    nodes, odd = _nodes_of(end, row), _layer_of(over[0], by_gate) & 1
    lead, side = _lead(nodes, over, by_gate), ~left if nodes & left else left
    starts = _with_lead(
        over, last, by_gate, last_by_gate, odd, low - lead, high - lead, side, across, along, row, among
    )
    swapped = starts < 3
    if swapped:
        low, high = -high, -low
        starts = _with_lead(
            over, last, by_gate, last_by_gate, odd, low - lead, high - lead, side, across, along, row, among
        )
    if starts < 3:
        return -1, -1, swapped
    start = pick(among, draw(key, counter + 1))
    lead = _lead(_nodes_of(start, row), over, by_gate)
    ends = _with_lead(over, last, by_gate, last_by_gate, odd, low - lead, high - lead, ~side, across, along, row, among)
    return (start, end, swapped) if ends >= 3 else (-1, -1, swapped)


@inline
def _off_paths(
    layers: Layers, last: int, start: int, end: int, across: Word, along: Word, row: Word, off: Board
) -> None:
    """Take the cells of all shortest paths from where a search began to `start` and to `end` out of `off`.

    The two lie on different sides of it, so that both paths are traced at once.
    """
    one, other = _nodes_of(start, row), _nodes_of(end, row)
    front, nodes, passages, others = ZERO, ZERO, ZERO, ZERO
    for step in range(last, -1, -1):
        here, nearer = layers[step], layers[step - 1] if step else ZERO
        front |= here & (one * np.uint64(one & nearer == ZERO) | other * np.uint64(other & nearer == ZERO))
        nodes |= front
        a = across & (front & nearer >> ONE | front >> ONE & nearer)
        b = along & (front & nearer >> row | front >> row & nearer)
        passages, others = passages | a, others | b
        front = (a | a << ONE | b | b << row) & nearer
    off[NODES], off[ACROSS], off[ALONG] = off[NODES] & ~nodes, off[ACROSS] & ~passages, off[ALONG] & ~others
    off[word_of(start)] &= ~bit_of(start)
    off[word_of(end)] &= ~bit_of(end)


@inline
def _build(walls: Bytes, n: int, first: int, along: int, length: int, shut: int, gate: int) -> None:
    """Build a wall of so many cells from the first on, but for its openings."""
    for k in range(length):
        walls[n, first + k * along] = 1
    walls[n, shut], walls[n, gate] = 0, 0


@kernel(allocates=True)
def place_in_maze(
    walls: Bytes, width: int, size: int, keys: NDArray[np.uint64], low: int, high: int, cells: Cells
) -> None:
    """As :func:`~goalscope.envs.kernels.divided.place_astride`, for mazes of side `size`, odd, LARGEST_MAZE at most.

    Drawn uniformly: whether the wall is upright, its line, one opening, another one by which there is a way around it,
    an end among all cells that are met and a start among those that will do, and the cell aside. Where there is none,
    wall and openings are drawn anew. Either opening may become the gate.
    """
    half = (size - 1) // 2
    low, high, row, columns = (low + 1) // 2, high // 2, np.uint64(half), ZERO
    for k in range(half):
        columns |= ONE << np.uint64(k * half)
    upright, level = np.zeros(192, np.int16), np.zeros(192, np.int16)
    _list_cells(half, 1, width, upright)
    _list_cells(half, width, 1, level)
    among, off = np.zeros(SMALL, np.uint64), np.zeros(SMALL, np.uint64)
    over, by_gate = np.zeros(half * half, np.uint64), np.zeros(half * half, np.uint64)
    for n in range(walls.shape[0]):
        cells[n, :] = -1
        key = combine(keys[n, 0], keys[n, 1])
        for attempt in range(TRIES):
            counter = COUNTERS * attempt + 1
            if attempt % AT_ONCE == 0:
                is_upright = draw(key, counter - 1) & ONE == ONE
                (beside, down), cell_of = ((1, width), upright) if is_upright else ((width, 1), level)
                plain, along = _read_maze(walls, n, half, beside, down)
            line, shut, gate, last, last_by_gate = _draw_openings(
                plain, along, columns, half, key, counter, over, by_gate, among
            )
            if gate < 0:
                continue
            left, across = columns * ((ONE << np.uint64(line)) - ONE), plain & ~(columns << np.uint64(line - 1))
            start, end, swapped = _draw_ends(
                over, last, by_gate, last_by_gate, low, high, left, across, along, row, key, counter + 3, among
            )
            if start < 0:
                continue
            off[NODES], off[ACROSS], off[ALONG] = over[last], over[last] & across, over[last] & along
            _off_paths(over, last, start, end, across, along, row, off)
            _off_paths(by_gate, last_by_gate, start, end, across, along, row, off)
            if count(off) < 2:
                continue
            aside = pick(off, draw(key, counter + 5))
            if swapped:
                shut, gate = gate, shut
            for k, place in enumerate((start, end, aside, shut, gate)):
                cells[n, k] = cell_of[place]
            _build(walls, n, 2 * line * beside + down, down, size - 2, cells[n, 3], cells[n, 4])
            break
