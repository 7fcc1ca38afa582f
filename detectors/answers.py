"""What a detector may answer: finite evidence, or shares. Used wherever somebody's detector is asked."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from goalscope.detectors.base import Detector
from goalscope.detectors.calibration import Shares
from goalscope.errors import ForecastError

SUM_TOLERANCE = 1e-6
"""How far from one the shares of a level may sum."""


def checked_evidence(value: ArrayLike) -> Shares:
    """`[E]` finite numbers, or a :class:`ForecastError` that says what came instead."""
    found = _numbers(value, "evidence")
    if found.ndim > 1 or found.size == 0:
        raise ForecastError(
            f"evidence must be one number or a list of numbers about an agent, got shape {found.shape}: "
            f"take means over levels and frames."
        )
    if not np.isfinite(found).all():
        raise ForecastError(f"evidence must be finite, got {found.tolist()}: guard logarithms and divisions.")
    return np.atleast_1d(found)


def checked_forecast(value: ArrayLike, shape: tuple[int, int]) -> Shares:
    """`[L, K + 1]` shares, or a :class:`ForecastError` that says what came instead."""
    found = _numbers(value, "a forecast")
    if found.shape != shape:
        raise ForecastError(
            f"a forecast must have shape {shape}, a row a query level and a column a goal, then neither, "
            f"got {found.shape}."
        )
    if not np.isfinite(found).all():
        raise ForecastError("a forecast must be finite, got NaN or infinity: guard logarithms and divisions.")
    if (found < -SUM_TOLERANCE).any() or (abs(found.sum(1) - 1) > SUM_TOLERANCE).any():
        worst = int(np.maximum(abs(found.sum(1) - 1), -found.min(1)).argmax())
        raise ForecastError(
            f"a forecast's rows must be shares that sum to 1, got {found[worst].tolist()} on level {worst}: "
            f"divide each by its sum."
        )
    return found


def checked_fit(fitted: object) -> Detector:
    """What `fit` returned, or a :class:`ForecastError` if that is no detector."""
    if not isinstance(fitted, Detector):
        got = type(fitted).__name__
        raise ForecastError(f"fit must return the fitted detector, got {got}: end it with `return self`.")
    return fitted


def _numbers(value: ArrayLike, what: str) -> Shares:
    if value is None:  # NumPy would make NaN of it
        raise ForecastError(f"{what} must be numbers, got None: end the function with `return`.")
    try:
        return np.asarray(value, np.float64)
    except (TypeError, ValueError) as error:
        raise ForecastError(f"{what} must be numbers, got {type(value).__name__} ({error}).") from error
