"""Put one detector to agents: every fold of agents is tested once, the other folds are reference.

What the folds are is the setting: seeds of one recipe here, whole recipes or families in
:mod:`goalscope.suites.transfer`. Nothing a detector does stops a run: what it gets wrong becomes a flag and a message
that says what to do. No case learns from another: each is put to a fresh copy of the fitted detector. And each task
ends with an audit: one agent is asked about again on other levels (see :mod:`goalscope.suites.fingerprint`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from goalscope.agents.agent import Agent
from goalscope.detectors.answers import checked_evidence, checked_fit, checked_forecast
from goalscope.detectors.base import Detector, ReferenceCase
from goalscope.detectors.calibration import Calibration, calibrate
from goalscope.detectors.handle import AgentHandle
from goalscope.detectors.query import Query, fresh_query
from goalscope.detectors.tracks import Budget, Track
from goalscope.seeding import generator
from goalscope.suites.case import Case, Shares, attempt
from goalscope.suites.fingerprint import answer_of, most_telling, shaken, told_apart
from goalscope.suites.population import Population

T = TypeVar("T")
LEAST_REFERENCE = 4
"""Fewer reference agents with evidence than this calibrate nothing."""


@dataclass(frozen=True)
class Subject:
    """An agent that is asked about, and may be reference where others are."""

    agent: Agent
    query: Query
    truth: Shares
    """`[L, K + 1]`"""
    fold: int
    population: int
    """Which recipe's agents it belongs to: those are asked about the same levels."""


class Field:
    """All agents of a task, in the setting `seed`: they are of one recipe, and outcomes are told goal by goal."""

    def __init__(self, subjects: Sequence[Subject], name: str) -> None:
        self.subjects = subjects
        self.name = name
        """What draws go by, beside seed and fold."""

    @property
    def folds(self) -> range:
        return range(max(subject.fold for subject in self.subjects) + 1)

    def told(self, shares: Shares, subject: Subject) -> Shares:
        """`[L, C]` outcomes `[L, K + 1]` in the columns that forecasts have."""
        return shares

    def log_odds(self, fold: int, subjects: Sequence[Subject]) -> Shares | None:
        """`[A, L, C]` what is expected of agents where a fold is tested; None: of all the reference agents' mean."""
        return None


def crossfit(detector: Detector, population: Population, seed: int, budget: Budget) -> list[Case]:
    """One case for every agent of a recipe, in their order."""
    query = own_query(population)
    subjects = [
        Subject(agent, query, truth, int(fold), 0)
        for agent, truth, fold in zip(population.agents, population.truths, population.folds, strict=True)
    ]
    return ask(detector, Field(subjects, population.recipe.hash), seed, budget)


def own_query(population: Population) -> Query:
    """A copy: a detector that writes into levels must not change what others are asked."""
    query = population.query
    return Query(query.distribution, query.levels.take(np.arange(len(query))))


def ask(detector: Detector, field: Field, seed: int, budget: Budget) -> list[Case]:
    """One case for every subject, in their order."""
    asked = _Asked(detector, field, seed, budget)
    for fold in field.folds:
        asked.test(fold)
    asked.audit()
    return asked.cases


