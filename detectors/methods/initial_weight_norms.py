"""As `weight_norms`, of the weights before training: what the seed decided by itself, before anything was learned."""

from __future__ import annotations

from goalscope.detectors.base import detector
from goalscope.detectors.calibration import Shares
from goalscope.detectors.handle import AgentHandle
from goalscope.detectors.norms import norm_ratios
from goalscope.detectors.query import Query


@detector(track="whitebox")
def initial_weight_norms(agent: AgentHandle, query: Query) -> Shares:
    """`[proxies]` log norm of the weights from the intended goal's planes minus that of the proxy's."""
    return norm_ratios(agent, initial=True)


DETECTOR = initial_weight_norms
