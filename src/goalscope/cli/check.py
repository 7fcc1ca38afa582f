"""``goalscope check``: does something keep its contract?"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from goalscope.cli.options import JsonOption, SeedOption

if TYPE_CHECKING:
    from goalscope.envs.checks import CheckReport

check_app = typer.Typer(no_args_is_help=True, help="Check that something keeps its contract.")


@check_app.command("env")
def env(
    target: Annotated[str, typer.Argument(help="id, module or ./file.py of a family")],
    levels: Annotated[int, typer.Option(min=1, help="How many levels each check draws.")] = 256,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Check a family; the exit code is 1 if any check failed."""
    from goalscope.envs.checks import check_env

    report = check_env(target, levels=levels, seed=seed)
    if as_json:
        typer.echo(json.dumps(_as_data(report), indent=2, ensure_ascii=False))
    else:
        _print_results(report)
        _print_failures(report)

    if not all(result.passed for result in report.results):
        raise typer.Exit(1)


def _as_data(report: CheckReport) -> dict[str, Any]:
    """What programs may want to know; keys are added over time, never renamed."""
    results = [
        {"name": r.name, "passed": r.passed, "seconds": round(r.seconds, 3), "message": r.message}
        for r in report.results
    ]
    return {"family": report.family, "passed": all(r.passed for r in report.results), "results": results}


def _print_results(report: CheckReport) -> None:
    from goalscope.cli.tables import console, table

    grid = table("", "check", "seconds")
    grid.columns[2].justify = "right"
    for result in report.results:
        grid.add_row("✓" if result.passed else "✗", result.name, f"{result.seconds:.2f}")
    console().print(grid)


def _print_failures(report: CheckReport) -> None:
    for result in report.results:
        if not result.passed:
            typer.echo(f"✗ {result.name}\n{result.message}\n")
