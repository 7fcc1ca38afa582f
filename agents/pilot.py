"""Pilots: does a recipe's goal vary between seeds? Seeds of a pilot never enter a zoo."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from joblib import Parallel, delayed

from goalscope.agents.measure import Measures, measure
from goalscope.agents.ppo import train
from goalscope.agents.recipe import Recipe
from goalscope.agents.storage import rounded

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


def pilot_agent(recipe: Recipe, seed: int) -> Measures:
    """Train one agent on one thread and measure it, its weights rounded as a zoo would store them."""
    torch.set_num_threads(1)
    return measure(rounded(train(recipe, seed)))


def run_pilots(
    recipes: Sequence[Recipe], seeds: int, workers: int, done: Callable[[Recipe, Measures], None]
) -> list[Pilot]:
    """Train `seeds` agents of each recipe, several processes at a time; `done` is called as each is measured."""
    tasks = [(recipe, PILOT_SEEDS + k) for recipe in recipes for k in range(seeds)]
    jobs = Parallel(n_jobs=workers, return_as="generator", backend="loky")(
        delayed(pilot_agent)(recipe, seed) for recipe, seed in tasks
    )
    found: dict[str, list[Measures]] = {recipe.name: [] for recipe in recipes}
    for (recipe, _), measures in zip(tasks, jobs, strict=True):
        found[recipe.name].append(measures)
        done(recipe, measures)
    return [Pilot(recipe, tuple(found[recipe.name])) for recipe in recipes]
