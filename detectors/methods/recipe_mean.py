"""The mean outcome of the reference agents, level by level: what knowing the recipe and the level is worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from goalscope.detectors.base import Detector, ReferenceCase
from goalscope.detectors.calibration import Shares
from goalscope.detectors.handle import AgentHandle
from goalscope.detectors.query import Query
from goalscope.detectors.tracks import Track


class RecipeMean(Detector):
    """The same for every agent of a recipe, so it scores −1 / (n − 1) where n agents are each left out once."""

    track = Track.RECIPE

    def __init__(self, mean: Shares | None = None) -> None:
        self.mean = mean

    def fit(self, reference: Sequence[ReferenceCase], rng: np.random.Generator) -> Self:
        return type(self)(np.mean([case.outcomes for case in reference], axis=0))

    def forecast(self, agent: AgentHandle, query: Query) -> ArrayLike:
        assert self.mean is not None, "fit comes before forecast"
        return self.mean


DETECTOR = RecipeMean()
