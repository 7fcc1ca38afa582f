"""A detector that lives in another process, and what is known about it without importing it here."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from copy import copy, deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from goalscope.detectors.base import Detector, ReferenceCase
from goalscope.detectors.controls import MARK, split
from goalscope.detectors.handle import AgentHandle
from goalscope.detectors.query import Query
from goalscope.detectors.sandbox import processes
from goalscope.detectors.sandbox.desk import Desk, common
from goalscope.detectors.sandbox.forms import Plain, generator_out, query_out
from goalscope.detectors.sandbox.walls import command, environment, has_walls, zoo_folders
from goalscope.detectors.sandbox.wire import PIECE, Ended, TimeOver, Wire
from goalscope.detectors.tracks import Track
from goalscope.envs.kernels.jit import kernel_cache
from goalscope.errors import GoalscopeError, OverspentError, UnsupportedError
from goalscope.registry import DETECTORS

START_SECONDS = 120.0
"""For Python, libraries and the detector's own file to be imported."""


@dataclass(frozen=True)
class Limits:
    """What an outside detector's process may use; the time of a case is in its budget."""

    memory: int = 4 << 30
    """Bytes of private memory of a process."""
    hidden: tuple[Path, ...] = ()
    """Folders that it must not see, beside the zoos of the package and of the user's cache."""
    shown: tuple[Path, ...] = ()
    """Files that it may see beside those of installed packages: its source. What lies beside a file is importable."""
    walled: bool | None = None
    """Whether bubblewrap encloses it; None: where bubblewrap works."""


@dataclass(frozen=True)
class Description:
    """What a detector says it is."""

    track: Track
    learns: bool
    forecasts_itself: bool
    controls: Mapping[str, Description] = field(default_factory=dict)
    """Kind -> control that its author wrote."""


def is_ours(target: str) -> bool:
    """Whether a target is a detector of this package, which runs in process."""
    known = DETECTORS.sources.get(target)
    return (known.target if known else target).startswith("goalscope.")


def sandboxed(target: str, limits: Limits | None = None) -> Outside:
    """The detector of a target, in a process of its own, which ends with :meth:`Outside.close` or this process.

    A target may be a control that the method's author wrote, ``NAME~random`` or ``NAME~raw``. Raises a
    :class:`GoalscopeError` where it cannot be loaded.
    """
    return Outside(target, limits or Limits())


