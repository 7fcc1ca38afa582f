"""``goalscope zoo``: populations of agents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from goalscope.cli.options import JsonOption
from goalscope.cli.progress import progress
from goalscope.errors import GoalscopeError, unknown_name
from goalscope.registry import RECIPES, SUITES

if TYPE_CHECKING:
    from goalscope.agents.members import Member
    from goalscope.agents.recipe import Recipe

zoo_app = typer.Typer(no_args_is_help=True, help="Build, verify, inspect and merge populations of agents.")

NameArgument: TypeAlias = Annotated[str, typer.Argument(metavar="ZOO", help="the zoo's name, which is its folder's")]
RecipesOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--recipe", help="id, module or ./file.py, or a name in the --file; repeatable."),
]
FileOption: TypeAlias = Annotated[
    Path | None, typer.Option("--file", help="JSON file of recipes, as `goalscope pilot` reads them.")
]
SeedsOption: TypeAlias = Annotated[int | None, typer.Option(min=1, help="Agents of each recipe, whatever its role.")]
FolderOption: TypeAlias = Annotated[Path | None, typer.Option(help="Where zoos lie. Default: the user's cache folder.")]
WorkersOption: TypeAlias = Annotated[int, typer.Option(min=1, help="Processes, each on one thread.")]


@zoo_app.command("build")
def build_zoo(
    name: NameArgument,
    recipe: RecipesOption = None,
    file: FileOption = None,
    seeds: SeedsOption = None,
    folder: FolderOption = None,
    workers: WorkersOption = 2,
) -> None:
    """Train and label what is missing: 16 agents of an admitted recipe, 2 of an anchor, a control or a planted one.

    Without --recipe and --file a zoo holds what the recipes of its name that come with Goalscope say, else those of the
    suites that use it. Run the same command again after an interruption: what is complete is kept.
    """
    from goalscope.agents.members import members
    from goalscope.agents.zoo import build, unfinished

    wanted, place = members(_recipes(name, recipe, file), seeds), (folder or _built()) / name
    todo = unfinished(place, wanted)
    if len(todo) < len(wanted):
        typer.echo(f"{len(wanted) - len(todo)} of {len(wanted)} agents are there already", err=True)
    with progress(len(todo), sum(map(_work, todo))) as tell:
        build(place, wanted, workers, lambda member: tell(member.recipe.name, _work(member)))
    typer.echo(f"{len(wanted)} agents in {place}")


@zoo_app.command("verify")
def verify_zoo(
    name: NameArgument,
    recipe: RecipesOption = None,
    file: FileOption = None,
    seeds: SeedsOption = None,
    folder: FolderOption = None,
    retrain: Annotated[int, typer.Option(min=0, help="Train so many agents anew and compare every byte.")] = 0,
    workers: WorkersOption = 2,
) -> None:
    """Read every agent and label; the exit code is 1 if anything is missing or was changed.

    Without --recipe and --file it asks for what the zoo itself lists.
    """
    from goalscope.agents.verify import retrain as train_again
    from goalscope.agents.verify import verify

    place = _place(name, folder)
    wanted = _wanted(name, place, recipe, file, seeds)
    problems = verify(place, wanted)
    if retrain and not problems:
        again = min(retrain, len(wanted))
        with progress(again) as tell:
            problems = train_again(place, wanted, again, workers, lambda member: tell(member.recipe.name))
    for problem in problems:
        typer.echo(problem)
    if problems:
        raise typer.Exit(1)
    also = f", and {min(retrain, len(wanted))} of them come out the same when trained anew" if retrain else ""
    typer.echo(f"{len(wanted)} agents are as they were built{also}")


@zoo_app.command("inspect")
def inspect_zoo(
    name: NameArgument,
    agent: Annotated[str | None, typer.Argument(metavar="[AGENT_ID]", help="one agent, in full")] = None,
    folder: FolderOption = None,
    as_json: JsonOption = False,
) -> None:
    """What is in a zoo, or everything about one agent, but not what agents do under a shift."""
    from goalscope.agents.inventory import agent_entry, contents

    place = _place(name, folder)
    if agent is None:
        found = contents(place)
    else:
        known = [path.stem for path in (place / "agents").glob("[!.]*.json")]
        if agent not in known:
            raise unknown_name(f"agent in {place}", agent, known)
        found = agent_entry(place, agent)
    if as_json:
        typer.echo(json.dumps(found, indent=1, allow_nan=False))
    elif agent is None:
        _print_contents(found)
    else:
        _print_agent(found)


@zoo_app.command("merge")
def merge_zoos(
    names: Annotated[list[str], typer.Argument(metavar="ZOO ZOO …", help="two zoos or more")],
    into: Annotated[str, typer.Option(help="What to call the zoo that holds all their agents.")],
    folder: FolderOption = None,
) -> None:
    """Write a zoo with all agents and labels of several; they must not contradict each other."""
    from goalscope.agents.merge import merge

    if len(names) < 2:
        raise GoalscopeError(f"Merging takes two zoos or more, got {len(names)}: goalscope zoo merge A B --into C.")
    place = (folder or _built()) / into
    number = merge([_place(name, folder) for name in names], place)
    typer.echo(f"{number} agents in {place}")


def _work(member: Member) -> int:
    """Training's share of the work goes by its steps; making ready, measuring and labelling take as long as many."""
    return 100_000 + member.recipe.budget


