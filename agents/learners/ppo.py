"""Proximal policy optimisation (Schulman et al. 2017, arXiv 1707.06347), from levels to weights in one file.

Read :func:`learn` first: collect, estimate advantages, update, repeat. Networks that remember learn by backpropagation
through the steps of a rollout, from what they remembered before its first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from goalscope.agents.descent import Descent, annealed
from goalscope.agents.learner import Learner, Row, Task
from goalscope.agents.network import Network
from goalscope.agents.recipe import PPOConfig
from goalscope.agents.rounds import Frames, Histories, Round
from goalscope.envs.streaming import LevelStream

LOSSES = ("policy_loss", "value_loss", "entropy")


def learn(task: Task) -> Iterator[Row]:
    """Train `task.network`; one row an update."""
    config: PPOConfig = task.settings
    network, random = task.network, task.random
    levels = task.levels(config.envs)
    descent = Descent(network, config)
    rollout = Rollout(config, levels.engine.obs_shape, network.memory)
    levels.reset(out=rollout.obs[0])
    updates = max(1, task.recipe.budget // (config.envs * config.steps))
    for update in range(updates):
        left = 1 - update / updates
        descent.anneal(left)
        entropy_weight = annealed(config.entropy, config.final_entropy, left)
        memory = collect(rollout, levels, network, random, config)
        losses = improve(network, descent, rollout, random, config, entropy_weight)
        rollout.carry_over(levels, memory)
        yield {"steps": float((update + 1) * config.envs * config.steps), **rollout.summary(), **losses}


class Rollout(Round):
    """What one round of collecting gathers: arrays `[T, B]`, of the values one more row."""

    def __init__(self, config: PPOConfig, shape: tuple[int, ...], memory: int = 0) -> None:
        super().__init__(config.steps, config.envs, shape, memory)
        size = (config.steps, config.envs)
        self.actions = np.zeros(size, np.int64)
        self.log_probs = np.zeros(size, np.float32)
        self.rewards = np.zeros(size, np.float32)
        self.values = np.zeros((config.steps + 1, config.envs), np.float32)
        self.advantages = np.zeros(size, np.float32)


@torch.no_grad()
def collect(
    rollout: Rollout, levels: LevelStream, network: Network, random: torch.Generator, config: PPOConfig
) -> Tensor:
    """Play `steps` steps in every environment, sampling at temperature 1. Returns what is remembered then."""
    rollout.finished.clear()
    noise = torch.empty(config.steps, config.envs, levels.engine.world.n_actions).exponential_(generator=random)
    memory = rollout.memory
    for t in range(config.steps):
        logits, values, memory = rollout.answer(network, t, memory)
        actions, log_probs = sample(logits, noise[t])
        rollout.log_probs[t] = log_probs.numpy()
        rollout.values[t] = values.numpy()
        act(rollout, t, actions.numpy(), levels, network, memory, config)
    rollout.values[config.steps] = rollout.answer(network, config.steps, memory)[1].numpy()
    estimate_advantages(rollout, config)
    return memory


def sample(logits: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Actions `[…]` from logits `[…, A]` and exponential noise `[…, A]`, and the actions' logarithmic probabilities."""
    log_probs = torch.log_softmax(logits, dim=-1)
    actions = (log_probs.exp() / noise).argmax(dim=-1)  # the exponential race samples from the categorical
    return actions, _of(actions, log_probs)


def _of(actions: Tensor, log_probs: Tensor) -> Tensor:
    """The entries `[…]` of `[…, A]` that are the actions' `[…]`."""
    return log_probs.gather(-1, actions[..., None])[..., 0]


def act(
    rollout: Rollout,
    t: int,
    actions: NDArray[np.int64],
    levels: LevelStream,
    network: Network,
    memory: Tensor,
    config: PPOConfig,
) -> None:
    """Take the t-th actions `[B]`; `memory` `[B, M]` is what is remembered after the t-th observations.

    An episode cut by its deadline is not over for the value: the value of its last observation is added to the reward
    (Pardo et al. 2018, arXiv 1712.00378).
    """
    rollout.actions[t] = actions
    out = rollout.step(t, levels, actions)
    rollout.rewards[t] = out.reward
    cut = out.truncated & ~out.terminated
    if cut.any():
        last = torch.from_numpy(levels.engine.final[cut]).to(memory.device)
        values = network.step(last, memory[torch.from_numpy(cut)])[1]
        rollout.rewards[t, cut] += config.gamma * values.cpu().numpy()


