"""Put one detector to all agents of a recipe: every fold of agents is tested once, the other folds are reference.

Nothing a detector does stops a run: what it gets wrong becomes a flag and a message that says what to do.
"""

from __future__ import annotations

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
from goalscope.detectors.query import Query
from goalscope.detectors.tracks import Budget
from goalscope.errors import ForbiddenError, ForecastError, OverspentError
from goalscope.seeding import generator
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
    """Empty, or forbidden, overspent, malformed, raised or unreferenced."""
    message: str = ""
    seconds: float = 0.0
    tally: dict[str, int] = field(default_factory=dict)


def crossfit(detector: Detector, population: Population, seed: int, budget: Budget) -> list[Case]:
    """One case for every agent, in their order."""
    population = _copied(population)
    cases = [Case(agent, int(fold)) for agent, fold in enumerate(population.folds)]
    learns = type(detector).fit is not Detector.fit
    shared: dict[int, Case] | None = None if learns or detector.forecasts_itself else {}
    for fold in range(int(population.folds.max()) + 1):
        _test_fold(detector, population, seed, budget, cases, fold, shared)
    return cases


def _copied(population: Population) -> Population:
    """The same with a query of its own: a detector that writes into levels must not change what others are asked."""
    query = population.query
    return replace(population, query=Query(query.distribution, query.levels.take(np.arange(len(query)))))


def _test_fold(
    detector: Detector,
    population: Population,
    seed: int,
    budget: Budget,
    cases: list[Case],
    fold: int,
    shared: dict[int, Case] | None,
) -> None:
    """Fill in the cases of one fold. Evidence that needs no fit is `shared` between folds."""

    def handle(agent: int) -> AgentHandle:
        return AgentHandle(population.agents[agent], detector.track, budget, seed)

    test = [case for case in cases if case.fold == fold]
    reference = [case.agent for case in cases if case.fold != fold]
    known = [ReferenceCase(handle(a), population.query, population.truths[a].copy()) for a in reference]
    rng = generator("fit", population.recipe.hash, seed, fold)
    about_fit = Case(-1, fold)
    fitted = _attempt(about_fit, budget, lambda: checked_fit(deepcopy(detector).fit(known, rng)))
    if fitted is None:
        for case in test:
            case.flag, case.message = about_fit.flag, f"fit: {about_fit.message}"
    elif fitted.forecasts_itself:
        for case in test:
            _forecast_itself(fitted, case, handle(case.agent), population.query, budget)
    else:
        gathered = {} if shared is None else shared
        for agent in [*reference, *(case.agent for case in test)]:
            if agent not in gathered:
                gathered[agent] = _gather(fitted, Case(agent, fold), handle(agent), population.query, budget)
        _calibrated(test, [gathered[a] for a in reference], gathered, population)


def _forecast_itself(detector: Detector, case: Case, handle: AgentHandle, query: Query, budget: Budget) -> None:
    def forecast() -> Shares:
        return checked_forecast(detector.forecast(handle, query), query.shape)

    case.forecast = _attempt(case, budget, forecast)
    case.tally = handle.tally.counts()


def _gather(detector: Detector, case: Case, handle: AgentHandle, query: Query, budget: Budget) -> Case:
    case.evidence = _attempt(case, budget, lambda: checked_evidence(detector.evidence(handle, query)))
    case.tally = handle.tally.counts()
    return case


def _calibrated(test: list[Case], reference: Sequence[Case], gathered: dict[int, Case], population: Population) -> None:
    """Forecast by evidence, calibrated on the reference agents that gave evidence of the same length."""
    for case in test:
        own = gathered[case.agent]
        case.evidence, case.tally, case.seconds = own.evidence, own.tally, own.seconds
        case.flag, case.message = own.flag, own.message
        if case.evidence is None:
            continue
        usable = [r for r in reference if r.evidence is not None and len(r.evidence) == len(case.evidence)]
        if len(usable) < LEAST_REFERENCE:
            why = next((r.message for r in reference if r.flag), f"it has {len(case.evidence)} numbers, others not")
            case.flag = "unreferenced"
            case.message = f"only {len(usable)} of {len(reference)} reference agents have such evidence: {why}"
            continue
        evidence = np.stack([r.evidence for r in usable if r.evidence is not None])
        fitted = calibrate(evidence, population.truths[[r.agent for r in usable]])
        case.forecast = fitted.forecast(case.evidence[None])[0]


class _TimeUp(BaseException):
    """No Exception, so that a detector's own `except Exception` does not hold it."""


def _attempt(case: Case, budget: Budget, call: Callable[[], T]) -> T | None:
    """The result, or None with the case flagged."""
    start = time.perf_counter()
    try:
        with _time_limit(budget.seconds):
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
    if isinstance(error, tuple(FLAGS)):
        return ""
    last = extract_tb(error.__traceback__)[-1]
    return f" ({type(error).__name__} at {last.filename}:{last.lineno})"


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Interrupt Python code that runs longer, where signals can: in the main thread."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
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
