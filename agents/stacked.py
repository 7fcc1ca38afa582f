"""Agents of one recipe trained at once by PPO: one forward and one backward pass for all of them.

Each has the levels, the initial weights, the sampling noise and the minibatches that
:func:`goalscope.agents.training.train` gives it; what they share is how the networks' arithmetic is done
(:mod:`goalscope.agents.stacked_network`). On one thread of a CPU that gave the same bytes as training alone, weights
and curves, whoever was beside an agent (mlp, conv, residual and transformer, float32 and bfloat16). Elsewhere agents
are the same up to rounding, which sampling makes another action of sooner or later.

It pays where single operations are too small to keep the device busy. On one CPU thread 2, 4, 8 and 16 MLPs 64×64 with
minibatches of 256 made 1.1, 1.2, 1.4 and 1.4 times the frames a second of one; with the default conv recipe it was 0.9
to 1.0 times: train those one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from goalscope.agents.agent import Agent
from goalscope.agents.descent import annealed
from goalscope.agents.learner import Row, Task
from goalscope.agents.learners.ppo import (
    LOSSES,
    Batch,
    Rollout,
    act,
    estimate_advantages,
    experience,
    ppo_slopes,
    sample,
)
from goalscope.agents.recipe import PPOConfig, Recipe
from goalscope.agents.stacked_network import Stack
from goalscope.agents.training import begin
from goalscope.errors import UnsupportedError


def train_together(
    recipe: Recipe,
    seeds: Sequence[int],
    device: str = "cpu",
    progress: Callable[[Sequence[Row]], None] | None = None,
) -> list[Agent]:
    """Train an agent of every seed.

    The networks live on the `device`, environments always on the CPU. `progress` is called after every update with
    that update's rows of metrics, one an agent. A recipe's checkpoints are not kept. Raises an
    :class:`UnsupportedError` where networks remember, do not learn by PPO, or there is no such device.
    """
    where = _device(device)
    tasks = [_task(recipe, seed) for seed in seeds]
    curves: list[list[Row]] = [[] for _ in tasks]
    for rows in learn_together(tasks, where):
        for curve, row in zip(curves, rows, strict=True):
            curve.append(row)
        if progress is not None:
            progress(rows)
    return [
        Agent(recipe, task.seed, task.network.eval(), task.start, curve)
        for task, curve in zip(tasks, curves, strict=True)
    ]


def _device(name: str) -> torch.device:
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UnsupportedError(
            f"PyTorch has no device {name!r} here ({reason}): give 'cpu', or a device it has."
        ) from None


def _task(recipe: Recipe, seed: int) -> Task:
    """What an agent's training begins with. Raises an :class:`UnsupportedError` where it cannot be one of many."""
    task = begin(recipe, seed)
    if not isinstance(recipe.learner, PPOConfig) or task.network.memory:
        raise UnsupportedError(
            f"Only networks without memory that learn by ppo train together; {recipe.name} has {recipe.arch} and "
            f"{recipe.learner.kind}. Train its agents one by one, by goalscope.agents.training.train."
        )
    return task


def learn_together(tasks: Sequence[Task], device: torch.device) -> Iterator[list[Row]]:
    """PPO's `learn` for tasks of one recipe: train their networks; after every update a row a task."""
    if not tasks:
        return
    recipe, config = tasks[0].recipe, tasks[0].settings
    stack = Stack([task.network for task in tasks], config, device)
    players = [Player(task) for task in tasks]
    updates = max(1, recipe.budget // (config.envs * config.steps))
    for update in range(updates):
        left = 1 - update / updates
        stack.anneal(left)
        collect(players, stack, config)
        losses = improve(players, stack, config, annealed(config.entropy, config.final_entropy, left))
        for player in players:
            player.rollout.carry_over(player.levels, player.rollout.memory)
        steps = {"steps": float((update + 1) * config.envs * config.steps)}
        yield [{**steps, **player.rollout.summary(), **row} for player, row in zip(players, losses, strict=True)]
    stack.part()


class Player:
    """An agent's environments, and what it gathers in them."""

    def __init__(self, task: Task) -> None:
        config: PPOConfig = task.settings
        self.random = task.random
        self.levels = task.levels(config.envs)
        self.rollout = Rollout(config, self.levels.engine.obs_shape)
        self.levels.reset(out=self.rollout.obs[0])
        self._size = (config.steps, config.envs, self.levels.engine.world.n_actions)

    def noise(self) -> Tensor:
        """`[T, B, A]` what a round's actions are sampled with."""
        return torch.empty(self._size).exponential_(generator=self.random)


@torch.no_grad()
def collect(players: Sequence[Player], stack: Stack, config: PPOConfig) -> None:
    """As PPO's `collect`, all agents in step."""
    noise = torch.stack([player.noise() for player in players], 1).to(stack.device)
    memory = stack.apart[0].initial_memory(config.envs)
    values, log_probs = [], []
    for player in players:
        player.rollout.finished.clear()
    for t in range(config.steps):
        logits, value = _answers(players, stack, t)
        actions, log_prob = sample(logits, noise[t])
        values.append(value)
        log_probs.append(log_prob)
        for player, network, own in zip(players, stack.apart, actions.cpu().numpy(), strict=True):
            act(player.rollout, t, own, player.levels, network, memory, config)
    values.append(_answers(players, stack, config.steps)[1])
    found = torch.stack(values, 1).cpu().numpy(), torch.stack(log_probs, 1).cpu().numpy()
    for player, own_values, own_log_probs in zip(players, *found, strict=True):
        player.rollout.values[:], player.rollout.log_probs[:] = own_values, own_log_probs
        estimate_advantages(player.rollout, config)


def _answers(players: Sequence[Player], stack: Stack, t: int) -> tuple[Tensor, Tensor]:
    """Logits `[K, B, A]` and values `[K, B]` for the t-th observations."""
    return stack.answers([torch.from_numpy(player.rollout.obs[t]) for player in players])


def improve(players: Sequence[Player], stack: Stack, config: PPOConfig, entropy_weight: float) -> list[Row]:
    """As PPO's `improve`, a row an agent."""
    wholes = [experience(player.rollout, network) for player, network in zip(players, stack.apart, strict=True)]
    totals = torch.zeros(len(players), len(LOSSES), device=stack.device)
    for _ in range(config.epochs):
        shuffled = [
            one.shuffled(player.random, config.minibatches) for one, player in zip(wholes, players, strict=True)
        ]
        for batches in zip(*shuffled, strict=True):
            obs, *columns = zip(*(vars(batch.rows).values() for batch in batches), strict=True)
            batch = Batch(torch.empty(0), *(stack.send(torch.stack(column)) for column in columns))
            slopes = partial(ppo_slopes, batch=batch, config=config, entropy_weight=entropy_weight)
            totals += stack.step(partial(stack.answers, obs), slopes)
    means = totals / (config.epochs * config.minibatches)
    return [dict(zip(LOSSES, row, strict=True)) for row in means.tolist()]
