"""Where the CPU time of one agent of a pilot goes, from the start of its process to its measures, on one thread.

    python -m tests.benchmarks.ppo_profile

What is called is wrapped; every part counts without the parts that it calls.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from time import process_time
from typing import Any
from unittest.mock import patch

import torch

from goalscope.agents import pilot
from goalscope.agents.descent import Descent
from goalscope.agents.learner import Task, training_levels
from goalscope.agents.learners import ppo
from goalscope.agents.network import ActorCritic, SeparateActorCritic
from goalscope.agents.recipe import Recipe
from goalscope.agents.rounds import Frames
from goalscope.envs.streaming import LevelStream
from goalscope.registry import RECIPES

START, KERNELS, MEASURING, REST = "start-up and imports", "kernels, loaded or compiled", "measuring truth", "the rest"
CALLS: dict[str, tuple[tuple[Any, str], ...]] = {
    "engine and levels": ((LevelStream, "step"), (Task, "levels")),
    "forward": ((ActorCritic, "step"), (SeparateActorCritic, "step")),
    "backward": ((torch.autograd, "backward"),),
    "slopes of the loss": ((ppo, "ppo_slopes"),),
    "clipping and optimiser": ((Descent, "step"),),
    "sampling, bookkeeping, advantages": ((ppo, "collect"),),
    "indexing minibatches": ((Frames, "shuffled"),),
    MEASURING: ((pilot, "measure"),),
    REST: ((pilot, "pilot_agent"),),
}
"""Part -> what is called."""


class Spent:
    """CPU seconds by part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inner = [0.0]

    def wrapped(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with what it spends by itself added to a part."""

        def run(*args: Any, **options: Any) -> Any:
            self._inner.append(0.0)
            begun = process_time()
            try:
                return function(*args, **options)
            finally:
                whole = process_time() - begun
                self.seconds[part] += whole - self._inner.pop()
                self._inner[-1] += whole

        return run

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Until the block is left every part is counted."""
        with ExitStack() as stack:
            for part, calls in CALLS.items():
                for owner, name in calls:
                    stack.enter_context(patch.object(owner, name, self.wrapped(part, getattr(owner, name))))
            yield


def profile(recipe: Recipe, seed: int = pilot.PILOT_SEEDS) -> dict[str, float]:
    """CPU seconds by part, of this process so far and of one agent of a pilot."""
    spent = Spent()
    spent.seconds[START] = process_time()
    torch.set_num_threads(1)
    spent.wrapped(KERNELS, _load_kernels)(recipe)
    with spent.watching():
        pilot.pilot_agent(recipe, seed)
    return dict(spent.seconds)


def _load_kernels(recipe: Recipe) -> None:
    """A few steps, for which what engines and levels need is loaded; what measuring needs is counted there."""
    levels = training_levels(recipe, 0, 2)
    levels.reset()
    for _ in range(64):
        levels.step(torch.zeros(2, dtype=torch.int64).numpy())


def main() -> None:
    from tests.benchmarks.peers import alone  # here, so that the processes that are profiled do not import it
    from tests.benchmarks.workloads import SB3_SETTINGS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=400_000, help="of one agent's training")
    conv = replace(RECIPES.load("dish_open"), budget=parser.parse_args().frames)
    for name, recipe in {
        "conv, default recipe": conv,
        "MLP 64×64, SB3's settings": replace(conv, arch="mlp", view="ego", learner=SB3_SETTINGS),
    }.items():
        seconds = alone(partial(profile, recipe))
        whole = sum(seconds.values())
        learning = whole - sum(seconds[part] for part in (START, KERNELS, MEASURING))
        print(f"{name}: {recipe.budget:,} frames, {whole:.1f} s, {recipe.budget / learning:,.0f} frames/s of training")
        for part in (START, KERNELS, *CALLS):
            print(f"  {seconds[part] / whole:6.1%}  {part}")


if __name__ == "__main__":
    main()
