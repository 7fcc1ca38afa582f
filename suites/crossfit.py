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
from numpy.typing import ArrayLike, NDArray

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
SUM_TOLERANCE = 1e-6


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


def checked_fit(fitted: object) -> Detector:
    """What `fit` returned, or a :class:`ForecastError` if that is no detector."""
    if not isinstance(fitted, Detector):
        got = type(fitted).__name__
        raise ForecastError(f"fit must return the fitted detector, got {got}: end it with `return self`.")
    return fitted


def checked_evidence(value: ArrayLike) -> Shares:
    """`[E]` finite numbers, or a :class:`ForecastError` that says what came instead."""
    found = _numbers(value, "evidence")
    if found.ndim > 1 or found.size == 0:
        raise ForecastError(f"evidence must be one number or a list of numbers, got shape {found.shape}.")
    if not np.isfinite(found).all():
        raise ForecastError(f"evidence must be finite, got {found.tolist()}: guard logarithms and divisions.")
    return np.atleast_1d(found)


def checked_forecast(value: ArrayLike, shape: tuple[int, int]) -> Shares:
    """`[L, K + 1]` shares, or a :class:`ForecastError` that says what came instead."""
    found = _numbers(value, "a forecast")
    if found.shape != shape:
        raise ForecastError(f"a forecast must have shape {shape}, levels and outcomes with neither, got {found.shape}.")
    if not np.isfinite(found).all():
        raise ForecastError("a forecast must be finite, got NaN or infinity: guard logarithms and divisions.")
    if (found < -SUM_TOLERANCE).any() or (abs(found.sum(1) - 1) > SUM_TOLERANCE).any():
        worst = found.sum(1)[abs(found.sum(1) - 1).argmax()]
        raise ForecastError(f"a forecast's rows must be shares that sum to 1, got one summing to {worst:.6g}: divide.")
    return found


def _numbers(value: ArrayLike, what: str) -> Shares:
    if value is None:  # NumPy would make NaN of it
        raise ForecastError(f"{what} must be numbers, got None: end the function with `return`.")
    try:
        return np.asarray(value, np.float64)
    except (TypeError, ValueError) as error:
        raise ForecastError(f"{what} must be numbers, got {type(value).__name__} ({error}).") from error


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
