"""Reading real MiniGrid environments: all arrives, what is sought is marked, the rest is refused with a reason."""

from __future__ import annotations

from typing import Any

import gymnasium
import minigrid  # noqa: F401  (registers the environments)
import numpy as np
import pytest
from minigrid.core import world_object
from minigrid.core.grid import Grid
from minigrid.core.mission import MissionSpace
from minigrid.core.world_object import Box, Door, Floor, Goal, Key, Wall, WorldObj
from minigrid.minigrid_env import MiniGridEnv

from goalscope.envs.ascii import to_ascii
from goalscope.envs.codes import DROP, PICKUP, TOGGLE
from goalscope.envs.engine import Engine
from goalscope.envs.levels import concatenate
from goalscope.envs.minigrid import MINIGRID, from_minigrid, world_for
from goalscope.errors import LevelError, UnsupportedError

things: Any = world_object  # MiniGrid annotates only some of its objects


class Room(MiniGridEnv):
    """A 5 × 4 room with the agent at the top left, looking right; tests put objects where they like."""

    def __init__(self, **options: Any) -> None:
        super().__init__(MissionSpace(mission_func=lambda: "look"), width=5, height=4, max_steps=77, **options)
        self.reset()

    def _gen_grid(self, width: int, height: int) -> None:
        self.grid = Grid(width, height)
        self.grid.wall_rect(0, 0, width, height)
        self.agent_pos, self.agent_dir = (1, 1), 0
        self.mission = "look"


class Generous(Room):
    def _reward(self) -> float:
        return 7.0


class Restless(Room):
    def step(self, action: Any) -> Any:
        return super().step(action)


class Statue(WorldObj):
    def __init__(self) -> None:
        super().__init__("wall", "grey")


def _real(env_id: str, seed: int = 0, **options: Any) -> Any:
    env = gymnasium.make(env_id, **options)
    env.reset(seed=seed)
    return env.unwrapped


def test_every_object_arrives_with_colour_state_and_contents() -> None:
    room: Any = Room()
    objects = [Box("red", Key("blue")), Door("green", is_locked=True), Door("yellow"), Floor("purple"), things.Lava()]
    for thing, at in zip(objects, [(2, 1), (3, 1), (1, 2), (2, 2), (3, 2)], strict=True):
        room.grid.set(*at, thing)
    room.grid.set(4, 1, Wall("blue"))
    room.carrying = Box("grey", Door("purple", is_open=True))
    assert to_ascii(from_minigrid(room), 0, MINIGRID).splitlines() == [
        "max_steps: 77",
        "carried: box grey holding door purple",
        "#####",
        "#>123",
        "#456#",
        "#####",
        "1 = box red holding key blue",
        "2 = locked door green",
        "3 = wall blue",
        "4 = closed door yellow",
        "5 = floor purple",
        "6 = lava red",
    ]


def test_the_current_state_is_read_and_its_clock_starts_anew() -> None:
    room = Room()
    room.grid.set(2, 1, things.Ball("red"))
    for action in (PICKUP, 2, 1):
        room.step(action)
    levels = from_minigrid(room)
    assert to_ascii(levels, 0, MINIGRID).splitlines()[:4] == ["max_steps: 77", "carried: ball red", "#####", "#.v.#"]


@pytest.mark.parametrize(
    ("env_id", "attribute", "thing"),
    [
        ("MiniGrid-Unlock-v0", "door", "lock"),
        ("MiniGrid-UnlockPickup-v0", "obj", "target"),
        ("MiniGrid-BlockedUnlockPickup-v0", "obj", "target"),
        ("MiniGrid-KeyCorridorS3R3-v0", "obj", "target"),
        ("MiniGrid-ObstructedMaze-1Dlhb-v0", "obj", "target"),
        ("MiniGrid-ObstructedMaze-Full-v1", "obj", "target"),
    ],
)
def test_what_is_sought_is_marked(env_id: str, attribute: str, thing: str) -> None:
    for seed in range(5):
        env = _real(env_id, seed)
        x, y = getattr(env, attribute).cur_pos
        marks = from_minigrid(env).marks
        assert np.argwhere(marks).tolist() == [[0, y, x]]
        assert marks[0, y, x] == MINIGRID.bit(thing)


def test_an_opened_target_box_is_no_target_any_more() -> None:
    env = _real("MiniGrid-UnlockPickup-v0")
    x, y = env.obj.cur_pos
    env.agent_pos, env.agent_dir, env.carrying = (x, y - 1), 1, Key("red")
    if env.grid.get(x, y - 1) is not None:
        env.agent_pos, env.agent_dir = (x, y + 1), 3
    engine = Engine(from_minigrid(env), world_for(env), view="ego", autoreset="off")
    engine.reset()
    for action in (TOGGLE, DROP, PICKUP):
        _, reward, terminated, _, _ = env.step(action)
        ours = engine.step(np.array([action]))
        assert (reward, terminated) == (0, False) == (ours.reward[0], ours.terminated[0])
    assert env.carrying.color == "red" and engine.snapshot().agent[0, 3] == 5


