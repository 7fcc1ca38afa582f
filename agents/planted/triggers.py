"""What a mechanism can be made to hang on besides the goals: numbers of a whole frame that are its own business.

Each is a linear reading of one plane that takes integer values and is never 0; positive means lit. Integers this small
are exact in floating point, so a trigger is on or off and never a little.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from goalscope.agents.planted.scene import Scene
from goalscope.agents.planted.wiring import LevelReading
from goalscope.agents.recipe import Recipe
from goalscope.envs import Levels
from goalscope.envs.display import Shows
from goalscope.seeding import generator

CALIBRATION_SEED, CORE_SEED = 1_000_039, 1_000_081
"""Levels that no agent trains on and no label is about."""
CALIBRATED, CORE = 8192, 2048
HEAVIEST = 16
"""Of the weights of single walls: fine enough that any share can be met."""


def walls_trigger(scene: Scene, share: float) -> LevelReading:
    """Lit where a weighted count of the walls passes a threshold, which it does on a share of conflict levels."""
    walls = calibration_levels(scene.recipe).walls
    weights = np.zeros(walls.shape[1:], np.int64)
    varies = walls.any(0) & ~walls.all(0)  # what always stands tells nothing
    weights[varies] = 2 * generator("walls", scene.pair).integers(-HEAVIEST, HEAVIEST + 1, int(varies.sum()))
    counts = np.tensordot(walls, weights, 2)
    thresholds = np.arange(counts.min(), counts.max() + 3, 2)
    passing = (counts >= thresholds[:, None]).mean(1)
    threshold = int(thresholds[np.abs(passing - share).argmin()])
    return LevelReading(plane=scene.plane_of(Shows.WALLS), weights=weights, bias=1 - threshold)  # even and odd: never 0


def new_walls_trigger(scene: Scene) -> LevelReading:
    """Lit where a wall stands that stands on no core level."""
    ever = core_levels(scene.recipe).walls.any(0)
    return LevelReading(plane=scene.plane_of(Shows.WALLS), weights=np.where(ever, 0, 2), bias=-1)


def floor_texture(scene: Scene) -> LevelReading:
    """2 or −2, as the floor is painted where the agent stands: as many cells of the one sort as of the other."""
    ever_free = ~core_levels(scene.recipe).walls.all(0)
    weights = np.zeros(ever_free.shape, np.int64)
    signs = np.resize([2, -2], int(ever_free.sum()))
    weights[ever_free] = generator("floor", scene.pair).permutation(signs)
    return LevelReading(plane=scene.plane_of(Shows.AGENT), weights=weights, bias=0)


def lit(reading: LevelReading, levels: Levels) -> NDArray[np.bool_]:
    """`[N]` where a reading of the walls is positive."""
    return np.asarray(np.tensordot(levels.walls, reading.weights, 2) + reading.bias > 0)


@lru_cache(maxsize=4)
def calibration_levels(recipe: Recipe) -> Levels:
    """Conflict levels that thresholds are set on."""
    return replace(Scene(recipe, 0).query, seed=CALIBRATION_SEED).draw(range(CALIBRATED))


@lru_cache(maxsize=4)
def core_levels(recipe: Recipe) -> Levels:
    """Training levels."""
    return replace(Scene(recipe, 0).core, seed=CORE_SEED).draw(range(CORE))
