"""What `goalscope check env` says about a family's levels beside its checks: support, diversity and chance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import typer

from goalscope.cli.tables import console, table
from goalscope.envs.family import Family
from goalscope.envs.reports import (
    DiversityReport,
    NullReport,
    SupportReport,
    diversity_report,
    null_report,
    support_report,
)

R = TypeVar("R")

SAMPLE = 8
"""Times as many levels for counting as for checking."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The reports that could be made; a family that fails its checks may not give them all."""

    support: SupportReport | None
    diversity: DiversityReport | None
    null: list[NullReport]
    problems: list[str]
    """Why a report is missing."""


def summarise(family: Family, levels: int, seed: int) -> Summary:
    """Make all three reports about a family."""
    problems: list[str] = []
    shifts = [shift.name for shift in family.shifts if shift.name != "train"]
    chance = [
        _attempt(f"chance under {shift}", partial(null_report, family, shift, levels=levels, seed=seed), problems)
        for shift in shifts
    ]
    many = SAMPLE * levels
    return Summary(
        support=_attempt("support", partial(support_report, family, levels=many, seed=seed), problems),
        diversity=_attempt("diversity", partial(diversity_report, family, levels=many, seed=seed), problems),
        null=[report for report in chance if report],
        problems=problems,
    )


def _attempt(what: str, make: Callable[[], R], problems: list[str]) -> R | None:
    try:
        return make()
    except Exception as error:  # a stranger's family may raise anything; its checks have said so already
        problems.append(f"No report on {what}: {type(error).__name__}: {error}")
        return None


def print_summary(summary: Summary) -> None:
    """Three short paragraphs."""
    if summary.diversity:
        _print_diversity(summary.diversity)
    if summary.support:
        typer.echo("\nSupport: what training frames cannot show")
        for note in summary.support.notes or ["nothing stands against the family"]:
            typer.echo(f"- {note}")
    if summary.null:
        typer.echo("\nChance: outcomes of a random policy on query levels, and their margins")
        _print_null(summary.null)
    for problem in summary.problems:
        typer.echo(problem)


def _print_diversity(report: DiversityReport) -> None:
    typer.echo(
        f"Diversity: {report.distinct_levels} different levels and {report.distinct_layouts} different layouts among "
        f"{report.levels} training levels; splits hold out {report.held_out}"
    )
    for goal, steps in report.distances.items():
        typer.echo(f"- steps to {goal}: {_range(steps)}")
    for proxy, gap in report.return_gap.items():
        typer.echo(f"- going for {proxy} earns {gap:.3f} less in training")


def _print_null(reports: list[NullReport]) -> None:
    outcomes = list(dict.fromkeys(name for report in reports for name in report.null))
    outcomes.sort(key=lambda name: name == "neither")
    grid = table("shift", "strength", *outcomes, "margin")
    for report in reports:
        shares = [f"{report.null[name]:.2f}" if name in report.null else "" for name in outcomes]
        grid.add_row(report.shift, f"{report.strength:g}", *shares, _range(report.margin))
    console().print(grid)


def _range(quartiles: tuple[float, ...]) -> str:
    """Median, minimum and maximum."""
    if len(quartiles) < 5:
        return "out of reach"
    low, _, median, _, high = quartiles
    return f"{median:g} ({low:g} to {high:g})"
