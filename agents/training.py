"""From a recipe and a seed to a trained agent: what all learners have in common.

The learner itself is a generator (:mod:`goalscope.agents.learner`). The same recipe and seed give the same weights, bit
for bit, on one machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from goalscope.agents.agent import Agent
from goalscope.agents.learner import Row, Task, training_levels
from goalscope.agents.network import Network, make_network
from goalscope.agents.recipe import Recipe
from goalscope.registry import FAMILIES, LEARNERS, RECIPES
from goalscope.seeding import stream

Progress = Callable[[Row], None]
Weights = Mapping[str, Tensor]
Keep = Callable[[int, Weights], None]


def train(recipe: Recipe, seed: int, progress: Progress | None = None, keep: Keep | None = None) -> Agent:
    """Train one agent.

    `progress` is called after every update with that update's row of metrics, and `keep` at every checkpoint of the
    recipe with the steps taken and the weights.
    """
    network = initial_network(recipe, seed)
    initial = _copied(network)
    random = torch.Generator().manual_seed(stream("sampling", recipe.hash, seed) % 2**63)
    task = Task(recipe, seed, network, random, initial)
    due = checkpoint_steps(recipe)
    rows = []
    for row in LEARNERS.load(recipe.learner.kind).learn(task):
        rows.append(row)
        if progress is not None:
            progress(row)
        while due and keep is not None and row["steps"] >= due[0]:
            keep(due.pop(0), _copied(network))
    return Agent(recipe=recipe, seed=seed, network=network.eval(), initial=initial, curve=rows)


def initial_network(recipe: Recipe, seed: int) -> Network:
    """The network before training: freshly drawn, or as the recipe it starts from has trained it."""
    if recipe.start:
        return train(RECIPES.load(recipe.start), seed).network.train()
    shape, n_actions = frame_shape(recipe), FAMILIES.load(recipe.family).world.n_actions
    return make_network(recipe.arch, shape, n_actions, stream("init", recipe.hash, seed), **recipe.arch_options)


def frame_shape(recipe: Recipe) -> tuple[int, ...]:
    """The shape of one observation of a recipe's agents."""
    return training_levels(recipe, 0, 1).engine.obs_shape


def checkpoint_steps(recipe: Recipe) -> list[int]:
    """After how many steps a stage of training is kept, the first first: a log schedule."""
    return [recipe.budget >> k for k in range(recipe.checkpoints, 0, -1)]


def _copied(network: Network) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}
