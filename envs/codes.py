"""MiniGrid's object, colour and state codes, and how one byte holds a cell.

A *code* is ``object | colour << 4``. Objects 0–10 are MiniGrid's own indices; MiniGrid keeps a door's state in a third
number, here the closed and the locked door are objects 11 and 12, so that a byte is enough. See
Chevalier-Boisvert et al. 2023, "Minigrid & Miniworld" (arXiv 2306.13831).
"""

from __future__ import annotations

from goalscope.errors import LevelError, unknown_name

UNSEEN, EMPTY, WALL, FLOOR, DOOR, KEY, BALL, BOX, GOAL, LAVA, AGENT, CLOSED, LOCKED = range(13)

OBJECT_NAMES = (
    "unseen",
    "empty",
    "wall",
    "floor",
    "door",
    "key",
    "ball",
    "box",
    "goal",
    "lava",
    "agent",
    "closed door",
    "locked door",
)
COLOUR_NAMES = ("red", "green", "blue", "purple", "yellow", "grey")

EMPTY_CODE = EMPTY
WALL_CODE = WALL | COLOUR_NAMES.index("grey") << 4

RIGHT, DOWN, LEFT, UP = range(4)
"""Headings, and the four cardinal actions."""

TURN_LEFT, TURN_RIGHT, FORWARD, PICKUP, DROP, TOGGLE, DONE = range(7)
"""MiniGrid's actions."""


def code(kind: str, colour: str = "red") -> int:
    """The byte of an object: ``code("ball", "blue")``, ``code("locked door", "red")``."""
    if kind not in OBJECT_NAMES:
        raise unknown_name("object", kind, OBJECT_NAMES)
    if colour not in COLOUR_NAMES:
        raise unknown_name("colour", colour, COLOUR_NAMES)
    return OBJECT_NAMES.index(kind) | COLOUR_NAMES.index(colour) << 4


def describe(value: int) -> str:
    """The words of a code, the inverse of :func:`code`: ``"ball blue"``."""
    kind, colour = value & 15, value >> 4
    if kind >= len(OBJECT_NAMES) or colour >= len(COLOUR_NAMES):
        raise LevelError(f"Cell code {value} is not one of MiniGrid's objects: object {kind}, colour {colour}.")
    return f"{OBJECT_NAMES[kind]} {COLOUR_NAMES[colour]}"


def minigrid_triple(value: int) -> tuple[int, int, int]:
    """The three numbers MiniGrid shows for a code: object, colour, state."""
    kind, colour = value & 15, value >> 4
    if kind in (CLOSED, LOCKED):
        return DOOR, colour, kind - CLOSED + 1
    return kind, colour, 0
