"""Running a suite: doing the tasks that are not done, and opening what was done.

A run is a folder: ``run.json`` says what was asked, ``rows/`` holds a part of Parquet for every task, named by the hash
of everything that can change it. So the same command goes on where it stopped, repeats nothing, and does again just
what a change of code, agents or suite makes stale.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from goalscope.agents.agent import agent_id
from goalscope.detectors.bench import one_thread
from goalscope.errors import StorageError
from goalscope.files import write_whole
from goalscope.suites.case import Case
from goalscope.suites.circumstances import commit, hardware, versions
from goalscope.suites.crossfit import crossfit
from goalscope.suites.executors import executor
from goalscope.suites.keys import prints
from goalscope.suites.loading import opened
from goalscope.suites.plan import Plan, Task
from goalscope.suites.population import Population, load_population, zoo_folder
from goalscope.suites.rows import FORMAT, case_row, write_part
from goalscope.suites.sources import shared_hash
from goalscope.suites.suite import Suite, suite_from

Rows = list[dict[str, Any]]


def execute(
    plan: Plan, folder: Path, workers: int, done: Callable[[Task], None], how: str = "processes", address: str = ""
) -> None:
    """Do what is missing by an executor; `done` is called with every task, also those done before."""
    write_description(plan, folder)
    missing = plan.missing(folder)
    for task in plan.tasks:
        if task not in missing:
            done(task)
    common = {
        "suite": plan.suite.name,
        "suite_sha256": plan.suite.hash,
        "code_sha256": shared_hash(),
        "versions": json.dumps(versions()),
        **commit(),
    }
    hidden = (plan.zoo, folder.absolute())
    work = partial(answer, replace(plan, tasks=()), common, hidden)  # what workers get must not grow with the tasks
    for task, rows in executor(how)(work, missing, workers, address):
        write_part(folder / "rows" / task.part, rows)
        done(task)


def answer(plan: Plan, common: dict[str, Any], hidden: Sequence[Path], task: Task) -> Rows:
    """Put a task's detector to its agents; a row each. A detector from outside sees nothing of `hidden` folders."""
    with one_thread(), opened(task.target, hidden) as detector:
        about = [task.recipe_target] if task.recipe_target else list(plan.populations)
        populations = [load_population(plan.zoo, name, plan.suite.levels, plan.suite.folds) for name in about]
        if task.setting == "seed":
            cases = [crossfit(detector, populations[0], task.seed, plan.budget(task))]
        else:
            from goalscope.suites.transfer import transfer

            groups = [getattr(p.recipe, GROUPS[task.setting]) for p in populations]
            cases = transfer(detector, populations, groups, task.seed, plan.budget(task))
    own = {
        name: getattr(task, name) for name in ("detector", "detector_sha256", "setting", "seed", "bank_frames", "key")
    }
    same = {**common, **hardware(), **own, "track": int(detector.track)}
    known = [plan.populations[name] for name in about]
    hashes = [zip(k.weights, k.labels, strict=True) for k in known]
    return [
        row
        for population, those, pairs in zip(populations, cases, hashes, strict=True)
        for row in _rows(population, those, list(pairs), same)
    ]


GROUPS = {"recipe": "name", "family": "family"}
"""Setting -> the field of a recipe whose values are held out."""


def _rows(
    population: Population, cases: Sequence[Case], hashes: Sequence[tuple[str, str]], common: dict[str, Any]
) -> Rows:
    found = []
    for case in cases:
        agent = population.agents[case.agent]
        weights, label = hashes[case.agent]
        own = {"recipe": population.recipe.name, "weights_sha256": weights, "labels_sha256": label}
        found.append(case_row(case, agent_id(agent.recipe, agent.seed), {**common, **own}))
    return found


# On disk


@dataclass(frozen=True)
class Run:
    """A run as it lies on disk."""

    suite: Suite
    zoo: Path
    parts: tuple[Path, ...]
    versions: dict[str, str]


def write_description(plan: Plan, folder: Path) -> None:
    """Say in ``run.json`` what belongs to the run."""
    description = {
        "format": FORMAT,
        "suite": asdict(plan.suite),
        "populations": {name: known.sha256 for name, known in plan.populations.items()},
        "parts": [task.part for task in plan.tasks],
        "versions": versions(),
        "machine": platform.platform(),
    }
    write_whole(folder / "run.json", lambda path: path.write_text(json.dumps(description, indent=1)))


def open_run(folder: Path) -> Run:
    """Read what a run was asked, and check that it is complete."""
    path = folder / "run.json"
    try:
        data = json.loads(path.read_text())
        suite = suite_from(data["suite"])
        parts = tuple(folder / "rows" / name for name in data["parts"])
        asked_about = {str(name): str(digest) for name, digest in data["populations"].items()}
        found_versions = {**data["versions"], "machine": str(data["machine"])}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageError(
            f"{path} is no readable description of a run: {error}. Expected a folder that `goalscope run` wrote; "
            f"run the suite into it again, rows that are there are kept."
        ) from error
    absent = [part for part in parts if not part.exists()]
    if absent:
        raise StorageError(
            f"{len(absent)} of {len(parts)} parts are missing in {folder}, {absent[0].name} first: "
            f"run the suite into it again, the others are kept."
        )
    zoo = zoo_folder(suite.zoo)
    for name, digest in asked_about.items():
        if prints(zoo, load_population(zoo, name, suite.levels, suite.folds)).sha256 != digest:
            raise StorageError(
                f"{folder} was run on other agents of {name} than lie in {zoo} now, or with another version: "
                f"run the suite again."
            )
    return Run(suite, zoo, parts, found_versions)
