"""Pilots: does a recipe's goal vary between seeds? Seeds of a pilot never enter a zoo."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from time import process_time
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed

from goalscope.agents.measure import Measures, measure
from goalscope.agents.recipe import Recipe
from goalscope.agents.storage import rounded
from goalscope.agents.training import train

PILOT_SEEDS = 10_000
"""Pilot seeds count from here; zoo seeds stay below."""
ADMITTED_SPREAD = 0.10


@dataclass(frozen=True)
class Pilot:
    """A recipe's agents, measured."""

    recipe: Recipe
    agents: tuple[Measures, ...]

    @property
    def counted(self) -> list[Measures]:
        """The agents that are competent and purposeful."""
        return [m for m in self.agents if m.is_competent and m.is_purposeful]

    @property
    def spread(self) -> float:
        """Between-seed SD (n − 1) of P(intended | any goal); truth is exact, so there is no noise to subtract."""
        values = [m.conditional for m in self.counted]
        return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")

    @property
    def is_admitted(self) -> bool:
        return len(self.counted) >= 12 and self.spread >= ADMITTED_SPREAD

    def row(self) -> dict[str, object]:
        """One row of the pilot table."""
        names = ("competence", "excess", "intended", "proxies", "neither")
        means = {name: float(np.mean([getattr(m, name) for m in self.agents])) for name in names}
        values = [m.conditional for m in self.counted]
        return {
            "recipe": self.recipe.name,
            "agents": len(self.agents),
            "counted": len(self.counted),
            **means,
            "conditional": float(np.mean(values)) if values else float("nan"),
            "spread": self.spread,
            "lowest": min(values, default=float("nan")),
            "highest": max(values, default=float("nan")),
            "admitted": self.is_admitted,
            "measures": [asdict(m) for m in self.agents],
        }


def setting_key(recipe: Recipe) -> str:
    """What tells the agents of one setting, trained and asked alike, from all others."""
    return recipe.hash + recipe.query


@dataclass(frozen=True)
class Piloted:
    """One agent of a pilot, and what it cost."""

    recipe: Recipe
    seed: int
    measures: Measures
    minutes: float
    """Core-minutes of training and measuring."""

    @property
    def key(self) -> tuple[str, int]:
        return setting_key(self.recipe), self.seed

    def row(self) -> dict[str, Any]:
        """The agent in one row, for tables and files."""
        return {
            "family": self.recipe.family,
            "setting": self.recipe.name,
            "seed": self.seed,
            **asdict(self.measures),
            "conditional": self.measures.conditional,
            "minutes": self.minutes,
            "recipe": self.key[0],
        }


def pilot_agent(recipe: Recipe, seed: int) -> Piloted:
    """Train one agent on one thread and measure it, its weights rounded as a zoo would store them."""
    torch.set_num_threads(1)
    begun = process_time()
    measures = measure(rounded(train(recipe, seed)))
    return Piloted(recipe, seed, measures, (process_time() - begun) / 60)


def run_pilots(
    recipes: Sequence[Recipe],
    seeds: int,
    workers: int,
    done: Callable[[Piloted], None],
    known: Sequence[Piloted] = (),
) -> list[Pilot]:
    """Train `seeds` agents of each recipe that are not `known`, several processes at a time.

    `done` is called as each is measured, known ones first.
    """
    before = {one.key: one for one in known}
    chosen = range(PILOT_SEEDS, PILOT_SEEDS + seeds)
    wanted = {(setting_key(recipe), seed): recipe for recipe in recipes for seed in chosen}
    found = {key: before[key] for key in wanted if key in before}
    for one in found.values():
        done(one)
    jobs = Parallel(n_jobs=workers, return_as="generator", backend="loky")(
        delayed(pilot_agent)(recipe, key[1]) for key, recipe in wanted.items() if key not in found
    )
    for one in jobs:
        found[one.key] = one
        done(one)
    return [Pilot(r, tuple(found[setting_key(r), seed].measures for seed in chosen)) for r in recipes]
