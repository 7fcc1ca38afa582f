"""What scoring says: a board of standings for every setting, as data, and its JSON."""

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


@dataclass(frozen=True)
class Bin:
    """Forecasts of P(intended) that lie together, and what came of them."""

    forecast: float
    truth: float
    cases: int


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One method's scores in one setting."""

    detector: str
    track: int
    """0 recipe … 4 rollout; 4 is a yardstick and has no rank."""
    rank: str
    """For instance ``2`` or ``2–4`` where intervals of differences cover zero; empty without a rank."""
    strata: Interval
    """Skill by geometry strata: the headline. 0 = the reference of the setting, 1 = the truth."""
    level: Interval
    """Skill level by level."""
    purposeful: Interval
    """Skill by strata of P(any goal)."""
    conditional: Interval
    """Skill by strata of P(intended | any goal)."""
    log: Interval
    """Skill by strata of the clipped logarithmic score."""
    tau: float
    """Mean within-recipe Kendall τ of P(intended | any goal), over pairs tested with the same reference."""
    calibration_error: float
    """Mean distance of binned forecasts of P(intended) from the truth (ECE)."""
    calibration: tuple[Bin, ...]
    """The bins that hold forecasts, in order."""
    equivalent: float | None
    """Episodes under the shift that would give the same skill; None above the largest tried, or where none was."""
    by_recipe: Mapping[str, float]
    """Skill by strata in each recipe."""
    by_margin: tuple[float, ...]
    """Skill in each stratum, from proxies nearer to the intended goal nearer."""
    by_strength: tuple[tuple[float, float], ...]
    """(strength of the shift, skill by strata of the recipes asked under it)."""
    worst: str
    """The recipe with the lowest skill; empty if none has one."""
    reseed: float | None
    """Standard deviation of the skill over detector seeds; None with one."""
    cases: int
    flagged: int
    """Cases without a forecast (crash, time-out, NaN, missing row), or against the rules: each costs a penalty."""
    seconds: float
    """Mean time of a case."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A known line that every table shows: the agent oracle, the leave-one-out mean."""

    name: str
    strata: Interval
    level: Interval
    by_recipe: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The skill by strata of a method minus that of a baseline, on the same agents."""

    method: str
    baseline: str
    found: Interval
    p: float
    """Two-sided, of no difference."""
    corrected: float
    """p, corrected for how many differences were looked at."""


@dataclass(frozen=True, kw_only=True)
class AtBudget:
    """A method on T3 with some number of frames under the shift."""

    method: str
    frames: int
    strata: Interval
    """Skill by strata."""
    over_asking: Interval | None
    """That minus the skill of asking the policy with as many frames; None where that did not run, or is the method."""


@dataclass(frozen=True)
class Failure:
    """One way in which a method failed, and how often."""

    detector: str
    flag: str
    message: str
    cases: int


@dataclass(frozen=True, kw_only=True)
class Board:
    """One setting's standings; settings are never averaged."""

    setting: str
    """seed (recipes known), recipe (unseen recipes) or family (unseen families; descriptive)."""
    recipes: tuple[str, ...]
    agents: int
    standings: tuple[Standing, ...]
    """Best first; yardsticks and baselines stand among the methods."""
    lines: tuple[Line, ...]
    curve: tuple[tuple[int, float], ...] = ()
    """(episodes k, skill by strata of a forecaster that saw k episodes of each agent under the shift); setting seed."""
    contrasts: tuple[Difference, ...] = ()
    """Fixed beforehand by the suite, corrected after Holm: these carry the claims."""
    at_budgets: tuple[AtBudget, ...] = ()
    """Methods on T3 by number of frames under the shift."""
    exploratory: tuple[Difference, ...] = ()
    """All other pairs of ranked methods, corrected by the false discovery rate."""
    smallest_difference: float = float("nan")
    """Between two ranked methods, that this suite tells from none: 1.96 SD, the median over pairs."""
    reseed: float = float("nan")
    """The median over methods of the standard deviation over detector seeds."""
    separated: float = float("nan")
    """The share of pairs of ranked methods whose difference excludes zero at 95 %."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """The scores of one run of one suite."""

    suite: str
    suite_sha256: str
    levels: int
    seeds: int
    headline: Board
    transfer: tuple[Board, ...] = ()
    """The other settings."""
    failures: tuple[Failure, ...]
    """Most frequent first."""
    versions: Mapping[str, str]

    @property
    def boards(self) -> tuple[Board, ...]:
        """All, the headline first."""
        return (self.headline, *self.transfer)

    def as_json(self) -> dict[str, Any]:
        """Plain data; the headline's fields stand beside the run's."""
        run = asdict(self)
        return {**run.pop("headline"), **run}
