"""Running the planted suite: a task for every detector, detector seed, family and mechanism; its rows are as all rows.

The same executors, keys and folder as other runs have, so the same command goes on where it stopped. Rows have evidence
and no forecast, and `planted` for a setting.
"""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from goalscope.agents.agent import Agent
from goalscope.detectors.answers import checked_evidence
from goalscope.detectors.base import Detector
from goalscope.detectors.bench import one_thread
from goalscope.detectors.handle import AgentHandle
from goalscope.detectors.query import Query
from goalscope.detectors.sandbox import Outside
from goalscope.detectors.tracks import Budget
from goalscope.errors import DeclarationError, GoalscopeError, StorageError, UnsupportedError
from goalscope.files import write_whole
from goalscope.suites.case import Case, Shares, attempt
from goalscope.suites.circumstances import commit, hardware, versions
from goalscope.suites.executors import executor
from goalscope.suites.keys import Prints, prints, task_key
from goalscope.suites.loading import Method, describe, load_detector
from goalscope.suites.planted import known_agents, planted_population, planted_query
from goalscope.suites.planted_scores import UNSUPPORTED, PlantedScores, score_planted
from goalscope.suites.planted_suite import PlantedSuite
from goalscope.suites.population import zoo_folder
from goalscope.suites.rows import FORMAT, case_row, read_rows, write_part
from goalscope.suites.sources import content_hash, shared_hash

SETTING = "planted"


def planted_cases(
    detector: Detector, agents: Sequence[Agent], seed: int, budget: Budget, levels: int = 256
) -> list[Case]:
    """The evidence about each agent, in their order; nothing is fitted, nothing is forecast.

    A case that the method says is not for it (an UnsupportedError, or a DeclarationError about what it needs) has a
    flag of its own, `unsupported`. Raises a :class:`DeclarationError` for a detector that learns or forecasts itself.
    """
    check_gives_evidence(detector, type(detector).__name__)
    return [_case(detector, number, agent, seed, budget, levels) for number, agent in enumerate(agents)]


def check_gives_evidence(detector: Detector, name: str) -> None:
    """Raise a :class:`DeclarationError` unless a detector's evidence can be read without reference cases."""
    if detector.learns or detector.forecasts_itself:
        raise DeclarationError(
            f"{name} {'learns' if detector.learns else 'forecasts'}, and planted agents are never reference cases: "
            f"the planted suite asks methods that give evidence alone."
        )


def _case(detector: Detector, number: int, agent: Agent, seed: int, budget: Budget, levels: int) -> Case:
    case, handle = Case(number, 0), AgentHandle(agent, detector.track, budget, seed)
    drawn = planted_query(agent.recipe, levels)
    query = Query(drawn.distribution, drawn.levels.take(np.arange(len(drawn))))  # a detector may write into it

    def ask() -> Shares | None:
        try:
            return checked_evidence(deepcopy(detector).evidence(handle, query))
        except (UnsupportedError, DeclarationError) as error:
            case.flag, case.message = UNSUPPORTED, str(error)
            return None

    case.evidence = attempt(case, math.inf if isinstance(detector, Outside) else budget.seconds, ask)
    case.tally = handle.tally.counts()
    return case


# What a run will do


@dataclass(frozen=True)
class PlantedTask:
    """One detector with one seed, put to the agents of some recipes: those of one family and mechanism."""

    detector: str
    target: str
    detector_sha256: str
    group: str
    recipes: tuple[str, ...]
    seed: int
    key: str

    @property
    def part(self) -> str:
        """Its file's name under ``rows/``."""
        return f"{self.detector}-{self.group}-{self.seed}-{self.key[:16]}.parquet"

    @property
    def label(self) -> str:
        """In a few words."""
        return f"{self.detector} on {self.group}"


@dataclass(frozen=True)
class PlantedPlan:
    """Everything a run of the planted suite will do."""

    suite: PlantedSuite
    zoo: Path
    populations: Mapping[str, Prints]
    """Recipe -> what its agents are now."""
    tasks: tuple[PlantedTask, ...]


def plan_planted(suite: PlantedSuite, extra: Sequence[str] = ()) -> PlantedPlan:
    """The tasks of a suite, with further detectors by id, module or ``./file.py``, whose evidence is a contrast.

    Reads all agents and what is known of them, so that what is wrong stops a run before it begins.
    """
    zoo, methods = zoo_folder(suite.zoo), _methods(suite, extra)
    populations = [planted_population(zoo, name, suite.levels) for name in suite.recipes]
    known = {population.recipe.name: prints(zoo, population) for population in populations}
    groups: dict[str, list[str]] = {}
    for agent in known_agents(zoo, populations):
        groups.setdefault(f"{agent.family}-{agent.mechanism}", []).append(agent.recipe)
    tasks = [
        _task(suite, method, group, {name: known[name] for name in names}, seed)
        for seed in range(suite.seeds)
        for method in methods
        for group, names in groups.items()
    ]
    return PlantedPlan(suite, zoo, known, tuple(tasks))


