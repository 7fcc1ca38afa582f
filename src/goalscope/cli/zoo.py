"""``goalscope zoo``: populations of agents."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from goalscope.cli.progress import progress
from goalscope.errors import GoalscopeError
from goalscope.registry import RECIPES

if TYPE_CHECKING:
    from goalscope.agents.zoo import Member

zoo_app = typer.Typer(no_args_is_help=True, help="Build and verify populations of agents.")

NameArgument: TypeAlias = Annotated[str, typer.Argument(help="what to call the zoo; its folder's name")]
RecipesOption: TypeAlias = Annotated[
    list[str] | None, typer.Option("--recipe", help="id, module or ./file.py; repeatable. Default: all that are known.")
]
FolderOption: TypeAlias = Annotated[Path | None, typer.Option(help="Where zoos lie. Default: the user's cache folder.")]


@zoo_app.command("build")
def build_zoo(
    name: NameArgument,
    recipe: RecipesOption = None,
    folder: FolderOption = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes, each on one thread.")] = 2,
) -> None:
    """Train what is missing and label all: 16 agents of an admitted recipe, 2 of an anchor or control.

    Run the same command again after an interruption: agents that are complete are kept.
    """
    from goalscope.agents.zoo import build

    wanted, place = _wanted(recipe), _place(name, folder)
    with progress(len(wanted)) as tell:
        build(place, wanted, workers, lambda member: tell(member.recipe.name))
    typer.echo(f"{len(wanted)} agents in {place}")


@zoo_app.command("verify")
def verify_zoo(name: NameArgument, recipe: RecipesOption = None, folder: FolderOption = None) -> None:
    """Read every agent and label; the exit code is 1 if anything is missing or was changed."""
    from goalscope.agents.zoo import verify

    wanted = _wanted(recipe)
    problems = verify(_place(name, folder), wanted)
    for problem in problems:
        typer.echo(problem)
    if problems:
        raise typer.Exit(1)
    typer.echo(f"{len(wanted)} agents are as they were built")


def _wanted(recipes: list[str] | None) -> list[Member]:
    from goalscope.agents.zoo import members

    chosen = [RECIPES.load(name) for name in recipes or RECIPES.names()]
    if not chosen:
        raise GoalscopeError("There is no recipe to build from.")
    return members(chosen)


def _place(name: str, folder: Path | None) -> Path:
    from goalscope.envs.kernels.jit import cache_root

    return (folder or cache_root() / "zoos") / name
