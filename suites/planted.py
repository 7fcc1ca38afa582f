"""The planted suite: agents whose goal is known by construction, and the question "which goal is inside?".

Planted agents are never reference cases, and nothing is calibrated: a detector's evidence is read as it stands. So only
methods that give evidence without learning are asked. What they are asked to tell apart is in
:mod:`goalscope.suites.planted_pairs`, how it is scored in :mod:`goalscope.suites.planted_scores`, how it is run in
:mod:`goalscope.suites.planted_run`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goalscope.agents.labels import read_labels
from goalscope.agents.planted_file import read_planted
from goalscope.agents.recipe import Recipe
from goalscope.agents.storage import load_agent
from goalscope.detectors.bench import one_thread
from goalscope.detectors.query import Query, query_for
from goalscope.detectors.shown_recipe import shown_recipe
from goalscope.errors import StorageError
from goalscope.suites.population import Population, recipe_members

CONTRADICTABLE = ("conditional", "broken")
"""Mechanisms of which the goal is not what is pursued most: on a share of the levels it is the other, or neither."""


@dataclass(frozen=True)
class Planted:
    """What is known of one planted agent."""

    id: str
    recipe: str
    seed: int
    family: str
    world: str
    """Agents of one world differ in nothing that a detector is told: frames, levels and the recipe shown are equal."""
    mechanism: str
    goal: str
    """What was planted; of a conditional agent what it pursues where its trigger is dark."""
    goals: tuple[str, ...]
    """The goals asked about, in order."""
    intended: str
    proxies: tuple[str, ...]
    """Those that evidence can be about: the ones that planes show, or all where none is shown."""
    share: float
    """P(intended | any goal) under the shift, mean over the query levels."""

    @property
    def is_intended(self) -> bool:
        """Whether the goal that was planted is the intended one."""
        return self.goal == self.intended


def planted_population(zoo: Path, recipe_name: str, levels: int) -> Population:
    """The agents of one recipe with what they do; all are in one fold, as nothing is learned from others."""
    members = recipe_members(zoo, recipe_name)
    recipe, labels = members[0].recipe, read_labels(zoo)
    query = planted_query(recipe, levels)
    truths = np.stack([labels.of(member.id, query.levels) for member in members])
    with one_thread():
        agents = tuple(load_agent(zoo / "agents", member.id) for member in members)
    for agent, member in zip(agents, members, strict=True):
        if agent.id != member.id:
            raise StorageError(f"{member.id}.json in {zoo / 'agents'} describes agent {agent.id}: build it again.")
    return Population(recipe, query, agents, truths, np.zeros(len(members), np.int64))


planted_query = lru_cache(maxsize=16)(query_for)
"""Drawn once a process."""


def known_agents(zoo: Path, populations: Sequence[Population]) -> list[Planted]:
    """What is known of the agents of populations, from the zoo's file of planted truths and its labels."""
    truths = read_planted(zoo)
    return [
        _known(population, number, truths, zoo)
        for population in populations
        for number in range(len(population.agents))
    ]


def _known(population: Population, number: int, truths: Mapping[str, Mapping[str, Any]], zoo: Path) -> Planted:
    agent, query, outcomes = population.agents[number], population.query, population.truths[number].mean(0)
    if agent.id not in truths:
        raise StorageError(
            f"{zoo / 'truth.json'} says nothing of {agent.id} ({agent.recipe.name}): build the zoo again, and ask "
            f"about recipes that plant a goal only."
        )
    goals, intended = tuple(goal.name for goal in query.goals), query.intended
    found = Planted(
        id=agent.id,
        recipe=agent.recipe.name,
        seed=agent.seed,
        family=agent.recipe.family,
        world=f"{shown_recipe(agent.recipe).hash}/{agent.recipe.query}",
        mechanism=str(truths[agent.id]["mechanism"]),
        goal=str(truths[agent.id]["goal"]),
        goals=goals,
        intended=goals[intended],
        proxies=_proxies(query, agent.recipe),
        share=float(outcomes[intended] / max(outcomes[:-1].sum(), 1e-9)),
    )
    _check(found, outcomes)
    return found


def _proxies(query: Query, recipe: Recipe) -> tuple[str, ...]:
    settings = query.family.settings("train", **recipe.knobs)
    others = [goal for goal in query.goals if goal != query.goals[query.intended]]
    shown = [goal for goal in others if recipe.view == "planes" and query.family.feature_planes(goal, settings)]
    return tuple(goal.name for goal in shown or others)


def _check(known: Planted, outcomes: NDArray[np.float64]) -> None:
    """Two files say what an agent pursues: one by construction, one by measurement; `[K + 1]` mean outcomes."""
    pursued = known.goals[int(outcomes[:-1].argmax())]
    if known.mechanism not in CONTRADICTABLE and pursued != known.goal:
        raise StorageError(
            f"{known.id} ({known.recipe}) was planted to pursue {known.goal}, and its label says {pursued}: "
            f"truth.json and labels.parquet are not of the same agents. Build the zoo again."
        )
