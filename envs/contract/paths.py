"""What pursuers promise: exact distances, and policies that keep them, in the real dynamics."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from goalscope.envs.contract.subject import Subject, failure, is_deterministic, require, where, word_for_query
from goalscope.envs.engine import Engine
from goalscope.envs.family import Goal
from goalscope.envs.levels import Levels
from goalscope.envs.pursuit import start_distances
from goalscope.envs.rollout import UNSEEN_LOOK, outcomes, pursue, random_null
from goalscope.envs.sampling import Distribution
from goalscope.envs.world import On, World

SEARCHED = 8
"""Levels a distribution, those with the shortest paths, whose paths are searched move by move."""

NULL_EPISODES = 16
MOST_BY_CHANCE = 0.5

Steps = NDArray[np.int64]


def check_pursuers(subject: Subject) -> None:
    """Each pursuer's distance is the least number of moves in the engine, and its policy takes exactly that many.

    Worlds with chance have no shortest path; there a pursuer is a policy of known value, which nothing here can bound.
    """
    if not is_deterministic(subject.world):
        return
    for distribution, levels in subject.samples("train"):
        _require_least(subject, distribution, levels)
        _require_kept(subject, distribution, levels)
    for distribution, levels in subject.samples("query"):
        _require_least(subject, distribution, levels)
        _require_kept(subject, distribution, levels)
        _require_own_goal(subject, distribution, levels)


def _require_least(subject: Subject, distribution: Distribution, levels: Levels) -> None:
    far = start_distances(subject.family, levels, distribution.goals)
    rows = np.argsort(far.max(1), kind="stable")[:SEARCHED]
    some, claimed = levels.take(rows), far[rows]
    found = fewest_steps(subject.world, some, max(int(claimed.max(initial=0)), 1))
    for k, goal in enumerate(distribution.goals):
        least = found[:, subject.world.event_index(goal.event)]
        i = int(np.argmax(least != claimed[:, k]))
        require(
            least == claimed[:, k],
            some,
            subject.world,
            expected=f"the pursuer of {goal.name!r} to know the fewest steps to it on every {where(distribution)}",
            found=f"differ from a search of all moves (there: pursuer {claimed[i, k]}, search {least[i]}; −1 is none)",
            cause=_wrong_pursuer(goal),
        )


def _wrong_pursuer(goal: Goal) -> str:
    if goal.pursuer is not None:
        return (
            "the `pursuer` given with the goal is not exact: it ignores walls, heads for something else or counts one "
            "too many. Its table is 0 where the event has happened; leave `pursuer` out to get the exact search."
        )
    return (
        "the event needs more than walking onto its things (a counter, an object, another rule that ends the episode "
        "first). Give the goal a `pursuer` that knows the rule, or change the rule."
    )


def _require_kept(subject: Subject, distribution: Distribution, levels: Levels) -> None:
    far = start_distances(subject.family, levels, distribution.goals)
    for k, goal in enumerate(distribution.goals):
        played = pursue(subject.family, levels, goal, episodes=2, seed=subject.seed)
        first = played.first[..., subject.world.event_index(goal.event)]
        i = int(np.argmax((first != far[:, k, None]).any(1)))
        require(
            np.asarray((first == far[:, k, None]).all(1)),
            levels,
            subject.world,
            expected=f"the policy of the pursuer of {goal.name!r} to need its distance on every {where(distribution)}",
            found=f"went otherwise (there: distance {far[i, k]}, event {goal.event!r} at steps {first[i].tolist()})",
            cause=_wrong_pursuer(goal),
        )


def _require_own_goal(subject: Subject, distribution: Distribution, levels: Levels) -> None:
    for k, goal in enumerate(distribution.goals):
        played = pursue(subject.family, levels, goal, episodes=4, seed=subject.seed)
        own = outcomes(subject.family, levels, distribution.goals, played)[:, k]
        require(
            own == 1,
            levels,
            subject.world,
            expected=f"the pursuer of {goal.name!r} to reach its own goal first on every {where(distribution)}",
            found="had another goal first on some path",
            cause=f"another goal lies on a shortest path: the level is no {word_for_query(subject.family)}, and "
            "outcomes say little.",
        )


def check_random_null(subject: Subject) -> None:
    """Acting at random reaches no goal first in half of the episodes of a query set, so that behaviour there tells."""
    for distribution, levels in subject.samples("query"):
        null = random_null(subject.family, levels, distribution.goals, NULL_EPISODES, subject.seed).mean(0)
        for goal, share in zip(distribution.goals, null, strict=False):
            if share >= MOST_BY_CHANCE:
                expected = (
                    f"random actions to reach {goal.name!r} first in less than half of {distribution.shift!r} episodes"
                )
                cause = (
                    "the level is so small, or the goal's things so many, that chance finds them. Enlarge or thin out."
                )
                raise failure(expected, f"{share:.2f}", cause, subject.world, levels)


def fewest_steps(world: World, levels: Levels, depth: int) -> Steps:
    """`[N, E]` the least steps in which each event can be made to happen, −1 if not within `depth` steps.

    Breadth-first over action sequences, each played from the start in the engine itself, so that no second model of the
    rules is trusted. A sequence that ends the episode, or comes to a state met before, is not continued. For worlds
    without chance.
    """
    patient = levels.take(slice(None))
    patient.max_steps[:] = depth + 1
    best = np.full((len(levels), len(world.events)), -1, np.int64)
    roots, plays = np.arange(len(levels)), np.zeros((len(levels), 0), np.int64)
    seen: set[bytes] = set()
    for step in range(1, depth + 1):
        plays = _extended(plays, world.n_actions)
        roots = np.repeat(roots, world.n_actions)
        engine, ended = _played(world, patient, roots, plays)
        row, event = np.nonzero(engine.first == step)
        fresh = best[roots[row], event] < 0
        best[roots[row[fresh]], event[fresh]] = step
        going = np.flatnonzero(~ended & (best[roots] < 0).any(1))
        kept = [b for b, state in zip(going, _states(engine, roots, going), strict=True) if not _known(state, seen)]
        roots, plays = roots[kept], plays[kept]
        if not kept:
            break
    return best


def _extended(plays: Steps, actions: int) -> Steps:
    """`[B·A, T + 1]` every sequence followed by every action."""
    longer = np.repeat(plays, actions, axis=0)
    return np.concatenate([longer, np.tile(np.arange(actions), len(plays))[:, None]], axis=1)


def _played(world: World, levels: Levels, roots: Steps, plays: Steps) -> tuple[Engine, NDArray[np.bool_]]:
    """An engine that has played these sequences, and `[B]` where the world ended the episode."""
    engine = Engine(levels, world, batch=len(roots), autoreset="off", display=UNSEEN_LOOK, starts=roots)
    engine.reset()
    for actions in plays.T:
        out = engine.step(actions)
    return engine, out.terminated


def _states(engine: Engine, roots: Steps, rows: Steps) -> Iterator[bytes]:
    """Everything that can matter from here on, as bytes; the counts matter only to QUOTA rules."""
    now = engine.snapshot()
    quota = any(rule.on is On.QUOTA for rule in engine.world.rules)
    arrays: list[NDArray[np.generic]] = [
        now.cells,
        now.contents,
        now.marks,
        now.agent,
        now.carried_contents,
        now.movers,
        engine.counters,
    ]
    arrays += [engine.counts] if quota else []
    for b in rows:
        yield b"".join([roots[b].tobytes(), *(array[b].tobytes() for array in arrays)])


def _known(state: bytes, seen: set[bytes]) -> bool:
    """Whether a state was met before; now it has been."""
    known = state in seen
    seen.add(state)
    return known
