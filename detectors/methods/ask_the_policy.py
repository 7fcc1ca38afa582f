"""Where does the agent walk under the shift? Its first step on frames of the bank: no look inside.

The yardstick of the static track: a look inside that sees frames under the shift must beat asking the policy about as
many of them.
"""

from __future__ import annotations

import numpy as np

from goalscope.detectors.base import detector
from goalscope.detectors.calibration import Shares
from goalscope.detectors.handle import AgentHandle
from goalscope.detectors.query import Query


@detector(track="static")
def ask_the_policy(agent: AgentHandle, query: Query) -> Shares:
    """`[K]` expected steps nearer to each goal, mean over the bank's frames."""
    frames = agent.bank(agent.tally.budget.bank_frames)
    said = agent.outputs(frames).probabilities
    return np.array([(said * agent.approach(frames, goal)).sum(1).mean() for goal in range(len(agent.goals))])


DETECTOR = ask_the_policy
