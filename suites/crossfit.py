"""Put one detector to all agents of a recipe: every fold of agents is tested once, the other folds are reference.

Nothing a detector does stops a run: what it gets wrong becomes a flag and a message that says what to do. No case
learns from another: each is put to a fresh copy of the fitted detector. And each task ends with an audit: one agent is
asked about again on other levels (see :mod:`goalscope.suites.fingerprint`).
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from traceback import extract_tb
from types import FrameType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from goalscope.detectors.answers import checked_evidence, checked_fit, checked_forecast
from goalscope.detectors.base import Detector, ReferenceCase
from goalscope.detectors.calibration import calibrate
from goalscope.detectors.handle import AgentHandle
from goalscope.detectors.query import Query, fresh_query
from goalscope.detectors.sandbox import Outside
from goalscope.detectors.tracks import Budget, Track
from goalscope.errors import ForbiddenError, ForecastError, OverspentError, ProtocolError
from goalscope.seeding import generator
from goalscope.suites.fingerprint import answer_of, most_telling, told_apart
from goalscope.suites.population import Population

Shares = NDArray[np.float64]
T = TypeVar("T")
LEAST_REFERENCE = 4
"""Fewer reference agents with evidence than this calibrate nothing."""


@dataclass
class Case:
    """What came of one agent: a forecast, or a flag that says why there is none."""

    agent: int
    fold: int
    forecast: Shares | None = None
    """`[L, K + 1]`"""
    evidence: Shares | None = None
    """`[E]`"""
    flag: str = ""
    """Empty, or forbidden, overspent, malformed, raised, unreferenced or fingerprint."""
    message: str = ""
    seconds: float = 0.0
    tally: dict[str, int] = field(default_factory=dict)


def crossfit(detector: Detector, population: Population, seed: int, budget: Budget) -> list[Case]:
    """One case for every agent, in their order."""
    population = _copied(population)
    cases = [Case(agent, int(fold)) for agent, fold in enumerate(population.folds)]
    asked = _Asked(detector, population, seed, budget)
    for fold in range(int(population.folds.max()) + 1):
        asked.test(fold, cases)
    asked.audit(cases)
    return cases


def _copied(population: Population) -> Population:
    """The same with a query of its own: a detector that writes into levels must not change what others are asked."""
    query = population.query
    return replace(population, query=Query(query.distribution, query.levels.take(np.arange(len(query)))))


class _Asked:
    """A detector that is put to the agents of one population."""

    def __init__(self, detector: Detector, population: Population, seed: int, budget: Budget) -> None:
        self.detector = detector
        self.population = population
        self.seed = seed
        self.budget = budget
        self.last: list[Case] = []
        self.fit: Detector | None = None
        """The cases of the fold tested last, and the detector fitted for them."""
        self.gathered: dict[int, Case] = {}
        """Evidence by agent; evidence that needs no fit is the same in all folds."""

    def test(self, fold: int, cases: Sequence[Case]) -> None:
        """Fill in the cases of one fold."""
        test = [case for case in cases if case.fold == fold]
        fitted, about_fit = self.fitted(fold, cases)
        self.last, self.fit = test, fitted
        if fitted is None:
            for case in test:
                case.flag, case.message = about_fit.flag, f"fit: {about_fit.message}"
        elif fitted.forecasts_itself:
            for case in test:
                case.forecast = self.answer(fitted, case, self.population.query)
        else:
            self.calibrated(fitted, test, [case.agent for case in cases if case.fold != fold])

    def fitted(self, fold: int, cases: Sequence[Case]) -> tuple[Detector | None, Case]:
        """The detector fitted for a fold; None if that failed, and then a case that says why."""
        reference = [case.agent for case in cases if case.fold != fold]
        rng = generator("fit", self.population.recipe.hash, self.seed, fold)
        about = Case(-1, fold)

        def fit() -> Detector:
            outcomes = self.outcomes(fold, reference)
            known = [
                ReferenceCase(self.handle(agent), self.population.query, own)
                for agent, own in zip(reference, outcomes, strict=True)
            ]
            return checked_fit(deepcopy(self.detector).fit(known, rng))

        return self.attempt(about, fit), about

    def outcomes(self, fold: int, reference: Sequence[int]) -> Shares:
        """`[A, L, K + 1]` what a detector takes for the truth about the reference agents of a fold."""
        rng = generator("reference outcomes", self.population.recipe.hash, self.seed, fold)
        return self.detector.reference_outcomes(self.population.truths[list(reference)].copy(), rng)

    def handle(self, agent: int) -> AgentHandle:
        return AgentHandle(self.population.agents[agent], self.detector.track, self.budget, self.seed)

    def attempt(self, case: Case, call: Callable[[], T]) -> T | None:
        """The result, or None with the case flagged. An outside detector's process is timed by itself."""
        return _attempt(case, math.inf if isinstance(self.detector, Outside) else self.budget.seconds, call)

    def answer(self, fitted: Detector, case: Case, query: Query) -> Shares | None:
        """A forecast, or evidence, of a fresh copy of the fitted detector; None with the case flagged."""
        handle = self.handle(case.agent)

        def ask() -> Shares:
            own = deepcopy(fitted)
            if fitted.forecasts_itself:
                return checked_forecast(own.forecast(handle, query), query.shape)
            return checked_evidence(own.evidence(handle, query))

        found = self.attempt(case, ask)
        case.tally = handle.tally.counts()
        return found

    def calibrated(self, fitted: Detector, test: list[Case], reference: Sequence[int]) -> None:
        """Evidence about all agents, and forecasts for those tested."""
        gathered = {} if self.detector.learns else self.gathered
        for agent in [*reference, *(case.agent for case in test)]:
            if agent not in gathered:
                own = gathered[agent] = Case(agent, test[0].fold)
                own.evidence = self.answer(fitted, own, self.population.query)
        truths = self.outcomes(test[0].fold, reference)
        _calibrated(test, [gathered[a] for a in reference], gathered, truths)

    def audit(self, cases: Sequence[Case]) -> None:
        """Ask about an agent of the last fold again, on other levels; flag all cases if the answer was about levels.

        Episodes under the shift are about the levels they are played on, so the yardstick is left out.
        """
        chosen = most_telling(self.last)
        if chosen is None or self.fit is None or self.detector.track >= Track.ROLLOUT:
            return
        case = self.last[chosen]
        again = Case(case.agent, case.fold)
        found = self.answer(self.fit, again, fresh_query(self.population.query))
        if again.flag == "overspent":  # a slow moment is no proof
            return
        why = f"asked again: {again.message}" if found is None else told_apart(answer_of(case), found, cases)
        for flagged in cases if why else ():
            flagged.forecast, flagged.flag, flagged.message = None, "fingerprint", why


