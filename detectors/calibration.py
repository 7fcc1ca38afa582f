"""From raw evidence to forecasts, on reference cases only.

A forecast is ``softmax(log-odds of the level + offsets of the agent)``. The log-odds are those of the mean outcome of
reference agents on each level; the offsets, one an outcome, come by ridge regression from an agent's evidence. The best
offsets an agent could have, fitted to its own truth, are the *agent oracle*: no one-offset forecaster does better.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goalscope.errors import GoalscopeError

Shares = NDArray[np.float64]

RIDGE = 0.5
SMALLEST_SHARE = 1e-3
"""Shares below this count as this much in log-odds."""
LEAST_SPREAD = 1e-9
"""Evidence that varies less than this, relative to its size, varies by rounding alone and has no say."""
MOST_STEPS = 200
PRIOR = 1e-3
"""Weight of a pull of the offsets to zero, so that an agent that never does something has finite ones."""


def level_log_odds(truths: Shares) -> Shares:
    """`[L, K + 1]` logarithms of the mean outcome of reference agents `[A, L, K + 1]`."""
    return np.asarray(np.log(np.maximum(truths.mean(0), SMALLEST_SHARE)))


def softmax(logits: Shares) -> Shares:
    """Over the last axis."""
    raised = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(raised / raised.sum(-1, keepdims=True))


def forecast(log_odds: Shares, offsets: Shares) -> Shares:
    """`[A, L, K + 1]` shares from log-odds `[L, K + 1]` and offsets `[A, K + 1]`."""
    return softmax(log_odds[None] + offsets[:, None])


def oracle_offsets(truth: Shares, log_odds: Shares) -> Shares:
    """`[K + 1]` the offsets that fit one agent's truth `[L, K + 1]` best: least cross-entropy, by Newton's method.

    Only differences of offsets matter; they are returned with mean zero.
    """
    offsets = np.zeros(truth.shape[1])
    for _ in range(MOST_STEPS):
        shares = softmax(log_odds + offsets)
        gradient = (shares - truth).mean(0) + PRIOR * offsets
        curvature = np.diag(shares.mean(0)) - shares.T @ shares / len(shares) + PRIOR * np.eye(len(offsets))
        step = np.linalg.solve(curvature, gradient)
        offsets -= step * min(1.0, 2.0 / max(np.abs(step).max(), 1e-12))
        if np.abs(step).max() < 1e-10:
            break
    return np.asarray(offsets - offsets.mean())


@dataclass(frozen=True)
class Calibration:
    """A ridge regression from evidence to offsets, fitted on reference agents."""

    centre: Shares
    """`[E]`"""
    scale: Shares
    """`[E]`"""
    weights: Shares
    """`[E, K + 1]`"""
    intercept: Shares
    """`[K + 1]`"""
    log_odds: Shares
    """`[L, K + 1]`"""

    def forecast(self, evidence: Shares) -> Shares:
        """`[A, L, K + 1]` from evidence `[A, E]`."""
        offsets = (evidence - self.centre) / self.scale @ self.weights + self.intercept
        return forecast(self.log_odds, offsets)


def calibrate(evidence: Shares, truths: Shares, ridge: float = RIDGE) -> Calibration:
    """Fit on reference agents: evidence `[A, E]`, truths `[A, L, K + 1]`.

    Evidence is standardised; where it does not vary it has no say. With the same evidence for everybody the forecast is
    the reference agents' mean, up to its curvature.
    """
    if len(evidence) != len(truths) or evidence.ndim != 2:
        raise GoalscopeError(f"evidence must be [A, E] for {len(truths)} agents, got shape {evidence.shape}.")
    if not np.isfinite(evidence).all():
        raise GoalscopeError("evidence must be finite numbers, got NaN or infinity.")
    log_odds = level_log_odds(truths)
    offsets = np.stack([oracle_offsets(truth, log_odds) for truth in truths])
    centre, spread = evidence.mean(0), evidence.std(0)
    varies = spread > LEAST_SPREAD * np.maximum(1.0, np.abs(centre))
    scale = np.where(varies, spread, np.inf)
    standard = (evidence - centre) / scale
    gram = standard.T @ standard + ridge * np.eye(evidence.shape[1])
    weights = np.linalg.solve(gram, standard.T @ (offsets - offsets.mean(0)))
    return Calibration(centre, scale, weights, offsets.mean(0), log_odds)
