"""Procedurally generated gridworlds in which several goals coincide in training, and the engine that steps them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from goalscope.envs.display import Display, Plane, Shows, colour_blind, default_display
from goalscope.envs.engine import Engine, Episodes, Step
from goalscope.envs.family import Family, Goal, Knob, Settings, Shift
from goalscope.envs.levels import Levels, blank, concatenate, validate
from goalscope.envs.sampling import Distribution, draw_together, draw_twins
from goalscope.envs.world import Mover, Moves, On, Policy, Rule, Spawn, Then, Thing, Where, World

if TYPE_CHECKING:
    from goalscope.envs.ascii import from_ascii, to_ascii
    from goalscope.envs.checks import check_env
    from goalscope.envs.minigrid import MINIGRID, from_minigrid
    from goalscope.envs.render import ansi, frame, sheet
    from goalscope.envs.single_env import GridEnv
    from goalscope.envs.vector_env import GridVectorEnv

__all__ = [
    "MINIGRID",
    "Display",
    "Distribution",
    "Engine",
    "Episodes",
    "Family",
    "Goal",
    "GridEnv",
    "GridVectorEnv",
    "Knob",
    "Levels",
    "Mover",
    "Moves",
    "On",
    "Plane",
    "Policy",
    "Rule",
    "Settings",
    "Shift",
    "Shows",
    "Spawn",
    "Step",
    "Then",
    "Thing",
    "Where",
    "World",
    "ansi",
    "blank",
    "check_env",
    "colour_blind",
    "concatenate",
    "default_display",
    "draw_together",
    "draw_twins",
    "frame",
    "from_ascii",
    "from_minigrid",
    "sheet",
    "to_ascii",
    "validate",
]

# These bring in MiniGrid, Gymnasium or Pillow, which an engine alone does without: they are loaded when asked for.
_LATER = {
    "MINIGRID": "minigrid",
    "GridEnv": "single_env",
    "GridVectorEnv": "vector_env",
    "ansi": "render",
    "check_env": "checks",
    "frame": "render",
    "from_ascii": "ascii",
    "from_minigrid": "minigrid",
    "sheet": "render",
    "to_ascii": "ascii",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
