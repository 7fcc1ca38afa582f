"""``goalscope play``: walk through levels in the terminal."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from goalscope.cli.options import KnobOption, SeedOption, ShiftOption, SplitOption, TargetArgument, distribution
from goalscope.errors import GoalscopeError

if TYPE_CHECKING:
    from goalscope.cli.game import Game

ALTERNATE_SCREEN, USUAL_SCREEN = "\033[?1049h", "\033[?1049l"
CLEAR = "\033[H\033[2J"


def play(
    family: TargetArgument,
    shift: ShiftOption = "train",
    split: SplitOption = "train",
    seed: SeedOption = 0,
    level: Annotated[int, typer.Option(min=0, help="Index of the first level.")] = 0,
    knob: KnobOption = None,
) -> None:
    """Walk through levels in the terminal: arrow keys or wasd, n next level, r restart, q quit.

    Where the agent turns: left and right turn, up goes forward, p picks up, d drops, t toggles, enter is done.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise GoalscopeError("goalscope play needs a terminal; `goalscope levels` draws levels without one.")
    source = distribution(family, shift, split, seed, knob)
    from goalscope.cli.game import Game

    game = Game(source, level)
    with suppress(KeyboardInterrupt, EOFError):
        _walk(game)
    typer.echo(game.status())


def _walk(game: Game) -> None:
    """Show the game and pass it keys until one is q."""
    from goalscope.cli.keys import listening

    _show(ALTERNATE_SCREEN)
    try:
        with listening() as keys:
            _show(CLEAR + game.picture())
            for key in keys:
                if key == "q":
                    break
                game.press(key)
                _show(CLEAR + game.picture())
    finally:
        _show(USUAL_SCREEN)


def _show(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
