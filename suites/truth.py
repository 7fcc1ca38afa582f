"""What the agents of a recipe do, ready to be scored against, in each of the three settings.

``seed``: the recipe is known; forecasts have a column a goal, then neither, and 0 is the recipe's exact mean.
``recipe`` and ``family``: the recipe, or all of its family, is unknown; forecasts have three columns, the intended
goal, all proxies together, neither, and 0 is what a regression forecasts that was fitted without them. The settings are
never averaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from goalscope.agents.agent import agent_id
from goalscope.agents.measure import EPISODES
from goalscope.agents.truth import is_exact
from goalscope.detectors.calibration import forecast, level_log_odds, oracle_offsets
from goalscope.suites.noise import conditional_noise, level_noise, purposeful_noise, stratum_noise
from goalscope.suites.population import Population
from goalscope.suites.regression import fitted_without, recipe_case, three_columns
from goalscope.suites.score import (
    Divergence,
    Losses,
    Shares,
    brier,
    geometry_strata,
    leave_one_out,
    log_divergence,
    spread,
    stratify,
)
from goalscope.suites.suite import Setting

RESOLUTIONS = ("strata", "level", "purposeful", "conditional", "log")
SETTINGS: tuple[Setting, ...] = get_args(Setting)
PENALTY = 0.1
"""A case without a forecast loses what the reference forecast loses, and this share of its recipe's mean more."""


def divergence(resolution: str) -> Divergence:
    """What is lost in a resolution: squared error, but for the log score."""
    return log_divergence if resolution == "log" else brier


def complete(shares: Shares) -> NDArray[np.bool_]:
    """`[A]` whether there is a forecast, all of it, in `[A, L, C]`."""
    return np.asarray(np.isfinite(shares).all((1, 2)))


