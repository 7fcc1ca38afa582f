"""How a run gets at detectors: what it knows of one beforehand, and the detector itself. Nothing else loads any."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from goalscope.detectors import controls
from goalscope.detectors.base import Detector
from goalscope.detectors.tracks import Track
from goalscope.errors import DeclarationError
from goalscope.registry import DETECTORS
from goalscope.suites.sources import source_hash

CONTROL = "~"
"""``NAME~untrained`` is a control of ``NAME``."""


@dataclass(frozen=True)
class Method:
    """A detector as it is planned."""

    name: str
    """What its results are filed under: its id, or the file's or variable's name; a control's with its kind."""
    target: str
    """Where any process, in any folder, loads it from."""
    track: Track
    source_sha256: str

    @property
    def control(self) -> str:
        """Which control it is; empty for a method itself."""
        return self.name.partition(CONTROL)[2]


def describe(target: str) -> Method:
    """What a run plans by. Raises an error that names what is wrong with a detector."""
    place, tilde, control = target.partition(CONTROL)
    track: object = load_detector(target).track
    if not isinstance(track, Track):
        known = ", ".join(f"Track.{t.name}" for t in Track)
        raise DeclarationError(f"The track of {target} must be one of {known}, got {track!r}.")
    return Method(name_of(target), f"{anywhere(place)}{tilde}{control}", track, source_hash(DETECTORS, place))


def load_detector(target: str) -> Detector:
    """A detector, or a control of one."""
    return controls.load_detector(target)


def controls_of(target: str) -> tuple[str, ...]:
    """The targets of the controls that apply to a detector."""
    return tuple(controls.controls_of(target))


def name_of(target: str) -> str:
    """What a detector's results are filed under."""
    whole, tilde, control = target.partition(CONTROL)
    place, _, variable = whole.rpartition(":") if ":" in Path(whole).name else (whole, "", "")
    name = variable or (Path(place).stem if place.endswith(".py") else place.rpartition(".")[2])
    return f"{name}{tilde}{control}"


def anywhere(target: str) -> str:
    """A file by its whole path: processes that do the work may be in other folders."""
    return str(Path(target).absolute()) if target.endswith(".py") else target
