"""Several processes of this machine: the default. With one worker, this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from joblib import Parallel, delayed
from joblib.externals.loky.process_executor import TerminatedWorkerError

from goalscope.errors import GoalscopeError

T = TypeVar("T")
R = TypeVar("R")


def in_processes(work: Callable[[T], R], tasks: Sequence[T], workers: int, address: str) -> Iterator[tuple[T, R]]:
    """`address` says nothing here."""

    def one(task: T) -> tuple[T, R]:
        return task, work(task)

    jobs = Parallel(n_jobs=workers, return_as="generator_unordered", backend="loky", batch_size=1)
    try:
        yield from jobs(delayed(one)(task) for task in tasks)
    except TerminatedWorkerError as error:
        raise GoalscopeError(
            "A worker ended before its task did: memory ran out, or a detector ended it. Rows that are written are "
            "kept; run the same command with --workers 1 to see where."
        ) from error


EXECUTOR = in_processes
