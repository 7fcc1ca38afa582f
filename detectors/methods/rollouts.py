"""Watching the agent a few times under the shift: the yardstick that says how many episodes a method is worth.

The forecast is that of the most probable offsets given what was seen, with a prior from reference agents; see
:mod:`goalscope.detectors.posterior`. All levels played count, also ones that are asked about.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from goalscope.detectors.base import Detector, ReferenceCase
from goalscope.detectors.calibration import Shares, level_log_odds, softmax
from goalscope.detectors.handle import AgentHandle
from goalscope.detectors.posterior import offsets_prior, posterior_offsets
from goalscope.detectors.query import Query
from goalscope.detectors.tracks import Track


class Rollouts(Detector):
    """As many episodes as the budget has."""

    track = Track.ROLLOUT

    def __init__(self, log_odds: Shares | None = None, prior: tuple[Shares, Shares] | None = None) -> None:
        self.log_odds = log_odds
        self.prior = prior

    def fit(self, reference: Sequence[ReferenceCase], rng: np.random.Generator) -> Self:
        truths = np.stack([case.outcomes for case in reference])
        log_odds = level_log_odds(truths)
        return type(self)(log_odds, offsets_prior(truths, log_odds))

    def forecast(self, agent: AgentHandle, query: Query) -> ArrayLike:
        assert self.log_odds is not None and self.prior is not None, "fit comes before forecast"
        levels, played = agent.rollouts(query, agent.tally.budget.rollouts)
        outcomes = np.eye(query.shape[1])[played.first]
        offsets = posterior_offsets(outcomes, self.log_odds[levels], *self.prior)
        return softmax(self.log_odds + offsets)


DETECTOR = Rollouts()
