"""Controls: what a method's score is worth, by the same method where there is nothing to be found.

``NAME~KIND`` names the control of any detector that gives evidence and looks inside, or at frames under the shift:

- ``untrained``: the same on a network that never learned, whose random features can be read as well;
- ``shuffled``: the same, calibrated (and fitted) on reference outcomes that were dealt out anew among the agents;
- ``random``: the same with a drawn subspace of equal rank, or as many drawn channels, for the one the method chose;
- ``raw``: the same on the observation, which no network has touched.

The first two are there for every such detector. The others only a method's author can write: they are declared beside
it, ``DETECTOR = with_controls(my_method, random=my_method_at_random)``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from goalscope.detectors.base import Detector, ReferenceCase
from goalscope.detectors.calibration import Shares
from goalscope.detectors.handle import AgentHandle
from goalscope.detectors.query import Query
from goalscope.detectors.tracks import Track
from goalscope.errors import DeclarationError, unknown_name
from goalscope.registry import DETECTORS

MARK = "~"
DECLARED = ("random", "raw")
"""Kinds that a method declares itself."""


class _Control(Detector):
    """A method that is put to something else than it was made for."""

    def __init__(self, method: Detector) -> None:
        self.method = method
        self.track = method.track
        self.__doc__ = f"Control of: {method.__doc__}"
        self.__module__ = method.__module__

    @property
    def learns(self) -> bool:
        return self.method.learns

    def fit(self, reference: Sequence[ReferenceCase], rng: np.random.Generator) -> Self:
        return type(self)(self.method.fit(reference, rng)) if self.learns else self

    def evidence(self, agent: AgentHandle, query: Query) -> ArrayLike:
        return self.method.evidence(agent, query)


class _Untrained(_Control):
    """The same on an untrained network: one for all agents of a recipe."""

    def fit(self, reference: Sequence[ReferenceCase], rng: np.random.Generator) -> Self:
        if not self.learns:
            return self
        return super().fit([replace(case, agent=case.agent.untrained()) for case in reference], rng)

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
    method.controls = controls  # type: ignore[attr-defined]
    return method


def load_detector(target: str) -> Detector:
    """What an id, a ``package.module`` or a ``./file.py`` names, or ``NAME~KIND``, its control of one kind.

    Raises a :class:`DeclarationError` where the method has no such control.
    """
    name, mark, kind = target.rpartition(MARK)
    if not mark or "/" in kind:  # a mark within a path
        return DETECTORS.load(target)
    method = DETECTORS.load(name)
    known = _controls(method)
    if kind not in known:
        has = f"it has {', '.join(known)}" if known else "it has none, as it gives no evidence or does not look inside"
        raise DeclarationError(f"There is no control {target!r}: {has}. A method declares others by `with_controls`.")
    return known[kind]


def controls_of(target: str) -> tuple[str, ...]:
    """The names of all controls that a detector has, ``NAME~KIND`` each."""
    return tuple(f"{target}{MARK}{kind}" for kind in _controls(load_detector(target)))


def _controls(method: Detector) -> dict[str, Detector]:
    """Kind -> control."""
    declared: Mapping[str, Detector] = getattr(method, "controls", {})
    if isinstance(method, _Control) or method.forecasts_itself:
        return {}
    if method.track not in (Track.WHITEBOX, Track.STATIC):
        return dict(declared)
    return {"untrained": _Untrained(method), "shuffled": _Shuffled(method), **declared}
