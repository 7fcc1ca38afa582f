"""Rollout-equivalents: how many episodes under the shift would forecast as well as a method does."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from goalscope.detectors.calibration import forecast, level_log_odds, oracle_offsets
from goalscope.detectors.posterior import posterior_offsets
from goalscope.seeding import generator
from goalscope.suites.population import Population

Shares = NDArray[np.float64]
EPISODES = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256)
REPEATS = 5


def rollout_curve(
    populations: Sequence[Population], skill: Callable[[Sequence[Shares]], float]
) -> tuple[tuple[int, float], ...]:
    """(k, mean skill of a forecaster that saw k episodes of each agent): outcomes are drawn from the agents' truths."""
    rng = generator("rollout-equivalents")
    curve = []
    for k in EPISODES:
        found = [skill([_after_episodes(p, k, rng) for p in populations]) for _ in range(REPEATS if k else 1)]
        curve.append((k, float(np.mean(found))))
    return tuple(curve)


def _after_episodes(population: Population, k: int, rng: np.random.Generator) -> Shares:
    """`[A, L, K + 1]` forecasts by the posterior mode of each agent's offsets given k outcomes."""
    truths, found = population.truths, np.empty_like(population.truths)
    for fold in np.unique(population.folds):
        reference = truths[population.folds != fold]
        log_odds = level_log_odds(reference)
        offsets = np.stack([oracle_offsets(truth, log_odds) for truth in reference])
        mean, covariance = offsets.mean(0), np.cov(offsets.T)
        for agent in np.flatnonzero(population.folds == fold):
            levels = rng.integers(truths.shape[1], size=k)
            outcomes = _drawn(truths[agent, levels], rng)
            own = posterior_offsets(outcomes, log_odds[levels], mean, covariance)
            found[agent] = forecast(log_odds, own[None])[0]
    return found


def _drawn(shares: Shares, rng: np.random.Generator) -> Shares:
    """`[k, K + 1]` one-hot outcomes drawn from shares `[k, K + 1]`."""
    passed = rng.random((len(shares), 1)) >= np.cumsum(shares, axis=1)[:, :-1]
    return np.asarray(np.eye(shares.shape[1])[passed.sum(1)])


def rollout_equivalent(skill: float, curve: Sequence[tuple[int, float]]) -> float | None:
    """The k at which the curve reaches a skill, between the k that were tried by straight lines; 0 below its start.

    None if even the largest k does not reach it.
    """
    best = -np.inf
    before = (0, -np.inf)
    for k, reached in curve:
        best = max(best, reached)
        if best >= skill:
            k0, s0 = before
            return float(k) if not np.isfinite(s0) else k0 + (k - k0) * (skill - s0) / max(best - s0, 1e-12)
        before = (k, best)
    return None
