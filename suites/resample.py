"""Uncertainty: a hierarchical bootstrap over recipes, then agents. Levels, episodes and detector seeds are never drawn.

All methods share the same draws, so what two of them differ by is paired. Draws are weights `[R, A]`: a replicate's
skill is one product of matrices for all methods at once (Efron 1979; two stages as in Davison & Hinkley 1997, §3.8).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from goalscope.seeding import generator
from goalscope.suites.score import Losses, Shares, ratio

REPLICATES = 2000
CENTRAL = (0.025, 0.975)


def bootstrap_weights(recipe: NDArray[np.integer], rng: np.random.Generator, replicates: int = REPLICATES) -> Shares:
    """`[R, A]` how often each agent is drawn when recipes, then agents within them, are drawn with replacement."""
    groups = [np.flatnonzero(recipe == each) for each in np.unique(recipe)]
    weights = np.zeros((replicates, len(recipe)))
    drawn = rng.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), size=replicates)
    for group, times in zip(groups, drawn.T, strict=True):
        even = np.full(len(group), 1 / len(group))
        weights[:, group] = rng.multinomial(times * len(group), even)
    return weights


@lru_cache(maxsize=4)
def shared_weights(sizes: tuple[int, ...]) -> Shares:
    """`[R, A]` the draws that all methods share, for recipes of these sizes one after another; read-only."""
    weights = bootstrap_weights(np.repeat(np.arange(len(sizes)), sizes), generator("bootstrap"))
    weights.setflags(write=False)
    return weights


def bootstrap(
    parts: Losses, recipe: NDArray[np.integer], rng: np.random.Generator, replicates: int = REPLICATES
) -> Shares:
    """`[R]` skills of one forecast."""
    return np.asarray(replicate_skills([parts], bootstrap_weights(recipe, rng, replicates))[0])


def replicate_skills(parts: Sequence[Losses], weights: Shares) -> Shares:
    """`[N, R]` skills of N forecasts in every draw; NaN where the agents drawn do not differ."""
    loss, reference = (np.stack([getattr(p.by_agent, name) for p in parts]) for name in ("loss", "reference"))
    return ratio(np.asarray(loss @ weights.T), np.asarray(reference @ weights.T))


def central(replicates: Shares) -> tuple[float, float]:
    """The 2.5 % and 97.5 % quantiles of those draws in which there is a skill; NaN if there is none in any."""
    finite = replicates[np.isfinite(replicates)]
    low, high = np.quantile(finite, CENTRAL) if len(finite) else (np.nan, np.nan)
    return float(low), float(high)
