"""The planted suite as data: as other suites, and what the evidence of each method means: nothing is fitted to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from pydantic import StrictStr

from goalscope.suites.suite import Setting, Suite

Reading: TypeAlias = Literal["contrast", "goals", "competence"]
"""
contrast      a number a proxy, in the goals' order: how much more it is the intended goal than that proxy
goals         a number a goal: its own, so the intended goal's minus a proxy's is the contrast
competence    the first number says how well the agent does, whatever it pursues
"""


@dataclass(frozen=True, kw_only=True)
class PlantedSuite(Suite):
    """A suite of planted agents. Nothing is held out, because nothing is learned: there are no settings."""

    settings: tuple[Setting, ...] = ()
    readings: tuple[tuple[StrictStr, Reading], ...] = ()
    """(method, what its evidence means) where that is not `contrast`; a control's is its method's."""

    def reading(self, detector: str) -> Reading:
        """What the evidence of a detector means."""
        from goalscope.suites.loading import CONTROL  # brings in torch, which listing suites does not need

        return dict(self.readings).get(detector.partition(CONTROL)[0], "contrast")
