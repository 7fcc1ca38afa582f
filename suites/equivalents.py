"""Rollout-equivalents: how many episodes under the shift would forecast as well as a method does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goalscope.detectors.calibration import forecast, level_log_odds
from goalscope.detectors.posterior import offsets_prior, posterior_offsets
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
    known = [(p.truths, _folds(p)) for p in populations]
    curve = []
    for k in EPISODES:
        found = [skill([_after_episodes(*each, k, rng) for each in known]) for _ in range(REPEATS if k else 1)]
        curve.append((k, float(np.mean(found))))
    return tuple(curve)


@dataclass(frozen=True)
class _Fold:
    """The agents of a fold, and what those of the others say about them."""

    test: NDArray[np.int64]
    log_odds: Shares
    prior: tuple[Shares, Shares]


def _folds(population: Population) -> list[_Fold]:
    found = []
    for fold in np.unique(population.folds):
        reference = population.truths[population.folds != fold]
        log_odds = level_log_odds(reference)
        test = np.flatnonzero(population.folds == fold)
        found.append(_Fold(test, log_odds, offsets_prior(reference, log_odds)))
    return found


def _after_episodes(truths: Shares, folds: Sequence[_Fold], k: int, rng: np.random.Generator) -> Shares:
    """`[A, L, C]` forecasts by the posterior mode of each agent's offsets given k outcomes."""
    found = np.empty_like(truths)
    for fold in folds:
        played = rng.integers(truths.shape[1], size=(len(fold.test), k))
        outcomes = _drawn(truths[fold.test[:, None], played], rng)
        offsets = posterior_offsets(outcomes, fold.log_odds[played], *fold.prior)
        found[fold.test] = forecast(fold.log_odds, offsets)
    return found


def _drawn(shares: Shares, rng: np.random.Generator) -> Shares:
    """`[…, C]` one-hot outcomes drawn from shares `[…, C]`."""
    passed = rng.random((*shares.shape[:-1], 1)) >= np.cumsum(shares, axis=-1)[..., :-1]
    return np.asarray(np.eye(shares.shape[-1])[passed.sum(-1)])


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
