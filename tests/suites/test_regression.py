"""The reference of unseen recipes and families: really without them, and no more than recipe and geometry tell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.suites.made_up import CORNER, DISH, LEVELS, outcome_shares, population

from goalscope.agents.recipe import Recipe
from goalscope.detectors.calibration import softmax
from goalscope.detectors.query import Query, query_for
from goalscope.errors import GoalscopeError
from goalscope.suites.population import Population, assign_folds
from goalscope.suites.regression import (
    RecipeCase,
    features,
    fitted_without,
    recipe_case,
    regression_forecasts,
    three_columns,
)
from goalscope.suites.scoring import board
from goalscope.suites.standing import pooled
from goalscope.suites.truth import Truth, truths

ALPHAS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
QUERIES = {recipe.family: query_for(recipe, LEVELS) for recipe in (DISH, CORNER)}


def lawful(recipe: Recipe, query: Query) -> np.ndarray:
    """`[L, 3]` outcomes that follow α and the margin, and nothing else."""
    leaning = 4 * recipe.alpha + 0.3 * query.margins - 1
    return softmax(np.stack([leaning, np.zeros_like(leaning), np.full_like(leaning, -2.0)], axis=-1))


def case(alpha: float, recipe: Recipe = DISH) -> RecipeCase:
    recipe = replace(recipe, name=f"{recipe.name} {alpha}", alpha=alpha)
    query = QUERIES[recipe.family]
    return RecipeCase(recipe, query, lawful(recipe, query), 100)


DOSES = [case(alpha) for alpha in ALPHAS]


def test_columns_are_the_intended_goal_all_proxies_and_neither() -> None:
    shares = np.array([0.1, 0.2, 0.3, 0.4])
    assert three_columns(shares, 1) == pytest.approx([0.2, 0.4, 0.4])
    assert three_columns(shares[[0, 1, 3]], 0) == pytest.approx([0.1, 0.2, 0.4])


def test_features_of_a_level_by_hand() -> None:
    query = QUERIES["coin_dish"]
    recipe = replace(DISH, alpha=0.25, budget=999, arch_options={"first_gain": 2.0})
    found = features(RecipeCase(recipe, query, DOSES[0].outcomes, 4), ("coin_corner", "coin_dish"))
    own, proxy = query.distances[:, query.intended], query.distances[:, 1 - query.intended]
    assert (found[:, 0] == own).all() and (found[:, 1] == proxy).all() and (found[:, 2] == query.margins).all()
    assert found[0, 4:] == pytest.approx([0.25, 3.0, np.log(2), 2, query.family.shift("apart").strength, 0, 1])


def test_it_learns_what_recipe_and_geometry_tell() -> None:
    found = regression_forecasts(DOSES, [c.recipe.name for c in DOSES])
    for known, said in list(zip(DOSES, found, strict=True))[1:-1]:  # the ends lie outside what was fitted
        assert said.sum(1) == pytest.approx(np.ones(LEVELS))
        assert np.abs(said - known.outcomes).mean() < 0.05
        assert np.corrcoef(said[:, 0], known.outcomes[:, 0])[0, 1] > 0.95


def test_beyond_what_was_fitted_it_stays_where_that_ends() -> None:
    """α = .5 is forecast as α = .4 would be."""
    last = regression_forecasts(DOSES, ["others"] * 5 + ["last"])[-1]
    far = replace(DOSES[-1], recipe=replace(DOSES[-1].recipe, alpha=0.9))
    assert last == pytest.approx(regression_forecasts([*DOSES[:-1], far], ["others"] * 5 + ["last"])[-1])


@pytest.mark.parametrize("setting", ["recipe", "family"])
def test_what_held_out_agents_do_has_no_say_in_their_own_forecast(setting: str) -> None:
    cases = [*DOSES, *(case(alpha, CORNER) for alpha in ALPHAS[:3])]
    before = fitted_without(cases, setting)
    hidden = [c.recipe.family == "coin_corner" if setting == "family" else c is cases[2] for c in cases]
    other = [replace(c, outcomes=c.outcomes[:, [2, 0, 1]]) if h else c for c, h in zip(cases, hidden, strict=True)]
    after = fitted_without(other, setting)
    same = [np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
    assert same == hidden  # theirs are the same, all others are told by them


def test_recipes_of_the_same_agents_are_held_out_together() -> None:
    """A name changes no agent: a twin under another name must not give the answer away."""
    cases = [*DOSES, replace(DOSES[2], recipe=replace(DOSES[2].recipe, name="twin"))]
    found, without = fitted_without(cases, "recipe"), fitted_without(DOSES, "recipe")
    assert np.array_equal(found[2], without[2]) and np.array_equal(found[-1], without[2])


def test_one_group_is_refused() -> None:
    with pytest.raises(GoalscopeError, match="needs two groups"):
        regression_forecasts(DOSES, ["all"] * len(DOSES))
    with pytest.raises(GoalscopeError, match="6 cases need a group each, got 1"):
        regression_forecasts(DOSES, ["all"])


def populations() -> list[Population]:
    """Three recipes of one family with outcomes of their own."""
    known = population()
    recipes = [replace(DISH, name=f"dish {alpha}", alpha=alpha) for alpha in ALPHAS[:3]]
    return [
        Population(r, known.query, known.agents, outcome_shares(12, seed=i), assign_folds(12, 3, r.hash))
        for i, r in enumerate(recipes)
    ]


def test_truths_of_unseen_recipes_have_three_columns_and_the_regression_scores_zero() -> None:
    known = truths(populations(), "recipe")
    assert all(t.shares.shape == (12, LEVELS, 3) and t.intended == 0 for t in known)
    assert pooled(known, [t.fallback for t in known], "strata").skill == 0.0
    assert pooled(known, [t.shares for t in known], "strata").skill == 1.0
    intended = population().query.intended
    assert known[0].shares[..., 0] == pytest.approx(populations()[0].truths[..., intended])


def rows(known: list[Truth]) -> list[dict[str, object]]:
    return [
        {"detector": "d", "track": 1, "seed": 0, "recipe": t.name, "agent_id": i, "forecast": f.ravel(), "flag": "",
         "seconds": 1.0}
        for t in known for i, f in zip(t.ids, t.shares, strict=True)
    ]  # fmt: skip


def test_a_case_is_the_mean_of_its_agents_and_a_board_can_be_made_of_them() -> None:
    mean = recipe_case(populations()[0])
    assert mean.agents == 12 and mean.outcomes == pytest.approx(truths(populations(), "recipe")[0].shares.mean(0))
    known = [replace(t, ids=tuple(f"{t.name} {i}" for i in range(12))) for t in truths(populations(), "recipe")]
    found = board("recipe", known, {"d": rows(known)})
    assert found.standings[0].strata.value == 1.0 and found.lines[1].strata.value == 0.0
    assert found.agents == 36 and found.curve == ()
