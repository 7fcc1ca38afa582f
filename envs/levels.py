"""Levels: the initial states of N gridworlds, as one struct of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from goalscope.envs.codes import (
    AGENT,
    BALL,
    BOX,
    CLOSED,
    COLOUR_NAMES,
    EMPTY_CODE,
    KEY,
    LOCKED,
    OBJECT_NAMES,
    UNSEEN,
    WALL,
    WALL_CODE,
)
from goalscope.errors import LevelError

LARGEST_CANVAS = 25

Scalar = TypeVar("Scalar", bound=np.generic)


def flat(grids: NDArray[Scalar]) -> NDArray[Scalar]:
    """`[N, H, W]` as a view `[N, H · W]`, for any N (NumPy's −1 cannot tell the width of nothing)."""
    return grids.reshape(len(grids), grids.shape[1] * grids.shape[2])


@dataclass(frozen=True, kw_only=True)
class Levels:
    """N initial states on one canvas of H rows and W columns: E events, C counters, M movers and Q mission words.

    A cell holds one MiniGrid object (`cells`, see :mod:`goalscope.envs.codes`) and any number of 16 mark bits.
    A level that a generator could not place has ``agent[:, 0] == -1`` (see :attr:`placed`) and is drawn again.
    """

    cells: NDArray[np.uint8]
    """`[N, H, W]` object | colour << 4."""
    marks: NDArray[np.uint16]
    """`[N, H, W]` mark bits."""
    contents: NDArray[np.uint8]
    """`[N, H, W]` code of what a box holds, 0 for nothing."""
    agent: NDArray[np.int16]
    """`[N, 4]` x (column), y (row), heading, code of the carried object (0 for nothing)."""
    carried_contents: NDArray[np.uint8]
    """`[N]` code of what a carried box holds."""
    movers: NDArray[np.int16]
    """`[N, M, 4]` x, y, kind, alive."""
    scripts: NDArray[np.int16]
    """`[N, M, S]` cells (y · W + x) that a scripted mover visits in order, −1 for none."""
    mission: NDArray[np.int16]
    """`[N, Q]` words of the mission."""
    value: NDArray[np.float32]
    """`[N, E]` factor on every reward of an event."""
    quota: NDArray[np.int16]
    """`[N, E]` count at which an event's QUOTA rules fire, −1 for never."""
    counters: NDArray[np.int16]
    """`[N, C]` what the world's counters begin with; C = 0 where all begin with 0."""
    max_steps: NDArray[np.int32]
    """`[N]` deadline in steps."""
    key: NDArray[np.uint64]
    """`[N, 2]` stream and index under which the level was drawn."""

    def __len__(self) -> int:
        return len(self.cells)

    @property
    def canvas(self) -> tuple[int, int]:
        """Height and width."""
        return self.cells.shape[1], self.cells.shape[2]

    @property
    def walls(self) -> NDArray[np.bool_]:
        """`[N, H, W]` where a wall stands."""
        return np.asarray((self.cells & 15) == WALL)

    @property
    def agent_cells(self) -> NDArray[np.bool_]:
        """`[N, H, W]` where the agent stands (for an unplaced level, in the border)."""
        cells = np.zeros(self.cells.shape, bool)
        cells[np.arange(len(self)), self.agent[:, 1], self.agent[:, 0]] = True
        return cells

    @property
    def placed(self) -> NDArray[np.bool_]:
        """`[N]` false where the generator found no place for something."""
        return np.asarray(self.agent[:, 0] >= 0)

    def take(self, index: NDArray[np.integer] | NDArray[np.bool_] | slice | Sequence[int]) -> Levels:
        """The levels at `index`, in that order (copies)."""
        picked = index if isinstance(index, slice) else np.asarray(index)
        return Levels(**{f.name: getattr(self, f.name)[picked].copy() for f in fields(self)})

    def put(self, index: NDArray[np.integer] | NDArray[np.bool_], other: Levels) -> None:
        """Overwrite the levels at `index` by `other`, in place."""
        for f in fields(self):
            getattr(self, f.name)[index] = getattr(other, f.name)

    def equal(self, other: Levels) -> NDArray[np.bool_]:
        """`[N]` where every array but the key agrees with `other`, level by level."""
        if len(self) != len(other):
            raise LevelError(f"Cannot compare {len(self)} levels with {len(other)}.")
        same = np.ones(len(self), bool)
        for f in fields(self):
            mine, theirs = getattr(self, f.name), getattr(other, f.name)
            if f.name == "key":
                continue
            if mine.shape != theirs.shape:
                return np.zeros(len(self), bool)
            same &= (mine == theirs).reshape(len(self), -1).all(1)
        return same


def concatenate(parts: Sequence[Levels]) -> Levels:
    """One `Levels` that holds all `parts` in order; canvases and axes must agree."""
    if not parts:
        raise LevelError("Nothing to concatenate: give at least one Levels.")
    for f in fields(Levels):
        shapes = {getattr(p, f.name).shape[1:] for p in parts}
        if len(shapes) > 1:
            raise LevelError(f"Levels with different {f.name} shapes cannot be joined: {sorted(shapes)}.")
    return Levels(**{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Levels)})


