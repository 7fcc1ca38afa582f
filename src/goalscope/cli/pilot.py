"""``goalscope pilot``: does a recipe's goal vary between seeds?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from goalscope.cli.jsonable import finite
from goalscope.cli.options import JsonOption
from goalscope.cli.progress import progress
from goalscope.registry import RECIPES

MEANS = ("competence", "excess", "intended", "proxies", "neither", "conditional", "spread", "lowest", "highest")


def pilot(
    recipes: Annotated[list[str], typer.Argument(help="ids, modules or ./files.py of recipes")],
    seeds: Annotated[int, typer.Option(min=2, help="Agents to train of each recipe; 12 are needed to admit one.")] = 12,
    workers: Annotated[int, typer.Option(min=1, help="Processes, each on one thread.")] = 2,
    out: Annotated[Path | None, typer.Option(help="Also write the figures to this JSON file.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Train agents from seeds that no zoo uses and print what admission rests on.

    A recipe is admitted if at least 12 agents are competent (0.9 of the pursuer's success in training) and purposeful
    (0.3 more likely than a random policy to reach any goal), and the SD between them of P(intended | any goal) is 0.10.
    """
    from goalscope.agents.pilot import run_pilots
    from goalscope.files import write_whole

    chosen = [RECIPES.load(name) for name in recipes]
    with progress(len(chosen) * seeds) as tell:
        pilots = run_pilots(chosen, seeds, workers, lambda recipe, _: tell(recipe.name))
    rows = [finite(p.row()) for p in pilots]
    text = json.dumps(rows, indent=1, allow_nan=False)
    if out is not None:
        write_whole(out, lambda path: path.write_text(text))
    if as_json:
        typer.echo(text)
    else:
        _print_rows(rows)


def _print_rows(rows: list[dict[str, Any]]) -> None:
    from goalscope.cli.tables import console, table

    grid = table("recipe", "counted", *MEANS, "admitted")
    for row in rows:
        figures = ["–" if row[name] is None else f"{row[name]:.2f}" for name in MEANS]
        admitted = "yes" if row["admitted"] else "no"
        grid.add_row(row["recipe"], f"{row['counted']} of {row['agents']}", *figures, admitted)
    console().print(grid)
