"""Scores with known answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from goalscope.errors import GoalscopeError
from goalscope.suites.resample import bootstrap
from goalscope.suites.score import Losses, geometry_strata, leave_one_out, losses, stratify

RECIPE = np.repeat([0, 1, 2], [4, 6, 5])


def truths(seed: int = 0, levels: int = 20) -> NDArray[np.float64]:
    """Agents of three recipes, each agent with an outcome of its own that varies from level to level."""
    rng = np.random.default_rng(seed)
    agent = rng.normal(size=(len(RECIPE), 1, 3)) + rng.normal(size=(3, 1, 3))[RECIPE]
    logits = agent + 0.3 * rng.normal(size=(len(RECIPE), levels, 3))
    return np.asarray(np.exp(logits) / np.exp(logits).sum(-1, keepdims=True))


def test_truth_scores_one() -> None:
    assert losses(truths(), truths(), RECIPE).skill == 1.0


def test_the_mean_of_the_others_scores_minus_one_over_n_minus_one() -> None:
    q = truths()
    for recipe, n in ((0, 4), (1, 6), (2, 5)):
        own = RECIPE == recipe
        found = losses(leave_one_out(q, RECIPE)[own], q[own], RECIPE[own]).skill
        assert found == pytest.approx(-1 / (n - 1), abs=1e-12)


def test_the_exact_mean_of_a_recipe_scores_nothing_in_expectation() -> None:
    rng = np.random.default_rng(1)
    mean = np.array([0.5, 0.3, 0.2])
    q = rng.dirichlet(20 * mean, size=(3000, 4)).reshape(1000, 3, 4, 3)
    scores = [losses(np.broadcast_to(mean, each.shape), each, np.zeros(3, int)) for each in q]
    total = Losses(np.concatenate([s.loss for s in scores]), np.concatenate([s.reference for s in scores]))
    assert abs(total.skill) < 0.05


def test_a_case_computed_by_hand() -> None:
    q = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])  # one recipe, two agents, one level
    p = np.array([[[0.5, 0.5]], [[0.5, 0.5]]])
    parts = losses(p, q, np.zeros(2, int))
    # Each error: .25 + .25; each deviation from the mean: .5, times 2 / 1.
    assert parts.loss.tolist() == [0.5, 0.5] and parts.reference.tolist() == [1.0, 1.0]
    assert parts.skill == 0.5


def test_the_opposite_of_the_truth_is_worse_than_nothing() -> None:
    q = truths()
    mean = np.stack([q[RECIPE == r].mean(0) for r in RECIPE])
    assert losses(2 * mean - q, q, RECIPE).skill < -0.5


@given(seed=st.integers(0, 1000), size=st.floats(0.01, 1.0))
def test_noise_never_helps_in_expectation(seed: int, size: float) -> None:
    q = truths(seed)
    forecast = leave_one_out(q, RECIPE)
    rng = np.random.default_rng(seed)
    noise = size * rng.normal(size=q.shape)
    both = [losses(forecast + way * noise, q, RECIPE).skill for way in (1, -1)]
    assert np.mean(both) < losses(forecast, q, RECIPE).skill


@given(seed=st.integers(0, 1000))
def test_neither_the_order_of_agents_nor_their_recipes_names_matter(seed: int) -> None:
    q, rng = truths(seed), np.random.default_rng(seed)
    p = rng.dirichlet([1, 1, 1], size=q.shape[:2])
    order = rng.permutation(len(RECIPE))
    renamed = np.array([7, 3, 5])[RECIPE]
    assert losses(p[order], q[order], renamed[order]).skill == pytest.approx(losses(p, q, RECIPE).skill, abs=1e-12)


def test_strata_are_of_equal_size_and_in_the_order_of_margins() -> None:
    margins = np.random.default_rng(0).permutation(np.arange(256.0))
    strata = geometry_strata(margins)
    assert sorted(np.bincount(strata)) == [51, 51, 51, 51, 52]
    assert all(margins[strata == s].max() < margins[strata == s + 1].min() for s in range(4))
    means = stratify(np.stack([margins, margins])[..., None], strata)
    assert means.shape == (2, 5, 1) and (np.diff(means[0, :, 0]) > 0).all()


def test_too_few_levels_for_strata_are_refused() -> None:
    with pytest.raises(GoalscopeError, match="one has 20: draw more"):
        geometry_strata(np.arange(100.0))


def test_a_recipe_with_one_agent_is_refused() -> None:
    with pytest.raises(GoalscopeError, match="one test agent"):
        losses(truths()[:1], truths()[:1], np.zeros(1, int))


def test_bootstrap_intervals_surround_the_skill_and_are_wider_than_nothing() -> None:
    q = truths(levels=50)
    rng = np.random.default_rng(2)
    parts = losses(0.7 * q + 0.3 * leave_one_out(q, RECIPE), q, RECIPE)
    drawn = bootstrap(parts, RECIPE, rng)
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert drawn.shape == (2000,) and low < parts.skill < high and high - low > 0.001
    assert (bootstrap(losses(q, q, RECIPE), RECIPE, rng, 50) == 1).all()
