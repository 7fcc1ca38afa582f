"""Running a suite: which tasks there are, which are done already, and doing the rest.

A run is a folder: ``run.json`` says what was asked, ``rows/`` holds a part of Parquet for every task (detector, recipe,
seed), named by the hash of everything that can change it. So the same command goes on where it stopped, repeats
nothing, and does again just what a change of code, agents or suite makes stale.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from joblib import Parallel, delayed
from joblib.externals.loky.process_executor import TerminatedWorkerError

import goalscope
from goalscope.agents.agent import agent_id
from goalscope.agents.recipe import Recipe
from goalscope.agents.zoo import find_zoo
from goalscope.detectors.tracks import Budget, Track
from goalscope.errors import DeclarationError, GoalscopeError, StorageError
from goalscope.files import write_whole
from goalscope.registry import DETECTORS
from goalscope.suites.crossfit import crossfit
from goalscope.suites.population import load_population
from goalscope.suites.rows import case_row, write_part
from goalscope.suites.suite import Suite

CODE = ("envs", "agents", "detectors/*.py", "suites/crossfit.py", "suites/population.py")
"""What can change a row, beside a detector's own file: packages, and single files."""
PACKAGES = ("goalscope", "numpy", "scipy", "torch", "scikit-learn", "numba", "gymnasium", "minigrid")


@dataclass(frozen=True)
class Task:
    """One detector, one recipe's agents, one seed."""

    detector: str
    target: str
    """Where to load it from."""
    recipe: str
    recipe_target: str
    seed: int
    key: str

    @property
    def part(self) -> str:
        """Its file's name under ``rows/``."""
        return f"{self.detector}-{self.recipe}-{self.seed}-{self.key[:16]}.parquet"


@dataclass(frozen=True)
class Plan:
    """Everything a run will do."""

    suite: Suite
    zoo: Path
    tasks: tuple[Task, ...]

    def missing(self, folder: Path) -> list[Task]:
        """The tasks whose part is not there yet."""
        return [task for task in self.tasks if not (folder / "rows" / task.part).exists()]


def plan(suite: Suite, extra: Sequence[str] = ()) -> Plan:
    """The tasks of a suite, with further detectors by id, module or ``./file.py``."""
    zoo = find_zoo(suite.zoo)
    targets = {_name(target): target for target in (*suite.detectors, *extra)}
    if len(targets) < len(suite.detectors) + len(extra):
        raise GoalscopeError("Two detectors have the same name: rename the file, results are filed under it.")
    for target in targets.values():
        _check_track(target)
    agents = _zoo_hash(zoo)
    tasks = [
        Task(name, target, recipe.name, place, seed, _key(suite, target, recipe, seed, agents))
        for place, recipe in _recipes(suite, zoo).items()
        for seed in range(suite.seeds)
        for name, target in targets.items()
    ]
    return Plan(suite, zoo, tuple(tasks))


def _check_track(target: str) -> None:
    track: object = DETECTORS.load(target).track
    if not isinstance(track, Track):
        known = ", ".join(f"Track.{t.name}" for t in Track)
        raise DeclarationError(f"The track of {target} must be one of {known}, got {track!r}.")


def _recipes(suite: Suite, zoo: Path) -> dict[str, Recipe]:
    """The recipes by where they are loaded from; their agents are read too, so that a bad zoo stops a run at once."""
    found = {name: load_population(zoo, name, suite.levels, suite.folds).recipe for name in suite.recipes}
    if len({recipe.name for recipe in found.values()}) < len(suite.recipes):
        raise GoalscopeError("Two recipes of the suite have the same name: rename one, results are filed under it.")
    return found


def execute(plan: Plan, folder: Path, workers: int, done: Callable[[Task], None]) -> None:
    """Do what is missing, several processes at a time; `done` is called with every task, also those done before."""
    description = {
        "suite": asdict(plan.suite),
        "zoo_sha256": _zoo_hash(plan.zoo),
        "parts": [task.part for task in plan.tasks],
        "versions": versions(),
        "machine": platform.platform(),
    }
    write_whole(folder / "run.json", lambda path: path.write_text(json.dumps(description, indent=1)))
    missing = plan.missing(folder)
    for task in plan.tasks:
        if task not in missing:
            done(task)
    common = {
        "suite": plan.suite.name,
        "suite_sha256": plan.suite.hash,
        "code_sha256": _code_hash(),
        "zoo_sha256": _zoo_hash(plan.zoo),
        "versions": json.dumps(versions()),
        "machine": platform.platform(),
    }
    jobs = Parallel(n_jobs=workers, return_as="generator_unordered", backend="loky")(
        delayed(run_task)(task, plan.suite, plan.zoo, folder, common) for task in missing
    )
    try:
        for task in jobs:
            done(task)
    except TerminatedWorkerError as error:
        raise GoalscopeError(
            "A worker ended before its task did: memory ran out, or a detector ended it. Rows that are written are "
            "kept; run the same command with --workers 1 to see where."
        ) from error


