"""What every learner gets and gives: a task with a fresh network goes in, rows of metrics come out as it learns.

A learner is a generator that improves `task.network` in place and yields a row after every update; everything around
that (initial weights, levels, curves, checkpoints) stands once, in :mod:`goalscope.agents.training`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from goalscope.agents.agent import Agent
from goalscope.agents.network import Network
from goalscope.agents.recipe import Recipe
from goalscope.envs import Distribution, Family
from goalscope.envs.streaming import LevelStream
from goalscope.errors import DeclarationError
from goalscope.registry import FAMILIES

Row = dict[str, float]


def no_other(name: str) -> Agent:
    """Where only one agent is at hand. Raises a :class:`DeclarationError`."""
    raise DeclarationError(f"The agent {name!r} cannot be found from here: train by goalscope.agents.training.train.")


@dataclass(frozen=True)
class Task:
    """A network to be trained by a recipe; everything random comes from the seed."""

    recipe: Recipe
    seed: int
    network: Network
    random: torch.Generator
    start: Mapping[str, torch.Tensor]
    """The weights that training starts from."""
    another: Callable[[str], Agent] = no_other
    """Finds the agent that a recipe names, a teacher's: see :func:`goalscope.agents.recipe.pinned`."""

    @property
    def settings(self) -> Any:
        """The learner's own."""
        return self.recipe.learner

    def levels(self, envs: int) -> LevelStream:
        """The agent's training levels, played in so many environments at once."""
        return training_levels(self.recipe, self.seed, envs)


@dataclass(frozen=True)
class Learner:
    """How agents learn; what a module of a learner assigns to ``LEARNER``."""

    settings: type
    """A frozen dataclass; `Recipe.learner` holds one."""
    learn: Callable[[Task], Iterator[Row]]
    """Trains; every row has `steps`, how many environment steps were taken."""


def training_distribution(recipe: Recipe, seed: int) -> Distribution:
    """The training levels of one agent: all agents of a recipe draw different ones."""
    family = FAMILIES.load(recipe.family)
    knobs = family.unset_by(recipe.train, recipe.knobs)
    return Distribution(family, recipe.train, knobs, seed=seed, alpha=recipe.alpha, alpha_shift=recipe.alpha_shift)


def training_levels(recipe: Recipe, seed: int, envs: int) -> LevelStream:
    """An endless stream of them; with `recipe.pays` in a world that pays for one goal alone."""
    family = FAMILIES.load(recipe.family)
    rules = paid_for(family, recipe.pays) if recipe.pays else family
    return LevelStream(
        training_distribution(recipe, seed), envs, view=recipe.view, rules=rules, seed=seed, keep_final=True
    )


def paid_for(family: Family, goal: str) -> Family:
    """The family with rules that pay 1 for this goal's event, which ends the episode, and nothing else."""
    event = family.goal(goal).event
    rules = tuple(
        replace(rule, reward=1.0, decay=0.0, ends=True) if rule.event == event else replace(rule, reward=0.0)
        for rule in family.world.rules
    )
    return replace(family, world=replace(family.world, rules=rules))
