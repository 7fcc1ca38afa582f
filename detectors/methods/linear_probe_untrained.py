"""Control of `linear_probe`: the same on an untrained network, whose random features can be read as well."""

from __future__ import annotations

from goalscope.detectors.base import detector
from goalscope.detectors.calibration import Shares
from goalscope.detectors.handle import AgentHandle
from goalscope.detectors.probe import probe_network
from goalscope.detectors.query import Query


@detector(track="whitebox")
def linear_probe_untrained(agent: AgentHandle, query: Query) -> Shares:
    """`[proxies + 1]` as `linear_probe`; the same for all agents of a recipe."""
    return probe_network(agent.untrained())


DETECTOR = linear_probe_untrained
