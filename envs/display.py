"""How a world looks: which planes an observation has, and which codes MiniGrid's views show.

Displays change what is *seen* and never what *happens*: salience (a plane repeated), brightness, and colour-blindness
(things that look alike) are all here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cache

import numpy as np
from numpy.typing import NDArray

from goalscope.envs.codes import (
    BALL,
    BOX,
    CLOSED,
    COLOUR_NAMES,
    DOOR,
    EMPTY,
    FLOOR,
    GOAL,
    KEY,
    LAVA,
    LOCKED,
    OBJECT_NAMES,
    code,
    minigrid_triple,
)
from goalscope.envs.codes import WALL as WALL_OBJECT
from goalscope.envs.kernels.columns import EGO_SIDE, OPAQUE, PICKABLE, WALKABLE, Lens
from goalscope.envs.world import Moves, Thing, World
from goalscope.errors import DeclarationError

FULL_LEVEL = 255
"""The byte of a fully lit plane, so that networks can treat planes as images."""


class Shows(IntEnum):
    """What a plane shows, cell by cell."""

    WALLS = 0
    AGENT = 1  # operand: heading, −1 for any
    MARKS = 2  # operand: mark bits, any of them
    OBJECT = 3  # operand: code
    COUNTER = 4  # operand: unit << 8 | counter index; the whole plane holds its value times the unit (0: 1)
    VALUE = 5  # operand: mark bits << 8 | event index; the level's value of the event, in [0, 1], where the marks lie
    MOVER = 6  # operand: kind
    OWN_VALUE = 7  # operand: mark bits << 8 | first event; the j-th of these things shows the value of event first + j
    WORD = 8  # operand: place << 8 | word; the whole plane is lit where the mission's word at that place is this one


@dataclass(frozen=True, kw_only=True)
class Plane:
    """One plane of an observation."""

    name: str
    shows: Shows
    operand: int = 0
    level: int = FULL_LEVEL


@dataclass(frozen=True, kw_only=True)
class Display:
    """The planes of an observation in order, and things that look like another thing."""

    planes: tuple[Plane, ...]
    alike: Mapping[str, str]
    """Thing -> the thing it looks like in MiniGrid's views."""


def _number(value: int | float | str, settings: Mapping[str, object] | None) -> float:
    if not isinstance(value, str):
        return float(value)
    if settings is None:
        return 1.0
    found = settings.get(value)
    if not isinstance(found, int | float):
        raise DeclarationError(
            f"A thing takes its salience or intensity from knob {value!r}, which is not a number knob."
        )
    return float(found)


def default_display(world: World, settings: Mapping[str, object] | None = None) -> Display:
    """Walls, the agent (a plane a heading where it turns), visible things by salience, objects, movers, counters.

    Without settings every thing has one plane, fully lit.
    """
    planes = [Plane(name="walls", shows=Shows.WALLS)]
    headings = range(4) if world.moves is Moves.TURNING else (-1,)
    planes += [Plane(name="agent", shows=Shows.AGENT, operand=h) for h in headings]
    for thing in world.things:
        if thing.visible:
            planes += _thing_planes(world, thing, settings)
    for text in world.objects:
        kind, colour = text.rsplit(" ", 1)
        planes.append(Plane(name=text, shows=Shows.OBJECT, operand=code(kind, colour)))
    planes += [Plane(name=m.kind, shows=Shows.MOVER, operand=i) for i, m in enumerate(world.movers)]
    planes += [Plane(name=c, shows=Shows.COUNTER, operand=i) for i, c in enumerate(world.counters)]
    return Display(planes=tuple(planes), alike={})


def _thing_planes(world: World, thing: Thing, settings: Mapping[str, object] | None) -> list[Plane]:
    copies = round(_number(thing.salience, settings))
    level = round(FULL_LEVEL * _number(thing.intensity, settings))
    return [Plane(name=thing.name, shows=Shows.MARKS, operand=world.bit(thing.name), level=level)] * copies


