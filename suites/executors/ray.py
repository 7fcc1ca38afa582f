"""The processes of a Ray cluster (Moritz et al. 2018, arXiv 1712.05889): this machine's, or those at an address.

Every node reads the agents where this process does, so the zoo lies in the same place on all of them; rows come back
and are written here. A task whose worker or node dies is done again elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar

from goalscope.errors import GoalscopeError

T = TypeVar("T")
R = TypeVar("R")
RETRIES = 3
"""How many workers a task may outlive."""


def on_ray(work: Callable[[T], R], tasks: Sequence[T], workers: int, address: str) -> Iterator[tuple[T, R]]:
    """At most `workers` tasks at a time; without an address in a cluster that is started here, and ended."""
    ray = _ray()
    with _cluster(ray, workers, address):
        remote = ray.remote(num_cpus=1, max_retries=RETRIES)(lambda task: work(task))
        waiting = iter(tasks)
        running = {remote.remote(task): task for task in islice(waiting, workers)}
        while running:
            (finished, *_), _ = ray.wait(list(running), num_returns=1)
            yield running.pop(finished), _result(ray, finished)
            running |= {remote.remote(task): task for task in islice(waiting, 1)}


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise GoalscopeError("The executor 'ray' needs Ray: pip install 'goalscope[ray]'.") from error
    return ray


@contextmanager
def _cluster(ray: Any, workers: int, address: str) -> Iterator[None]:
    if ray.is_initialized():  # whoever connected this process to a cluster also ends that
        yield
        return
    here = {} if address else {"num_cpus": workers, "include_dashboard": False}
    try:
        ray.init(address=address or "local", log_to_driver=False, logging_level="error", **here)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise GoalscopeError(f"No Ray cluster answers at {address or 'this machine'}: {error}") from error
    try:
        yield
    finally:
        ray.shutdown()


def _result(ray: Any, finished: Any) -> Any:
    """What a task gave; what it raised, as it would be raised here."""
    try:
        return ray.get(finished)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, GoalscopeError):
            raise error.cause from None
        raise
    except ray.exceptions.RayError as error:
        raise GoalscopeError(
            f"A worker ended before its task did, {RETRIES + 1} times: memory ran out, or a detector ended it. Rows "
            f"that are written are kept; run the same command with --executor inprocess to see where. ({error})"
        ) from error


EXECUTOR = on_ray
