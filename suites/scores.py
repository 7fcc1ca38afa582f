"""What scoring says: a table of standings, as data, and its JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One method's scores on a suite."""

    detector: str
    track: int
    """0 recipe … 4 rollout; 4 is a yardstick and has no rank."""
    rank: str
    """For instance ``2`` or ``2–4`` where intervals of differences cover zero; empty without a rank."""
    strata: Interval
    """Skill by geometry strata: the headline. 0 = the recipe's exact mean, 1 = the truth."""
    level: Interval
    """Skill level by level."""
    purposeful: Interval
    """Skill by strata of P(any goal)."""
    conditional: Interval
    """Skill by strata of P(intended | any goal)."""
    tau: float
    """Mean within-recipe Kendall τ of P(intended | any goal), over pairs tested with the same reference."""
    equivalent: float | None
    """Episodes under the shift that would give the same skill; None above the largest tried."""
    by_recipe: Mapping[str, float]
    """Skill by strata in each recipe."""
    cases: int
    flagged: int
    """Cases where it crashed, overspent or broke a rule: they count as the reference's loss and a penalty."""
    seconds: float
    """Mean time of a case."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A known line that every table shows: the agent oracle, the leave-one-out mean."""

    name: str
    strata: Interval
    level: Interval
    by_recipe: Mapping[str, float]


@dataclass(frozen=True)
class Failure:
    """One way in which a method failed, and how often."""

    detector: str
    flag: str
    message: str
    cases: int


@dataclass(frozen=True, kw_only=True)
class Scores:
    """The scores of one run of one suite."""

    suite: str
    suite_sha256: str
    recipes: tuple[str, ...]
    agents: int
    levels: int
    seeds: int
    standings: tuple[Standing, ...]
    """Best first; yardsticks and baselines stand among the methods."""
    lines: tuple[Line, ...]
    curve: tuple[tuple[int, float], ...]
    """(episodes k, skill by strata of a forecaster that saw k episodes of each agent under the shift)."""
    failures: tuple[Failure, ...]
    """Most frequent first."""
    versions: Mapping[str, str]

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)
