"""A zoo in one HTML page that opens from disk: what its agents do under the shift, by recipe and seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from markupsafe import Markup

import goalscope
from goalscope.agents.labels import QUERY_LEVELS
from goalscope.agents.measure import COMPETENT, PURPOSEFUL
from goalscope.agents.recipe import Recipe
from goalscope.files import write_whole
from goalscope.suites.population_figures import (
    competence_and_purpose,
    dose_response,
    outcome_bars,
    outcomes_by_steps,
    spread_overview,
)
from goalscope.suites.population_groups import Census, Group
from goalscope.suites.population_table import Series, Summary, dose_series, stage_table, summary
from goalscope.suites.report import bounds, number, pages, percent


@dataclass(frozen=True)
class Card:
    """One recipe on the page."""

    anchor: str
    """Its place on the page."""
    row: Summary
    made: str
    """How its agents were trained, in a line."""
    bars: Markup
    steps: Markup
    """Empty where no stages of training were kept."""


@dataclass(frozen=True)
class Dosed:
    """One dose–response on the page."""

    title: str
    recipes: tuple[str, ...]
    figure: Markup


def write_population_page(census: Census, out: Path) -> None:
    """Write the page; the same zoo gives the same bytes."""
    page = _render(census)
    write_whole(out, lambda path: path.write_text(page, encoding="utf-8"))


def _render(census: Census) -> str:
    env = pages()
    env.filters.update(number=number, bounds=bounds, percent=percent, share=share)
    cards = [_card(place, group) for place, group in enumerate(census.groups, 1)]
    return env.get_template("population.html").render(
        census=census,
        cards=cards,
        families=list(dict.fromkeys(card.row.family for card in cards)),
        staged=any(card.steps for card in cards),
        doses=[_dosed(series) for series in dose_series(census.groups)],
        spreads=Markup(spread_overview(census.groups)),
        scatter=Markup(competence_and_purpose(census.groups)),
        levels=QUERY_LEVELS,
        version=goalscope.__version__,
        thresholds={"competent": COMPETENT, "purposeful": PURPOSEFUL},
    )


def _card(place: int, group: Group) -> Card:
    steps = outcomes_by_steps(group) if stage_table(group) else ""
    return Card(f"recipe-{place}", summary(group), made(group.recipe), Markup(outcome_bars(group)), Markup(steps))


def _dosed(series: Series) -> Dosed:
    recipes = [dose.group.recipe for dose in series.doses]
    title = f"{recipes[0].family} under {recipes[0].query}, mixed with {series.alpha_shift}"
    return Dosed(title, tuple(recipe.name for recipe in recipes), Markup(dose_response(series)))


def share(alpha: float) -> str:
    """A dose, in as many digits as it has."""
    return f"{100 * alpha:g} %" if alpha else "0"


def made(recipe: Recipe) -> str:
    """How a recipe's agents are trained, in a line: the essentials, and whatever is not as usual."""
    learner = {f.name: getattr(recipe.learner, f.name) for f in fields(recipe.learner)}
    usual = {f.name: f.default for f in fields(recipe.learner)}
    unusual = {name: value for name, value in learner.items() if value != usual[name]}
    parts = [
        f"trained under {recipe.train}" if recipe.train != "train" else "",
        f"paid for {recipe.pays} only" if recipe.pays else "",
        f"started from {recipe.start.partition('@')[0]}" if recipe.start else "",
        f"α {share(recipe.alpha)} of {recipe.alpha_shift}" if recipe.alpha else "α 0",
        _listed(recipe.knobs),
        f"{recipe.arch} {_listed(recipe.arch_options)}",
        f"{recipe.learner.kind} {_listed(unusual)}",
        f"view {recipe.view}" if recipe.view != "planes" else "",
        f"{recipe.budget:,} steps",
    ]
    return " · ".join(part.strip() for part in parts if part.strip())


def _listed(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())
