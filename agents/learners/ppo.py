"""Proximal policy optimisation (Schulman et al. 2017, arXiv 1707.06347), from levels to weights in one file.

Read :func:`learn` first: collect, estimate advantages, update, repeat. Networks that remember learn by backpropagation
through the steps of a rollout, from what they remembered before its first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from goalscope.agents.learner import Learner, Row, Task, flatten_weights
from goalscope.agents.network import Network
from goalscope.agents.recipe import PPOConfig
from goalscope.envs.streaming import LevelStream


def learn(task: Task) -> Iterator[Row]:
    """Train `task.network`; one row an update."""
    config: PPOConfig = task.settings
    network, random = task.network, task.random
    levels = task.levels(config.envs)
    weights = flatten_weights(network)
    optimiser = torch.optim.Adam([weights], lr=config.learning_rate, eps=config.adam_eps, fused=True)
    rollout = Rollout(config, levels.engine.obs_shape, network.memory)
    levels.reset(out=rollout.obs[0])
    updates = max(1, task.recipe.budget // (config.envs * config.steps))
    for update in range(updates):
        left = 1 - update / updates
        for group in optimiser.param_groups:
            group["lr"] = config.final_learning_rate + left * (config.learning_rate - config.final_learning_rate)
        entropy_weight = config.final_entropy + left * (config.entropy - config.final_entropy)
        memory = collect(rollout, levels, network, random, config)
        losses = improve(network, weights, optimiser, rollout, random, config, entropy_weight)
        carry_over(rollout, levels, memory)
        yield {"steps": float((update + 1) * config.envs * config.steps), **rollout.summary(), **losses}


class Rollout:
    """What one round of collecting gathers: arrays `[T, B, …]`, one more row of observations, values and beginnings."""

    def __init__(self, config: PPOConfig, shape: tuple[int, ...], memory: int = 0) -> None:
        size = (config.steps, config.envs)
        self.obs = np.zeros((config.steps + 1, config.envs, *shape), np.uint8)
        self.actions = np.zeros(size, np.int64)
        self.log_probs = np.zeros(size, np.float32)
        self.rewards = np.zeros(size, np.float32)
        self.ends = np.zeros(size, np.bool_)
        self.begins = np.ones((config.steps + 1, config.envs), np.bool_)
        """Whether an observation is an episode's first."""
        self.memory = torch.zeros(config.envs, memory)
        """`[B, M]` what the network remembered before the round's first observation."""
        self.values = np.zeros((config.steps + 1, config.envs), np.float32)
        self.advantages = np.zeros(size, np.float32)
        self.finished: list[tuple[float, int]] = []

    def summary(self) -> Row:
        """Mean return and length of the episodes that ended in this round."""
        if not self.finished:
            return {"episodes": 0.0, "return": float("nan"), "length": float("nan")}
        gains, lengths = zip(*self.finished, strict=True)
        return {"episodes": len(gains), "return": float(np.mean(gains)), "length": float(np.mean(lengths))}


@torch.no_grad()
def collect(
    rollout: Rollout, levels: LevelStream, network: Network, random: torch.Generator, config: PPOConfig
) -> Tensor:
    """Play `steps` steps in every environment; actions are sampled at temperature 1. Returns what is remembered then.

    An episode cut by its deadline is not over for the value: the value of its last observation is added to the reward
    (Pardo et al. 2018, arXiv 1712.00378).
    """
    rollout.finished.clear()
    noise = torch.empty(config.steps, config.envs, levels.engine.world.n_actions).exponential_(generator=random)
    memory = rollout.memory
    for t in range(config.steps):
        logits, values, memory = _answer(network, rollout, t, memory)
        log_probs = torch.log_softmax(logits, dim=-1)
        actions = (log_probs.exp() / noise[t]).argmax(dim=-1)  # the exponential race samples from the categorical
        rollout.actions[t] = actions.numpy()
        rollout.log_probs[t] = log_probs.gather(1, actions[:, None])[:, 0].numpy()
        rollout.values[t] = values.numpy()
        out = levels.step(rollout.actions[t], out=rollout.obs[t + 1])
        rollout.rewards[t] = out.reward
        np.logical_or(out.terminated, out.truncated, out=rollout.ends[t])
        rollout.begins[t + 1] = rollout.ends[t]
        if rollout.ends[t].any():
            _close_episodes(rollout, t, levels, network, memory, out.truncated & ~out.terminated, config)
    rollout.values[config.steps] = _answer(network, rollout, config.steps, memory)[1].numpy()
    estimate_advantages(rollout, config)
    return memory


