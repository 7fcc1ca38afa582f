"""Ratios to others, measured in one run: every case of a group once, then all of them again, seven times over.

``make bench`` runs this with the `bench` extra installed and writes the table to docs/benchmarks.md. On a machine with
other work on it the figures mean little: the load average before the run is printed with them.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import gymnasium
import numpy as np
from tests.benchmarks import workloads
from tests.benchmarks.workloads import Workload

from goalscope.agents.training import train
from goalscope.registry import FAMILIES, RECIPES

REPEATS = 7
T = TypeVar("T")


@dataclass(frozen=True)
class Measured:
    """Rates of one case over all repeats, in units a second."""

    name: str
    unit: str
    rates: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.rates)

    def against(self, other: Measured) -> float:
        """Median of the ratios in the same repeat, when the machine was in the same mood."""
        return statistics.median(own / its for own, its in zip(self.rates, other.rates, strict=True))

    def row(self) -> str:
        low, high = min(self.rates), max(self.rates)
        return f"| {self.name} | {_short(self.median)} {self.unit} | {_short(low)} – {_short(high)} |"


def _short(rate: float) -> str:
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if rate >= size:
            return f"{rate / size:.3g} {letter}"
    return f"{rate:.3g}"


def minigrid_steps(steps: int = 8000) -> Workload:
    """Real MiniGrid, one environment."""
    env = gymnasium.make(workloads.DOORKEY)
    env.reset(seed=0)
    actions = np.random.default_rng(0).integers(0, 7, steps).tolist()

    def run() -> int:
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
        return steps

    return run


def envpool_steps(threads: int, batch: int = 1024, steps: int = 100) -> Workload:
    """EnvPool's MiniGrid in C++, synchronous."""
    import envpool

    env = envpool.make(workloads.DOORKEY, env_type="gymnasium", num_envs=batch, num_threads=threads, seed=0)
    env.reset()
    actions = np.random.default_rng(0).integers(0, 7, (steps, batch)).astype(np.int32)

    def run() -> int:
        for row in actions:
            env.step(row)
        return steps * batch

    return run


def sb3_frames(rollouts: int = 1) -> Workload:
    """Stable-Baselines3's PPO, MLP 64×64 on the flattened 7×7 view, 64 environments in one process, one thread."""
    import torch
    from gymnasium.wrappers import FlattenObservation
    from minigrid.wrappers import ImgObsWrapper
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import DummyVecEnv

    def make() -> gymnasium.Env[Any, Any]:
        return FlattenObservation(ImgObsWrapper(gymnasium.make("MiniGrid-Empty-8x8-v0")))  # type: ignore[no-untyped-call]

    torch.set_num_threads(1)
    layers = {"net_arch": [64, 64]}
    model = PPO("MlpPolicy", DummyVecEnv([make] * 64), n_steps=128, batch_size=256, n_epochs=4, policy_kwargs=layers)

    def run() -> int:
        model.learn(rollouts * 64 * 128)
        return rollouts * 64 * 128

    return run


def seconds_to_optimum(share: float = 0.95) -> float:
    """Seconds until the default conv recipe's training return is a share of the optimum, 1, over five updates.

    The first two updates end before any deadline, so that only successful episodes have ended: they do not count.
    """
    import torch

    torch.set_num_threads(1)
    start, returns = time.perf_counter(), []
    passed: list[float] = []

    def watch(row: dict[str, float]) -> None:
        returns.append(row["return"])
        if not passed and len(returns) >= 7 and np.mean(returns[-5:]) >= share:
            passed.append(time.perf_counter() - start)

    train(RECIPES.load("dish_open"), 0, watch)
    return passed[0] if passed else float("nan")


def help_runs() -> Workload:
    """`goalscope --help`, whole process."""
    command = [str(Path(sys.executable).with_name("goalscope")), "--help"]

    def run() -> int:
        subprocess.run(command, check=True, capture_output=True)
        return 1

    return run


Cases = dict[str, tuple[str, Callable[[], Workload]]]
"""Name -> unit and how to set the case up."""


def learning_cases() -> Cases:
    """Learners, before other libraries' threads are there."""
    table: Cases = {
        "Goalscope's PPO, MLP 64×64, SB3's settings, one core": ("frames/s", lambda: workloads.ppo_frames("mlp", 6)),
        "Stable-Baselines3's PPO, the same": ("frames/s", sb3_frames),
        "Goalscope's PPO, conv, default recipe, one core": ("frames/s", lambda: workloads.ppo_frames("conv", 10)),
    }
    for arch in ("mlp", "conv"):
        for agents in (2, 8):
            run = partial(workloads.together_frames, arch, agents, rollouts=2)
            table[f"{agents} such agents at once, {arch}, one core, all together"] = ("frames/s", run)
    return table


