"""Keys pressed in a terminal, by name."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from re import compile as pattern

ARROWS = {"A": "up", "B": "down", "C": "right", "D": "left"}
WINDOWS_ARROWS = {"H": "up", "P": "down", "M": "right", "K": "left"}
NAMES = {"\r": "enter", "\n": "enter", " ": "space", "\x03": "q", "\x04": "q", "\x1b": "q"}

TOKEN = pattern(r"\x1b[\[O][0-9;]*(?P<ansi>[A-Za-z~])|[\x00\xe0](?P<windows>[A-Z])|(?P<plain>.|\n)")


def keys_in(text: str) -> Iterator[str]:
    """The keys in what a terminal sent, which may be several at once; those without a name here are left out."""
    for token in TOKEN.finditer(text):
        if token["plain"]:
            key = token["plain"].lower()
            yield NAMES.get(key, key)
        else:
            name = ARROWS.get(token["ansi"] or "") or WINDOWS_ARROWS.get(token["windows"] or "")
            if name:
                yield name


def _texts_on_windows() -> Iterator[str]:
    import typer

    while True:
        yield typer.getchar()


def _texts() -> Iterator[str]:
    """What the terminal sends, as soon as it sends it, until it is closed."""
    while sent := os.read(sys.stdin.fileno(), 1024):
        yield sent.decode(errors="ignore")


@contextmanager
def listening() -> Iterator[Iterator[str]]:
    """Keys as they are pressed, none of them echoed or lost in between; the terminal is as before afterwards."""
    if sys.platform == "win32":
        yield (key for text in _texts_on_windows() for key in keys_in(text))
        return
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield (key for text in _texts() for key in keys_in(text))
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
