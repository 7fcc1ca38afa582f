"""Does time to think help on hard levels? The signature of a network that plans (Guez et al. 2019, arXiv 1901.03559).

    python -m tests.benchmarks.thinking [--size CELLS] [--budget STEPS] [--seeds N] [--arch NAME …]

A DRC, an LSTM and a residual network learn from the coin's pursuer on tree mazes with one coin, and are asked on
mazes that they never saw, binned by the length of the way. Before its first action each may look 0, 1, 2, 4 or 8 times
more. Two figures: the probability of a first action that leads nearer, and the share of episodes that reach the coin
within twice the distance. What more looks add is paired by level; intervals are 95 %, over levels, by bootstrap.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from time import process_time

import numpy as np
import torch
from numpy.typing import NDArray

from goalscope.agents.agent import Agent, Player
from goalscope.agents.learners.imitation import ImitationConfig
from goalscope.agents.measure import fresh_training
from goalscope.agents.recipe import Recipe
from goalscope.agents.thinking import with_thinking
from goalscope.agents.training import train
from goalscope.envs import Engine, Levels
from goalscope.envs.family import Settings
from goalscope.envs.pursuit import start_distances, step_gains, targets
from goalscope.envs.rollout import outcomes, play
from goalscope.registry import FAMILIES
from goalscope.seeding import generator

MAZES = Recipe(
    name="mazes",
    family="coin_dish",
    query="apart",
    knobs={"layout": "tree", "pairs": 1},
    learner=ImitationConfig(envs=128, steps=4, minibatch=128, learning_rate=5e-3),
)
OPTIONS = {"drc": {"first_gain": 3.0}}
LEVELS, LOOKS = 1000, (0, 1, 2, 4, 8)
BINS = ((1, 6), (7, 12), (13, 18), (19, 99))
Shares = NDArray[np.float64]


def distances(agent: Agent, levels: Levels) -> NDArray[np.int16]:
    """`[L]` steps from the start to the coin."""
    family = FAMILIES.load(agent.recipe.family)
    return np.asarray(start_distances(family, levels, [family.goal("coin")])[:, 0])


def first_actions(agent: Agent, levels: Levels, looks: int) -> Shares:
    """`[L]` probability that the first action leads nearer to the coin."""
    family = FAMILIES.load(agent.recipe.family)
    obs = Engine(levels, family, agent.recipe.view, autoreset="off", display=family.look(settings(agent))).reset()
    said = Player(with_thinking(agent.network, looks), batch=256)(obs)
    nearer = step_gains(family.world, levels, targets(family, family.goal("coin"), levels)) > 0
    return np.asarray((said * nearer).sum(1))


def successes(agent: Agent, levels: Levels, looks: int) -> Shares:
    """`[L]` whether an episode reaches the coin within twice the distance."""
    family = FAMILIES.load(agent.recipe.family)
    hurried = replace(levels, max_steps=(2 * distances(agent, levels)).astype(levels.max_steps.dtype))
    player = Player(with_thinking(agent.network, looks), batch=256)
    done = play(family, hurried, player, seed=0, view=agent.recipe.view, display=family.look(settings(agent)))
    return outcomes(family, hurried, [family.goal("coin")], done)[:, 0]


def settings(agent: Agent) -> Settings:
    """Under which the mazes are drawn."""
    return fresh_training(agent.recipe, 1)[0].settings


def interval(values: Shares) -> str:
    """Mean with its interval over levels."""
    rng = generator("thinking")
    means = values[rng.integers(len(values), size=(2000, len(values)))].mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{values.mean():+.3f} [{low:+.3f}, {high:+.3f}]"


def report(agent: Agent) -> None:
    """A line a figure and bin: without further looks, then what so many more add."""
    _, levels = fresh_training(agent.recipe, LEVELS)
    far = distances(agent, levels)
    for name, figure in (("nearer at once", first_actions), ("in time", successes)):
        found = {looks: figure(agent, levels, looks) for looks in LOOKS}
        for low, high in BINS:
            own = (far >= low) & (far <= high)
            added = "  ".join(f"{k}: {interval(found[k][own] - found[0][own])}" for k in LOOKS[1:])
            print(
                f"{name:14} {low:2}-{high:<2} steps, {own.sum():3} mazes: {found[0][own].mean():.3f}  {added}",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", type=int, default=400_000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--size", type=int, default=13, help="of the mazes, odd")
    parser.add_argument("--arch", nargs="*", default=["drc", "lstm", "residual"])
    given = parser.parse_args()
    torch.set_num_threads(1)
    for arch in given.arch:
        for seed in range(given.seeds):
            begun = process_time()
            knobs = {**MAZES.knobs, "size": given.size}
            options = OPTIONS.get(arch, {})
            agent = train(replace(MAZES, knobs=knobs, arch=arch, arch_options=options, budget=given.budget), seed)
            print(f"{arch}, seed {seed}: {(process_time() - begun) / 60:.1f} core-minutes", flush=True)
            report(agent)


if __name__ == "__main__":
    main()
