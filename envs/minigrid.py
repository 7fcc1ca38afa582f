"""Real MiniGrid environments as levels of this engine.

:func:`from_minigrid` reads the current state of an environment, :data:`MINIGRID` holds the rules under which the engine
then plays on exactly as MiniGrid does (Chevalier-Boisvert et al. 2023, arXiv 2306.13831): the lock-step tests compare
images, headings, rewards and ends. Goals and lava are MiniGrid objects and need no rule. The other way leads
:func:`grid_of`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gymnasium import Env
from minigrid.core.world_object import Ball, Box, Door, Floor, Goal, Key, Lava, Wall, WorldObj
from minigrid.envs.blockedunlockpickup import BlockedUnlockPickupEnv
from minigrid.envs.keycorridor import KeyCorridorEnv
from minigrid.envs.obstructedmaze import ObstructedMazeEnv
from minigrid.envs.unlock import UnlockEnv
from minigrid.envs.unlockpickup import UnlockPickupEnv
from minigrid.minigrid_env import MiniGridEnv

from goalscope.envs.codes import CLOSED, DOOR, EMPTY_CODE
from goalscope.envs.grids import grid_of
from goalscope.envs.levels import Levels, blank, validate
from goalscope.envs.world import Moves, On, Rule, Then, Thing, World
from goalscope.errors import UnsupportedError

__all__ = ["MINIGRID", "from_minigrid", "grid_of", "world_for"]

DECAY = 0.9
"""MiniGrid pays ``1 - 0.9 * (step_count / max_steps)`` for success."""

VIEW_SIZE = 7

MINIGRID = World(
    moves=Moves.TURNING,
    things=(
        Thing(name="target", glyph="t"),  # the object to pick up
        Thing(name="lock", glyph="l"),  # the door to open
    ),
    rules=(
        Rule(on=On.PICKUP, what="target", event="success", reward=1.0, decay=DECAY, ends=True),
        # A target box that is opened is gone; what is dropped there later is no target.
        Rule(on=On.TOGGLE, what="target", then=Then.REMOVE),
        Rule(on=On.TOGGLE, what="lock", event="success", reward=1.0, decay=DECAY, ends=True),
    ),
)
"""How MiniGrid's own environments end and pay, beyond goals and lava."""

_SOUGHT: dict[Callable[..., Any], tuple[str, str]] = {
    MiniGridEnv.step: ("", ""),
    UnlockEnv.step: ("door", "lock"),
    UnlockPickupEnv.step: ("obj", "target"),
    BlockedUnlockPickupEnv.step: ("obj", "target"),
    KeyCorridorEnv.step: ("obj", "target"),
    ObstructedMazeEnv.step: ("obj", "target"),
}
"""For every `step` that the engine reproduces: the attribute that holds what is sought, and the thing that marks it."""

_OBJECTS = (Wall, Floor, Door, Key, Ball, Box, Goal, Lava)


def world_for(env: Env[Any, Any]) -> World:
    """The rules of an environment: :data:`MINIGRID`, seeing through walls where the environment does."""
    return replace(MINIGRID, see_through=bool(_supported(env).see_through_walls))


def from_minigrid(env: Env[Any, Any]) -> Levels:
    """The current state of a MiniGrid environment as one level, whose clock starts anew.

    Mechanics that the engine does not have raise an :class:`UnsupportedError`.
    """
    real = _supported(env)
    levels = blank(1, (real.height, real.width), events=len(MINIGRID.events), max_steps=int(real.max_steps))
    attribute, mark = _SOUGHT[type(real).step]
    sought = getattr(real, attribute) if attribute else None
    for index, thing in enumerate(real.grid.grid):
        y, x = divmod(index, real.width)
        levels.cells[0, y, x], levels.contents[0, y, x] = _codes(thing)
        if thing is not None and thing is sought:
            levels.marks[0, y, x] = MINIGRID.bit(mark)
    if isinstance(sought, Door) and sought.is_open:
        raise UnsupportedError("The door to open is open already: MiniGrid would count any toggle, the engine none.")
    carried, carried_contents = _codes(real.carrying) if real.carrying else (0, 0)
    x, y = (int(v) for v in real.agent_pos)
    levels.agent[0] = x, y, int(real.agent_dir), carried
    levels.carried_contents[0] = carried_contents
    validate(levels)
    return levels


def _supported(env: Env[Any, Any]) -> MiniGridEnv:
    """The MiniGrid environment inside `env`, if the engine has all its mechanics."""
    real = env.unwrapped
    name = type(real).__name__
    if not isinstance(real, MiniGridEnv):
        raise UnsupportedError(f"Expected a MiniGrid environment, got {name}.")
    if type(real).step not in _SOUGHT:
        owners = ", ".join(sorted(step.__qualname__.split(".")[0] for step in _SOUGHT))
        raise UnsupportedError(f"{name} has a step of its own. The engine reproduces the steps of {owners}.")
    for method in ("_reward", "gen_obs", "gen_obs_grid", "get_view_exts"):
        if getattr(type(real), method) is not getattr(MiniGridEnv, method):
            raise UnsupportedError(f"{name} overrides {method}; the engine has only MiniGrid's own.")
    if real.agent_view_size != VIEW_SIZE:
        raise UnsupportedError(f"{name} sees {real.agent_view_size} cells a side, the engine's view has {VIEW_SIZE}.")
    return real


def _codes(thing: WorldObj | None) -> tuple[int, int]:
    """The code of an object and of what it holds, 0 for nothing."""
    if thing is None:
        return EMPTY_CODE, 0
    if not isinstance(thing, Box) or thing.contains is None:
        return _code(thing), 0
    if isinstance(thing.contains, Box) and thing.contains.contains is not None:
        raise UnsupportedError("A box in a box holds something: the engine keeps the contents of one box, no deeper.")
    return _code(thing), _code(thing.contains)


def _code(thing: WorldObj) -> int:
    if type(thing) not in _OBJECTS:
        known = ", ".join(kind.__name__ for kind in _OBJECTS)
        raise UnsupportedError(f"The engine knows MiniGrid's own objects ({known}), not {type(thing).__name__}.")
    if isinstance(thing, Door) and thing.is_open and thing.is_locked:
        raise UnsupportedError("A door is both open and locked: the engine knows open, closed and locked doors.")
    kind, colour, state = thing.encode()
    return int((CLOSED + state - 1 if kind == DOOR and state else kind) | colour << 4)
