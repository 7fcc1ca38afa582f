"""The engine and real MiniGrid in lock-step: images, headings, rewards and ends must agree at every single step."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import gymnasium
import numpy as np
import pytest
from minigrid import wrappers
from minigrid.core.grid import Grid
from minigrid.core.mission import MissionSpace
from minigrid.core.world_object import Ball, Box, Door, Floor, Goal, Key, Lava, Wall, WorldObj
from minigrid.minigrid_env import MiniGridEnv
from numpy.typing import NDArray

from goalscope.envs.codes import DROP, FORWARD, PICKUP, TOGGLE, TURN_LEFT, TURN_RIGHT
from goalscope.envs.engine import Engine
from goalscope.envs.levels import concatenate
from goalscope.envs.minigrid import from_minigrid, world_for

MINIGRIDS_FULL_VIEW: Any = wrappers.FullyObsWrapper
COLOURS = ("red", "green", "blue", "purple", "yellow", "grey")
Choose = Callable[[int, MiniGridEnv], int]
"""An action for the environment of that number."""


class Lockstep:
    """Real environments, just reset, and two engines (both of MiniGrid's views) that begin where they are."""

    def __init__(self, envs: Sequence[MiniGridEnv]) -> None:
        self.envs = list(envs)
        levels = concatenate([from_minigrid(env) for env in envs])
        world = world_for(envs[0])
        self.engines = [Engine(levels, world, view=view, autoreset="off") for view in ("ego", "full")]
        self.running = np.ones(len(envs), bool)
        self.seen: Counter[str] = Counter()
        ego, full = (engine.reset() for engine in self.engines)
        for k, env in enumerate(self.envs):
            self._compare_images(k, cast(Any, env).gen_obs(), ego[k], full[k])

    def play(self, choose: Choose, steps: int) -> None:
        """Let `choose` act until every episode has ended, at most `steps` steps."""
        for _ in range(steps):
            if not self.running.any():
                return
            self._step([choose(k, env) if self.running[k] else 0 for k, env in enumerate(self.envs)])

    def _step(self, actions: list[int]) -> None:
        outs = [engine.step(np.array(actions)) for engine in self.engines]
        for k in np.flatnonzero(self.running).tolist():
            env, front = self.envs[k], _front(self.envs[k])
            was_open = isinstance(front, Door) and front.is_open
            obs, reward, terminated, truncated, _ = env.step(actions[k])
            for engine, out in zip(self.engines, outs, strict=True):
                ours = (out.reward[k], bool(out.terminated[k]), bool(out.truncated[k]), int(engine.headings[k]))
                assert ours == (np.float32(reward), terminated, truncated, obs["direction"])
            self._compare_images(k, obs, outs[0].obs[k], outs[1].obs[k])
            self.running[k] = not (terminated or truncated)
            self.seen["steps"] += 1
            self.seen["successes"] += float(reward) > 0
            self.seen["lava deaths"] += terminated and isinstance(front, Lava)
            self.seen["truncations"] += truncated
            self.seen["carrying"] += env.carrying is not None
            self.seen["doors opened"] += isinstance(front, Door) and front.is_open and not was_open

    def _compare_images(self, k: int, obs: Any, ego: NDArray[np.uint8], full: NDArray[np.uint8]) -> None:
        assert np.array_equal(obs["image"], ego)
        real = MINIGRIDS_FULL_VIEW(self.envs[k]).observation(obs)["image"]
        assert np.array_equal(real, full)


def _front(env: MiniGridEnv) -> WorldObj | None:
    return env.grid.get(*env.front_pos)


# ---------------------------------------------------------------------------------- MiniGrid's own environments

Plan = list[int]
OWN = {
    "MiniGrid-Empty-8x8-v0": ("successes", "truncations"),
    "MiniGrid-Empty-Random-6x6-v0": ("successes", "truncations"),
    "MiniGrid-DoorKey-5x5-v0": ("successes", "doors opened", "carrying"),
    "MiniGrid-DoorKey-8x8-v0": ("successes", "doors opened", "carrying"),
    "MiniGrid-DoorKey-16x16-v0": ("successes", "doors opened", "carrying"),
    "MiniGrid-MultiRoom-N4-S5-v1": ("successes", "doors opened", "truncations"),
    "MiniGrid-LavaGapS7-v0": ("successes", "lava deaths"),
    "MiniGrid-FourRooms-v0": ("successes", "truncations"),
    "MiniGrid-Unlock-v0": ("successes", "doors opened", "carrying"),
    "MiniGrid-UnlockPickup-v0": ("successes", "doors opened", "carrying", "truncations"),
    "MiniGrid-BlockedUnlockPickup-v0": ("successes", "doors opened", "carrying"),
    "MiniGrid-KeyCorridorS3R3-v0": ("successes", "doors opened", "carrying", "truncations"),
    "MiniGrid-ObstructedMaze-1Dlh-v0": ("successes", "doors opened", "carrying"),
}
"""What must have happened, at least five times, in each."""


def _ways(env: MiniGridEnv) -> Iterator[tuple[WorldObj | None, Plan]]:
    """What the agent can come to face, nearest first, and the turns and steps that lead there."""
    start = (int(env.agent_pos[0]), int(env.agent_pos[1]), int(env.agent_dir))
    queue: deque[tuple[tuple[int, int, int], Plan]] = deque([(start, [])])
    known, faced = {start}, set()
    while queue:
        (x, y, heading), plan = queue.popleft()
        ahead = (x + (heading == 0) - (heading == 2), y + (heading == 1) - (heading == 3))
        front = env.grid.get(*ahead)
        if ahead not in faced:
            faced.add(ahead)
            yield front, plan
        steps = [(TURN_LEFT, (x, y, (heading + 3) % 4)), (TURN_RIGHT, (x, y, (heading + 1) % 4))]
        if front is None or (front.can_overlap() and front.type not in ("goal", "lava")):
            steps.append((FORWARD, (*ahead, heading)))
        for action, state in steps:
            if state not in known:
                known.add(state)
                queue.append((state, [*plan, action]))


def _wish(env: MiniGridEnv, front: WorldObj | None) -> tuple[int, int]:
    """How much a solver wants to act on what it faces (0: not at all), and how."""
    held = env.carrying
    if isinstance(front, Goal):
        return 9, FORWARD
    if front is not None and front is getattr(env, "obj", None) and held is None:
        return 8, PICKUP
    if isinstance(front, Door) and front.is_locked and isinstance(held, Key) and held.color == front.color:
        return 7, TOGGLE
    if isinstance(front, Door) and not front.is_locked and not front.is_open:
        return 6, TOGGLE
    if isinstance(front, Box) and front.contains is not None:
        return 5, TOGGLE
    if held is None and isinstance(front, Ball) and front.cur_pos is None:
        return 4, PICKUP  # MiniGrid does not tell a ball that blocks a door where it is
    if held is None and isinstance(front, Key):
        return 3, PICKUP
    if front is None and held is not None:
        return 2, DROP
    return 0, TURN_LEFT


def _plan(env: MiniGridEnv, rng: np.random.Generator) -> Plan:
    """The nearest of the most wanted things to do; a burden is put down at a random place."""
    wishes = [(_wish(env, front), plan) for front, plan in _ways(env)]
    best = max(wish for (wish, _), _ in wishes)
    plans = [[*plan, action] for (wish, action), plan in wishes if wish == best]
    return plans[int(rng.integers(len(plans)))] if best == 2 else plans[0]


class Solver:
    """Does what brings the episode on, mostly; every fourth environment acts at random altogether."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.plans: dict[int, Plan] = {}

    def __call__(self, k: int, env: MiniGridEnv) -> int:
        if k % 4 == 3 or self.rng.random() < 0.1:
            self.plans.pop(k, None)
            return int(self.rng.integers(7))
        if not self.plans.get(k):
            self.plans[k] = _plan(env, self.rng)
        return self.plans[k].pop(0)


def _make(env_id: str, seed: int) -> MiniGridEnv:
    env = gymnasium.make(env_id).unwrapped
    assert isinstance(env, MiniGridEnv)
    env.reset(seed=seed)
    return env


@pytest.mark.parametrize("env_id", OWN)
def test_minigrids_own_environments_agree_step_by_step(env_id: str) -> None:
    lockstep = Lockstep([_make(env_id, seed) for seed in range(64)])
    lockstep.play(Solver(seed=0), steps=350)
    assert lockstep.seen["steps"] >= 1000, lockstep.seen
    assert all(lockstep.seen[what] >= 5 for what in OWN[env_id]), lockstep.seen


# ------------------------------------------------------------------------------------------------- random clutter

CARRIED = ("none", "key", "ball", "empty box", "filled box")
FRONTS = ("empty", "wall", "floor", "open door", "closed door", "locked door", *CARRIED[1:], "goal", "lava")
ACTIONS = 7
ENOUGH = 50
GRIDS = 500


def _kind(thing: WorldObj | None) -> str:
    """One of FRONTS."""
    if isinstance(thing, Door):
        return "open door" if thing.is_open else "locked door" if thing.is_locked else "closed door"
    if isinstance(thing, Box):
        return "empty box" if thing.contains is None else "filled box"
    return "empty" if thing is None else thing.type


def _thing(kind: str, rng: np.random.Generator) -> WorldObj | None:
    """An object of a kind, in a random colour; a filled box holds anything that MiniGrid has."""
    colour = COLOURS[rng.integers(len(COLOURS))]
    if kind.endswith("door"):
        return Door(colour, is_open=kind == "open door", is_locked=kind == "locked door")
    if kind.endswith("box"):
        inside = FRONTS[rng.integers(1, len(FRONTS))]
        return Box(colour, _thing(inside.replace("filled", "empty"), rng) if kind == "filled box" else None)
    makers: dict[str, Any] = {"wall": Wall, "floor": Floor, "key": Key, "ball": Ball, "goal": Goal}
    if kind in makers:
        return cast(WorldObj, makers[kind](colour))
    return WorldObj.decode(9, 0, 0) if kind == "lava" else None


class Clutter(MiniGridEnv):
    """A room densely filled with objects of every kind; what the agent faces and carries at first can be chosen."""

    def __init__(self, size: int, see_through: bool, facing: str, carried: str) -> None:
        self.facing, self.carried = facing, carried
        mission = MissionSpace(mission_func=lambda: "see everything")
        super().__init__(mission, grid_size=size, max_steps=60 + 10 * size, see_through_walls=see_through)

    def _gen_grid(self, width: int, height: int) -> None:
        self.grid = Grid(width, height)
        self.grid.wall_rect(0, 0, width, height)
        self.agent_pos, self.agent_dir = self._rand_pos(1, width - 1, 1, height - 1), self._rand_int(0, 4)
        for x in range(1, width - 1):
            for y in range(1, height - 1):
                if (x, y) != tuple(self.agent_pos) and self.np_random.random() < 0.6:
                    self.grid.set(x, y, _thing(FRONTS[self.np_random.integers(len(FRONTS))], self.np_random))
        x, y = self.front_pos
        if 0 < x < width - 1 and 0 < y < height - 1:
            self.grid.set(x, y, _thing(self.facing, self.np_random))
        self.mission = "see everything"

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed, options=options)
        vars(self)["carrying"] = _thing(self.carried, self.np_random)
        return None


class LeastCovered:
    """Counts (action, object in front, carried kind) and mostly takes the action with the lowest count.

    Fatal steps end what an environment can still show, so they come late in an episode.
    """

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)
        self.count = np.zeros((len(FRONTS), len(CARRIED), ACTIONS), int)

    def __call__(self, k: int, env: MiniGridEnv) -> int:
        front = _kind(_front(env))
        counts = self.count[FRONTS.index(front), CARRIED.index("none" if env.carrying is None else _kind(env.carrying))]
        allowed = [a for a in range(ACTIONS) if a != FORWARD or front not in ("goal", "lava") or env.step_count > 12]
        if self.rng.random() < 0.2 or counts[allowed].min() >= ENOUGH:
            moves = [a for a in allowed if a in (TURN_LEFT, TURN_RIGHT, FORWARD)]
            action = int(self.rng.choice(moves if counts[allowed].min() >= ENOUGH else allowed))
        else:
            action = min(allowed, key=lambda a: counts[a])
        counts[action] += 1
        return action

    def rarest(self) -> list[tuple[str, str]]:
        """Pairs of object in front and carried kind, the least covered first."""
        order = np.argsort(self.count.min(-1), axis=None, kind="stable")
        return [(FRONTS[f], CARRIED[c]) for f, c in zip(*np.unravel_index(order, self.count.shape[:2]), strict=True)]

    def missing(self) -> list[str]:
        """Combinations seen too rarely."""
        return [
            f"action {a}, facing {FRONTS[f]}, carrying {CARRIED[c]}: {self.count[f, c, a]}"
            for f, c, a in np.argwhere(self.count < ENOUGH)
        ]


def test_every_action_on_every_object_with_every_burden_agrees() -> None:
    chooser, grids, seen = LeastCovered(), 0, Counter[str]()
    while grids < GRIDS or (chooser.missing() and grids < 4 * GRIDS):
        size, see_through = 6 + grids // 50 % 4, grids // 50 % 3 == 2
        envs = [Clutter(size, see_through, facing, carried) for facing, carried in chooser.rarest()[:50]]
        for k, env in enumerate(envs):
            env.reset(seed=grids + k)
        lockstep = Lockstep(envs)
        lockstep.play(chooser, steps=1000)
        grids += len(envs)
        seen += lockstep.seen
    assert not chooser.missing(), (grids, seen)
    assert all(seen[what] >= 50 for what in ("successes", "lava deaths", "truncations", "doors opened")), seen
