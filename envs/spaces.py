"""Gymnasium spaces of our observations, and what both environments take as arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from goalscope.envs.family import Family, Settings, Value
from goalscope.envs.program import observation_shape
from goalscope.envs.sampling import Distribution

MISSION_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ,.-_'")


def find_family(family: Family | str) -> Family:
    """The family itself, or the registered one of that id."""
    if isinstance(family, Family):
        return family
    from goalscope.registry import FAMILIES

    return FAMILIES.load(family)


def make_distribution(
    family: Family | str,
    shift: str,
    split: str,
    seed: int,
    alpha: float,
    alpha_shift: str,
    knobs: Mapping[str, Value],
) -> Distribution:
    """The distribution that an environment's arguments name."""
    return Distribution(find_family(family), shift, dict(knobs), split, seed, alpha, alpha_shift)


def mission_text(family: Family, settings: Settings, words: Sequence[int] = ()) -> str:
    """What MiniGrid would call the mission: what a level's own words name, else the intended goal."""
    named = " ".join(family.words[word] for word in words) if family.words and len(words) else ""
    return f"reach the {named or family.intended(settings).name}"


def observation_space(family: Family, settings: Settings, view: str, mission: bool) -> spaces.Space[Any]:
    """Planes are a Box `[C, H, W]`; MiniGrid's views are its Dict of image, direction and, for single ones, mission."""
    shape = observation_shape(view, family.canvas(settings), family.look(settings))
    image = spaces.Box(0, 255, shape, np.uint8)
    if view == "planes":
        return image
    entries: dict[str, spaces.Space[Any]] = {"image": image, "direction": spaces.Discrete(4)}
    if mission:
        entries["mission"] = spaces.Text(max_length=200, charset=MISSION_CHARACTERS)
    return spaces.Dict(entries)


def pack_observation(view: str, image: NDArray[np.uint8], direction: Any, **more: Any) -> Any:
    """An element of :func:`observation_space`."""
    return image if view == "planes" else {"image": image, "direction": direction, **more}