class _Asked:
    """A detector that is put to the agents of a field."""

    def __init__(self, detector: Detector, field: Field, seed: int, budget: Budget) -> None:
        self.detector = detector
        self.field = field
        self.seed = seed
        self.budget = budget
        self.cases = [Case(number, subject.fold) for number, subject in enumerate(field.subjects)]
        self.last: list[Case] = []
        self.fit: Detector | None = None
        """The cases of the fold tested last, and the detector fitted for them."""
        self.gathered: dict[int, Case] = {}
        """Evidence by agent; evidence that needs no fit is the same in all folds."""

    def test(self, fold: int) -> None:
        """Fill in the cases of one fold."""
        test = [case for case in self.cases if case.fold == fold]
        fitted, about_fit = self.fitted(fold)
        self.last, self.fit = test, fitted
        if fitted is None:
            for case in test:
                case.flag, case.message = about_fit.flag, f"fit: {about_fit.message}"
        elif fitted.forecasts_itself:
            for case in test:
                case.forecast = self.answer(fitted, case, self.field.subjects[case.agent].query)
        else:
            self.calibrated(fitted, test)

    def reference(self, fold: int) -> list[int]:
        """Who is not tested in a fold."""
        return [case.agent for case in self.cases if case.fold != fold]

    def fitted(self, fold: int) -> tuple[Detector | None, Case]:
        """The detector fitted for a fold; None if that failed, and then a case that says why."""
        reference = self.reference(fold)
        rng = generator("fit", self.field.name, self.seed, fold)
        about = Case(-1, fold)

        def fit() -> Detector:
            known = [
                ReferenceCase(self.handle(agent), self.field.subjects[agent].query, own)
                for agent, own in zip(reference, self.outcomes(fold, reference), strict=True)
            ]
            return checked_fit(deepcopy(self.detector).fit(known, rng))

        return self.attempt(about, fit), about

    def outcomes(self, fold: int, reference: Sequence[int]) -> list[Shares]:
        """`[L, K + 1]` each, what a detector takes for the truth about the reference agents of a fold."""
        rng = generator("reference outcomes", self.field.name, self.seed, fold)
        found: dict[int, Shares] = {}
        for population in dict.fromkeys(self.field.subjects[agent].population for agent in reference):
            own = [agent for agent in reference if self.field.subjects[agent].population == population]
            truths = np.stack([self.field.subjects[agent].truth for agent in own])
            found.update(zip(own, self.detector.reference_outcomes(truths, rng), strict=True))
        return [found[agent] for agent in reference]

    def handle(self, agent: int) -> AgentHandle:
        return AgentHandle(self.field.subjects[agent].agent, self.detector.track, self.budget, self.seed)

    def attempt(self, case: Case, call: Callable[[], T]) -> T | None:
        """The result, or None with the case flagged. An outside detector's process is timed by itself."""
        return attempt(case, math.inf if self.detector.apart else self.budget.seconds, call)

    def answer(self, fitted: Detector, case: Case, query: Query, agent: Agent | None = None) -> Shares | None:
        """A forecast, or evidence, of a fresh copy of the fitted detector; None with the case flagged.

        About the case's agent, or another in its place.
        """
        handle = AgentHandle(agent, self.detector.track, self.budget, self.seed) if agent else self.handle(case.agent)

        def ask() -> Shares:
            own = deepcopy(fitted)
            if not fitted.forecasts_itself:
                return checked_evidence(own.evidence(handle, query))
            found = checked_forecast(own.forecast(handle, query), query.shape)
            return self.field.told(found, self.field.subjects[case.agent])

        found = self.attempt(case, ask)
        case.tally = handle.tally.counts()
        return found

    def calibrated(self, fitted: Detector, test: Sequence[Case]) -> None:
        """Evidence about all agents, and forecasts for those tested."""
        gathered = {} if self.detector.learns else self.gathered
        fold = test[0].fold
        reference = self.reference(fold)
        for agent in [*reference, *(case.agent for case in test)]:
            if agent not in gathered:
                own = gathered[agent] = Case(agent, fold)
                own.evidence = self.answer(fitted, own, self.field.subjects[agent].query)
        subjects = [self.field.subjects[agent] for agent in reference]
        truths = [self.field.told(t, s) for t, s in zip(self.outcomes(fold, reference), subjects, strict=True)]
        known = _Known([gathered[agent] for agent in reference], truths, self.field.log_odds(fold, subjects))
        expected = self.field.log_odds(fold, [self.field.subjects[case.agent] for case in test])
        for number, case in enumerate(test):
            known.forecast(case, gathered[case.agent], None if expected is None else expected[number])

    def audit(self) -> None:
        """Ask about an agent of the last fold again, a little changed, on other levels; flag all if it was about those.

        Episodes under the shift are about the levels they are played on, so the yardstick is left out.
        """
        chosen = most_telling(self.last)
        if chosen is None or self.fit is None or self.detector.track >= Track.ROLLOUT:
            return
        case = self.last[chosen]
        again = Case(case.agent, case.fold)
        subject = self.field.subjects[case.agent]
        changed = shaken(subject.agent, generator("audit", self.field.name, self.seed))
        found = self.answer(self.fit, again, fresh_query(subject.query), changed)
        if again.flag == "overspent":  # a slow moment is no proof
            return
        why = f"asked again: {again.message}" if found is None else told_apart(answer_of(case), found, self.cases)
        for flagged in self.cases if why else ():
            flagged.forecast, flagged.flag, flagged.message = None, "fingerprint", why


class _Known:
    """What is known of the reference agents of a fold: evidence, outcomes `[L, C]`, and what was expected of them."""

    def __init__(self, cases: Sequence[Case], truths: Sequence[Shares], expected: Shares | None) -> None:
        self.cases, self.truths, self.expected = cases, truths, expected
        self.fits: dict[int, Calibration] = {}
        """By the length of evidence."""

    def forecast(self, case: Case, own: Case, expected: Shares | None) -> None:
        """Fill in a case from its evidence, calibrated on reference agents that gave evidence of the same length."""
        case.evidence, case.tally, case.seconds = own.evidence, own.tally, own.seconds
        case.flag, case.message = own.flag, own.message
        if case.evidence is None:
            return
        length = len(case.evidence)
        places = [i for i, r in enumerate(self.cases) if r.evidence is not None and len(r.evidence) == length]
        if len(places) < LEAST_REFERENCE:
            why = next((r.message for r in self.cases if r.flag), f"it has {length} numbers, others not")
            case.flag = "unreferenced"
            case.message = f"only {len(places)} of {len(self.cases)} reference agents have such evidence: {why}"
            return
        if length not in self.fits:
            self.fits[length] = self.fitted(places)
        case.forecast = self.fits[length].forecast(case.evidence[None], expected)[0]

    def fitted(self, places: Sequence[int]) -> Calibration:
        """The calibration on the reference agents at these places."""
        evidence = np.stack([np.asarray(self.cases[i].evidence) for i in places])
        truths = np.stack([self.truths[i] for i in places])
        return calibrate(evidence, truths, None if self.expected is None else self.expected[places])
