"""Searches on bitboards against plain breadth-first search, on canvases of one to ten words; keys, rows and marks."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from goalscope.envs.families.coin_dish import FAMILY, WORLD
from goalscope.envs.kernels.retries import retry_keys
from goalscope.envs.kernels.shortest import mark_shortest, steps_around
from goalscope.envs.layouts import mark
from goalscope.envs.levels import Levels, blank, flat
from goalscope.envs.pursuit import search
from goalscope.envs.splits import SPLITS, in_split
from goalscope.seeding import keys, stream, substream

SIZES = [5, 7, 8, 9, 13, 14, 16, 25]
"""25, 49, 64 (one word exactly), 81, 169 (in three words), 196, 256 (exactly four words) and 625 cells."""


def maps(size: int, n: int = 200) -> tuple[NDArray[np.bool_], NDArray[np.int16]]:
    """`[N, H, W]` walls at random, a third of the cells, and three different free cells in each level `[N, 3]`."""
    rng = np.random.default_rng(size)
    walls = np.ones((n, size, size), bool)
    walls[:, 1:-1, 1:-1] = rng.random((n, size - 2, size - 2)) < 1 / 3
    inner = np.arange(size * size).reshape(size, size)[1:-1, 1:-1].ravel()
    cells = np.array([rng.choice(inner, 3, replace=False) for _ in range(n)], np.int16)
    flat(walls)[np.arange(n)[:, None], cells] = False
    return walls, cells


def steps_from(walls: NDArray[np.bool_], cells: NDArray[np.int16]) -> NDArray[np.int16]:
    """`[N, H·W]` steps from one cell a level by the plain search."""
    start = np.zeros(walls.shape, bool)
    flat(start)[np.arange(len(walls)), cells] = True
    return flat(search(WORLD, walls, start)[:, 0])


@pytest.mark.parametrize("size", SIZES)
def test_cells_of_shortest_paths_are_those_of_the_plain_search(size: int) -> None:
    walls, cells = maps(size)
    rows, blocked = np.arange(len(walls)), flat(walls).view(np.uint8)
    on, steps = np.full_like(blocked, 7), np.full(len(walls), 7, np.int16)
    start, end = np.ascontiguousarray(cells[:, 0]), np.ascontiguousarray(cells[:, 1])
    mark_shortest(blocked, size, start, end, on, steps)
    there, back = steps_from(walls, start), steps_from(walls, end)
    want = there[rows, end]
    assert (want < 0).any() and (want > 0).any()
    assert (steps == want).all()
    assert (on == ((there >= 0) & (back >= 0) & (there + back == want[:, None]))).all()


@pytest.mark.parametrize("size", SIZES)
def test_steps_around_the_other_end_are_those_of_the_plain_search(size: int) -> None:
    walls, cells = maps(size)
    rows, n = np.arange(len(walls)), len(walls)
    start = np.where(rows == 0, -1, cells[:, 0]).astype(np.int16)
    ends, steps = np.ascontiguousarray(cells[:, 1:]), np.full((n, 2), 7, np.int16)
    steps_around(flat(walls).view(np.uint8), size, start, ends, steps)
    for k in range(2):
        shut = walls.copy()
        flat(shut)[rows, ends[:, 1 - k]] = True
        want = steps_from(shut, cells[:, 0])[rows, ends[:, k]]
        assert (steps[1:, k] == want[1:]).all()
        assert (want != steps_from(walls, cells[:, 0])[rows, ends[:, k]]).any()  # the other end was in the way
    assert (steps[0] == -1).all()


def test_keys_of_a_retry_are_substreams_by_the_number_of_the_draw() -> None:
    parents = np.concatenate([keys(stream("a"), np.arange(5)), keys(stream("b"), np.arange(3))])
    found = np.empty((4 * len(parents), 2), np.uint64)
    retry_keys(parents, 7, found)
    assert (found == np.concatenate([substream(parents, 7 + t) for t in range(4)])).all()


def drawn() -> Levels:
    return FAMILY.generate(keys(stream("rows"), np.arange(300)), FAMILY.settings("train"))


@pytest.mark.parametrize("walls_only", [False, True])
@pytest.mark.parametrize("split", SPLITS)
def test_the_split_of_some_rows_is_theirs_among_all(split: str, walls_only: bool) -> None:
    levels, rows = drawn(), np.arange(299, 0, -3)
    some = in_split(levels, split, walls_only, rows)
    assert (some == in_split(levels, split, walls_only)[rows]).all()
    assert (some == in_split(levels.take(rows), split, walls_only)).all()
    assert in_split(levels, split, walls_only, rows[:0]).shape == (0,)


def test_marks_are_added_to_one_or_several_cells_of_a_level_and_to_none() -> None:
    one, several = blank(3, (5, 5)), blank(3, (5, 5))
    mark(one, np.array([6, -1, 8]), np.array([1, 2, 4]))
    mark(one, np.array([6, 7, -1]), 8)
    assert np.argwhere(flat(one.marks)).tolist() == [[0, 6], [1, 7], [2, 8]]
    assert flat(one.marks)[[0, 1, 2], [6, 7, 8]].tolist() == [9, 8, 4]
    mark(several, np.array([[6, 6], [-1, 7], [8, -1]]), np.array([[1, 8], [2, 8], [4, 8]]))
    assert (several.marks == one.marks).all()
