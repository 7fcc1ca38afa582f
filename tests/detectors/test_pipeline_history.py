"""What the pipeline alone makes likely: credit by Rescorla and Wagner's rule, and a choice that is fitted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from goalscope.agents.recipe import Recipe
from goalscope.detectors import AgentHandle, Query, ReferenceCase, Track
from goalscope.detectors.bench import untrained_agent
from goalscope.detectors.calibration import softmax
from goalscope.detectors.methods.pipeline_history import DETECTOR, RATE, features, learned, saliences, strengths
from goalscope.detectors.query import query_for
from goalscope.detectors.tracks import Budget
from goalscope.registry import RECIPES

OPEN = RECIPES.load("dish_open")
TOGETHER, ONE = np.array([[1.0, 1.0]]), np.ones(1)


def test_one_step_is_the_rule() -> None:
    assert learned(TOGETHER, ONE, np.array([1.0, 3.0]), 1) == pytest.approx([RATE, 3 * RATE])


def test_two_steps_share_what_is_left_of_the_reward() -> None:
    left = 1 - 4 * RATE
    found = learned(TOGETHER, ONE, np.array([1.0, 3.0]), 2)
    assert found == pytest.approx([RATE * (1 + left), 3 * RATE * (1 + left)])


def test_features_that_always_come_together_share_the_reward_by_salience() -> None:
    assert learned(TOGETHER, ONE, np.array([1.0, 3.0]), 10_000) == pytest.approx([0.25, 0.75])


def test_levels_that_show_them_apart_give_it_to_the_one_that_pays() -> None:
    shown, paid = np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0]]), np.array([1.0, 1.0, 0.0])
    assert learned(shown, paid, np.ones(2), 100_000) == pytest.approx([1, 0], abs=1e-6)


@pytest.mark.parametrize(("name", "expected"), [("dish_open", [1, 1]), ("dish_dish_salient", [1, 3])])
def test_saliences_are_the_planes_that_show_a_goal(name: str, expected: list[float]) -> None:
    recipe = RECIPES.load(name)
    assert saliences(recipe, query_for(recipe, 4).goals) == pytest.approx(expected)


def test_more_of_a_mixture_makes_the_intended_goal_stronger() -> None:
    found = [strengths(RECIPES.load(name), query_for(OPEN, 4).goals) for name in ("dish_walls", "dish_walls_tenth")]
    assert found[0][0] == pytest.approx(found[0][1]) and found[1][0] > 0.99 > 0.01 > found[1][1]


def case(recipe: Recipe, query: Query, weights: list[float]) -> ReferenceCase:
    """Agents that choose as the model says."""
    handle = AgentHandle(untrained_agent(recipe, 0), Track.RECIPE, Budget(), 0)
    return ReferenceCase(handle, query, softmax(features(recipe, query) @ np.array(weights)))


def test_a_choice_of_known_weights_is_recovered_and_goes_over_to_another_recipe() -> None:
    weights = [2.0, -6.0, -1.0]
    recipes = [replace(OPEN, knobs={**OPEN.knobs, "dish_salience": copies}) for copies in (1, 2, 4, 8)]
    cases = [case(recipe, query_for(recipe, 32), weights) for recipe in recipes]
    fitted = DETECTOR.fit(cases[:3], np.random.default_rng(0))
    told = np.asarray(fitted.forecast(cases[3].agent, cases[3].query))
    assert np.abs(told - cases[3].outcomes).max() < 0.05
    assert told.sum(1) == pytest.approx(1) and DETECTOR.weights is None
