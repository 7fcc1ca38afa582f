"""The figures of a population: a summary of each recipe, and what more of the disambiguating levels do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2, t

from goalscope.agents.recipe import Recipe
from goalscope.suites.population_groups import Census, Conduct, Group
from goalscope.suites.scores import Interval

TAIL = 0.025
"""Probability on either side of an interval."""
NOT_THE_SETTING = ("name", "role", "checkpoints", "alpha", "alpha_shift")
"""In what the recipes of one dose–response may differ: the dose, and what changes no agent."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """One recipe's agents in one row; means over all of them, but for P(intended | any goal)."""

    recipe: str
    recipe_sha256: str
    family: str
    shift: str
    role: str
    alpha: float
    alpha_shift: str
    architecture: str
    learner: str
    budget: int
    agents: int
    counted: int
    """Agents that are competent and purposeful."""
    competence: float
    least_competent: float
    most_competent: float
    excess: float
    """P(any goal) over the random policy's."""
    intended: float
    proxies: float
    neither: float
    conditional: Interval
    """Mean P(intended | any goal) of those who count, with its Student t interval over seeds."""
    spread: Interval
    """Its between-seed SD, with its χ² interval."""
    lowest: float
    highest: float
    outcomes: dict[str, float]
    """Mean share by outcome."""
    chance: dict[str, float]
    """The random policy's."""


def summary(group: Group) -> Summary:
    """The row of one recipe."""
    recipe, shares = group.recipe, group.shares.mean(0)
    values = group.conditional[group.is_counted]
    competence = np.array([agent.competence for agent in group.agents])
    return Summary(
        recipe=recipe.name,
        recipe_sha256=recipe.hash,
        family=recipe.family,
        shift=recipe.query,
        role=recipe.role,
        alpha=recipe.alpha,
        alpha_shift=recipe.alpha_shift,
        architecture=recipe.arch,
        learner=recipe.learner.kind,
        budget=recipe.budget,
        agents=len(group.agents),
        counted=len(values),
        competence=float(competence.mean()),
        least_competent=float(competence.min()),
        most_competent=float(competence.max()),
        excess=float(shares[:-1].sum() - group.chance[:-1].sum()),
        intended=float(shares[group.intended]),
        proxies=float(np.delete(shares[:-1], group.intended).sum()),
        neither=float(shares[-1]),
        conditional=mean_interval(values),
        spread=sd_interval(values),
        lowest=float(values.min()) if len(values) else float("nan"),
        highest=float(values.max()) if len(values) else float("nan"),
        outcomes=_named(group, shares),
        chance=_named(group, group.chance),
    )


def _named(group: Group, shares: NDArray[np.float64]) -> dict[str, float]:
    return dict(zip(group.outcomes, shares.tolist(), strict=True))


def mean_interval(values: NDArray[np.float64]) -> Interval:
    """The mean of n shares with Student's t interval, which ends at 0 and 1; below two values it is not known."""
    n = len(values)
    if n < 2:
        return Interval(float(values.mean()) if n else float("nan"), float("nan"), float("nan"))
    mean = float(values.mean())
    reach = float(t.ppf(1 - TAIL, n - 1) * values.std(ddof=1) / sqrt(n))
    return Interval(mean, max(0.0, mean - reach), min(1.0, mean + reach))


def sd_interval(values: NDArray[np.float64]) -> Interval:
    """The SD (n − 1) of n shares with its χ² interval, which ends at the largest SD that n shares can have.

    The interval is that of normal values. For 16 shares it held the SD in 99 % of draws from a uniform and 93 % from
    a beta (8, 2) distribution, where a percentile bootstrap held it in 90 % and 79 %; with two values a bootstrap says
    nothing (about 30 %).
    """
    n = len(values)
    if n < 2:
        return Interval(float("nan"), float("nan"), float("nan"))
    sd, most = float(values.std(ddof=1)), 0.5 * sqrt(n / (n - 1))
    low, high = (sd * sqrt((n - 1) / chi2.ppf(p, n - 1)) for p in (1 - TAIL, TAIL))
    return Interval(sd, low, min(most, high))


