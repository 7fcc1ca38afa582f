"""Where PPO's time goes: shares of engine, forward, backward and optimiser in one training run on one thread.

    python -m tests.benchmarks.ppo_profile

Parts are timed by wrapping what `agents/learners/ppo.py` calls.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import torch
from tests.benchmarks.workloads import SB3_SETTINGS

from goalscope.agents.learners import ppo
from goalscope.agents.network import ActorCritic, SeparateActorCritic
from goalscope.agents.recipe import Recipe
from goalscope.agents.training import train
from goalscope.envs.streaming import LevelStream
from goalscope.registry import RECIPES

FRAMES = 200_000
PARTS: dict[str, tuple[Any, str]] = {
    "engine and levels": (LevelStream, "step"),
    "forward, conv": (ActorCritic, "step"),
    "forward, MLP": (SeparateActorCritic, "step"),
    "slopes of the loss": (ppo, "ppo_slopes"),
    "backward": (torch.autograd, "backward"),
    "optimiser": (torch.optim.Adam, "step"),
    "collecting in all": (ppo, "collect"),
    "improving in all": (ppo, "improve"),
}


@contextmanager
def timed(spent: dict[str, float]) -> Iterator[None]:
    """Add up the seconds spent in every part until the block is left."""

    def wrapped(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **options: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*args, **options)
            finally:
                spent[name] += time.perf_counter() - start

        return run

    with ExitStack() as stack:
        for name, (owner, attribute) in PARTS.items():
            stack.enter_context(patch.object(owner, attribute, wrapped(name, getattr(owner, attribute))))
        yield


def profile(recipe: Recipe) -> tuple[float, dict[str, float]]:
    """Frames a second, and the share of every part."""
    train(replace(recipe, budget=10_000), 0)  # compile and warm up
    spent: dict[str, float] = defaultdict(float)
    with timed(spent):
        start = time.perf_counter()
        train(replace(recipe, budget=FRAMES), 0)
        whole = time.perf_counter() - start
    return FRAMES / whole, {name: seconds / whole for name, seconds in spent.items()}


def main() -> None:
    torch.set_num_threads(1)
    conv = RECIPES.load("dish_open")
    for name, recipe in {
        "conv, default recipe": conv,
        "MLP 64×64, SB3's settings": replace(conv, arch="mlp", view="ego", learner=SB3_SETTINGS),
    }.items():
        rate, shares = profile(recipe)
        print(f"{name}: {rate:,.0f} frames/s; " + ", ".join(f"{part} {share:.2f}" for part, share in shares.items()))


if __name__ == "__main__":
    main()