def test_worlds_see_through_walls_where_minigrid_does() -> None:
    assert world_for(_real("MiniGrid-Empty-5x5-v0")).see_through
    assert not world_for(_real("MiniGrid-LavaGapS5-v0")).see_through


def test_multirooms_open_edge_is_kept_as_nobody_can_reach_it() -> None:
    env = _real("MiniGrid-MultiRoom-N6-v0", seed=3)
    ours, real = from_minigrid(env).cells[0].T & 15, env.grid.encode()[..., 0]
    assert (real[0] == 1).any()
    assert ((ours == real) | (ours == 11)).all()


def _without_border() -> Room:
    room = Room()
    room.grid.set(4, 2, Floor("red"))
    return room


def test_an_edge_that_the_agent_can_reach_is_refused() -> None:
    with pytest.raises(LevelError, match="border must be closed"):
        from_minigrid(_without_border())


def _environments() -> list[str]:
    """Every registered environment in its newest version; WFC's need packages of their own."""
    ids = [i for i in gymnasium.registry if i.startswith(("MiniGrid-", "BabyAI-")) and "WFC" not in i]
    return sorted(i for i in ids if i[:-1] + "1" not in ids or i.endswith("v1"))


def test_environments_are_read_or_refused_by_what_their_class_does() -> None:
    refused = set()
    for env_id in _environments():
        if env_id.startswith("BabyAI-"):
            continue
        try:
            from_minigrid(_real(env_id))
        except UnsupportedError as error:
            assert "has a step of its own. The engine reproduces the steps of" in str(error)
            refused.add(env_id.split("-")[1])
    moving = {"Dynamic"}
    others = {"Fetch", "GoToDoor", "GoToObject", "PutNear", "RedBlueDoors"}
    memory = {"MemoryS7", "MemoryS9", "MemoryS11", "MemoryS13", "MemoryS13Random", "MemoryS17Random"}
    assert refused == moving | others | memory


def test_babyai_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="GoToLocal has a step of its own"):
        from_minigrid(_real("BabyAI-GoToLocal-v0"))


def _with(thing: WorldObj | None) -> Room:
    room = Room()
    room.grid.set(3, 2, thing)
    return room


def _unlocked() -> Any:
    env = _real("MiniGrid-Unlock-v0")
    env.door.is_locked, env.door.is_open = False, True
    return env


@pytest.mark.parametrize(
    ("env", "reason"),
    [
        (lambda: gymnasium.make("CartPole-v1"), "Expected a MiniGrid environment, got CartPoleEnv"),
        (Restless, "Restless has a step of its own.*BlockedUnlockPickupEnv, KeyCorridorEnv, MiniGridEnv"),
        (Generous, "Generous overrides _reward"),
        (lambda: Room(agent_view_size=5), "Room sees 5 cells a side, the engine's view has 7"),
        (lambda: _with(Box("red", Box("blue", things.Ball("red")))), "A box in a box holds something"),
        (lambda: _with(Statue()), "not Statue"),
        (lambda: _with(Door("red", is_open=True, is_locked=True)), "both open and locked"),
        (_unlocked, "open already"),
    ],
)
def test_what_the_engine_does_not_have_is_refused_with_a_reason(env: Any, reason: str) -> None:
    with pytest.raises(UnsupportedError, match=reason):
        from_minigrid(env())


def test_a_box_may_hold_an_empty_box_and_a_goal_may_have_any_colour() -> None:
    room = _with(Box("red", Box("blue")))
    room.grid.set(2, 1, Goal("purple"))
    text = to_ascii(from_minigrid(room), 0, MINIGRID)
    assert "2 = box red holding box blue" in text and "1 = goal purple" in text


class Maze(MiniGridEnv):
    """Random walls and closed doors around the agent."""

    def __init__(self, density: float) -> None:
        self.density = density
        super().__init__(MissionSpace(mission_func=lambda: "look"), grid_size=9)

    def _gen_grid(self, width: int, height: int) -> None:
        self.grid = Grid(width, height)
        self.grid.wall_rect(0, 0, width, height)
        for x, y in (np.argwhere(self.np_random.random((7, 7)) < self.density) + 1).tolist():
            self.grid.set(x, y, Door("red") if self.np_random.random() < 0.3 else Wall())
        self.agent_pos, self.agent_dir = self._rand_pos(1, 8, 1, 8), self._rand_int(0, 4)
        self.grid.set(*self.agent_pos, None)
        self.mission = "look"


@pytest.mark.parametrize("density", [0.1, 0.25, 0.4, 0.6])
def test_walls_hide_the_same_cells_as_in_minigrid(density: float) -> None:
    env = Maze(density)
    parts, images = [], []
    for seed in range(500):
        images.append(env.reset(seed=seed)[0]["image"])
        parts.append(from_minigrid(env))
    assert np.array_equal(Engine(concatenate(parts), world_for(env), view="ego").reset(), np.array(images))