def run_task(task: Task, suite: Suite, zoo: Path, folder: Path, common: dict[str, Any]) -> Task:
    """Put a detector to all agents of a recipe and write their rows."""
    torch.set_num_threads(1)
    population = load_population(zoo, task.recipe_target, suite.levels, suite.folds)
    detector = DETECTORS.load(task.target)
    cases = crossfit(detector, population, task.seed, suite.budget)
    own = {
        "detector": task.detector,
        "track": int(detector.track),
        "seed": task.seed,
        "recipe": task.recipe,
        "key": task.key,
    }
    ids = [agent_id(agent.recipe, agent.seed) for agent in population.agents]
    rows = [case_row(case, ids[case.agent], {**common, **own}) for case in cases]
    write_part(folder / "rows" / task.part, rows)
    return task


@dataclass(frozen=True)
class Run:
    """A run as it lies on disk."""

    suite: Suite
    zoo: Path
    parts: tuple[Path, ...]
    versions: dict[str, str]


def open_run(folder: Path) -> Run:
    """Read what a run was asked, and check that it is complete."""
    path = folder / "run.json"
    try:
        data = json.loads(path.read_text())
        suite = Suite(**{**_tuples(data["suite"]), "budget": Budget(**data["suite"]["budget"])})
        parts = tuple(folder / "rows" / name for name in data["parts"])
        made_with, found_versions = str(data["zoo_sha256"]), {**data["versions"], "machine": str(data["machine"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
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
    zoo = find_zoo(suite.zoo)
    if _zoo_hash(zoo) != made_with:
        raise StorageError(f"{folder} was run with another zoo than {zoo} is now: run the suite again.")
    return Run(suite, zoo, parts, found_versions)


@cache
def versions() -> dict[str, str]:
    """Of what can change a number."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def _tuples(data: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}


def _name(target: str) -> str:
    """What a detector's results are filed under: its id, or the file's or variable's name."""
    place, _, variable = target.rpartition(":") if ":" in Path(target).name else (target, "", "")
    return variable or (Path(place).stem if place.endswith(".py") else place.rpartition(".")[2])


def _key(suite: Suite, target: str, recipe: Recipe, seed: int, agents: str) -> str:
    asked = [suite.levels, suite.folds, asdict(suite.budget), recipe.name, recipe.hash, recipe.query, seed]
    parts = [json.dumps(asked), _code_hash(), _detector_hash(target), agents, json.dumps(versions())]
    return sha256("/".join(parts).encode()).hexdigest()


@cache
def _code_hash() -> str:
    """Of all source that can change a row."""
    root = Path(goalscope.__file__).parent
    found: list[Path] = []
    for pattern in CODE:
        found += sorted((root / pattern).rglob("*.py")) if "." not in pattern else sorted(root.glob(pattern))
    return sha256(b"".join(sha256(path.read_bytes()).digest() for path in found)).hexdigest()


def _detector_hash(target: str) -> str:
    """Of the file that declares a detector."""
    detector = DETECTORS.load(target)
    origin = getattr(sys.modules[detector.__module__], "__file__", None)
    if origin is None:
        raise GoalscopeError(f"{target} has no source file, so nobody could rerun it: put it into one.")
    return sha256(Path(origin).read_bytes()).hexdigest()


@cache
def _zoo_hash(zoo: Path) -> str:
    """Of agents and labels."""
    files = [*sorted((zoo / "agents").glob("[!.]*")), zoo / "labels.parquet"]
    try:
        return sha256(b"".join(sha256(path.read_bytes()).digest() for path in files)).hexdigest()
    except OSError as error:
        raise StorageError(f"Cannot read the zoo {zoo}: {error}. Build it: goalscope zoo build {zoo.name}.") from error
