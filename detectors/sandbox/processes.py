"""Which processes of a detector's are left, found where the system shows them all in ``/proc``; and their end.

A process has the environment that it was started with for life, as have those that it forks, whatever their parent or
session is by now. So the name of the temporary folder, which no other detector has, marks them.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

PROCESSES = Path("/proc")


def running(mark: str = "") -> set[int]:
    """All processes that run, or those that were started with a mark in their environment."""
    names = (path.name for path in PROCESSES.iterdir()) if PROCESSES.is_dir() else ()
    return {int(name) for name in names if name.isdigit() and _runs(name) and (not mark or _has(name, mark))}


def end(mark: str) -> None:
    """End all that have a mark. They are stopped first, for who is stopped starts nothing more."""
    stopped: set[int] = set()
    while found := running(mark) - stopped:
        _signal(found, signal.SIGSTOP)
        stopped |= found
    _signal(stopped, signal.SIGKILL)


def threads() -> int:
    """How many threads there are in the whole system, as far as it says."""
    return sum(1 for _ in PROCESSES.glob("[0-9]*/task/*"))


def _signal(processes: set[int], number: signal.Signals) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, number)


def _runs(name: str) -> bool:
    with suppress(OSError):
        return (PROCESSES / name / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def _has(name: str, mark: str) -> bool:
    with suppress(OSError):
        return mark.encode() in (PROCESSES / name / "environ").read_bytes()
    return False
