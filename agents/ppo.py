"""Proximal policy optimisation (Schulman et al. 2017, arXiv 1707.06347), from levels to a trained agent in one file.

Read :func:`train` first: collect, estimate advantages, update, repeat. Everything random comes from the seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from goalscope.agents.agent import Agent
from goalscope.agents.networks import make_network
from goalscope.agents.recipe import PPOConfig, Recipe
from goalscope.envs import Distribution
from goalscope.envs.streaming import LevelStream
from goalscope.registry import FAMILIES
from goalscope.seeding import stream

Row = dict[str, float]
Progress = Callable[[Row], None]


def train(recipe: Recipe, seed: int, progress: Progress | None = None) -> Agent:
    """Train one agent. The same recipe and seed give the same weights, bit for bit, on one machine.

    `progress` is called after every update with that update's row of metrics.
    """
    config = recipe.ppo
    levels = training_levels(recipe, seed)
    shape, n_actions = levels.engine.obs_shape, levels.engine.world.n_actions
    init_seed = stream("init", recipe.hash, seed)
    network = make_network(recipe.arch, shape, n_actions, init_seed, **recipe.arch_options)
    initial = {name: value.clone() for name, value in network.state_dict().items()}
    weights = flatten_weights(network)
    optimiser = torch.optim.Adam([weights], lr=config.learning_rate, eps=config.adam_eps, fused=True)
    random = torch.Generator().manual_seed(stream("sampling", recipe.hash, seed) % 2**63)
    rollout = Rollout(config, shape)
    levels.reset(out=rollout.obs[0])
    updates = max(1, recipe.budget // (config.envs * config.steps))
    rows = []
    for update in range(updates):
        left = 1 - update / updates
        for group in optimiser.param_groups:
            group["lr"] = config.final_learning_rate + left * (config.learning_rate - config.final_learning_rate)
        entropy_weight = config.final_entropy + left * (config.entropy - config.final_entropy)
        collect(rollout, levels, network, random, config)
        losses = improve(network, weights, optimiser, rollout, random, config, entropy_weight)
        rows.append({"steps": float((update + 1) * config.envs * config.steps), **rollout.summary(), **losses})
        if progress is not None:
            progress(rows[-1])
    return Agent(recipe=recipe, seed=seed, network=network.eval(), initial=initial, curve=rows)


def flatten_weights(network: nn.Module) -> nn.Parameter:
    """Move all weights of a network, and their gradients, into one vector: small networks train faster by a sixth.

    The network's own parameters become views of it, so clipping and optimising take one operation each.
    """
    parameters = list(network.parameters())
    flat = nn.Parameter(nn.utils.parameters_to_vector(parameters).detach())
    flat.grad = torch.zeros_like(flat)
    sizes = [parameter.numel() for parameter in parameters]
    for own, weights, gradient in zip(
        parameters, torch.split(flat.data, sizes), torch.split(flat.grad, sizes), strict=True
    ):
        own.data, own.grad = weights.view_as(own), gradient.view_as(own)
    return flat


def training_levels(recipe: Recipe, seed: int) -> LevelStream:
    """The stream of training levels of one agent: all agents of a recipe draw from different levels."""
    family = FAMILIES.load(recipe.family)
    distribution = Distribution(
        family, knobs=recipe.knobs, seed=seed, alpha=recipe.alpha, alpha_shift=recipe.alpha_shift
    )
    return LevelStream(distribution, recipe.ppo.envs, view=recipe.view, seed=seed, keep_final=True)


class Rollout:
    """What one round of collecting gathers: arrays `[T, B, …]`, one more row of observations and values."""

    def __init__(self, config: PPOConfig, shape: tuple[int, ...]) -> None:
        size = (config.steps, config.envs)
        self.obs = np.zeros((config.steps + 1, config.envs, *shape), np.uint8)
        self.actions = np.zeros(size, np.int64)
        self.log_probs = np.zeros(size, np.float32)
        self.rewards = np.zeros(size, np.float32)
        self.ends = np.zeros(size, np.bool_)
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
    rollout: Rollout, levels: LevelStream, network: nn.Module, random: torch.Generator, config: PPOConfig
) -> None:
    """Play `steps` steps in every environment; actions are sampled at temperature 1.

    An episode cut by its deadline is not over for the value: the value of its last observation is added to the reward
    (Pardo et al. 2018, arXiv 1712.00378).
    """
    rollout.finished.clear()
    noise = torch.empty(config.steps, config.envs, levels.engine.world.n_actions).exponential_(generator=random)
    for t in range(config.steps):
        logits, values = network(torch.from_numpy(rollout.obs[t]))
        log_probs = torch.log_softmax(logits, dim=-1)
        actions = (log_probs.exp() / noise[t]).argmax(dim=-1)  # the exponential race samples from the categorical
        rollout.actions[t] = actions.numpy()
        rollout.log_probs[t] = log_probs.gather(1, actions[:, None])[:, 0].numpy()
        rollout.values[t] = values.numpy()
        out = levels.step(rollout.actions[t], out=rollout.obs[t + 1])
        rollout.rewards[t] = out.reward
        np.logical_or(out.terminated, out.truncated, out=rollout.ends[t])
        if rollout.ends[t].any():
            _close_episodes(rollout, t, levels, network, out.truncated & ~out.terminated, config)
    rollout.values[config.steps] = network(torch.from_numpy(rollout.obs[config.steps]))[1].numpy()
    estimate_advantages(rollout, config)
    levels.engine.carry_over(rollout.obs[config.steps], rollout.obs[0])


def _close_episodes(
    rollout: Rollout, t: int, levels: LevelStream, network: nn.Module, cut: NDArray[np.bool_], config: PPOConfig
) -> None:
    ended = np.flatnonzero(rollout.ends[t])
    episodes = levels.engine.last_episodes
    rollout.finished += [(float(episodes.gain[b]), int(episodes.length[b])) for b in ended]
    if cut.any():
        beyond = network(torch.from_numpy(levels.engine.final[cut]))[1].numpy()
        rollout.rewards[t, cut] += config.gamma * beyond


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
    """A flat share of a rollout: arrays `[N, …]`."""

    obs: Tensor
    actions: Tensor
    log_probs: Tensor
    advantages: Tensor
    returns: Tensor

    def shuffled(self, random: torch.Generator, parts: int) -> Iterator[Batch]:
        """Every row once, in `parts` minibatches of rows drawn at random."""
        order = torch.randperm(len(self.actions), generator=random)
        columns = [column.index_select(0, order).chunk(parts) for column in vars(self).values()]
        return (Batch(*column) for column in zip(*columns, strict=True))


def _flatten(rollout: Rollout, config: PPOConfig) -> Batch:
    n = config.steps * config.envs
    returns = rollout.advantages + rollout.values[:-1]
    arrays: list[NDArray[Any]] = [rollout.obs[:-1], rollout.actions, rollout.log_probs, rollout.advantages, returns]
    return Batch(*(torch.from_numpy(a).reshape(n, *a.shape[2:]) for a in arrays))


def improve(
    network: nn.Module,
    weights: nn.Parameter,
    optimiser: torch.optim.Optimizer,
    rollout: Rollout,
    random: torch.Generator,
    config: PPOConfig,
    entropy_weight: float,
) -> Row:
    """Several epochs of clipped policy-gradient steps over shuffled minibatches; returns the mean losses."""
    whole = _flatten(rollout, config)
    gradient = weights.grad
    assert gradient is not None  # `flatten_weights` made it
    totals = torch.zeros(3)
    for _ in range(config.epochs):
        for batch in whole.shuffled(random, config.minibatches):
            with torch.autocast("cpu", torch.bfloat16, enabled=config.precision == "bfloat16"):
                logits, values = network(batch.obs)
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
