"""From a recipe and a seed to a trained agent: what all learners have in common.

The learner itself is a generator (:mod:`goalscope.agents.learner`). The same recipe and seed give the same weights, bit
for bit, on one machine. An agent may build on others, a parent that it is trained on from or a teacher: their recipes'
hashes are part of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import torch
from torch import Tensor

from goalscope.agents.agent import Agent, agent_id
from goalscope.agents.allocation import keep_freed_memory
from goalscope.agents.descent import part_weights
from goalscope.agents.learner import Row, Task, training_levels
from goalscope.agents.network import Network, make_network
from goalscope.agents.recipe import PIN, Recipe
from goalscope.agents.storage import load_agent, rounded
from goalscope.errors import DeclarationError, StorageError
from goalscope.registry import FAMILIES, LEARNERS, RECIPES
from goalscope.seeding import stream

Progress = Callable[[Row], None]
Weights = Mapping[str, Tensor]
Keep = Callable[[int, Weights], None]


def train(
    recipe: Recipe,
    seed: int,
    progress: Progress | None = None,
    keep: Keep | None = None,
    *,
    folder: Path | None = None,
    given: Sequence[Agent] = (),
) -> Agent:
    """Train one agent.

    `progress` is called after every update with that update's row of metrics, and `keep` at every checkpoint of the
    recipe with the steps taken and the weights. Other agents that it builds on are looked for in a `folder` of agents,
    a zoo's, and among those `given`: see :func:`find_agent`.
    """
    task = begin(recipe, seed, folder, given)
    due = checkpoint_steps(recipe)
    rows = []
    for row in LEARNERS.load(recipe.learner.kind).learn(task):
        rows.append(row)
        if progress is not None:
            progress(row)
        while due and keep is not None and row["steps"] >= due[0]:
            keep(due.pop(0), _copied(task.network))
    part_weights(task.network)
    return Agent(recipe=recipe, seed=seed, network=task.network.eval(), initial=task.start, curve=rows)


def begin(recipe: Recipe, seed: int, folder: Path | None = None, given: Sequence[Agent] = ()) -> Task:
    """What training begins with; `folder` and `given` as in :func:`train`."""

    def another(name: str) -> Agent:
        return find_agent(name, seed, folder, given)

    keep_freed_memory()
    network = initial_network(recipe, seed, another)
    random = torch.Generator().manual_seed(stream("sampling", recipe.hash, seed) % 2**63)
    return Task(recipe, seed, network, random, _copied(network), another)


def initial_network(recipe: Recipe, seed: int, another: Callable[[str], Agent]) -> Network:
    """The network before training: freshly drawn, or with the weights of the agent it starts from."""
    shape, n_actions = frame_shape(recipe), FAMILIES.load(recipe.family).world.n_actions
    network = make_network(recipe.arch, shape, n_actions, stream("init", recipe.hash, seed), **recipe.arch_options)
    if recipe.start:
        take_over(network, another(recipe.start), recipe)
    return network


def take_over(network: Network, parent: Agent, recipe: Recipe) -> None:
    """Give a recipe's network the weights of a parent. Raises a :class:`DeclarationError` unless they fit exactly."""
    own, found = (
        {name: tuple(tensor.shape) for name, tensor in one.state_dict().items()} for one in (network, parent.network)
    )
    strange = [name for name in {**own, **found} if own.get(name) != found.get(name)]
    if strange:
        name = strange[0]
        raise DeclarationError(
            f"{recipe.name} cannot start from {recipe.start}: its own network ({recipe.arch}) has {name} of shape "
            f"{own.get(name, 'none')}, the parent's ({parent.recipe.arch}) of shape {found.get(name, 'none')}. Give it "
            "the parent's arch and arch_options, and observations of the same shape."
        )
    network.load_state_dict(parent.network.state_dict())


def find_agent(name: str, seed: int, folder: Path | None = None, given: Sequence[Agent] = ()) -> Agent:
    """The agent that a recipe names as its parent or teacher: one that is `given`, or of the same seed.

    One that a recipe makes is read from the `folder` if it is there and trained again if not. Its weights are those a
    zoo would store, half-precise, so that what is built on it is the same either way.
    """
    identity, _, pin = name.rpartition("@")
    if not identity:
        return _given_agent(name, given)
    recipe = RECIPES.load(identity)
    if not recipe.hash.startswith(pin):
        raise DeclarationError(
            f"{name} is no longer what it was: the recipe {identity} has changed, its hash now begins with "
            f"{recipe.hash[:PIN]}. Restore it, or name it {identity!r} to build on what it is now."
        )
    own = agent_id(recipe, seed)
    if folder is None or not (folder / f"{own}.json").exists():
        return rounded(train(recipe, seed, folder=folder, given=given))
    agent = load_agent(folder, own)
    if agent.id != own:
        raise StorageError(f"{folder / own}.json was not made by {identity}, seed {seed}: build the agent again.")
    return agent


def _given_agent(name: str, given: Sequence[Agent]) -> Agent:
    names = [weights_id(agent) for agent in given]
    if name not in names:
        raise DeclarationError(
            f"The agent {name} has no recipe and must be given, as train(…, given=[agent]); given: "
            f"{', '.join(names) or 'none'}."
        )
    return given[names.index(name)]


def weights_id(agent: Agent) -> str:
    """How recipes name an agent that is given to them: @ and a hash of its architecture and its weights."""
    found = sha256(json.dumps([agent.recipe.arch, dict(agent.recipe.arch_options)], sort_keys=True).encode())
    for name, tensor in sorted(agent.network.state_dict().items()):
        found.update(f"{name}{tuple(tensor.shape)}".encode() + tensor.contiguous().numpy().tobytes())
    return "@" + found.hexdigest()[:PIN]


def frame_shape(recipe: Recipe) -> tuple[int, ...]:
    """The shape of one observation of a recipe's agents."""
    return training_levels(recipe, 0, 1).engine.obs_shape


def checkpoint_steps(recipe: Recipe) -> list[int]:
    """After how many steps a stage of training is kept, the first first: a log schedule."""
    return [recipe.budget >> k for k in range(recipe.checkpoints, 0, -1)]


def _copied(network: Network) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}
