"""Executors: who does the tasks of a run, one module each. All give the same rows.

A module's name is the executor's; it assigns a function to ``EXECUTOR`` that does independent tasks and yields each
with its result as it is done, in any order. Results come back to the process that asked, which alone writes files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pkgutil import iter_modules
from typing import Protocol, TypeVar

from goalscope.errors import unknown_name

T = TypeVar("T")
R = TypeVar("R")


class Executor(Protocol):
    """Called with what to do with a task, the tasks, how many to do at a time, and where, if not here."""

    def __call__(
        self, work: Callable[[T], R], tasks: Sequence[T], workers: int, address: str
    ) -> Iterator[tuple[T, R]]: ...


def executors() -> list[str]:
    """The names of all executors."""
    return sorted(module.name for module in iter_modules(__path__))


def executor(name: str) -> Executor:
    """The executor of a name; its libraries are imported now."""
    if name not in executors():
        raise unknown_name("executor", name, executors())
    found: Executor = import_module(f"{__name__}.{name}").EXECUTOR
    return found
