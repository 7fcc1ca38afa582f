"""Zoos: populations of frozen agents, built in parallel, resumed where they stopped, labelled apart.

A zoo is a folder:

- ``agents/<id>.safetensors``, ``agents/<id>.json`` for each agent, and its ``<id>.stages.safetensors`` if it has any;
- ``labels.parquet``, ``stages.parquet``: what every agent, and every stage of one, does under its shift;
- ``truth.json``: what was planted in agents whose goal is known;
- ``zoo.json``: who belongs to it; ``costs.csv``: the core-minutes of training, which no two runs have in common.

An agent is there when its manifest is, and each label is written as it is found, so the same command after any
interruption does what is missing and nothing else.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import process_time, time

import torch
from joblib import Parallel, delayed
from joblib.externals.loky.process_executor import TerminatedWorkerError

from goalscope.agents.labels import (
    Row,
    is_current,
    label_rows,
    read_labels,
    read_stages,
    write_tables,
)
from goalscope.agents.measure import competence
from goalscope.agents.members import Member, joined, read_members, write_members
from goalscope.agents.planted.trained import check_trained
from goalscope.agents.planted_file import write_planted
from goalscope.agents.storage import Manifest, load_agent, read_manifest, read_whole, rounded, save_agent
from goalscope.agents.training import Weights, checkpoint_steps, frame_shape, train
from goalscope.envs.kernels.jit import cache_root
from goalscope.errors import CheckFailure, GoalscopeError, StorageError
from goalscope.files import write_whole
from goalscope.registry import FAMILIES

BUNDLED = Path(__file__).parent / "zoos"
STALE = 60.0
"""Seconds after which a half-written file belongs to no living process."""


@dataclass(frozen=True)
class Made:
    """What a process reports of one member."""

    member: Member
    minutes: float | None
    """Core-minutes of training; None if it was trained before."""
    label: Row
    stages: list[Row]


def build(folder: Path, wanted: Sequence[Member], workers: int, done: Callable[[Member], None]) -> None:
    """Train and label every wanted agent that is not there yet, several processes at a time.

    `done` is called with each as it is finished; :func:`unfinished` says beforehand which will be.
    """
    everyone = joined([wanted, read_members(folder)])
    write_members(folder, everyone)
    _sweep(folder / "agents")
    tables = _Tables(folder, everyone)
    todo = sorted(unfinished(folder, wanted), key=_builds_on_another)
    jobs = Parallel(n_jobs=workers, return_as="generator_unordered", backend="loky")(
        delayed(_made_or_why_not)(folder, member) for member in todo
    )
    failures: list[str] = []
    try:
        for made in jobs:
            if isinstance(made, str):
                failures.append(made)
                continue
            tables.add(made)
            done(made.member)
    except TerminatedWorkerError as error:
        raise GoalscopeError(
            "A worker ended before its agent was finished: memory ran out, or somebody ended it. What is finished is "
            "kept; run the same command again, with fewer --workers."
        ) from error
    tables.write()
    write_planted(folder, everyone)
    if failures:
        raise CheckFailure(
            "Agents that are not what was to be planted have no label, and no suite asks about them:\n"
            + "\n".join(failures)
        )


def _builds_on_another(member: Member) -> bool:
    """Such agents come last: those that they start from, or learn from, are there by then and are not trained twice."""
    return bool(member.recipe.start or getattr(member.recipe.learner, "teacher", ""))


def unfinished(folder: Path, wanted: Sequence[Member]) -> list[Member]:
    """The members that are still to be trained or labelled, each once."""
    labels, stages = _rows(folder)
    return [member for member in joined([wanted]) if not _is_finished(folder, member, labels, stages)]


def _is_finished(folder: Path, member: Member, labels: dict[str, Row], stages: dict[tuple[str, int], Row]) -> bool:
    manifest = _trained(folder, member)
    if manifest is None or not is_current(labels.get(member.id), manifest.weights_sha256, member.recipe):
        return False
    kept = [stages.get((member.id, steps)) for steps in manifest.stages]
    return all(is_current(row, manifest.stages_sha256, member.recipe) for row in kept)


def _trained(folder: Path, member: Member) -> Manifest | None:
    """A member's manifest, if its files are there, unharmed, with all stages that its recipe wants."""
    try:
        manifest = read_whole(folder / "agents", member.id)
    except StorageError:
        return None
    return manifest if set(checkpoint_steps(member.recipe)) <= set(manifest.stages) else None


