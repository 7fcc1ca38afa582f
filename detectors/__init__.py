"""Detectors: methods that look inside a frozen agent, locate its goal, and forecast what it will do under a shift."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Not when asked for, as the rest below: the module `detector` would take the place of the decorator of that name.
from goalscope.detectors.detector import Detector, ReferenceCase, detector
from goalscope.detectors.frames import Frames
from goalscope.detectors.handle import AgentHandle
from goalscope.detectors.query import Query
from goalscope.detectors.tracks import Track

if TYPE_CHECKING:
    from goalscope.detectors.checks import check_detector

__all__ = ["AgentHandle", "Detector", "Frames", "Query", "ReferenceCase", "Track", "check_detector", "detector"]

_LATER = {"check_detector": "checks"}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
