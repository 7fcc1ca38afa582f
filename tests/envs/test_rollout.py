"""Rollouts on levels small enough to follow by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from goalscope.envs import Distribution, Family, Mover, Moves, On, Policy, Rule, World
from goalscope.envs.ascii import from_ascii
from goalscope.envs.families.coin_corner import FAMILY as COIN_CORNER
from goalscope.envs.families.coin_dish import FAMILY as COIN_DISH
from goalscope.envs.families.coin_dish import WORLD
from goalscope.envs.families.colour_shape import FAMILY as COLOUR_SHAPE
from goalscope.envs.pursuit import distances, pursuer_policy
from goalscope.envs.rollout import Rollouts, outcomes, play, pursue, pursuer_outcomes, random_null, return_gap
from goalscope.errors import LevelError

CORRIDOR = """
    max_steps: 8
    ########
    #c.>.d.#
    ########
"""
"""Coin two steps to the left, dish two to the right."""

COIN, DISH = COIN_DISH.goals
RIGHT, LEFT = 0, 2


def always(action: int, n: int = 1) -> np.ndarray:
    policy = np.zeros((n, 1, 3, 8, 4))
    policy[..., action] = 1
    return policy


def test_walking_right_reaches_the_dish_and_then_waits_for_the_deadline() -> None:
    played = play(COIN_DISH, from_ascii(CORRIDOR, WORLD), always(RIGHT), episodes=2)
    assert played.first.tolist() == [[[-1, 2], [-1, 2]]]
    assert played.counts.tolist() == [[[0, 1], [0, 1]]]
    assert played.returns.tolist() == [[0.0, 0.0]]
    assert played.lengths.tolist() == [[8, 8]]


def test_walking_left_reaches_the_coin_which_pays_and_ends() -> None:
    played = play(COIN_DISH, from_ascii(CORRIDOR, WORLD), always(LEFT))
    assert (played.first.tolist(), played.returns.tolist(), played.lengths.tolist()) == ([[[2, -1]]], [[1.0]], [[2]])


def test_a_policy_is_looked_up_in_the_cell_where_the_agent_is() -> None:
    there_and_back = always(RIGHT)
    there_and_back[0, 0, 1, 5] = np.eye(4)[LEFT]  # on the dish: turn round, and from then on step to and fro
    played = play(COIN_DISH, from_ascii(CORRIDOR, WORLD), there_and_back)
    assert played.counts.tolist() == [[[0, 4]]]


def test_actions_follow_their_probabilities() -> None:
    policy = always(RIGHT)
    policy[..., RIGHT], policy[..., LEFT] = 0.8, 0.2
    level = from_ascii(CORRIDOR.replace("max_steps: 8", "max_steps: 1").replace(".d", "d."), WORLD)
    played = play(COIN_DISH, level, policy, episodes=4000)
    share = float((played.first[..., 1] == 1).mean())
    assert abs(share - 0.8) < 4 * np.sqrt(0.8 * 0.2 / 4000)


def test_an_episode_depends_neither_on_other_levels_nor_on_how_many_are_played() -> None:
    levels = Distribution(COIN_DISH).draw(range(12))
    whole = play(COIN_DISH, levels, episodes=6, seed=3)
    some = play(COIN_DISH, levels.take([7, 2]), episodes=4, seed=3)
    other = play(COIN_DISH, levels, episodes=6, seed=4)
    assert (some.lengths == whole.lengths[[7, 2], :4]).all() and (some.first == whole.first[[7, 2], :4]).all()
    assert (whole.lengths != other.lengths).any()
    assert len(np.unique(whole.lengths[:, 0])) > 1 and len(np.unique(whole.lengths[0])) > 1


def test_outcomes_are_the_first_event_and_ties_go_to_the_earlier_goal() -> None:
    first = np.array([[[3, 5], [5, 3], [4, 4], [-1, -1]], [[-1, 9], [-1, 9], [2, -1], [-1, -1]]], np.int32)
    rollouts = Rollouts(first=first, counts=first, returns=np.zeros((2, 4)), lengths=np.zeros((2, 4), np.int32))
    levels = from_ascii([CORRIDOR, CORRIDOR], WORLD)
    assert outcomes(COIN_DISH, levels, (COIN, DISH), rollouts).tolist() == [[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]]
    assert outcomes(COIN_DISH, levels, (DISH, COIN), rollouts).tolist() == [[0.5, 0.25, 0.25], [0.5, 0.25, 0.25]]
    with pytest.raises(LevelError, match="rollouts of 2 levels, not of 1"):
        outcomes(COIN_DISH, levels.take([0]), (COIN, DISH), rollouts)


def test_the_random_null_of_two_cells_is_the_drunkards() -> None:
    """Free: coin, agent, dish. One step in four goes left, one right, two bump into walls; the deadline is one step."""
    level = from_ascii("max_steps: 1\n#####\n#c>d#\n#####", WORLD)
    null = random_null(COIN_DISH, level, (COIN, DISH), episodes=4000)[0]
    assert null.sum() == pytest.approx(1)
    assert np.abs(null - [0.25, 0.25, 0.5]).max() < 4 * np.sqrt(0.25 / 4000)


@pytest.mark.parametrize("family", [COIN_CORNER, COIN_DISH, COLOUR_SHAPE], ids=lambda f: f.id)
def test_pursuers_get_their_own_goal_on_every_conflict_level(family: Family) -> None:
    for shift in family.shifts[1:]:
        query = Distribution(family, shift.name, split="query")
        levels, goals = query.draw(range(64)), query.goals
        shares = pursuer_outcomes(family, levels, goals)
        assert (shares == np.eye(len(goals), len(goals) + 1)[:, None]).all()
        null = random_null(family, levels, goals, episodes=8)
        assert null.shape == (64, len(goals) + 1) and np.allclose(null.sum(1), 1)


def test_a_pursuer_that_turns_needs_its_turns() -> None:
    turning = replace(COIN_DISH, world=replace(WORLD, moves=Moves.TURNING))
    level = from_ascii(CORRIDOR, turning.world)
    played = [pursue(turning, level, goal).first[0, 0].tolist() for goal in (COIN, DISH)]
    assert played == [[4, -1], [-1, 2]]
    policy = pursuer_policy(turning, distances(turning, COIN, level))
    assert play(turning, level, policy, episodes=3).lengths.tolist() == [[4, 4, 4]]


def test_the_return_gap_is_what_a_wrong_goal_costs() -> None:
    settings = COIN_DISH.settings()
    apart, together = (
        from_ascii(rows, WORLD) for rows in (CORRIDOR, CORRIDOR.replace("d", ".").replace("c", "1") + LEGEND)
    )
    assert return_gap(COIN_DISH, together, COIN_DISH.goals, settings) == {"dish": 0.0}
    gap = return_gap(COIN_DISH, apart, COIN_DISH.goals, settings, episodes=64)["dish"]
    assert 0.5 < gap <= 1.0  # after the dish its pursuer strays, seldom all the way back to the coin


def test_swapped_roles_swap_the_gap() -> None:
    query = Distribution(COLOUR_SHAPE, "apart", {"intended": "colour"}, split="query")
    levels = query.draw(range(32))
    assert list(return_gap(COLOUR_SHAPE, levels, query.goals, query.settings)) == ["shape"]


LEGEND = "    1 = coin + dish\n"


def test_chance_in_the_world_is_the_episodes_own_too() -> None:
    ghosts = World(
        things=(),
        rules=(Rule(on=On.MEET, what="ghost", event="met", ends=True),),
        movers=(Mover(kind="ghost", policy=Policy.RANDOM, glyph="g"),),
    )
    rows = ["#######\n#>....#\n#....g#\n#######", "#######\n#>....#\n#.g...#\n#######"]
    levels = from_ascii(rows, ghosts)
    waiting = np.zeros((2, 1, 4, 7, 4))
    waiting[..., LEFT] = 1
    whole, one = (play(ghosts, some, waiting[: len(some)], episodes=20) for some in (levels, levels.take([1])))
    assert (one.first[0] == whole.first[1]).all()
    assert len(np.unique(whole.first[0])) > 5
