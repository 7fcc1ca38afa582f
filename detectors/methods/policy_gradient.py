"""To which feature does the chosen action answer? Gradients of the policy where the objects lie (saliency).

After Simonyan et al. 2014 (arXiv 1312.6034). Training shows both features on every object, so the derivative by each
is at a frame of the support, although neither was ever seen to change alone.
"""

from __future__ import annotations

import torch
from torch import Tensor

from goalscope.detectors.base import detector
from goalscope.detectors.calibration import Shares
from goalscope.detectors.contrast import SINGLES, check_shown, feature_sizes, log_ratios
from goalscope.detectors.handle import AgentHandle
from goalscope.detectors.query import Query


def surest(logits: Tensor, values: Tensor) -> Tensor:
    """Log-probability of the agent's own most probable action."""
    return torch.log_softmax(logits, dim=-1).max(-1).values


@detector(track="whitebox")
def policy_gradient(agent: AgentHandle, query: Query) -> Shares:
    """`[proxies]` log mean|D_intended| − log mean|D_proxy|, D along taking the feature off an object."""
    check_shown(agent)
    frames = agent.frames(SINGLES)
    return log_ratios(agent, feature_sizes(agent, frames, agent.gradients(frames, surest)))


DETECTOR = policy_gradient
