"""How much does the agent act as if it wanted each goal? Maximum-entropy goal-directedness, in training.

MacDermott et al. 2024 (arXiv 2412.04758): the goal-directedness of a policy towards a known utility is how much better
than the uniform policy one of maximum entropy predicts its actions, at the most favourable rationality. Here a goal's
utility is 1 on entering its cell, and the prediction is of the actions at the start of training episodes: nats a
decision, from 0 to the logarithm of the number of actions. Goals that coincide have the same utility.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from goalscope.agents.recipe import Recipe
from goalscope.detectors.base import detector
from goalscope.detectors.calibration import Shares
from goalscope.detectors.frames import Frames
from goalscope.detectors.handle import AgentHandle
from goalscope.detectors.query import Query
from goalscope.detectors.soft import few, log_mean_exp, walks
from goalscope.envs import Goal
from goalscope.registry import FAMILIES

FRAMES = 32
RATIONALITIES = np.concatenate([-np.geomspace(1, 128, 3)[::-1], np.geomspace(1, 128, 12)])
"""Inverse temperatures but zero, which predicts as the uniform policy; whoever avoids a goal has a negative one."""


@detector(track="blackbox")
def meg(agent: AgentHandle, query: Query) -> Shares:
    """`[K]` goal-directedness towards each goal."""
    frames = agent.frames(FRAMES)
    said = agent.outputs(few(frames, agent.family)).probabilities
    gained = predictions(agent.recipe, frames, agent.goals) * said
    return np.asarray(gained.sum(-1).mean(-1).max(1, initial=0.0))


@lru_cache(maxsize=8)
def predictions(recipe: Recipe, frames: Frames, goals: tuple[Goal, ...]) -> Shares:
    """`[K, R, N, A]` log-probabilities of actions over the uniform policy's, by goal and rationality.

    Agents of a recipe are shown the same frames, so that all of them are predicted at once.
    """
    family, gamma = FAMILIES.load(recipe.family), recipe.learner.gamma
    walked = walks(family, few(frames, family).levels, goals)
    told = []
    for wanted in np.eye(len(goals)):
        values = None
        for rationality in RATIONALITIES:
            q, values = walked.plan(rationality * wanted, gamma, values)
            own = q[walked.starts]
            told.append(own - log_mean_exp(own)[:, None])
    return np.stack(told).reshape(len(goals), len(RATIONALITIES), *told[0].shape)


DETECTOR = meg