def _calibrated(test: list[Case], reference: Sequence[Case], gathered: dict[int, Case], truths: Shares) -> None:
    """Forecast by evidence, calibrated on the reference agents that gave evidence of the same length.

    truths `[A, L, K + 1]` are those of the reference agents.
    """
    for case in test:
        own = gathered[case.agent]
        case.evidence, case.tally, case.seconds = own.evidence, own.tally, own.seconds
        case.flag, case.message = own.flag, own.message
        if case.evidence is None:
            continue
        places = [
            i for i, r in enumerate(reference) if r.evidence is not None and len(r.evidence) == len(case.evidence)
        ]
        usable = [reference[i] for i in places]
        if len(usable) < LEAST_REFERENCE:
            why = next((r.message for r in reference if r.flag), f"it has {len(case.evidence)} numbers, others not")
            case.flag = "unreferenced"
            case.message = f"only {len(usable)} of {len(reference)} reference agents have such evidence: {why}"
            continue
        evidence = np.stack([r.evidence for r in usable if r.evidence is not None])
        fitted = calibrate(evidence, truths[places])
        case.forecast = fitted.forecast(case.evidence[None])[0]


class _TimeUp(BaseException):
    """No Exception, so that a detector's own `except Exception` does not hold it."""


def _attempt(case: Case, seconds: float, call: Callable[[], T]) -> T | None:
    """The result, or None with the case flagged."""
    start = time.perf_counter()
    try:
        with _time_limit(seconds):
            return call()
    except (Exception, SystemExit, _TimeUp) as error:  # a stranger's method may do anything; the run goes on
        case.flag, case.message = _flag(error), f"{error}{_where(error)}"
        return None
    finally:
        case.seconds += time.perf_counter() - start


FLAGS: dict[type[BaseException], str] = {
    ForbiddenError: "forbidden",
    OverspentError: "overspent",
    _TimeUp: "overspent",
    ForecastError: "malformed",
}


def _flag(error: BaseException) -> str:
    return next((name for kind, name in FLAGS.items() if isinstance(error, kind)), "raised")


def _where(error: BaseException) -> str:
    """The kind of an unforeseen error, and the line that raised it."""
    if isinstance(error, (ProtocolError, _TimeUp)):
        return ""
    last = extract_tb(error.__traceback__)[-1]
    return f" ({type(error).__name__} at {last.filename}:{last.lineno})"


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Interrupt Python code that runs longer, where signals can: in the main thread."""
    if (
        seconds == math.inf
        or threading.current_thread() is not threading.main_thread()
        or not hasattr(signal, "setitimer")
    ):
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise _TimeUp(f"{seconds:g} s are allowed for a case, and are over: do less.")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