class Outside(Detector):
    """Fits and answers in another process.

    Every answer comes from a fresh copy of the fitted process. A process that takes too long, or breaks off, is ended
    with all that it started; the next question starts another, and fits it again.
    """

    apart = True

    def __init__(self, target: str, limits: Limits) -> None:
        if os.name != "posix":
            raise UnsupportedError("Detectors from outside run where processes can be forked: on Linux and macOS.")
        self.target, self.limits = target, limits
        self._process: _Process | None = None
        self._fit: Plain = {}
        self._reference: list[AgentHandle] = []
        self._after_fit: list[AgentHandle] = []
        """The handles of reference agents: as given, and as `fit` left them."""
        self._fitted = False
        self.description = _described(self._running().described)
        self.track = self.description.track

    @property
    def learns(self) -> bool:
        return self.description.learns

    @property
    def forecasts_itself(self) -> bool:
        return self.description.forecasts_itself

    def fit(self, reference: Sequence[ReferenceCase], rng: np.random.Generator) -> Self:
        """Fit there; where there is nothing to learn, no outcomes are sent.

        Who learns does it in a process that was told no other outcomes: those of one fold are asked about in another.
        Nor does it find anything on this side that depends on what was asked before.
        """
        first = reference[0]
        if self.learns and self._fit:
            self.close()
        outcomes = np.stack([case.outcomes for case in reference]) if self.learns else np.empty((0, *first.query.shape))
        self._end_fit()
        before, self._reference = self._reference, [case.agent for case in reference] if self.learns else []
        for handle in (*before, *self._reference):
            handle.forget()
        self._fit = {
            "query": query_out(first.query),
            "outcomes": outcomes,
            "common": common(first.agent),
            "rng": generator_out(rng),
        }
        self._ensure_fitted(first.query, first.agent.tally.budget.seconds)
        return self

    def evidence(self, agent: AgentHandle, query: Query) -> ArrayLike:
        return self._ask(agent, query)

    def forecast(self, agent: AgentHandle, query: Query) -> ArrayLike:
        return self._ask(agent, query)

    def _ask(self, agent: AgentHandle, query: Query) -> NDArray[np.float64]:
        seconds = agent.tally.budget.seconds
        self._ensure_fitted(query, seconds)
        agent.tally.started = time.perf_counter()  # starting a process is not the detector's time
        asked = {"query": query_out(query), "agent": len(self._reference), "common": common(agent)}
        handles = [*map(_as_it_is, self._after_fit), agent]  # what is asked about one agent leaves no trace for others
        return np.asarray(self._exchange(asked, handles, query, seconds))

    def _ensure_fitted(self, query: Query, seconds: float) -> None:
        process = self._running()
        if not self._fitted:
            self._after_fit = [_as_it_is(handle) for handle in self._reference]
            for handle in self._after_fit:
                handle.tally.started = time.perf_counter()
            self._exchange(self._fit, self._after_fit, query, seconds)
            self._fitted = process is self._process

    def _exchange(self, asked: Plain, handles: list[AgentHandle], query: Query, seconds: float) -> Any:
        """Ask, serve what they ask meanwhile, and take the result; end the process if it does not keep to that."""
        process, ticket = self._running(), os.urandom(8).hex()
        desk = Desk(process.wire, handles, query)
        with self._ending_on_trouble(seconds):
            process.wire.deadline = time.monotonic() + seconds
            process.wire.send({**asked, "ticket": ticket})
            try:
                answer = desk.until("result")
            except GoalscopeError as error:
                if not isinstance(error, Ended | TimeOver):
                    self._wait_cleaned(desk)
                raise
            self._wait_cleaned(desk)
            if answer.get("ticket") != ticket:
                raise Ended("the detector's process answered what it was not asked.")
            return answer["result"]

    def _wait_cleaned(self, desk: Desk) -> None:
        """Until nothing is left of the question; whoever leaves something is ended with it."""
        try:
            desk.until("cleaned")
        except GoalscopeError:
            self.close()
            raise

    @contextmanager
    def _ending_on_trouble(self, seconds: float) -> Iterator[None]:
        """End the process where a conversation breaks off, because half a message may be left."""
        try:
            yield
        except TimeOver:
            self.close()
            raise OverspentError(f"{seconds:g} s are allowed for a case, and are over: do less.") from None
        except BaseException as error:
            if isinstance(error, Ended) or not isinstance(error, GoalscopeError):
                self.close()
            raise

    def _running(self) -> _Process:
        if self._process is None:
            self._process, self._fitted = _Process(self.target, self.limits), False
            atexit.register(self.close)
        return self._process

    def _end_fit(self) -> None:
        if self._fitted and self._process is not None:
            with self._ending_on_trouble(1.0):
                self._process.wire.deadline = time.monotonic() + 1.0
                self._process.wire.send({"end": True})
                Desk(self._process.wire, (), _NO_QUERY).until("cleaned")
        self._fitted = False

    def close(self) -> None:
        """End the process and all that it started."""
        process, self._process, self._fitted = self._process, None, False
        atexit.unregister(self.close)
        if process is not None:
            process.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself: each question is answered by a fresh copy already."""
        return self


class _Process:
    """A running process that has loaded a detector."""

    def __init__(self, target: str, limits: Limits) -> None:
        walled = has_walls() if limits.walled is None else limits.walled
        hidden = [*zoo_folders(), *(folder.resolve() for folder in limits.hidden)]
        self._scratch = None if walled else Path(tempfile.mkdtemp(prefix="goalscope-"))
        name, kind = split(target)
        file = _file(name)
        shown = list(dict.fromkeys([*([file] if file else []), *(_located(path) for path in limits.shown)]))
        self._child = subprocess.Popen(
            command(shown, hidden, walled=walled),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            cwd=self._scratch,
            env=None if self._scratch is None else environment(self._scratch),
        )
        assert self._child.stdin and self._child.stdout and self._child.stderr
        threading.Thread(target=_pass_on, args=(self._child.stderr,), daemon=True).start()
        os.set_blocking(self._child.stdin.fileno(), False)
        self.wire = Wire(self._child.stdout.fileno(), self._child.stdin.fileno())
        kernels = kernel_cache()
        hello = {
            "target": (name if file is None else f"{file}{name[len(_place(name)) :]}") + (kind and MARK + kind),
            "folder": str(file.parent if file else Path.cwd()),
            "walled": walled,
            "hidden": [str(folder) for folder in hidden],
            "kernels": [] if kernels is None else [str(kernels)],
            "memory": limits.memory,
        }
        try:
            self.wire.deadline = time.monotonic() + START_SECONDS
            self.wire.send(hello)
            self.described = Desk(self.wire, (), _NO_QUERY).until("described")["described"]
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """Kill its whole group; behind walls nothing outlives the first process there, else what does is looked for."""
        with suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                pipe.close()
        if self._scratch is not None:
            processes.end(f"TMPDIR={self._scratch}")
            shutil.rmtree(self._scratch, ignore_errors=True)


def _pass_on(printed: IO[bytes]) -> None:
    """To standard error, what the other process prints: itself it has a pipe, which does not keep what it is told.

    A file that standard error may lead to would: one fold's process could leave there what another's is to know.
    """
    with printed:
        while piece := os.read(printed.fileno(), PIECE):
            with suppress(OSError):
                while piece:
                    piece = piece[os.write(2, piece) :]


def _as_it_is(handle: AgentHandle) -> AgentHandle:
    """A handle on the same agent, with a tally, issues and draws of its own, which go on from here."""
    other = copy(handle)
    other.tally, other._issued, other.rng = copy(handle.tally), set(handle._issued), deepcopy(handle.rng)
    return other


_NO_QUERY: Any = None
"""Before there is a question nothing is asked about."""


def _place(target: str) -> str:
    """A target without its attribute."""
    place, colon, _ = target.rpartition(":")
    return place if colon and not target.endswith(".py") else target


def _file(target: str) -> Path | None:
    """The detector's file, if the target is one."""
    return _located(Path(_place(target))) if _place(target).endswith(".py") else None


def _located(path: Path) -> Path:
    """A file in the folder it is called from, whatever links lead there."""
    return path.parent.resolve() / path.name


def _described(told: Plain) -> Description:
    controls = {str(kind): _described(own) for kind, own in told["controls"].items()}
    return Description(Track(int(told["track"])), bool(told["learns"]), bool(told["forecasts_itself"]), controls)
