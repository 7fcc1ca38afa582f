"""From raw evidence to forecasts, on reference cases only.

A forecast is ``softmax(log-odds of the level + offsets of the agent)``. The log-odds are those of the mean outcome of
reference agents on each level; the offsets, one an outcome, come by ridge regression from an agent's evidence. The best
offsets an agent could have, fitted to its own truth, are the *agent oracle*: no one-offset forecaster does better.

How much say evidence has is learned too, from reference agents that are left out one by one. Evidence is often several
numbers and reference agents are few, so that under a fixed penalty noise would forecast; here what does not forecast
the agents left out has no say, and the forecast is the reference agents' mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goalscope.errors import GoalscopeError

Shares = NDArray[np.float64]

RIDGES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""Penalties to choose from."""
DOUBT = 0.5
"""Weight of the doubt about what evidence gains. Set on made-up agents, where it halves what noise costs."""
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
    """`[…, K + 1]` the offsets that fit truths `[…, L, K + 1]` best: least cross-entropy, by Newton's method.

    Leading axes are worked on together; log-odds `[L, K + 1]` may have them too. Only differences of offsets matter;
    they are returned with mean zero.
    """
    logits = np.broadcast_to(log_odds, np.broadcast_shapes(truth.shape, log_odds.shape))
    offsets = np.zeros((*logits.shape[:-2], logits.shape[-1]))
    wanted, pull = truth.mean(-2), PRIOR * np.eye(logits.shape[-1])
    for _ in range(MOST_STEPS):
        shares = softmax(logits + offsets[..., None, :])
        mean = shares.mean(-2)
        gradient = mean - wanted + PRIOR * offsets
        together = np.swapaxes(shares, -1, -2) @ shares / shares.shape[-2]
        step = np.linalg.solve(mean[..., None] * pull / PRIOR - together + pull, gradient[..., None])[..., 0]
        longest = np.abs(step).max(-1, keepdims=True)
        offsets = offsets - step * np.minimum(1.0, 2.0 / np.maximum(longest, 1e-12))
        if longest.max() < 1e-10:
            break
    return np.asarray(offsets - offsets.mean(-1, keepdims=True))


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
    """Of the reference agents' levels: `[L, K + 1]`, or `[A, L, K + 1]` where they differ."""

    def forecast(self, evidence: Shares, log_odds: Shares | None = None) -> Shares:
        """`[A, L, K + 1]` from evidence `[A, E]`, on levels of other log-odds `[L, K + 1]` if some are given."""
        offsets = (evidence - self.centre) / self.scale @ self.weights + self.intercept
        return forecast(self.log_odds if log_odds is None else log_odds, offsets)


def varies(spread: Shares, centre: Shares) -> NDArray[np.bool_]:
    """`[E]` which numbers of evidence differ between agents by more than rounding: the others are not calibrated on."""
    return np.asarray(spread > LEAST_SPREAD * np.maximum(1.0, np.abs(centre)))


def calibrate(evidence: Shares, truths: Shares, log_odds: Shares | None = None) -> Calibration:
    """Fit on reference agents: evidence `[A, E]`, truths `[A, L, K + 1]`.

    Evidence is standardised; where it does not vary it has no say. With the same evidence for everybody the forecast is
    the reference agents' mean. Agents that were asked on different levels come with their levels' log-odds
    `[A, L, K + 1]`; by default all were asked on the same, whose log-odds are those of the mean outcome.
    """
    if len(evidence) != len(truths) or evidence.ndim != 2:
        raise GoalscopeError(f"evidence must be [A, E] for {len(truths)} agents, got shape {evidence.shape}.")
    if not np.isfinite(evidence).all():
        raise GoalscopeError("evidence must be finite numbers, got NaN or infinity.")
    centre, spread = evidence.mean(0), evidence.std(0)
    scale = np.where(varies(spread, centre), spread, np.inf)
    standard = (evidence - centre) / scale
    log_odds = level_log_odds(truths) if log_odds is None else log_odds
    weights = _weights(standard, truths, log_odds)
    return Calibration(centre, scale, weights, _common(standard @ weights, truths, log_odds), log_odds)


def _weights(standard: Shares, truths: Shares, log_odds: Shares) -> Shares:
    """`[E, K + 1]` from standardised evidence `[A, E]`: those of the best penalty, shrunk by the doubt about it.

    The best penalty is that whose forecasts of left-out agents are the nearest to what they do. What it gains over no
    say at all is a mean over agents; the weights shrink by the square of that mean's error over it, and vanish where it
    is no gain (positive-part shrinkage, James & Stein 1961).
    """
    offsets = oracle_offsets(truths, log_odds)
    left, sizes, right = np.linalg.svd(standard, full_matrices=False)
    along = left.T @ (offsets - offsets.mean(0))
    shrunk = sizes**2 / (sizes**2 + np.array([np.inf, *RIDGES])[:, None])
    losses = _left_out(left, shrunk, offsets - offsets.mean(0), truths, log_odds)
    best = 1 + int(losses[1:].mean(1).argmin())
    solved = sizes / (sizes**2 + RIDGES[best - 1])
    return np.asarray(_sureness(losses[0] - losses[best]) * right.T @ (solved[:, None] * along))


def _left_out(left: Shares, shrunk: Shares, centred: Shares, truths: Shares, log_odds: Shares) -> Shares:
    """`[R, A]` squared distance of each agent's truth from its forecast by ridge regressions on the other agents.

    From left singular vectors `[A, S]` of the evidence, the share `[R, S]` that each of R penalties leaves of them, and
    centred offsets `[A, K + 1]`.
    """
    fitted = left @ (shrunk[..., None] * (left.T @ centred))
    offsets = left_out_offsets(left, shrunk, centred) + _common(fitted, truths, log_odds)[:, None]
    told = softmax(log_odds + offsets[..., None, :])
    return np.asarray(((told - truths) ** 2).sum(-1).mean(-1))


def left_out_offsets(left: Shares, shrunk: Shares, centred: Shares) -> Shares:
    """`[…, A, K + 1]` each agent's offsets by a ridge regression on the other agents; arguments as `_left_out`'s.

    That needs no second fit: leaving one out divides its residual by one minus its leverage (Allen 1974).
    """
    fitted = left @ (shrunk[..., None] * (left.T @ centred))
    leverage = 1 / len(left) + shrunk @ (left**2).T
    return np.asarray(centred - (centred - fitted) / np.maximum(1 - leverage, LEAST_SPREAD)[..., None])


def _common(offsets: Shares, truths: Shares, log_odds: Shares) -> Shares:
    """`[…, K + 1]` what is to be added to all agents' offsets `[…, A, K + 1]` to fit their truths best together."""
    outcomes = truths.shape[-1]
    logits = log_odds + offsets[..., None, :]
    return oracle_offsets(truths.reshape(-1, outcomes), logits.reshape(*offsets.shape[:-2], -1, outcomes))


def _sureness(gains: Shares) -> float:
    """From 0 to 1: how much of what is gained, `[A]` of each agent, the doubt about the mean gain leaves."""
    gain, doubt = gains.mean(), DOUBT * gains.var(ddof=1) / len(gains)
    return float(max(0.0, 1 - doubt / gain**2)) if gain > 0 else 0.0