def blank(
    n: int,
    canvas: tuple[int, int],
    *,
    events: int = 0,
    movers: int = 0,
    script: int = 0,
    mission: int = 0,
    counters: int = 0,
    max_steps: int = 100,
) -> Levels:
    """`n` empty rooms with a border wall and the agent in the top left cell, heading right."""
    height, width = canvas
    cells = np.full((n, height, width), EMPTY_CODE, np.uint8)
    cells[:, 0] = cells[:, -1] = WALL_CODE
    cells[:, :, 0] = cells[:, :, -1] = WALL_CODE
    agent = np.zeros((n, 4), np.int16)
    agent[:, :2] = 1
    return Levels(
        cells=cells,
        marks=np.zeros((n, height, width), np.uint16),
        contents=np.zeros((n, height, width), np.uint8),
        agent=agent,
        carried_contents=np.zeros(n, np.uint8),
        movers=np.zeros((n, movers, 4), np.int16),
        scripts=np.full((n, movers, script), -1, np.int16),
        mission=np.zeros((n, mission), np.int16),
        value=np.ones((n, events), np.float32),
        quota=np.full((n, events), -1, np.int16),
        counters=np.zeros((n, counters), np.int16),
        max_steps=np.full(n, max_steps, np.int32),
        key=np.zeros((n, 2), np.uint64),
    )


def validate(levels: Levels) -> None:
    """Raise a :class:`LevelError` that names the first fault, if any.

    Checked: dtypes and shapes, canvas size, known codes, a border closed against whatever moves, the agent on a free
    cell inside, the heading, what is carried, box contents, movers inside, and positive deadlines.
    """
    _validate_shapes(levels)
    _validate_cells(levels)
    _validate_agent(levels)


def _fail(levels: Levels, bad: NDArray[np.bool_], what: str) -> None:
    if bad.any():
        raise LevelError(f"Level {int(np.argmax(bad))} of {len(levels)}: {what}")


def _validate_shapes(levels: Levels) -> None:
    model = blank(0, (3, 3))
    for f in fields(Levels):
        mine, want = getattr(levels, f.name), getattr(model, f.name)
        if mine.dtype != want.dtype or mine.ndim != want.ndim or len(mine) != len(levels):
            raise LevelError(
                f"Levels.{f.name} must be {want.dtype} with {want.ndim} axes and {len(levels)} rows, "
                f"got {mine.dtype} of shape {mine.shape}."
            )
    height, width = levels.canvas
    if not (3 <= height <= LARGEST_CANVAS and 3 <= width <= LARGEST_CANVAS):
        raise LevelError(f"A canvas is 3 to {LARGEST_CANVAS} cells a side, got {height}×{width}.")
    for name in ("marks", "contents"):
        if getattr(levels, name).shape != levels.cells.shape:
            raise LevelError(f"Levels.{name} must have the shape of cells, {levels.cells.shape}.")


