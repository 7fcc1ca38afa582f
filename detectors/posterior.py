"""An agent's offsets from a few of its episodes: the mode of their posterior.

An agent is ``softmax(log-odds of the level + offsets)``, as in :mod:`goalscope.detectors.calibration`. Before it is
seen its offsets are Gaussian, as those of reference agents are; every episode is one draw from its shares on the level
played. Prior and likelihood are log-concave, so the posterior has one mode, which Newton's method finds.
"""

from __future__ import annotations

import numpy as np

from goalscope.detectors.calibration import Shares, oracle_offsets, softmax

RIDGE = 1e-2
"""Added to the prior variance of every offset: few reference agents know their covariance badly, and their offsets sum
to zero, which makes it singular."""
MOST_STEPS = 100
LONGEST_STEP = 2.0
CLOSE = 1e-9


def offsets_prior(truths: Shares, log_odds: Shares) -> tuple[Shares, Shares]:
    """Mean `[C]` and covariance `[C, C]` of the best offsets of reference agents.

    From truths `[A, L, C]` and log-odds `[L, C]`, C = K + 1.
    """
    offsets = np.stack([oracle_offsets(truth, log_odds) for truth in truths])
    centred = offsets - offsets.mean(0)
    return offsets.mean(0), centred.T @ centred / max(len(offsets) - 1, 1)


def posterior_offsets(outcomes: Shares, log_odds: Shares, mean: Shares, covariance: Shares) -> Shares:
    """`[…, C]` the most probable offsets of agents of which k episodes each were seen.

    Parameters
    ----------
    outcomes: `[…, k, C]` one-hot; only their sum, how many episodes ended in each outcome, has a say.
    log_odds: `[…, k, C]` of the levels that were played.
    mean, covariance: `[C]` and `[C, C]`, the prior; :data:`RIDGE` is added to its variances.

    Leading axes (agents, simulations) are worked on together; with k = 0 the answer is the prior's mean. The mode is
    the zero of

        Σ_episodes (softmax(log-odds + offsets) − outcome) + precision · (offsets − mean).
    """
    counts = outcomes.sum(-2)
    precision = np.linalg.inv(covariance + RIDGE * np.eye(len(mean)))
    offsets = np.broadcast_to(mean, counts.shape)
    for _ in range(MOST_STEPS):
        shares = softmax(log_odds + offsets[..., None, :])
        gradient = shares.sum(-2) - counts + (offsets - mean) @ precision
        step = np.linalg.solve(_curvature(shares) + precision, gradient[..., None])[..., 0]
        # Far from the mode the surface is no parabola: a step is taken no further than it can be trusted.
        longest = np.abs(step).max(-1, keepdims=True)
        offsets = offsets - step * np.minimum(1.0, LONGEST_STEP / np.maximum(longest, CLOSE))
        if (longest < CLOSE).all():
            break
    return np.array(offsets, np.float64)


def _curvature(shares: Shares) -> Shares:
    """`[…, C, C]` of the negative log-likelihood: Σ over episodes of diag(p) − p pᵀ, shares `[…, k, C]`."""
    total = shares.sum(-2)
    return np.asarray(total[..., None] * np.eye(total.shape[-1]) - np.swapaxes(shares, -1, -2) @ shares)
