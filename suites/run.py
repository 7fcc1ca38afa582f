"""Running a suite: doing the tasks that are not done, and opening what was done.

A run is a folder: ``run.json`` says what was asked, ``rows/`` holds a part of Parquet for every task, named by the hash
of everything that can change it. So the same command goes on where it stopped, repeats nothing, and does again just
what a change of code, agents or suite makes stale.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from goalscope.detectors.base import Detector
from goalscope.detectors.bench import one_thread
from goalscope.suites.case import Case
from goalscope.suites.circumstances import commit, hardware, versions
from goalscope.suites.crossfit import crossfit
from goalscope.suites.executors import executor
from goalscope.suites.folder import check_complete, check_unchanged, read_description, unreadable, write_description
from goalscope.suites.keys import Prints
from goalscope.suites.loading import opened
from goalscope.suites.plan import AnyTask, Plan, Task
from goalscope.suites.population import Population, load_population, zoo_folder
from goalscope.suites.rows import case_row, write_part
from goalscope.suites.sources import shared_hash
from goalscope.suites.suite import Suite, suite_from
from goalscope.suites.transfer import transfer

Rows = list[dict[str, Any]]
Common = Mapping[str, Any]
"""Columns that all rows of a task share."""


def execute(
    plan: Plan[Task],
    folder: Path,
    workers: int,
    done: Callable[[Task], None],
    how: str = "processes",
    address: str = "",
) -> None:
    """Do what is missing by an executor; `done` is called with every task, also those done before."""
    write_description(plan, folder)
    carry_out(plan, answer, folder, workers, done, how, address)


def carry_out(
    plan: Plan[AnyTask],
    answers: Callable[[Plan[AnyTask], Common, Detector, AnyTask], Rows],
    folder: Path,
    workers: int,
    done: Callable[[AnyTask], None],
    how: str,
    address: str,
) -> None:
    """Do a plan's missing tasks of any kind: `answers` puts a task's detector to its agents, a row each."""
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
    bare = replace(plan, tasks=())  # what workers get must not grow with the tasks
    work = partial(_answered, answers, bare, common, hidden)
    for task, rows in executor(how)(work, missing, workers, address):
        write_part(folder / "rows" / task.part, rows)
        done(task)


def _answered(
    answers: Callable[[Plan[AnyTask], Common, Detector, AnyTask], Rows],
    plan: Plan[AnyTask],
    common: Common,
    hidden: Sequence[Path],
    task: AnyTask,
) -> Rows:
    """A task's rows. A detector from outside sees nothing of `hidden` folders, and ends with the task."""
    with one_thread(), opened(task.target, hidden) as detector:
        return answers(plan, {**common, **hardware(), "track": int(detector.track)}, detector, task)


def answer(plan: Plan[Task], common: Common, detector: Detector, task: Task) -> Rows:
    """Put a task's detector to its agents; a row each."""
    about = [task.recipe_target] if task.recipe_target else list(plan.populations)
    populations = [load_population(plan.zoo, name, plan.suite.levels, plan.suite.folds) for name in about]
    budget = replace(plan.suite.budget, bank_frames=task.bank_frames)
    if task.setting == "seed":
        cases = [crossfit(detector, populations[0], task.seed, budget)]
    else:
        groups = [getattr(p.recipe, GROUPS[task.setting]) for p in populations]
        cases = transfer(detector, populations, groups, task.seed, budget)
    own = {
        name: getattr(task, name) for name in ("detector", "detector_sha256", "setting", "seed", "bank_frames", "key")
    }
    return [
        row
        for name, population, those in zip(about, populations, cases, strict=True)
        for row in rows_of(population, those, plan.populations[name], {**common, **own})
    ]


GROUPS = {"recipe": "name", "family": "family"}
"""Setting -> the field of a recipe whose values are held out."""


def rows_of(population: Population, cases: Sequence[Case], known: Prints, common: Common) -> Rows:
    """The cases of a recipe's agents as rows."""
    found = []
    for case in cases:
        hashes = {"weights_sha256": known.weights[case.agent], "labels_sha256": known.labels[case.agent]}
        own = {"recipe": population.recipe.name, **hashes}
        found.append(case_row(case, population.agents[case.agent].id, {**common, **own}))
    return found


# On disk


@dataclass(frozen=True)
class Run:
    """A run as it lies on disk."""

    suite: Suite
    zoo: Path
    parts: tuple[Path, ...]
    versions: dict[str, str]


def open_run(folder: Path) -> Run:
    """Read what a run was asked, and check that it is complete."""
    data = read_description(folder)
    try:
        suite = suite_from(data["suite"])
        parts = tuple(folder / "rows" / name for name in data["parts"])
        asked_about = {str(name): str(digest) for name, digest in data["populations"].items()}
        found_versions = {**data["versions"], "machine": str(data["machine"])}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise unreadable(folder, error) from error
    check_complete(folder, parts)
    zoo = zoo_folder(suite.zoo)
    for name, digest in asked_about.items():
        check_unchanged(folder, zoo, load_population(zoo, name, suite.levels, suite.folds), name, digest)
    return Run(suite, zoo, parts, found_versions)
