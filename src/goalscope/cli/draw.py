"""``goalscope levels``: look at many levels at once, in a picture or in the terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from re import fullmatch
from typing import TYPE_CHECKING, Annotated

import typer

from goalscope.cli.options import KnobOption, SeedOption, ShiftOption, SplitOption, TargetArgument, distribution
from goalscope.errors import GoalscopeError
from goalscope.files import write_whole

if TYPE_CHECKING:
    from goalscope.envs.levels import Levels
    from goalscope.envs.render import Paths
    from goalscope.envs.sampling import Distribution

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".gif": "GIF", ".webp": "WEBP", ".pdf": "PDF"}
MOST = 20
"""Rows or columns of a sheet; more would make a picture that nobody can open."""


def levels(
    family: TargetArgument,
    shift: ShiftOption = "train",
    split: SplitOption = "train",
    grid: Annotated[str, typer.Option(metavar="ROWSxCOLS", help="How many levels.")] = "4x4",
    seed: SeedOption = 0,
    knob: KnobOption = None,
    paths: Annotated[bool, typer.Option("--paths", help="Draw a shortest path to each goal (with --out).")] = False,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help=f"Picture to write ({', '.join(FORMATS)}).")] = None,
) -> None:
    """Draw levels of a family into a picture, or into the terminal.

    The caption of a level is its index and its margin: steps to the nearest proxy minus steps to the intended goal.
    """
    rows, cols = _parse_grid(grid)
    if out is not None:
        _check_writable(out)
    elif paths:
        raise GoalscopeError("--paths draws into a picture: name one with --out, for instance --out levels.png.")
    source = distribution(family, shift, split, seed, knob)
    drawn = source.draw(range(rows * cols))
    if out is None:
        _print_levels(source, drawn, cols)
    else:
        _save_sheet(source, drawn, (rows, cols), paths, out)


def _parse_grid(text: str) -> tuple[int, int]:
    found = fullmatch(r"(\d{1,3})[x×](\d{1,3})", text.strip().lower())
    rows, cols = (int(found[1]), int(found[2])) if found else (0, 0)
    if not (1 <= rows <= MOST and 1 <= cols <= MOST):
        raise GoalscopeError(f"--grid expects ROWSxCOLS from 1x1 to {MOST}x{MOST}, for instance 4x4, got {text!r}.")
    return rows, cols


def _check_writable(path: Path) -> None:
    """Say what is wrong with a path before anything is drawn."""
    if path.suffix.lower() not in FORMATS:
        known = ", ".join(FORMATS)
        raise GoalscopeError(f"--out must end in one of {known}, which says the picture's format; got {str(path)!r}.")
    if not path.parent.is_dir():
        raise GoalscopeError(f"Could not write {path}: there is no folder {path.parent}.")
    if path.is_dir():
        raise GoalscopeError(f"Could not write {path}: it is a folder.")


def _save_sheet(source: Distribution, drawn: Levels, grid: tuple[int, int], with_paths: bool, out: Path) -> None:
    from goalscope.envs.render import sheet

    family, titles = source.family, _captions(source, drawn)
    paths = [_paths(source, drawn, i) for i in range(len(drawn))] if with_paths else None
    picture = sheet(family.world, drawn, *grid, titles=titles, paths=paths, display=family.look(source.settings))
    write_whole(out, lambda partial: picture.save(partial, FORMATS[out.suffix.lower()]))
    count = "1 level" if len(drawn) == 1 else f"{len(drawn)} levels"
    typer.echo(f"Wrote {count} of {family.id} under {source.shift} to {out}.")


def _paths(source: Distribution, drawn: Levels, i: int) -> Paths:
    """A shortest path to each goal that can be reached at all."""
    from goalscope.envs.pursuit import path

    found = {goal.name: path(source.family, drawn, i, goal) for goal in source.goals}
    return {name: cells for name, cells in found.items() if len(cells) > 1}


def _captions(source: Distribution, drawn: Levels) -> list[str]:
    """Index and margin of each level; the index alone where there is no proxy to compare with."""
    from goalscope.envs.captions import unpictured
    from goalscope.envs.pursuit import margin

    settings, display = source.settings, source.family.look(source.settings)
    beside = (unpictured(source.family, drawn, i, display) for i in range(len(drawn)))
    names = [f"#{i}  {more}" if more else f"#{i}" for i, more in enumerate(beside)]
    if len(source.goals) < 2 or source.family.intended(settings) not in source.goals:
        return names
    margins = margin(source.family, drawn, source.goals, settings).tolist()
    return [f"{name}  margin {f'{value:+.0f}' if value else '0'}" for name, value in zip(names, margins, strict=True)]


def _print_levels(source: Distribution, drawn: Levels, cols: int) -> None:
    """Coloured text side by side in a terminal; elsewhere, under each caption, the level's exact ASCII."""
    captions = _captions(source, drawn)
    if sys.stdout.isatty():
        _print_coloured(source, drawn, captions, cols)
    else:
        _print_ascii(source, drawn, captions)


def _print_coloured(source: Distribution, drawn: Levels, captions: list[str], cols: int) -> None:
    """Rows of levels, as many beside one another as the terminal is wide."""
    from shutil import get_terminal_size

    from goalscope.envs.render import ansi

    width, display = 2 * drawn.canvas[1], source.family.look(source.settings)
    beside = max(1, min(cols, (get_terminal_size().columns + 2) // (width + 2)))
    blocks = [
        [caption[:width].ljust(width), *ansi(source.family.world, drawn, i, display).split("\n")]
        for i, caption in enumerate(captions)
    ]
    for start in range(0, len(blocks), beside):
        for lines in zip(*blocks[start : start + beside], strict=True):
            typer.echo("  ".join(lines))
        typer.echo()


def _print_ascii(source: Distribution, drawn: Levels, captions: list[str]) -> None:
    from goalscope.envs.ascii import to_ascii

    for i, caption in enumerate(captions):
        typer.echo(f"{caption}\n{to_ascii(drawn, i, source.family.world)}\n")
