"""Running the planted suite: a task for every detector, detector seed, family and mechanism; its rows are as all rows.

The same executors, keys and folder as other runs have, so the same command goes on where it stopped. Rows have evidence
and no forecast, and `planted` for a setting.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from goalscope.agents.agent import Agent
from goalscope.detectors.answers import checked_evidence
from goalscope.detectors.base import Detector
from goalscope.detectors.handle import AgentHandle
from goalscope.detectors.query import Query
from goalscope.detectors.tracks import Budget
from goalscope.errors import DeclarationError, StorageError, UnsupportedError
from goalscope.suites.case import Case, Shares, attempt
from goalscope.suites.folder import check_complete, check_unchanged, read_description, write_description
from goalscope.suites.keys import Prints, prints, task_key
from goalscope.suites.loading import Method, opened
from goalscope.suites.plan import Plan, find_methods
from goalscope.suites.planted import known_agents, planted_population, planted_query
from goalscope.suites.planted_scores import UNSUPPORTED, PlantedScores, score_planted
from goalscope.suites.planted_suite import PlantedSuite
from goalscope.suites.population import zoo_folder
from goalscope.suites.rows import read_rows
from goalscope.suites.run import Common, Rows, carry_out, rows_of
from goalscope.suites.sources import content_hash

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

    case.evidence = attempt(case, math.inf if detector.apart else budget.seconds, ask)
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


def plan_planted(suite: PlantedSuite, extra: Sequence[str] = ()) -> Plan[PlantedTask]:
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
    return Plan(suite, zoo, known, tuple(tasks))


def _methods(suite: PlantedSuite, extra: Sequence[str]) -> list[Method]:
    methods = find_methods(suite, extra)
    for method in methods:
        with opened(method.target) as detector:
            check_gives_evidence(detector, method.name)
    return methods


def _task(suite: PlantedSuite, method: Method, group: str, known: Mapping[str, Prints], seed: int) -> PlantedTask:
    own = content_hash([Path(__file__)])
    question = [SETTING, seed, method.control, suite.levels, asdict(suite.budget), own]
    key = task_key(question, method.source_sha256, list(known.values()))
    return PlantedTask(method.name, method.target, method.source_sha256, group, tuple(known), seed, key)


# Doing it


def execute_planted(
    plan: Plan[PlantedTask],
    folder: Path,
    workers: int,
    done: Callable[[PlantedTask], None],
    how: str = "processes",
    address: str = "",
) -> None:
    """Do what is missing by an executor; `done` is called with every task, also those done before."""
    write_description(plan, folder, SETTING)
    carry_out(plan, _answer, folder, workers, done, how, address)


def _answer(plan: Plan[PlantedTask], common: Common, detector: Detector, task: PlantedTask) -> Rows:
    """Put a task's detector to its agents; a row each."""
    suite, rows = plan.suite, []
    own = {name: getattr(task, name) for name in ("detector", "detector_sha256", "seed", "key")}
    asked = {"setting": SETTING, "bank_frames": suite.budget.bank_frames}
    for name in task.recipes:
        population = planted_population(plan.zoo, name, suite.levels)
        cases = planted_cases(detector, population.agents, task.seed, suite.budget, suite.levels)
        rows += rows_of(population, cases, plan.populations[name], {**common, **own, **asked})
    return rows


# On disk


def is_planted_run(folder: Path) -> bool:
    """Whether a folder holds a run of planted agents, which :func:`score_planted_run` scores."""
    return (folder / "run.json").exists() and SETTING in read_description(folder)


def score_planted_run(folder: Path) -> PlantedScores:
    """The table of a run, from its rows. Raises a :class:`StorageError` where it is incomplete, or on other agents."""
    data = read_description(folder)
    try:
        suite = TypeAdapter(PlantedSuite).validate_python(data["suite"])
        parts, asked_about = [folder / "rows" / name for name in data["parts"]], dict(data["populations"])
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{folder / 'run.json'} describes no run of planted agents: {error}.") from error
    check_complete(folder, parts)
    zoo = zoo_folder(suite.zoo)
    populations = [planted_population(zoo, name, suite.levels) for name in suite.recipes]
    for population in populations:
        name = population.recipe.name
        check_unchanged(folder, zoo, population, name, asked_about.get(name))
    return score_planted(read_rows(parts), known_agents(zoo, populations), suite)
