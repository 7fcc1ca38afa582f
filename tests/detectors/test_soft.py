"""Soft planning, and the two behavioural methods on it: hand-computed walks, and wishes that were built in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from goalscope.agents.truth import outcome_distribution
from goalscope.detectors.calibration import Shares, softmax
from goalscope.detectors.frames import source
from goalscope.detectors.methods.max_ent_irl import rewards
from goalscope.detectors.soft import Walks, log_mean_exp, walks
from goalscope.envs import Distribution, Levels
from goalscope.envs.pursuit import step_gains, targets
from goalscope.errors import UnsupportedError
from goalscope.registry import FAMILIES, RECIPES

GAMMA = 0.9
COIN_DISH = FAMILIES.load("coin_dish")


def corridor() -> Walks:
    """Three cells in a row, one goal at the right end: actions are left and right; a wall is at the left."""
    ahead = np.array([[0, 1], [0, 2], [1, 3]])
    enters = np.zeros((3, 2, 1))
    enters[2, 1] = 1
    return Walks(ahead, enters, np.array([0, 1, 2]))


def apart(n: int) -> Levels:
    return Distribution(COIN_DISH, "apart", split="query").draw(range(n))


def test_without_rewards_the_policy_is_uniform() -> None:
    q, values = corridor().plan(np.zeros(1), GAMMA)
    assert not q.any() and not values.any()


def test_values_solve_the_soft_bellman_equation() -> None:
    q, values = corridor().plan(np.array([5.0]), GAMMA)
    assert q[2, 1] == 5.0 and q[2, 0] == pytest.approx(GAMMA * values[1], abs=1e-4)
    assert values[2] == pytest.approx(np.log((np.exp(q[2, 0]) + np.exp(5.0)) / 2))
    assert values[:3] == pytest.approx(log_mean_exp(q)) and values[0] < values[1] < values[2] < 5


@pytest.mark.parametrize("drawn", [[3.0, 8.0], [-4.0, 2.0]])
def test_slopes_are_the_derivatives(drawn: list[float]) -> None:
    walked, own, step = walks(COIN_DISH, apart(2), COIN_DISH.goals), np.array(drawn), 1e-3
    q, _ = walked.plan(own, GAMMA)
    slopes, _ = walked.slopes(softmax(q), GAMMA)
    for goal in range(2):
        change = step * np.eye(2)[goal]
        numeric = (walked.plan(own + change, GAMMA)[0] - walked.plan(own - change, GAMMA)[0]) / (2 * step)
        assert slopes[..., goal] == pytest.approx(numeric, abs=0.02)


@pytest.mark.parametrize("family", ["coin_dish", "coin_run"])
def test_who_is_drawn_strongly_walks_straight_to_the_goal(family: str) -> None:
    """Cardinal moves and turning ones: the likeliest first action is one that brings the goal nearer."""
    those = FAMILIES.load(family)
    levels = Distribution(those, those.shifts[-1].name, split="query").draw(range(8))
    walked = walks(those, levels, those.goals)
    for goal in range(2):
        q, _ = walked.plan(60.0 * np.eye(2)[goal], 0.97)
        gains = step_gains(those.world, levels, targets(those, those.goals[goal], levels))
        assert (gains[np.arange(8), q[walked.starts].argmax(1)] == 1).all()


def test_the_walks_end_where_the_absorbing_chain_does() -> None:
    """Undiscounted chances of the uniform policy to reach each goal first, by either way of counting."""
    levels = apart(4)
    walked = walks(COIN_DISH, levels, COIN_DISH.goals)
    long = replace(levels, max_steps=np.full_like(levels.max_steps, 3000))
    uniform = np.full((4, 1, *levels.canvas, 4), 0.25)
    reached = outcome_distribution(COIN_DISH, long, COIN_DISH.goals, uniform)[:, :2]
    chances = np.zeros((len(walked.ahead) + 1, 2))
    for _ in range(3000):
        chances[:-1] = (walked.enters + chances[walked.ahead]).mean(1)
    assert chances[walked.starts] == pytest.approx(reached, abs=1e-6)


def test_worlds_that_change_on_the_way_are_refused() -> None:
    family = FAMILIES.load("keys_chests")
    levels = Distribution(family).draw(range(2))
    with pytest.raises(UnsupportedError, match="keys_chests"):
        walks(family, levels, [family.goal("chest")])


def acting(walked: Walks, drawn: Shares) -> Shares:
    return softmax(walked.plan(drawn, GAMMA)[0][walked.starts])


@pytest.mark.parametrize("drawn", [[12.0, 3.0], [4.0, 9.0]])
def test_rewards_are_found_where_the_goals_lie_apart(drawn: list[float]) -> None:
    walked = walks(COIN_DISH, apart(32), COIN_DISH.goals)
    found = rewards(walked, acting(walked, np.array(drawn)), GAMMA)
    assert found == pytest.approx(drawn, abs=1.0)


def test_where_goals_coincide_the_difference_stays_at_the_prior() -> None:
    levels = source(RECIPES.load("dish_open"), 0).training(0, 16).levels
    walked = walks(COIN_DISH, levels, COIN_DISH.goals)
    said = acting(walked, np.array([12.0, 3.0]))
    found = rewards(walked, said, GAMMA)
    assert found[0] == found[1] == pytest.approx(7.5, abs=0.5)
    assert rewards(walked, np.full_like(said, 0.25), GAMMA) == pytest.approx([0, 0], abs=0.1)
