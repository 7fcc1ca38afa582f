"""Tables and the console they are printed on."""

from __future__ import annotations

import sys

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

PIPE_WIDTH = 160
"""Where nobody's terminal says how wide it is, words are better not broken."""


def console() -> Console:
    """Standard output, as wide as the terminal; text is printed as it is, without markup or highlights."""
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    return Console(width=width, markup=False, highlight=False, emoji=False)


def table(first: str, *others: str, leading: int = 0) -> Table:
    """An empty table whose first column is never broken over lines, with `leading` blank lines between its rows."""
    grid = Table(first, box=SIMPLE, leading=leading)
    grid.columns[0].no_wrap = True
    for name in others:
        grid.add_column(name, overflow="fold")
    return grid
