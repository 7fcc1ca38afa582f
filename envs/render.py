"""Pictures of levels: MiniGrid's own frames, coloured text for a terminal, and sheets of many levels with paths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from goalscope.envs.codes import BALL, BOX, CLOSED, DOOR, EMPTY, FLOOR, GOAL, KEY, LAVA, LOCKED, WALL
from goalscope.envs.display import Display
from goalscope.envs.grids import grid_of
from goalscope.envs.levels import Levels
from goalscope.envs.world import World
from goalscope.errors import LevelError

Paths = Mapping[str, NDArray[np.integer]]
"""Goal name -> the cells (y · W + x) that its pursuer visits in order, `[n]`."""


def frame(
    world: World,
    levels: Levels,
    i: int,
    tile_size: int = 32,
    highlight_mask: NDArray[np.bool_] | None = None,
    display: Display | None = None,
) -> NDArray[np.uint8]:
    """Level `i` as MiniGrid draws it, `[H·t, W·t, 3]`; `highlight_mask` `[W, H]` (x first) lights cells up."""
    x, y, heading, _ = levels.agent[i].tolist()
    image = grid_of(world, levels, i, display).render(tile_size, (x, y), heading, highlight_mask)
    return np.asarray(image, np.uint8)


RGB = ((224, 72, 72), (64, 190, 84), (96, 136, 255), (168, 100, 240), (226, 206, 64), (110, 110, 110))
"""MiniGrid's six colours, softer, for text."""

SYMBOLS = {DOOR: "/", CLOSED: "+", LOCKED: "%", KEY: "k", BALL: "o", BOX: "b", LAVA: "~"}
ARROWS = "▶▼◀▲"
BLACK, WHITE = (0, 0, 0), (255, 255, 255)


def ansi(world: World, levels: Levels, i: int, display: Display | None = None) -> str:
    """Level `i` as coloured text for a terminal, two characters a cell.

    They are the first two of: the agent's arrow, movers' and things' glyphs (highest priority first, invisible marks
    last), the symbol of the object. Their colour is the one that the cell shows; walls, floors, goals and lava fill it.
    """
    seen = grid_of(world, levels, i, display).encode()  # [W, H, 3]
    height, width = levels.canvas
    lines = []
    for y in range(height):
        cells = [_styled(seen[x, y].tolist(), "".join(_glyphs(world, levels, i, x, y))) for x in range(width)]
        runs = (style + "".join(text for _, text in run) for style, run in groupby(cells, key=lambda cell: cell[0]))
        lines.append("".join(runs) + "\033[0m")
    return "\n".join(lines)


def _styled(seen: Sequence[int], glyphs: str) -> tuple[str, str]:
    """A cell's two characters, after the terminal's code for their foreground and background."""
    is_filled = seen[0] in (WALL, FLOOR, GOAL, LAVA)
    back = RGB[seen[1]] if is_filled else BLACK
    fore = BLACK if is_filled else RGB[-1] if seen[0] == EMPTY else RGB[seen[1]]
    if glyphs[:1] in tuple(ARROWS):
        fore = WHITE
    text = (glyphs or (" " if is_filled else ".")).ljust(2)[:2]
    return "\033[38;2;{};{};{};48;2;{};{};{}m".format(*fore, *back), text


def _glyphs(world: World, levels: Levels, i: int, x: int, y: int) -> Iterator[str]:
    """The characters of everything that is in a cell, the topmost first."""
    if tuple(levels.agent[i, :2]) == (x, y):
        yield ARROWS[int(levels.agent[i, 2])]
    for mx, my, kind, alive in reversed(levels.movers[i].tolist()):
        if alive and (mx, my) == (x, y):
            yield world.movers[kind].glyph
    marks = int(levels.marks[i, y, x])
    for thing in sorted(world.things, key=lambda t: (t.visible, t.priority), reverse=True):
        if marks & world.bit(thing.name):
            yield thing.glyph
    if levels.cells[i, y, x] & 15 in SYMBOLS:
        yield SYMBOLS[levels.cells[i, y, x] & 15]


GOAL_COLOURS = ("#56B4E9", "#E69F00", "#CC79A7", "#009E73", "#F0E442", "#D55E00")
"""One colour a goal (Okabe & Ito's, which colour-blind readers tell apart), in the order in which paths name them."""

PAPER, INK, FAINT = "#ffffff", "#1f2328", "#57606a"
GAP = 14
OVERSAMPLING = 4


