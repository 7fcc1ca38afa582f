"""Exact outcome distributions: hand-computed corridors, pursuers, and real rollouts."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from goalscope.agents.agent import action_probabilities
from goalscope.agents.network import make_network
from goalscope.agents.truth import check_exact, is_exact, outcome_distribution, policy_table
from goalscope.envs import (
    Distribution,
    Family,
    Goal,
    Mover,
    Moves,
    On,
    Policy,
    Rule,
    Shift,
    Then,
    Thing,
    World,
    from_ascii,
)
from goalscope.envs.pursuit import distances, pursuer_policy
from goalscope.envs.rollout import outcomes, play
from goalscope.errors import UnsupportedError
from goalscope.registry import FAMILIES

COIN_DISH: Family = FAMILIES.load("coin_dish")
QUERY = Distribution(COIN_DISH, "apart", split="query")


def test_a_random_walk_in_a_corridor_has_the_distribution_computed_by_hand() -> None:
    levels = from_ascii("max_steps: 2\n#######\n#d.>c.#\n#######", COIN_DISH.world)
    uniform = np.full((1, 1, 3, 7, 4), 0.25)
    # Right at once: 1/4. Else up or down stays (1/2), then right: 1/8. The dish is two steps left: 1/16.
    found = outcome_distribution(COIN_DISH, levels, COIN_DISH.goals, uniform)
    assert found[0].tolist() == pytest.approx([3 / 8, 1 / 16, 9 / 16], abs=1e-12)


def test_pursuers_get_their_goal_with_certainty() -> None:
    levels = QUERY.draw(range(64))
    for k, goal in enumerate(COIN_DISH.goals):
        policy = pursuer_policy(COIN_DISH, distances(COIN_DISH, goal, levels))
        assert np.allclose(outcome_distribution(COIN_DISH, levels, COIN_DISH.goals, policy)[:, k], 1.0)


def test_a_networks_exact_truth_agrees_with_a_hundred_thousand_rollouts() -> None:
    levels = QUERY.draw(range(20))
    display = COIN_DISH.look(QUERY.settings)
    network = make_network("conv", (len(display.planes), 9, 9), 4, seed=5)
    policy = policy_table(network, COIN_DISH, levels, "planes", display)
    exact = outcome_distribution(COIN_DISH, levels, COIN_DISH.goals, policy)
    episodes = 5000
    found = outcomes(COIN_DISH, levels, COIN_DISH.goals, play(COIN_DISH, levels, policy, episodes=episodes))
    spread = np.sqrt(exact * (1 - exact) / episodes)
    assert (abs(found - exact) <= 5 * spread + 1e-9).all()
    assert exact[:, :2].sum(1).min() > 0.01  # untrained agents stumble on the goals now and then


def test_worlds_that_are_no_chain_are_refused() -> None:
    world = replace(COIN_DISH.world, movers=(Mover(kind="ghost", policy=Policy.RANDOM, glyph="G"),))
    with pytest.raises(UnsupportedError, match="needs rollouts"):
        check_exact(replace(COIN_DISH, world=world), COIN_DISH.goals)


RUN = World(
    moves=Moves.TURNING,
    actions=3,
    things=(Thing(name="coin", glyph="c", shape="ball"), Thing(name="lamp", glyph="l")),
    rules=(
        Rule(on=On.ENTER, what="coin", event="coin", reward=1.0, ends=True),
        Rule(on=On.BUMP, what="lamp", event="lamp", ends=True),
    ),
)
CHESTS = World(
    things=(Thing(name="key", glyph="k", shape="key"), Thing(name="chest", glyph="c", shape="box")),
    counters=("keys",),
    rules=(
        Rule(on=On.ENTER, what="key", event="key", add=("keys", 1)),
        Rule(on=On.ENTER, what="key", then=Then.REMOVE),
        Rule(on=On.ENTER, what="chest", event="chest", need=("keys", 1, 99), reward=1.0),
    ),
)


def family_of(world: World, *events: str) -> Family:
    goals = tuple(Goal(name=e, event=e, intended=k == 0) for k, e in enumerate(events))
    return replace(COIN_DISH, id="made_up", world=world, goals=goals, shifts=(Shift(name="train", strength=0.0),))


def test_an_agent_that_turns_has_the_distribution_computed_by_hand() -> None:
    family = family_of(RUN, "coin", "lamp")
    levels = from_ascii("max_steps: 2\n#####\n#>c.#\n##1##\n#####\n1 = wall grey + lamp", RUN)
    uniform = np.full((1, 4, 4, 5, 3), 1 / 3)
    found = outcome_distribution(family, levels, family.goals, uniform)
    # Forward at once is the coin, 1/3. A turn, 2/3, then forward only meets walls: nothing within two steps.
    assert found[0].tolist() == pytest.approx([1 / 3, 0, 2 / 3], abs=1e-12)
    levels.max_steps[:] = 3
    # Left, right, forward or right, left, forward: 2/27 more.
    assert outcome_distribution(family, levels, family.goals, uniform)[0, 0] == pytest.approx(1 / 3 + 2 / 27)


def test_bumping_into_a_goal_counts_where_a_rule_says_so() -> None:
    family = family_of(RUN, "coin", "lamp")
    levels = from_ascii("max_steps: 2\n#####\n#.>1#\n#c..#\n#####\n1 = wall grey + lamp", RUN)
    uniform = np.full((1, 4, 4, 5, 3), 1 / 3)
    assert outcome_distribution(family, levels, family.goals, uniform)[0].tolist() == pytest.approx([0, 1 / 3, 2 / 3])
    policy = pursuer_policy(family, distances(family, family.goals[0], levels))
    levels.max_steps[:] = 5  # right, right, forward, left, forward
    assert outcome_distribution(family, levels, family.goals, policy)[0].tolist() == pytest.approx([1, 0, 0])


@pytest.mark.parametrize("seed", range(3))
def test_the_truth_of_an_agent_that_turns_agrees_with_rollouts(seed: int) -> None:
    family = family_of(RUN, "coin", "lamp")
    levels = from_ascii("max_steps: 24\n#######\n#.>..c#\n#.#...#\n#..1..#\n#######\n1 = ball red + lamp", RUN)
    display = family.look(family.settings())
    network = make_network("conv", (len(display.planes), 5, 7), 3, seed=seed, first_gain=8.0)
    with torch.no_grad():
        network.get_parameter("policy.weight").mul_(300)  # far from uniform
    policy = policy_table(network, family, levels, "planes", display)
    exact = outcome_distribution(family, levels, family.goals, policy)
    act = partial(action_probabilities, network)
    played = play(family, levels, act, episodes=20_000, view="planes", display=display)
    assert exact[0] == pytest.approx(outcomes(family, levels, family.goals, played)[0], abs=0.02)
    tabled = play(family, levels, policy, episodes=20_000)
    assert exact[0] == pytest.approx(outcomes(family, levels, family.goals, tabled)[0], abs=0.02)


@pytest.mark.parametrize(("keys", "chest_first"), [(0, False), (1, True)])
def test_what_an_event_needs_must_be_there_as_the_level_begins(keys: int, chest_first: bool) -> None:
    family = family_of(CHESTS, "chest", "key")
    levels = from_ascii(f"counters: {keys}\nmax_steps: 9\n#######\n#>.c.k#\n#######", CHESTS)
    right = np.zeros((1, 1, 3, 7, 4))
    right[..., 0] = 1.0
    assert outcome_distribution(family, levels, family.goals, right)[0].tolist() == [chest_first, not chest_first, 0]
    assert is_exact(family, family.goals) and not is_exact(family, family.goals[:1])  # a key taken changes the world
