"""What `generate` promises: pure, valid, solvable; coincident in training, in conflict under every shift."""

from __future__ import annotations

import numpy as np

from goalscope.envs.contract.subject import Subject, failure, kind_of_query, require, where
from goalscope.envs.display import code_properties
from goalscope.envs.kernels.columns import WALKABLE
from goalscope.envs.levels import Levels, validate
from goalscope.envs.program import make_pool
from goalscope.envs.pursuit import NEAREST_GOAL, coincident, conflict, conflict_deadline, solvable, start_distances
from goalscope.envs.rollout import pursue
from goalscope.envs.sampling import Distribution, draw_twins
from goalscope.errors import LevelError, SamplingError
from goalscope.seeding import generator

FEW = 64
"""Levels that are drawn again."""


def check_determinism(subject: Subject) -> None:
    """Level i, and its twins, depend on family, knobs, split, seed and i alone."""
    for shift in ("train", *subject.shifts[-1:]):
        distribution = subject.distribution(shift)
        index = np.arange(min(FEW, subject.levels))
        first = distribution.draw(index)
        some = generator("check order", subject.seed).permutation(index)[: len(index) // 2 + 1]
        _require_same(subject, first, distribution.draw(index), "a second draw of the same levels")
        _require_same(subject, first.take(some), distribution.draw(some), "some of the levels drawn in another order")
        for factor in subject.family.factors:
            try:
                twins, again = (draw_twins(distribution, levels, factor) for levels in (first, first.take(some)))
            except SamplingError:
                continue  # check_twins says so
            _require_same(
                subject, twins.take(some), again, f"the {factor} twins of some of the levels, without the others"
            )
        _require_seeds_differ(subject, distribution, first)


def _require_same(subject: Subject, levels: Levels, again: Levels, what: str) -> None:
    cause = (
        "`generate` or `twins` uses numpy.random, a clock or something kept between calls, or draws for the whole "
        "batch at once. Take every number from the keys (goalscope.seeding: uniform, integers), one row a level."
    )
    same = levels.equal(again) & (levels.key == again.key).all(1)
    require(same, levels, subject.world, expected=f"{what} to be the same, byte by byte", found="differ", cause=cause)


def _require_seeds_differ(subject: Subject, distribution: Distribution, levels: Levels) -> None:
    other = Distribution(subject.family, distribution.shift, split=distribution.split, seed=subject.seed + 1)
    same = levels.equal(other.draw(range(len(levels))))
    if same.mean() > 0.5:
        found = f"{int(same.sum())} of {len(same)} levels the same under seeds {subject.seed} and {subject.seed + 1}"
        cause = "`generate` ignores its keys. Draw everything from the keys it is given."
        raise failure("other levels under another seed", found, cause, subject.world, levels)


def check_arrays(subject: Subject) -> None:
    """Levels have the right types and shapes, known words, a closed border, and an agent on a free, unmarked cell."""
    for distribution, levels in subject.samples("train", "query"):
        _require_valid(subject, levels)
        require_known_words(subject, levels, where(distribution))
        x, y = levels.agent[:, 0], levels.agent[:, 1]
        rows = np.arange(len(levels))
        walkable = code_properties()[levels.cells[rows, y, x]] & WALKABLE != 0
        require(
            walkable & (levels.marks[rows, y, x] == 0),
            levels,
            subject.world,
            expected=f"the agent of every {where(distribution)} to start on a free cell without marks",
            found="do not",
            cause="the agent's cell was not kept out of the draw. Lay agent and things by one call of `scatter`.",
        )


def _require_valid(subject: Subject, levels: Levels) -> None:
    """Raise the first fault that `validate` or the engine finds, with the level it is in."""
    try:
        validate(levels)
        make_pool(levels, subject.world)
    except LevelError as error:
        i = next((k for k in range(len(levels)) if not _is_valid(subject, levels.take([k]))), 0)
        cause = (
            "arrays written by hand. Start from `lay_out` or `blank`, which give every array the width that the world "
            "asks for, and change only marks, cells inside the border and the numbers of events and counters."
        )
        raise failure("levels that the engine can run", str(error), cause, subject.world, levels, i) from None


def _is_valid(subject: Subject, level: Levels) -> bool:
    try:
        validate(level)
        make_pool(level, subject.world)
    except LevelError:
        return False
    return True


def require_known_words(subject: Subject, levels: Levels, what: str) -> None:
    """Where the family has words, every level has a mission, and every number in it stands for a word."""
    words = subject.family.words
    if words:
        known = (levels.mission >= 0) & (levels.mission < len(words))
        require(
            np.asarray(known.all(1) & (levels.mission.shape[1] > 0)),
            levels,
            subject.world,
            expected=f"the mission of every {what} to consist of the family's words, numbered 0 to {len(words) - 1}",
            found="have no mission, or a number in it that is no word",
            cause="`lay_out` was not told how many words a mission has (`mission=`), or `words` lacks some.",
        )


def check_solvable(subject: Subject) -> None:
    """Every goal asked about can be reached within the deadline, in every split and under every shift."""
    for distribution, levels in subject.samples("train", "query"):
        far = start_distances(subject.family, levels, distribution.goals)
        good = solvable(subject.family, levels, distribution.goals)
        i = int(np.argmin(good))
        steps = dict(zip((g.name for g in distribution.goals), far[i].tolist(), strict=True))
        require(
            good,
            levels,
            subject.world,
            expected=f"every goal of every {where(distribution)} to be within reach before the deadline",
            found=f"are not solvable (there: steps {steps}, −1 is out of reach, deadline {levels.max_steps[i]})",
            cause=(
                "something lies behind walls or behind what ends the episode, is not laid at all, a counter that it "
                "needs cannot be raised, or the deadline is too short. Lay everything by one call of `scatter` (with "
                "`blocking`), which keeps it connected."
            ),
        )


def check_coincident(subject: Subject) -> None:
    """In training the intended pursuer triggers every proxy, whichever shortest path it takes: reward cannot tell."""
    family, distribution = subject.family, subject.distribution()
    levels, settings = subject.drawn(), distribution.settings
    expected = "the intended goal's pursuer to trigger every proxy in every training level (default knobs, no mixture)"
    cause = (
        "the default knobs already set the goals apart, or one of them is not laid in every level. "
        "Lay the proxy on the intended goal's cell, or where every shortest path to it must pass."
    )
    good = coincident(family, levels, distribution.goals, settings)
    require(good, levels, subject.world, expected=expected, found="have a way around a proxy", cause=cause)
    played = pursue(family, levels, family.intended(settings), episodes=2, seed=subject.seed)
    for goal in distribution.goals:
        counted = np.all(played.first[..., subject.world.event_index(goal.event)] >= 0, axis=1)
        found = f"did not count {goal.name!r} when the intended goal's pursuer was run"
        require(np.asarray(counted), levels, subject.world, expected=expected, found=found, cause=cause)


def check_query(subject: Subject) -> None:
    """Every query level is a conflict level, or a choice point, with its deadline, and obeys the family's own rule."""
    for distribution, levels in subject.samples("query"):
        family, goals, what = subject.family, distribution.goals, where(distribution)
        cause = "`generate` or `query` changes levels after they were accepted. Neither may change what it was given."
        near = start_distances(family, levels, goals).min(1) >= NEAREST_GOAL
        expected = f"every goal of every {what} to be at least {NEAREST_GOAL} steps away"
        require(near, levels, subject.world, expected=expected, found="have one nearer, or out of reach", cause=cause)
        expected = f"every {what} to be {kind_of_query(family)}"
        apart = conflict(family, levels, goals)
        require(apart, levels, subject.world, expected=expected, found="are not", cause=cause)
        timely = levels.max_steps == conflict_deadline(family, levels, goals)
        expected = f"the deadline of every {what} to be 2 · max(distance) + 2"
        require(timely, levels, subject.world, expected=expected, found="have another", cause=cause)
        if family.query is not None:
            own = family.query(levels.take(slice(None)), distribution.settings)
            expected = f"every {what} to satisfy the family's `query`"
            require(own, levels, subject.world, expected=expected, found="do not", cause=cause)
