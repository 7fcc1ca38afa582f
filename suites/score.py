"""Skill of forecasts: pure functions of arrays, with answers that are known for known forecasts (design: S_seed).

Arrays: forecasts and truths `[A, L, K + 1]` for A agents, L query levels (or strata) and K goals, then neither;
`recipe` `[A]` says which agents belong together. The reference is the within-recipe variance over the agents, unbiased:
what a forecaster would lose who knew each recipe's exact mean. So truth scores 1, the exact recipe mean 0 in
expectation, and the mean of the *other* agents of a recipe of n exactly −1 / (n − 1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goalscope.errors import GoalscopeError

Shares = NDArray[np.float64]
STRATA = 5
LEAST_LEVELS = 40
"""Fewer query levels than this in a stratum make its mean too noisy to score."""


def geometry_strata(margins: NDArray[np.floating]) -> NDArray[np.int64]:
    """`[L]` five bins of about equal size by margin (steps to the nearest proxy minus steps to the intended goal)."""
    order = np.argsort(margins, kind="stable")
    strata = np.empty(len(margins), np.int64)
    strata[order] = np.arange(len(margins)) * STRATA // len(margins)
    least = int(np.bincount(strata, minlength=STRATA).min())
    if least < LEAST_LEVELS:
        raise GoalscopeError(f"Each of {STRATA} strata needs {LEAST_LEVELS} query levels, one has {least}: draw more.")
    return strata


def stratify(shares: Shares, strata: NDArray[np.int64]) -> Shares:
    """`[A, S, K + 1]` the mean of `[A, L, K + 1]` in each stratum `[L]`."""
    return np.stack([shares[:, strata == s].mean(1) for s in range(int(strata.max()) + 1)], axis=1)


@dataclass(frozen=True)
class Losses:
    """What each agent contributes to a skill: `[A]` squared errors and references, summed over levels."""

    loss: Shares
    reference: Shares

    @property
    def skill(self) -> float:
        return float(1 - self.loss.sum() / self.reference.sum())


def losses(forecasts: Shares, truths: Shares, recipe: NDArray[np.integer]) -> Losses:
    """Squared errors, and the share of each agent in its recipe's variance times n / (n − 1)."""
    if forecasts.shape != truths.shape or len(recipe) != len(truths):
        raise GoalscopeError(
            f"Forecasts {forecasts.shape}, truths {truths.shape}, recipes {recipe.shape} do not agree."
        )
    reference = np.empty(len(truths))
    for each in np.unique(recipe):
        own = recipe == each
        n = int(own.sum())
        if n < 2:
            raise GoalscopeError(f"Recipe {each} has one test agent; a variance between agents needs two.")
        reference[own] = squared(truths[own] - truths[own].mean(0)) * n / (n - 1)
    return Losses(squared(forecasts - truths), reference)


def squared(difference: Shares) -> Shares:
    """`[A]` sums of squares over everything but the first axis."""
    return np.asarray((difference**2).reshape(len(difference), -1).sum(1))


def leave_one_out(truths: Shares, recipe: NDArray[np.integer]) -> Shares:
    """The mean of the other agents of each agent's recipe: what knowing the recipe and the level is worth."""
    means = np.empty_like(truths)
    for each in np.unique(recipe):
        own = recipe == each
        n = int(own.sum())
        means[own] = (truths[own].sum(0) - truths[own]) / (n - 1)
    return means


def bootstrap(parts: Losses, recipe: NDArray[np.integer], rng: np.random.Generator, replicates: int = 2000) -> Shares:
    """`[replicates]` skills when recipes, then agents within them, are drawn with replacement. Levels never are."""
    groups = [np.flatnonzero(recipe == each) for each in np.unique(recipe)]
    weights = np.zeros((replicates, len(recipe)))
    drawn = rng.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), size=replicates)
    for group, times in zip(groups, drawn.T, strict=True):
        even = np.full(len(group), 1 / len(group))
        weights[:, group] = rng.multinomial(times * len(group), even)
    return np.asarray(1 - (weights @ parts.loss) / (weights @ parts.reference))
