"""The other process: it loads a stranger's detector and asks it, in a fresh copy of itself every time.

Three generations. The first imports the detector. For every fit it forks a second one, which fits; for every agent
that one forks a third, which is asked, answers and ends. So nothing that was learned from one agent, or in another
fold, is there when the next is asked about: no memory, no file, no process that was left behind.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from traceback import extract_tb
from typing import Any, NoReturn

import numpy as np

from goalscope.detectors.answers import checked_evidence, checked_fit, checked_forecast
from goalscope.detectors.base import Detector, ReferenceCase
from goalscope.detectors.controls import load_detector
from goalscope.detectors.query import Query
from goalscope.detectors.sandbox.forms import Plain, error_out, generator_in, query_in
from goalscope.detectors.sandbox.limits import Guard, die_with_parent, limit_resources, limit_space
from goalscope.detectors.sandbox.processes import running
from goalscope.detectors.sandbox.remote import RemoteHandle
from goalscope.detectors.sandbox.wire import Ended, Wire
from goalscope.detectors.tracks import Track
from goalscope.envs import Engine
from goalscope.errors import DeclarationError, ForbiddenError

CACHE = "cache"
"""The folder of compiled kernels in the temporary folder; see :func:`goalscope.detectors.sandbox.walls.environment`."""


class Child:
    """One end of the wire, in whatever generation."""

    def __init__(self, wire: Wire, hello: Plain) -> None:
        self.wire = wire
        self.walled = bool(hello["walled"])
        self.scratch = Path(os.environ["TMPDIR"])
        self.kernels = [Path(path) for path in hello["kernels"]]
        self.memory = int(hello["memory"])
        self.guard = Guard(self.scratch, [Path(folder) for folder in hello["hidden"]], walled=self.walled)
        limit_resources(self.memory, walled=self.walled)
        if not self.walled:
            die_with_parent()
        self.empty()

    def load(self, target: str, folder: str) -> Detector:
        """Import the detector, which may import what lies in `folder`, and hold it to the rules from here on."""
        setattr(Engine, "step", _refuse_step)  # noqa: B010  (a method of a class that is typed)
        self.guard.close()
        sys.path.append(folder)  # last, so that nothing in it takes the place of what Python needs
        detector = load_detector(target)
        if isinstance(detector.track, Track) and detector.track >= Track.WHITEBOX:
            import torch  # noqa: F401  (takes seconds: here once, and not in every copy of this process)
        with self.guard.opened():
            limit_space(self.memory)
        return detector

    def serve(self, detector: Detector) -> None:
        """First generation: a fork for every fit."""
        while True:
            asked = self.wire.receive()
            if self.forked(partial(self.fitted, detector, asked)):
                return
            self.clean()

    def fitted(self, detector: Detector, asked: Plain) -> None:
        """Second generation: fit, then a fork for every agent, until the fit is done with.

        Who asks is told twice: that there is a result, and that nothing is left of how it was found.
        """
        query = query_in(asked["query"])
        outcomes = np.asarray(asked["outcomes"])
        cases = [ReferenceCase(self.handle(i, asked, query), query, own) for i, own in enumerate(outcomes)]  # type: ignore[arg-type]
        found = detector
        if detector.learns:
            found = checked_fit(detector.fit(cases, generator_in(asked["rng"])))
        self.wire.send({"result": None, "ticket": asked["ticket"]})
        _ = query.margins  # kernels are loaded here once, and not in every copy of this process
        self.clean()
        while "end" not in (message := self.wire.receive()):
            status = self.forked(partial(self.answer, found, message))
            if status:
                self.wire.send({"error": "ProtocolError", "message": f"the detector's process ended{_how(status)}."})
            self.clean()

    def answer(self, detector: Detector, asked: Plain) -> None:
        """Third generation: evidence, or a forecast."""
        query = query_in(asked["query"])
        handle: Any = self.handle(int(asked["agent"]), asked, query)
        if detector.forecasts_itself:
            found = checked_forecast(detector.forecast(handle, query), query.shape)
        else:
            found = checked_evidence(detector.evidence(handle, query))
        self.wire.send({"result": found, "ticket": asked["ticket"]})

    def handle(self, number: int, asked: Plain, query: Query) -> RemoteHandle:
        return RemoteHandle(self.wire, number, asked["common"], query.goals)

    def forked(self, work: Callable[[], None]) -> int:
        """Do some work in a copy of this process; its status when it has ended, 0 if all went well."""
        with self.guard.opened():
            child = os.fork()
        if child == 0:
            self.finish(work)
        return os.waitpid(child, 0)[1]

    def finish(self, work: Callable[[], None]) -> NoReturn:
        """Work, say what went wrong if something did, and end."""
        try:
            work()
        except Ended:
            os._exit(0)
        except BaseException as error:  # a stranger's method may raise anything
            last = extract_tb(error.__traceback__)[-1]
            self.wire.send(error_out(error, f" at {last.filename}:{last.lineno}"))
        os._exit(0)

    def clean(self) -> None:
        """Say that nothing is left of what was done last: no process, and no file."""
        if self.strays():
            self.wire.send({"error": "ForbiddenError", "message": "the detector left processes running behind it."})
            os._exit(1)  # with the first process of all, which ends at that, everything ends
        self.empty()
        self.wire.send({"cleaned": True})

    def strays(self) -> set[int]:
        """The processes that are left and are none of the generations above."""
        mark = "" if self.walled else f"TMPDIR={self.scratch}"
        with self.guard.opened():
            return running(mark) - {1, os.getpid(), os.getppid()}

    def empty(self) -> None:
        """Empty the temporary folder, but for links to compiled kernels."""
        cache = self.scratch / CACHE
        with self.guard.opened():
            links = self.links()
            kept = {path: path.readlink() for path in cache.rglob("*") if path.is_symlink()} == links
            for entry in self.scratch.iterdir():
                if entry != cache or not kept:
                    shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
            for link, kernel in links.items() if not kept else ():
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(kernel)

    def links(self) -> dict[Path, Path]:
        """Where each compiled kernel is looked for -> where it lies."""
        place = self.scratch / CACHE / "kernels"
        return {place / folder.name / kernel.name: kernel for folder in self.kernels for kernel in folder.iterdir()}


def _refuse_step(*given: Any, **named: Any) -> NoReturn:
    raise ForbiddenError("A detector steps no environment: `episodes` and, on track T4, `rollouts` are played for it.")


def _how(status: int) -> str:
    return f" by signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else ""


def described(detector: Detector) -> Plain:
    """What this detector is, for the other side to know."""
    track: object = detector.track
    if not isinstance(track, Track):
        known = ", ".join(f"Track.{t.name}" for t in Track)
        raise DeclarationError(f"The track must be one of {known}, got {track!r}.")
    return {
        "track": int(track),
        "learns": detector.learns,
        "forecasts_itself": detector.forecasts_itself,
        "controls": {kind: described(control) for kind, control in detector.controls.items()},
    }


def main() -> None:
    """Speak on what were standard input and output; a detector's own printing goes to standard error."""
    wire = Wire(os.dup(0), os.dup(1), trusting=True)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    try:
        hello = wire.receive()
        child = Child(wire, hello)
        try:
            detector = child.load(str(hello["target"]), str(hello["folder"]))
            wire.send({"described": described(detector)})
        except Exception as error:
            wire.send(error_out(error))
            return
        child.serve(detector)
    except Ended:
        return


if __name__ == "__main__":
    main()
