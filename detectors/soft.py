"""Soft planning: what somebody does who is drawn to goals with some strength, and else walks at random.

The policy of maximum causal entropy for rewards at the goals (Ziebart et al. 2008; Ziebart et al. 2010, "Modeling
interaction via the principle of maximum causal entropy"), as the two behavioural methods use it. With rewards in units
of the temperature and entropy counted against the uniform policy's,

    Q(s, a) = rewards of the goals entered + γ V(s'),   V(s) = log mean_a exp Q(s, a),   policy ∝ exp Q,

and V = 0 once a goal was entered or the episode is over. Rewards of zero are the uniform policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goalscope.agents.truth import check_exact, free_states
from goalscope.detectors.frames import Frames
from goalscope.detectors.readings import Array
from goalscope.envs import Family, Goal, Levels, Moves
from goalscope.envs.pursuit import STEPS, begins_with_enough, blocked_cells, ending_cells, is_needy, targets

CLOSE = 1e-5
"""Values, in units of the temperature, that change by less have converged."""
MOST_SWEEPS = 200
MOST_STATES = 3000
"""Planned over at once: on large levels there are fewer of them."""
LEAST_LEVELS = 4
TURNS = (-1, 1)
"""By how many headings MiniGrid's first two actions turn; the third walks on."""


@dataclass(frozen=True, eq=False)
class Walks:
    """Where the actions lead on some levels: S states, A actions, K goals, N levels."""

    ahead: NDArray[np.int64]
    """`[S, A]` the next state; S where a goal was entered or the episode is over."""
    enters: NDArray[np.float64]
    """`[S, A, K]` 1 where a goal is entered, else 0."""
    starts: NDArray[np.int64]
    """`[N]` the state in which each level begins."""

    def plan(self, rewards: Array, gamma: float, values: Array | None = None) -> tuple[Array, Array]:
        """Q `[S, A]` and V `[S + 1]` for rewards `[K]`, by value iteration from `values`, or from zero."""
        paid = np.sum(self.enters * rewards, axis=2)
        values = np.zeros(len(paid) + 1) if values is None else values
        for _ in range(MOST_SWEEPS):
            q = paid + gamma * values[self.ahead]
            swept = np.append(log_mean_exp(q), 0.0)
            change = np.abs(swept - values).max()
            values = swept
            if change < CLOSE:
                break
        return q, values

    def slopes(self, policy: Array, gamma: float, slopes: Array | None = None) -> tuple[Array, Array]:
        """The derivatives by the rewards: of Q `[S, A, K]` and of V `[S + 1, K]`, for the policy `[S, A]` of V."""
        slopes = np.zeros((len(policy) + 1, self.enters.shape[2])) if slopes is None else slopes
        for _ in range(MOST_SWEEPS):
            q = self.enters + gamma * slopes[self.ahead]
            swept = np.concatenate([np.sum(policy[..., None] * q, axis=1), np.zeros_like(slopes[:1])])
            change = np.abs(swept - slopes).max()
            slopes = swept
            if change < CLOSE:
                break
        return q, slopes


def log_mean_exp(q: Array) -> Array:
    """`[…]` over the last axis."""
    most = q.max(-1)
    return np.asarray(most + np.log(np.exp(q - most[..., None]).mean(-1)))


def walks(family: Family, levels: Levels, goals: Sequence[Goal]) -> Walks:
    """The walks on levels up to the first of the goals' events.

    Raises an :class:`UnsupportedError` where more than the agent's place and heading changes before it.
    """
    check_exact(family, goals)
    places = free_states(family.world, levels)
    n, heading, y, x = places
    blocked = blocked_cells(levels)
    triggers = np.stack([_triggers(family, goal, levels) for goal in goals], axis=-1)
    over = triggers.any(-1) | (ending_cells(family.world, levels) & ~blocked)
    index = np.zeros((len(levels), family.world.headings, *levels.canvas), np.int64)
    index[places] = np.arange(len(n))
    turning = family.world.moves is Moves.TURNING
    ahead, enters = [], []
    for action in range(family.world.n_actions):
        offset = np.array(STEPS)[heading if turning else action] * (not turning or action == len(TURNS))
        to = n, y + offset[..., 0], x + offset[..., 1]
        moves = offset.any(-1)
        turned = (heading + TURNS[action]) % len(STEPS) if turning and action < len(TURNS) else heading
        stays = blocked[to]
        then = index[n, turned, np.where(stays, y, to[1]), np.where(stays, x, to[2])]
        ahead.append(np.where(over[to] & moves, len(n), then))
        enters.append(triggers[to] * np.broadcast_to(moves, n.shape)[:, None])
    start_x, start_y, facing = levels.agent[:, :3].T.astype(np.int64)
    starts = index[np.arange(len(levels)), facing if turning else 0, start_y, start_x]
    return Walks(np.stack(ahead, 1), np.stack(enters, 1).astype(np.float64), starts)


def few(frames: Frames, family: Family) -> Frames:
    """The first of some frames: as many as can be planned over quickly."""
    states = family.world.headings * frames.levels.canvas[0] * frames.levels.canvas[1]
    return frames.take(slice(0, max(LEAST_LEVELS, MOST_STATES // states)))


def _triggers(family: Family, goal: Goal, levels: Levels) -> NDArray[np.bool_]:
    """`[N, H, W]` where a goal's event happens as the level begins."""
    cells = targets(family, goal, levels)
    return cells & begins_with_enough(family.world, levels)[:, None, None] if is_needy(family.world, goal) else cells
