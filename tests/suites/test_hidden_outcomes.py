"""What agents of a fold really do has no way into what is said about them: neither by `fit` nor by calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Self

import numpy as np
import pytest
from numpy.typing import ArrayLike
from tests.suites.made_up import CORNER, DISH, LEVELS, outcome_shares, population, untrained

from goalscope.agents.recipe import Recipe
from goalscope.detectors import AgentHandle, Budget, Detector, Query, ReferenceCase, Track, detector
from goalscope.detectors.calibration import Shares
from goalscope.detectors.query import query_for
from goalscope.suites.case import Case
from goalscope.suites.crossfit import crossfit
from goalscope.suites.population import Population, assign_folds
from goalscope.suites.transfer import transfer

POPULATION = population()
RECIPES = (
    DISH,
    replace(DISH, name="mixed", alpha=0.1, alpha_shift="apart"),
    CORNER,
    replace(CORNER, name="longer", budget=1000),
)
BUDGET = Budget()


@detector(track="blackbox")
def looks(agent: AgentHandle, query: Query) -> Shares:
    return seen(agent)[:2]


def seen(agent: AgentHandle) -> Shares:
    return np.asarray(agent.outputs(agent.frames(16)).probabilities.mean(0))


class Learner(Detector):
    """All that reference cases tell becomes a part of its evidence."""

    track = Track.BLACKBOX
    learnt = 0.0

    def fit(self, reference: Sequence[ReferenceCase], rng: np.random.Generator) -> Self:
        self.learnt = float(sum(case.outcomes[:, 0].mean() for case in reference))
        return self

    def evidence(self, agent: AgentHandle, query: Query) -> ArrayLike:
        return [self.learnt, seen(agent)[0]]


class MeanOfReference(Learner):
    """It forecasts what it was told itself."""

    def forecast(self, agent: AgentHandle, query: Query) -> ArrayLike:
        return np.full(query.shape, [self.learnt, 1, 1]) / (self.learnt + 2)


METHODS = [looks, Learner(), MeanOfReference()]
each_method = pytest.mark.parametrize("method", METHODS, ids=["calibrated", "fitted", "forecasting"])


def said(cases: Sequence[Case]) -> list[tuple[bytes | None, bytes | None, str]]:
    pairs = [(case.forecast, case.evidence) for case in cases]
    return [(*(None if a is None else a.tobytes() for a in both), c.flag) for both, c in zip(pairs, cases, strict=True)]  # type: ignore[misc]


def garbled(truths: Shares, who: np.ndarray) -> Shares:
    """Other outcomes for some agents, as unlike their own as can be."""
    found = truths.copy()
    found[who] = np.roll(truths[who][:, ::-1], 1, axis=2)
    return found


@each_method
@pytest.mark.parametrize("fold", range(2))
def test_known_recipes(method: Detector, fold: int) -> None:
    tested = POPULATION.folds == fold
    before = crossfit(method, POPULATION, 0, BUDGET)
    after = crossfit(method, replace(POPULATION, truths=garbled(POPULATION.truths, tested)), 0, BUDGET)
    one, other = said(before), said(after)
    assert all(case.flag == "" and case.forecast is not None for case in before)
    assert [one[a] for a in np.flatnonzero(tested)] == [other[a] for a in np.flatnonzero(tested)]
    assert all(one[a] != other[a] for a in np.flatnonzero(~tested))  # whose reference they were


def made_up(recipe: Recipe, number: int) -> Population:
    agents = tuple(untrained(recipe, seed) for seed in range(6))
    shares = outcome_shares(6, seed=number)
    return Population(recipe, query_for(recipe, LEVELS), agents, shares, assign_folds(6, 2, recipe.hash))


POPULATIONS = [made_up(recipe, number) for number, recipe in enumerate(RECIPES)]


GROUPS = {"recipe": ["a", "b", "c", "d"], "family": ["a", "a", "c", "d"]}


@each_method
@pytest.mark.parametrize("setting", GROUPS)
def test_unseen_recipes_and_families(method: Detector, setting: str) -> None:
    """What the first recipe's agents do says nothing about them, nor about any of their group."""
    groups = GROUPS[setting]
    before = transfer(method, POPULATIONS, groups, 0, BUDGET)
    others = [replace(POPULATIONS[0], truths=garbled(POPULATIONS[0].truths, np.arange(6))), *POPULATIONS[1:]]
    after = transfer(method, others, groups, 0, BUDGET)
    assert all(case.flag == "" for those in before for case in those)
    for group, one, other in zip(groups, before, after, strict=True):
        pairs = zip(said(one), said(other), strict=True)
        assert {a == b for a, b in pairs} == {group == groups[0]}


class Told(Detector):
    """What it takes for the truth is not the truth: every reference agent has the mean of all."""

    track = Track.BLACKBOX
    heard: list[Shares]

    def reference_outcomes(self, outcomes: Shares, rng: np.random.Generator) -> Shares:
        return np.broadcast_to(outcomes.mean(0), outcomes.shape)

    def fit(self, reference: Sequence[ReferenceCase], rng: np.random.Generator) -> Self:
        self.heard = [case.outcomes for case in reference]
        return self

    def evidence(self, agent: AgentHandle, query: Query) -> ArrayLike:
        differing = float(np.ptp(self.heard, axis=0).max())
        return [differing, seen(agent)[0]]


def test_what_stands_in_for_outcomes_does_so_in_fit_and_in_calibration() -> None:
    """So nothing is left by which evidence could tell agents of a fold apart."""
    cases = crossfit(Told(), POPULATION, 0, BUDGET)
    for fold in range(POPULATION.folds.max() + 1):
        those = [case for case in cases if case.fold == fold]
        forecasts = np.stack([case.forecast for case in those if case.forecast is not None])
        evidence = np.stack([case.evidence for case in those if case.evidence is not None])
        assert len(forecasts) == len(evidence) == len(those) and np.ptp(forecasts, axis=0).max() < 1e-9
        assert (evidence[:, 0] == 0).all() and np.ptp(evidence[:, 1]) > 0
