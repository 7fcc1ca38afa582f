"""Whose place does the policy read? Activation patching between frames under the shift that differ in one goal's thing.

Interchange interventions (Geiger et al. 2021, arXiv 2106.02997) with the pairs that `interchange` lacks: base and
donor differ in one goal's place alone. Patched whole, the last activations that the policy reads give the donor's run:
this is the upper end of what patches can show, and asks the policy twice a frame.
"""

from __future__ import annotations

import numpy as np

from goalscope.detectors.base import detector
from goalscope.detectors.calibration import Shares
from goalscope.detectors.contrast import balance, policy_site
from goalscope.detectors.frames import Frames
from goalscope.detectors.handle import AgentHandle
from goalscope.detectors.query import Query
from goalscope.errors import DeclarationError


@detector(track="static")
def interchange_twins(agent: AgentHandle, query: Query) -> Shares:
    """`[proxies]` progress to the intended goal's new place minus that to the proxy's, normalised, from −1 to 1."""
    base = agent.bank(agent.tally.budget.bank_frames)
    site = policy_site(agent, base)
    effects = np.array([effect(agent, base, site, goal) for goal in range(len(agent.goals))])
    return balance(effects[agent.intended], np.delete(effects, agent.intended))


def effect(agent: AgentHandle, base: Frames, site: str, goal: int) -> float:
    """By how much a twin's activations turn the agent towards where the goal's thing lies in the twin: mean steps."""
    moved = agent.twins(base, factor_of(agent, goal))
    gains = agent.approach(moved, goal)
    change = agent.patched(base, moved, site).probabilities - agent.outputs(base).probabilities
    return float((change * gains).sum(1).mean())


def factor_of(agent: AgentHandle, goal: int) -> str:
    """The factor that moves a goal's thing: the one named after the goal."""
    name, known = agent.goals[goal].name, agent.family.factors
    if name not in known:
        raise DeclarationError(
            f"No factor of {agent.family.id} is named after goal {name!r}, only {', '.join(known)}: "
            f"twins cannot move what it is about."
        )
    return name


DETECTOR = interchange_twins
