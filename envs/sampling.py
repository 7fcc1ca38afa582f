"""Drawing levels: level i of a distribution is a pure function of (family, knobs, split, seed, i)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from goalscope.envs.family import Family, Goal, Settings, Value
from goalscope.envs.kernels.retries import retry_keys
from goalscope.envs.levels import Levels
from goalscope.envs.pursuit import coincident, conflict, conflict_deadline, start_distances
from goalscope.envs.splits import SPLITS, has_many_layouts, in_split
from goalscope.errors import DeclarationError, KnobError, SamplingError, unknown_name
from goalscope.seeding import Keys, keys, stream, substream, uniform

MOST_DRAWS = 20_000
"""Draws for one level before giving up."""

AT_A_TIME = 256
"""Levels that are drawn together even when fewer are still needed."""

MIXTURE_TAG, TWIN_TAG, TOGETHER_TAG = 1 << 20, 1 << 21, 1 << 22

Propose = Callable[[NDArray[np.int64], Keys], Levels]
"""(rows `[n]`, their sub-keys `[n, 2]`) -> n levels."""
Accept = Callable[[Levels, NDArray[np.int64]], NDArray[np.bool_]]
"""(levels, rows `[n]`) -> `[n]` which of these rows pass. Copying levels costs much, so that a check gets them all."""


def on_picked(check: Callable[[Levels], NDArray[np.bool_]]) -> Accept:
    """A check that wants the levels it is asked about alone: `[N]` which of N levels pass."""
    return lambda levels, rows: check(levels if len(rows) == len(levels) else levels.take(rows))


def redraw(propose: Propose, checks: Mapping[str, Accept], level_keys: Keys, what: str) -> Levels:
    """Draw a level under every key, again and again with fresh sub-keys until all checks accept it.

    The draws of one level are independent of the others', so any subset of keys gives the same levels. Raises a
    :class:`SamplingError` that says which check refused how often.
    """
    levels = propose(np.arange(len(level_keys)), substream(level_keys, 0))
    refused = dict.fromkeys(["placement", *checks], 0)
    todo = np.flatnonzero(~_accepted(levels, checks, refused))
    if len(todo) == len(level_keys) > 1:  # nothing passed: one level shows at less cost whether anything ever does
        redraw(propose, checks, level_keys[:1], what)
    draw = 1
    while len(todo) and draw < MOST_DRAWS:
        # The fewer levels are left, the more draws of each are tried at a time; the first good one counts.
        tries = min(max(1, AT_A_TIME // len(todo)), MOST_DRAWS - draw)
        sub_keys = np.empty((tries * len(todo), 2), np.uint64)
        retry_keys(level_keys[todo], draw, sub_keys)
        fresh = propose(np.tile(todo, tries), sub_keys)
        good = _accepted(fresh, checks, refused).reshape(tries, len(todo))
        found = np.flatnonzero(good.any(0))
        _replace(levels, todo[found], fresh, good.argmax(0)[found] * len(todo) + found)
        todo = np.delete(todo, found)
        draw += tries
    if len(todo):
        counts = ", ".join(f"{name} refused {n}" for name, n in refused.items())
        raise SamplingError(f"No {what} in {MOST_DRAWS} draws for {len(todo)} of {len(level_keys)} levels: {counts}.")
    levels.key[:] = level_keys
    return levels


def _accepted(levels: Levels, checks: Mapping[str, Accept], refused: dict[str, int]) -> NDArray[np.bool_]:
    """`[N]` which levels pass; each check sees only what passed the ones before it."""
    good = levels.placed
    refused["placement"] += int((~good).sum())
    for name, check in checks.items():
        rows = np.flatnonzero(good)
        if not len(rows):
            break
        kept = check(levels, rows)
        good[rows[~kept]] = False
        refused[name] += int((~kept).sum())
    return good


def _replace(levels: Levels, rows: NDArray[np.int64], fresh: Levels, picked: NDArray[np.int64]) -> None:
    """Overwrite the levels at `rows`, in place, by the `picked` ones of others."""
    for f in fields(Levels):
        getattr(levels, f.name)[rows] = getattr(fresh, f.name)[picked]


@dataclass(frozen=True)
class Distribution:
    """A distribution of levels: a family under one setting, in one split, with a seed, and perhaps a mixture.

    The `query` split holds only strict conflict levels, with their deadline; the other splits are as the family draws.
    """

    family: Family
    shift: str = "train"
    knobs: Mapping[str, Value] = field(default_factory=dict)
    """Overrides of the shift's own setting."""
    split: str = "train"
    seed: int = 0
    alpha: float = 0.0
    """Share of levels drawn from `alpha_shift` instead."""
    alpha_shift: str = ""

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise unknown_name("split", self.split, SPLITS)
        if not 0.0 <= self.alpha <= 1.0:
            raise KnobError(f"alpha must be a share from 0 to 1, got {self.alpha!r}.")
        if self.alpha and not self.alpha_shift:
            raise KnobError("alpha > 0 needs alpha_shift: the shift from which that share of levels is drawn.")
        canvas = self.family.canvas(self.settings)
        if self.alpha_shift:
            other = self.family.canvas(self._mixed_in.settings)
            if other != canvas:
                raise KnobError(f"Mixed levels need one canvas, got {canvas} under {self.shift} and {other}: pad one.")

    @property
    def settings(self) -> Settings:
        return self.family.settings(self.shift, **self.knobs)

    @property
    def goals(self) -> tuple[Goal, ...]:
        """The goals asked about."""
        return self.family.goals_under(self.shift)

    @property
    def holds_out_layouts(self) -> bool:
        """Whether its splits have no wall layout in common, and not just no level."""
        if self.family.holds_out:
            return self.family.holds_out == "layouts"
        return has_many_layouts(self.family.generate, self.settings)

    @property
    def stream(self) -> int:
        """The stream that levels without a mixture are drawn from."""
        return stream("levels", self.family.id, self.family.version, dict(self.settings), self.split, self.seed)

    def draw(self, indices: NDArray[np.integer] | range | list[int]) -> Levels:
        """The levels of these indices, in this order."""
        index = np.asarray(indices)
        if not self.alpha:
            return self._draw_pure(index)
        other = self._mixed_in
        shifted = self._is_shifted(index)
        if shifted.all():
            return other._draw_pure(index)
        levels = self._draw_pure(index)
        if shifted.any():
            levels.put(shifted, other._draw_pure(index[shifted]))
        return levels

    @property
    def _mixed_in(self) -> Distribution:
        """The distribution that a share of levels comes from."""
        knobs = self.family.unset_by(self.alpha_shift, self.knobs)
        return Distribution(self.family, self.alpha_shift, knobs, self.split, self.seed)

    def _is_shifted(self, index: NDArray[np.integer]) -> NDArray[np.bool_]:
        return np.asarray(uniform(keys(self.stream, index), MIXTURE_TAG) < self.alpha)

    def _draw_pure(self, index: NDArray[np.integer]) -> Levels:
        settings, goals = self.settings, self.goals
        walls_only = self.holds_out_layouts
        checks: dict[str, Accept] = {"split": lambda levels, rows: in_split(levels, self.split, walls_only, rows)}
        if self.split == "query":
            checks["conflict"] = on_picked(lambda levels: conflict(self.family, levels, goals))
            if self.family.query is not None:
                own = self.family.query
                checks["query rule"] = on_picked(lambda levels: own(levels, settings))
        what = f"{self.split} level of {self.family.id} under {self.shift}"
        levels = redraw(lambda _, k: self.family.generate(k, settings), checks, keys(self.stream, index), what)
        if self.split == "query":
            levels.max_steps[:] = conflict_deadline(self.family, levels, goals)
        return levels


