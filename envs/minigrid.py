"""Real MiniGrid environments as levels of this engine.

:func:`from_minigrid` reads the current state of an environment, :data:`MINIGRID` holds the rules under which the engine
then plays on exactly as MiniGrid does (Chevalier-Boisvert et al. 2023, arXiv 2306.13831): the lock-step tests compare
images, headings, rewards and ends. Goals and lava are MiniGrid objects and need no rule. The other way leads
:func:`grid_of`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from gymnasium import Env
from minigrid.core.world_object import Ball, Box, Door, Floor, Goal, Key, Lava, Wall, WorldObj
from minigrid.envs.blockedunlockpickup import BlockedUnlockPickupEnv
from minigrid.envs.keycorridor import KeyCorridorEnv
from minigrid.envs.obstructedmaze import ObstructedMazeEnv
from minigrid.envs.unlock import UnlockEnv
from minigrid.envs.unlockpickup import UnlockPickupEnv
from minigrid.minigrid_env import MiniGridEnv

from goalscope.envs.codes import CLOSED, DOOR, EMPTY_CODE, code
from goalscope.envs.grids import grid_of
from goalscope.envs.levels import Levels, blank, validate
from goalscope.envs.world import Moves, On, Rule, Then, Thing, World
from goalscope.errors import UnsupportedError

__all__ = ["MINIGRID", "from_minigrid", "grid_of", "supported", "world_for", "write_state"]

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

_OBJECTS = frozenset((Wall, Floor, Door, Key, Ball, Box, Goal, Lava))


def world_for(env: Env[Any, Any]) -> World:
    """The rules of an environment: :data:`MINIGRID`, seeing through walls where the environment does."""
    return replace(MINIGRID, see_through=bool(supported(env).see_through_walls))


def from_minigrid(env: Env[Any, Any], *, any_step: bool = False) -> Levels:
    """The current state of a MiniGrid environment as one level, whose clock starts anew.

    Mechanics that the engine does not have raise an :class:`UnsupportedError`. With `any_step` a step of the
    environment's own is none: the state alone is read, and what counts, pays and ends is the caller's business.
    """
    real = supported(env, any_step)
    levels = blank(1, (real.height, real.width), events=len(MINIGRID.events))
    write_state(real, levels, 0)
    attribute, mark = _SOUGHT.get(type(real).step, ("", ""))
    sought = getattr(real, attribute) if attribute else None
    for index, thing in enumerate(real.grid.grid):
        if thing is not None and thing is sought:
            levels.marks[0, index // real.width, index % real.width] = MINIGRID.bit(mark)
    if isinstance(sought, Door) and sought.is_open:
        raise UnsupportedError("The door to open is open already: MiniGrid would count any toggle, the engine none.")
    validate(levels)
    return levels


def write_state(real: MiniGridEnv, levels: Levels, i: int) -> None:
    """Make level `i`, a blank one of the right size, what the environment's grid, agent and deadline are now."""
    grid, width = real.grid.grid, real.width
    levels.cells[i] = np.array([_code(thing) for thing in grid], np.uint8).reshape(levels.canvas)
    for index, thing in enumerate(grid):
        if type(thing) is Box:
            levels.contents[i, index // width, index % width] = _contents(thing)
    x, y = (int(v) for v in real.agent_pos)
    levels.agent[i] = x, y, int(real.agent_dir), _code(real.carrying) if real.carrying else 0
    levels.carried_contents[i] = _contents(real.carrying)
    levels.max_steps[i] = int(real.max_steps)


def supported(env: Env[Any, Any], any_step: bool = False) -> MiniGridEnv:
    """The MiniGrid environment inside `env`, if the engine has all its mechanics, or all but those of its `step`."""
    real = env.unwrapped
    name = type(real).__name__
    if not isinstance(real, MiniGridEnv):
        raise UnsupportedError(f"Expected a MiniGrid environment, got {name}.")
    if not any_step and type(real).step not in _SOUGHT:
        owners = ", ".join(sorted(step.__qualname__.split(".")[0] for step in _SOUGHT))
        raise UnsupportedError(f"{name} has a step of its own. The engine reproduces the steps of {owners}.")
    for method in ("_reward", "gen_obs", "gen_obs_grid", "get_view_exts"):
        if getattr(type(real), method) is not getattr(MiniGridEnv, method):
            raise UnsupportedError(f"{name} overrides {method}; the engine has only MiniGrid's own.")
    if real.agent_view_size != VIEW_SIZE:
        raise UnsupportedError(f"{name} sees {real.agent_view_size} cells a side, the engine's view has {VIEW_SIZE}.")
    return real


def _contents(thing: WorldObj | None) -> int:
    """The code of what a box holds, 0 for nothing."""
    if not isinstance(thing, Box) or thing.contains is None:
        return 0
    if isinstance(thing.contains, Box) and thing.contains.contains is not None:
        raise UnsupportedError("A box in a box holds something: the engine keeps the contents of one box, no deeper.")
    return _code(thing.contains)


def _code(thing: WorldObj | None) -> int:
    if thing is None:
        return EMPTY_CODE
    if type(thing) not in _OBJECTS:
        known = ", ".join(sorted(kind.__name__ for kind in _OBJECTS))
        raise UnsupportedError(f"The engine knows MiniGrid's own objects ({known}), not {type(thing).__name__}.")
    if isinstance(thing, Door) and thing.is_open and thing.is_locked:
        raise UnsupportedError("A door is both open and locked: the engine knows open, closed and locked doors.")
    if thing.type != "door":
        return _plain_code(thing.type, thing.color)
    kind, colour, state = thing.encode()
    return int((CLOSED + state - 1 if kind == DOOR and state else kind) | colour << 4)


_plain_code = cache(code)
"""By type and colour, the code of an object without a state; MiniGrid's names are ours."""
