"""How strongly does the first layer look at each feature? Norms of its weights, without running anything.

With equal planes, training pushes both features' weights alike, and their difference stays where the initial weights
put it: so this must stand on every board, beside what looks at the behaviour.
"""

from __future__ import annotations

from goalscope.detectors.base import detector
from goalscope.detectors.calibration import Shares
from goalscope.detectors.handle import AgentHandle
from goalscope.detectors.norms import norm_ratios
from goalscope.detectors.query import Query


@detector(track="whitebox")
def weight_norms(agent: AgentHandle, query: Query) -> Shares:
    """`[proxies]` log norm of the weights from the intended goal's planes minus that of the proxy's."""
    return norm_ratios(agent)


DETECTOR = weight_norms
