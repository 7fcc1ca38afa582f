"""``goalscope run``: a suite from agents to standings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from goalscope.cli.options import JsonOption
from goalscope.cli.progress import progress
from goalscope.cli.score import print_scores, scores_of, write_page


def run(
    suite: Annotated[
        str, typer.Argument(metavar="SUITE", help="id, module, ./file.py or ./file.toml; `smoke` comes with it")
    ],
    detector: Annotated[
        list[str] | None,
        typer.Option("--detector", metavar="TARGET", help="One more method: id, module or ./file.py; repeatable."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The run's folder. Default: runs/SUITE.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Tasks at a time, each on one thread.")] = 2,
    executor: Annotated[str, typer.Option(help="Who does them: inprocess, processes or ray.")] = "processes",
    address: Annotated[str, typer.Option(help="Of a Ray cluster; without one, Ray uses this machine.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Put methods to frozen agents, score their forecasts, print the ranking and write the report.

    Run the same command again after an interruption: what is done is kept.
    """
    from goalscope.cli.planted import run_planted
    from goalscope.suites.plan import plan
    from goalscope.suites.planted_suite import PlantedSuite
    from goalscope.suites.run import execute, open_run
    from goalscope.suites.suite_file import load_suite

    asked = load_suite(suite)
    folder = out or Path("runs") / asked.name
    if isinstance(asked, PlantedSuite):
        return run_planted(asked, detector or [], folder, workers, executor, address, as_json)
    todo = plan(asked, detector or [])
    with progress(len(todo.tasks)) as tell:
        execute(todo, folder, workers, lambda task: tell(task.label), executor, address)
    done = open_run(folder)
    scores = scores_of(done)
    page = write_page(done, scores, folder / "report.html")
    print_scores(scores, as_json)
    if not as_json:
        typer.echo(f"Rows: {folder / 'rows'}   Report: {page}")
