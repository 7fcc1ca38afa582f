"""Deep Q-learning (Mnih et al. 2015) with double estimates, several-step returns and a dueling read-out.

Read :func:`learn` first: play ε-greedily, remember, learn from what is remembered at random, repeat. Agents *play*
sampled at temperature 1, so logits must be Q / τ. A network's two heads already are what Q needs when they are read as
a dueling network's (Wang et al. 2016, arXiv 1511.06581, equation 8)::

    Q(s, a) = value(s) + τ · (logits(s, a) − max over b of logits(s, b))

The value is max Q, the logits are Q / τ up to a number that no softmax sees, and one loss trains both.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from goalscope.agents.descent import Descent, annealed, flatten_weights
from goalscope.agents.learner import Learner, Row, Task
from goalscope.agents.network import Network, Shape
from goalscope.agents.rounds import Frames, Round
from goalscope.envs.streaming import LevelStream
from goalscope.errors import UnsupportedError


@dataclass(frozen=True, kw_only=True)
class DQNConfig:
    """How an agent learns, and by the temperature how it plays."""

    kind: ClassVar[str] = "dqn"
    temperature: float = 1 / 64
    """τ, in units of return."""
    envs: int = 64
    steps: int = 32
    """Steps of every environment between two rounds of learning."""
    updates: int = 32
    """Minibatches of a round of learning."""
    minibatch: int = 256
    capacity: int = 50_000
    """Transitions that are remembered."""
    n_steps: int = 3
    """Rewards that are seen before an estimate takes the place of those to come."""
    target_rate: float = 0.02
    """How far the estimating network follows at every update (Lillicrap et al. 2016)."""
    final_exploration: float = 0.05
    """Share of random actions, to which it falls from 1 …"""
    exploring: float = 0.5
    """… in this share of training."""
    learning_rate: float = 4e-3
    final_learning_rate: float = 0.0
    gamma: float = 0.97
    huber: float = 1.0
    """Errors beyond this count linearly."""
    max_grad_norm: float = 10.0
    adam_eps: float = 1e-5
    precision: str = "bfloat16"
    """Of the updates' matrix products: bfloat16 or float32."""


