"""Settings S_recipe and S_family: forecasts for recipes, or whole families, of which no agent with outcomes is at hand.

Every group of recipes is tested once, agents of all other groups are reference. Families differ in their goals, so
outcomes are the intended goal, all proxies together, and neither. What a level's log-odds were in setting `seed`, the
mean of the recipe's other agents, is here what a regression expects that was fitted without the group
(:mod:`goalscope.suites.regression`); evidence moves a forecast away from that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from hashlib import sha256

import numpy as np

from goalscope.detectors.base import Detector
from goalscope.detectors.calibration import SMALLEST_SHARE
from goalscope.detectors.tracks import Budget
from goalscope.errors import GoalscopeError
from goalscope.suites.case import Case, Shares
from goalscope.suites.crossfit import Field, Subject, ask, own_query
from goalscope.suites.population import Population
from goalscope.suites.regression import RecipeCase, recipe_case, regression_forecasts, three_columns

LEAST_GROUPS = 3
"""One is tested; what is expected of each of the others needs another one to be fitted to."""


def transfer(
    detector: Detector, populations: Sequence[Population], groups: Sequence[str], seed: int, budget: Budget
) -> list[list[Case]]:
    """One case for every agent of every population, with forecasts `[L, 3]`; `groups` says what is held out together.

    Raises a :class:`GoalscopeError` for fewer than three groups.
    """
    field = TransferField(populations, groups)
    cases = ask(detector, field, seed, budget)
    firsts = np.cumsum([0, *(len(p.agents) for p in populations)])
    return [
        [replace(case, agent=case.agent - first) for case in cases[first:last]]
        for first, last in zip(firsts[:-1], firsts[1:], strict=True)
    ]


class TransferField(Field):
    """The agents of several recipes; a fold is a group of recipes."""

    def __init__(self, populations: Sequence[Population], groups: Sequence[str]) -> None:
        names = list(dict.fromkeys(groups))
        if len(names) < LEAST_GROUPS:
            raise GoalscopeError(
                f"Forecasts for unseen recipes or families need {LEAST_GROUPS} of them, got {', '.join(names)}: "
                f"ask about more recipes, or leave the setting out."
            )
        subjects = [
            Subject(agent, query, truth, names.index(group), number)
            for number, (population, group) in enumerate(zip(populations, groups, strict=True))
            for query in [own_query(population)]
            for agent, truth in zip(population.agents, population.truths, strict=True)
        ]
        super().__init__(subjects, "/".join([*groups, *(population.recipe.hash for population in populations)]))
        self.asked = _Asked([recipe_case(population) for population in populations], groups)

    def told(self, shares: Shares, subject: Subject) -> Shares:
        """`[L, 3]` the intended goal, all proxies together, neither."""
        return three_columns(shares, subject.query.intended)

    def log_odds(self, fold: int, subjects: Sequence[Subject]) -> Shares:
        """`[A, L, 3]` of what is expected without the fold's group, and of reference agents without their own too."""
        expected = expectations(self.asked, fold)
        return np.stack([np.log(np.maximum(expected[subject.population], SMALLEST_SHARE)) for subject in subjects])


class _Asked:
    """Recipes and their groups, equal to others with the same agents: what is expected is worked out once a process."""

    def __init__(self, cases: Sequence[RecipeCase], groups: Sequence[str]) -> None:
        self.cases, self.groups = cases, groups
        known = [f"{case.recipe.hash}/{case.recipe.query}/{group}" for case, group in zip(cases, groups, strict=True)]
        outcomes = b"".join(sha256(case.outcomes.tobytes()).digest() for case in cases)
        self.digest = sha256("/".join(known).encode() + outcomes).hexdigest()

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Asked) and self.digest == other.digest


@lru_cache(maxsize=64)
def expectations(asked: _Asked, fold: int) -> list[Shares]:
    """`[L, 3]` a recipe, while a group is tested: without that group, and without the recipe's own."""
    tested = list(dict.fromkeys(asked.groups))[fold]
    found = regression_forecasts(asked.cases, asked.groups)
    others = [number for number, group in enumerate(asked.groups) if group != tested]
    again = regression_forecasts([asked.cases[n] for n in others], [asked.groups[n] for n in others])
    for number, shares in zip(others, again, strict=True):
        found[number] = shares
    return found
