"""How a run gets at detectors: what it knows of one beforehand, and the detector itself. Nothing else loads any.

Our own run in this process. Those from outside are imported in another one, not even for a look in this.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from goalscope.detectors import controls
from goalscope.detectors.base import Detector
from goalscope.detectors.controls import DECLARED, MARK, check_kind, control, kinds, named, split
from goalscope.detectors.sandbox import Description, Limits, is_ours, sandboxed
from goalscope.detectors.tracks import Track
from goalscope.registry import DETECTORS
from goalscope.suites.sources import file_of, imported, shared_files, source_hash

CONTROL = MARK
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
        return self.name.partition(MARK)[2]


def describe(target: str) -> Method:
    """What a run plans by. Raises an error that names what is wrong with a detector."""
    place, kind = split(target)
    told = _told(place)
    check_kind(target, told)
    track = (told.controls[kind] if kind in DECLARED else told).track
    return Method(name_of(target), anywhere(target), track, source_hash(DETECTORS, place))


@contextmanager
def opened(target: str, hidden: Sequence[Path] = ()) -> Iterator[Detector]:
    """A detector, whose process ends with the block."""
    found = load_detector(target, hidden)
    try:
        yield found
    finally:
        found.close()


def load_detector(target: str, hidden: Sequence[Path] = ()) -> Detector:
    """A detector, or a control of one; from outside it sees nothing of `hidden` folders, and is to be closed."""
    place, kind = split(target)
    if is_ours(place):
        return controls.load_detector(target)
    limits = Limits(hidden=tuple(hidden), shown=_shown(place))
    if kind in DECLARED:
        return sandboxed(target, limits)
    return control(sandboxed(place, limits), kind)


def controls_of(target: str) -> tuple[str, ...]:
    """The targets of the controls that apply to a detector."""
    place, kind = split(target)
    return () if kind else named(target, kinds(_told(place)))


def _told(place: str) -> Detector | Description:
    """What a method itself, or another process, says that it is."""
    if is_ours(place):
        return DETECTORS.load(place)
    return _told_apart(anywhere(place), source_hash(DETECTORS, place))


@cache
def _told_apart(place: str, source_sha256: str) -> Description:
    """Asked once for every state of a method's source: to start a process takes seconds."""
    with sandboxed(place, Limits(shown=_shown(place))) as found:
        return found.description


def _shown(place: str) -> tuple[Path, ...]:
    return tuple(sorted(imported(file_of(DETECTORS, place), shared_files())))


def name_of(target: str) -> str:
    """What a detector's results are filed under."""
    whole, kind = split(target)
    place, _, variable = whole.rpartition(":") if ":" in Path(whole).name else (whole, "", "")
    name = variable or (Path(place).stem if place.endswith(".py") else place.rpartition(".")[2])
    return f"{name}{MARK}{kind}" if kind else name


def anywhere(target: str) -> str:
    """A file by its whole path: processes that do the work may be in other folders."""
    place, kind = split(target)
    file, colon, variable = place.rpartition(":") if not place.endswith(".py") else (place, "", "")
    return f"{Path(file).absolute()}{colon}{variable}{kind and MARK + kind}" if file.endswith(".py") else target
