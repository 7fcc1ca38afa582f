"""Zoos: populations of frozen agents, built in parallel, resumed where they stopped, labelled apart.

A zoo is a folder: ``agents/<id>.safetensors`` and ``agents/<id>.json`` for each agent, and ``labels.parquet`` with what
every agent does under its shift. An agent is there when its manifest is, so the same command after any interruption
trains what is missing and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from joblib import Parallel, delayed
from numpy.typing import NDArray

from goalscope.agents.agent import agent_id
from goalscope.agents.measure import agent_outcomes, competence, query_distribution
from goalscope.agents.recipe import Recipe
from goalscope.agents.storage import load_agent, read_manifest, rounded, save_agent
from goalscope.agents.training import frame_shape, train
from goalscope.envs import Levels
from goalscope.envs.kernels.jit import cache_root
from goalscope.envs.splits import level_hashes
from goalscope.errors import StorageError
from goalscope.files import write_whole
from goalscope.registry import FAMILIES

SEEDS_BY_ROLE = {"admitted": 16, "anchor": 2, "control": 2}
QUERY_LEVELS = 256

LABELS = pa.schema(
    [
        ("agent_id", pa.string()),
        ("recipe", pa.string()),
        ("shift", pa.string()),
        ("query_sha256", pa.string()),
        ("outcomes", pa.list_(pa.float64())),
    ]
)
"""One row an agent; `outcomes` is `[L · (K + 1)]`, level by level, goals in the family's order, then neither."""


@dataclass(frozen=True)
class Member:
    """One agent of a zoo, trained or not."""

    recipe: Recipe
    seed: int

    @property
    def id(self) -> str:
        return agent_id(self.recipe, self.seed)


def members(recipes: Iterable[Recipe]) -> list[Member]:
    """As many seeds of each recipe as its role asks for."""
    return [Member(recipe, seed) for recipe in recipes for seed in range(SEEDS_BY_ROLE[recipe.role])]


def build(folder: Path, wanted: Sequence[Member], workers: int, done: Callable[[Member], None]) -> None:
    """Train every wanted agent that is not there yet, several processes at a time, then label all."""
    missing = [member for member in wanted if not (folder / "agents" / f"{member.id}.json").exists()]
    for member in wanted:
        if member not in missing:
            done(member)
    jobs = Parallel(n_jobs=workers, return_as="generator_unordered", backend="loky")(
        delayed(_train_member)(folder, member) for member in missing
    )
    for member in jobs:
        done(member)
    label(folder, wanted)


def _train_member(folder: Path, member: Member) -> Member:
    torch.set_num_threads(1)
    agent = rounded(train(member.recipe, member.seed))
    actions = FAMILIES.load(member.recipe.family).world.n_actions
    save_agent(agent, folder / "agents", frame_shape(member.recipe), actions, competence(agent))
    return member


def label(folder: Path, wanted: Sequence[Member]) -> None:
    """Write what every agent does on its recipe's query levels, exactly, from the weights as they are stored."""
    torch.set_num_threads(1)
    rows = [_label_row(folder, member) for member in sorted(wanted, key=lambda m: m.id)]
    write_whole(folder / "labels.parquet", lambda path: pq.write_table(pa.Table.from_pylist(rows, LABELS), path))


def _label_row(folder: Path, member: Member) -> dict[str, object]:
    distribution = query_distribution(member.recipe)
    levels = distribution.draw(range(QUERY_LEVELS))
    outcomes = agent_outcomes(load_agent(folder / "agents", member.id), distribution, levels)
    return {
        "agent_id": member.id,
        "recipe": member.recipe.hash,
        "shift": member.recipe.query,
        "query_sha256": _query_hash(levels),
        "outcomes": outcomes.ravel().tolist(),
    }


def find_zoo(name: str) -> Path:
    """The folder of a zoo: the one that comes with Goalscope, else one built in the user's cache folder."""
    built, bundled = cache_root() / "zoos" / name, Path(__file__).parent / "zoos" / name
    for folder in (bundled, built):
        if (folder / "labels.parquet").exists():
            return folder
    raise StorageError(f"There is no zoo {name!r}, neither in {built} nor bundled: goalscope zoo build {name}.")


@dataclass(frozen=True)
class Labels:
    """What the agents of a zoo do; kept apart from the agents."""

    path: Path
    rows: Mapping[str, Mapping[str, Any]]

    def of(self, agent: str, levels: Levels) -> NDArray[np.float64]:
        """`[L, K + 1]` an agent's exact outcome shares on these query levels."""
        row = self.rows.get(agent)
        if row is None:
            raise StorageError(f"{self.path} has no label for {agent}: build the zoo again.")
        if len(levels) != QUERY_LEVELS:
            raise StorageError(
                f"{self.path} labels {QUERY_LEVELS} query levels an agent; a suite cannot ask {len(levels)}."
            )
        if row["query_sha256"] != _query_hash(levels):
            raise StorageError(f"{self.path} labels other query levels of {agent} than this version draws: rebuild it.")
        return np.array(row["outcomes"]).reshape(len(levels), -1)


def read_labels(folder: Path) -> Labels:
    """The labels of a zoo."""
    path = folder / "labels.parquet"
    try:
        table = pq.read_table(path, schema=LABELS)
    except (OSError, pa.ArrowException) as error:
        raise StorageError(f"{path} is no readable table of labels: {error}. Build the zoo again.") from error
    return Labels(path, {row["agent_id"]: row for row in table.to_pylist()})


def _query_hash(levels: Levels) -> str:
    return sha256(level_hashes(levels, walls_only=False).tobytes()).hexdigest()


def verify(folder: Path, wanted: Sequence[Member]) -> list[str]:
    """What is wrong with a zoo, a sentence each: missing or changed agents, manifests or labels."""
    problems = []
    for member in wanted:
        try:
            load_agent(folder / "agents", member.id)
            manifest = read_manifest(folder / "agents" / f"{member.id}.json")
            if manifest.recipe["name"] != member.recipe.name or manifest.seed != member.seed:
                problems.append(f"{member.id} was made by {manifest.recipe['name']}, seed {manifest.seed}.")
        except StorageError as error:
            problems.append(str(error))
    try:
        unlabelled = {member.id for member in wanted} - set(read_labels(folder).rows)
        problems += [f"{identity} has no label." for identity in sorted(unlabelled)]
    except StorageError as error:
        problems.append(str(error))
    return problems
