"""What differs between two runs: forecasts and flags, case by case, and which hash tells why.

Works on rows alone, so also for runs that are not complete or whose agents are gone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from goalscope.errors import StorageError
from goalscope.suites.gather import Row, same, setting_of
from goalscope.suites.rows import read_rows
from goalscope.suites.scores import Scores

ANSWER = ("forecast", "flag")
CAUSES = ("suite_sha256", "detector_sha256", "code_sha256", "weights_sha256", "labels_sha256", "versions")
"""Columns that say what a row was made with."""
Cases: TypeAlias = dict[tuple[Any, ...], Row]


@dataclass(frozen=True, kw_only=True)
class TaskDiff:
    """A method on a recipe's agents with one detector seed, where its rows differ."""

    task: str
    cases: int
    """With another forecast or flag, or in one run only."""
    largest: float
    """The largest difference of a forecast share; 0 where only flags differ."""
    why: tuple[str, ...]
    """Columns that differ with them."""


@dataclass(frozen=True, kw_only=True)
class SkillChange:
    """A method's skill by strata in both runs; None where it is in one only."""

    setting: str
    detector: str
    before: float | None
    after: float | None


@dataclass(frozen=True, kw_only=True)
class RunDiff:
    """Two runs compared."""

    cases: int
    """In both."""
    changed: tuple[TaskDiff, ...]
    only_first: tuple[str, ...]
    """Tasks."""
    only_second: tuple[str, ...]
    causes: tuple[str, ...]
    """Columns of provenance in which rows about the same case differ, whether or not their answers do."""

    @property
    def equal(self) -> bool:
        """Whether all answers are the same."""
        return not (self.changed or self.only_first or self.only_second)

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"equal": self.equal, **asdict(self)}


def run_rows(folder: Path) -> list[dict[str, Any]]:
    """The rows that are there of those that a run's description lists."""
    path = folder / "run.json"
    try:
        names = [str(name) for name in json.loads(path.read_text())["parts"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StorageError(
            f"{path} is no readable description of a run: {error}. Expected a folder that `goalscope run` wrote."
        ) from error
    return read_rows(part for name in names if (part := folder / "rows" / name).exists())


def compare(first: Iterable[Row], second: Iterable[Row]) -> RunDiff:
    """Rows of two runs, paired by setting, method, budget, recipe, seed and agent."""
    one, other = _by_case(first), _by_case(second)
    common = one.keys() & other.keys()
    tasks, others = {_task(case) for case in one}, {_task(case) for case in other}
    by_task: dict[str, list[tuple[Row | None, Row | None]]] = {}
    for case in sorted(one.keys() | other.keys()):
        a, b = one.get(case), other.get(case)
        if _task(case) in tasks & others and (a is None or b is None or not _same_answer(a, b)):
            by_task.setdefault(_task(case), []).append((a, b))
    return RunDiff(
        cases=len(common),
        changed=tuple(_task_diff(task, pairs) for task, pairs in by_task.items()),
        only_first=tuple(sorted(tasks - others)),
        only_second=tuple(sorted(others - tasks)),
        causes=_causes((one[case], other[case]) for case in common),
    )


def _by_case(rows: Iterable[Row]) -> Cases:
    return {
        (setting_of(r), r["detector"], r.get("bank_frames") or 0, r["recipe"], r["seed"], r["agent_id"]): r
        for r in rows
    }


def _task(case: tuple[Any, ...]) -> str:
    setting, detector, frames, recipe, seed, _ = case
    return f"{detector} on {recipe}, seed {seed}, {frames} bank frames, setting {setting}"


def _same_answer(a: Row, b: Row) -> bool:
    return all(same(a[name], b[name]) for name in ANSWER)


def _task_diff(task: str, pairs: Sequence[tuple[Row | None, Row | None]]) -> TaskDiff:
    both = [(a, b) for a, b in pairs if a is not None and b is not None]
    return TaskDiff(
        task=task, cases=len(pairs), largest=max((_apart(a, b) for a, b in both), default=0.0), why=_causes(both)
    )


def _apart(a: Row, b: Row) -> float:
    p, q = a["forecast"], b["forecast"]
    if p is None or q is None or len(p) != len(q):
        return 0.0
    return float(np.nanmax(np.abs(p - q)))


def _causes(pairs: Iterable[tuple[Row, Row]]) -> tuple[str, ...]:
    found = {name for a, b in pairs for name in CAUSES if not same(a.get(name), b.get(name))}
    return tuple(name for name in CAUSES if name in found)


def skill_changes(first: Scores, second: Scores) -> tuple[SkillChange, ...]:
    """Every method of both runs, in every setting."""
    one, other = _skills(first), _skills(second)
    return tuple(
        SkillChange(setting=case[0], detector=case[1], before=one.get(case), after=other.get(case))
        for case in dict.fromkeys((*one, *other))
    )


def _skills(scores: Scores) -> dict[tuple[str, str], float]:
    return {(b.setting, s.detector): s.strata.value for b in scores.boards for s in b.standings}
