"""A batch of environments with Gymnasium's vector API, stepped by one kernel call."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from goalscope.envs.family import Family, Value
from goalscope.envs.program import view_index
from goalscope.envs.sampling import Distribution
from goalscope.envs.spaces import make_distribution, observation_space, pack_observation
from goalscope.envs.streaming import LevelStream
from goalscope.errors import GoalscopeError

MODES = {AutoresetMode.SAME_STEP: "same", AutoresetMode.NEXT_STEP: "next"}


class GridVectorEnv(VectorEnv[Any, Any, NDArray[np.int64]]):
    """``gymnasium.make_vec("goalscope/CoinDish-v0", num_envs=1024, view="planes", threads=2)``.

    Environment b plays, in its episode e, level ``first_level + (b + e · num_envs) mod num_levels`` (never repeating
    for ``num_levels=0``); ``reset(seed=s)`` starts over with the levels of that seed. Images are views' arrays
    `[B, …]`; there is no mission entry, since all environments of a batch share it.

    Parameters
    ----------
    num_envs: the batch.
    autoreset_mode: SAME_STEP (the ending observation is ``infos["final_obs"]``) or NEXT_STEP.
    threads: 1 is the serial kernel.
    copy: whether every step returns arrays of its own; without, they change with the next step.
    The rest: see :class:`goalscope.envs.single_env.GridEnv`.
    """

    def __init__(
        self,
        family: Family | str,
        num_envs: int = 1,
        *,
        shift: str = "train",
        view: str = "full",
        split: str = "train",
        seed: int = 0,
        num_levels: int = 0,
        first_level: int = 0,
        alpha: float = 0.0,
        alpha_shift: str = "",
        autoreset_mode: AutoresetMode | str = AutoresetMode.SAME_STEP,
        threads: int = 1,
        copy: bool = True,
        **knobs: Value,
    ) -> None:
        view_index(view)
        mode = AutoresetMode(autoreset_mode)
        if mode not in MODES:
            raise GoalscopeError(f"autoreset_mode must be SAME_STEP or NEXT_STEP, got {mode}.")
        self.num_envs, self.view, self.copy = num_envs, view, copy
        self.metadata = {"autoreset_mode": mode, "render_modes": []}
        self._arguments: dict[str, Any] = {"num_levels": num_levels, "first_level": first_level, "threads": threads}
        self._open(make_distribution(family, shift, split, seed, alpha, alpha_shift, knobs))
        settings = self.distribution.settings
        self.single_observation_space = observation_space(self.distribution.family, settings, view, mission=False)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.single_action_space = spaces.Discrete(self.distribution.family.world.n_actions)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def _open(self, distribution: Distribution) -> None:
        self.distribution = distribution
        autoreset = MODES[self.metadata["autoreset_mode"]]
        self.levels = LevelStream(
            distribution,
            self.num_envs,
            view=self.view,
            autoreset=autoreset,
            keep_final=autoreset == "same",
            seed=distribution.stream,
            **self._arguments,
        )

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start everybody's first episode; a `seed` draws the levels of that seed from now on."""
        if seed is not None and seed != self.distribution.seed:
            d = self.distribution
            self._open(Distribution(d.family, d.shift, d.knobs, d.split, seed, d.alpha, d.alpha_shift))
        return self._pack(self.levels.reset()), {}

    def step(self, actions: NDArray[np.int64]) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """One step of all; see Gymnasium's vector API. Rewards are float64 `[B]`."""
        out = self.levels.step(actions)
        ended = out.terminated | out.truncated
        infos: dict[str, Any] = {}
        if self.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP and ended.any():
            infos = self._final_infos(ended)
        reward = out.reward.astype(np.float64)
        return self._pack(out.obs), reward, out.terminated.copy(), out.truncated.copy(), infos

    def _pack(self, image: NDArray[np.uint8]) -> Any:
        directions = self.levels.engine.headings.astype(np.int64)
        return pack_observation(self.view, image.copy() if self.copy else image, directions)

    def _final_infos(self, ended: NDArray[np.bool_]) -> dict[str, Any]:
        """Gymnasium's entries about the episodes that ended in this step."""
        episodes = self.levels.engine.last_episodes
        final = np.full(self.num_envs, None, object)
        for b in np.flatnonzero(ended):
            image = self.levels.engine.final[b].copy()
            final[b] = pack_observation(self.view, image, int(episodes.heading[b]))
        info = {"length": episodes.length.copy(), "return": episodes.gain.copy(), "first": episodes.first.copy()}
        masks = {f"_{name}": ended for name in info}
        return {"final_obs": final, "_final_obs": ended, "final_info": {**info, **masks}, "_final_info": ended}
