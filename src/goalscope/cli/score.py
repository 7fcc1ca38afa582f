"""``goalscope score`` and ``report``: a run's rows again, as a ranking or as a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from goalscope.cli.jsonable import finite
from goalscope.cli.options import JsonOption
from goalscope.errors import GoalscopeError

if TYPE_CHECKING:
    from rich.console import Console

    from goalscope.suites.population import Population
    from goalscope.suites.run import Run
    from goalscope.suites.scores import AtBudget, Board, Difference, Interval, Scores

RunArgument: TypeAlias = Annotated[Path, typer.Argument(metavar="RUN", help="the folder that `goalscope run` wrote")]

MOST_FAILURES = 20
MEANING = {
    "seed": "New seeds of known recipes. Skill: 1 is the truth, 0 the recipe's exact mean",
    "recipe": "Unseen recipes. Skill: 1 is the truth, 0 a regression on recipe and geometry without the recipe",
    "family": "Unseen families, descriptive. Skill: 1 is the truth, 0 a regression without the family",
}


def score(folder: RunArgument, as_json: JsonOption = False) -> None:
    """Score a run again from its rows and print the ranking."""
    from goalscope.cli.planted import print_planted
    from goalscope.suites.planted_run import is_planted_run, score_planted_run
    from goalscope.suites.run import open_run

    if is_planted_run(folder):
        return print_planted(score_planted_run(folder), as_json)
    print_scores(scores_of(open_run(folder)), as_json)


def report(
    folder: RunArgument,
    out: Annotated[Path | None, typer.Option(help="The page to write. Default: RUN/report.html.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Also write levels and ranking as one PNG.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the one-page report of a run: a single file that opens from disk."""
    from goalscope.suites.planted_page import write_planted_report
    from goalscope.suites.planted_run import is_planted_run, score_planted_run
    from goalscope.suites.poster import write_poster
    from goalscope.suites.run import open_run

    page = out or folder / "report.html"
    if is_planted_run(folder):
        if picture is not None:
            raise GoalscopeError("--picture is for runs that rank methods; a run of planted agents has a page only.")
        write_planted_report(score_planted_run(folder), page)
    else:
        done = open_run(folder)
        scores = scores_of(done)
        write_page(done, scores, page)
        if picture is not None:
            write_poster(scores, done.suite, picture)
    typer.echo(json.dumps({"report": str(page)}) if as_json else f"Report: {page}")


def populations_of(done: Run) -> list[Population]:
    """The agents that a run was about, with what they do."""
    from goalscope.suites.population import load_population

    suite = done.suite
    return [load_population(done.zoo, name, suite.levels, suite.folds) for name in suite.recipes]


def scores_of(done: Run) -> Scores:
    """A run's rows, scored."""
    from goalscope.suites.scoring import score_run

    return score_run(done, populations_of(done))


def write_page(done: Run, scores: Scores, page: Path) -> Path:
    """Write the report; returns where it is."""
    from goalscope.suites.population import recipe_truths
    from goalscope.suites.report import write_report

    truths = {name: recipe_truths(done.zoo, name, done.suite.levels) for name in done.suite.shown}
    write_report(scores, done.suite, truths, page)
    return page


def print_scores(scores: Scores, as_json: bool) -> None:
    """Print scores, for people or for programs."""
    from goalscope.cli.tables import console

    if as_json:
        typer.echo(json.dumps(finite(scores.as_json()), indent=1, allow_nan=False))
        return
    out = console()
    for board in scores.boards:
        _print_board(out, board, scores)
    _print_failures(scores)


def _print_board(out: Console, board: Board, scores: Scores) -> None:
    from goalscope.cli.tables import table
    from goalscope.suites.budgets import curves

    skills = ("skill by strata", "by level")
    grid = table("method", "rank", "track", *skills, "τ", "episodes", "worst", "flagged", "s/case")
    for line in board.lines:
        worst = min(line.by_recipe.values(), default=float("nan"))
        grid.add_row(line.name, "", "", interval(line.strata), interval(line.level), "", "", f"{worst:.2f}", "", "")
    for s in board.standings:
        flagged = f"{s.flagged} of {s.cases}" if s.flagged else ""
        worst = s.by_recipe.get(s.worst, float("nan"))
        figures = (f"{s.tau:.2f}", _episodes(s.equivalent, board), f"{worst:.2f}", flagged, f"{s.seconds:.2f}")
        grid.add_row(s.detector, s.rank, f"T{s.track}", interval(s.strata), interval(s.level), *figures)
    out.print(grid)
    out.print(
        f"{board.agents} agents, {len(board.recipes)} recipes, {scores.levels} query levels, {scores.seeds} seeds a "
        f"method. {MEANING[board.setting]}; [95 % over recipes and agents]. τ: ranking of agents within a recipe. "
        "Episodes: how many under the shift would forecast as well. Worst: skill in the recipe where it is lowest."
    )
    out.print(
        f"Smallest reliable difference {board.smallest_difference:.2f}; SD over detector seeds {board.reseed:.3f}; "
        f"{100 * board.separated:.0f} % of pairs of ranked methods are told apart at 95 %."
    )
    for contrast in board.contrasts:
        out.print(f"Contrast {contrast_text(contrast)}")
    for name, points in curves(board.at_budgets).items():
        out.print(f"Frames under the shift, {name}: " + "; ".join(_at_budget(point) for point in points))


def _at_budget(point: AtBudget) -> str:
    over = "" if point.over_asking is None else f", over asking the policy {interval(point.over_asking).strip()}"
    return f"{point.frames}: {interval(point.strata).strip()}{over}"


def _episodes(equivalent: float | None, board: Board) -> str:
    if not board.curve:
        return ""
    return f"> {board.curve[-1][0]}" if equivalent is None else f"{equivalent:.1f}"


def interval(found: Interval) -> str:
    """For instance `` 0.41 [ 0.28,  0.55]``."""
    return f"{found.value:5.2f} [{found.low:5.2f}, {found.high:5.2f}]"


def contrast_text(found: Difference) -> str:
    """A preregistered difference in a line."""
    return f"{found.method} − {found.baseline}: {interval(found.found)}, p {found.corrected:.3g} (Holm)"


def _print_failures(scores: Scores) -> None:
    """One line for every kind of failure, on standard error."""
    for failure in scores.failures[:MOST_FAILURES]:
        typer.echo(f"{failure.detector}: {failure.cases} cases {failure.flag}: {failure.message}", err=True)
    if len(scores.failures) > MOST_FAILURES:
        typer.echo(f"… and {len(scores.failures) - MOST_FAILURES} more kinds, see `goalscope score --json`", err=True)