def _methods(suite: PlantedSuite, extra: Sequence[str]) -> list[Method]:
    targets = [*suite.detectors, *extra]
    methods = [describe(target) for target in targets]
    for method in methods:
        check_gives_evidence(load_detector(method.target), method.name)
    if len({method.name for method in methods}) < len(methods):
        raise GoalscopeError("Two detectors have the same name: rename the file, results are filed under it.")
    return methods


def _task(suite: PlantedSuite, method: Method, group: str, known: Mapping[str, Prints], seed: int) -> PlantedTask:
    own = content_hash([Path(__file__)])
    question = [SETTING, seed, method.control, suite.levels, asdict(suite.budget), own]
    key = task_key(question, method.source_sha256, list(known.values()))
    return PlantedTask(method.name, method.target, method.source_sha256, group, tuple(known), seed, key)


# Doing it


def execute_planted(
    plan: PlantedPlan,
    folder: Path,
    workers: int,
    done: Callable[[PlantedTask], None],
    how: str = "processes",
    address: str = "",
) -> None:
    """Do what is missing by an executor; `done` is called with every task, also those done before."""
    _describe_run(plan, folder)
    missing = [task for task in plan.tasks if not (folder / "rows" / task.part).exists()]
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
    work = partial(_answer, replace(plan, tasks=()), common)
    for task, rows in executor(how)(work, missing, workers, address):
        write_part(folder / "rows" / task.part, rows)
        done(task)


def _answer(plan: PlantedPlan, common: Mapping[str, Any], task: PlantedTask) -> list[dict[str, Any]]:
    """Put a task's detector to its agents; a row each."""
    suite, rows = plan.suite, []
    with one_thread():
        detector = load_detector(task.target)
        own = {name: getattr(task, name) for name in ("detector", "detector_sha256", "seed", "key")}
        asked = {"setting": SETTING, "bank_frames": suite.budget.bank_frames, "track": int(detector.track)}
        for name in task.recipes:
            agents, known = planted_population(plan.zoo, name, suite.levels).agents, plan.populations[name]
            for case in planted_cases(detector, agents, task.seed, suite.budget, suite.levels):
                hashes = {"weights_sha256": known.weights[case.agent], "labels_sha256": known.labels[case.agent]}
                same = {**common, **hardware(), **own, **asked, **hashes, "recipe": name}
                rows.append(case_row(case, agents[case.agent].id, same))
    return rows


# On disk


def _describe_run(plan: PlantedPlan, folder: Path) -> None:
    """Say in ``run.json`` what belongs to the run."""
    description = {
        "format": FORMAT,
        SETTING: True,
        "suite": asdict(plan.suite),
        "populations": {name: known.sha256 for name, known in plan.populations.items()},
        "parts": [task.part for task in plan.tasks],
        "versions": versions(),
        "machine": platform.platform(),
    }
    write_whole(folder / "run.json", lambda path: path.write_text(json.dumps(description, indent=1)))


def is_planted_run(folder: Path) -> bool:
    """Whether a folder holds a run of planted agents, which :func:`score_planted_run` scores."""
    path = folder / "run.json"
    return path.exists() and SETTING in _description(path)


def _description(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise StorageError(
            f"{path} is no readable description of a run: {error}. Expected a folder that `goalscope "
            f"run` wrote; run the suite into it again, rows that are there are kept."
        ) from error


def score_planted_run(folder: Path) -> PlantedScores:
    """The table of a run, from its rows. Raises a :class:`StorageError` where it is incomplete, or on other agents."""
    data = _description(folder / "run.json")
    try:
        suite = TypeAdapter(PlantedSuite).validate_python(data["suite"])
        parts, asked_about = [folder / "rows" / name for name in data["parts"]], dict(data["populations"])
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{folder / 'run.json'} describes no run of planted agents: {error}.") from error
    if absent := [part.name for part in parts if not part.exists()]:
        raise StorageError(
            f"{len(absent)} of {len(parts)} parts are missing in {folder}, {absent[0]} first: run the suite into it "
            f"again, the others are kept."
        )
    zoo = zoo_folder(suite.zoo)
    populations = [planted_population(zoo, name, suite.levels) for name in suite.recipes]
    for population in populations:
        if prints(zoo, population).sha256 != asked_about.get(population.recipe.name):
            raise StorageError(
                f"{folder} was run on other agents of {population.recipe.name} than lie in {zoo} now, or with another "
                f"version: run the suite again."
            )
    return score_planted(read_rows(parts), known_agents(zoo, populations), suite)
