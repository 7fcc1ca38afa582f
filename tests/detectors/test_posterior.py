"""The mode of an agent's offsets: the prior before anything is seen, the truth after much."""

from __future__ import annotations

import numpy as np
import pytest

from goalscope.detectors.calibration import level_log_odds, softmax
from goalscope.detectors.posterior import RIDGE, offsets_prior, posterior_offsets

RNG = np.random.default_rng(0)
LEVELS = RNG.normal(size=(4000, 3))
MEAN = np.array([0.4, -0.1, -0.3])
COVARIANCE = np.cov(RNG.normal(size=(3, 12)))
PRECISION = np.linalg.inv(COVARIANCE + RIDGE * np.eye(3))


def one_hot(outcomes: np.ndarray) -> np.ndarray:
    return np.asarray(np.eye(3)[outcomes])


def episodes(offsets: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """`[k, 3]` outcomes and log-odds of the first k levels."""
    passed = RNG.random((k, 1)) >= softmax(LEVELS[:k] + offsets).cumsum(1)[:, :-1]
    return one_hot(passed.sum(1)), LEVELS[:k]


def relative(offsets: np.ndarray) -> np.ndarray:
    """Only differences of offsets matter."""
    return np.asarray(offsets - offsets.mean())


def test_without_episodes_it_is_the_prior() -> None:
    assert np.array_equal(posterior_offsets(np.zeros((0, 3)), np.zeros((0, 3)), MEAN, COVARIANCE), MEAN)


def test_many_episodes_show_the_offsets_that_made_them() -> None:
    made = np.array([1.2, -0.9, -0.3])
    found = posterior_offsets(*episodes(made, 4000), MEAN, COVARIANCE)
    assert relative(found) == pytest.approx(made, abs=0.15)


def test_one_episode_moves_towards_its_outcome_and_a_wider_prior_moves_further() -> None:
    seen, level = one_hot(np.array([1])), LEVELS[:1]
    narrow = posterior_offsets(seen, level, MEAN, 0.1 * np.eye(3)) - MEAN
    wide = posterior_offsets(seen, level, MEAN, np.eye(3)) - MEAN
    assert wide[1] > narrow[1] > 0 and narrow[0] < 0 and narrow[2] < 0


@pytest.mark.parametrize("outcome", [0, 1, 2])
@pytest.mark.parametrize("k", [1, 16, 400])
def test_it_is_where_the_gradient_vanishes_also_for_agents_that_do_one_thing_only(outcome: int, k: int) -> None:
    seen = one_hot(np.full(k, outcome))
    found = posterior_offsets(seen, 5 * LEVELS[:k], MEAN, COVARIANCE)
    gradient = softmax(5 * LEVELS[:k] + found).sum(0) - seen.sum(0) + PRECISION @ (found - MEAN)
    assert np.abs(gradient).max() < 1e-6


def test_agents_together_are_agents_one_by_one() -> None:
    drawn = [episodes(np.array([x, 0.0, -x]), 16) for x in (-2.0, 0.0, 1.0)]
    outcomes, levels = np.stack([o for o, _ in drawn]), np.stack([level for _, level in drawn])
    together = posterior_offsets(outcomes, levels, MEAN, COVARIANCE)
    alone = [posterior_offsets(o, level, MEAN, COVARIANCE) for o, level in drawn]
    assert together.shape == (3, 3) and np.allclose(together, alone)


def test_a_singular_covariance_will_do() -> None:
    singular = np.outer([1.0, -1.0, 0.0], [1.0, -1.0, 0.0])
    assert np.isfinite(posterior_offsets(*episodes(MEAN, 8), MEAN, singular)).all()


def test_the_prior_is_that_of_the_reference_agents() -> None:
    offsets = np.stack([np.array([x, -x, 0.0]) for x in np.linspace(-1, 1, 9)])
    truths = softmax(LEVELS[None, :200] + offsets[:, None])
    mean, covariance = offsets_prior(truths, level_log_odds(truths))
    assert mean == pytest.approx(np.zeros(3), abs=0.1)
    assert covariance == pytest.approx(np.cov(offsets.T), abs=0.1)
