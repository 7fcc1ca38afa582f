"""Keys pressed in a terminal, by name."""

from __future__ import annotations

from collections.abc import Iterator
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


def pressed() -> Iterator[str]:
    """Keys as they are pressed, until the terminal is closed or interrupted."""
    import typer

    while True:
        try:
            text = typer.getchar()
        except (EOFError, KeyboardInterrupt):
            return
        yield from keys_in(text)
