"""What the characters and words of a level's text stand for, shared by the writer and the reader."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from goalscope.envs.codes import AGENT, COLOUR_NAMES, EMPTY_CODE, OBJECT_NAMES, UNSEEN, WALL_CODE, describe
from goalscope.envs.world import World

HEADINGS = ">v<^"
"""The agent's glyphs, in the order of the headings 0 to 3."""

MAX_STEPS = 100
"""The deadline of a text that names none."""

CODES = {
    describe(kind | colour << 4): kind | colour << 4
    for kind in range(len(OBJECT_NAMES))
    for colour in range(len(COLOUR_NAMES))
    if kind not in (UNSEEN, AGENT)
}
"""The words of everything that can lie in a cell."""


class Cell(NamedTuple):
    """Everything that one character of the rows stands for."""

    object: int = EMPTY_CODE
    contents: int = 0
    marks: int = 0
    heading: int = -1
    """Where the agent looks, −1 if it is elsewhere."""
    kind: int = -1
    """The kind of a mover that is here, −1 for none."""


class Labels:
    """Words for numbered things: their names where these cannot be misread, else such as ``mark 3``."""

    def __init__(self, word: str, names: Sequence[str]) -> None:
        self.word = word
        self._labels = [
            name if _is_plain(name) and list(names).count(name) == 1 else f"{word} {k}" for k, name in enumerate(names)
        ]

    def label(self, number: int) -> str:
        """The word for a number, known or not."""
        return self._labels[number] if 0 <= number < len(self._labels) else f"{self.word} {number}"

    def number(self, label: str) -> int | None:
        """The number that a word stands for, None if it is no such word."""
        if label in self._labels:
            return self._labels.index(label)
        found = re.fullmatch(rf"{self.word} (-?\d{{1,6}})", label)
        return int(found.group(1)) if found else None

    def __str__(self) -> str:
        return ", ".join(map(repr, self._labels)) or "none"


def _is_plain(name: str) -> bool:
    """Whether a name cannot be taken for an object, for punctuation or for a numbered word."""
    words = re.fullmatch(r"[\w-]+( [\w-]+)*", name)
    return bool(words) and name not in CODES and not re.fullmatch(r"(mark|event|kind) -?\d+|.* holding .*", name)


def marks_of(world: World) -> Labels:
    """Words for the mark bits."""
    return Labels("mark", [thing.name for thing in world.things])


def events_of(world: World) -> Labels:
    """Words for the events."""
    return Labels("event", world.events)


def kinds_of(world: World) -> Labels:
    """Words for the kinds of movers."""
    return Labels("kind", [mover.kind for mover in world.movers])


def alphabet(world: World) -> dict[str, Cell]:
    """The characters that need no legend; an unprintable glyph, or one that is taken, is left to the legend."""
    cells = {"#": Cell(WALL_CODE), ".": Cell()}
    cells |= {glyph: Cell(heading=heading) for heading, glyph in enumerate(HEADINGS)}
    for bit, thing in enumerate(world.things):
        cells.setdefault(thing.glyph, Cell(marks=1 << bit))
    for kind, mover in enumerate(world.movers):
        cells.setdefault(mover.glyph, Cell(kind=kind))
    return {glyph: cell for glyph, cell in cells.items() if len(glyph) == 1 and glyph.isprintable() and glyph != " "}