def draw_twins(distribution: Distribution, levels: Levels, factor: str, *, strict: bool = False) -> Levels:
    """For each level of a distribution its twin: the same level with exactly one factor changed, legal again.

    Legal means that every goal can be reached if every goal could, and that the family's own query rule, if any, holds;
    a `strict` twin is a conflict level too, which not every level has. A twin is drawn under its level's own key, so it
    never depends on the levels beside it, and keeps that key and the deadline.
    """
    family, settings, goals = distribution.family, distribution.settings, distribution.goals
    if factor not in family.factors:
        raise unknown_name(f"factor of {family.id}", factor, family.factors)

    propose = _reachable(distribution, levels, lambda some, k: family.twins(some, factor, k, settings))
    checks: dict[str, Accept] = {}
    if strict:
        checks["conflict"] = on_picked(lambda twins: conflict(family, twins, goals))
    if distribution.split == "query" and family.query is not None:
        own = family.query
        checks["query rule"] = on_picked(lambda twins: own(twins, settings))
    tag = TWIN_TAG + family.factors.index(factor)
    twins = redraw(propose, checks, substream(levels.key, tag), f"{factor} twin of {family.id}")
    twins.key[:] = levels.key
    return twins


def draw_together(distribution: Distribution, levels: Levels) -> Levels:
    """For each coincident level the same level with what coincides moved as one; it coincides again and keeps its key.

    Raises a :class:`DeclarationError` where the family does not say what moves together.
    """
    family, settings, goals = distribution.family, distribution.settings, distribution.goals
    move = family.together
    if move is None:
        raise DeclarationError(f"{family.id} does not say what moves together: declare `together=` in its Family.")
    propose = _reachable(distribution, levels, lambda some, k: move(some, k, settings))
    checks = {"coincidence": on_picked(lambda moved: coincident(family, moved, goals, settings))}
    moved = redraw(propose, checks, substream(levels.key, TOGETHER_TAG), f"moved level of {family.id}")
    moved.key[:] = levels.key
    return moved


def _reachable(distribution: Distribution, levels: Levels, change: Callable[[Levels, Keys], Levels]) -> Propose:
    """Propose changed levels, unplacing those that lost a goal which their original can reach."""
    family, goals = distribution.family, distribution.goals
    reachable = np.asarray((start_distances(family, levels, goals) >= 0).all(1))

    def propose(rows: NDArray[np.int64], sub_keys: Keys) -> Levels:
        changed = change(levels.take(rows), sub_keys)
        lost = (start_distances(family, changed, goals) < 0).any(1) & reachable[rows]
        changed.agent[lost, 0] = -1
        return changed

    return propose
