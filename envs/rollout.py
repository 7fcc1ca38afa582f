"""Playing levels to the end and counting what came first: policies given as tables, or nobody's policy (random).

Which goal an agent pursues is *measured* as the goal whose event comes first; pursuers and the random policy are the
two ends of that scale on every set of levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goalscope.envs.codes import AGENT
from goalscope.envs.display import Display
from goalscope.envs.engine import Engine
from goalscope.envs.family import Family, Goal, Settings
from goalscope.envs.levels import Levels
from goalscope.envs.pursuit import distances, pursuer_policy
from goalscope.envs.splits import level_hashes
from goalscope.envs.world import World
from goalscope.errors import LevelError
from goalscope.seeding import Keys, bits, stream, substream, uniform

Shares = NDArray[np.float64]
Actions = NDArray[np.int64]

UNSEEN_LOOK = Display(planes=(), alike={})
"""Nobody looks while a table plays: no planes."""

WORLD_TAG = 1
NEVER = np.iinfo(np.int32).max


@dataclass(frozen=True, kw_only=True)
class Rollouts:
    """What happened in M episodes of each of N levels, with E events."""

    first: NDArray[np.int32]
    """`[N, M, E]` the step of each event's first time, −1 for never."""
    counts: NDArray[np.int32]
    """`[N, M, E]` how often each event happened."""
    returns: NDArray[np.float64]
    """`[N, M]` undiscounted."""
    lengths: NDArray[np.int32]
    """`[N, M]` steps."""


def play(
    world_or_family: World | Family,
    levels: Levels,
    policy: NDArray[np.floating] | None = None,
    *,
    episodes: int = 1,
    seed: int = 0,
) -> Rollouts:
    """Play every level to its end, `episodes` times.

    Actions are sampled at temperature 1 from `policy` `[N, D, H, W, A]` (probabilities by level, heading and cell, as
    :func:`goalscope.envs.pursuit.pursuer_policy` gives), or uniformly where it is None. An episode's draws depend on
    its level, its number and the seed alone: neither on the levels beside it nor on how many episodes there are.
    """
    if episodes < 1:
        raise LevelError(f"episodes must be at least 1, got {episodes}.")
    level = np.repeat(np.arange(len(levels)), episodes)
    draws = _episode_keys(levels, episodes, seed)
    engine = Engine(
        levels,
        world_or_family,
        batch=len(level),
        autoreset="off",
        display=UNSEEN_LOOK,
        starts=level,
        streams=bits(draws, WORLD_TAG),
        seed=seed,
    )
    _run(engine, level, None if policy is None else np.cumsum(policy, axis=-1), draws, int(levels.max_steps.max()))
    done, shape = engine.last_episodes, (len(levels), episodes)
    return Rollouts(
        first=done.first.reshape(*shape, -1).copy(),
        counts=done.count.reshape(*shape, -1).copy(),
        returns=done.gain.reshape(shape).copy(),
        lengths=done.length.reshape(shape).copy(),
    )


def _episode_keys(levels: Levels, episodes: int, seed: int) -> Keys:
    """`[N·M, 2]` keys made of what a level holds, the key it was drawn under and the episode's number."""
    parents = np.empty((len(levels) * episodes, 2), np.uint64)
    parents[:, 0] = np.repeat(level_hashes(levels, walls_only=False) ^ bits(levels.key, 0), episodes)
    parents[:, 1] = np.tile(np.arange(episodes), len(levels))
    return substream(parents, stream("play", seed))


def _run(
    engine: Engine, level: NDArray[np.int64], cumulative: NDArray[np.floating] | None, draws: Keys, deadline: int
) -> None:
    """Step until every episode has ended; `cumulative` `[N, D, H, W, A]` sums the policy's probabilities."""
    obs = engine.reset()
    for step in range(deadline):
        number = uniform(draws, step + 2)
        if cumulative is None:
            actions = (number * engine.world.n_actions).astype(np.int64)
        else:
            actions = _sampled(cumulative, level, engine.headings, obs, number)
        out = engine.step(actions)
        obs = out.obs
        if (out.terminated | out.truncated).all():
            return


def _sampled(
    cumulative: NDArray[np.floating],
    level: NDArray[np.int64],
    headings: NDArray[np.int32],
    obs: NDArray[np.uint8],
    number: NDArray[np.float64],
) -> Actions:
    """`[B]` actions: how many of the cumulative probabilities a uniform `number` has passed.

    MiniGrid's full view `[B, W, H, 3]` shows where the agent is.
    """
    height = obs.shape[2]
    cell = np.argmax(obs[..., 0].reshape(len(obs), -1) == AGENT, axis=1)
    heading = headings if cumulative.shape[1] == 4 else 0
    sums = cumulative[level, heading, cell % height, cell // height]
    passed: Actions = ((number * sums[:, -1])[:, None] >= sums).sum(1)
    return np.asarray(np.minimum(passed, sums.shape[1] - 1))


def outcomes(family: Family, levels: Levels, goals: Sequence[Goal], rollouts: Rollouts) -> Shares:
    """`[N, K + 1]` share of a level's episodes in which each goal's event came first; last column: neither's.

    Of two events in the same step the goal that is earlier in `goals` has it.
    """
    n, episodes, _ = rollouts.first.shape
    if n != len(levels):
        raise LevelError(f"These are rollouts of {n} levels, not of {len(levels)}: pass the levels that were played.")
    times = rollouts.first[..., [family.world.event_index(g.event) for g in goals]]
    times = np.concatenate([np.where(times < 0, NEVER, times), np.full((n, episodes, 1), NEVER - 1)], axis=2)
    winner = times.argmin(2)
    return np.stack([(winner == k).mean(1) for k in range(len(goals) + 1)], axis=1)


def random_null(family: Family, levels: Levels, goals: Sequence[Goal], episodes: int = 64, seed: int = 0) -> Shares:
    """`[N, K + 1]` the outcomes of the policy that acts uniformly at random: what no pursuit at all looks like."""
    return outcomes(family, levels, goals, play(family, levels, episodes=episodes, seed=seed))


def pursue(family: Family, levels: Levels, goal: Goal, *, episodes: int = 1, seed: int = 0) -> Rollouts:
    """Rollouts of one goal's pursuer, which takes each of its optimal actions with the same probability."""
    policy = pursuer_policy(family, distances(family, goal, levels))
    return play(family, levels, policy, episodes=episodes, seed=seed)


def pursuer_outcomes(family: Family, levels: Levels, goals: Sequence[Goal], episodes: int = 4, seed: int = 0) -> Shares:
    """`[K, N, K + 1]` the outcomes of each goal's pursuer; on conflict levels the identity matrix for every level."""
    played = [pursue(family, levels, goal, episodes=episodes, seed=seed) for goal in goals]
    return np.stack([outcomes(family, levels, goals, rollouts) for rollouts in played])


def return_gap(
    family: Family, levels: Levels, goals: Sequence[Goal], settings: Settings, episodes: int = 4, seed: int = 0
) -> dict[str, float]:
    """By proxy: mean return of the intended goal's pursuer minus that of the proxy's, over the same levels.

    About zero in training, where the reward cannot tell the goals apart; what a wrong goal costs under a shift.
    """
    intended = family.intended(settings)

    def mean_return(goal: Goal) -> float:
        return float(pursue(family, levels, goal, episodes=episodes, seed=seed).returns.mean())

    best = mean_return(intended)
    return {goal.name: best - mean_return(goal) for goal in goals if goal is not intended}
