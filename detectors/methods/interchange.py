"""Where is the object's place carried? Activation patching between training frames, site by site.

Interchange interventions (Geiger et al. 2021, arXiv 2106.02997): the agent looks at one frame, and the channels of a
site that differ most come from another, in which the object lies elsewhere. All channels together would give the other
frame's run at every site of a network without bypasses, so only the quarter that differs most is taken.

This cannot tell two features apart that coincide on every frame: base and donor differ in both at once, their
activations carry the sum, and a network that follows either feature gives the same numbers. It says how concentrated
the place is, not whose place it is.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from goalscope.detectors.base import detector
from goalscope.detectors.calibration import Shares
from goalscope.detectors.contrast import pairs, patchable
from goalscope.detectors.controls import with_controls
from goalscope.detectors.handle import AgentHandle
from goalscope.detectors.query import Query
from goalscope.errors import UnsupportedError

Activations = NDArray[np.floating]
SHARE = 4
"""One in so many channels is patched."""
LEAST_EFFECT = 1e-3
"""A donor that changes progress by less has nothing whose carrier could be found."""
Choose = Callable[[Activations, Activations, np.random.Generator], NDArray[np.bool_]]


@detector(track="whitebox")
def interchange(agent: AgentHandle, query: Query) -> Shares:
    """`[sites]` the share of the donor's progress towards its object that the patched channels bring about."""
    return carried(agent, most_changed)


@detector(track="whitebox")
def at_random(agent: AgentHandle, query: Query) -> Shares:
    """The same by as many channels, drawn."""
    return carried(agent, drawn)


def carried(agent: AgentHandle, choose: Choose) -> Shares:
    """`[sites]` the share of the donor's progress towards its object that chosen channels of each site bring about."""
    base, donor = pairs(agent)
    gains = agent.direction(base, donor)
    sites = patchable(agent, base)
    if not sites:
        raise UnsupportedError("Every site of this network is an affine map of the observation: there is no patch.")
    own, given = agent.activations(base, sites), agent.activations(donor, sites)

    def walked(probabilities: Shares) -> float:
        return float((probabilities * gains).sum(1).mean())

    before = walked(agent.outputs(base).probabilities)
    full = walked(agent.outputs(donor).probabilities) - before
    if abs(full) < LEAST_EFFECT:
        return np.zeros(len(sites))
    masks = {site: choose(own[site], given[site], agent.rng) for site in sites}
    after = [walked(agent.patched(base, donor, site, masks[site]).probabilities) for site in sites]
    return (np.array(after) - before) / full


def most_changed(own: Activations, given: Activations, rng: np.random.Generator) -> NDArray[np.bool_]:
    """A mask of a site's shape `[C, …]`: the quarter of the channels that differ most, all their cells."""
    change = np.abs(given - own).mean(axis=(0, *range(2, own.ndim)))
    return _mask(own, np.argsort(-change, kind="stable"))


def drawn(own: Activations, given: Activations, rng: np.random.Generator) -> NDArray[np.bool_]:
    """A mask of a site's shape `[C, …]`: a quarter of the channels, all their cells."""
    return _mask(own, rng.permutation(own.shape[1]))


def _mask(own: Activations, order: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Of the first quarter of the channels in an order, at least one."""
    mask = np.zeros(own.shape[1:], bool)
    mask[order[: max(1, len(order) // SHARE)]] = True
    return mask


DETECTOR = with_controls(interchange, random=at_random)
