"""Forecasts for recipes and families that were never seen: known answers, and who may learn from whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Self

import numpy as np
import pytest
from numpy.typing import ArrayLike
from tests.suites.made_up import CORNER, DISH, LEVELS, outcome_shares, untrained

from goalscope.agents.recipe import Recipe
from goalscope.detectors import AgentHandle, Budget, Detector, Query, ReferenceCase, detector
from goalscope.detectors.calibration import Shares, softmax
from goalscope.detectors.query import query_for
from goalscope.errors import GoalscopeError
from goalscope.registry import DETECTORS
from goalscope.suites.case import Case
from goalscope.suites.population import Population, assign_folds
from goalscope.suites.regression import recipe_case, regression_forecasts, three_columns
from goalscope.suites.transfer import transfer

AGENTS = 6
RECIPES = (
    DISH,
    replace(DISH, name="tiny_mixed", alpha=0.1, alpha_shift="apart"),
    CORNER,
    replace(CORNER, name="tiny_longer", budget=1000),
)
NAMES = [recipe.name for recipe in RECIPES]
BUDGET = Budget()


@cache
def populations() -> tuple[Population, ...]:
    """Untrained agents of four recipes of two families; what each does is made up from one number of its own."""
    return tuple(_population(recipe, number) for number, recipe in enumerate(RECIPES))


def _population(recipe: Recipe, number: int) -> Population:
    agents = tuple(untrained(recipe, seed) for seed in range(AGENTS))
    shares = outcome_shares(AGENTS, seed=number, own=0.0)
    return Population(recipe, query_for(recipe, LEVELS), agents, shares, assign_folds(AGENTS, 2, recipe.hash))


def known(handle: AgentHandle) -> tuple[Population, int]:
    """Whom a handle is on, which no detector can know: the oracle's help."""
    for population in populations():
        for place, agent in enumerate(population.agents):
            if agent.id == handle._agent.id:
                return population, place
    raise AssertionError("a handle on an unknown agent")


class Oracle(Detector):
    """It knows what every agent does."""

    def forecast(self, agent: AgentHandle, query: Query) -> ArrayLike:
        population, place = known(agent)
        return np.asarray(population.truths[place])


@detector(track="recipe")
def leaning(agent: AgentHandle, query: Query) -> Shares:
    """How much more than its recipe an agent does the intended, in log-odds: one number that says nearly all."""
    population, place = known(agent)
    logits = np.log(population.truths + 1e-6).mean(1)
    return np.asarray(logits[place] - logits[place].mean())


@detector(track="recipe")
def constant(agent: AgentHandle, query: Query) -> list[float]:
    return [1.0]


def cases(method: Detector, groups: Sequence[str] = NAMES) -> list[list[Case]]:
    return transfer(method, populations(), groups, 0, BUDGET)


def told(found: Sequence[Case]) -> Shares:
    """`[A, L, 3]`"""
    return np.stack([case.forecast for case in found if case.forecast is not None])


def done(population: Population) -> Shares:
    """`[A, L, 3]` what agents really do, in the columns of a transfer."""
    return three_columns(population.truths, population.query.intended)


def test_the_truth_is_told_in_three_columns_and_every_agent_has_a_case_of_its_own() -> None:
    found = cases(Oracle())
    assert [[case.agent for case in those] for those in found] == [list(range(AGENTS))] * len(RECIPES)
    assert not any(case.flag for those in found for case in those)
    assert all(np.allclose(told(those), done(p)) for p, those in zip(populations(), found, strict=True))


def test_evidence_without_signal_leaves_what_the_regression_expects_but_for_a_common_shift() -> None:
    found = cases(constant)
    expected = regression_forecasts([recipe_case(p) for p in populations()], NAMES)
    for those, regression in zip(found, expected, strict=True):
        shares = told(those)
        assert np.ptp(shares, axis=0).max() == 0 and np.allclose(shares.sum(-1), 1)
        shift = np.log(shares[0]) - np.log(regression)
        assert np.ptp(shift - shift[:, :1], axis=0).max() < 1e-6  # the same on every level


def test_evidence_that_tells_agents_apart_does_so_in_recipes_never_seen() -> None:
    for population, those in zip(populations(), cases(leaning), strict=True):
        own, true = told(those).mean(1)[:, 0], done(population).mean(1)[:, 0]
        assert np.corrcoef(own, true)[0, 1] > 0.9


class Census(Detector):
    """It notes from whom it learned, and flags itself when it is asked about one of their group."""

    def __init__(self, seen: frozenset[str] = frozenset()) -> None:
        self.seen = seen

    def fit(self, reference: Sequence[ReferenceCase], rng: np.random.Generator) -> Self:
        assert all(
            np.array_equal(case.outcomes, known(case.agent)[0].truths[known(case.agent)[1]]) for case in reference
        )
        return type(self)(frozenset(known(case.agent)[0].recipe.name for case in reference))

    def forecast(self, agent: AgentHandle, query: Query) -> ArrayLike:
        HEARD[known(agent)[0].recipe.name] = self.seen
        return softmax(np.zeros(query.shape))


HEARD: dict[str, frozenset[str]] = {}


@pytest.mark.parametrize("groups", [NAMES, ["dish", "dish", "corner", "longer"]])
def test_nobody_learns_from_the_group_that_is_tested(groups: list[str]) -> None:
    HEARD.clear()
    assert not any(case.flag for those in cases(Census(), groups) for case in those)
    group = dict(zip(NAMES, groups, strict=True))
    assert HEARD == {name: frozenset(n for n in NAMES if group[n] != group[name]) for name in NAMES}


def test_the_same_whoever_was_asked_before_and_in_any_order_of_recipes() -> None:
    there = cases(leaning)
    turned = transfer(leaning, populations()[::-1], NAMES[::-1], 0, BUDGET)[::-1]
    for one, other in zip(there, turned, strict=True):
        for a, b in zip(one, other, strict=True):
            assert a.forecast is not None and b.forecast is not None
            assert np.allclose(a.forecast, b.forecast, atol=1e-6)


def test_too_few_groups_are_one_error() -> None:
    with pytest.raises(GoalscopeError, match="need 3 of them, got coin_dish, coin_corner"):
        cases(constant, [p.recipe.family for p in populations()])


def test_a_built_in_method_runs_on_real_handles() -> None:
    found = cases(DETECTORS.load("weight_norms"))
    assert all(case.forecast is not None and case.forecast.shape == (LEVELS, 3) for those in found for case in those)