def _made_or_why_not(folder: Path, member: Member) -> Made | str:
    """A finished member; or in words what was to be planted in it and is not, which is no reason to stop the others."""
    try:
        return _make(folder, member)
    except CheckFailure as failure:
        return str(failure)


def _make(folder: Path, member: Member) -> Made:
    """Train an agent unless it is there, check what training was to plant in it, then label it."""
    torch.set_num_threads(1)
    begun, minutes = process_time(), None
    if _trained(folder, member) is None:
        _train_member(folder, member)
        minutes = (process_time() - begun) / 60
    if member.recipe.trained_goal:
        check_trained(load_agent(folder / "agents", member.id))
    manifest = read_manifest(folder / "agents" / f"{member.id}.json")
    return Made(member, minutes, *label_rows(folder / "agents", manifest, member.recipe))


def _train_member(folder: Path, member: Member) -> None:
    stages: dict[int, Weights] = {}
    agent = rounded(train(member.recipe, member.seed, keep=stages.__setitem__, folder=folder / "agents"))
    actions = FAMILIES.load(member.recipe.family).world.n_actions
    save_agent(agent, folder / "agents", frame_shape(member.recipe), actions, competence(agent), stages)


class _Tables:
    """The tables of a zoo, written anew with every row that is added."""

    def __init__(self, folder: Path, everyone: Sequence[Member]) -> None:
        self._folder = folder
        here = {member.id for member in everyone}
        labels, stages = _rows(folder)
        self._labels = {identity: row for identity, row in labels.items() if identity in here}
        self._stages = {key: row for key, row in stages.items() if key[0] in here}
        self._costs = read_costs(folder)

    def add(self, made: Made) -> None:
        self._labels[made.member.id] = made.label
        self._stages.update({(made.member.id, row["steps"]): row for row in made.stages})
        if made.minutes is not None:
            self._costs[made.member.id] = made.minutes
        self.write()

    def write(self) -> None:
        write_tables(self._folder, self._labels.values(), self._stages.values())
        if self._costs:
            write_costs(self._folder, self._costs)


def _rows(folder: Path) -> tuple[dict[str, Row], dict[tuple[str, int], Row]]:
    """The labels that are there, by agent, and those of stages, by agent and steps; damaged ones are measured anew."""
    try:
        labels = dict(read_labels(folder).rows)
    except StorageError:
        labels = {}
    try:
        stages = read_stages(folder)
    except StorageError:
        stages = []
    return labels, {(row["agent_id"], row["steps"]): row for row in stages}


def read_costs(folder: Path) -> dict[str, float]:
    """Agent -> core-minutes of its training, as far as they are known."""
    path = folder / "costs.csv"
    if not path.exists():
        return {}
    try:
        with path.open(newline="") as file:
            return {row["agent_id"]: float(row["core_minutes"]) for row in csv.DictReader(file)}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StorageError(
            f"{path} is no readable table of costs: {error!r}. Delete it; nothing rests on it."
        ) from error


def write_costs(folder: Path, costs: dict[str, float]) -> None:
    """Write the core-minutes of training, a row an agent."""
    lines = ["agent_id,core_minutes", *(f"{identity},{costs[identity]:.3f}" for identity in sorted(costs))]
    write_whole(folder / "costs.csv", lambda path: path.write_text("\n".join(lines) + "\n"))


def _sweep(folder: Path) -> None:
    """Remove what writes left behind that were killed."""
    for path in folder.glob(".*"):
        if time() - path.stat().st_ctime > STALE:
            path.unlink(missing_ok=True)


def find_zoo(name: str) -> Path:
    """The folder of a zoo: the one that comes with Goalscope, else one built in the user's cache folder."""
    built, bundled = cache_root() / "zoos" / name, BUNDLED / name
    for folder in (bundled, built):
        if (folder / "labels.parquet").exists():
            return folder
    raise StorageError(f"There is no zoo {name!r}, neither in {built} nor bundled: goalscope zoo build {name}.")
