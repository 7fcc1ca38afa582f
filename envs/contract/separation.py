"""What splits promise: what agents are asked about they have never trained on."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from goalscope.envs.contract.subject import Subject, require, where
from goalscope.envs.levels import Levels
from goalscope.envs.sampling import Distribution
from goalscope.envs.splits import APPEARANCE, SPLITS, in_split

PAIRS_FROM = 4096
"""Levels whose layouts are compared, pair by pair, to count how many layouts there are."""

TOLERANCE = 10
"""Factor by which a family's number of layouts may miss the limit before its splits hold out the wrong thing."""


def check_splits(subject: Subject) -> None:
    """No level of one split, and where layouts are many no layout, is in another; each is in the one its hash says."""
    for shift in ("train", *subject.shifts):
        splits = [split for split in SPLITS if shift != "train" or split != "query"]
        for split in splits:
            _require_own_split(subject, subject.distribution(shift, split))
        for one, other in combinations(splits, 2):
            _require_disjoint(subject, shift, one, other)
    for shift in subject.shifts:
        if _scope(subject.distribution(shift)) == _scope(subject.distribution()):
            _require_apart(subject, subject.drawn(shift, "query"), subject.drawn(), f"{shift!r} query and training")


def _scope(distribution: Distribution) -> str:
    return "layout" if distribution.holds_out_layouts else "level"


def _require_own_split(subject: Subject, distribution: Distribution) -> None:
    levels = subject.drawn(distribution.shift, distribution.split)
    good = in_split(levels, distribution.split, distribution.holds_out_layouts)
    cause = "the level was changed after its split was fixed; `query` and `twins` must not change what they are given."
    expected = f"the hash of every {where(distribution)} to put it there"
    require(good, levels, subject.world, expected=expected, found="belong to another split", cause=cause)


def _require_disjoint(subject: Subject, shift: str, one: str, other: str) -> None:
    levels, theirs = subject.drawn(shift, one), subject.drawn(shift, other)
    _require_apart(subject, levels, theirs, f"{one} and {other}, under {shift!r},", _scope(subject.distribution(shift)))


def _require_apart(subject: Subject, levels: Levels, others: Levels, what: str, scope: str = "") -> None:
    """Compare the bytes themselves, so that a fault of the hash shows too."""
    scope = scope or _scope(subject.distribution())
    taken = set(_bytes(others, scope))
    good = np.array([content not in taken for content in _bytes(levels, scope)])
    cause = "levels were changed after they were drawn, so that what was held out came back."
    expected = f"{what} levels to share no {scope}"
    require(good, levels, subject.world, expected=expected, found="are shared", cause=cause)


def _bytes(levels: Levels, scope: str) -> list[bytes]:
    if scope == "layout":
        return [walls.tobytes() for walls in levels.walls]
    arrays = [getattr(levels, name) for name in APPEARANCE]
    return [b"".join(array[i].tobytes() for array in arrays) for i in range(len(levels))]
