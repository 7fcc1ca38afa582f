"""Skill of forecasts: pure functions of arrays, with answers that are known for known forecasts.

Arrays: forecasts and truths `[A, L, C]` for A agents, L query levels (or strata) and C outcomes, of which the last is
neither; `recipe` `[A]` says which agents belong together. In setting S_seed the reference is the within-recipe variance
over the agents, unbiased: what a forecaster would lose who knew each recipe's exact mean. So truth scores 1, the exact
recipe mean 0 in expectation, and the mean of the *other* agents of a recipe of n exactly −1 / (n − 1). In S_recipe and
S_family it is the loss of a given forecast, that of a regression (:mod:`goalscope.suites.regression`).

Where truth comes from rollouts, their noise is taken out of losses and of the reference alike
(:mod:`goalscope.suites.noise`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goalscope.errors import GoalscopeError

Shares = NDArray[np.float64]
Divergence = Callable[[Shares, Shares], Shares]
"""From forecasts `[…, C]` and truths `[…, C]` to what is lost `[…]`."""
STRATA = 5
LEAST_LEVELS = 40
"""Fewer query levels than this in a stratum make its mean too noisy to score."""
LEAST_REFERENCE = 1e-12
LEAST_SHARE = 0.01
"""Where the log score clips: one confident error must not outweigh everything else."""


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
    """`[A, S, C]` the mean of `[A, L, C]` in each stratum `[L]`."""
    member = strata == np.arange(int(strata.max()) + 1)[:, None]  # [S, L]
    return np.asarray((member / member.sum(1, keepdims=True)) @ shares)


def brier(forecasts: Shares, truths: Shares) -> Shares:
    """`[…]` ‖p − q‖²: Brier's score minus what the truth itself would lose (Brier 1950)."""
    return np.asarray(((forecasts - truths) ** 2).sum(-1))


def log_divergence(forecasts: Shares, truths: Shares) -> Shares:
    """`[…]` KL(q ‖ p) in nats, both clipped at :data:`LEAST_SHARE` and scaled to sum to one, so that truth loses 0."""
    p, q = (_clipped(shares) for shares in (forecasts, truths))
    return np.asarray((q * np.log(q / p)).sum(-1))


def _clipped(shares: Shares) -> Shares:
    raised = np.maximum(shares, LEAST_SHARE)  # NaN stays NaN
    return np.asarray(raised / raised.sum(-1, keepdims=True))


@dataclass(frozen=True)
class Losses:
    """What each agent contributes to a skill: losses and references `[A]`, or `[A, S]` by stratum or level."""

    loss: Shares
    reference: Shares

    @property
    def skill(self) -> float:
        """1 − Σ loss / Σ reference: higher is better. NaN where agents do not differ, so that there is no skill."""
        return float(ratio(self.loss.sum(), self.reference.sum()))

    @property
    def by_agent(self) -> Losses:
        """Summed over everything but agents."""
        return Losses(*(part.reshape(len(part), -1).sum(1) for part in (self.loss, self.reference)))

    def of(self, agents: NDArray[np.bool_]) -> Losses:
        """Of some agents alone."""
        return Losses(self.loss[agents], self.reference[agents])


def ratio(loss: Shares | float, reference: Shares | float) -> Shares:
    """Skills from sums; NaN where agents differ by rounding alone, or noise leaves nothing of their differences."""
    safe = np.where(np.asarray(reference) > LEAST_REFERENCE, reference, np.nan)
    return np.asarray(1 - loss / safe)


def losses(forecasts: Shares, truths: Shares, recipe: NDArray[np.integer]) -> Losses:
    """`[A]` squared errors against exact truths, and each agent's share in its recipe's variance times n / (n − 1)."""
    if forecasts.shape != truths.shape or len(recipe) != len(truths):
        raise GoalscopeError(
            f"Forecasts {forecasts.shape}, truths {truths.shape}, recipes {recipe.shape} do not agree."
        )
    reference = np.empty(truths.shape[:-1])
    for each in np.unique(recipe):
        reference[recipe == each] = spread(truths[recipe == each])
    return Losses(brier(forecasts, truths), reference).by_agent


def spread(truths: Shares, divergence: Divergence = brier) -> Shares:
    """`[A, S]` divergences of one recipe's truths `[A, S, C]` from their mean, times n / (n − 1).

    For squares their sum is n times the unbiased variance; for the logarithm that holds to first order.
    """
    n = len(truths)
    if n < 2:
        raise GoalscopeError("A recipe has one test agent; a variance between agents needs two.")
    return divergence(np.broadcast_to(truths.mean(0), truths.shape), truths) * n / (n - 1)


def leave_one_out(truths: Shares, recipe: NDArray[np.integer]) -> Shares:
    """The mean of the other agents of each agent's recipe: what knowing the recipe and the level is worth."""
    means = np.empty_like(truths)
    for each in np.unique(recipe):
        own = recipe == each
        n = int(own.sum())
        means[own] = (truths[own].sum(0) - truths[own]) / (n - 1)
    return means
