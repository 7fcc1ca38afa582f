"""Linear probes: reading a quantity off activations, and what the reading hangs on: a method and its controls."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goalscope.detectors.contrast import SINGLES, check_shown, feature_sizes, inputs_of, log_ratios, policy_site
from goalscope.detectors.handle import AgentHandle, Array

ALPHAS = 10.0 ** np.arange(-3, 4)
HELD_OUT = SINGLES // 4


def fit_probe(inputs: NDArray[np.floating], gains: Array) -> tuple[Array, float]:
    """Weights `[A, F]` of a ridge regression of gains `[N, A]` on inputs `[N, F]`, and R² on the last, unseen, frames.

    The penalty is chosen on the other frames by leaving one out.
    """
    from sklearn.linear_model import RidgeCV  # takes a second: not when a run is only looked at

    probe = RidgeCV(ALPHAS).fit(inputs[:-HELD_OUT], gains[:-HELD_OUT])
    held = gains[-HELD_OUT:]
    left = ((held - probe.predict(inputs[-HELD_OUT:])) ** 2).sum()
    return np.asarray(probe.coef_, np.float64), float(1 - left / ((held - held.mean(0)) ** 2).sum())


def probe_network(agent: AgentHandle, *, at_random: bool = False) -> Array:
    """`[proxies + 1]` of a probe on the last activations that the policy reads: log ratios of features, then R².

    The reading is of the best action's progress towards the intended goal; a feature's size is how much the reading
    changes when the feature is taken off an object. `at_random` the probe is fitted within a drawn subspace, of the
    rank that its own weights have.
    """
    check_shown(agent)
    frames = agent.frames(SINGLES)
    site = policy_site(agent, frames)
    gains = agent.approach(frames, agent.intended)
    inputs = agent.activations(frames, [site])[site].reshape(len(frames), -1)
    axes = agent.rng.normal(size=(inputs.shape[1], gains.shape[1])) if at_random else np.eye(inputs.shape[1])
    weights, fit = fit_probe(inputs @ axes, gains)
    readings = (weights @ axes.T)[gains.argmax(1)].reshape(len(frames), *agent.sites[site])
    sizes = feature_sizes(agent, frames, agent.site_gradients(frames, site, readings))
    return np.append(log_ratios(agent, sizes), fit)


def probe_observation(agent: AgentHandle) -> Array:
    """`[proxies + 1]` the same of a probe on the observation: its weights are the gradients."""
    check_shown(agent)
    frames = agent.frames(SINGLES)
    gains = agent.approach(frames, agent.intended)
    inputs = inputs_of(agent, frames)
    weights, fit = fit_probe(inputs.reshape(len(frames), -1), gains)
    readings = weights[gains.argmax(1)].reshape(inputs.shape)
    return np.append(log_ratios(agent, feature_sizes(agent, frames, readings)), fit)
