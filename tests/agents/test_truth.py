"""Exact outcome distributions: hand-computed corridors, pursuers, and real rollouts."""

from __future__ import annotations

import numpy as np
import pytest

from goalscope.agents.networks import make_network
from goalscope.agents.truth import check_exact, outcome_distribution, policy_table
from goalscope.envs import Distribution, Family, Mover, Policy, from_ascii
from goalscope.envs.pursuit import distances, pursuer_policy
from goalscope.envs.rollout import outcomes, play
from goalscope.errors import UnsupportedError
from goalscope.registry import FAMILIES

COIN_DISH: Family = FAMILIES.load("coin_dish")
QUERY = Distribution(COIN_DISH, "apart", split="query")


def test_a_random_walk_in_a_corridor_has_the_distribution_computed_by_hand() -> None:
    levels = from_ascii("max_steps: 2\n#######\n#d.>c.#\n#######", COIN_DISH.world)
    uniform = np.full((1, 3, 7, 4), 0.25)
    # Right at once: 1/4. Else up or down stays (1/2), then right: 1/8. The dish is two steps left: 1/16.
    found = outcome_distribution(COIN_DISH, levels, COIN_DISH.goals, uniform)
    assert found[0].tolist() == pytest.approx([3 / 8, 1 / 16, 9 / 16], abs=1e-12)


def test_pursuers_get_their_goal_with_certainty() -> None:
    levels = QUERY.draw(range(64))
    for k, goal in enumerate(COIN_DISH.goals):
        policy = pursuer_policy(COIN_DISH, distances(COIN_DISH, goal, levels))[:, 0]
        assert np.allclose(outcome_distribution(COIN_DISH, levels, COIN_DISH.goals, policy)[:, k], 1.0)


def test_a_networks_exact_truth_agrees_with_a_hundred_thousand_rollouts() -> None:
    levels = QUERY.draw(range(20))
    display = COIN_DISH.look(QUERY.settings)
    network = make_network("conv", (len(display.planes), 9, 9), 4, seed=5)
    policy = policy_table(network, COIN_DISH, levels, "planes", display)
    exact = outcome_distribution(COIN_DISH, levels, COIN_DISH.goals, policy)
    episodes = 5000
    found = outcomes(COIN_DISH, levels, COIN_DISH.goals, play(COIN_DISH, levels, policy[:, None], episodes=episodes))
    spread = np.sqrt(exact * (1 - exact) / episodes)
    assert (abs(found - exact) <= 5 * spread + 1e-9).all()
    assert exact[:, :2].sum(1).min() > 0.01  # untrained agents stumble on the goals now and then


def test_worlds_that_are_no_chain_are_refused() -> None:
    from dataclasses import replace

    world = replace(COIN_DISH.world, movers=(Mover(kind="ghost", policy=Policy.RANDOM, glyph="G"),))
    with pytest.raises(UnsupportedError, match="needs rollouts"):
        check_exact(replace(COIN_DISH, world=world))