def colour_blind(world: World, display: Display, *names: str) -> Display:
    """The same display in which the named things cannot be told apart: every plane that shows one shows all of them.

    Things that already look like one of them join in; all look like the first.
    """
    alike = dict(display.alike)
    first = alike.get(names[0], names[0])
    joined = {alike.get(name, name) for name in names}
    alike |= {thing.name: first for thing in world.things if alike.get(thing.name, thing.name) in joined}
    world.mask(names)  # refuses names that nothing has
    mask = world.mask(name for name, looks in alike.items() if looks == first)

    def merged(plane: Plane) -> Plane:
        if plane.shows is Shows.MARKS and plane.operand & mask:
            return replace(plane, operand=plane.operand | mask)
        if plane.shows is Shows.VALUE and plane.operand >> 8 & mask:
            return replace(plane, operand=plane.operand | mask << 8)
        return plane

    return Display(planes=tuple(merged(p) for p in display.planes), alike=alike)


def shown_codes(world: World, display: Display) -> NDArray[np.uint8]:
    """`[65536]` the code that each combination of marks looks like in MiniGrid's views, 0 where nothing is to be seen.

    Shape and colour come, separately, from the thing of the highest priority that has one, the first of equals; things
    that look like another count as that one.
    """
    shape, colour = np.zeros(65536, np.uint8), np.zeros(65536, np.uint8)
    coloured = np.zeros(65536, bool)
    combination = np.arange(65536)
    for thing in sorted(reversed(world.things), key=lambda t: t.priority):
        if display.alike.get(thing.name, thing.name) != thing.name:
            continue
        same = world.mask(t.name for t in world.things if display.alike.get(t.name, t.name) == thing.name)
        present = (combination & same) != 0
        if thing.shape:
            shape[present] = OBJECT_NAMES.index(thing.shape)
        if thing.colour:
            colour[present] = COLOUR_NAMES.index(thing.colour)
            coloured |= present
    shape[coloured & (shape == 0)] = FLOOR
    return np.where(shape > 0, shape | colour << 4, 0).astype(np.uint8)


@cache
def code_properties() -> NDArray[np.uint8]:
    """`[256]` what can be done with each code: walk on it, not see through it, pick it up."""
    props = np.zeros(256, np.uint8)
    kinds = np.arange(256) & 15
    props[np.isin(kinds, (EMPTY, FLOOR, DOOR, GOAL, LAVA))] |= WALKABLE
    props[np.isin(kinds, (WALL_OBJECT, CLOSED, LOCKED))] |= OPAQUE
    props[np.isin(kinds, (KEY, BALL, BOX))] |= PICKABLE
    return props


@cache
def packed_looks() -> NDArray[np.uint32]:
    """`[256]` each code's three MiniGrid bytes, the object lowest."""
    triples = [minigrid_triple(c) for c in range(256)]
    return np.array([kind | colour << 8 | state << 16 for kind, colour, state in triples], np.uint32)


@cache
def shadow_table() -> NDArray[np.uint16]:
    """`[128 · 128]` MiniGrid's shadow casting of one row of seven cells.

    Indexed by (lit cells << 7 | cells light passes); the low seven bits of an entry are the cells lit in the row, the
    next seven those lit in the row beyond. Light spreads to the right first, then to the left, as in MiniGrid's
    `Grid.process_vis`.
    """
    table = np.zeros(128 * 128, np.uint16)
    rightwards = [(i, 1) for i in range(EGO_SIDE - 1)]
    leftwards = [(i, -1) for i in reversed(range(1, EGO_SIDE))]
    for entry in range(128 * 128):
        lit, clear, beyond = entry >> 7, entry & 127, 0
        for i, way in rightwards + leftwards:
            if lit >> i & 1 and clear >> i & 1:
                lit |= 1 << i + way
                beyond |= 1 << i | 1 << i + way
        table[entry] = lit | beyond << 7
    return table


def make_lens(world: World, display: Display) -> Lens:
    """The tables through which the kernels see."""
    planes = np.array([(p.shows, p.operand, p.level) for p in display.planes], np.int32).reshape(-1, 3)
    return Lens(shown_codes(world, display), packed_looks(), shadow_table(), code_properties(), planes)
