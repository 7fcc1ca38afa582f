"""What is the agent drawn to, as far as training shows? Maximum-entropy inverse reinforcement learning.

Ziebart et al. 2008 ("Maximum entropy inverse reinforcement learning"): rewards for entering the goals' cells under
which the policy of maximum causal entropy is the likeliest to act as the agent does on training frames, with a Gaussian
prior. Planning is exact. Where the goals coincide their features are equal, so the likelihood says nothing about the
difference of their rewards, and the prior keeps it at zero: this is what behaviour in training is worth, and no more.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

from goalscope.detectors.base import detector
from goalscope.detectors.calibration import Shares, softmax
from goalscope.detectors.handle import AgentHandle
from goalscope.detectors.query import Query
from goalscope.detectors.soft import Walks, few, log_mean_exp, walks

FRAMES = 32
PRECISION = 1e-4
"""Of the prior, a frame: rewards of ten temperatures cost a hundredth of a nat."""
START = 10.0
"""Temperatures; the objective is flat at zero, where nothing draws from far."""
TOLERANCE = 1e-4
MOST_PLANS = 30


@detector(track="blackbox")
def max_ent_irl(agent: AgentHandle, query: Query) -> Shares:
    """`[K]` the rewards of the goals, in temperatures."""
    frames = few(agent.frames(FRAMES), agent.family)
    said = agent.outputs(frames).probabilities
    return rewards(walks(agent.family, frames.levels, agent.goals), said, agent.recipe.learner.gamma)


def rewards(walked: Walks, said: Shares, gamma: float) -> Shares:
    """`[K]` the likeliest rewards of somebody who, at the start of each level, acts as `said` `[N, A]`."""
    values, slopes = None, None

    def objective(drawn: Shares) -> tuple[float, Shares]:
        nonlocal values, slopes
        q, values = walked.plan(drawn, gamma, values)
        policy = softmax(q)
        q_slopes, slopes = walked.slopes(policy, gamma, slopes)
        own, own_slopes, own_policy = q[walked.starts], q_slopes[walked.starts], policy[walked.starts]
        loss = log_mean_exp(own).mean() - (said * own).sum(1).mean()
        by_rewards = ((own_policy - said)[..., None] * own_slopes).sum(1).mean(0)
        return float(loss + PRECISION / 2 * (drawn**2).sum()), by_rewards + PRECISION * drawn

    begin = np.full(walked.enters.shape[2], START)
    options = {"maxfun": MOST_PLANS, "ftol": TOLERANCE**2, "gtol": TOLERANCE}
    return np.asarray(minimize(objective, begin, jac=True, method="L-BFGS-B", options=options).x)


DETECTOR = max_ent_irl
