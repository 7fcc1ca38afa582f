"""What a run will do: a task for every detector, setting, recipe, seed and budget, with the key of its answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from goalscope.detectors.tracks import Track
from goalscope.errors import GoalscopeError
from goalscope.suites.keys import Prints, prints, task_key
from goalscope.suites.loading import Method, anywhere, controls_of, describe
from goalscope.suites.population import load_population, zoo_folder
from goalscope.suites.suite import Setting, Suite


@dataclass(frozen=True)
class Task:
    """One detector with one seed and budget, put to the agents of one recipe, or in a transfer to those of all."""

    detector: str
    target: str
    """Where to load it from."""
    detector_sha256: str
    setting: Setting
    recipe: str
    """The recipe's name; empty where the task is about all."""
    recipe_target: str
    seed: int
    bank_frames: int
    key: str

    @property
    def part(self) -> str:
        """Its file's name under ``rows/``."""
        about = self.recipe or self.setting
        return f"{self.detector}-{about}-{self.seed}-{self.bank_frames}-{self.key[:16]}.parquet"

    @property
    def label(self) -> str:
        """In a few words."""
        return f"{self.detector} on {self.recipe or f'unseen {self.setting}s'.replace('ys', 'ies')}"


class Planned(Protocol):
    """A task of any kind of run."""

    @property
    def part(self) -> str:
        """Its file's name under ``rows/``."""

    @property
    def label(self) -> str:
        """In a few words."""

    @property
    def target(self) -> str:
        """Where to load its detector from."""


AnyTask = TypeVar("AnyTask", bound=Planned)


@dataclass(frozen=True)
class Plan(Generic[AnyTask]):
    """Everything a run will do."""

    suite: Suite
    zoo: Path
    populations: Mapping[str, Prints]
    """Recipe, as any process loads it -> what its agents are now."""
    tasks: tuple[AnyTask, ...]

    def missing(self, folder: Path) -> list[AnyTask]:
        """The tasks whose part is not there yet."""
        return [task for task in self.tasks if not (folder / "rows" / task.part).exists()]


def plan(suite: Suite, extra: Sequence[str] = ()) -> Plan[Task]:
    """The tasks of a suite, with further detectors by id, module or ``./file.py``.

    Reads all agents and loads all detectors, so that what is wrong with one stops a run before it begins.
    """
    zoo = zoo_folder(suite.zoo)
    methods = find_methods(suite, extra)
    names, populations = {}, {}
    for place in map(anywhere, suite.recipes):
        population = load_population(zoo, place, suite.levels, suite.folds)
        names[place], populations[place] = population.recipe.name, prints(zoo, population)
    if len(set(names.values())) < len(suite.recipes):
        raise GoalscopeError("Two recipes of the suite have the same name: rename one, results are filed under it.")
    tasks = [
        _task(suite, method, setting, names.get(place, ""), place, seed, frames, known)
        for setting in suite.settings
        for place, known in _subjects(setting, populations)
        for seed, method in product(range(suite.seeds), methods)
        for frames in _budgets(suite, setting, method)
    ]
    return Plan(suite, zoo, populations, tuple(tasks))


def find_methods(suite: Suite, extra: Sequence[str]) -> list[Method]:
    """The detectors of a suite, with further ones, and with their controls if it has them."""
    targets = [*suite.detectors, *extra]
    if suite.controls:
        targets += [control for target in targets for control in controls_of(target) if control not in targets]
    methods = [describe(target) for target in targets]
    if len({method.name for method in methods}) < len(methods):
        raise GoalscopeError("Two detectors have the same name: rename the file, results are filed under it.")
    return methods


def _subjects(setting: Setting, populations: Mapping[str, Prints]) -> Iterator[tuple[str, list[Prints]]]:
    """What a task may be about: one recipe after the other, or all at once."""
    if setting == "seed":
        yield from ((place, [known]) for place, known in populations.items())
    else:
        yield "", list(populations.values())


def _budgets(suite: Suite, setting: Setting, method: Method) -> list[int]:
    """Numbers of frames under the shift: swept where they are looked at and the recipe is known."""
    swept = suite.budgets if method.track == Track.STATIC and setting == "seed" else ()
    return sorted({suite.budget.bank_frames, *swept})


def _task(
    suite: Suite,
    method: Method,
    setting: Setting,
    recipe: str,
    place: str,
    seed: int,
    frames: int,
    populations: Sequence[Prints],
) -> Task:
    budget = replace(suite.budget, bank_frames=frames)
    question = [setting, seed, method.control, suite.levels, suite.folds, asdict(budget)]
    key = task_key(question, method.source_sha256, populations)
    return Task(method.name, method.target, method.source_sha256, setting, recipe, place, seed, frames, key)