def _recipes(zoo: str, names: list[str] | None, file: Path | None) -> list[Recipe]:
    """What a zoo shall hold: what is named, else the bundled recipes of its name, else what the suites on it show."""
    from goalscope.agents.pilot_file import read_settings
    from goalscope.agents.zoo import BUNDLED

    bundled = BUNDLED / f"{zoo}.json"
    source = file or (bundled if bundled.exists() else None)
    known = {recipe.name: recipe for recipe in read_settings(source)} if source else {}
    asked = names or list(known) or [name for _, suite in SUITES.load_all() if suite.zoo == zoo for name in suite.shown]
    if not asked:
        raise GoalscopeError(f"No suite uses a zoo {zoo!r}: say with --recipe or --file what it shall hold.")
    for name in asked:
        if file is not None and name not in known:
            raise unknown_name(f"recipe in {file}", name, known)
    return [known.get(name) or RECIPES.load(name) for name in dict.fromkeys(asked)]


def _wanted(zoo: str, place: Path, names: list[str] | None, file: Path | None, seeds: int | None) -> list[Member]:
    """The members that a zoo is asked for, else those that it lists."""
    from goalscope.agents.members import members, read_members

    asked = names or file or seeds or not (place / "zoo.json").exists()
    return members(_recipes(zoo, names, file), seeds) if asked else read_members(place)


def _place(name: str, folder: Path | None) -> Path:
    """The folder of a zoo that is there."""
    from goalscope.agents.zoo import find_zoo

    if folder is None:
        return find_zoo(name)
    if not (folder / name).is_dir():
        raise GoalscopeError(f"There is no zoo {name!r} in {folder}.")
    return folder / name


def _built() -> Path:
    """The user's own zoos."""
    from goalscope.envs.kernels.jit import cache_root

    return cache_root() / "zoos"


def _print_contents(found: dict[str, Any]) -> None:
    from goalscope.cli.tables import console, table

    formats = ", ".join(f"{name} ({count})" for name, count in sorted(found["formats"].items()))
    columns = ("role", "family", "shift", "agents", "competent", "competence", "labelled", "core_minutes", "bytes")
    grid = table("recipe", *(name.replace("_", "-") for name in columns))
    for entry in found["recipes"]:
        grid.add_row(entry["recipe"], *(_cell(entry[name]) for name in columns))
    out = console()
    out.print(f"{found['zoo']}: {formats or 'empty'}")
    out.print(
        f"{found['agents']} of {found['members']} agents, {found['labelled']} labelled, {found['stages']} stages, "
        f"{found['bytes']:,} bytes of weights, {_cell(found['core_minutes'])} core-minutes of training"
    )
    out.print(grid)


def _print_agent(found: dict[str, Any]) -> None:
    from goalscope.cli.tables import console, table

    manifest = found["manifest"]
    grid = table("", "")
    for name, value in manifest.items():
        if name not in ("curve", "recipe", "made_with"):
            grid.add_row(name, _cell(value))
    for name, value in {**manifest["recipe"], **manifest["made_with"]}.items():
        grid.add_row(f"  {name}", _cell(value))
    grid.add_row("curve", f"{len(manifest['curve'])} rows; the last: {_cell((manifest['curve'] or [{}])[-1])}")
    for name in ("parameters", "memory", "bytes", "labelled", "core_minutes"):
        grid.add_row(name, _cell(found[name]))
    for name, shape in found["sites"].items():
        grid.add_row(f"site {name}", " × ".join(map(str, shape)))
    console().print(grid)


def _cell(value: object) -> str:
    """Numbers as people write them."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_cell(each)}" for name, each in value.items()) or "–"
    if isinstance(value, list | tuple):
        return " × ".join(map(str, value)) or "–"
    return f"{value:,}" if isinstance(value, int) else str(value)
