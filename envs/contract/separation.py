"""What splits promise: what agents are asked about they have never trained on."""

from __future__ import annotations

from itertools import combinations
from time import perf_counter

import numpy as np

from goalscope.envs.contract.subject import Subject, failure, require, where
from goalscope.envs.levels import Levels
from goalscope.envs.sampling import Distribution
from goalscope.envs.splits import APPEARANCE, MANY_LAYOUTS, SAMPLES, SPLITS, has_many_layouts, in_split
from goalscope.seeding import keys

TIMED, TIMES = 64, 4
"""Levels drawn to find out how fast a family draws, and how often: the fastest counts, whatever else a machine does."""

MOST_SECONDS = 15.0
"""Layouts are counted where that takes at most so long."""


def check_splits(subject: Subject) -> None:
    """No level of one split, and where layouts are many no layout, is in another; each is in the one its hash says."""
    for shift in ("train", *subject.shifts):
        _require_true_declaration(subject, shift)
    for shift in ("train", *subject.shifts):
        splits = [split for split in SPLITS if shift != "train" or split != "query"]
        for split in splits:
            _require_own_split(subject, subject.distribution(shift, split))
        for one, other in combinations(splits, 2):
            _require_disjoint(subject, shift, one, other)
    for shift in subject.shifts:
        if _scope(subject.distribution(shift)) == _scope(subject.distribution()):
            _require_apart(subject, subject.drawn(shift, "query"), subject.drawn(), f"{shift!r} query and training")


def _require_true_declaration(subject: Subject, shift: str) -> None:
    """Where the family says itself what its splits hold out, and draws fast enough to be measured, it must be true."""
    declared, settings = subject.family.holds_out, subject.distribution(shift).settings
    if not declared:
        return
    seconds = _seconds_a_level(subject, shift)
    if seconds * sum(SAMPLES) > MOST_SECONDS:
        return
    measured = "layouts" if has_many_layouts(subject.family.generate, settings) else "levels"
    if measured != declared:
        what = f"at least {MANY_LAYOUTS:,}" if measured == "layouts" else f"fewer than {MANY_LAYOUTS:,}"
        found = f"{what} different layouts, measured on up to {SAMPLES[-1]:,} levels ({1e6 * seconds:.0f} µs each)"
        cause = (
            "splits that hold out levels only let training and query share layouts, where they need not."
            if measured == "layouts"
            else "with so few layouts a split may get none, and what is asked about is one and the same few walls."
        )
        expected = f"splits under {shift!r} to hold out {measured}, and `holds_out` to be {measured!r} or ''"
        raise failure(f"{expected}, not {declared!r}", found, cause, subject.world, _proposed(subject, shift, 1))


def _proposed(subject: Subject, shift: str, n: int) -> Levels:
    distribution = subject.distribution(shift)
    return subject.family.generate(keys(distribution.stream, np.arange(n)), distribution.settings)


def _seconds_a_level(subject: Subject, shift: str) -> float:
    """What a level takes to draw; the first draw, which may compile something, does not count."""
    _proposed(subject, shift, 1)
    taken = []
    for _ in range(TIMES):
        begun = perf_counter()
        _proposed(subject, shift, TIMED)
        taken.append(perf_counter() - begun)
    return min(taken) / TIMED


def _scope(distribution: Distribution) -> str:
    return "layout" if distribution.holds_out_layouts else "level"


def _require_own_split(subject: Subject, distribution: Distribution) -> None:
    levels = subject.drawn(distribution.shift, distribution.split)
    good = in_split(levels, distribution.split, distribution.holds_out_layouts)
    cause = (
        "the level was changed after its split was fixed: `generate` returns arrays that it keeps and writes into "
        "again (return new ones), or `query` or `twins` changes what it is given."
    )
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
