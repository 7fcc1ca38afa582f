"""Evidence becomes forecasts: agents made by known offsets are recovered, useless evidence stays useless."""

from __future__ import annotations

import numpy as np
import pytest

from goalscope.detectors.calibration import (
    calibrate,
    forecast,
    left_out_offsets,
    level_log_odds,
    oracle_offsets,
    softmax,
)
from goalscope.errors import GoalscopeError
from goalscope.suites.score import leave_one_out, losses

RNG = np.random.default_rng(0)
LEVELS = RNG.normal(size=(60, 3))
STRENGTH = np.linspace(-2, 2, 24)
AGENTS = softmax(LEVELS[None] + np.stack([STRENGTH, -STRENGTH, 0 * STRENGTH], 1)[:, None])
ONE = np.zeros(24, int)


def test_offsets_that_made_an_agent_are_recovered() -> None:
    made = np.array([0.7, -0.2, -0.5])
    found = oracle_offsets(softmax(LEVELS + made), LEVELS)
    assert found == pytest.approx(made, abs=0.01)


def test_an_agent_that_never_does_something_has_finite_offsets() -> None:
    never = np.tile([1.0, 0.0, 0.0], (60, 1))
    found = oracle_offsets(never, LEVELS)
    assert np.isfinite(found).all() and forecast(LEVELS, found[None])[0, :, 0].min() > 0.9


def test_evidence_that_says_everything_scores_nearly_what_the_agent_oracle_does() -> None:
    even, odd = np.arange(24) % 2 == 0, np.arange(24) % 2 == 1
    fitted = calibrate(STRENGTH[even, None], AGENTS[even])
    found = losses(fitted.forecast(STRENGTH[odd, None]), AGENTS[odd], ONE[odd]).skill
    log_odds = level_log_odds(AGENTS[even])
    best = np.stack([oracle_offsets(truth, log_odds) for truth in AGENTS[odd]])
    oracle = losses(forecast(log_odds, best), AGENTS[odd], ONE[odd]).skill
    assert found == pytest.approx(oracle, abs=0.05) and oracle > 0.9


def test_the_scale_and_the_origin_of_evidence_do_not_matter() -> None:
    plain = calibrate(STRENGTH[:, None], AGENTS).forecast(STRENGTH[:, None])
    other = calibrate(1000 * STRENGTH[:, None] + 7, AGENTS).forecast(1000 * STRENGTH[:, None] + 7)
    assert np.allclose(plain, other)


def test_evidence_that_is_the_same_for_everybody_gives_everybody_one_forecast() -> None:
    fitted = calibrate(np.ones((24, 1)), AGENTS)
    found = fitted.forecast(np.array([[1.0], [1.0]]))
    assert np.array_equal(found[0], found[1])
    mean = losses(np.repeat(found[:1], 24, 0), AGENTS, ONE).skill
    assert mean == pytest.approx(losses(leave_one_out(AGENTS, ONE), AGENTS, ONE).skill, abs=0.15)


@pytest.mark.parametrize("wrong", [np.ones(24), np.ones((23, 1)), np.full((24, 1), np.nan)])
def test_evidence_of_the_wrong_shape_or_without_numbers_is_refused(wrong: np.ndarray) -> None:
    with pytest.raises(GoalscopeError, match="evidence must be"):
        calibrate(wrong, AGENTS)


# What evidence is worth is learned from agents that are left out


def made_up(rng: np.random.Generator, agents: int) -> tuple[np.ndarray, np.ndarray]:
    """`[A, L, 3]` truths of agents with an offset and a mind of their own on every level, and `[A]` the offset."""
    strength = rng.normal(size=agents)
    offsets = 1.5 * np.stack([strength, -strength, 0.2 * rng.normal(size=agents)], 1)
    own = 0.7 * rng.normal(size=(agents, 48, 3))
    return softmax(rng.normal(size=(1, 48, 3)) + offsets[:, None] + own), strength


def skill(found: np.ndarray, truths: np.ndarray) -> float:
    return losses(found, truths, np.zeros(len(truths), int)).skill


def cost(seed: int, numbers: int) -> float:
    """Skill lost to the reference agents' mean by evidence without signal about 12 agents, on 100 others."""
    rng = np.random.default_rng(seed)
    truths, _ = made_up(rng, 112)
    noise = rng.normal(size=(112, numbers))
    found = calibrate(noise[:12], truths[:12]).forecast(noise[12:])
    mean = np.broadcast_to(truths[:12].mean(0), truths[12:].shape)
    return skill(mean, truths[12:]) - skill(found, truths[12:])


@pytest.mark.parametrize("numbers", [1, 4, 8])
def test_evidence_without_signal_costs_little(numbers: int) -> None:
    assert np.mean([cost(seed, numbers) for seed in range(24)]) < 0.1


@pytest.mark.parametrize("numbers", [0, 3])
def test_strong_evidence_keeps_its_say_also_among_numbers_without_any(numbers: int) -> None:
    lost = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        truths, strength = made_up(rng, 112)
        told = np.column_stack([strength, rng.normal(size=(112, numbers))])
        log_odds = level_log_odds(truths[:12])
        best = skill(forecast(log_odds, oracle_offsets(truths[12:], log_odds)), truths[12:])
        lost.append(best - skill(calibrate(told[:12], truths[:12]).forecast(told[12:]), truths[12:]))
    assert np.mean(lost) < 0.1 + 0.02 * numbers


def test_the_same_evidence_for_all_is_the_reference_agents_mean() -> None:
    truths, _ = made_up(np.random.default_rng(0), 12)
    found = calibrate(np.ones((12, 3)), truths).forecast(np.ones((1, 3)))
    assert found[0] == pytest.approx(truths.mean(0), abs=1e-3)


def test_leaving_out_in_closed_form_is_leaving_out() -> None:
    """The forecast of a left-out agent by the leverage is that of a ridge regression on the others."""
    rng = np.random.default_rng(0)
    evidence, offsets = rng.normal(size=(9, 2)), rng.normal(size=(9, 3))
    evidence, offsets = evidence - evidence.mean(0), offsets - offsets.mean(0)
    left, sizes, _ = np.linalg.svd(evidence, full_matrices=False)
    closed = left_out_offsets(left, sizes**2 / (sizes**2 + 3.0), offsets)
    for i in range(9):
        others = np.arange(9) != i
        centre, mean = evidence[others].mean(0), offsets[others].mean(0)
        z = evidence[others] - centre
        weights = np.linalg.solve(z.T @ z + 3.0 * np.eye(2), z.T @ (offsets[others] - mean))
        assert closed[i] == pytest.approx((evidence[i] - centre) @ weights + mean)
