"""Levels as text and back, exactly.

A text holds *header* lines for what a picture cannot show, then the *rows*, then *legend* lines for cells that have no
character of their own::

    max_steps: 34
    carried: box red holding key blue
    #####
    #>.1#
    #..c#
    #####
    1 = locked door red + coin

In the rows ``#`` is a grey wall, ``.`` an empty cell, ``>v<^`` the agent, and a thing's or mover's glyph an empty cell
with just that. Rows never hold a space, the other lines always do. Written by hand, the rows alone are enough.

Headers, all optional; ``value``, ``quota`` and ``mover`` once for each entry:

- ``max_steps: 34`` (else 100)
- ``carried: box red holding key blue``
- ``mission: 3 5``
- ``value: 0.5 EVENT`` (else 1) and ``quota: 3 EVENT`` (else −1)
- ``counters: 0 2`` (else all begin with 0)
- ``mover: KIND at 3,4``, then perhaps ``dead``, then perhaps ``script 3,1 5,1 -``
- ``key: 12 345``

A thing, event or kind whose name could be misread is called ``mark 3``, ``event 3``, ``kind 3``.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from string import ascii_lowercase, ascii_uppercase, digits

from goalscope.envs.ascii_grammar import HEADINGS, MAX_STEPS, Cell, alphabet, events_of, kinds_of, marks_of
from goalscope.envs.ascii_reader import from_ascii
from goalscope.envs.codes import EMPTY_CODE, describe
from goalscope.envs.levels import Levels
from goalscope.envs.world import MOST_THINGS, World
from goalscope.errors import LevelError

__all__ = ["from_ascii", "to_ascii"]


def to_ascii(levels: Levels, i: int, world: World) -> str:
    """Level `i` as text, from which :func:`from_ascii` makes the same level again."""
    if levels.value.shape[1] != len(world.events):
        raise LevelError(f"The levels hold {levels.value.shape[1]} events, the world declares {len(world.events)}.")
    known = alphabet(world)
    glyphs = {cell: glyph for glyph, cell in known.items()}
    cells = _cells(levels, i)
    drawn = _draw_movers(levels, i, cells, glyphs)
    spare = (c for c in _spare_characters() if c not in known)
    legend = []
    for here in chain.from_iterable(cells):
        if here not in glyphs:
            glyphs[here] = next(spare)
            legend.append(f"{glyphs[here]} = {_describe_cell(here, world)}")
    rows = ["".join(glyphs[here] for here in row) for row in cells]
    movers = [] if drawn else _mover_lines(levels, i, world)
    return "\n".join([*_headers(levels, i, world), *movers, *rows, *legend])


def _spare_characters() -> Iterator[str]:
    """Digits, letters, then letters beyond ASCII, for a level with very many kinds of cells."""
    beyond = (chr(c) for c in range(0xC0, 0x3000) if chr(c).isalpha() and chr(c).isprintable())
    return chain(digits[1:], ascii_uppercase, ascii_lowercase, beyond)


def _cells(levels: Levels, i: int) -> list[list[Cell]]:
    """The cells of level `i`, row by row, without movers."""
    grids = zip(levels.cells[i].tolist(), levels.contents[i].tolist(), levels.marks[i].tolist(), strict=True)
    cells = [[Cell(*here) for here in zip(*rows, strict=True)] for rows in grids]
    x, y, heading = levels.agent[i, :3].tolist()
    height, width = levels.canvas
    if not (0 <= x < width and 0 <= y < height and 0 <= heading < len(HEADINGS)):
        raise LevelError(f"Level {i}: the agent must stand on the canvas, heading 0 to 3, got x {x}, y {y}, {heading}.")
    cells[y][x] = cells[y][x]._replace(heading=heading)
    return cells


def _draw_movers(levels: Levels, i: int, cells: list[list[Cell]], glyphs: dict[Cell, str]) -> bool:
    """Put the movers into the rows where glyphs say everything: alive, alone, in reading order, without scripts."""
    movers = levels.movers[i].tolist()
    height, width = levels.canvas
    places = [(y, x) for x, y, _, _ in movers]
    if levels.scripts.shape[2] or places != sorted(set(places)):
        return False
    for x, y, kind, alive in movers:
        inside = 0 <= x < width and 0 <= y < height
        if alive != 1 or not inside or cells[y][x] != Cell() or Cell(kind=kind) not in glyphs:
            return False
    for x, y, kind, _ in movers:
        cells[y][x] = Cell(kind=kind)
    return True


def _describe_object(value: int, contents: int) -> str:
    return describe(value) + (f" holding {describe(contents)}" if contents else "")


def _describe_cell(cell: Cell, world: World) -> str:
    """The words of a legend line."""
    is_floor = cell.object == EMPTY_CODE and not cell.contents
    parts = [] if is_floor and (cell.marks or cell.heading >= 0) else [_describe_object(cell.object, cell.contents)]
    parts += [marks_of(world).label(bit) for bit in range(MOST_THINGS) if cell.marks >> bit & 1]
    if cell.heading >= 0:
        parts.append(f"agent {HEADINGS[cell.heading]}")
    return " + ".join(parts)


def _headers(levels: Levels, i: int, world: World) -> Iterator[str]:
    """Header lines for everything but movers that is not as in a new level."""
    if levels.max_steps[i] != MAX_STEPS:
        yield f"max_steps: {levels.max_steps[i]}"
    if levels.agent[i, 3] or levels.carried_contents[i]:
        yield f"carried: {_describe_object(int(levels.agent[i, 3]), int(levels.carried_contents[i]))}"
    if levels.mission.shape[1]:
        yield f"mission: {' '.join(map(str, levels.mission[i].tolist()))}"
    for e in range(len(world.events)):
        if levels.value[i, e] != 1:
            yield f"value: {levels.value[i, e]!s} {events_of(world).label(e)}"
        if levels.quota[i, e] != -1:
            yield f"quota: {levels.quota[i, e]} {events_of(world).label(e)}"
    if levels.counters.shape[1]:
        yield f"counters: {' '.join(map(str, levels.counters[i].tolist()))}"
    if levels.key[i].any():
        yield f"key: {levels.key[i, 0]} {levels.key[i, 1]}"


def _mover_lines(levels: Levels, i: int, world: World) -> list[str]:
    lines = []
    for (x, y, kind, alive), script in zip(levels.movers[i].tolist(), levels.scripts[i].tolist(), strict=True):
        if alive not in (0, 1) or any(cell < -1 for cell in script):
            raise LevelError(f"Level {i}: a mover is alive (1) or dead (0), its script holds cells or −1.")
        cells = ["-" if cell < 0 else f"{cell % levels.canvas[1]},{cell // levels.canvas[1]}" for cell in script]
        line = f"mover: {kinds_of(world).label(kind)} at {x},{y}" + ("" if alive else " dead")
        lines.append(f"{line} script {' '.join(cells)}" if cells else line)
    return lines
