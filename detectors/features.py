"""What each goal's feature adds to an agent's observation, also where no plane shows it alone: in MiniGrid's views.

There a cell has one shape and one colour, and what lies on it shares them: a coin on the end tile is a green ball. So a
feature is a *change*: the observation less what the same level shows when the goal's marks are taken off it (the coin
off: a green tile; the end off: a yellow ball). Nobody is ever asked about such levels: the changes only serve as
directions in which issued frames are differentiated, and need no agent at all.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from goalscope.agents.recipe import Recipe
from goalscope.envs import Distribution, Engine, Family, Goal, Levels
from goalscope.envs.codes import AGENT, COLOUR_NAMES
from goalscope.envs.world import On
from goalscope.errors import UnsupportedError
from goalscope.registry import FAMILIES
from goalscope.seeding import stream

CODES = (AGENT + 1, len(COLOUR_NAMES), 4)
"""MiniGrid's objects, colours and states; as in :class:`goalscope.agents.layers.OneHot`, which brings in torch."""
LOOKED_AT = 32
"""Levels on which it is found how things look."""
Bytes = NDArray[np.uint8]


def marks_of(family: Family, goal: Goal) -> int:
    """The marks that count a goal's event, on being entered or bumped into."""
    return family.world.trigger_mask(goal.event) | family.world.trigger_mask(goal.event, On.BUMP)


def view_of(recipe: Recipe, levels: Levels, view: str) -> Bytes:
    """`[N, W, H, 3]` the first observations of levels in one of MiniGrid's views, looking as in training."""
    family = FAMILIES.load(recipe.family)
    display = family.look(family.settings("train", **recipe.knobs))
    return Engine(levels, family, view, autoreset="off", display=display).reset().copy()


def without(family: Family, goal: Goal, levels: Levels) -> Levels:
    """The same levels with the goal's marks taken off."""
    bare = levels.take(slice(None))
    bare.marks[:] &= np.uint16(~marks_of(family, goal) & 0xFFFF)
    return bare


def one_hot(view: Bytes) -> NDArray[np.float32]:
    """`[N, planes, W, H]` MiniGrid's view `[N, W, H, 3]` as networks encode it."""
    planes = [np.eye(size, dtype=np.float32)[view[..., k]] for k, size in enumerate(CODES)]
    return np.moveaxis(np.concatenate(planes, axis=-1), -1, 1)


def check_one_hot(shape: tuple[int, ...]) -> None:
    """Raise an :class:`UnsupportedError` unless a network, its input of `shape`, makes planes of MiniGrid's codes."""
    if shape[0] != sum(CODES):
        raise UnsupportedError(
            f"The network reads MiniGrid's codes as numbers, its input is {list(shape)}: their size has no meaning to "
            f"differentiate. Methods that compare features need planes, or a network that makes {sum(CODES)} of codes."
        )


def feature_changes(
    recipe: Recipe, goals: tuple[Goal, ...], levels: Levels, view: str, whole: Bytes | None = None
) -> NDArray[np.float32]:
    """`[K, N, planes, W, H]` what each goal's feature adds to views of levels; `whole` are these, where known."""
    family = FAMILIES.load(recipe.family)
    seen = one_hot(view_of(recipe, levels, view) if whole is None else whole)
    return np.stack([seen - one_hot(view_of(recipe, without(family, goal, levels), view)) for goal in goals])


@lru_cache(maxsize=16)
def lit_planes(recipe: Recipe, goals: tuple[Goal, ...]) -> list[list[int]]:
    """For each goal the planes that its feature adds to anything on training levels seen as a whole.

    None where it shows on no level: a thing without a look, or one that always lies under another's.
    """
    family = FAMILIES.load(recipe.family)
    knobs = {name: value for name, value in recipe.knobs.items() if name != "p_hide"}
    levels = Distribution(family, "train", knobs, "reference", stream("looks")).draw(range(LOOKED_AT))
    added = feature_changes(recipe, goals, levels, "full") > 0
    return [np.flatnonzero(lit.any((0, 2, 3))).tolist() for lit in added]
