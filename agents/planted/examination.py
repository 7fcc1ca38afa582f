"""What can be asked of a planted agent, on levels of the examination's own.

No agent trains on them, no threshold was set on them, no label is about them.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from goalscope.agents.measure import random_outcomes
from goalscope.agents.network import Network
from goalscope.agents.planted.bus import BusNetwork
from goalscope.agents.planted.edits import Edited, Maps
from goalscope.agents.planted.scene import Scene
from goalscope.agents.truth import Table, outcome_distribution, policy_table
from goalscope.envs import Distribution, Engine, Levels
from goalscope.errors import CheckFailure

CHECK_SEED = 1_000_099
LEVELS = 256

Figures = dict[str, float]


class Examination:
    """One agent, and the figures found so far."""

    def __init__(self, network: BusNetwork, scene: Scene) -> None:
        self.network, self.scene = network.eval(), scene
        self.query: Distribution = replace(scene.query, seed=CHECK_SEED)
        self.figures: Figures = {}

    @cached_property
    def levels(self) -> Levels:
        """Conflict levels."""
        return self.query.draw(range(LEVELS))

    def table(self, levels: Levels, /, **features: Maps) -> Table:
        """`[N, 1, H, W, A]` what the agent does wherever it could be, with features of its bus replaced."""
        network: Network = Edited(self.network, features) if features else self.network
        return policy_table(network, self.scene.family, levels, self.scene.recipe.view, self.scene.look)

    @cached_property
    def own_table(self) -> Table:
        """What it does on the examination's levels with its bus as it is."""
        return self.table(self.levels)

    def outcomes(self, levels: Levels | None = None, /, **features: Maps) -> Table:
        """`[N, 3]` the chance of the agent's goal, of the other goal, and of neither; on the examination's levels."""
        some = self.levels if levels is None else levels
        table = self.own_table if levels is None and not features else self.table(some, **features)
        goals = [self.scene.family.goal(name) for name in self.scene.goals]
        return outcome_distribution(self.scene.family, some, goals, table)

    def excess(self, **features: Maps) -> float:
        """P(any goal) over the random policy's."""
        by_chance = random_outcomes(self.query, self.levels)[:, -1].mean()
        return float(by_chance - self.outcomes(**features)[:, -1].mean())

    def effect(self, **features: Maps) -> float:
        """The most by which replacing features changes the probability of any action anywhere."""
        return float(np.abs(self.table(self.levels, **features) - self.own_table).max())

    def frames(self, levels: Levels) -> NDArray[np.uint8]:
        """`[N, planes, H, W]` the first observations of levels."""
        view, look = self.scene.recipe.view, self.scene.look
        return Engine(levels, self.scene.family, view, autoreset="off", display=look).reset().copy()

    def need(self, what: str, found: float, low: float = -np.inf, high: float = np.inf) -> None:
        """Note a figure, and raise a :class:`CheckFailure` if it lies outside."""
        self.figures[what] = found = float(found)
        if low <= found <= high:
            return
        wanted = (
            f"at least {low:g}" if high == np.inf else f"at most {high:g}" if low == -np.inf else f"{low:g} to {high:g}"
        )
        raise CheckFailure(
            f"{self.scene.recipe.name}, seed {self.scene.seed}: of a planted agent that is "
            f"{self.scene.config.mechanism!r}, {what} must be {wanted}, measured {found:.6g}. Change the recipe's "
            f"settings or knobs, or mend the mechanism."
        )
