"""The report on a run: one HTML page that opens from disk, without network or script, and can be mailed as it is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from goalscope.agents.measure import intended_goals, query_distribution
from goalscope.agents.recipe import Recipe
from goalscope.detectors.tracks import Track
from goalscope.envs import Distribution
from goalscope.files import write_whole
from goalscope.suites.budget_figure import budget_curves
from goalscope.suites.budgets import curves
from goalscope.suites.figures import Behaviour, calibration, doses, levels, ranking, spreads
from goalscope.suites.population import find_recipe, zoo_folder
from goalscope.suites.scores import Interval, Scores
from goalscope.suites.suite import Suite

ASSETS = Path(__file__).parent / "assets"
NONE = "–"
MEANING = {
    "seed": "New seeds of known recipes",
    "recipe": "Unseen recipes",
    "family": "Unseen families (descriptive)",
}
"""What a setting's numbers speak of."""

Truths = Mapping[str, Sequence[NDArray[np.float64]]]
"""Recipe name -> outcome shares `[L, K + 1]` of each of its agents: goals in the order asked about, then neither."""


def write_report(scores: Scores, suite: Suite, truths: Truths, out: Path) -> None:
    """Write the page; the same run gives the same bytes. Recipes without truths are left out of tables and figures."""
    page = _render(scores, suite, truths)
    write_whole(out, lambda path: path.write_text(page, encoding="utf-8"))


def pages() -> Environment:
    """Where templates are found, and how they are filled in."""
    return Environment(
        loader=FileSystemLoader(ASSETS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _render(scores: Scores, suite: Suite, truths: Truths) -> str:
    env = pages()
    env.filters.update(number=number, bounds=bounds, percent=percent, track=lambda t: Track(t).label)
    zoo = zoo_folder(suite.zoo)
    named = {name: find_recipe(zoo, name) for name in suite.shown}
    groups = {name: behaviour(recipe, truths[name]) for name, recipe in named.items() if truths.get(name)}
    dosed = [groups[name] for name in suite.doses if name in groups]
    lines = curves(scores.headline.at_budgets)
    shown = [groups[name] for name in (*suite.recipes, *suite.anchors) if name in groups]
    return env.get_template("report.html").render(
        scores=scores,
        suite=suite,
        budget=asdict(suite.budget),
        board=scores.headline,
        meaning=MEANING,
        behaviours=shown,
        ranking=Markup(ranking(scores.headline)),
        curves=Markup(budget_curves(lines)) if lines else "",
        calibration=Markup(calibration(scores.headline)),
        spreads=Markup(spreads(shown)) if shown else "",
        doses=Markup(doses([(named[p.name].alpha, p.conditional) for p in dosed])) if dosed else "",
        pictures=pictures([named[name] for name in suite.recipes]),
    )


def behaviour(recipe: Recipe, truths: Sequence[NDArray[np.float64]]) -> Behaviour:
    """What each agent of a recipe does, averaged over the query levels."""
    is_intended = intended_goals(query_distribution(recipe))
    means = np.stack([np.asarray(each, float).mean(0) for each in truths])  # [A, K + 1]
    goals = means[:, :-1]
    shares = np.stack([goals[:, is_intended].sum(1), goals[:, ~is_intended].sum(1), means[:, -1]], axis=1)
    return Behaviour(recipe.name, recipe.role, shares)


@dataclass(frozen=True)
class Picture:
    """Levels of a family as its agents were trained, and as they were asked."""

    family: str
    sentence: str
    shift: str
    recipe: str
    intended: str
    proxies: str
    trained: str
    asked: str


def pictures(recipes: Sequence[Recipe]) -> list[Picture]:
    """One picture a family: that of its first recipe."""
    first: dict[str, Recipe] = {}
    for recipe in recipes:
        first.setdefault(recipe.family, recipe)
    return [_picture(recipe) for recipe in first.values()]


def _picture(recipe: Recipe) -> Picture:
    asked = query_distribution(recipe)
    family = asked.family
    intended = family.intended(asked.settings)
    return Picture(
        family=family.id,
        sentence=family.sentence,
        shift=recipe.query,
        recipe=recipe.name,
        intended=intended.name,
        proxies=", ".join(goal.name for goal in asked.goals if goal is not intended),
        trained=levels(Distribution(family, knobs=recipe.knobs), with_paths=False),
        asked=levels(asked, with_paths=True),
    )


def number(value: float | None, digits: int = 2) -> str:
    """A number with a true minus sign; a dash for none."""
    if value is None or not math.isfinite(value):
        return NONE
    text = f"{value:.{digits}f}"
    return text.replace("-", "−") if float(text) else text.removeprefix("-")


def bounds(found: Interval) -> str:
    """For instance ``[0.28, 0.55]``."""
    return f"[{number(found.low)}, {number(found.high)}]"


def percent(share: float) -> str:
    """A share, in whole per cent."""
    return f"{number(100 * share, 0)} %" if math.isfinite(share) else NONE
