"""What `twins` promises: matched pairs in which exactly one factor differs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goalscope.envs.codes import EMPTY_CODE
from goalscope.envs.contract.generation import require_known_words
from goalscope.envs.contract.subject import Subject, failure, require, where
from goalscope.envs.display import code_properties
from goalscope.envs.kernels.columns import WALKABLE
from goalscope.envs.levels import Levels, validate
from goalscope.envs.pursuit import start_distances
from goalscope.envs.sampling import Distribution, draw_twins
from goalscope.errors import SamplingError

FEW = 64
"""Levels whose twins are compared."""

AGENT_FACTOR = "agent"

Mask = NDArray[np.bool_]
Part = NDArray[Any]


def check_twins(subject: Subject) -> None:
    """Each twin differs in its own factor, in nothing that is another factor's, and is legal.

    *Exactly one factor* means: the agent's factor moves the agent and nothing else; no other factor touches the agent,
    the walls, the deadline or the key; and what the twin of one factor takes away from a level (a mark off a cell, a
    word of the mission, a value, a counter, a mover's place) the twin of no other factor takes away. The last is asked
    only of query levels, where the factors lie apart.
    """
    for distribution, sample in subject.samples("train", "query"):
        levels = sample.take(slice(FEW))
        taken: dict[str, Mask] = {}
        for factor in subject.family.factors:
            twins = _twins(subject, distribution, levels, factor)
            taken[factor] = _require_own_change(subject, distribution, levels, twins, factor)
            _require_legal(subject, distribution, twins, factor)
        if distribution.split == "query":
            _require_separate(subject, distribution, levels, taken)


def _twins(subject: Subject, distribution: Distribution, levels: Levels, factor: str) -> Levels:
    try:
        return draw_twins(distribution, levels, factor)
    except SamplingError as error:
        i = next(i for i in range(len(levels)) if not _has_twin(distribution, levels.take([i]), factor))
        cause = f"`twins` finds no place for factor {factor!r} there, or leaves some goal out of reach."
        expected = f"a {factor!r} twin of every {where(distribution)}"
        raise failure(expected, str(error), cause, subject.world, levels, i) from None


def _has_twin(distribution: Distribution, level: Levels, factor: str) -> bool:
    try:
        draw_twins(distribution, level, factor)
    except SamplingError:
        return False
    return True


def _require_own_change(
    subject: Subject, distribution: Distribution, levels: Levels, twins: Levels, factor: str
) -> Mask:
    """Check what may change at all; returns `[N, P]` what the twins took away, part by part."""
    parts = dict(_parts(levels, twins))
    changed = {name: (mine != theirs).any(1) for name, (mine, theirs) in parts.items()}
    never = {"walls", "max_steps", "key"} | (set(parts) - {AGENT_FACTOR} if factor == AGENT_FACTOR else {AGENT_FACTOR})
    for name in sorted(never):
        require(
            ~changed[name],
            twins,
            subject.world,
            expected=f"the {factor!r} twin of every {where(distribution)} to keep its {name}",
            found=f"have another {name}",
            cause=f"`twins` changes more than factor {factor!r}. Copy the levels (`levels.take(slice(None))`), then "
            "move that one thing (`move_agent`, `move_marks`).",
        )
    require(
        np.any(list(changed.values()), axis=0),
        levels,
        subject.world,
        expected=f"the {factor!r} twin of every {where(distribution)} to differ from it",
        found="are their own twins",
        cause=f"`twins` does nothing for factor {factor!r}, or can put things back where they were.",
    )
    return np.concatenate([_taken_away(name, *pair) for name, pair in parts.items()], axis=1)


def _require_legal(subject: Subject, distribution: Distribution, twins: Levels, factor: str) -> None:
    validate(twins)
    require_known_words(subject, twins, f"{factor!r} twin of every {where(distribution)}")
    cause = "`twins` puts something where it shuts a goal off, or the agent onto a thing. Use `free_cells`."
    what = f"the {factor!r} twin of every {where(distribution)}"
    reach = (start_distances(subject.family, twins, distribution.goals) >= 0).all(1)
    expected = f"every goal to be within reach in {what}"
    require(reach, twins, subject.world, expected=expected, found="are not", cause=cause)
    rows, x, y = np.arange(len(twins)), twins.agent[:, 0], twins.agent[:, 1]
    walkable = code_properties()[twins.cells[rows, y, x]] & WALKABLE != 0
    free = walkable & (twins.marks[rows, y, x] == 0)
    expected = f"the agent to stand on a free cell in {what}"
    require(free, twins, subject.world, expected=expected, found="do not", cause=cause)


def _require_separate(subject: Subject, distribution: Distribution, levels: Levels, taken: dict[str, Mask]) -> None:
    for one, other in combinations(taken, 2):
        cause = f"`twins` for {one!r} or for {other!r} moves what belongs to the other factor too. Move one thing only."
        require(
            ~(taken[one] & taken[other]).any(1),
            levels,
            subject.world,
            expected=f"the {one!r} and {other!r} twins of every {where(distribution)} to change different things",
            found="have something that both change",
            cause=cause,
        )


def _parts(levels: Levels, twins: Levels) -> Iterator[tuple[str, tuple[Part, Part]]]:
    """Every array of levels and twins, `[N, P]` each; that of the cells as two, walls and what else is in them."""
    n = len(levels)
    for f in fields(levels):
        mine, theirs = getattr(levels, f.name), getattr(twins, f.name)
        if f.name == "cells":
            yield "walls", (levels.walls.reshape(n, -1), twins.walls.reshape(n, -1))
            built = levels.walls | twins.walls
            mine, theirs = (np.where(built, np.uint8(EMPTY_CODE), codes) for codes in (mine, theirs))
        yield ("objects" if f.name == "cells" else f.name), (mine.reshape(n, -1), theirs.reshape(n, -1))


def _taken_away(name: str, mine: Part, theirs: Part) -> Mask:
    """`[N, P]` what a level has and its twin has not: of marks the bits, of cells what is in them, else any number."""
    if name == "marks":
        gone = mine & ~theirs
        return np.stack([gone >> bit & 1 for bit in range(16)], axis=-1).reshape(len(mine), -1).astype(bool)
    nothing = {"objects": EMPTY_CODE, "contents": 0}.get(name)
    return np.asarray((mine != theirs) & ((nothing is None) | (mine != nothing)))
