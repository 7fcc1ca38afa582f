"""As `path_attribution`, from the gradients at the two ends of the line alone: every input is a training frame.

The trapezoid of two points; it misses what happens between the ends, and cannot be blamed for inputs nobody has seen.
"""

from __future__ import annotations

from goalscope.detectors.base import detector
from goalscope.detectors.calibration import Shares
from goalscope.detectors.contrast import attributions, check_shown, differences, pairs, progress
from goalscope.detectors.handle import AgentHandle
from goalscope.detectors.query import Query


@detector(track="whitebox")
def endpoint_attribution(agent: AgentHandle, query: Query) -> Shares:
    """`[proxies]` the intended goal's share of progress minus the proxy's, from −1 to 1."""
    check_shown(agent)
    start, end = pairs(agent)
    nearer = progress(agent.direction(start, end))
    gradients = (agent.gradients(start, nearer) + agent.gradients(end, nearer)) / 2
    return differences(agent, attributions(agent, gradients, start, end))


DETECTOR = endpoint_attribution
