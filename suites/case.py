"""One agent put to a detector: what came of it. Whatever a detector does, it stops no run: it becomes a flag."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from traceback import extract_tb
from types import FrameType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from goalscope.errors import ForbiddenError, ForecastError, OverspentError, ProtocolError

Shares = NDArray[np.float64]
T = TypeVar("T")


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


class _TimeUp(BaseException):
    """No Exception, so that a detector's own `except Exception` does not hold it."""


def attempt(case: Case, seconds: float, call: Callable[[], T]) -> T | None:
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
