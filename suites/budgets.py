"""Skill against budget: what each method on T3 makes of so many frames under the shift, and of asking the policy.

Whoever sees frames under the shift can ask the policy what it does there, so a method on that track is worth what it
adds to that with as many frames: the paired difference, on the same agents in the same bootstrap draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from goalscope.detectors.tracks import Track
from goalscope.suites.contrasts import difference
from goalscope.suites.score import Shares
from goalscope.suites.scores import AtBudget, Standing

ASKING = "ask_the_policy"
"""The method that the others on T3 are compared with."""


def at_budgets(standings: Sequence[Standing], draws: Mapping[str, Shares], own: int) -> tuple[AtBudget, ...]:
    """Every method on T3 with every number of frames it was run with, by name and number.

    `draws` are the bootstrap replicates `[R]` by method, `own` is the budget of those that are named without one.
    """
    allowed = {s.detector: split(s.detector, own) for s in standings if s.track == Track.STATIC}
    place = {both: name for name, both in allowed.items()}
    skills = {s.detector: s.strata.value for s in standings}
    found = []
    for standing in sorted((s for s in standings if s.detector in allowed), key=lambda s: allowed[s.detector]):
        method, frames = allowed[standing.detector]
        asking = place.get((ASKING, frames))
        over = None
        if asking is not None and asking != standing.detector:
            over = difference(standing.detector, asking, skills, draws).found
        found.append(AtBudget(method=method, frames=frames, strata=standing.strata, over_asking=over))
    return tuple(found)


def split(name: str, own: int) -> tuple[str, int]:
    """``ask_the_policy@16`` is the method ``ask_the_policy`` with 16 frames; without a number it has its `own`."""
    method, _, frames = name.rpartition("@")
    return (method, int(frames)) if method and frames.isdigit() else (name, own)


def curves(found: Sequence[AtBudget]) -> dict[str, list[AtBudget]]:
    """Method -> its points from few frames to many; without controls, and without what has one point only."""
    lines: dict[str, list[AtBudget]] = {}
    for point in sorted(found, key=lambda point: point.frames):
        if "~" not in point.method:
            lines.setdefault(point.method, []).append(point)
    return {method: points for method, points in lines.items() if len(points) > 1}
