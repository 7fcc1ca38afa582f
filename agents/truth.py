"""What an agent really does: exact outcome distributions by the absorbing chain.

In a world without movers and spawns, a memoryless agent's episode up to the first goal event is a Markov chain over its
own position and heading. All action probabilities come from one batch; the chain is then stepped to the deadline, and
mass is absorbed where a goal event, or an unpaid end, happens.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from goalscope.agents.agent import action_probabilities
from goalscope.agents.network import Network
from goalscope.envs import Display, Engine, Family, Goal, Levels, Moves, On, Then, World
from goalscope.envs.pursuit import STEPS, begins_with_enough, blocked_cells, ending_cells, is_needy, targets
from goalscope.envs.world import Rule
from goalscope.errors import UnsupportedError

Table = NDArray[np.float64]
Mask = NDArray[np.bool_]

WALKS = 3
"""MiniGrid's first actions, left, right and forward, which change nothing but the agent's own place."""


def is_exact(family: Family, goals: Sequence[Goal]) -> bool:
    """Whether everything up to the first of these goals' events is a chain over the agent's position and heading."""
    world, asked = family.world, {goal.event for goal in goals}
    walks = world.moves is Moves.CARDINAL or world.n_actions <= WALKS
    return walks and not world.movers and not world.spawns and not any(_disturbs(world, r, asked) for r in world.rules)


def _disturbs(world: World, rule: Rule, asked: set[str]) -> bool:
    """Whether a rule can change the world, or end the episode, in a way that the chain does not absorb."""
    if rule.event in asked or (rule.on is On.QUOTA and set(rule.names) <= asked):
        return False
    changes = rule.then is not Then.KEEP or rule.add is not None
    if rule.on is not On.ENTER:
        return changes or rule.ends
    over = [r for r in world.rules if r.on is On.ENTER and r.need is None and (r.ends or r.event in asked)]
    absorbed = world.mask(name for r in over for name in r.names)
    return (changes or (rule.ends and rule.need is not None)) and bool(world.mask(rule.names) & ~absorbed)


def check_exact(family: Family, goals: Sequence[Goal]) -> None:
    """Raise an :class:`UnsupportedError` unless :func:`is_exact`."""
    if not is_exact(family, goals):
        raise UnsupportedError(
            f"{family.id} has movers, spawns, counters, changing marks or things to pick up: its truth about "
            f"{', '.join(goal.name for goal in goals)} needs rollouts."
        )


def free_states(world: World, levels: Levels) -> tuple[NDArray[np.int64], ...]:
    """(level, heading, row, column) of every state the agent could be in; heading is 0 where moves are cardinal."""
    free = np.broadcast_to(~blocked_cells(levels)[:, None], (len(levels), world.headings, *levels.canvas))
    return np.nonzero(free)


def stand(world: World, levels: Levels, places: tuple[NDArray[np.int64], ...]) -> Levels:
    """A level for each of `places`, as :func:`free_states` gives them, in which the agent begins there."""
    n, heading, y, x = places
    placed = levels.take(n)
    placed.agent[:, 0], placed.agent[:, 1] = x, y
    if world.moves is Moves.TURNING:
        placed.agent[:, 2] = heading
    return placed


def policy_table(network: Network, family: Family, levels: Levels, view: str, display: Display) -> Table:
    """`[N, D, H, W, A]` the agent's action probabilities wherever it could be, zero elsewhere.

    D is 4, a layer a heading, where the agent turns, else 1.
    """
    places = free_states(family.world, levels)
    placed = stand(family.world, levels, places)
    obs = Engine(placed, family, view, autoreset="off", display=display).reset()
    table = np.zeros((len(levels), family.world.headings, *levels.canvas, family.world.n_actions))
    table[places] = action_probabilities(network, obs)
    return table


def outcome_distribution(family: Family, levels: Levels, goals: Sequence[Goal], policy: Table) -> Table:
    """`[N, K + 1]` probability that each goal's event comes first within the deadline, then of neither.

    `policy` is `[N, D, H, W, A]`. Sums to one exactly up to rounding.
    """
    check_exact(family, goals)
    n = len(levels)
    blocked = blocked_cells(levels)[:, None]
    triggers = [_active(family, goal, levels)[:, None] for goal in goals]
    over = ending_cells(family.world, levels)[:, None] & ~blocked
    mass = np.zeros(policy.shape[:-1])
    x, y, heading, _ = levels.agent.T
    mass[np.arange(n), heading if policy.shape[1] == 4 else 0, y, x] = 1.0
    reached = np.zeros((n, len(goals)))
    for t in range(int(levels.max_steps.max())):
        mass *= (levels.max_steps > t)[:, None, None, None]
        ahead, turned = _advance(mass, policy)
        for k, trigger in enumerate(triggers):
            reached[:, k] += sum((moved * trigger).sum((1, 2, 3)) for moved in ahead)
            ahead = [moved * ~trigger for moved in ahead]
        mass = (_settle(ahead, blocked) + turned) * ~over
    return np.concatenate([reached, 1.0 - reached.sum(1, keepdims=True)], axis=1)


def _active(family: Family, goal: Goal, levels: Levels) -> Mask:
    """`[N, H, W]` where a goal's event happens as the level begins: what it needs may not be there yet."""
    cells = targets(family, goal, levels)
    if not is_needy(family.world, goal):
        return cells
    return cells & begins_with_enough(family.world, levels)[:, None, None]


def _advance(mass: Table, policy: Table) -> tuple[list[Table], Table]:
    """What moves in each of four directions, at the cells it moves to (walls too), and what turns where it is.

    All are `[N, D, H, W]`; where moves are cardinal nothing turns.
    """
    if policy.shape[1] == 1:
        flows = [mass * policy[..., action] for action in range(4)]
        moved = [np.roll(flow, step, axis=(2, 3)) for flow, step in zip(flows, STEPS, strict=True)]
        return moved, np.zeros_like(mass)
    forward, ahead = mass * policy[..., 2], []
    for d, step in enumerate(STEPS):
        moved_on = np.zeros_like(mass)
        moved_on[:, d] = np.roll(forward[:, d], step, axis=(1, 2))
        ahead.append(moved_on)
    return ahead, np.roll(mass * policy[..., 0], -1, axis=1) + np.roll(mass * policy[..., 1], 1, axis=1)


def _settle(ahead: list[Table], blocked: Mask) -> Table:
    """The mass after moving: what has bumped into something stays where it came from."""
    after = np.zeros_like(ahead[0])
    for moved, (dy, dx) in zip(ahead, STEPS, strict=True):
        after += moved * ~blocked
        after += np.roll(moved * blocked, (-dy, -dx), axis=(2, 3))
    return after
