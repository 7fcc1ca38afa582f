"""The reference of settings S_recipe and S_family: what recipe and level geometry tell about agents never seen.

A multinomial ridge regression of outcomes (intended goal, all proxies together, neither) on features of the recipe and
of the level, fitted on the agents of all *other* groups; a group is a recipe (S_recipe) or a family (S_family). All
agents of a recipe get the same forecast, so a case here is a recipe with the mean outcomes of its agents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from goalscope.agents.recipe import Recipe
from goalscope.detectors.multinomial import single_outcomes
from goalscope.detectors.query import Query
from goalscope.errors import GoalscopeError
from goalscope.suites.population import Population

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

Shares = NDArray[np.float64]
MOST_ITERATIONS = 2000
TOLERANCE = 1e-6


@dataclass(frozen=True)
class RecipeCase:
    """What is known of a recipe, and what its agents do on average."""

    recipe: Recipe
    query: Query
    outcomes: Shares
    """`[L, 3]` mean shares of the intended goal, of all proxies, of neither."""
    agents: int


def three_columns(shares: Shares, intended: int) -> Shares:
    """`[…, 3]` intended goal, all proxies together, neither, from a column a goal, then neither `[…, K + 1]`."""
    own, neither = shares[..., intended], shares[..., -1]
    return np.stack([own, shares[..., :-1].sum(-1) - own, neither], axis=-1)


def recipe_case(population: Population) -> RecipeCase:
    """The agents of a recipe as one case."""
    outcomes = three_columns(population.truths.mean(0), population.query.intended)
    return RecipeCase(population.recipe, population.query, outcomes, len(population.truths))


def fitted_without(cases: Sequence[RecipeCase], setting: str) -> list[Shares]:
    """`[L, 3]` a recipe: forecasts without its own recipe (``recipe``) or its whole family (``family``)."""
    return regression_forecasts(cases, [getattr(c.recipe, {"recipe": "hash"}.get(setting, setting)) for c in cases])


def regression_forecasts(cases: Sequence[RecipeCase], groups: Sequence[str]) -> list[Shares]:
    """`[L, 3]` a case, each by a regression that was fitted on the cases of all other groups.

    An agent counts as one observation, however many levels it was asked, against a ridge of 1 on standardised features:
    levels of a recipe tell nothing more about the recipe. Features of the held-out group are clipped to the range that
    was fitted, for a line fitted to few recipes says nothing beyond them.
    """
    if len(cases) != len(groups):
        raise GoalscopeError(f"{len(cases)} cases need a group each, got {len(groups)}.")
    if len(set(groups)) < 2:
        raise GoalscopeError("A regression without the group it forecasts needs two groups (recipes or families).")
    found: list[Shares | None] = [None] * len(cases)
    for group in dict.fromkeys(groups):
        others = [case for case, own in zip(cases, groups, strict=True) if own != group]
        fitted = _fit(others)
        for place, case in enumerate(cases):
            if groups[place] == group:
                found[place] = fitted.forecast(case)
    return [forecast for forecast in found if forecast is not None]


@dataclass(frozen=True)
class _Fitted:
    model: LogisticRegression
    families: tuple[str, ...]
    centre: Shares
    scale: Shares
    low: Shares
    high: Shares

    def forecast(self, case: RecipeCase) -> Shares:
        within = np.clip(features(case, self.families), self.low, self.high)
        return np.asarray(self.model.predict_proba((within - self.centre) / self.scale))


def _fit(cases: Sequence[RecipeCase]) -> _Fitted:
    from sklearn.linear_model import LogisticRegression  # takes a second: not when a run is only looked at

    families = tuple(dict.fromkeys(case.recipe.family for case in cases))
    known = np.concatenate([features(case, families) for case in cases])
    shares = np.concatenate([case.outcomes for case in cases])
    counts = np.concatenate([np.full(len(case.outcomes), case.agents / len(case.outcomes)) for case in cases])
    centre, spread = known.mean(0), known.std(0)
    scale = np.where(spread > 0, spread, 1.0)
    model = LogisticRegression(max_iter=MOST_ITERATIONS, tol=TOLERANCE)
    rows, outcomes, weights = single_outcomes((known - centre) / scale, shares)
    model.fit(rows, outcomes, sample_weight=(weights * counts[:, None]).ravel())
    return _Fitted(model, families, centre, scale, known.min(0), known.max(0))


def features(case: RecipeCase, families: Sequence[str]) -> Shares:
    """`[L, 9 + F]` of the recipe, of each level, and which of F fitted families it is (all zero: none of them)."""
    recipe, query = case.recipe, case.query
    far = np.where(query.distances >= 0, query.distances, query.levels.max_steps[:, None]).astype(np.float64)
    own, proxy = far[:, query.intended], np.delete(far, query.intended, axis=1).min(1)
    gain = float(recipe.arch_options.get("first_gain") or 1.0)
    about = [
        recipe.alpha,
        np.log10(1 + recipe.budget),
        np.log(gain),
        len(query.goals),
        query.family.shift(recipe.query).strength,
        *(recipe.family == family for family in families),
    ]
    levels = np.column_stack([own, proxy, proxy - own, query.levels.max_steps])
    return np.column_stack([levels, np.tile(np.array(about, np.float64), (len(levels), 1))])
