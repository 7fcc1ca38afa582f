"""The agents of one recipe in a zoo with what they do: the cases of a suite."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from goalscope.agents.agent import Agent
from goalscope.agents.labels import read_labels
from goalscope.agents.members import Member, members, read_members
from goalscope.agents.recipe import Recipe
from goalscope.agents.storage import load_agent
from goalscope.agents.zoo import find_zoo
from goalscope.detectors.bench import one_thread
from goalscope.detectors.query import Query, query_for
from goalscope.errors import GoalscopeError, StorageError, unknown_name
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


@lru_cache(maxsize=16)
def load_population(zoo: Path, recipe_name: str, levels: int, folds: int) -> Population:
    """Read a recipe's agents and labels. Each process keeps some populations, but never a zoo of any size."""
    those = recipe_members(zoo, recipe_name)
    recipe, ids = those[0].recipe, [member.id for member in those]
    labels = read_labels(zoo)
    query = _query(recipe, levels)
    truths = np.stack([labels.of(identity, query.levels) for identity in ids])
    with one_thread():  # drawing a network's initial weights, which come before its own, is 30 times slower with two
        agents = tuple(_agent(zoo / "agents", identity) for identity in ids)
    return Population(recipe, query, agents, truths, assign_folds(len(ids), folds, recipe.hash))


@lru_cache(maxsize=64)
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
    those = recipe_members(zoo, recipe_name)
    asked = _query(those[0].recipe, levels).levels
    labels = read_labels(zoo)
    return [labels.of(member.id, asked) for member in those]


# Where zoos and recipes are found


def zoo_folder(zoo: str) -> Path:
    """A zoo by name, or by a path, which has a slash in it."""
    if "/" not in zoo and "\\" not in zoo:
        return find_zoo(zoo)
    if not (Path(zoo) / "labels.parquet").exists():
        raise StorageError(f"There is no zoo in {zoo}: expected the folder that `goalscope zoo build` made.")
    return Path(zoo).resolve()


def find_recipe(zoo: Path, target: str) -> Recipe:
    """The recipe that a zoo lists under a name; else the one that is registered, or lies in a module or a file."""
    return recipe_members(zoo, target)[0].recipe


def recipe_members(zoo: Path, target: str) -> list[Member]:
    """A recipe's agents: those that the zoo lists, else as many as the recipe's role asks for."""
    listed = _listed(zoo)
    if own := [member for member in listed if member.recipe.name == target]:
        return own
    if "." not in target and ":" not in target and target not in RECIPES.sources:
        raise unknown_name(f"recipe in {zoo}", target, {*RECIPES.names(), *(m.recipe.name for m in listed)})
    recipe = RECIPES.load(target)
    seeds = [member.seed for member in listed if member.recipe.hash == recipe.hash]
    return [Member(recipe, seed) for seed in seeds] or members([recipe])


def _listed(zoo: Path) -> tuple[Member, ...]:
    """The members in a zoo's list, if it has one."""
    path = zoo / "zoo.json"
    return _read_listed(zoo, path.stat().st_mtime_ns) if path.exists() else ()


@lru_cache(maxsize=4)
def _read_listed(zoo: Path, changed: int) -> tuple[Member, ...]:
    """Read once as long as the file is the same: every recipe of a suite asks for it."""
    return tuple(read_members(zoo))
