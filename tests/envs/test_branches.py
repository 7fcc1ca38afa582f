"""Things that block, laid in a tree: every legal placement occurs and no other, on branches drawn alike."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chisquare
from tests.envs.worlds import STEPS

from goalscope.envs.kernels.blocking import lay_blocking
from goalscope.seeding import keys, stream

COMB = """
#######
#.....#
#.#.#.#
#.#.#.#
#.#.#.#
#.#.#.#
#######
"""
CROSS = """
#######
#.#.#.#
#.#.#.#
#.....#
#.#.#.#
#.#.#.#
#######
"""
PADDED = COMB.replace("#\n", "###\n") + "#########\n" * 2

Cell = int
Placement = tuple[Cell, ...]
"""The cells of the agent and of all things."""


def free_cells(rows: str) -> tuple[int, set[Cell]]:
    """The width of a map, and its free cells."""
    lines = rows.split()
    return len(lines[0]), {k for k, glyph in enumerate("".join(lines)) if glyph == "."}


def ways(rows: str, start: Cell) -> dict[Cell, set[Cell]]:
    """For each free cell those on the way to it, without the start."""
    width, free = free_cells(rows)
    found: dict[Cell, set[Cell]] = {start: set()}
    front = [start]
    while front:
        here = front.pop()
        ahead = {here + dx + dy * width for dx, dy in STEPS} & free - set(found)
        found |= {there: found[here] | {there} for there in ahead}
        front += ahead
    return found


def legal(rows: str, k: int, first: int, lead: int) -> set[Placement]:
    """Every placement that the rules allow, the things in every order; with a lead the nearest is the first of them."""
    width, free = free_cells(rows)
    found = set()
    for agent in free:
        on = ways(rows, agent)
        beside = {agent + dx + dy * width for dx, dy in STEPS} & free
        for things in permutations([cell for cell in free - {agent} if len(on[cell]) >= first], k):
            apart = all(on[one] & set(things) == {one} for one in things)
            nearest = all(len(on[things[0]]) + lead <= len(on[other]) for other in things[1:])
            if apart and (nearest or not lead) and beside - set(things):
                found.add((agent, *things))
    return found


def laid(rows: str, k: int, first: int, lead: int, n: int) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """The cells of n placements on one map, and the steps to the things."""
    width, free = free_cells(rows)
    walls = np.ones((n, width * width), np.uint8)
    walls[:, list(free)] = 0
    cells, steps = np.zeros((n, 1 + k), np.int16), np.zeros((n, k), np.int16)
    lay_blocking(walls, width, True, keys(stream("branches"), np.arange(n)), first, lead, cells, steps)
    return cells, steps


@pytest.mark.parametrize("rows", [COMB, CROSS, PADDED], ids=["comb", "cross", "padded"])
@pytest.mark.parametrize(("first", "lead"), [(1, 0), (2, 0), (2, 2), (1, 3)])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_every_legal_placement_occurs_and_no_other(rows: str, first: int, lead: int, k: int) -> None:
    cells, steps = laid(rows, k, first, lead, 100_000)
    placed = cells[:, 0] >= 0
    every, times = np.unique(cells[placed], axis=0, return_index=True)
    for found, n in zip(every.tolist(), np.flatnonzero(placed)[times], strict=True):
        on = ways(rows, found[0])
        assert [len(on[thing]) for thing in found[1:]] == steps[n].tolist()
    kept = 1 if lead else 0
    want = {(*p[: 1 + kept], frozenset(p[1 + kept :])) for p in legal(rows, k, first, lead)}
    assert {(*p[: 1 + kept], frozenset(p[1 + kept :])) for p in every.tolist()} == want


def test_dead_ends_are_drawn_alike_and_things_lie_anywhere_on_the_ways_to_them_alone() -> None:
    cells, _ = laid(COMB, 2, 1, 0, 60_000)
    things = cells[cells[:, 0] == 10, 1:]  # the agent stands between two ways of six cells and one of four
    columns = things % 7
    left, middle, right = columns < 3, columns == 3, columns > 3
    assert (
        chisquare([(a.any(1) & b.any(1)).sum() for a, b in ((left, middle), (left, right), (middle, right))])[1] > 1e-4
    )
    for way, length in ((left, 6), (middle, 4), (right, 6)):
        _, times = np.unique(things[way], return_counts=True)
        assert len(times) == length and chisquare(times).pvalue > 1e-4


def test_the_agent_stands_on_every_free_cell_as_often() -> None:
    cells, _ = laid(CROSS, 3, 1, 0, 20_000)
    assert (cells[:, 0] >= 0).all()
    assert chisquare(np.unique(cells[:, 0], return_counts=True)[1]).pvalue > 1e-4


def test_a_tree_with_too_few_dead_ends_stays_unplaced() -> None:
    assert (laid(COMB, 4, 1, 0, 100)[0][:, 0] == -1).all()
