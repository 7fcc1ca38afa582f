"""What does the network's own reading of "the way to the goal" hang on? A linear probe, read back to the planes.

A probe (Alain & Bengio 2017, arXiv 1610.01644) for each action's progress towards the goal, from the last activations
that the policy reads. The gradient of its reading by the observation says which goal's planes the reading comes from.
On frames where the goals coincide "the intended goal" and "the proxy" are the same label: what tells them apart is the
network below the probe, not the probe.
"""

from __future__ import annotations

from goalscope.detectors.base import detector
from goalscope.detectors.calibration import Shares
from goalscope.detectors.handle import AgentHandle
from goalscope.detectors.probe import probe_network
from goalscope.detectors.query import Query


@detector(track="whitebox")
def linear_probe(agent: AgentHandle, query: Query) -> Shares:
    """`[proxies + 1]` log ratios of how much the reading of the best action answers to each feature; then R²."""
    return probe_network(agent)


DETECTOR = linear_probe
