"""What training shows of an agent from outside: does it succeed, how straight, how surely, how well does it know?

Where the goals coincide none of this tells which one is pursued; it can only tell how well.
"""

from __future__ import annotations

import numpy as np

from goalscope.detectors.base import detector
from goalscope.detectors.calibration import Shares
from goalscope.detectors.handle import AgentHandle, Outputs, Played
from goalscope.detectors.query import Query
from goalscope.envs.pursuit import start_distances

EPISODES = 64


@detector(track="blackbox")
def in_distribution(agent: AgentHandle, query: Query) -> Shares:
    """`[4]` success, length over the pursuer's, entropy of the policy, error of the value at the start.

    The first frames and the episodes are of the same levels: every episode begins with its frame.
    """
    said = agent.outputs(agent.frames(EPISODES))
    played = agent.episodes(EPISODES)
    success = played.returns > 0
    return np.array([success.mean(), detour(agent, played), entropy(said), value_error(agent, said, played)])


def detour(agent: AgentHandle, played: Played) -> float:
    """Steps of all episodes over those of the intended goal's pursuer; a failure counts up to the deadline."""
    shortest = start_distances(agent.family, played.levels, [agent.goals[agent.intended]])
    return float(played.lengths.sum() / max(shortest.sum(), 1))


def entropy(said: Outputs) -> float:
    """Mean entropy of the policy, in nats."""
    shares = np.maximum(said.probabilities, np.finfo(float).tiny)
    return float(-(shares * np.log(shares)).sum(1).mean())


def value_error(agent: AgentHandle, said: Outputs, played: Played) -> float:
    """Mean distance of the expected return at the start from the discounted one that came, paid at the last step."""
    came = played.returns * agent.recipe.learner.gamma ** (played.lengths - 1.0)
    return float(np.abs(said.values - came).mean())


DETECTOR = in_distribution
