"""What the agents of a zoo do, recipe by recipe: read from their manifests and labels, no agent is played again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goalscope.agents.labels import QUERY_LEVELS, Labels, read_labels, read_stages
from goalscope.agents.measure import Measures, query_distribution, random_outcomes
from goalscope.agents.members import SEEDS_BY_ROLE, recipe_of
from goalscope.agents.pilot import setting_key
from goalscope.agents.recipe import Recipe
from goalscope.agents.storage import Manifest, manifests
from goalscope.envs import Levels
from goalscope.errors import StorageError

Shares = NDArray[np.float64]
NEITHER = "neither"
ROLES = tuple(SEEDS_BY_ROLE)
UNKNOWN = "not recorded"


@dataclass(frozen=True)
class Conduct:
    """What one agent does on the query levels, on average."""

    agent_id: str
    seed: int
    competence: float
    shares: Shares
    """`[K + 1]` how often each goal's event came first, goals in the family's order; last how often neither's did."""
    stages: Mapping[int, Shares]
    """Steps -> the same of its earlier stages of training; empty where none were kept."""


@dataclass(frozen=True)
class Group:
    """The A agents of one recipe, which differ in nothing but their seed."""

    recipe: Recipe
    goals: tuple[str, ...]
    """The K goals asked about, in the family's order."""
    intended: int
    """Which of them is the intended one."""
    chance: Shares
    """`[K + 1]` outcome shares of the uniform random policy on the same levels."""
    agents: tuple[Conduct, ...]

    @property
    def shares(self) -> Shares:
        """`[A, K + 1]` of all agents."""
        return np.stack([agent.shares for agent in self.agents])

    @property
    def outcomes(self) -> tuple[str, ...]:
        """`[K + 1]` what the columns of shares are called."""
        return (*self.goals, NEITHER)

    @property
    def measures(self) -> tuple[Measures, ...]:
        """`[A]` what admission rests on."""
        return tuple(self._measures(agent) for agent in self.agents)

    @property
    def is_counted(self) -> NDArray[np.bool_]:
        """`[A]` whether the agent is competent and purposeful."""
        return np.array([m.is_competent and m.is_purposeful for m in self.measures])

    @property
    def conditional(self) -> Shares:
        """`[A]` P(intended | any goal)."""
        return np.array([m.conditional for m in self.measures])

    def _measures(self, agent: Conduct) -> Measures:
        reached = float(agent.shares[:-1].sum())
        return Measures(
            competence=agent.competence,
            intended=float(agent.shares[self.intended]),
            proxies=float(np.delete(agent.shares[:-1], self.intended).sum()),
            neither=float(agent.shares[-1]),
            excess=reached - float(self.chance[:-1].sum()),
            gain=float("nan"),  # labels tell no returns
        )


@dataclass(frozen=True)
class Census:
    """Everybody in a zoo."""

    zoo: str
    sha256: str
    """Of the labels and the manifests."""
    origins: Mapping[str, int]
    """By what machine and versions agents were made, as far as that was recorded, and how many."""
    groups: tuple[Group, ...]
    """By role, family, α and name."""

    @property
    def size(self) -> int:
        """How many agents there are."""
        return sum(len(group.agents) for group in self.groups)


def read_census(zoo: Path) -> Census:
    """Read a zoo's manifests, labels and, where there are any, labels of stages.

    Query levels are drawn again, to check that the labels are about them and to ask the random policy. Raises a
    :class:`StorageError` if there are no agents, or agents without a label.
    """
    found = manifests(zoo / "agents")
    if not found:
        raise StorageError(f"There are no agents in {zoo}: goalscope zoo build {zoo.name}.")
    labels = read_labels(zoo)
    unlabelled = [manifest.agent_id for manifest in found if manifest.agent_id not in labels.rows]
    if unlabelled:
        raise StorageError(
            f"{labels.path} has no label for {len(unlabelled)} of {len(found)} agents, {unlabelled[0]} first: "
            f"goalscope zoo build {zoo.name}."
        )
    stages = _stage_labels(zoo)
    by_setting: dict[str, list[tuple[Recipe, Manifest]]] = {}
    for manifest in found:
        recipe = recipe_of(zoo, manifest)
        by_setting.setdefault(setting_key(recipe), []).append((recipe, manifest))
    groups = [_group(those[0][0], [m for _, m in those], labels, stages) for those in by_setting.values()]
    origins = Counter(_origin(manifest) for manifest in found)
    return Census(zoo.name, _hash(zoo), origins, tuple(sorted(groups, key=_place)))


def _stage_labels(zoo: Path) -> dict[int, Labels]:
    """Steps -> the labels of all agents of which a stage was kept then."""
    by_steps: dict[int, dict[str, Mapping[str, Any]]] = {}
    for row in read_stages(zoo):
        by_steps.setdefault(row["steps"], {})[row["agent_id"]] = row
    return {steps: Labels(zoo / "stages.parquet", rows) for steps, rows in sorted(by_steps.items())}


def _origin(manifest: Manifest) -> str:
    made = dict(manifest.made_with)
    versions = [f"{name} {made[name]}" for name in made if name not in ("code", "machine")]
    return ", ".join([made["machine"], *versions]) if "machine" in made else UNKNOWN


def _group(recipe: Recipe, those: Sequence[Manifest], labels: Labels, stages: Mapping[int, Labels]) -> Group:
    asked = query_distribution(recipe)
    levels = asked.draw(range(QUERY_LEVELS))
    return Group(
        recipe=recipe,
        goals=tuple(goal.name for goal in asked.goals),
        intended=asked.goals.index(asked.family.intended(asked.settings)),
        chance=random_outcomes(asked, levels).mean(0),
        agents=tuple(_conduct(m, levels, labels, stages) for m in sorted(those, key=lambda m: m.seed)),
    )


def _conduct(manifest: Manifest, levels: Levels, labels: Labels, stages: Mapping[int, Labels]) -> Conduct:
    name = manifest.agent_id
    kept = {steps: then.of(name, levels).mean(0) for steps, then in stages.items() if name in then.rows}
    return Conduct(name, manifest.seed, manifest.competence, labels.of(name, levels).mean(0), kept)


def _hash(zoo: Path) -> str:
    files = [*sorted(zoo.glob("*.parquet")), *sorted((zoo / "agents").glob("[!.]*.json"))]
    return sha256(b"".join(sha256(path.read_bytes()).digest() for path in files)).hexdigest()


def _place(group: Group) -> tuple[int, str, float, str]:
    recipe = group.recipe
    role = ROLES.index(recipe.role) if recipe.role in ROLES else len(ROLES)
    return role, recipe.family, recipe.alpha, recipe.name
