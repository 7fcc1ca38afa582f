"""``goalscope diff``: what differs between two runs, and why."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from goalscope.cli.jsonable import finite
from goalscope.cli.options import JsonOption
from goalscope.cli.score import scores_of
from goalscope.errors import GoalscopeError

if TYPE_CHECKING:
    from goalscope.suites.diff import RunDiff, SkillChange

MOST = 20
EQUAL, DIFFERENT = 0, 1


def diff(
    first: Annotated[Path, typer.Argument(metavar="RUN", help="the folder that `goalscope run` wrote")],
    second: Annotated[Path, typer.Argument(metavar="RUN", help="another one")],
    as_json: JsonOption = False,
) -> None:
    """Compare two runs row by row. The exit code is 0 if all forecasts and flags are equal, 1 if any differ."""
    from goalscope.suites.diff import compare, run_rows

    found = compare(run_rows(first), run_rows(second))
    changes, unscored = _changes(first, second)
    if as_json:
        data = {**found.as_json(), "skills": [asdict(change) for change in changes], "unscored": unscored}
        typer.echo(json.dumps(finite(data), indent=1, allow_nan=False))
    else:
        _print_rows(found)
        _print_skills(changes, unscored)
    raise typer.Exit(EQUAL if found.equal else DIFFERENT)


def _changes(first: Path, second: Path) -> tuple[tuple[SkillChange, ...], str]:
    """Skills in both runs; or why there are none: rows can be compared without the agents, scores cannot."""
    from goalscope.suites.diff import skill_changes
    from goalscope.suites.run import open_run

    try:
        return skill_changes(*(scores_of(open_run(folder)) for folder in (first, second))), ""
    except GoalscopeError as error:
        return (), str(error)


def _print_rows(found: RunDiff) -> None:
    for name, tasks in (("first", found.only_first), ("second", found.only_second)):
        _print_some(f"Only in the {name} run", tasks)
    changed = [f"{t.task}: {t.cases} cases, shares by up to {t.largest:.2g} ({_why(t.why)})" for t in found.changed]
    _print_some("Other answers", changed)
    if found.causes:
        typer.echo(f"Made with another: {_why(found.causes)}.")
    typer.echo(f"{found.cases} cases are in both; {'all answers are equal' if found.equal else 'the runs differ'}.")


def _print_some(title: str, entries: tuple[str, ...] | list[str]) -> None:
    if entries:
        typer.echo(f"{title}: {len(entries)} tasks")
        for entry in entries[:MOST]:
            typer.echo(f"  {entry}")
        if len(entries) > MOST:
            typer.echo(f"  … and {len(entries) - MOST} more, see --json")


def _why(columns: tuple[str, ...]) -> str:
    return ", ".join(name.removesuffix("_sha256") for name in columns) or "nothing that is recorded"


def _print_skills(changes: tuple[SkillChange, ...], unscored: str) -> None:
    from goalscope.cli.tables import console, table

    if unscored:
        typer.echo(f"Skills are not compared: {unscored}")
        return
    moved = [change for change in changes if change.before != change.after]
    if not moved:
        return
    grid = table("method", "setting", "skill before", "after", "change")
    for c in moved:
        apart = "" if c.before is None or c.after is None else f"{c.after - c.before:+.3f}"
        grid.add_row(c.detector, c.setting, _skill(c.before), _skill(c.after), apart)
    console().print(grid)


def _skill(found: float | None) -> str:
    return "–" if found is None else f"{found:.3f}"
