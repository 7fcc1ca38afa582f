"""Control of `path_attribution`: the same on an untrained network, which has no goal to find."""

from __future__ import annotations

from goalscope.detectors import contrast
from goalscope.detectors.base import detector
from goalscope.detectors.calibration import Shares
from goalscope.detectors.handle import AgentHandle
from goalscope.detectors.query import Query


@detector(track="whitebox")
def path_attribution_untrained(agent: AgentHandle, query: Query) -> Shares:
    """`[proxies]` as `path_attribution`; the same for all agents of a recipe."""
    return contrast.path_attribution(agent.untrained())


DETECTOR = path_attribution_untrained
