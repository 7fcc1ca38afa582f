"""The contract of a detector, checked: ``check_detector(DETECTOR)``, ``check_detector("./my_method.py")``.

The detector is put to two tiny untrained agents, twice, with reference cases whose outcomes are made up: that says
nothing about how good it is, and all about whether a run can use it. It takes seconds.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from traceback import FrameSummary, extract_tb

import numpy as np

from goalscope.detectors.base import Detector
from goalscope.detectors.bench import TESTED, Bench, make_bench, one_thread
from goalscope.detectors.handle import Array
from goalscope.envs.contract.subject import failure
from goalscope.errors import CheckFailure, DeclarationError, ForbiddenError, ForecastError, LoadError, OverspentError
from goalscope.registry import DETECTORS

SAME = 1e-9
"""Answers that differ by less are the same: libraries may add the same numbers in another order."""
HARMLESS = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)
"""Warnings to authors of libraries."""

CAUSES: tuple[tuple[type[Exception], str], ...] = (
    (
        ForbiddenError,
        "it looks at what only a higher track may see: declare that track, `@detector(track=…)` or `track = Track.…`. "
        "Or it passes frames that its handle did not issue: pass on what `frames`, `together` or `bank` returned.",
    ),
    (OverspentError, "it asks for more than a case's budget, `goalscope.detectors.tracks.Budget`: ask for less."),
    (
        ForecastError,
        "`fit` returns the fitted detector, `evidence` numbers, `forecast` shares: mend what is named above.",
    ),
    (Warning, "a logarithm of or division by zero, or a fit that does not converge: guard it."),
    (NotImplementedError, "neither `evidence` nor `forecast` is there: override one, or use `@detector`."),
    (Exception, "the line named above fails. What it was given is read-only: copy an array before changing it."),
)
"""Kind of error -> the likely cause; the first that fits counts."""


def check_detector(target: Detector | str, *, seed: int = 0) -> None:
    """Check a detector against the contract; raise a :class:`CheckFailure` with the likely cause where it breaks it.

    Parameters
    ----------
    target: a detector, a registered id, ``package.module`` or ``./file.py``, the latter two also with ``:attribute``.
    seed: of everything that is drawn.
    """
    detector = target if isinstance(target, Detector) else _loaded(target)
    with one_thread():
        bench = make_bench(seed)
        first = _asked(detector, bench, backwards=False)
        again = _asked(detector, bench, backwards=True)
    _check_lengths(first)
    _check_repeated(first, again)
    _check_untouched(bench)


def _loaded(target: str) -> Detector:
    try:
        return DETECTORS.load(target)
    except (LoadError, DeclarationError) as error:
        cause = "the file that declares it raises on import, or does not assign `DETECTOR = …`."
        raise failure("a detector that can be imported", str(error), cause) from error


def _asked(detector: Detector, bench: Bench, *, backwards: bool) -> list[Array]:
    """Answers about the tested agents, in the agents' order, asked backwards or not."""
    order = list(range(TESTED))[:: -1 if backwards else 1]
    try:
        with _warnings_raised():
            answers = bench.answers(detector, order)
    except Exception as error:  # a stranger's method may raise anything
        raise _crash(detector, error) from error
    return answers[:: -1 if backwards else 1]


def _crash(detector: Detector, error: Exception) -> CheckFailure:
    place = _place(detector, error)
    found = f"{type(error).__name__}: {error} ({place.filename}:{place.lineno})"
    cause = next(cause for kind, cause in CAUSES if isinstance(error, kind))
    return failure(f"the detector to run on track {detector.track.label}", found, cause)


def _place(detector: Detector, error: Exception) -> FrameSummary:
    """The line of the detector's own file that led to an error; where none did, the line that raised it."""
    lines = list(extract_tb(error.__traceback__))
    module = sys.modules.get(detector.__module__)
    own = [line for line in lines if module and line.filename == getattr(module, "__file__", None)]
    return (own or lines)[-1]


def _check_lengths(answers: list[Array]) -> None:
    shapes = {answer.shape for answer in answers}
    if len(shapes) > 1:
        cause = "how much evidence there is depends on the agent; calibration needs the same numbers of all of them."
        raise failure("as much evidence of every agent", " and ".join(map(str, sorted(shapes))), cause)


def _check_repeated(first: list[Array], again: list[Array]) -> None:
    for one, other in zip(first, again, strict=True):
        if not np.allclose(one, other, rtol=SAME, atol=SAME):
            cause = (
                "it draws from a generator of its own (use `agent.rng`, in `fit` the `rng` it is given), or remembers "
                "agents it was asked about before."
            )
            found = f"answers that differ by up to {np.abs(one - other).max():.3g}"
            raise failure("the same answer about an agent when asked again with the same seed", found, cause)


def _check_untouched(bench: Bench) -> None:
    changed = bench.changed()
    if changed:
        cause = "it writes into an array of a level: copy it first, `levels.take(slice(None))`."
        raise failure("levels and frames to be as they were handed out", f"{changed} were changed", cause)


@contextmanager
def _warnings_raised() -> Iterator[None]:
    """Warnings are errors; those that are meant for the authors of libraries are ignored."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for category in HARMLESS:
            warnings.simplefilter("ignore", category)
        yield
