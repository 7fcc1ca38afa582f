"""What the other process does to itself before it loads a stranger's code.

Limits of the system on memory and files; and an audit hook (PEP 578) that refuses what a detector has no business to
do, with a message that says so. Where the file system and the network are walled off, the hook only explains; in a
plain process it is the wall, and one that compiled code can climb, or Python code that looks for the hook's owner.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from goalscope.detectors.sandbox.processes import threads
from goalscope.errors import ForbiddenError

LARGEST_FILE = 1 << 30
MOST_PROCESSES, MOST_FURTHER = 64, 1024
"""Threads included: behind walls; and elsewhere beside those there are, as all of a user's are counted. The system
counts none of root's, whose detectors the hook and the time limit hold."""
LIBRARIES = 16 << 30
"""Bytes of address space for what is imported: libraries reserve much that they never use."""
TRUTHS = ("labels.parquet", "truth.json", "zoo.json", "planted.json")
"""Files of zoos, wherever they lie."""
READERS = ("pyarrow", "polars", "fastparquet", "duckdb")
"""Libraries that open files behind Python's back, in a format that truths have."""
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
STARTS = (
    "subprocess.Popen",
    "pty.spawn",
    "os.fork",
    "os.forkpty",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.system",
)
ENDS = ("os.kill", "os.killpg", "signal.pthread_kill", "resource.setrlimit", "resource.prlimit")
CHANGES = (
    "os.remove",
    "os.rename",
    "os.mkdir",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.chmod",
    "os.chown",
)
TOUCHES = ("sqlite3.connect", "os.utime", "os.setxattr", "os.removexattr")
"""What writes to the path that comes first."""
LISTS = ("os.listdir", "os.scandir", "os.chdir")
PR_SET_PDEATHSIG = 1


def limit_resources(memory: int, *, walled: bool) -> None:
    """Limit this process and all that come of it: memory in bytes, size of files, processes."""
    import resource

    _lower(resource.RLIMIT_DATA, memory)
    limit_space(memory + LIBRARIES)
    _lower(resource.RLIMIT_FSIZE, LARGEST_FILE)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_NPROC, MOST_PROCESSES if walled else threads() + MOST_FURTHER)


def limit_space(memory: int) -> None:
    """Limit what may be mapped from now on, in bytes: shared memory counts for no other limit."""
    import resource

    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        _lower(resource.RLIMIT_AS, pages * resource.getpagesize() + memory)


def _lower(what: int, most: int) -> None:
    """Limit one thing; a lower limit that holds already stays, for none may be raised."""
    import resource

    _, hard = resource.getrlimit(what)
    limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (limit, limit))


def die_with_parent() -> None:
    """Where the system can: when the process that started this one ends, this one does."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Guard:
    """The audit hook. It holds from :meth:`close` on, and lets the sandbox's own forks pass."""

    def __init__(self, scratch: Path, hidden: Sequence[Path], *, walled: bool) -> None:
        self._scratch = os.path.realpath(scratch)
        self._hidden = tuple(os.path.realpath(folder) for folder in hidden)
        self._readers = () if walled else READERS
        self._open = True

    def close(self) -> None:
        """From now on, for good."""
        self._open = False
        sys.addaudithook(self._refuse)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """For what the sandbox itself has to do."""
        self._open = True
        try:
            yield
        finally:
            self._open = False

    def _refuse(self, event: str, given: tuple[Any, ...]) -> None:
        if self._open:
            return
        if event.startswith("socket.") and event != "socket.gethostname":
            raise ForbiddenError("A detector has no network: put what it needs into its package.")
        if event in STARTS:
            raise ForbiddenError("A detector starts no processes: do the work in this one.")
        if event in ENDS:
            raise ForbiddenError("A detector ends no processes and sets no limits.")
        if event == "open":
            self._check_open(*given)
        elif event in CHANGES:
            for path in given[1:] if event == "os.symlink" else given:
                self._check_written(path)
        elif event in TOUCHES:
            self._check_written(given[0])
        elif event in LISTS:
            self._check_read(given[0])
        elif event == "import" and str(given[0]).partition(".")[0] in self._readers:
            raise ForbiddenError(f"{given[0]} opens files behind Python's back: do without it.")

    def _check_open(self, path: Any, mode: Any, flags: int) -> None:
        if flags & WRITING:
            self._check_written(path)
        elif os.path.isdir(path) and not _within(_real(path), self._scratch):
            raise ForbiddenError("A detector opens no folders but its temporary one: paths would hang on them.")
        else:
            self._check_read(path)

    def _check_written(self, path: Any) -> None:
        found = _real(path)
        if found and found != os.devnull and not _within(found, self._scratch):
            raise ForbiddenError(f"A detector writes into its temporary folder only, not to {found}.")

    def _check_read(self, path: Any) -> None:
        found = _real(path)
        if found and (os.path.basename(found) in TRUTHS or any(_within(found, folder) for folder in self._hidden)):
            raise ForbiddenError(f"{found} belongs to a zoo, which no detector reads: ask the handle.")


def _real(path: Any) -> str:
    """A path with its links followed; empty for what is no path: a descriptor that is open already, a mode."""
    return os.path.realpath(os.fsdecode(path)) if isinstance(path, str | bytes | os.PathLike) else ""


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + os.sep)
