"""Procedurally generated gridworlds in which several goals coincide in training, and the engine that steps them."""

from goalscope.envs.display import Display, Plane, Shows, colour_blind, default_display
from goalscope.envs.engine import Engine, Episodes, Step
from goalscope.envs.family import Family, Goal, Knob, Settings, Shift
from goalscope.envs.levels import Levels, blank, concatenate, validate
from goalscope.envs.sampling import Distribution, draw_twins
from goalscope.envs.world import Mover, Moves, On, Policy, Rule, Spawn, Then, Thing, Where, World

__all__ = [
    "Display",
    "Distribution",
    "Engine",
    "Episodes",
    "Family",
    "Goal",
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
    "blank",
    "colour_blind",
    "concatenate",
    "default_display",
    "draw_twins",
    "validate",
]
