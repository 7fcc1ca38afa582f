"""Several zoos in one: no agent is lost, and nothing is merged that contradicts itself."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from goalscope.agents.labels import Row, read_labels, read_stages, write_tables
from goalscope.agents.members import joined, read_members, write_members
from goalscope.agents.planted_file import write_planted
from goalscope.agents.storage import DATE, Manifest, manifests, read_whole
from goalscope.agents.zoo import read_costs, write_costs
from goalscope.errors import StorageError


def merge(zoos: Sequence[Path], into: Path) -> int:
    """Write a zoo with all agents of several, whole or not at all; returns how many there are.

    An agent that is in several must be the same in all, and agents of one recipe must have been asked about the same
    levels; else a StorageError says which are not.
    """
    if into.exists():
        raise StorageError(f"{into} exists already: merge into a place that does not, so that nothing is overwritten.")
    members = joined([read_members(zoo) for zoo in zoos])
    sources = _sources(zoos)
    labels = _joined_rows([(zoo, list(read_labels(zoo).rows.values())) for zoo in zoos])
    stages = _joined_rows([(zoo, read_stages(zoo)) for zoo in zoos])
    costs = {identity: cost for zoo in reversed(zoos) for identity, cost in read_costs(zoo).items()}
    half = into.with_name(f".{uuid4().hex}")
    try:
        (half / "agents").mkdir(parents=True)
        for identity, zoo in sources.items():
            _copy(zoo / "agents", half / "agents", identity)
        write_members(half, members)
        write_tables(half, labels, stages)
        write_planted(half, members)
        if costs:
            write_costs(half, costs)
        os.replace(half, into)
    except OSError as error:
        raise StorageError(f"Cannot write {into}: {error.strerror or error}. Nothing was merged.") from error
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return len(sources)


def _sources(zoos: Sequence[Path]) -> dict[str, Path]:
    """Agent -> a zoo that holds it, whole."""
    found: dict[str, tuple[Path, Manifest]] = {}
    for zoo in zoos:
        for manifest in manifests(zoo / "agents"):
            identity = manifest.agent_id
            read_whole(zoo / "agents", identity)
            first, other = found.setdefault(identity, (zoo, manifest))
            if differing := _differing(manifest, other):
                raise StorageError(
                    f"Agent {identity} is not the same in {first} and {zoo}: they differ in {differing}."
                )
    return {identity: zoo for identity, (zoo, _) in found.items()}


def _differing(one: Manifest, other: Manifest) -> str:
    """In which fields two manifests of an agent contradict each other; by whom it was made is no contradiction."""
    a, b = one.model_dump(), other.model_dump()
    return ", ".join(name for name in a if name not in ("format", "made_with") and a[name] != b[name])


def _joined_rows(tables: Sequence[tuple[Path, list[Row]]]) -> list[Row]:
    """The rows of several tables, each agent's, or stage's, once."""
    found: dict[tuple[str, int], tuple[Path, Row]] = {}
    asked: dict[tuple[str, str], tuple[Path, Row]] = {}
    for zoo, row in ((zoo, row) for zoo, rows in tables for row in rows):
        where, other = asked.setdefault((row["recipe"], row["shift"]), (zoo, row))
        if other["query_sha256"] != row["query_sha256"]:
            raise StorageError(
                f"Agents {other['agent_id']} in {where} and {row['agent_id']} in {zoo} are of one recipe and were "
                f"asked about different levels: label one of the zoos again, with the version that labelled the other."
            )
        where, other = found.setdefault((row["agent_id"], row.get("steps", 0)), (zoo, row))
        if other["outcomes"] != row["outcomes"] or other["shift"] != row["shift"]:
            raise StorageError(f"Agent {row['agent_id']} is labelled differently in {where} and {zoo}.")
    return [row for _, row in found.values()]


def _copy(source: Path, target: Path, identity: str) -> None:
    for path in source.glob(f"{identity}.*"):
        shutil.copyfile(path, target / path.name)
        os.utime(target / path.name, (DATE, DATE))
