"""``goalscope docs``: a page about each family, with pictures."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Annotated

import typer

from goalscope.cli.options import SeedOption
from goalscope.errors import StorageError, unknown_name
from goalscope.registry import FAMILIES

if TYPE_CHECKING:
    from goalscope.envs.gallery import MeasuredAgent

PILOTS = Path("docs/pilots.csv")


def docs(
    families: Annotated[list[str] | None, typer.Argument(metavar="ID", help="Which families; default: all.")] = None,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder to write into.")] = Path("docs/families"),
    pilots: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=f"Measured agents, a row each; default: {PILOTS}, if it is there."),
    ] = None,
    training: Annotated[int, typer.Option(min=100, help="Training levels that the reports are about.")] = 2000,
    queries: Annotated[int, typer.Option(min=4, help="Query levels of each shift.")] = 256,
    episodes: Annotated[int, typer.Option(min=1, help="Episodes of the random policy on each of those.")] = 64,
    seed: SeedOption = 0,
) -> None:
    """Write a page with pictures about each family; where none is named, about all, and an index.

    The same command writes the same bytes.
    """
    names = families or [name for name, _ in FAMILIES.load_all()]
    for name in names:
        if name not in FAMILIES.sources:
            raise unknown_name("family", name, FAMILIES.sources)
    agents = _measured(pilots)
    _check_writable(out)
    from goalscope.envs.gallery import Sizes, collect, write_index, write_page

    sizes = Sizes(training=training, queries=queries, episodes=episodes)
    cards = []
    for name in names:
        cards.append(collect(name, agents, sizes, seed))
        typer.echo(f"Wrote {write_page(cards[-1], out)}.")
    if not families:
        typer.echo(f"Wrote {write_index(cards, out)}.")


def _measured(path: Path | None) -> tuple[MeasuredAgent, ...]:
    """The rows of a file; none if nobody named one and there is none in the usual place."""
    from goalscope.envs.gallery import read_pilots

    return read_pilots(path or PILOTS) if path or PILOTS.exists() else ()


def _check_writable(folder: Path) -> None:
    """Say what is wrong with a folder before minutes are spent."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise StorageError(f"Cannot write into {folder}: {error.strerror}. Choose another folder (--out).") from error
