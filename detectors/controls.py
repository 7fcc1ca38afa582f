"""Controls: what a method's score is worth, by the same method where there is nothing to be found.

``NAME~KIND`` names the control of any detector that gives evidence and looks inside, or at frames under the shift:

- ``untrained``: the same on a network that never learned, whose random features can be read as well;
- ``shuffled``: the same, calibrated (and fitted) on reference outcomes that were dealt out anew among the agents;
- ``random``: the same with a drawn subspace of equal rank, or as many drawn channels, for the one the method chose;
- ``raw``: the same on the observation, which no network has touched.

The first two are there for every such detector. The others only a method's author can write: they are declared beside
it, ``DETECTOR = with_controls(my_method, random=my_method_at_random)``.

A method from outside, in its own process, is not told that an agent is untrained or that outcomes were shuffled: that
happens on this side.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike

from goalscope.detectors.base import Detector, ReferenceCase
from goalscope.detectors.calibration import Shares
from goalscope.detectors.query import Query
from goalscope.detectors.tracks import Track
from goalscope.errors import DeclarationError, unknown_name
from goalscope.registry import DETECTORS

if TYPE_CHECKING:
    from goalscope.detectors.handle import AgentHandle

MARK = "~"
DECLARED = ("random", "raw")
"""Kinds that a method declares itself."""


class Described(Protocol):
    """What says which controls there are: a detector, or what is told about one in another process."""

    @property
    def track(self) -> Track: ...

    @property
    def forecasts_itself(self) -> bool: ...

    @property
    def controls(self) -> Mapping[str, object]: ...


class _Control(Detector):
    """A method that is put to something else than it was made for."""

    def __init__(self, method: Detector) -> None:
        self.method = method
        self.track = method.track
        self.apart = method.apart
        self.__doc__ = f"Control of: {method.__doc__}"
        self.__module__ = method.__module__

    @property
    def learns(self) -> bool:
        return self.method.learns

    def fit(self, reference: Sequence[ReferenceCase], rng: np.random.Generator) -> Self:
        return type(self)(self.method.fit(reference, rng))

    def close(self) -> None:
        self.method.close()

    def evidence(self, agent: AgentHandle, query: Query) -> ArrayLike:
        return self.method.evidence(agent, query)


class _Untrained(_Control):
    """The same on an untrained network: one for all agents of a recipe."""

    def fit(self, reference: Sequence[ReferenceCase], rng: np.random.Generator) -> Self:
        if self.learns:
            reference = [replace(case, agent=case.agent.untrained()) for case in reference]
        return super().fit(reference, rng)

    def evidence(self, agent: AgentHandle, query: Query) -> ArrayLike:
        return self.method.evidence(agent.untrained(), query)


class _Shuffled(_Control):
    """The same, fitted and calibrated on the outcomes of other reference agents."""

    def reference_outcomes(self, outcomes: Shares, rng: np.random.Generator) -> Shares:
        """`[A, L, K + 1]` the outcomes of reference agents, dealt out anew."""
        return outcomes[rng.permutation(len(outcomes))]


def with_controls(method: Detector, **controls: Detector) -> Detector:
    """The method with the controls that its author wrote, ``random=`` and ``raw=``; returns the method itself.

    Raises a :class:`DeclarationError` for another kind.
    """
    for kind in controls:
        if kind not in DECLARED:
            raise unknown_name("kind of control that a method declares", kind, DECLARED)
    method.controls = controls
    return method


WRAPPERS: dict[str, type[_Control]] = {"untrained": _Untrained, "shuffled": _Shuffled}
"""Kinds that there are for every method that looks inside."""


def load_detector(target: str) -> Detector:
    """What an id, a ``package.module`` or a ``./file.py`` names, or ``NAME~KIND``, its control of one kind.

    It is imported into this process. Raises a :class:`DeclarationError` where the method has no such control.
    """
    name, kind = split(target)
    method = DETECTORS.load(name)
    check_kind(target, method)
    return method.controls[kind] if kind in DECLARED else control(method, kind)


def control(method: Detector, kind: str) -> Detector:
    """A method's control of a kind that it need not declare; with no kind, the method itself."""
    return WRAPPERS[kind](method) if kind else method


def controls_of(target: str) -> tuple[str, ...]:
    """The names of all controls that a detector has, ``NAME~KIND`` each."""
    name, kind = split(target)
    return () if kind else named(target, kinds(DETECTORS.load(name)))


def named(target: str, those: Iterable[str]) -> tuple[str, ...]:
    """The names of a detector's controls of some kinds."""
    return tuple(f"{target}{MARK}{kind}" for kind in those)


def split(target: str) -> tuple[str, str]:
    """The method that a target names, and the kind of control, empty for the method itself."""
    name, mark, kind = target.rpartition(MARK)
    return (name, kind) if mark and MARK in Path(target).name else (target, "")


def kinds(method: Described) -> tuple[str, ...]:
    """The kinds of controls that a method has."""
    if method.forecasts_itself:
        return ()
    return (*(WRAPPERS if method.track in (Track.WHITEBOX, Track.STATIC) else ()), *method.controls)


def check_kind(target: str, method: Described) -> None:
    """Raise a :class:`DeclarationError` if a target names a control that its method does not have."""
    kind, known = split(target)[1], kinds(method)
    if kind and kind not in known:
        has = f"it has {', '.join(known)}" if known else "it has none, as it gives no evidence or does not look inside"
        raise DeclarationError(f"There is no control {target!r}: {has}. A method declares others by `with_controls`.")
