"""``goalscope zoo``: populations of agents."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from goalscope.cli.progress import progress
from goalscope.errors import GoalscopeError
from goalscope.registry import RECIPES, SUITES

if TYPE_CHECKING:
    from goalscope.agents.zoo import Member

zoo_app = typer.Typer(no_args_is_help=True, help="Build and verify populations of agents.")

NameArgument: TypeAlias = Annotated[str, typer.Argument(help="what to call the zoo; its folder's name")]
RecipesOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--recipe", help="id, module or ./file.py; repeatable. Default: those of the suite of that name."),
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

    wanted, place = _wanted(name, recipe), (folder or _built()) / name
    with progress(len(wanted)) as tell:
        build(place, wanted, workers, lambda member: tell(member.recipe.name))
    typer.echo(f"{len(wanted)} agents in {place}")


@zoo_app.command("verify")
def verify_zoo(name: NameArgument, recipe: RecipesOption = None, folder: FolderOption = None) -> None:
    """Read every agent and label; the exit code is 1 if anything is missing or was changed."""
    from goalscope.agents.zoo import find_zoo, verify

    wanted = _wanted(name, recipe)
    problems = verify(find_zoo(name) if folder is None else folder / name, wanted)
    for problem in problems:
        typer.echo(problem)
    if problems:
        raise typer.Exit(1)
    typer.echo(f"{len(wanted)} agents are as they were built")


def _wanted(zoo: str, recipes: list[str] | None) -> list[Member]:
    """The members of a zoo: of the recipes named, else of all that the suites on it ask about or show."""
    from goalscope.agents.zoo import members

    names = recipes or [name for _, suite in SUITES.load_all() if suite.zoo == zoo for name in suite.shown]
    if not names:
        raise GoalscopeError(f"No suite uses a zoo {zoo!r}: say with --recipe what it shall hold.")
    return members([RECIPES.load(name) for name in dict.fromkeys(names)])


def _built() -> Path:
    """The user's own zoos."""
    from goalscope.envs.kernels.jit import cache_root

    return cache_root() / "zoos"
