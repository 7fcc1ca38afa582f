"""A run as it lies on disk: ``run.json`` says what was asked, ``rows/`` holds a part of Parquet for every task."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from goalscope.errors import StorageError
from goalscope.files import write_whole
from goalscope.suites.circumstances import versions
from goalscope.suites.keys import prints
from goalscope.suites.plan import Plan
from goalscope.suites.population import Population
from goalscope.suites.rows import FORMAT


def write_description(plan: Plan[Any], folder: Path, kind: str = "") -> None:
    """Say what belongs to the run, and of which kind it is if it is no ordinary one."""
    description = {
        "format": FORMAT,
        **({kind: True} if kind else {}),
        "suite": asdict(plan.suite),
        "populations": {name: known.sha256 for name, known in plan.populations.items()},
        "parts": [task.part for task in plan.tasks],
        "versions": versions(),
        "machine": platform.platform(),
    }
    write_whole(folder / "run.json", lambda path: path.write_text(json.dumps(description, indent=1)))


def read_description(folder: Path) -> dict[str, Any]:
    """What a run was asked."""
    try:
        return dict(json.loads((folder / "run.json").read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise unreadable(folder, error) from error


def unreadable(folder: Path, error: Exception) -> StorageError:
    """What to say of a description that holds something else than it should."""
    return StorageError(
        f"{folder / 'run.json'} is no readable description of a run: {error}. Expected a folder that `goalscope run` "
        f"wrote; run the suite into it again, rows that are there are kept."
    )


def check_complete(folder: Path, parts: Sequence[Path]) -> None:
    """Raise a :class:`StorageError` unless all parts are there."""
    absent = [part for part in parts if not part.exists()]
    if absent:
        raise StorageError(
            f"{len(absent)} of {len(parts)} parts are missing in {folder}, {absent[0].name} first: "
            f"run the suite into it again, the others are kept."
        )


def check_unchanged(folder: Path, zoo: Path, population: Population, name: str, digest: str | None) -> None:
    """Raise a :class:`StorageError` unless a recipe's agents are those that the run was about."""
    if prints(zoo, population).sha256 != digest:
        raise StorageError(
            f"{folder} was run on other agents of {name} than lie in {zoo} now, or with another version: "
            f"run the suite again."
        )
