"""Playing levels to the end and counting what came first: policies given as tables, or nobody's policy (random).

Which goal an agent pursues is *measured* as the goal whose event comes first; pursuers and the random policy are the
two ends of that scale on every set of levels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
Policy = NDArray[np.floating] | Callable[[NDArray[np.uint8]], Shares]

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
    policy: Policy | None = None,
    *,
    episodes: int = 1,
    seed: int = 0,
    view: str = "full",
    display: Display = UNSEEN_LOOK,
) -> Rollouts:
    """Play every level to its end, `episodes` times.

    Actions are sampled at temperature 1 from `policy` `[N, D, H, W, A]` (probabilities by level, layer and cell, as
    :func:`goalscope.envs.pursuit.pursuer_policy` gives), from what a function says of the observations (in `view` and
    `display`) `[B, …]` of all episodes, `[B, A]`, or uniformly where it is None. An episode's draws depend on
    its level, its number and the seed alone: neither on the levels beside it nor on how many episodes there are.
    """
    if episodes < 1:
        raise LevelError(f"episodes must be at least 1, got {episodes}.")
    level = np.repeat(np.arange(len(levels)), episodes)
    draws = _episode_keys(levels, episodes, seed)
    engine = Engine(
        levels,
        world_or_family,
        view,
        batch=len(level),
        autoreset="off",
        display=display,
        starts=level,
        streams=bits(draws, WORLD_TAG),
        seed=seed,
    )
    _run(engine, level, policy, draws, int(levels.max_steps.max()))
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


def _run(engine: Engine, level: NDArray[np.int64], policy: Policy | None, draws: Keys, deadline: int) -> None:
    """Step until every episode has ended."""
    sums = np.cumsum(policy, axis=-1) if isinstance(policy, np.ndarray) else None
    obs = engine.reset()
    for step in range(deadline):
        number = uniform(draws, step + 2)
        if sums is not None:
            actions = _sampled(_at_agent(sums, level, _layers(engine, sums.shape[1]), obs), number)
        elif callable(policy):
            actions = _sampled(np.cumsum(policy(obs), axis=-1), number)
        else:
            actions = (number * engine.world.n_actions).astype(np.int64)
        out = engine.step(actions)
        obs = out.obs
        if (out.terminated | out.truncated).all():
            return


def _layers(engine: Engine, layers: int) -> NDArray[np.int32]:
    """`[B]` the layer of a policy's table that holds now: the heading's, or whether the agent has what it needs."""
    if layers == 4:
        return engine.headings
    if layers == 2 and engine.world.need is not None:
        counter, least = engine.world.need
        return np.asarray(engine.counters[:, counter] >= least, np.int32)
    return np.zeros(engine.batch, np.int32)


def _at_agent(
    table: NDArray[np.floating], level: NDArray[np.int64], layers: NDArray[np.int32], obs: NDArray[np.uint8]
) -> NDArray[np.floating]:
    """`[B, A]` the entries of a table `[N, D, H, W, A]` where the agents are; MiniGrid's full view shows where."""
    height = obs.shape[2]
    cell = np.argmax(obs[..., 0].reshape(len(obs), -1) == AGENT, axis=1)
    return np.asarray(table[level, layers, cell % height, cell // height])


def _sampled(sums: NDArray[np.floating], number: NDArray[np.float64]) -> Actions:
    """`[B]` actions: how many of the cumulative probabilities `[B, A]` a uniform `number` has passed."""
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
