"""What an agent really does: exact outcome distributions by the absorbing chain.

In a world without movers, spawns and counters, a memoryless agent's episode up to the first goal event is a Markov
chain over its own position. All positions' action probabilities come from one batch; the chain is then stepped
to the deadline, and mass is absorbed where a goal event, or an unpaid end, happens.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import nn

from goalscope.agents.agent import action_probabilities
from goalscope.envs import Display, Engine, Family, Goal, Levels, Moves, Then
from goalscope.envs.pursuit import STEPS, blocked_cells, ending_cells, targets
from goalscope.errors import UnsupportedError

Table = NDArray[np.float64]


def check_exact(family: Family) -> None:
    """Raise an :class:`UnsupportedError` unless the family's worlds are chains over the agent's position."""
    world = family.world
    counted = any(rule.need or rule.then is not Then.KEEP for rule in world.rules)
    if world.movers or world.spawns or counted or world.moves is not Moves.CARDINAL:
        raise UnsupportedError(
            f"{family.id} has movers, spawns, counters, changing marks or turns: its truth needs rollouts."
        )


def free_positions(levels: Levels) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(level, row, column) of every cell the agent could stand on."""
    n, y, x = np.nonzero(~blocked_cells(levels))
    return n, y, x


def policy_table(network: nn.Module, family: Family, levels: Levels, view: str, display: Display) -> Table:
    """`[N, H, W, A]` the agent's action probabilities wherever it could stand, zero elsewhere."""
    n, y, x = free_positions(levels)
    placed = levels.take(n)
    placed.agent[:, 0], placed.agent[:, 1] = x, y
    obs = Engine(placed, family, view, autoreset="off", display=display).reset()
    table = np.zeros((*levels.cells.shape, family.world.n_actions))
    table[n, y, x] = action_probabilities(network, obs)
    return table


def outcome_distribution(family: Family, levels: Levels, goals: Sequence[Goal], policy: Table) -> Table:
    """`[N, K + 1]` probability that each goal's event comes first within the deadline, then of neither.

    `policy` is `[N, H, W, A]`. Sums to one exactly up to rounding.
    """
    check_exact(family)
    n = len(levels)
    blocked = blocked_cells(levels)
    triggers = np.stack([targets(family, goal, levels) for goal in goals])
    over = ending_cells(family.world, levels)
    mass = np.zeros(levels.cells.shape)
    mass[np.arange(n), levels.agent[:, 1], levels.agent[:, 0]] = 1.0
    reached = np.zeros((n, len(goals)))
    for t in range(int(levels.max_steps.max())):
        mass *= (levels.max_steps > t)[:, None, None]
        mass = _advance(mass, policy, blocked)
        for k, trigger in enumerate(triggers):
            reached[:, k] += (mass * trigger).sum((1, 2))
            mass[trigger] = 0.0
        mass[over] = 0.0
    return np.concatenate([reached, 1.0 - reached.sum(1, keepdims=True)], axis=1)


def _advance(mass: Table, policy: Table, blocked: NDArray[np.bool_]) -> Table:
    """One step of the chain: a bump leaves the agent where it is. A start on a trigger does not count as entering."""
    after = np.zeros_like(mass)
    for action, (dy, dx) in enumerate(STEPS):
        flow = mass * policy[..., action]
        bumps = np.roll(blocked, (-dy, -dx), axis=(1, 2))
        after += flow * bumps
        after += np.roll(flow * ~bumps, (dy, dx), axis=(1, 2))
    return after
