"""What splits promise: what agents are asked about they have never trained on."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from goalscope.envs.contract.subject import Subject, failure, require, where
from goalscope.envs.layouts import MANY_LAYOUTS, has_many_layouts
from goalscope.envs.levels import Levels
from goalscope.envs.sampling import Distribution
from goalscope.envs.splits import APPEARANCE, SPLITS, in_split
from goalscope.seeding import keys, stream

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
    _require_right_scope(subject)


def _scope(distribution: Distribution) -> str:
    return "layout" if has_many_layouts(distribution.settings) else "level"


def _require_own_split(subject: Subject, distribution: Distribution) -> None:
    levels = subject.drawn(distribution.shift, distribution.split)
    good = in_split(levels, distribution.split, distribution.settings)
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


def _require_right_scope(subject: Subject) -> None:
    """Count layouts in what the family itself draws: about n² / 2K pairs of n draws coincide if there are K."""
    settings = subject.distribution().settings
    drawn = subject.family.generate(keys(stream("check layouts", subject.seed), np.arange(PAIRS_FROM)), settings)
    walls = drawn.walls[drawn.placed].reshape(int(drawn.placed.sum()), -1)
    if not len(walls):
        return
    _, counts = np.unique(np.packbits(walls, axis=1), axis=0, return_counts=True)
    pairs, alike = len(walls) * (len(walls) - 1) / 2, float((counts * (counts - 1) / 2).sum())
    many = has_many_layouts(settings)
    layouts = pairs / max(alike, 0.5)
    if many and layouts * TOLERANCE < MANY_LAYOUTS or not many and layouts > TOLERANCE * MANY_LAYOUTS:
        expected = (
            f"splits that hold out layouts where there are {MANY_LAYOUTS} of them, and levels where there are fewer"
        )
        found = f"about {layouts:.3g} layouts, yet {'layouts' if many else 'levels'} held out"
        cause = "`generate` makes walls that the layout knobs do not describe. Draw them by `draw_walls`."
        raise failure(expected, found, cause, subject.world, drawn, int(np.argmax(drawn.placed)))
