"""Which feature draws the agent when an object moves? Integrated gradients of progress between two training frames.

Integrated gradients (Sundararajan et al. 2017, arXiv 1703.01365) share out, over the planes of the observation, how
much more the agent walks towards where the object lies in the second frame. Both ends are on the support; the points
between them are not, but carry both features together, so that no point shows one feature without the other.
"""

from __future__ import annotations

from goalscope.detectors import contrast
from goalscope.detectors.base import detector
from goalscope.detectors.calibration import Shares
from goalscope.detectors.handle import AgentHandle
from goalscope.detectors.query import Query


@detector(track="whitebox")
def path_attribution(agent: AgentHandle, query: Query) -> Shares:
    """`[proxies]` the intended goal's attribution minus the proxy's, over their absolute sum: from −1 to 1."""
    return contrast.path_attribution(agent)


DETECTOR = path_attribution
