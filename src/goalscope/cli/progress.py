"""Progress with the time left, on standard error: a bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Protocol

LINE_EVERY = 30.0
"""Seconds between two lines where there is no terminal."""


class Tell(Protocol):
    """Called with a few words as each thing is done, and with how much work it was among all."""

    def __call__(self, words: str, work: float = 1.0) -> None: ...


class Pace:
    """How much is done, and by how long that took, how long the rest will take."""

    def __init__(self, total: int, work: float | None, clock: Callable[[], float]) -> None:
        self.total, self.work = total, float(total) if work is None else work
        self.done, self.worked = 0, 0.0
        self._clock, self._begun = clock, clock()

    def add(self, work: float) -> None:
        """One thing more is done."""
        self.done, self.worked = self.done + 1, self.worked + work

    def left(self) -> float | None:
        """Seconds until all is done, if work goes on at the pace so far; None before anything is done."""
        if not self.worked:
            return None
        return (self._clock() - self._begun) * max(self.work - self.worked, 0.0) / self.worked

    def __str__(self) -> str:
        left = self.left()
        return f"{self.done} of {self.total}" + ("" if left is None else f", {duration(left)} left")


def duration(seconds: float) -> str:
    """As people say it: 40 s, 12 min, 3 h 05 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"


@contextmanager
def progress(total: int, work: float | None = None) -> Iterator[Tell]:
    """What it gives is called as each of `total` things is done; `work` is all there is to do, if not 1 a thing."""
    pace = Pace(total, work, monotonic)
    with _bar(pace) if sys.stderr.isatty() else _lines(pace) as show:

        def tell(words: str, work: float = 1.0) -> None:
            pace.add(work)
            show(words)

        yield tell


@contextmanager
def _bar(pace: Pace) -> Iterator[Callable[[str], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[pace]}"))
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("agents", total=pace.work, pace=pace)
        yield lambda words: bar.update(task, completed=pace.worked, description=words)


@contextmanager
def _lines(pace: Pace) -> Iterator[Callable[[str], None]]:
    told = monotonic()

    def show(words: str) -> None:
        nonlocal told
        if monotonic() - told >= LINE_EVERY:
            told = monotonic()
            print(f"{pace}: {words}", file=sys.stderr, flush=True)

    yield show
