"""What a detector is: evidence about a frozen agent, or a forecast of its own.

    @detector(track="whitebox")
    def first_layer(agent, query):
        norms = agent.weight_norms()["body.layer1.weight"]
        return [np.log(norms[planes].sum()) for planes in agent.planes]

    DETECTOR = first_layer

A file with that runs as ``goalscope run smoke --detector ./my_method.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from goalscope.detectors.query import Query
from goalscope.detectors.tracks import Track
from goalscope.errors import DeclarationError

if TYPE_CHECKING:
    from goalscope.detectors.handle import AgentHandle


@dataclass(frozen=True)
class ReferenceCase:
    """An agent of the same recipe with known outcomes: what detectors may learn from."""

    agent: AgentHandle
    query: Query
    outcomes: NDArray[np.float64]
    """`[L, K + 1]` exact shares."""


class Detector:
    """Base of all detectors. Override `evidence`, or `forecast`; `fit` where there is something to learn.

    Evidence is not a probability: the protocol turns it into a forecast by ridge regression on reference cases, see
    :mod:`goalscope.detectors.calibration`.
    """

    track: Track = Track.RECIPE
    controls: Mapping[str, Detector] = MappingProxyType({})
    """Kind -> control that the author wrote, see :func:`goalscope.detectors.controls.with_controls`."""
    apart: bool = False
    """Whether it runs in a process of its own, which also keeps its time."""

    def fit(self, reference: Sequence[ReferenceCase], rng: np.random.Generator) -> Self:
        """Learn from reference cases; returns the fitted detector. Here: nothing to learn."""
        return self

    def evidence(self, agent: AgentHandle, query: Query) -> ArrayLike:
        """One number or `[E]` numbers about an agent, finite, the same E for all agents of a recipe."""
        raise NotImplementedError(f"{type(self).__name__} has neither `evidence` nor `forecast`: override one.")

    def forecast(self, agent: AgentHandle, query: Query) -> ArrayLike:
        """`[L, K + 1]` shares of the outcomes on every query level, summing to one. Overriding skips calibration."""
        raise NotImplementedError(f"{type(self).__name__} forecasts by calibrated evidence.")

    def reference_outcomes(self, outcomes: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
        """`[A, L, K + 1]` the outcomes that stand for those of A reference agents, in `fit` and in calibration.

        Here they are themselves. A control that must not know what belongs to whom shuffles them.
        """
        return outcomes

    def close(self) -> None:
        """End the process that it runs in, if that is its own."""

    @property
    def learns(self) -> bool:
        """Whether `fit` was overridden."""
        return type(self).fit is not Detector.fit

    @property
    def forecasts_itself(self) -> bool:
        """Whether `forecast` was overridden."""
        return type(self).forecast is not Detector.forecast


class _Wrapped(Detector):
    """A function as a detector."""

    def __init__(self, function: Callable[[AgentHandle, Query], ArrayLike], track: Track) -> None:
        self.function = function
        self.track = track
        self.__doc__ = function.__doc__
        self.__module__ = function.__module__

    def evidence(self, agent: AgentHandle, query: Query) -> ArrayLike:
        return self.function(agent, query)


def detector(track: str | Track) -> Callable[[Callable[[AgentHandle, Query], Any]], Detector]:
    """Make a detector of a function `(agent, query) -> evidence`, on one of the tracks that :class:`Track` names."""
    found = track if isinstance(track, Track) else _track(track)
    return lambda function: _Wrapped(function, found)


def _track(name: str) -> Track:
    known = {t.name.lower(): t for t in Track}
    if name not in known:
        raise DeclarationError(f"There is no track {name!r}. Known: {', '.join(known)}.")
    return known[name]