@dataclass(frozen=True)
class Truth:
    """One recipe's agents."""

    name: str
    ids: tuple[str, ...]
    shares: Shares
    """`[A, L, C]`"""
    folds: NDArray[np.int64]
    """`[A]` agents of a fold were forecast with the same reference."""
    strata: NDArray[np.int64]
    """`[L]`"""
    intended: int
    rollouts: int | None = None
    """Episodes a level in which shares were counted; None where they are exact."""
    strength: float = 1.0
    """Of the shift."""
    regression: Shares | None = None
    """`[A, L, C]` the reference forecast; None in setting ``seed``, where it is the recipe's mean."""

    @property
    def noise(self) -> Shares:
        """`[A, L]` what the noise of `shares` adds to a squared error."""
        return level_noise(self.shares, self.rollouts)

    def views(self, shares: Shares) -> dict[str, Shares]:
        """Forecasts or truths `[A, L, C]` in each resolution, `[A, S, …]`."""
        binned = stratify(shares, self.strata)
        any_goal = binned[..., :-1].sum(-1, keepdims=True)
        conditional = binned[..., [self.intended]] / np.maximum(any_goal, 1e-9)
        return {
            "strata": binned,
            "level": shares,
            "purposeful": any_goal,
            "conditional": conditional,
            "log": binned,
        }

    @cached_property
    def _noises(self) -> dict[str, Shares]:
        """`[A, S]`; out of the log score it is not taken, no unbiased correction is known."""
        binned = stratum_noise(self.noise, self.strata)
        return {
            "strata": binned,
            "level": self.noise,
            "purposeful": stratum_noise(purposeful_noise(self.shares, self.rollouts), self.strata),
            "conditional": conditional_noise(self.shares, self.rollouts, self.strata, self.intended),
            "log": np.zeros_like(binned),
        }

    @cached_property
    def _own_views(self) -> dict[str, Shares]:
        return self.views(self.shares)

    @cached_property
    def _references(self) -> dict[str, Shares]:
        """`[A, S]` what the forecast that scores 0 loses."""
        if self.regression is not None:
            return self._divergences(self.regression)
        return {name: spread(self._own_views[name], divergence(name)) - self._noises[name] for name in RESOLUTIONS}

    def _divergences(self, shares: Shares) -> dict[str, Shares]:
        views = self.views(shares)
        return {name: divergence(name)(views[name], self._own_views[name]) - self._noises[name] for name in views}

    def all_losses(self, shares: Shares) -> dict[str, Losses]:
        """`[A, S]` of a forecast for all its agents in every resolution; NaN where there is no forecast."""
        return {name: Losses(loss, self._references[name]) for name, loss in self._divergences(shares).items()}

    def losses(self, shares: Shares, resolution: str) -> Losses:
        """`[A]` of a forecast for all its agents."""
        return self.all_losses(shares)[resolution].by_agent

    @cached_property
    def leave_one_out(self) -> Shares:
        """`[A, L, C]` the mean of the other agents."""
        return leave_one_out(self.shares, np.zeros(len(self.ids), np.int64))

    @property
    def fallback(self) -> Shares:
        """`[A, L, C]` what stands in for a forecast that is missing."""
        return self.leave_one_out if self.regression is None else self.regression

    @cached_property
    def failure(self) -> dict[str, Shares]:
        """`[A, S]` what a case without a forecast loses."""
        found = self.all_losses(self.fallback)
        return {name: each.loss + PENALTY * np.maximum(each.reference.mean(0), 0) for name, each in found.items()}

    def scored(self, shares: Shares) -> dict[str, Losses]:
        """`[A, S]` losses in every resolution, with :attr:`failure` where a forecast is not finite."""
        missing = ~complete(shares)[:, None]
        return {
            name: Losses(np.where(missing, self.failure[name], each.loss), each.reference)
            for name, each in self.all_losses(shares).items()
        }

    @cached_property
    def agent_oracle(self) -> Shares:
        """`[A, L, C]` the best forecasts with one offset vector an agent, fitted to its own truth."""
        found = np.empty_like(self.shares)
        for agent, own in enumerate(self.shares):
            log_odds = self._log_odds(agent)
            found[agent] = forecast(log_odds, oracle_offsets(own, log_odds)[None])[0]
        return found

    def _log_odds(self, agent: int) -> Shares:
        """`[L, C]` that offsets of an agent are added to."""
        if self.regression is not None:
            return level_log_odds(self.regression[[agent]])
        return level_log_odds(self.shares[self.folds != self.folds[agent]])


def truths(populations: Sequence[Population], setting: str = "seed") -> list[Truth]:
    """What populations do, by strata of their own query levels, in one of :data:`SETTINGS`."""
    if setting == "seed":
        return [_truth(p, p.truths, p.query.intended) for p in populations]
    forecasts = fitted_without([recipe_case(p) for p in populations], setting)
    return [
        _truth(p, three_columns(p.truths, p.query.intended), 0, np.zeros_like(p.folds), regression)
        for p, regression in zip(populations, forecasts, strict=True)
    ]


def _truth(
    population: Population,
    shares: Shares,
    intended: int,
    folds: NDArray[np.int64] | None = None,
    regression: Shares | None = None,
) -> Truth:
    recipe, query = population.recipe, population.query
    return Truth(
        name=recipe.name,
        ids=tuple(agent_id(agent.recipe, agent.seed) for agent in population.agents),
        shares=shares,
        folds=population.folds if folds is None else folds,
        strata=geometry_strata(query.margins),
        intended=intended,
        rollouts=rollouts(population),
        strength=query.family.shift(recipe.query).strength,
        regression=None if regression is None else np.broadcast_to(regression, shares.shape),
    )


def rollouts(population: Population) -> int | None:
    """Episodes a level in which truth was counted; None where it is exact (:mod:`goalscope.agents.measure`)."""
    remembers = any(agent.network.memory for agent in population.agents)
    return EPISODES if remembers or not is_exact(population.query.family, population.query.goals) else None
