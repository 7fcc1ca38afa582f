"""What the noise of measured truths adds to a squared error, to be taken out again.

Where an agent's outcomes on a level are counted in M rollouts, the share q̂ varies around the truth q, and
``E‖p − q̂‖² = ‖p − q‖² + (1 − ‖q‖²) / M``; ``(1 − ‖q̂‖²) / (M − 1)`` estimates the last term without bias. Levels are
played independently, so the noise of a mean over n levels is their noise summed, over n². The variance *between* agents
is inflated by the same amount, so it is taken out of the reference too. M is None where truth is exact: no noise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goalscope.suites.score import Shares

LEAST = 1e-9


def level_noise(shares: Shares, rollouts: int | None) -> Shares:
    """`[A, L]` of the outcome shares `[A, L, C]` on each level."""
    return _scaled(1 - (shares**2).sum(-1), rollouts)


def purposeful_noise(shares: Shares, rollouts: int | None) -> Shares:
    """`[A, L]` of P(any goal) on each level: a share of two outcomes counts one column only."""
    goals = shares[..., :-1].sum(-1)
    return _scaled(goals * (1 - goals), rollouts)


def _scaled(variance: Shares, rollouts: int | None) -> Shares:
    return np.zeros_like(variance) if rollouts is None else variance / (rollouts - 1)


def stratum_noise(noise: Shares, strata: NDArray[np.int64]) -> Shares:
    """`[A, S]` of the mean over each stratum's levels, from `[A, L]`."""
    counts = np.bincount(strata)
    return np.stack([noise[:, strata == s].sum(1) / n**2 for s, n in enumerate(counts)], axis=1)


def conditional_noise(shares: Shares, rollouts: int | None, strata: NDArray[np.int64], intended: int) -> Shares:
    """`[A, S]` of P(intended | any goal) by strata: a ratio of two means, so by the delta method, to first order."""
    own, goals = shares[..., intended], shares[..., :-1].sum(-1)
    counts = np.bincount(strata)
    means = [np.stack([s[:, strata == k].mean(1) for k in range(len(counts))], axis=1) for s in (own, goals)]
    below = np.maximum(means[1], LEAST)
    share = means[0] / below
    parts = (own * (1 - own), own * (1 - goals), goals * (1 - goals))  # Var own, Cov(own, goals), Var goals
    var, cov, var_goals = (stratum_noise(_scaled(part, rollouts), strata) for part in parts)
    return np.asarray((var - 2 * share * cov + share**2 * var_goals) / below**2)
