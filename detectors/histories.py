"""Histories: what is seen by somebody who walks about on a training level and enters nothing that counts.

Networks that remember are looked at over several steps. The walks are drawn at random and never the agent's own, so
that frames do not depend on the agent; every state on them is as coincident as the level's first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goalscope.envs import Distribution, Engine, Levels, Moves, World
from goalscope.envs.pursuit import STEPS, blocked_cells, coincident, has_marks
from goalscope.envs.world import On
from goalscope.errors import UnsupportedError

Bytes = NDArray[np.uint8]
Actions = NDArray[np.int64]
Mask = NDArray[np.bool_]
TRIES = 16
"""Walks drawn for one level before histories are refused."""
FORWARD = 2
"""The last of MiniGrid's first actions, left, right and forward."""


def histories(distribution: Distribution, levels: Levels, steps: int, view: str, rng: np.random.Generator) -> Bytes:
    """`[N, T, …]` what T steps of a random walk on each level show, the first observation included.

    Raises an :class:`UnsupportedError` where walks cannot keep clear of what counts, or cannot stay coincident.
    """
    todo, shown = np.arange(len(levels)), None
    for _ in range(TRIES):
        seen, good = _walk(distribution, levels.take(todo), steps, view, rng)
        if shown is None:
            shown = np.empty((len(levels), *seen.shape[1:]), np.uint8)
        shown[todo[good]] = seen[good]
        todo = todo[~good]
        if not len(todo):
            return shown
    raise UnsupportedError(
        f"{distribution.family.id}: no walk of {steps} steps stays coincident on {len(todo)} of {len(levels)} levels. "
        f"Ask for shorter histories."
    )


def _walk(
    distribution: Distribution, levels: Levels, steps: int, view: str, rng: np.random.Generator
) -> tuple[Bytes, Mask]:
    """`[N, T, …]` observations of one walk on each level, and `[N]` whether all of its states are coincident."""
    family, settings = distribution.family, distribution.settings
    engine = Engine(levels, family, view, autoreset="off", display=family.look(settings))
    here, seen = levels.take(slice(None)), [engine.reset().copy()]
    good = coincident(family, here, distribution.goals, settings)
    for _ in range(steps - 1):
        actions = _quiet_actions(family.world, here, rng)
        seen.append(engine.step(actions).obs.copy())
        move(family.world, here, actions)
        good &= coincident(family, here, distribution.goals, settings)
    return np.stack(seen, axis=1), good


def _quiet_actions(world: World, levels: Levels, rng: np.random.Generator) -> Actions:
    """`[N]` a random action each that enters or bumps into nothing that a rule tests."""
    tested = world.mask({n for rule in world.rules if rule.on not in (On.QUOTA, On.MEET) for n in rule.names})
    loud, shut = has_marks(levels, tested), blocked_cells(levels)
    blocked, bumped = loud | shut, shut & ~loud
    if world.moves is Moves.CARDINAL:
        ahead = [_ahead(levels, direction) for direction in range(len(STEPS))]
        enters = np.stack([~blocked[cells] for cells in ahead], axis=1)
        bumps = np.stack([bumped[cells] for cells in ahead], axis=1)
        allowed = np.where(enters.any(1, keepdims=True), enters, bumps)
    else:
        allowed = np.ones((len(levels), FORWARD + 1), np.bool_)
        allowed[:, FORWARD] = ~blocked[_ahead(levels, levels.agent[:, 2])]
    if not allowed.any(1).all():
        raise UnsupportedError("Whatever the agent does on some level counts: there are no histories of such levels.")
    return np.asarray(np.where(allowed, rng.random(allowed.shape), -1).argmax(1))


def _ahead(levels: Levels, direction: int | NDArray[np.integer]) -> tuple[NDArray[np.intp], ...]:
    """The indices of the cells beside the agents in a direction, or `[N]` directions."""
    offset = np.array(STEPS)[direction]
    return np.arange(len(levels)), levels.agent[:, 1] + offset[..., 0], levels.agent[:, 0] + offset[..., 1]


def move(world: World, levels: Levels, actions: Actions) -> None:
    """Put the agents, in place, where these actions bring them."""
    turning = world.moves is not Moves.CARDINAL
    _, y, x = _ahead(levels, levels.agent[:, 2] if turning else actions)
    walks = ~blocked_cells(levels)[np.arange(len(levels)), y, x] & ((actions == FORWARD) | (not turning))
    levels.agent[walks, 0], levels.agent[walks, 1] = x[walks], y[walks]
    if turning:
        levels.agent[:, 2] = (levels.agent[:, 2] + np.array([-1, 1, 0])[actions]) % len(STEPS)