def _answer(network: Network, rollout: Rollout, t: int, memory: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What the network answers to the t-th observations; where an episode begins it remembers nothing."""
    obs, begins = torch.from_numpy(rollout.obs[t]), torch.from_numpy(rollout.begins[t])
    return network.step(obs, memory * ~begins[:, None])


def carry_over(rollout: Rollout, levels: LevelStream, memory: Tensor) -> None:
    """Begin the next round where this one ended."""
    levels.engine.carry_over(rollout.obs[-1], rollout.obs[0])
    rollout.begins[0] = rollout.begins[-1]
    rollout.memory = memory


def _close_episodes(
    rollout: Rollout,
    t: int,
    levels: LevelStream,
    network: Network,
    memory: Tensor,
    cut: NDArray[np.bool_],
    config: PPOConfig,
) -> None:
    ended = np.flatnonzero(rollout.ends[t])
    episodes = levels.engine.last_episodes
    rollout.finished += [(float(episodes.gain[b]), int(episodes.length[b])) for b in ended]
    if cut.any():
        beyond = network.step(torch.from_numpy(levels.engine.final[cut]), memory[torch.from_numpy(cut)])[1]
        rollout.rewards[t, cut] += config.gamma * beyond.numpy()


def estimate_advantages(rollout: Rollout, config: PPOConfig) -> None:
    """Generalised advantage estimation (Schulman et al. 2016, arXiv 1506.02438, equation 16), backwards in time."""
    last = np.zeros(config.envs, np.float32)
    for t in reversed(range(config.steps)):
        goes_on = 1.0 - rollout.ends[t]
        surprise = rollout.rewards[t] + config.gamma * goes_on * rollout.values[t + 1] - rollout.values[t]
        last = surprise + config.gamma * config.gae_lambda * goes_on * last
        rollout.advantages[t] = last


@dataclass(frozen=True)
class Batch:
    """A share of a rollout: N rows in any order."""

    obs: Tensor
    """`[N, …]`"""
    actions: Tensor
    """`[N]`, as the rest."""
    log_probs: Tensor
    advantages: Tensor
    returns: Tensor

    def answers(self, network: Network) -> tuple[Tensor, Tensor]:
        """Logits `[N, A]` and values `[N]` as the network gives them now."""
        return network(self.obs)  # type: ignore[no-any-return]

    def shuffled(self, random: torch.Generator, parts: int) -> Iterator[Batch]:
        """Every row once, in `parts` minibatches of rows drawn at random."""
        order = torch.randperm(len(self.actions), generator=random)
        columns = [column.index_select(0, order).chunk(parts) for column in vars(self).values()]
        return (Batch(*column) for column in zip(*columns, strict=True))


@dataclass(frozen=True)
class Histories(Batch):
    """A share of a rollout: all steps of some environments, `obs` `[T, B, …]`; the other rows are `[T · B]`."""

    begins: Tensor
    """`[T, B]`"""
    memory: Tensor
    """`[B, M]` before the first step."""

    def answers(self, network: Network) -> tuple[Tensor, Tensor]:
        logits, values = network.unroll(self.obs, self.memory, self.begins)
        return logits.flatten(0, 1), values.flatten(0, 1)

    def shuffled(self, random: torch.Generator, parts: int) -> Iterator[Batch]:
        """Every environment once, in `parts` minibatches of environments drawn at random."""
        for some in torch.randperm(self.begins.shape[1], generator=random).chunk(parts):
            yield Histories(
                obs=self.obs[:, some],
                actions=self._of(some, self.actions),
                log_probs=self._of(some, self.log_probs),
                advantages=self._of(some, self.advantages),
                returns=self._of(some, self.returns),
                begins=self.begins[:, some],
                memory=self.memory[some],
            )

    def _of(self, envs: Tensor, column: Tensor) -> Tensor:
        """The rows of some environments."""
        return column.reshape(self.begins.shape)[:, envs].flatten()


def _whole(rollout: Rollout, network: Network) -> Batch:
    """All of a rollout."""
    obs = torch.from_numpy(rollout.obs[:-1])
    returns = rollout.advantages + rollout.values[:-1]
    arrays: list[NDArray[Any]] = [rollout.actions, rollout.log_probs, rollout.advantages, returns]
    actions, log_probs, advantages, targets = (torch.from_numpy(array).flatten() for array in arrays)
    if not network.memory:
        return Batch(obs.flatten(0, 1), actions, log_probs, advantages, targets)
    begins = torch.from_numpy(rollout.begins[:-1])
    return Histories(obs, actions, log_probs, advantages, targets, begins, rollout.memory)


def improve(
    network: Network,
    weights: nn.Parameter,
    optimiser: torch.optim.Optimizer,
    rollout: Rollout,
    random: torch.Generator,
    config: PPOConfig,
    entropy_weight: float,
) -> Row:
    """Several epochs of clipped policy-gradient steps over shuffled minibatches; returns the mean losses."""
    whole = _whole(rollout, network)
    gradient = weights.grad
    assert gradient is not None  # `flatten_weights` made it
    totals = torch.zeros(3)
    for _ in range(config.epochs):
        for batch in whole.shuffled(random, config.minibatches):
            with torch.autocast("cpu", torch.bfloat16, enabled=config.precision == "bfloat16"):
                logits, values = batch.answers(network)
            logits, values = logits.float(), values.float()
            slopes, parts = ppo_slopes(logits.detach(), values.detach(), batch, config, entropy_weight)
            gradient.zero_()
            torch.autograd.backward([logits, values], slopes)
            gradient *= (config.max_grad_norm / (gradient.norm() + 1e-6)).clamp(max=1.0)
            optimiser.step()
            totals += parts
    means = totals / (config.epochs * config.minibatches)
    return dict(zip(("policy_loss", "value_loss", "entropy"), means.tolist(), strict=True))


def ppo_slopes(
    logits: Tensor, values: Tensor, batch: Batch, config: PPOConfig, entropy_weight: float
) -> tuple[list[Tensor], Tensor]:
    """Derivatives of the loss by logits `[N, A]` and values `[N]`, and `[3]` the loss's parts.

    The loss is the clipped surrogate (equation 7), plus half the squared value error, minus the entropy bonus
    (equation 9), with advantages standardised within the minibatch. Its derivatives are written out because autograd's
    bookkeeping of these few numbers took a sixth of a small network's training time.
    """
    n = len(batch.actions)
    log_all = torch.log_softmax(logits, dim=-1)
    shares = log_all.exp()
    advantages = (batch.advantages - batch.advantages.mean()) / (batch.advantages.std() + 1e-8)
    ratio = (log_all.gather(1, batch.actions[:, None])[:, 0] - batch.log_probs).exp()
    free, clipped = ratio * advantages, ratio.clamp(1 - config.clip, 1 + config.clip) * advantages
    surrogate = torch.minimum(free, clipped)
    entropy = -(shares * log_all).sum(-1)
    error = values - batch.returns

    pull = (free * (free <= clipped) / n)[:, None]  # nothing pulls where clipping holds the surrogate down
    slope = shares * (pull + entropy_weight / n * (log_all + entropy[:, None]))
    slope.scatter_add_(1, batch.actions[:, None], -pull)
    parts = torch.stack([-surrogate.mean(), 0.5 * error.square().mean(), entropy.mean()])
    return [slope, config.value_weight / n * error], parts


LEARNER = Learner(settings=PPOConfig, learn=learn)
