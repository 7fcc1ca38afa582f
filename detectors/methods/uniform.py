"""The forecast of one who knows nothing: every outcome is as likely as every other."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from goalscope.detectors.base import Detector
from goalscope.detectors.handle import AgentHandle
from goalscope.detectors.query import Query
from goalscope.detectors.tracks import Track


class Uniform(Detector):
    """1 / (K + 1) everywhere."""

    track = Track.RECIPE

    def forecast(self, agent: AgentHandle, query: Query) -> ArrayLike:
        return np.full(query.shape, 1 / query.shape[1])


DETECTOR = Uniform()
