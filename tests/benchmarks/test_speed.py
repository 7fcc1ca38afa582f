"""Hot paths under pytest-benchmark: run once as tests, timed by `make bench`. Nothing here asserts a time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from tests.benchmarks import workloads

from goalscope.registry import FAMILIES

CASES: dict[str, Callable[[], workloads.Workload]] = {
    "ego view, DoorKey 8x8, 1 thread": lambda: workloads.ego_steps(1, steps=50),
    "ego view, DoorKey 8x8, 2 threads": lambda: workloads.ego_steps(2, steps=50),
    "full grid, 13x13 mazes, 1 thread": lambda: workloads.maze_steps(1, rollouts=2),
    "full grid, 13x13 mazes, 2 threads": lambda: workloads.maze_steps(2, rollouts=2),
    "observe: full grid": lambda: workloads.observing("full"),
    "observe: ego view": lambda: workloads.observing("ego"),
    "observe: planes": lambda: workloads.observing("planes"),
    "generate 13x13 tree mazes": lambda: workloads.generation("coin_dish", workloads.MAZE, 4096),
    "PPO, MLP, SB3's settings": lambda: workloads.ppo_frames("mlp", 1),
    "PPO, conv, own settings": lambda: workloads.ppo_frames("conv", 1),
    "solve 13x13 tree mazes": lambda: workloads.solving("coin_dish", workloads.MAZE, 1024),
}
for _family in FAMILIES.names():
    CASES[f"{_family}: step planes"] = partial(workloads.family_steps, _family, steps=32)
    CASES[f"{_family}: generate"] = partial(workloads.generation, _family, {}, calls=1)


@pytest.mark.parametrize("case", CASES)
def test_speed(case: str, benchmark: Any) -> None:
    units = benchmark(CASES[case]())
    assert units > 0
