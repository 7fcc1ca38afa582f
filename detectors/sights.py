"""Frames for agents that see a window of the level: taken on the way, where what the goals are about is in sight.

The first observation of a corridor shows bare walls, and so says nothing about goals. Whoever walks to a goal comes
into sight of it, so that is where these agents are asked: on a shortest way to one of the goals, drawn by the level's
key, in a state from which as many goals' things can be seen as from any on that way. Such states are on the support in
training, as coincident as the level's first, and under the shift conflict levels like it.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from goalscope.agents.recipe import Recipe
from goalscope.detectors.features import view_of, without
from goalscope.detectors.frames import BANK, TRAIN, Frames, Source
from goalscope.detectors.frames import source as plain_source
from goalscope.detectors.histories import move as walk
from goalscope.envs import Distribution, Levels, concatenate
from goalscope.envs.pursuit import coincident, conflict, start_distances, step_gains, targets
from goalscope.seeding import integers, uniform

WINDOW = "ego"
"""The view that shows a part of the level."""
GOAL_TAG, STATE_TAG, STEP_TAG = 601, 602, 700
LEAST_STEPS = 3
"""Left to the nearest goal: one step from it there is nothing to decide any more."""
MOST_STEPS = 64
"""Of the way that are looked at."""


class Sights(Source):
    """Issues frames on the way."""

    def __init__(self, recipe: Recipe, seed: int) -> None:
        super().__init__(recipe, seed)
        self._recipe = recipe

    def training(self, first: int, n: int) -> Frames:
        name = f"{TRAIN}{first} to {first + n}"
        return self._issue(name, self.train, lambda: self._in_sight(self.train, self._coincident(first, n)))

    def shifted(self, n: int) -> Frames:
        return self._issue(f"{BANK}0 to {n}", self.bank, lambda: self._in_sight(self.bank, self._conflicting(n)))

    def _in_sight(self, distribution: Distribution, levels: Levels) -> Levels:
        """The same levels with the agent on the way."""
        n, states = len(levels), on_the_way(distribution, levels)
        passed = concatenate([levels] * len(states))
        passed.agent[:] = states.reshape(-1, states.shape[2])
        usable = self._usable(distribution, passed).reshape(len(states), n)
        usable[0] = True  # where the level begins, whatever lies there
        score = np.where(usable, self._things_seen(distribution, passed).reshape(len(states), n), -1)
        best = score == score.max(0)
        rank = (uniform(levels.key, STATE_TAG) * best.sum(0)).astype(np.int64) + 1
        chosen = (best.cumsum(0) == rank).argmax(0)
        return passed.take(chosen * n + np.arange(n))

    def _usable(self, distribution: Distribution, levels: Levels) -> NDArray[np.bool_]:
        family, goals = distribution.family, distribution.goals
        if distribution is self.bank:
            return conflict(family, levels, goals)
        near = start_distances(family, levels, goals).min(1)
        return np.asarray(coincident(family, levels, goals, distribution.settings) & (near >= LEAST_STEPS))

    def _things_seen(self, distribution: Distribution, levels: Levels) -> NDArray[np.int64]:
        """`[N]` how many goals have a thing in sight."""
        family, whole = distribution.family, view_of(self._recipe, levels, WINDOW)
        bare = [view_of(self._recipe, without(family, goal, levels), WINDOW) for goal in distribution.goals]
        return np.asarray(sum((whole != each).any((1, 2, 3)).astype(np.int64) for each in bare))


def on_the_way(distribution: Distribution, levels: Levels) -> NDArray[np.int16]:
    """`[T, N, 4]` the agent, step by step, on a shortest way to one of the goals, drawn; it stays where it arrives."""
    family, goals = distribution.family, distribution.goals
    cells = np.stack([targets(family, goal, levels) for goal in goals])
    target = cells[integers(levels.key, GOAL_TAG, len(goals)), np.arange(len(levels))]
    here, states = levels.take(slice(None)), [levels.agent.copy()]
    for t in range(MOST_STEPS):
        gains = step_gains(family.world, here, target)
        moving = (gains > 0).any(1)
        if not moving.any():
            break
        ties = np.stack([uniform(levels.key, STEP_TAG + t * gains.shape[1] + a) for a in range(gains.shape[1])], 1)
        actions = (gains + ties / 2).argmax(1)
        before = here.agent.copy()
        walk(family.world, here, actions)
        here.agent[~moving] = before[~moving]
        states.append(here.agent.copy())
    return np.stack(states)


@lru_cache(maxsize=16)
def _sights(recipe: Recipe, seed: int) -> Sights:
    return Sights(recipe, seed)


def source(recipe: Recipe, seed: int) -> Source:
    """The source of a recipe's frames, by its view; agents of one recipe share it."""
    return _sights(recipe, seed) if recipe.view == WINDOW else plain_source(recipe, seed)
