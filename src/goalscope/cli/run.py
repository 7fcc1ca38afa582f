"""``goalscope run``, ``score`` and ``report``: a suite from agents to standings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from goalscope.cli.jsonable import finite
from goalscope.cli.options import JsonOption
from goalscope.cli.progress import progress
from goalscope.registry import SUITES

if TYPE_CHECKING:
    from goalscope.suites.run import Run
    from goalscope.suites.scores import Interval, Scores

RunArgument: TypeAlias = Annotated[Path, typer.Argument(metavar="RUN", help="the folder that `goalscope run` wrote")]

MOST_FAILURES = 20


def run(
    suite: Annotated[str, typer.Argument(metavar="SUITE", help="id, module or ./file.py; `smoke` comes with it")],
    detector: Annotated[
        list[str] | None,
        typer.Option("--detector", metavar="TARGET", help="One more method: id, module or ./file.py; repeatable."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The run's folder. Default: runs/SUITE.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes, each on one thread.")] = 2,
    as_json: JsonOption = False,
) -> None:
    """Put methods to frozen agents, score their forecasts, print the ranking and write the report.

    Run the same command again after an interruption: what is done is kept.
    """
    from goalscope.suites.run import execute, open_run, plan

    asked = SUITES.load(suite)
    todo = plan(asked, detector or [])
    folder = out or Path("runs") / asked.name
    with progress(len(todo.tasks)) as tell:
        execute(todo, folder, workers, lambda task: tell(f"{task.detector} on {task.recipe}"))
    done = open_run(folder)
    scores = _scores(done)
    page = _write_report(done, scores, folder / "report.html")
    _tell(scores, as_json)
    if not as_json:
        typer.echo(f"Rows: {folder / 'rows'}   Report: {page}")


def score(folder: RunArgument, as_json: JsonOption = False) -> None:
    """Score a run again from its rows and print the ranking."""
    from goalscope.suites.run import open_run

    _tell(_scores(open_run(folder)), as_json)


def report(
    folder: RunArgument,
    out: Annotated[Path | None, typer.Option(help="The page to write. Default: RUN/report.html.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Also write levels and ranking as one PNG.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the one-page report of a run: a single file that opens from disk."""
    from goalscope.suites.poster import write_poster
    from goalscope.suites.run import open_run

    done = open_run(folder)
    scores = _scores(done)
    page = _write_report(done, scores, out or folder / "report.html")
    if picture is not None:
        write_poster(scores, done.suite, picture)
    typer.echo(json.dumps({"report": str(page)}) if as_json else f"Report: {page}")


def _scores(done: Run) -> Scores:
    from goalscope.suites.population import load_population
    from goalscope.suites.scoring import score_run

    suite = done.suite
    return score_run(done, [load_population(done.zoo, name, suite.levels, suite.folds) for name in suite.recipes])


def _write_report(done: Run, scores: Scores, page: Path) -> Path:
    from goalscope.suites.population import recipe_truths
    from goalscope.suites.report import write_report

    truths = {name: recipe_truths(done.zoo, name, done.suite.levels) for name in done.suite.shown}
    write_report(scores, done.suite, truths, page)
    return page


def _tell(scores: Scores, as_json: bool) -> None:
    if as_json:
        _print_json(scores)
    else:
        _print_scores(scores)
        _print_failures(scores)


def _print_json(scores: Scores) -> None:
    typer.echo(json.dumps(finite(scores.as_json()), indent=1, allow_nan=False))


def _print_scores(scores: Scores) -> None:
    from goalscope.cli.tables import console, table

    grid = table("method", "rank", "track", "skill by strata", "by level", "τ", "episodes", "flagged", "s/case")
    for line in scores.lines:
        grid.add_row(line.name, "", "", _interval(line.strata), _interval(line.level), "", "", "", "")
    for s in scores.standings:
        episodes = f"> {scores.curve[-1][0]}" if s.equivalent is None else f"{s.equivalent:.1f}"
        flagged = f"{s.flagged} of {s.cases}" if s.flagged else ""
        figures = (_interval(s.strata), _interval(s.level), f"{s.tau:.2f}", episodes, flagged, f"{s.seconds:.2f}")
        grid.add_row(s.detector, s.rank, f"T{s.track}", *figures)
    out = console()
    out.print(grid)
    out.print(
        f"{scores.agents} agents, {len(scores.recipes)} recipes, {scores.levels} query levels, {scores.seeds} seeds a "
        "method. Skill: 1 is the truth, 0 the recipe's exact mean; [95 % over recipes and agents]. τ: ranking of "
        "agents within a recipe. Episodes: how many under the shift would forecast as well."
    )


def _interval(found: Interval) -> str:
    return f"{found.value:5.2f} [{found.low:5.2f}, {found.high:5.2f}]"


def _print_failures(scores: Scores) -> None:
    """One line for every kind of failure, on standard error."""
    for failure in scores.failures[:MOST_FAILURES]:
        typer.echo(f"{failure.detector}: {failure.cases} cases {failure.flag}: {failure.message}", err=True)
    if len(scores.failures) > MOST_FAILURES:
        typer.echo(f"… and {len(scores.failures) - MOST_FAILURES} more kinds, see `goalscope score --json`", err=True)
