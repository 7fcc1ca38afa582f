"""One environment with Gymnasium's API, and with the attributes that MiniGrid's wrappers read."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from goalscope.envs.engine import Engine
from goalscope.envs.family import Family, Value
from goalscope.envs.kernels.columns import EGO_SIDE
from goalscope.envs.levels import Levels
from goalscope.envs.program import view_index
from goalscope.envs.spaces import make_distribution, mission_text, observation_space, pack_observation
from goalscope.errors import GoalscopeError
from goalscope.seeding import stream

AHEAD = 32
"""Levels drawn at a time."""

ENDLESS = 2**31 - 1


class GridEnv(gymnasium.Env[Any, np.int64]):
    """A single environment of a family: ``gymnasium.make("goalscope/CoinDish-v0", shift="apart", view="ego")``.

    Every reset draws a level index, uniformly from ``num_levels`` levels from ``first_level`` on (0: any), so
    ``reset(seed=s)`` fixes the levels that follow. It steps by the serial kernel and never starts a thread, which makes
    it safe in forked workers.

    Parameters
    ----------
    family: id, or a family.
    shift, split, seed, alpha, alpha_shift, knobs: see :class:`goalscope.envs.Distribution`.
    view: "full" or "ego" (MiniGrid's dict of image, direction, mission) or "planes" (a box `[C, H, W]`).
    """

    metadata = {"render_modes": ["rgb_array", "ansi"], "render_fps": 10}

    agent_view_size = EGO_SIDE
    tile_size = 32

    def __init__(
        self,
        family: Family | str,
        *,
        shift: str = "train",
        view: str = "full",
        split: str = "train",
        seed: int = 0,
        num_levels: int = 0,
        first_level: int = 0,
        alpha: float = 0.0,
        alpha_shift: str = "",
        render_mode: str | None = None,
        **knobs: Value,
    ) -> None:
        view_index(view)
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise GoalscopeError(f"render_mode must be one of {self.metadata['render_modes']}, got {render_mode!r}.")
        self.distribution = make_distribution(family, shift, split, seed, alpha, alpha_shift, knobs)
        self.family, settings = self.distribution.family, self.distribution.settings
        self.render_mode, self.view = render_mode, view
        self.highlight = view == "ego"
        self.mission = mission_text(self.family, settings)
        self.observation_space = observation_space(self.family, settings, view, mission=True)
        self.action_space = spaces.Discrete(self.family.world.n_actions)
        self._seed, self._num_levels, self._first_level = seed, num_levels, first_level
        self._canvas = self.family.canvas(settings)
        self._fresh = True
        self._episode = -1
        self._waiting: list[int] = []
        self._engine: Engine | None = None
        self._level = -1

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start the next level; `seed` fixes this and all that follow until the next seed."""
        if self._fresh and seed is None:
            seed = stream("single env", self.distribution.stream, self._seed) % 2**31
        super().reset(seed=seed)
        if seed is not None:
            self._episode, self._waiting = -1, []
        self._fresh = False
        self._episode += 1
        image = self._next_level()
        return self._observation(image), {"level": self._level}

    def _next_level(self) -> NDArray[np.uint8]:
        if not self._waiting:
            drawn = self.np_random.integers(0, self._num_levels or ENDLESS, AHEAD) + self._first_level
            self._waiting = [int(i) for i in drawn]
            levels = self.distribution.draw(drawn)
            display = self.family.look(self.distribution.settings)
            self._engine = Engine(
                levels, self.family, self.view, 1, autoreset="off", display=display, seed=self.distribution.stream
            )
        self._level = self._waiting.pop(0)
        slot = np.array([AHEAD - 1 - len(self._waiting)])
        image = self.engine.reset(starts=slot, streams=np.array([self._level]))
        self.mission = mission_text(self.family, self.distribution.settings, self.state.mission[0].tolist())
        return image

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """One step; on an episode's end ``info["outcome"]`` names the goal whose event came first, or "neither"."""
        out = self.engine.step(np.array([action]))
        terminated, truncated = bool(out.terminated[0]), bool(out.truncated[0])
        info: dict[str, Any] = {"level": self._level}
        if terminated or truncated:
            info["outcome"] = self._outcome()
        return self._observation(out.obs), float(out.reward[0]), terminated, truncated, info

    def _outcome(self) -> str:
        events = self.family.world.events
        times = {g.name: int(self.engine.first[0, events.index(g.event)]) for g in self.distribution.goals}
        reached = {name: time for name, time in times.items() if time >= 0}
        return min(reached, key=lambda name: reached[name]) if reached else "neither"

    def _observation(self, image: NDArray[np.uint8]) -> Any:
        return pack_observation(self.view, image[0].copy(), self.agent_dir, mission=self.mission)

    def render(self) -> Any:
        """MiniGrid's own picture `[H · t, W · t, 3]`, or coloured text."""
        if self.render_mode == "ansi":
            from goalscope.envs.render import ansi

            return ansi(self.family.world, self.state, 0, self.engine.display)
        if self.render_mode == "rgb_array":
            return self.get_frame(self.highlight, self.tile_size)
        return None

    # What MiniGrid's wrappers read from an environment.

    def get_frame(self, highlight: bool = True, tile_size: int = 32, agent_pov: bool = False) -> NDArray[np.uint8]:
        """The picture of the whole grid, what the agent sees lit up if `highlight`."""
        from goalscope.envs.render import frame

        if agent_pov:
            raise GoalscopeError("Goalscope draws the whole grid only: leave agent_pov False.")
        mask = self._seen_cells() if highlight and self.view == "ego" else None
        return frame(self.family.world, self.state, 0, tile_size, mask, self.engine.display)

    def _seen_cells(self) -> NDArray[np.bool_]:
        """`[W, H]` the cells that MiniGrid's view shows."""
        mask = np.zeros((self.width, self.height), bool)
        x, y = self.agent_pos
        dx, dy = ((1, 0), (0, 1), (-1, 0), (0, -1))[self.agent_dir]
        for i, j in np.argwhere(self.engine.observations[0, :, :, 0] != 0):
            ahead, right = EGO_SIDE - 1 - j, i - EGO_SIDE // 2
            column, row = x + dx * ahead - dy * right, y + dy * ahead + dx * right
            if 0 <= column < self.width and 0 <= row < self.height:
                mask[column, row] = True
        return mask

    @property
    def engine(self) -> Engine:
        """The engine, once the environment was reset."""
        if self._engine is None:
            raise GoalscopeError("Call reset() first.")
        return self._engine

    @property
    def state(self) -> Levels:
        """The current state, as one level."""
        return self.engine.snapshot()

    @property
    def grid(self) -> Any:
        """The current state as MiniGrid's own grid."""
        from goalscope.envs.grids import grid_of

        return grid_of(self.family.world, self.state, 0, self.engine.display)

    @property
    def width(self) -> int:
        return self._canvas[1]

    @property
    def height(self) -> int:
        return self._canvas[0]

    @property
    def agent_pos(self) -> tuple[int, int]:
        return int(self.state.agent[0, 0]), int(self.state.agent[0, 1])

    @property
    def agent_dir(self) -> int:
        return int(self.engine.headings[0])

    @property
    def carrying(self) -> Any:
        """The carried object as MiniGrid's, or None."""
        from goalscope.envs.grids import carried_object

        return carried_object(self.state, 0)

    @property
    def max_steps(self) -> int:
        return int(self.state.max_steps[0])