def learn(task: Task) -> Iterator[Row]:
    """Train `task.network`; one row a round."""
    config: DQNConfig = task.settings
    network, random = task.network, task.random
    layer, levels = read_out(network), task.levels(config.envs)
    with in_units_of_return(layer, config.temperature):
        estimator, descent = Estimator(network), Descent(network, config)
    steps = Steps(config, levels.engine.obs_shape)
    replay = Replay(config.capacity, levels.engine.obs_shape)
    levels.reset(out=steps.obs[0])
    rounds = max(1, task.recipe.budget // (config.envs * config.steps))
    for k in range(rounds):
        descent.anneal(1 - k / rounds)
        explore = annealed(1.0, config.final_exploration, max(0.0, 1 - k / max(1, config.exploring * rounds)))
        with in_units_of_return(layer, config.temperature):
            collect(steps, levels, network, random, explore)
            replay.add(steps.transitions(config))
            losses = improve(network, estimator, descent, replay, random, config)
        steps.carry_over(levels, steps.memory)
        counted = {"steps": float((k + 1) * config.envs * config.steps), **steps.summary()}
        yield {**counted, "exploration": explore, **losses}


def read_out(network: Network) -> nn.Linear:
    """The layer that makes the logits. Raises an :class:`UnsupportedError` for a network that DQN cannot train."""
    if network.memory:
        raise UnsupportedError(
            f"DQN replays single transitions, and this network remembers {network.memory} numbers from one step to the "
            "next. Choose an architecture without memory, or one of the learners ppo and imitation."
        )
    layer = getattr(network, "policy", None)
    if not isinstance(layer, nn.Linear):
        raise UnsupportedError(
            f"DQN expects the logits to come from a linear layer named `policy`, got {type(layer).__name__}: name it "
            "so, or choose another learner."
        )
    return layer


@contextmanager
def in_units_of_return(layer: nn.Linear, temperature: float) -> Iterator[None]:
    """Within the block the logits that a layer makes are Q instead of Q / τ.

    What the layer has to learn is 1 / τ times smaller then. With τ in the formula instead, one agent of `dish_open` had
    a competence of .48 after 200,000 steps (.60 with an `adam_eps` of 1e-8), and of .999 this way.
    """
    scale(layer, temperature)
    yield
    scale(layer, 1 / temperature)


@torch.no_grad()
def scale(layer: nn.Linear, factor: float) -> None:
    """Multiply what a layer makes."""
    layer.weight.mul_(factor)
    layer.bias.mul_(factor)


@dataclass(frozen=True)
class Transitions(Frames):
    """What came of N actions within some steps."""

    beyond: Tensor
    """`[N, …]` the observation after those steps."""
    actions: Tensor
    """`[N]`, as the rest."""
    gains: Tensor
    """Discounted rewards of the steps."""
    discounts: Tensor
    """What the value beyond counts: γ to the number of steps, 0 where the episode was over."""


class Steps(Round):
    """A round of playing: arrays `[T, B]`."""

    def __init__(self, config: DQNConfig, shape: Shape) -> None:
        super().__init__(config.steps, config.envs, shape)
        size = (config.steps, config.envs)
        self.actions = np.zeros(size, np.int64)
        self.rewards = np.zeros(size, np.float32)
        self.cuts = np.zeros(size, np.bool_)
        """Whether the deadline cut the episode."""
        self.finals: list[NDArray[np.uint8]] = []
        """Last observations of the episodes that were cut, in their order."""

    def transitions(self, config: DQNConfig) -> Transitions:
        """All of the round. A cut episode is not over for the value (Pardo et al. 2018, arXiv 1712.00378)."""
        gains, discounts, last = n_step_returns(
            self.rewards, self.ends, self.cuts, gamma=config.gamma, n_steps=config.n_steps
        )
        after = self.obs[1:].copy()
        if self.finals:
            after[self.cuts] = np.concatenate(self.finals)
        beyond = after[last, np.arange(config.envs)]
        columns = (self.obs[:-1], beyond, self.actions, gains, discounts)
        return Transitions(*(torch.from_numpy(column).flatten(0, 1) for column in columns))


@torch.no_grad()
def collect(steps: Steps, levels: LevelStream, network: Network, random: torch.Generator, explore: float) -> None:
    """Play a round, ε-greedily."""
    steps.finished.clear()
    steps.finals.clear()
    at_random = torch.rand(steps.actions.shape, generator=random) < explore
    any_action = torch.randint(levels.engine.world.n_actions, steps.actions.shape, generator=random)
    for t in range(len(steps.actions)):
        best = steps.answer(network, t, steps.memory)[0].argmax(-1)
        steps.actions[t] = torch.where(at_random[t], any_action[t], best).numpy()
        out = steps.step(t, levels, steps.actions[t])
        steps.rewards[t] = out.reward
        steps.cuts[t] = out.truncated & ~out.terminated
        if steps.cuts[t].any():
            steps.finals.append(levels.engine.final[steps.cuts[t]])


def n_step_returns(
    rewards: NDArray[np.float32], ends: NDArray[np.bool_], cuts: NDArray[np.bool_], *, gamma: float, n_steps: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Discounted sums of up to `n_steps` rewards from each step `[T, B]` on, fewer where episode or round ends.

    Then what the value beyond the last of these steps counts, γ to their number or 0 where the episode was over (not
    where it was cut), and which step was the last; all `[T, B]`.
    """
    t_max = len(rewards)
    gains, last = np.zeros_like(rewards), np.zeros(rewards.shape, np.int64)
    going = np.ones(rewards.shape, np.bool_)
    for k in range(min(n_steps, t_max)):
        now = going[: t_max - k]
        gains[: t_max - k] += gamma**k * rewards[k:] * now
        last[: t_max - k][now] = k
        now &= ~ends[k:]
    counts = last + 1
    last += np.arange(t_max)[:, None]
    over = np.take_along_axis(ends & ~cuts, last, axis=0)
    return gains, np.where(over, 0.0, gamma**counts).astype(np.float32), last


class Replay:
    """The latest transitions, drawn uniformly at random; observations are bytes."""

    def __init__(self, capacity: int, shape: Shape) -> None:
        self._capacity, self._size, self._next = capacity, 0, 0
        self._kept = Transitions(
            obs=torch.zeros(capacity, *shape, dtype=torch.uint8),
            beyond=torch.zeros(capacity, *shape, dtype=torch.uint8),
            actions=torch.zeros(capacity, dtype=torch.int64),
            gains=torch.zeros(capacity),
            discounts=torch.zeros(capacity),
        )

    def __len__(self) -> int:
        return self._size

    def add(self, new: Transitions) -> None:
        """Remember these, in place of the oldest."""
        n = min(len(new.actions), self._capacity)
        slots = (self._next + torch.arange(n)) % self._capacity
        for kept, column in zip(vars(self._kept).values(), vars(new).values(), strict=True):
            kept[slots] = column[-n:]
        self._next = (self._next + n) % self._capacity
        self._size = min(self._size + n, self._capacity)

    def draw(self, n: int, random: torch.Generator) -> Transitions:
        """`n` of them, with replacement."""
        slots = torch.randint(self._size, (n,), generator=random)
        return Transitions(*(column.index_select(0, slots) for column in vars(self._kept).values()))


class Estimator:
    """The network as it was a while ago, which says what is yet to come."""

    def __init__(self, network: Network) -> None:
        self.network = deepcopy(network)
        self._weights = flatten_weights(self.network)

    @torch.no_grad()
    def follow(self, weights: Tensor, rate: float) -> None:
        """Move this share of the way to the weights learned since."""
        self._weights.lerp_(weights, rate)


def q_values(logits: Tensor, values: Tensor) -> Tensor:
    """`[N, A]` Q of logits `[N, A]` and values `[N]`."""
    return values[:, None] + (logits - logits.amax(-1, keepdim=True))


def improve(
    network: Network,
    estimator: Estimator,
    descent: Descent,
    replay: Replay,
    random: torch.Generator,
    config: DQNConfig,
) -> Row:
    """Some steps of gradient descent over minibatches of what is remembered; returns the mean losses."""
    totals = torch.zeros(2)
    for _ in range(config.updates):
        batch = replay.draw(config.minibatch, random)
        with descent.precision():
            targets = double_targets(network, estimator.network, batch)
        slopes = partial(dqn_slopes, actions=batch.actions, targets=targets, huber=config.huber)
        totals += descent.step(partial(batch.answers, network), slopes)
        estimator.follow(descent.weights, config.target_rate)
    return dict(zip(("q_loss", "q"), (totals / config.updates).tolist(), strict=True))


@torch.no_grad()
def double_targets(network: Network, estimator: Network, batch: Transitions) -> Tensor:
    """`[N]` what Q should be: the network chooses the next action, the other one estimates it.

    Van Hasselt et al. 2016 (arXiv 1509.06461), equation 4.
    """
    best = network(batch.beyond)[0].argmax(-1, keepdim=True)
    logits, values = estimator(batch.beyond)
    beyond = q_values(logits.float(), values.float()).gather(1, best)[:, 0]
    return batch.gains + batch.discounts * beyond


def dqn_slopes(
    logits: Tensor, values: Tensor, actions: Tensor, targets: Tensor, huber: float
) -> tuple[list[Tensor], Tensor]:
    """Derivatives of the mean Huber loss of Q by logits `[N, A]` and values `[N]`; `[2]` the loss and the mean Q."""
    taken = q_values(logits, values).gather(1, actions[:, None])[:, 0]
    error = taken - targets
    held = error.clamp(-huber, huber)
    pull = held / len(actions)
    slope = torch.zeros_like(logits).scatter_add_(1, actions[:, None], pull[:, None])
    slope.scatter_add_(1, logits.argmax(-1, keepdim=True), -pull[:, None])
    return [slope, pull], torch.stack([(held * (error - held / 2)).mean(), taken.mean()])


LEARNER = Learner(settings=DQNConfig, learn=learn)