@dataclass(frozen=True)
class Dose:
    """One recipe in a dose–response."""

    group: Group
    mean: Interval
    """Of P(intended | any goal), over the agents that count."""

    @property
    def alpha(self) -> float:
        return self.group.recipe.alpha


@dataclass(frozen=True)
class Series:
    """A dose–response: recipes that differ in α alone, asked alike."""

    alpha_shift: str
    """Where the mixed-in levels come from."""
    doses: tuple[Dose, ...]
    """By α, at least two."""


def dose_series(groups: Sequence[Group]) -> list[Series]:
    """Every dose–response that is in a zoo.

    Recipes belong together if they are equal but for `NOT_THE_SETTING`, so the family, its knobs, both shifts, the
    budget and everything about network and learner are the same. Levels mixed in from another shift are another drug:
    those recipes make a series of their own, and a recipe at α = 0 belongs to all of them.
    """
    alike: dict[str, list[Group]] = {}
    for group in groups:
        alike.setdefault(_setting(group.recipe), []).append(group)
    found = []
    for those in alike.values():
        for shift in sorted({g.recipe.alpha_shift for g in those if g.recipe.alpha}):
            doses = [Dose(g, _mean(g)) for g in those if not g.recipe.alpha or g.recipe.alpha_shift == shift]
            if len({dose.alpha for dose in doses}) > 1:
                found.append(Series(shift, tuple(sorted(doses, key=lambda dose: dose.alpha))))
    return found


def _mean(group: Group) -> Interval:
    return mean_interval(group.conditional[group.is_counted])


def _setting(recipe: Recipe) -> str:
    data = {name: value for name, value in recipe.as_json().items() if name not in NOT_THE_SETTING}
    return json.dumps(data, sort_keys=True, default=dict)


def stage_table(group: Group) -> dict[int, NDArray[np.float64]]:
    """Steps -> `[A, K + 1]` outcome shares after the stages that all agents with stages have; last, what they do now.

    Empty where no agent of the recipe has any.
    """
    staged = [agent for agent in group.agents if agent.stages]
    if not staged:
        return {}
    common = sorted(set.intersection(*(set(agent.stages) for agent in staged)))
    table = {steps: np.stack([agent.stages[steps] for agent in staged]) for steps in common}
    return {**table, group.recipe.budget: np.stack([agent.shares for agent in staged])}


def as_json(census: Census) -> dict[str, Any]:
    """The same numbers as on the page, as plain data."""
    return {
        "zoo": census.zoo,
        "sha256": census.sha256,
        "agents": census.size,
        "recipes": [{**asdict(summary(group)), "members": _members(group)} for group in census.groups],
        "doses": [
            {
                "alpha_shift": series.alpha_shift,
                "recipes": [
                    {"recipe": dose.group.recipe.name, "alpha": dose.alpha, **asdict(dose.mean)}
                    for dose in series.doses
                ],
            }
            for series in dose_series(census.groups)
        ],
    }


def _members(group: Group) -> list[dict[str, Any]]:
    rows = zip(group.agents, group.measures, group.is_counted, strict=True)
    return [
        {
            "agent_id": agent.agent_id,
            "seed": agent.seed,
            "counted": bool(counted),
            "competence": measures.competence,
            "excess": measures.excess,
            "conditional": measures.conditional,
            "outcomes": _named(group, agent.shares),
            "stages": _stages(group, agent),
        }
        for agent, measures, counted in rows
    ]


def _stages(group: Group, agent: Conduct) -> list[dict[str, Any]]:
    return [{"steps": steps, "outcomes": _named(group, shares)} for steps, shares in sorted(agent.stages.items())]