def stepping_cases() -> Cases:
    """Engines and levels."""
    table: Cases = {
        "Goalscope, 7×7 view, DoorKey 8×8, batch 1024, 1 thread": ("steps/s", lambda: workloads.ego_steps(1)),
        "Goalscope, 7×7 view, DoorKey 8×8, batch 1024, 2 threads": ("steps/s", lambda: workloads.ego_steps(2)),
        "EnvPool, the same, 1 thread": ("steps/s", lambda: envpool_steps(1)),
        "EnvPool, the same, 2 threads": ("steps/s", lambda: envpool_steps(2)),
        "MiniGrid, the same, one environment": ("steps/s", minigrid_steps),
        "Goalscope, full 13×13 grid, new maze each episode, 1 thread": ("steps/s", lambda: workloads.maze_steps(1)),
        "Goalscope, full 13×13 grid, new maze each episode, 2 threads": ("steps/s", lambda: workloads.maze_steps(2)),
        "goalscope --help": ("runs/s", help_runs),
    }
    for name in FAMILIES.names():
        knobs = workloads.drawn_knobs(name)
        what = "13×13 tree mazes" if knobs else "levels, default knobs,"
        table[f"{name}: {what} drawn"] = ("levels/s", partial(workloads.generation, name, knobs))
        table[f"{name}: {what} solved"] = ("levels/s", partial(workloads.solving, name, knobs))
        table[f"{name}: steps, planes, default knobs"] = ("steps/s", partial(workloads.family_steps, name))
    return table


def measure(cases: Cases) -> dict[str, Measured]:
    """All cases, interleaved."""
    ready = {name: (unit, setup()) for name, (unit, setup) in cases.items()}
    for _, run in ready.values():
        run()
    rates: dict[str, list[float]] = {name: [] for name in ready}
    for repeat in range(REPEATS):
        print(f"repeat {repeat + 1} of {REPEATS}", file=sys.stderr)
        for name, (_, run) in ready.items():
            start = time.perf_counter()
            units = run()
            rates[name].append(units / (time.perf_counter() - start))
    return {name: Measured(name, ready[name][0], tuple(r)) for name, r in rates.items()}


def learners() -> tuple[float, dict[str, Measured]]:
    return seconds_to_optimum(), measure(learning_cases())


def engines() -> dict[str, Measured]:
    return measure(stepping_cases())


def alone(work: Callable[[], T]) -> T:
    """Do it in a process of its own, away from other libraries' threads."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(work).result()


def ratios(measured: dict[str, Measured], optimum: float) -> list[tuple[str, float, str]]:
    """The rows of the speed table: what, the figure, what it must reach."""

    def best(start: str) -> Measured:
        return max((m for name, m in measured.items() if name.startswith(start)), key=lambda m: m.median)

    ego, maze = best("Goalscope, 7×7"), best("Goalscope, full").median
    ppo, helped = best("Goalscope's PPO, MLP"), best("goalscope --help").median
    drawn = [m.median for name, m in measured.items() if name.endswith("tree mazes drawn")]
    return [
        ("7×7 view against EnvPool's MiniGrid", ego.against(best("EnvPool")), "50 ×"),
        ("7×7 view against MiniGrid", ego.against(best("MiniGrid")), "1000 ×"),
        ("full 13×13 grid, new maze each episode, M steps/s", maze / 1e6, "10"),
        ("13×13 tree mazes with placement, M levels/s, one core, fastest family", max(drawn) / 1e6, "0.5"),
        ("13×13 tree mazes with placement, M levels/s, one core, slowest family", min(drawn) / 1e6, "0.5"),
        ("PPO, MLP 64×64, SB3's settings, one core, against SB3", ppo.against(best("Stable")), "6 ×"),
        ("default conv recipe, 9×9, to .95 of the optimum, one core, seconds", optimum, "60"),
        ("goalscope --help, seconds", 1 / helped, "0.5"),
    ]


def machine() -> str:
    """Processor, cores, load and versions, in one paragraph."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    names = ("goalscope", "numba", "numpy", "gymnasium", "minigrid", "envpool", "torch", "stable-baselines3")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    load = os.getloadavg()[0]
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}, load {load:.2f} before; {versions}."


def report(measured: dict[str, Measured], optimum: float, where: str) -> str:
    """The page."""
    lines = [
        "# Speed",
        "",
        "Written by `make bench` in one run: learners in one process, engines and levels in another, interleaved,",
        "median of seven; ratios are medians of the seven ratios. Uniform random actions, every environment resets",
        "within the step. On a shared host the same case ran 1.7 × faster or slower minutes apart, and not all cases",
        "alike, so single runs differ. Where PPO's time goes: `python -m tests.benchmarks.ppo_profile`.",
        "",
        where,
        "",
        "| work | measured | must reach |",
        "|---|---|---|",
    ]
    lines += [f"| {what} | {figure:.3g} | {goal} |" for what, figure, goal in ratios(measured, optimum)]
    lines += ["", "| case | median | range |", "|---|---|---|", *(m.row() for m in measured.values()), ""]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks.md"))
    out = parser.parse_args().out
    where = machine()
    optimum, learning = alone(learners)
    measured = learning | alone(engines)
    page = report(measured, optimum, where)
    out.write_text(page)
    print(page)


if __name__ == "__main__":
    main()
