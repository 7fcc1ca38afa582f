"""The work that speed is measured on: each workload is a function of nothing that returns how many units it did."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import gymnasium
import minigrid  # noqa: F401  (registers MiniGrid's ids)
import numpy as np
import torch

from goalscope.agents.recipe import PPOConfig, Recipe
from goalscope.agents.stacked import train_together
from goalscope.agents.training import train
from goalscope.envs import Distribution, Engine, Levels, concatenate
from goalscope.envs.minigrid import MINIGRID, from_minigrid
from goalscope.envs.pursuit import start_distances
from goalscope.envs.streaming import LevelStream
from goalscope.registry import FAMILIES, RECIPES

Workload = Callable[[], int]

SB3_SETTINGS = PPOConfig(
    envs=64,
    steps=128,
    epochs=4,
    minibatches=32,
    learning_rate=3e-4,
    gamma=0.99,
    entropy=0.0,
    final_entropy=0.0,
    precision="float32",
)
"""Stable-Baselines3's defaults with the 64 environments, 128 steps and minibatches of 256 with which it is fastest."""

DOORKEY = "MiniGrid-DoorKey-8x8-v0"
Knobs = Mapping[str, int | float | str]

MAZE: Knobs = {"size": 13, "layout": "tree", "max_steps": 256}


def doorkey_levels(n: int = 256) -> Levels:
    """DoorKey levels as MiniGrid draws them."""
    env = gymnasium.make(DOORKEY)

    def level(seed: int) -> Levels:
        env.reset(seed=seed)
        return from_minigrid(env)

    return concatenate([level(seed) for seed in range(n)])


def ppo_frames(arch: str, rollouts: int) -> Workload:
    """PPO from levels to weights."""
    recipe = learning_recipe(arch, rollouts)

    def run() -> int:
        train(recipe, 0)
        return recipe.budget

    return run


def together_frames(arch: str, agents: int, rollouts: int) -> Workload:
    """The same for several agents at once, with stacked parameters; frames of all of them."""
    recipe = learning_recipe(arch, rollouts)

    def run() -> int:
        train_together(recipe, range(agents))
        return agents * recipe.budget

    return run


def learning_recipe(arch: str, rollouts: int) -> Recipe:
    """The MLP on the 7×7 view with SB3's settings, or the conv network's own recipe; on one thread from now on."""
    recipe = RECIPES.load("dish_open")
    if arch == "mlp":
        recipe = replace(recipe, arch="mlp", view="ego", learner=SB3_SETTINGS)
    settings = recipe.learner
    assert isinstance(settings, PPOConfig)
    torch.set_num_threads(1)
    return replace(recipe, budget=rollouts * settings.envs * settings.steps)


def ego_steps(threads: int, batch: int = 1024, steps: int = 400) -> Workload:
    """MiniGrid's 7×7 view with occlusion on DoorKey 8×8, uniform random actions, reset in the step."""
    engine = Engine(doorkey_levels(), MINIGRID, "ego", batch, threads=threads)
    engine.reset()
    actions = np.random.default_rng(0).integers(0, 7, (steps, batch))

    def run() -> int:
        for row in actions:
            engine.step(row)
        return steps * batch

    return run


def maze_steps(threads: int, batch: int = 1024, length: int = 64, rollouts: int = 8) -> Workload:
    """The full 13×13 grid of a new maze in every episode, written into `[T, B, …]` storage."""
    distribution = Distribution(FAMILIES.load("coin_corner"), knobs=MAZE)
    levels = LevelStream(distribution, batch, view="full", threads=threads)
    storage = np.zeros((length, batch, *levels.engine.obs_shape), np.uint8)
    actions = np.random.default_rng(0).integers(0, 4, (length, batch))
    levels.reset(out=storage[0])

    def run() -> int:
        for _ in range(rollouts):
            for t in range(length):
                levels.step(actions[t], out=storage[t])
        return rollouts * length * batch

    return run


def family_steps(family: str, batch: int = 0, steps: int = 256) -> Workload:
    """A family's planes with its default knobs, new levels in every episode, one thread."""
    batch = batch or min(1024, _at_a_time(family))
    levels = LevelStream(Distribution(FAMILIES.load(family)), batch, view="planes")
    levels.reset()
    actions = np.random.default_rng(0).integers(0, FAMILIES.load(family).world.n_actions, (steps, batch))

    def run() -> int:
        for row in actions:
            levels.step(row)
        return steps * batch

    return run


def observing(view: str, batch: int = 1024) -> Workload:
    """Whole observations of fresh levels of `coin_corner`, one thread."""
    distribution = Distribution(FAMILIES.load("coin_corner"))
    engine = Engine(distribution.draw(range(batch)), distribution.family, view)

    def run() -> int:
        engine.reset()
        return batch

    return run


def drawn_knobs(family: str) -> Knobs:
    """13×13 tree mazes, the reference case, where a family has such; its default knobs where it has its own layout."""
    names = {knob.name for knob in FAMILIES.load(family).knobs}
    return MAZE if {"size", "layout"} <= names else {}


def _at_a_time(family: str) -> int:
    """4096 levels are what a stream of a thousand environments asks for; generators of other packages are slow."""
    return 16 if FAMILIES.load(family).holds_out else 4096


def generation(family: str, knobs: Knobs, n: int = 0, calls: int = 8) -> Workload:
    """Solvable training levels, placed and split, one thread; fresh indices in every call."""
    n = n or _at_a_time(family)
    distribution = Distribution(FAMILIES.load(family), knobs=knobs)
    drawn = 0

    def run() -> int:
        nonlocal drawn
        for _ in range(calls):
            distribution.draw(range(drawn, drawn + n))
            drawn += n
        return calls * n

    return run


def solving(family: str, knobs: Knobs, n: int = 0) -> Workload:
    """Distances from everywhere to every goal, one thread."""
    n = n or _at_a_time(family)
    distribution = Distribution(FAMILIES.load(family), knobs=knobs)
    levels = distribution.draw(range(n))

    def run() -> int:
        start_distances(distribution.family, levels, distribution.goals)
        return n

    return run
