"""Where walls stand and where things may lie: the parts of level generation that families share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from goalscope.envs.codes import EMPTY_CODE, WALL_CODE
from goalscope.envs.family import Knob, Settings, Value
from goalscope.envs.kernels.mazes import draw_mazes
from goalscope.envs.kernels.placement import add_marks, scatter_items
from goalscope.envs.levels import LARGEST_CANVAS, Levels, blank, flat
from goalscope.envs.world import World
from goalscope.errors import KnobError
from goalscope.seeding import Keys, substream, uniform

LAYOUTS = ("open", "blocks", "rooms", "tree", "braided")
ODD_LAYOUTS = ("tree", "braided")
CONNECTED_LAYOUTS = ("open", "rooms", "tree", "braided")
"""Every free cell can be reached from every other; in `blocks` only the drawn component is used."""

SMALLEST_ROOMS = 9
"""Two rooms of three cells and a wall between them."""

WALL_TAG, SCATTER_TAG, PLACE_TAG = 1001, 1002, 1003

LAYOUT_KNOBS = (
    Knob(name="size", default=9, low=5, high=LARGEST_CANVAS, doc="cells a side, border included"),
    Knob(name="canvas", default=0, low=0, high=LARGEST_CANVAS, doc="padded side shared by all shifts; 0 is the size"),
    Knob(name="layout", default="blocks", choices=LAYOUTS, doc="how the walls are drawn"),
    Knob(name="p", default=0.1, low=0.0, high=0.9, doc="share of inner walls (blocks), of dead ends opened (braided)"),
    Knob(
        name="max_steps", default=0, low=0, high=100_000, doc="deadline outside queries; 0 is half the number of cells"
    ),
)


def layout_knobs(**defaults: Value) -> tuple[Knob, ...]:
    """The layout knobs with other defaults: ``layout_knobs(layout="open", size=11)``."""
    changed = {
        k.name: Knob(**{**k.__dict__, "default": k.parse(defaults.get(k.name, k.default))}) for k in LAYOUT_KNOBS
    }
    return tuple(changed.values())


def canvas_side(settings: Settings) -> int:
    """The side of the square canvas, checked against the size and the layout's needs."""
    size, canvas = int(settings.size), int(settings.canvas)
    if canvas and canvas < size:
        raise KnobError(f"Knob 'canvas' must be 0 or at least the size, {size}, got {canvas}.")
    if settings.layout == "rooms" and size < SMALLEST_ROOMS:
        raise KnobError(f"Knob 'size' must be at least {SMALLEST_ROOMS} for the rooms layout, got {size}.")
    if settings.layout in ODD_LAYOUTS and size % 2 == 0:
        raise KnobError(f"Knob 'size' must be odd for the {settings.layout} layout, got {size}.")
    return canvas or size


def deadline(settings: Settings) -> int:
    """The deadline outside queries: the knob, or half the number of cells."""
    return int(settings.max_steps) or int(settings.size) ** 2 // 2


def corners(settings: Settings) -> NDArray[np.int16]:
    """`[4]` cells of the four inner corners: top left, top right, bottom right, bottom left."""
    width, far = canvas_side(settings), int(settings.size) - 2
    return np.array([width + 1, width + far, far * width + far, far * width + 1], np.int16)


def draw_walls(
    level_keys: Keys, settings: Settings, keep: Sequence[int] | NDArray[np.integer] = ()
) -> NDArray[np.uint8]:
    """One layout a key: `[N, H·W]` 1 where a wall stands. The cells of `keep` are always free."""
    side = canvas_side(settings)
    walls = np.empty((len(level_keys), side * side), np.uint8)
    kept = np.asarray(keep, np.int16).reshape(-1)
    kind = LAYOUTS.index(str(settings.layout))
    draw_mazes(walls, side, substream(level_keys, WALL_TAG), kind, int(settings.size), float(settings.p), kept)
    return walls


def scatter(
    walls: NDArray[np.uint8],
    level_keys: Keys,
    settings: Settings,
    fixed: NDArray[np.integer],
    *,
    near: Sequence[tuple[int, int]] | None = None,
    blocking: Sequence[bool] | None = None,
) -> NDArray[np.int16]:
    """Lay K items on different free cells that can reach one another; item 0 is the agent.

    Parameters
    ----------
    walls: `[N, H·W]`, square.
    fixed: `[N, K]` the cell an item must have, −1 for a uniform draw among the component's unused cells.
    near: per item (other item, radius): only cells within that Manhattan distance of an item of a lower number; an
        item of −1 is no limit.
    blocking: per item, whether the agent cannot walk past it: then everything else stays reachable around it.

    Returns
    -------
    `[N, K]` cells; the agent's is −1 where no place was found.
    """
    n, k = fixed.shape
    limits = np.array(near if near is not None else [(-1, 0)] * k, np.int16).reshape(k, 2)
    stops = np.array(blocking if blocking is not None else [False] * k, np.uint8)
    cells = np.empty((n, k), np.int16)
    side = canvas_side(settings)
    wanted = np.ascontiguousarray(fixed, np.int16)
    near_item, radius = np.ascontiguousarray(limits[:, 0]), np.ascontiguousarray(limits[:, 1])
    connected = settings.layout in CONNECTED_LAYOUTS
    scatter_items(walls, side, connected, substream(level_keys, SCATTER_TAG), wanted, near_item, radius, stops, cells)
    return cells