def estimate_advantages(rollout: Rollout, config: PPOConfig) -> None:
    """Generalised advantage estimation (Schulman et al. 2016, arXiv 1506.02438, equation 16), backwards in time."""
    last = np.zeros(config.envs, np.float32)
    for t in reversed(range(config.steps)):
        goes_on = 1.0 - rollout.ends[t]
        surprise = rollout.rewards[t] + config.gamma * goes_on * rollout.values[t + 1] - rollout.values[t]
        last = surprise + config.gamma * config.gae_lambda * goes_on * last
        rollout.advantages[t] = last


@dataclass(frozen=True)
class Batch(Frames):
    """A share of a rollout: N rows in any order."""

    actions: Tensor
    """`[N]`, as the rest."""
    log_probs: Tensor
    advantages: Tensor
    returns: Tensor


def experience(rollout: Rollout, network: Network) -> Batch | Histories[Batch]:
    """All of a rollout, as the network learns from it."""
    returns = rollout.advantages + rollout.values[:-1]
    return rollout.whole(network, Batch, rollout.actions, rollout.log_probs, rollout.advantages, returns)


def improve(
    network: Network,
    descent: Descent,
    rollout: Rollout,
    random: torch.Generator,
    config: PPOConfig,
    entropy_weight: float,
) -> Row:
    """Several epochs of clipped policy-gradient steps over shuffled minibatches; returns the mean losses."""
    whole = experience(rollout, network)
    totals = torch.zeros(len(LOSSES))
    for _ in range(config.epochs):
        for batch in whole.shuffled(random, config.minibatches):
            slopes = partial(ppo_slopes, batch=batch.rows, config=config, entropy_weight=entropy_weight)
            totals += descent.step(partial(batch.answers, network), slopes)
    means = totals / (config.epochs * config.minibatches)
    return dict(zip(LOSSES, means.tolist(), strict=True))


def ppo_slopes(
    logits: Tensor, values: Tensor, batch: Batch, config: PPOConfig, entropy_weight: float
) -> tuple[list[Tensor], Tensor]:
    """Derivatives of the loss by logits `[N, A]` and values `[N]`, and `[3]` the loss's parts.

    The loss is the clipped surrogate (equation 7), plus half the squared value error, minus the entropy bonus
    (equation 9), with advantages standardised within the minibatch. Its derivatives are written out because autograd's
    bookkeeping of these few numbers took a sixth of a small network's training time.

    Of K agents at once: logits `[K, N, A]`, parts `[K, 3]`, everything else `[K, N]`.
    """
    n = batch.actions.shape[-1]
    log_all = torch.log_softmax(logits, dim=-1)
    shares = log_all.exp()
    mean, spread = batch.advantages.mean(-1, keepdim=True), batch.advantages.std(-1, keepdim=True)
    advantages = (batch.advantages - mean) / (spread + 1e-8)
    ratio = (_of(batch.actions, log_all) - batch.log_probs).exp()
    free, clipped = ratio * advantages, ratio.clamp(1 - config.clip, 1 + config.clip) * advantages
    surrogate = torch.minimum(free, clipped)
    entropy = -(shares * log_all).sum(-1)
    error = values - batch.returns

    push = (free * (free <= clipped) / -n)[..., None]  # nothing moves where clipping holds the surrogate down
    slope = shares * (entropy_weight / n * (log_all + entropy[..., None]) - push)
    slope.scatter_add_(-1, batch.actions[..., None], push)
    parts = torch.stack([-surrogate, 0.5 * error.square(), entropy], -2).mean(-1)
    return [slope, config.value_weight / n * error], parts


LEARNER = Learner(settings=PPOConfig, learn=learn)
