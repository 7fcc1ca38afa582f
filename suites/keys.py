"""Cache keys: hashes of everything that can change an answer, and of nothing else. No name stands for a content."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from goalscope.agents.labels import query_hash
from goalscope.errors import StorageError
from goalscope.registry import ARCHITECTURES, FAMILIES
from goalscope.suites.circumstances import versions
from goalscope.suites.population import Population
from goalscope.suites.sources import shared_hash, source_hash


@dataclass(frozen=True)
class Prints:
    """Hashes of one recipe's agents and of what is known of them."""

    weights: tuple[str, ...]
    """`[A]` of the weights files."""
    labels: tuple[str, ...]
    """`[A]` of the labels: the query levels and the outcomes on them."""
    sha256: str
    """Of all that an answer about them rests on: also manifests, recipe, folds, family and architecture."""


def prints(zoo: Path, population: Population) -> Prints:
    """The hashes of a population as it lies in a zoo."""
    recipe = population.recipe
    files = [zoo / "agents" / f"{agent.id}.safetensors" for agent in population.agents]
    weights = tuple(_file_hash(path) for path in files)
    asked = query_hash(population.query.levels).encode()
    labels = tuple(sha256(asked + truth.tobytes()).hexdigest() for truth in population.truths)
    rests_on = [
        [_file_hash(path.with_suffix(".json")) for path in files],
        [recipe.hash, recipe.query, population.folds.tolist()],
        [source_hash(FAMILIES, recipe.family), source_hash(ARCHITECTURES, recipe.arch)],
    ]
    return Prints(weights, labels, _hash([weights, labels, rests_on]))


def task_key(question: Sequence[Any], detector_sha256: str, populations: Sequence[Prints]) -> str:
    """Of a task; `question` is what is asked beside agents, detector, code and versions, as plain data."""
    about = [p.sha256 for p in populations]
    return _hash([question, detector_sha256, about, shared_hash(), versions()])


def _hash(data: Any) -> str:
    return sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def _file_hash(path: Path) -> str:
    try:
        return sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise StorageError(f"Cannot read {path}: {error}. Build the agent again or restore it.") from error
