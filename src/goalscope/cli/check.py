"""``goalscope check``: does something keep its contract?"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from goalscope.cli.jsonable import finite
from goalscope.cli.options import JsonOption, SeedOption
from goalscope.errors import CheckFailure, GoalscopeError
from goalscope.registry import DETECTORS, FAMILIES

if TYPE_CHECKING:
    from goalscope.cli.summary import Summary
    from goalscope.envs.checks import CheckReport

check_app = typer.Typer(no_args_is_help=True, help="Check that something keeps its contract.")


@check_app.command("env")
def env(
    target: Annotated[str, typer.Argument(help="id, module or ./file.py of a family")],
    levels: Annotated[int, typer.Option(min=1, help="How many levels each check draws.")] = 256,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Check a family and summarise its levels; the exit code is 1 if any check failed."""
    report = _run(target, levels, seed)
    if not as_json:
        _print_results(report)
    summary = _summary(target, levels, seed)
    if as_json:
        typer.echo(json.dumps(_as_data(report, summary), indent=2, ensure_ascii=False, allow_nan=False))
    elif summary:
        from goalscope.cli.summary import print_summary

        print_summary(summary)
    if not report.passed:
        raise typer.Exit(1)


@check_app.command("detector")
def detector(
    target: Annotated[str, typer.Argument(help="id, module or ./file.py of a detector")],
    seed: Annotated[int, typer.Option(help="Another seed gives other frames.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Put a detector to tiny untrained agents; the exit code is 1 if it breaks its contract.

    It is imported into this process, without the sandbox of a run: check code that is yours, or that you trust.
    """
    from goalscope.detectors.checks import check_detector

    message = ""
    try:
        check_detector(target, seed=seed)
    except CheckFailure as failure:
        message = str(failure)
    if as_json:
        found = {"detector": target, "passed": not message, "message": message}
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        typer.echo(f"✗ {target}\n{message}" if message else f"✓ {target}, {DETECTORS.load(target).track.label}")
    if message:
        raise typer.Exit(1)


def _run(target: str, levels: int, seed: int) -> CheckReport:
    """All checks; in a terminal with a line on stderr that says how far they are."""
    from rich.console import Console

    from goalscope.envs.checks import CHECKS, CheckResult, check_env

    done: list[str] = []
    with Console(stderr=True).status(f"Checking {target} …") as line:

        def tell(result: CheckResult) -> None:
            done.append(result.name)
            line.update(f"Checking {target}: {len(done)} of {len(CHECKS)} ({result.name} done) …")

        return check_env(target, levels=levels, seed=seed, report=tell)


def _summary(target: str, levels: int, seed: int) -> Summary | None:
    """The summary of a family that can be loaded at all."""
    from goalscope.cli.summary import summarise

    try:
        family = FAMILIES.load(target)
    except GoalscopeError:  # a failed check by now
        return None
    return summarise(family, levels, seed)


def _as_data(report: CheckReport, summary: Summary | None) -> dict[str, Any]:
    """What programs may want to know; keys are added over time, never renamed."""
    results = [
        {"name": r.name, "passed": r.passed, "seconds": round(r.seconds, 3), "message": r.message}
        for r in report.results
    ]
    parts = asdict(summary) if summary else {"support": None, "diversity": None, "null": [], "problems": []}
    return {"family": report.family, "passed": report.passed, "results": results, **finite(parts)}


def _print_results(report: CheckReport) -> None:
    """A row a check, then in full what the failed ones say."""
    from goalscope.cli.tables import console, table

    grid = table("", "check", "seconds")
    grid.columns[2].justify = "right"
    for result in report.results:
        grid.add_row("✓" if result.passed else "✗", result.name, f"{result.seconds:.2f}")
    console().print(grid)
    told: dict[str, list[str]] = {}
    for result in report.failures:
        told.setdefault(result.message, []).append(result.name)
    for message, names in told.items():  # one fault often fails many checks
        typer.echo(f"✗ {', '.join(names)}\n{message}\n")
