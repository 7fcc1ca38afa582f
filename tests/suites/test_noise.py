"""Truths that were counted in rollouts: scores of given forecasts are what they would be with exact truths."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.suites.made_up import DISH, outcome_shares, population, truth, untrained

from goalscope.agents.measure import EPISODES
from goalscope.agents.network import make_network
from goalscope.suites.noise import conditional_noise, level_noise, purposeful_noise, stratum_noise
from goalscope.suites.score import Losses
from goalscope.suites.truth import Truth, rollouts, truths

Shares = NDArray[np.float64]
AGENTS, M, DRAWS = 6, 16, 400
EXACT = truth(0, AGENTS)
SQUARED = ("strata", "level", "purposeful", "conditional")


def counted(shares: Shares, episodes: int, rng: np.random.Generator) -> Shares:
    """`[A, L, C]` shares of outcomes in so many episodes."""
    return rng.multinomial(episodes, shares / shares.sum(-1, keepdims=True)) / episodes


def measured(exact: Truth, episodes: int, rng: np.random.Generator) -> Truth:
    return replace(exact, shares=counted(exact.shares, episodes, rng), rollouts=episodes)


def mean_losses(known: list[Truth], said: Shares, resolution: str) -> Losses:
    """Of one forecast, over measurements: sums of losses and references."""
    found = [t.losses(said, resolution) for t in known]
    return Losses(np.array([f.loss.sum() for f in found]), np.array([f.reference.sum() for f in found]))


def test_the_noise_of_a_level_by_hand() -> None:
    """Three of four episodes: 1 − (9/16 + 1/16) = 6/16, over three."""
    shares = np.array([[[0.75, 0.25, 0.0]]])
    assert level_noise(shares, 4).tolist() == [[0.125]]
    assert level_noise(shares, None).tolist() == [[0.0]]
    assert purposeful_noise(np.array([[[0.25, 0.25, 0.5]]]), 5)[0, 0] == pytest.approx(0.25 / 4)


def test_the_noise_of_a_stratum_is_that_of_a_mean() -> None:
    noise = np.array([[0.1, 0.3, 0.5, 0.5]])
    assert stratum_noise(noise, np.array([0, 0, 1, 1]))[0] == pytest.approx([0.4 / 4, 1.0 / 4])


def test_a_ratio_without_neither_is_as_noisy_as_a_share() -> None:
    """Where some goal is always reached, P(intended | any goal) is P(intended)."""
    shares = np.array([[[0.3, 0.7, 0.0], [0.5, 0.5, 0.0]]])
    found = conditional_noise(shares, 11, np.zeros(2, int), 0)
    assert found[0, 0] == pytest.approx((0.21 + 0.25) / 10 / 4)


@pytest.mark.parametrize("resolution", SQUARED)
@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0])
def test_with_noisy_truths_the_loss_and_skill_of_a_given_forecast_are_unbiased(resolution: str, weight: float) -> None:
    rng = np.random.default_rng(0)
    said = weight * EXACT.shares + (1 - weight) * EXACT.shares.mean(0)
    exact = EXACT.losses(said, resolution)
    found = mean_losses([measured(EXACT, M, rng) for _ in range(DRAWS)], said, resolution)
    for name in ("loss", "reference"):
        drawn = getattr(found, name)
        error = 4 * drawn.std() / np.sqrt(DRAWS) + (0.004 * exact.reference.sum() if resolution == "conditional" else 0)
        assert abs(drawn.mean() - getattr(exact, name).sum()) < error
    assert found.skill == pytest.approx(exact.skill, abs=0.01)


def test_without_the_correction_they_would_not_be() -> None:
    """The test above can fail: levels of sixteen episodes are so noisy that an oracle would look bad."""
    rng = np.random.default_rng(0)
    known = [replace(measured(EXACT, M, rng), rollouts=None) for _ in range(20)]
    assert mean_losses(known, EXACT.shares, "level").skill < 0.75


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), episodes=st.sampled_from([8, 64]))
def test_the_more_episodes_the_less_noise_whatever_agents_do(seed: int, episodes: int) -> None:
    shares = counted(outcome_shares(4, seed=seed), episodes, np.random.default_rng(seed))
    less, more = (level_noise(shares, m) for m in (4 * episodes, episodes))
    assert (less <= more).all() and (more >= 0).all() and (more <= 1 / (episodes - 1)).all()


def test_truth_is_noisy_where_agents_remember_and_exact_elsewhere() -> None:
    known = population()
    assert rollouts(known) is None and not truths([known])[0].noise.any()
    remembering = replace(untrained(DISH, 0), network=make_network("lstm", (5, 7, 7), 4, 0))
    assert rollouts(replace(known, agents=(remembering, *known.agents[1:]))) == EPISODES
