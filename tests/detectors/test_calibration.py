"""Evidence becomes forecasts: agents made by known offsets are recovered, useless evidence stays useless."""

from __future__ import annotations

import numpy as np
import pytest

from goalscope.detectors.calibration import calibrate, forecast, level_log_odds, oracle_offsets, softmax
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
    assert oracle > found > oracle - 0.05 and oracle > 0.9


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
