"""Levels as MiniGrid's own grids, for its renderer and its wrappers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from minigrid.core.constants import IDX_TO_OBJECT
from minigrid.core.grid import Grid
from minigrid.core.world_object import Box, WorldObj
from numpy.typing import NDArray

from goalscope.envs.codes import BALL, BOX, COLOUR_NAMES, EMPTY, EMPTY_CODE, KEY, code, minigrid_triple
from goalscope.envs.display import Display, shown_codes
from goalscope.envs.levels import Levels
from goalscope.envs.world import World

SHRINK = 0.62
"""How large a thing is drawn that lies on another of its sort."""


def grid_of(world: World, levels: Levels, i: int, display: Display | None = None) -> Grid:
    """Level `i` as a MiniGrid grid whose `encode()` is the engine's full view without the agent.

    A cell with visible things or movers holds a :class:`Stack`, which draws all of them; the others hold MiniGrid's own
    objects. `display` says which things look alike; by default none do.
    """
    look = display or Display(planes=(), alike={})
    height, width = levels.canvas
    shown = shown_codes(world, look)[levels.marks[i]]
    creatures: dict[tuple[int, int], list[int]] = {}
    for x, y, kind, alive in levels.movers[i].tolist():
        if alive:
            creatures.setdefault((x, y), []).append(code(world.movers[kind].shape, world.movers[kind].colour))
    grid = Grid(width, height)
    for y in range(height):
        for x in range(width):
            here, inside = int(levels.cells[i, y, x]), int(levels.contents[i, y, x])
            movers = creatures.get((x, y), [])
            seen = movers[-1] if movers else int(shown[y, x]) or here
            things = (*_visible(world, look, int(levels.marks[i, y, x])), *movers)
            is_own = not things and (here & 15 != EMPTY or here == EMPTY_CODE)
            grid.set(x, y, _object(here, inside) if is_own else Stack(here, things, seen))
    return grid


def carried_object(levels: Levels, i: int) -> WorldObj | None:
    """What the agent of level `i` carries, as MiniGrid's object."""
    held = int(levels.agent[i, 3])
    return _object(held, int(levels.carried_contents[i])) if held else None


class Stack(WorldObj):
    """Several things on one cell: encodes as the one that the engine shows, draws all, the lowest first."""

    def __init__(self, base: int, things: tuple[int, ...], seen: int) -> None:
        self._triple = minigrid_triple(seen)
        super().__init__(IDX_TO_OBJECT[self._triple[0]], COLOUR_NAMES[self._triple[1]])
        self._base = _object(base, 0)
        self._layers = (base, *sorted(things, key=_is_figure))

    def can_overlap(self) -> bool:
        return self._base is None or self._base.can_overlap()

    def see_behind(self) -> bool:
        return self._base is None or self._base.see_behind()

    def encode(self) -> tuple[int, int, int]:
        return Look(self._triple, self._layers)

    def render(self, r: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Draw into the tile `r` `[S, S, 3]`; what would hide a thing of its own sort is drawn smaller, inside it."""
        below = {True: 0, False: 0}
        for layer in self._layers:
            drawn = _object(layer, 0)
            if drawn is not None:
                margin = round(len(r) * (1 - SHRINK ** below[_is_figure(layer)]) / 2)
                drawn.render(r[margin : len(r) - margin, margin : len(r) - margin])
                below[_is_figure(layer)] += 1
        return r


class Look(tuple[int, int, int]):
    """The three numbers of a cell, which also name its layers in a key of MiniGrid's tile cache, ``encode() + key``."""

    _layers: tuple[int, ...]

    def __new__(cls, triple: tuple[int, int, int], layers: tuple[int, ...]) -> Look:
        look = super().__new__(cls, triple)
        look._layers = layers
        return look

    def __add__(self, other: tuple[Any, ...]) -> tuple[Any, ...]:
        return (*self, "layers", *self._layers, *other)


def _is_figure(value: int) -> bool:
    """Whether an object stands on a tile instead of filling it."""
    return value & 15 in (KEY, BALL, BOX)


def _object(value: int, contents: int) -> WorldObj | None:
    """The MiniGrid object of a code, holding another if it is a box."""
    colour = COLOUR_NAMES[value >> 4]
    if value & 15 == BOX:
        return Box(colour, _object(contents, 0) if contents else None)
    thing = WorldObj.decode(*minigrid_triple(value))
    if thing is not None:
        thing.color = colour  # decoding leaves goals green and lava red
    return thing


def _visible(world: World, display: Display, marks: int) -> Iterator[int]:
    """Codes of what is to be seen of a cell's marks, the lowest priority first.

    A thing with a shape alone takes its colour from one with a colour alone; without a partner a colour is a floor.
    """
    alike = {thing.name: thing for thing in world.things}
    present = sorted((t for t in world.things if marks & world.bit(t.name)), key=lambda t: t.priority)
    looks = [alike[display.alike.get(t.name, t.name)] for t in present]
    colours = [t.colour for t in looks if t.colour and not t.shape]
    if colours and not any(t.shape and not t.colour for t in looks):
        yield code("floor", colours[-1])
    for thing in looks:
        if thing.shape:
            yield code(thing.shape, thing.colour or (colours[-1] if colours else COLOUR_NAMES[0]))
