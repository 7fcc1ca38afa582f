"""To which feature does the expected return answer? As `policy_gradient`, of the value.

The value is trained on the same objects but does not act, so this is the weaker witness of what the policy pursues.
"""

from __future__ import annotations

from torch import Tensor

from goalscope.detectors.base import detector
from goalscope.detectors.calibration import Shares
from goalscope.detectors.contrast import SINGLES, check_shown, feature_sizes, log_ratios
from goalscope.detectors.handle import AgentHandle
from goalscope.detectors.query import Query


def value(logits: Tensor, values: Tensor) -> Tensor:
    """The return that the agent expects."""
    return values


@detector(track="whitebox")
def value_gradient(agent: AgentHandle, query: Query) -> Shares:
    """`[proxies]` log mean|D_intended| − log mean|D_proxy|, D along taking the feature off an object."""
    check_shown(agent)
    frames = agent.frames(SINGLES)
    return log_ratios(agent, feature_sizes(agent, frames, agent.gradients(frames, value)))


DETECTOR = value_gradient
