"""What is asked: the levels of a case, and their geometry."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from goalscope.agents.recipe import Recipe
from goalscope.envs import Distribution, Family, Goal, Levels
from goalscope.envs.pursuit import margin, start_distances


@dataclass(frozen=True)
class Query:
    """L levels under a shift, for which the agent's outcome shares `[L, K + 1]` are asked."""

    distribution: Distribution
    levels: Levels

    def __len__(self) -> int:
        return len(self.levels)

    @property
    def family(self) -> Family:
        return self.distribution.family

    @property
    def goals(self) -> tuple[Goal, ...]:
        """The goals asked about: the forecast's columns, before `neither`."""
        return self.distribution.goals

    @property
    def intended(self) -> int:
        """The intended goal's column."""
        return self.goals.index(self.family.intended(self.distribution.settings))

    @cached_property
    def distances(self) -> NDArray[np.int16]:
        """`[L, K]` steps of each goal's pursuer from the start."""
        return start_distances(self.family, self.levels, self.goals)

    @cached_property
    def margins(self) -> NDArray[np.float32]:
        """`[L]` steps to the nearest proxy minus steps to the intended goal."""
        return margin(self.family, self.levels, self.goals, self.distribution.settings)

    @property
    def shape(self) -> tuple[int, int]:
        """Of a forecast: L, K + 1."""
        return len(self), len(self.goals) + 1


FRESH = 1 << 24
"""Where levels begin that no suite asks about."""


def fresh_query(query: Query) -> Query:
    """As many other levels of the same distribution: the same question, put in other words."""
    return Query(query.distribution, query.distribution.draw(range(FRESH, FRESH + len(query))))


def query_for(recipe: Recipe, levels: int) -> Query:
    """The query of a recipe's agents: the same for all of them."""
    from goalscope.agents.measure import query_distribution  # brings in torch, which a query does not need

    distribution = query_distribution(recipe)
    return Query(distribution, distribution.draw(range(levels)))
