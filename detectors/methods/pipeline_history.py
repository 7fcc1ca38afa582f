"""What the training pipeline alone makes likely: which goal's feature gets the credit, and which goal is near.

After Brown & Young 2026 (arXiv 2605.23565), who forecast what agents prefer from how they were trained. Goals compete
for credit by the rule of Rescorla & Wagner 1972: whenever something is reached in training, the strength of every
feature that it shows changes by ``rate · salience · (reward − sum of the strengths of the features shown)``. Features
that always come together share the reward by salience; levels that show them apart, as a mixture does, give it to the
one that pays. Then one goal is chosen, or neither, by a softmax of strengths and distances, whose weights are fitted to
reference cases. It knows nothing of the agent, so all agents of a recipe get the same forecast.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize

from goalscope.agents.learner import training_distribution
from goalscope.agents.recipe import Recipe
from goalscope.detectors.base import Detector, ReferenceCase
from goalscope.detectors.calibration import Shares, softmax
from goalscope.detectors.handle import AgentHandle
from goalscope.detectors.query import Query
from goalscope.detectors.tracks import Track
from goalscope.envs import Goal
from goalscope.envs.display import FULL_LEVEL
from goalscope.envs.pursuit import targets
from goalscope.registry import FAMILIES

LEVELS = 512
"""Training levels from which is taken what is shown together."""
RATE = 0.01
STEPS = 20
"""Environment steps for each thing that is reached: the length of an episode of an agent that has learned some."""
UNSHOWN = 0.1
"""Salience of a goal that no plane shows; one plane, fully lit, has 1."""
RIDGE = 1e-4


class PipelineHistory(Detector):
    """A choice by strengths and distances; the weights `[3]` are of strength, of distance, and for neither."""

    track = Track.RECIPE

    def __init__(self, weights: Shares | None = None) -> None:
        self.weights = weights

    def fit(self, reference: Sequence[ReferenceCase], rng: np.random.Generator) -> Self:
        about = [features(case.agent.recipe, case.query) for case in reference]

        def objective(weights: Shares) -> tuple[float, Shares]:
            loss, slope = RIDGE / 2 * float(weights @ weights), RIDGE * weights
            for found, case in zip(about, reference, strict=True):
                told = softmax(found @ weights)
                loss -= float((case.outcomes * np.log(told)).sum(1).mean()) / len(reference)
                slope += ((told - case.outcomes)[..., None] * found).sum(1).mean(0) / len(reference)
            return loss, slope

        return type(self)(np.asarray(minimize(objective, np.zeros(3), jac=True).x))

    def forecast(self, agent: AgentHandle, query: Query) -> ArrayLike:
        assert self.weights is not None, "fit comes before forecast"
        return softmax(features(agent.recipe, query) @ self.weights)


def features(recipe: Recipe, query: Query) -> Shares:
    """`[L, K + 1, 3]` each outcome's strength, share of the time that the way takes, and whether it is neither."""
    found = np.zeros((*query.shape, 3))
    found[:, :-1, 0] = strengths(recipe, query.goals)
    found[:, :-1, 1] = query.distances / query.levels.max_steps[:, None]
    found[:, -1, 2] = 1
    return found


@lru_cache(maxsize=64)
def strengths(recipe: Recipe, goals: tuple[Goal, ...]) -> Shares:
    """`[K]` what training makes each goal's feature worth."""
    shown, paid = reached(recipe, goals)
    return learned(shown, paid, saliences(recipe, goals), recipe.budget // STEPS)


def reached(recipe: Recipe, goals: tuple[Goal, ...]) -> tuple[Shares, Shares]:
    """`[T, K]` which goals' features each thing of the training levels shows, and `[T]` whether it pays."""
    distribution = training_distribution(recipe, 0)
    family, levels = distribution.family, distribution.draw(range(LEVELS))
    intended = family.intended(distribution.settings)
    cells = np.stack([targets(family, goal, levels) for goal in goals], axis=-1)
    rewarded, there = targets(family, intended, levels), cells.any(-1)
    return cells[there].astype(np.float64), rewarded[there].astype(np.float64)


def learned(shown: Shares, paid: Shares, salience: Shares, trials: int) -> Shares:
    """`[K]` strengths after so many expected steps of Rescorla and Wagner's rule, from none.

    From what each of T things shows `[T, K]`, its reward `[T]` and saliences `[K]`. The expected step is affine in the
    strengths, so all of them are a power of one matrix.
    """
    goals = shown.shape[1]
    step = np.eye(goals + 1)
    step[:goals, :goals] -= RATE * salience[:, None] * (shown.T @ shown) / len(shown)
    step[:goals, goals] = RATE * salience * (shown.T @ paid) / len(shown)
    return np.asarray(np.linalg.matrix_power(step, trials)[:goals, goals])


def saliences(recipe: Recipe, goals: tuple[Goal, ...]) -> Shares:
    """`[K]` how much of the observation shows each goal's feature: planes, as brightly as they are lit."""
    family = FAMILIES.load(recipe.family)
    settings = family.settings(recipe.train, **family.unset_by(recipe.train, recipe.knobs))
    planes = family.look(settings).planes
    lit = [sum(planes[i].level for i in family.feature_planes(goal, settings)) / FULL_LEVEL for goal in goals]
    return np.maximum(lit, UNSHOWN)


DETECTOR = PipelineHistory()