def lay_out(
    world: World,
    walls: NDArray[np.uint8],
    agent: NDArray[np.integer],
    level_keys: Keys,
    settings: Settings,
    *,
    mission: int = 0,
) -> Levels:
    """Levels with these walls and the agent at these cells (−1: unplaced), heading right, nothing else in them.

    `mission` is the number of words that each level's mission has.
    """
    side = canvas_side(settings)
    axes = {"events": len(world.events), "counters": len(world.counters), "mission": mission}
    levels = blank(len(walls), (side, side), **axes, max_steps=deadline(settings))
    np.multiply(walls.reshape(levels.cells.shape), np.uint8(WALL_CODE - EMPTY_CODE), out=levels.cells)
    np.add(levels.cells, np.uint8(EMPTY_CODE), out=levels.cells)
    levels.agent[:, 0] = np.where(agent < 0, -1, agent % side)
    levels.agent[:, 1] = np.where(agent < 0, 1, agent // side)
    levels.key[:] = level_keys
    return levels


def mark(levels: Levels, cells: NDArray[np.integer], bits: int | NDArray[np.integer]) -> None:
    """Add mark bits, in place, at one cell a level (`[N]`, negative: none), or at several (`[N, K]`)."""
    added = np.array(np.broadcast_to(np.asarray(bits, np.uint16), cells.shape))
    n, k = len(cells), cells.shape[1] if cells.ndim > 1 else 1
    add_marks(flat(levels.marks), np.ascontiguousarray(cells, np.int16).reshape(n, k), added.reshape(n, k))


def random_cells(level_keys: Keys, allowed: NDArray[np.bool_]) -> NDArray[np.int16]:
    """`[N]` a uniform cell (y · W + x) among those allowed in each level (`[N, H, W]`), −1 where there is none."""
    places = flat(allowed)
    counts = places.sum(1)
    rank = (uniform(level_keys, PLACE_TAG) * counts).astype(np.int64) + 1
    chosen = np.argmax(places.cumsum(1) == rank[:, None], axis=1)
    return np.where(counts > 0, chosen, -1).astype(np.int16)


def free_cells(levels: Levels) -> NDArray[np.bool_]:
    """`[N, H, W]` cells that hold nothing and where the agent does not stand."""
    return np.asarray((levels.cells == EMPTY_CODE) & (levels.marks == 0) & ~levels.agent_cells)


def move_marks(
    levels: Levels,
    holding: int,
    level_keys: Keys,
    *,
    bits: int | None = None,
    allowed: NDArray[np.bool_] | None = None,
) -> Levels:
    """The same levels with one thing moved to another random cell: a free one, or one `allowed` (`[N, H, W]`).

    The thing is found on the first cell, in reading order, that has any mark of `holding`; that cell's marks among
    `bits` (by default the same) move together. A level without such a cell, or without a place left, becomes unplaced.
    """
    moved = levels.take(slice(None))
    place = random_cells(level_keys, free_cells(levels) if allowed is None else allowed)
    marks, rows = flat(moved.marks), np.arange(len(levels))
    source = np.argmax(marks & np.uint16(holding) != 0, axis=1)
    taken = marks[rows, source] & np.uint16(holding if bits is None else bits)
    marks[rows, source] &= ~taken
    mark(moved, place, taken)
    moved.agent[(place < 0) | (taken == 0), 0] = -1
    return moved


def manhattan(levels: Levels, one: int, other: int) -> NDArray[np.int64]:
    """`[N]` Manhattan distance between the first cells, in reading order, with any mark of `one` and of `other`."""
    width, marks = levels.canvas[1], flat(levels.marks)
    cells = [np.argmax(marks & np.uint16(bits) != 0, axis=1) for bits in (one, other)]
    return np.asarray(abs(cells[0] // width - cells[1] // width) + abs(cells[0] % width - cells[1] % width))


def move_agent(levels: Levels, level_keys: Keys, *, allowed: NDArray[np.bool_] | None = None) -> Levels:
    """The same levels with the agent on another random cell: a free one, or one `allowed` (`[N, H, W]`)."""
    moved, width = levels.take(slice(None)), levels.canvas[1]
    place = random_cells(level_keys, free_cells(levels) if allowed is None else allowed)
    moved.agent[:, 0] = np.where(place < 0, -1, place % width)
    moved.agent[:, 1] = np.where(place < 0, 1, place // width)
    return moved
