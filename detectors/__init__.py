"""Detectors: methods that look inside a frozen agent, locate its goal, and forecast what it will do under a shift."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from goalscope.detectors.tracks import Budget, Track

if TYPE_CHECKING:
    from goalscope.detectors.base import Detector, ReferenceCase, detector
    from goalscope.detectors.checks import check_detector
    from goalscope.detectors.frames import Frames
    from goalscope.detectors.handle import AgentHandle
    from goalscope.detectors.query import Query

__all__ = [
    "AgentHandle",
    "Budget",
    "Detector",
    "Frames",
    "Query",
    "ReferenceCase",
    "Track",
    "check_detector",
    "detector",
]

# These bring in torch, which takes seconds: they are loaded when asked for.
_LATER = {
    "AgentHandle": "handle",
    "Detector": "base",
    "Frames": "frames",
    "Query": "query",
    "ReferenceCase": "base",
    "check_detector": "checks",
    "detector": "base",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
