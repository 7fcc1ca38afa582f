"""The agents of one recipe in a zoo with what they do: the cases of a suite."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from goalscope.agents.agent import Agent
from goalscope.agents.labels import read_labels
from goalscope.agents.members import members
from goalscope.agents.recipe import Recipe
from goalscope.agents.storage import load_agent
from goalscope.detectors.query import Query, query_for
from goalscope.errors import GoalscopeError, StorageError
from goalscope.registry import RECIPES
from goalscope.seeding import generator

Shares = NDArray[np.float64]


@dataclass(frozen=True)
class Population:
    """The A agents of one recipe, asked about the same L levels."""

    recipe: Recipe
    query: Query
    agents: tuple[Agent, ...]
    truths: Shares
    """`[A, L, K + 1]` exact outcome shares."""
    folds: NDArray[np.int64]
    """`[A]` the fold in which an agent is tested."""


@lru_cache(maxsize=8)
def load_population(zoo: Path, recipe_name: str, levels: int, folds: int) -> Population:
    """Read a recipe's agents and labels; each process reads them once."""
    recipe = RECIPES.load(recipe_name)
    ids = [member.id for member in members([recipe])]
    labels = read_labels(zoo)
    query = _query(recipe, levels)
    truths = np.stack([labels.of(identity, query.levels) for identity in ids])
    agents = tuple(_agent(zoo / "agents", identity) for identity in ids)
    return Population(recipe, query, agents, truths, assign_folds(len(ids), folds, recipe.hash))


@lru_cache(maxsize=16)
def _query(recipe: Recipe, levels: int) -> Query:
    """Drawn once a process."""
    return query_for(recipe, levels)


def _agent(folder: Path, identity: str) -> Agent:
    """An agent whose recipe and seed are those it is filed under: labels go by that name."""
    agent = load_agent(folder, identity)
    if agent.id != identity:
        raise StorageError(
            f"{folder / identity}.json describes agent {agent.id}: files were renamed, or its recipe edited. "
            f"Build the agent again or restore it."
        )
    return agent


def assign_folds(agents: int, folds: int, salt: str) -> NDArray[np.int64]:
    """`[A]` folds of equal size, agents dealt out at random but always alike."""
    if agents < 2 * folds:
        raise GoalscopeError(f"{folds} folds need at least {2 * folds} agents of a recipe, there are {agents}.")
    order = generator("folds", salt).permutation(agents)
    found = np.empty(agents, np.int64)
    found[order] = np.arange(agents) % folds
    return found


def recipe_truths(zoo: Path, recipe_name: str, levels: int) -> list[Shares]:
    """`[L, K + 1]` what each of a recipe's agents does; for recipes that are shown and not scored."""
    recipe = RECIPES.load(recipe_name)
    asked = _query(recipe, levels).levels
    labels = read_labels(zoo)
    return [labels.of(member.id, asked) for member in members([recipe])]
