"""From rows to arrays of forecasts: by setting and method, each case once, none dropped in silence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from goalscope.errors import GoalscopeError
from goalscope.suites.score import Shares
from goalscope.suites.truth import SETTINGS, Truth

Row: TypeAlias = Mapping[str, Any]


def setting_of(row: Row) -> str:
    """Rows from before there were settings are of the first."""
    return row.get("setting") or SETTINGS[0]


def method_of(row: Row, bank_frames: int | None = None) -> str:
    """The detector; where it was allowed another number of frames than the suite's, ``ask_the_policy@16``."""
    allowed = row.get("bank_frames")
    return row["detector"] if allowed in (None, bank_frames) else f"{row['detector']}@{allowed}"


def by_setting(rows: Iterable[Row], bank_frames: int | None = None) -> dict[str, dict[str, list[Row]]]:
    """Setting -> method -> its rows; a row that is there twice counts once. `bank_frames` is the suite's own budget.

    Raises a :class:`GoalscopeError` where two rows about the same case differ, or a setting is not known.
    """
    seen: dict[tuple[Any, ...], Row] = {}
    found: dict[str, dict[str, list[Row]]] = {}
    for row in rows:
        case = (setting_of(row), method_of(row, bank_frames), row["seed"], row["agent_id"])
        if case[0] not in SETTINGS:
            raise GoalscopeError(f"A row has the setting {case[0]!r}; known are {', '.join(SETTINGS)}.")
        if case not in seen:
            seen[case] = row
            found.setdefault(case[0], {}).setdefault(case[1], []).append(row)
        elif not _same(row, seen[case]):
            raise GoalscopeError(
                f"Two different rows are about the same case: {case[1]} with seed {case[2]} on {case[3]}, setting "
                f"{case[0]}. Score one run at a time, or delete one of the two parts."
            )
    return {setting: found[setting] for setting in SETTINGS if setting in found}


def _same(one: Row, other: Row) -> bool:
    return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())


def same(one: Any, other: Any) -> bool:
    """Whether two entries of rows are equal, arrays number by number; NaN equals NaN."""
    if one is None or other is None or isinstance(one, str):
        return bool(one is other or (isinstance(one, str) and one == other))
    return np.array_equal(np.asarray(one), np.asarray(other), equal_nan=True)


def forecasts(known: Sequence[Truth], rows: Iterable[Row], seeds: Sequence[int]) -> dict[int, list[Shares]]:
    """Seed -> a recipe each, `[A, L, C]` forecasts for all its agents; NaN where there is none, or a flag on it.

    Raises a :class:`GoalscopeError` about a row that no truth is known for, or a forecast of another shape.
    """
    found = {seed: [np.full(t.shares.shape, np.nan) for t in known] for seed in seeds}
    places = {
        (t.name, identity): (number, agent) for number, t in enumerate(known) for agent, identity in enumerate(t.ids)
    }
    for row in rows:
        place = places.get((row["recipe"], row["agent_id"]))
        if place is None or row["seed"] not in found:
            raise GoalscopeError(
                f"A row of {row['detector']} is about {row['agent_id']} of recipe {row['recipe']}, seed {row['seed']}, "
                f"which this suite does not score: the run's description and its rows do not belong together."
            )
        if row["forecast"] is not None and not row["flag"]:
            number, agent = place
            found[row["seed"]][number][agent] = _shaped(row, known[number])
    return found


def _shaped(row: Row, truth: Truth) -> Shares:
    shape, given = truth.shares.shape[1:], np.asarray(row["forecast"], np.float64)
    if given.size != shape[0] * shape[1]:
        raise GoalscopeError(
            f"The forecast of {row['detector']} for {row['agent_id']} has {given.size} numbers; expected "
            f"{shape[0]} levels × {shape[1]} outcomes (setting {setting_of(row)})."
        )
    return given.reshape(shape)
