"""Shares of outcomes for a classifier that wants single ones: a weighted row an outcome."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goalscope.detectors.calibration import Shares

LEAST_WEIGHT = 1e-6
"""Of an outcome that never happened, so that it keeps its column."""


def single_outcomes(known: Shares, shares: Shares) -> tuple[Shares, NDArray[np.int64], Shares]:
    """Features `[N · C, F]`, outcomes `[N · C]` and weights `[N, C]`, from features `[N, F]` with shares `[N, C]`."""
    n, outcomes = shares.shape
    return np.repeat(known, outcomes, axis=0), np.tile(np.arange(outcomes), n), np.maximum(shares, LEAST_WEIGHT)
