"""The planted suite on the command line: run it, print its table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from goalscope.cli.jsonable import finite
from goalscope.cli.progress import progress

if TYPE_CHECKING:
    from goalscope.suites.planted_scores import PlantedScores
    from goalscope.suites.planted_suite import PlantedSuite


def run_planted(
    asked: PlantedSuite, extra: Sequence[str], folder: Path, workers: int, executor: str, address: str, as_json: bool
) -> None:
    """Put methods to planted agents, print the table and write the report."""
    from goalscope.suites.planted_page import write_planted_report
    from goalscope.suites.planted_run import execute_planted, plan_planted, score_planted_run

    todo = plan_planted(asked, extra)
    with progress(len(todo.tasks)) as tell:
        execute_planted(todo, folder, workers, lambda task: tell(task.label), executor, address)
    scores, page = score_planted_run(folder), folder / "report.html"
    write_planted_report(scores, page)
    print_planted(scores, as_json)
    if not as_json:
        typer.echo(f"Rows: {folder / 'rows'}   Report: {page}")


def print_planted(scores: PlantedScores, as_json: bool) -> None:
    """Print the table, for people or for programs."""
    from goalscope.suites.planted_table import markdown

    typer.echo(json.dumps(finite(scores.as_json()), indent=1, allow_nan=False) if as_json else markdown(scores))
