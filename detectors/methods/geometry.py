"""How far the goals are, and nothing else: what a level's geometry is worth without having seen agents on that level.

A multinomial ridge regression of outcomes on distances, pooled over reference agents and levels. It cannot learn that
one level is odd, as the recipe's mean can, so the two together show how much of the mean is geometry.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike

from goalscope.detectors.base import Detector, ReferenceCase
from goalscope.detectors.calibration import Shares
from goalscope.detectors.handle import AgentHandle
from goalscope.detectors.multinomial import single_outcomes
from goalscope.detectors.query import Query
from goalscope.detectors.tracks import Track

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

MOST_ITERATIONS = 1000


def features(query: Query) -> Shares:
    """`[L, K + 2]` steps to each goal, margin, deadline."""
    return np.column_stack([query.distances, query.margins, query.levels.max_steps]).astype(np.float64)


class Geometry(Detector):
    """Fitted to shares rather than to single outcomes: each level is a row an outcome, weighted by its share."""

    track = Track.RECIPE

    def __init__(self, regression: Pipeline | None = None) -> None:
        self.regression = regression

    def fit(self, reference: Sequence[ReferenceCase], rng: np.random.Generator) -> Self:
        from sklearn.linear_model import LogisticRegression  # takes a second: not when a run is only looked at
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        known = np.concatenate([features(case.query) for case in reference])
        shares = np.concatenate([case.outcomes for case in reference])
        regression = make_pipeline(StandardScaler(), LogisticRegression(max_iter=MOST_ITERATIONS))
        rows, outcomes, weights = single_outcomes(known, shares)
        regression.fit(rows, outcomes, logisticregression__sample_weight=weights.ravel())
        return type(self)(regression)

    def forecast(self, agent: AgentHandle, query: Query) -> ArrayLike:
        assert self.regression is not None, "fit comes before forecast"
        return np.asarray(self.regression.predict_proba(features(query)))


DETECTOR = Geometry()
