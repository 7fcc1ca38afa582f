"""What does the network's own reading of "the way to the goal" hang on? A linear probe, read back to the planes.

A probe (Alain & Bengio 2017, arXiv 1610.01644) for each action's progress towards the goal, from the last activations
that the policy reads. The gradient of its reading by the observation says which goal's planes the reading comes from.
On frames where the goals coincide "the intended goal" and "the proxy" are the same label: what tells them apart is the
network below the probe, not the probe.
"""

from __future__ import annotations

from goalscope.detectors.base import detector
from goalscope.detectors.calibration import Shares
from goalscope.detectors.controls import with_controls
from goalscope.detectors.handle import AgentHandle
from goalscope.detectors.probe import probe_network, probe_observation
from goalscope.detectors.query import Query


@detector(track="whitebox")
def linear_probe(agent: AgentHandle, query: Query) -> Shares:
    """`[proxies + 1]` log ratios of how much the reading of the best action answers to each feature; then R²."""
    return probe_network(agent)


@detector(track="whitebox")
def at_random(agent: AgentHandle, query: Query) -> Shares:
    """The same within a drawn subspace of the activations."""
    return probe_network(agent, at_random=True)


@detector(track="blackbox")
def raw(agent: AgentHandle, query: Query) -> Shares:
    """The same probe on the observation itself, which no network has touched.

    Its weights on planes that are equal on every training frame are equal too, so it can say nothing but how linear the
    task is; and it says the same of all agents.
    """
    return probe_observation(agent)


DETECTOR = with_controls(linear_probe, random=at_random, raw=raw)
