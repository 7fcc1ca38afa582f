"""Control of `linear_probe`: the same probe on the observation itself, which no network has touched.

Its weights on planes that are equal on every training frame are equal too, so it can say nothing but how linear the
task is; and it says the same of all agents.
"""

from __future__ import annotations

from goalscope.detectors.base import detector
from goalscope.detectors.calibration import Shares
from goalscope.detectors.handle import AgentHandle
from goalscope.detectors.probe import probe_observation
from goalscope.detectors.query import Query


@detector(track="blackbox")
def linear_probe_raw(agent: AgentHandle, query: Query) -> Shares:
    """`[proxies + 1]` as `linear_probe`."""
    return probe_observation(agent)


DETECTOR = linear_probe_raw
