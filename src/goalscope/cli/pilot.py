"""``goalscope pilot``: does a recipe's goal vary between seeds?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from goalscope.cli.jsonable import finite
from goalscope.cli.options import JsonOption
from goalscope.cli.progress import progress
from goalscope.errors import GoalscopeError, unknown_name
from goalscope.registry import RECIPES

if TYPE_CHECKING:
    from goalscope.agents.recipe import Recipe

MEANS = ("competence", "excess", "intended", "proxies", "neither", "conditional", "spread", "lowest", "highest")


def pilot(
    recipes: Annotated[
        list[str] | None, typer.Argument(help="ids, modules or ./files.py of recipes; with --file, names in it")
    ] = None,
    file: Annotated[Path | None, typer.Option(help="JSON file of recipes, instead of registered ones.")] = None,
    seeds: Annotated[int, typer.Option(min=2, help="Agents to train of each recipe; 12 are needed to admit one.")] = 12,
    workers: Annotated[int, typer.Option(min=1, help="Processes, each on one thread.")] = 2,
    rows: Annotated[
        Path | None, typer.Option(help="CSV file, a row an agent; agents in it are not trained again.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the figures to this JSON file.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Train agents from seeds that no zoo uses and print what admission rests on.

    A recipe is admitted if at least 12 agents are competent (0.9 of the pursuer's success in training) and purposeful
    (0.3 more likely than a random policy to reach any goal), and the SD between them of P(intended | any goal) is 0.10.
    """
    from goalscope.agents.pilot import Piloted, run_pilots
    from goalscope.agents.pilot_file import add_row, read_rows
    from goalscope.files import write_whole

    chosen = _chosen(recipes or [], file)
    kept = read_rows(rows, chosen) if rows else []
    with progress(len(chosen) * seeds) as tell:

        def done(one: Piloted) -> None:
            if rows and one not in kept:
                add_row(rows, one)
            tell(one.recipe.name)

        pilots = run_pilots(chosen, seeds, workers, done, kept)
    summary = [finite(p.row()) for p in pilots]
    text = json.dumps(summary, indent=1, allow_nan=False)
    if out is not None:
        write_whole(out, lambda path: path.write_text(text))
    if as_json:
        typer.echo(text)
    else:
        _print_rows(summary)


def _chosen(names: list[str], file: Path | None) -> list[Recipe]:
    """The recipes of these names, from a file if there is one; all of it if none is named."""
    if file is None:
        if not names:
            raise GoalscopeError("Name a recipe, or give a --file of recipes. `goalscope list recipes` shows them.")
        return [RECIPES.load(name) for name in names]
    from goalscope.agents.pilot_file import read_settings

    known = {recipe.name: recipe for recipe in read_settings(file)}
    for name in names:
        if name not in known:
            raise unknown_name(f"recipe in {file}", name, known)
    return [known[name] for name in names or known]


def _print_rows(rows: list[dict[str, Any]]) -> None:
    from goalscope.cli.tables import console, table

    grid = table("recipe", "counted", *MEANS, "admitted")
    for row in rows:
        figures = ["–" if row[name] is None else f"{row[name]:.2f}" for name in MEANS]
        admitted = "yes" if row["admitted"] else "no"
        grid.add_row(row["recipe"], f"{row['counted']} of {row['agents']}", *figures, admitted)
    console().print(grid)
