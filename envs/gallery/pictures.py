"""The pictures of a page: a strip of levels with pursuers' paths, and a thumbnail for the index."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from goalscope.envs.family import Family
from goalscope.envs.gallery.card import Card, Strip
from goalscope.envs.render import FAINT, INK, PAPER, frame, sheet
from goalscope.files import write_whole

TILE, SMALLEST_TILE = 22, 8
WIDTH = 800
"""A strip of large levels has smaller tiles, so that its levels together are at most this wide, in pixels: with the
space between them about a page."""

SIDE, EDGE, LINE = 120, 8, 17
"""Of a thumbnail: the largest side of a level, the space around it, the height of a line of text; in pixels."""


def draw_strip(family: Family, strip: Strip) -> Image.Image:
    """Its levels side by side, with captions, paths and a legend."""
    count = len(strip.levels)
    tile = max(SMALLEST_TILE, min(TILE, WIDTH // (count * strip.levels.canvas[1])))
    titles = strip.captions or None
    return sheet(family.world, strip.levels, 1, count, tile, titles, strip.paths, strip.display)


def draw_thumbnail(card: Card) -> Image.Image:
    """The family's id over one training level and, beside it, one query level of the furthest shift."""
    shown = [("training", card.training)]
    if card.furthest:
        shown.append((card.furthest.shift.name, card.furthest.strip))
    title, small = ImageFont.load_default(14), ImageFont.load_default(12)
    page = Image.new("RGB", (2 * SIDE + 3 * EDGE, SIDE + 2 * LINE + 3 * EDGE), PAPER)
    draw = ImageDraw.Draw(page)
    draw.text((EDGE, EDGE), card.id, INK, title)
    for k, (name, strip) in enumerate(shown):
        left, top = EDGE + k * (SIDE + EDGE), EDGE + LINE
        draw.text((left, top), name, FAINT, small)
        tile = max(1, SIDE // max(strip.levels.canvas))
        picture = Image.fromarray(frame(card.family.world, strip.levels, 0, tile, display=strip.display))
        page.paste(picture, (left, top + LINE + EDGE // 2))
    return page


def save(picture: Image.Image, path: Path) -> None:
    """As PNG, which holds nothing but the pixels."""
    write_whole(path, lambda partial: picture.save(partial, "PNG", optimize=True))