def sheet(
    world: World,
    levels: Levels,
    rows: int,
    cols: int,
    tile_size: int = 24,
    titles: Sequence[str] | None = None,
    paths: Sequence[Paths] | None = None,
    display: Display | None = None,
) -> Image.Image:
    """The first rows × cols levels as one picture, with captions and, where given, the paths of pursuers.

    Paths of different goals run side by side, each from the agent to a dot; a legend at the bottom names their colours.
    """
    count = min(rows * cols, len(levels))
    for name, given in (("titles", titles), ("paths", paths)):
        if given is not None and len(given) < count:
            raise LevelError(f"A sheet of {count} levels needs as many {name}, got {len(given)}.")
    goals = list(dict.fromkeys(name for level in (paths or ())[:count] for name in level))
    colours = {goal: GOAL_COLOURS[k % len(GOAL_COLOURS)] for k, goal in enumerate(goals)}
    font = _font(tile_size)
    height, width = levels.canvas
    caption = font.size * 1.5 if titles else 0
    step_x, step_y = width * tile_size + GAP, height * tile_size + GAP + round(caption)
    legend = round(font.size * 2.2) if colours else 0
    names_width = sum(font.size * 2.8 + font.getlength(name) for name in colours)
    page_width = max(cols * step_x, round(names_width)) + GAP
    page = Image.new("RGB", (page_width, rows * step_y + GAP + legend), PAPER)
    draw = ImageDraw.Draw(page)
    for k in range(count):
        x, y = GAP + k % cols * step_x, GAP + k // cols * step_y
        if titles:
            draw.text((x, y), _shorten(titles[k], width * tile_size, font), INK, font)
        picture = Image.fromarray(frame(world, levels, k, tile_size, display=display))
        if paths:
            picture = _with_paths(picture, paths[k], colours, width, tile_size)
        page.paste(picture, (x, y + round(caption)))
    _draw_legend(draw, colours, GAP, rows * step_y + GAP, font)
    return page


def _font(tile_size: int) -> ImageFont.FreeTypeFont:
    """Pillow's own font, readable whatever the tiles' size."""
    font = ImageFont.load_default(max(12, round(tile_size * 0.55)))
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def _shorten(text: str, width: int, font: ImageFont.FreeTypeFont) -> str:
    """`text`, cut with an ellipsis where it would be wider than `width` pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def _with_paths(
    picture: Image.Image, paths: Paths, colours: Mapping[str, str], width: int, tile_size: int
) -> Image.Image:
    """The picture with a line for each path, drawn large and scaled down so that edges are smooth."""
    scale = tile_size * OVERSAMPLING
    layer = Image.new("RGBA", (picture.width * OVERSAMPLING, picture.height * OVERSAMPLING))
    draw = ImageDraw.Draw(layer)
    names = list(colours)
    for name, cells in paths.items():
        offset = 0.5 + (names.index(name) - (len(names) - 1) / 2) * min(0.2, 0.6 / len(names))
        points = [((c % width + offset) * scale, (c // width + offset) * scale) for c in _without_pauses(cells)]
        _draw_line(draw, points, colours[name], scale)
    layer = layer.resize(picture.size, Image.Resampling.LANCZOS)
    return Image.alpha_composite(picture.convert("RGBA"), layer).convert("RGB")


def _without_pauses(cells: NDArray[np.integer]) -> list[int]:
    """The cells of a path, each pause as one."""
    return [int(c) for n, c in enumerate(cells) if n == 0 or c != cells[n - 1]]


def _draw_line(draw: ImageDraw.ImageDraw, points: list[tuple[float, float]], colour: str, scale: int) -> None:
    """A line with a dark edge and a dot at its end."""
    for shade, thickness, dot in (("#000000b0", 0.18, 0.19), (colour, 0.11, 0.14)):
        if len(points) > 1:
            draw.line(points, shade, round(thickness * scale), joint="curve")
        for x, y in points[-1:]:
            draw.ellipse([x - dot * scale, y - dot * scale, x + dot * scale, y + dot * scale], shade)


def _draw_legend(
    draw: ImageDraw.ImageDraw, colours: Mapping[str, str], x: float, y: float, font: ImageFont.FreeTypeFont
) -> None:
    """A dot and a name for each goal, in one line."""
    for name, colour in colours.items():
        draw.ellipse([x, y + font.size * 0.2, x + font.size * 0.8, y + font.size], colour, FAINT)
        draw.text((x + font.size * 1.2, y), name, INK, font)
        x += font.size * 2.8 + font.getlength(name)
