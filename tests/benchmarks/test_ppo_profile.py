"""The profile counts every part of an agent's process, and nothing twice."""

from __future__ import annotations

from time import process_time

from tests.benchmarks.ppo_profile import CALLS, KERNELS, START, profile

from goalscope.agents.recipe import PPOConfig, Recipe

TINY = Recipe(
    name="tiny",
    family="coin_dish",
    query="apart",
    knobs={"size": 5, "pairs": 1, "max_steps": 12},
    budget=1024,
    learner=PPOConfig(envs=32),
)


def test_every_part_is_counted_once() -> None:
    seconds = profile(TINY)
    assert set(seconds) == {START, KERNELS, *CALLS}
    assert min(seconds.values()) > 0
    assert 0.95 * process_time() < sum(seconds.values()) <= process_time()
