"""``goalscope zoo page``: what the agents of a zoo do, on one page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from goalscope.cli.jsonable import finite
from goalscope.cli.options import JsonOption


def page(
    name: Annotated[str, typer.Argument(metavar="ZOO", help="the bundled zoo, or one that `zoo build` made")],
    folder: Annotated[Path | None, typer.Option(help="Where zoos lie. Default: the user's cache folder.")] = None,
    out: Annotated[Path | None, typer.Option(help="The page to write. Default: population-ZOO.html.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the one-page report of a zoo: outcomes by recipe and seed, spread, dose–response, competence and purpose.

    With --json the numbers are printed, and the page is written only where --out says.
    """
    from goalscope.agents.zoo import find_zoo
    from goalscope.suites.population_groups import read_census
    from goalscope.suites.population_page import write_population_page
    from goalscope.suites.population_table import as_json as numbers

    census = read_census(find_zoo(name) if folder is None else folder / name)
    place = out or (None if as_json else Path(f"population-{census.zoo}.html"))
    if place is not None:
        write_population_page(census, place)
    if as_json:
        typer.echo(json.dumps(finite(numbers(census)), indent=1, allow_nan=False))
    else:
        typer.echo(f"Page about {census.size} agents: {place}")
