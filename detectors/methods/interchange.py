"""Where is the object's place carried? Activation patching between training frames, site by site.

Interchange interventions (Geiger et al. 2021, arXiv 2106.02997): the agent looks at one frame, and the channels of a
site that differ most come from another, in which the object lies elsewhere. All channels together would give the other
frame's run at every site of a network without bypasses, so only the quarter that differs most is taken.

This cannot tell two features apart that coincide on every frame: base and donor differ in both at once, their
activations carry the sum, and a network that follows either feature gives the same numbers. It says how concentrated
the place is, not whose place it is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goalscope.detectors.base import detector
from goalscope.detectors.calibration import Shares
from goalscope.detectors.contrast import pairs
from goalscope.detectors.handle import INPUT, AgentHandle
from goalscope.detectors.query import Query

SHARE = 4
"""One in so many channels is patched."""
LEAST_EFFECT = 1e-3
"""A donor that changes progress by less has nothing whose carrier could be found."""


@detector(track="whitebox")
def interchange(agent: AgentHandle, query: Query) -> Shares:
    """`[sites]` the share of the donor's progress towards its object that the patched channels bring about."""
    base, donor = pairs(agent)
    gains = agent.direction(base, donor)
    sites = [name for name in agent.sites if name != INPUT]
    own, given = agent.activations(base, sites), agent.activations(donor, sites)

    def walked(probabilities: Shares) -> float:
        return float((probabilities * gains).sum(1).mean())

    before = walked(agent.outputs(base).probabilities)
    full = walked(agent.outputs(donor).probabilities) - before
    if abs(full) < LEAST_EFFECT:
        return np.zeros(len(sites))
    masks = {site: most_changed(own[site], given[site]) for site in sites}
    after = [walked(agent.patched(base, donor, site, masks[site]).probabilities) for site in sites]
    return (np.array(after) - before) / full


def most_changed(own: NDArray[np.floating], given: NDArray[np.floating]) -> NDArray[np.bool_]:
    """A mask of a site's shape `[C, …]`: the quarter of the channels that differ most, all their cells."""
    change = np.abs(given - own).mean(axis=(0, *range(2, own.ndim)))
    mask = np.zeros(own.shape[1:], bool)
    mask[np.argsort(-change, kind="stable")[: max(1, len(change) // SHARE)]] = True
    return mask


DETECTOR = interchange