def _unknown_code(codes: NDArray[np.integer]) -> NDArray[np.bool_]:
    kind, colour = codes & 15, codes >> 4
    known = (kind < len(OBJECT_NAMES)) & (kind != AGENT) & (kind != UNSEEN) & (colour < len(COLOUR_NAMES))
    return np.asarray(~known)


def _validate_cells(levels: Levels) -> None:
    def any_cell(bad: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return np.asarray(flat(bad).any(1))

    _fail(levels, any_cell(_unknown_code(levels.cells)), "a cell holds a code that is none of MiniGrid's objects.")
    filled = levels.contents != 0
    _fail(levels, any_cell(filled & _unknown_code(levels.contents)), "a box holds an unknown object.")
    outside_box = filled & ((levels.cells & 15) != BOX)
    _fail(levels, any_cell(outside_box), "only a box can hold something.")
    _fail(levels, levels.max_steps <= 0, "max_steps must be at least 1.")


def _reaches_border(levels: Levels) -> NDArray[np.bool_]:
    """`[N]` whether the agent or a living mover could ever come to the edge: over anything that is not a wall.

    Out of reach the edge may be open (MiniGrid's MultiRoom leaves it so).
    """
    border = np.ones(levels.canvas, bool)
    border[1:-1, 1:-1] = False
    reaches = np.asarray((~levels.walls & border).any((1, 2)))
    rows = np.flatnonzero(reaches)
    free = ~levels.walls[rows]
    reached = np.zeros(free.shape, bool)
    reached[np.arange(len(rows)), levels.agent[rows, 1], levels.agent[rows, 0]] = True
    at, m = np.nonzero(levels.movers[rows, :, 3] > 0)
    reached[at, levels.movers[rows[at], m, 1], levels.movers[rows[at], m, 0]] = True
    while True:
        grown = reached.copy()
        grown[:, 1:] |= reached[:, :-1]
        grown[:, :-1] |= reached[:, 1:]
        grown[:, :, 1:] |= reached[:, :, :-1]
        grown[:, :, :-1] |= reached[:, :, 1:]
        grown &= free | reached
        if (grown == reached).all():
            break
        reached = grown
    reaches[rows] = (reached & border).any((1, 2))
    return reaches


def _validate_agent(levels: Levels) -> None:
    height, width = levels.canvas
    x, y, heading, carried = levels.agent.T
    inside = (x > 0) & (y > 0) & (x < width - 1) & (y < height - 1)
    _fail(levels, ~inside, "the agent stands outside the border wall.")
    under = levels.cells[np.arange(len(levels)), y, x] & 15
    blocked = np.isin(under, (WALL, KEY, BALL, BOX, CLOSED, LOCKED))
    _fail(levels, blocked, "the agent stands on a cell that cannot be walked on.")
    _fail(levels, (heading < 0) | (heading > 3), "the heading must be 0 to 3 (right, down, left, up).")
    carriable = np.isin(carried & 15, (KEY, BALL, BOX))
    _fail(levels, (carried != 0) & (~carriable | _unknown_code(carried)), "only keys, balls and boxes can be carried.")
    boxed = levels.carried_contents != 0
    _fail(levels, boxed & ((carried & 15) != BOX), "only a carried box can hold something.")
    _fail(levels, boxed & _unknown_code(levels.carried_contents), "the carried box holds an unknown object.")
    mx, my = levels.movers[..., 0], levels.movers[..., 1]
    outside = (mx <= 0) | (my <= 0) | (mx >= width - 1) | (my >= height - 1)
    _fail(levels, np.asarray((outside & (levels.movers[..., 3] > 0)).any(1)), "a mover stands outside the border wall.")
    row, column = levels.scripts // width, levels.scripts % width
    beyond = (row <= 0) | (row >= height - 1) | (column <= 0) | (column >= width - 1)
    _fail(
        levels, np.asarray((beyond & (levels.scripts != -1)).any((1, 2))), "a script names a cell outside the border."
    )
    _fail(levels, _reaches_border(levels), "the border must be closed by walls wherever the agent or a mover could go.")
