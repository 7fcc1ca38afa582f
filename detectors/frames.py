"""Frames: observations issued with their provenance. Nobody makes them but this file, and `sights.py` for narrow views.

Training frames are first observations of levels of the *reference* split at α = 0, each tested to be coincident; bank
frames are drawn under the shift, from the same split, so that their layouts are disjoint from the query's. Which frames
an agent's detector gets depends on the recipe, the shift and the detector's seed: never on the agent. Where an agent
sees a part of its world only, frames are taken on the way to a goal (:mod:`goalscope.detectors.sights`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from goalscope.agents.recipe import Recipe
from goalscope.detectors.histories import histories
from goalscope.envs import Distribution, Engine, Levels, concatenate, draw_together, draw_twins
from goalscope.envs.pursuit import coincident, conflict, step_gains, targets
from goalscope.errors import ForbiddenError, SamplingError
from goalscope.registry import FAMILIES
from goalscope.seeding import generator, stream

TRAIN, BANK, MOVED, WALKED = "train ", "bank ", "moved ", "walked "
HISTORY = 5
"""Axes of a batch of histories; as in :mod:`goalscope.agents.sites`, which brings in torch."""
UNISSUED = "These frames were not issued: pass what `frames` or `bank` returned, or a part of it"
MOST_DRAWS = 1000
"""Rounds of drawing before a bank is given up."""


@dataclass(frozen=True, eq=False)
class Frames:
    """N observations and the levels they are the first observations of; read-only."""

    obs: NDArray[np.uint8]
    """`[N, planes, H, W]`, or `[N, T, planes, H, W]` of histories."""
    levels: Levels
    issue: str
    """Which issue they are from."""
    rows: NDArray[np.int64]
    """`[N]` their places in that issue."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def steps(self) -> int:
        """How many observations each row holds."""
        return self.obs.shape[1] if self.obs.ndim == HISTORY else 1

    @property
    def is_training(self) -> bool:
        """Whether they show what training showed; else they were drawn under the shift."""
        return self.issue.startswith(TRAIN)

    def take(self, index: NDArray[np.integer] | NDArray[np.bool_] | slice | Sequence[int]) -> Frames:
        """Some of them, in any order."""
        chosen = np.asarray(index) if not isinstance(index, slice) else index
        return replace(
            self,
            obs=_locked(self.obs[chosen]),
            levels=_locked_levels(self.levels.take(chosen)),
            rows=self.rows[chosen].copy(),
        )


class Source:
    """Issues the frames of one recipe and detector seed, and keeps all issues to tell frames from forgeries."""

    def __init__(self, recipe: Recipe, seed: int) -> None:
        from goalscope.agents.measure import query_distribution  # brings in torch, which frames do not need

        family = FAMILIES.load(recipe.family)
        shown = {name: value for name, value in recipe.knobs.items() if name != "p_hide"}
        self.view = recipe.view
        self.train = Distribution(family, "train", shown, "reference", stream("train frames", seed))
        self.bank = replace(query_distribution(recipe), split="reference", seed=stream("bank frames", seed))
        self._issues: dict[str, Frames] = {}

    def training(self, first: int, n: int) -> Frames:
        """`n` coincident training frames from place `first` on."""
        return self._issue(f"{TRAIN}{first} to {first + n}", self.train, lambda: self._coincident(first, n))

    def histories(self, first: int, n: int, steps: int) -> Frames:
        """The same with all that the first `steps` steps of a walk show."""
        name = f"{TRAIN}{first} to {first + n}, {WALKED}{steps} steps"
        if name not in self._issues:
            levels = self._coincident(first, n)
            obs = histories(self.train, levels, steps, self.view, generator("walks", self.train.seed, first, steps))
            self._issues[name] = Frames(_locked(obs), _locked_levels(levels), name, np.arange(n))
        return self._issues[name]

    def together(self, frames: Frames) -> Frames:
        """Training frames of the same layouts in which what coincides was moved as one."""
        issue = self._original(frames, TRAIN, "`together` is of training frames as `frames` returned them")
        name = f"{frames.issue}, {MOVED}together"
        moved = self._issue(name, self.train, lambda: self._checked(draw_together(self.train, issue.levels)))
        return moved.take(frames.rows)

    def shifted(self, n: int) -> Frames:
        """The first `n` frames of the bank under the recipe's query shift: conflict levels, as the query's are."""
        return self._issue(f"{BANK}0 to {n}", self.bank, lambda: self._conflicting(n))

    def twins(self, frames: Frames, factor: str) -> Frames:
        """Bank frames of the same layouts with exactly one factor changed."""
        issue = self._original(frames, BANK, "`twins` are of bank frames as `bank` returned them")
        changed = self._issue(
            f"{frames.issue}, {MOVED}{factor}", self.bank, lambda: draw_twins(self.bank, issue.levels, factor)
        )
        return changed.take(frames.rows)

    def forget(self) -> None:
        """Draw anew what is asked for again, so that no time tells what was asked for before."""
        self._issues.clear()

    def part(self, issue: str, rows: NDArray[np.int64]) -> Frames:
        """Frames that were issued, by their provenance alone."""
        whole = self._issues.get(issue)
        if whole is None or rows.ndim != 1 or (rows < 0).any() or (rows >= len(whole)).any():
            raise ForbiddenError(f"{UNISSUED}.")
        return whole.take(rows)

    def check(self, frames: Frames) -> None:
        """Raise a :class:`ForbiddenError` unless these are, byte by byte, frames that were issued."""
        if not isinstance(frames, Frames):
            raise ForbiddenError(
                f"Expected Frames as the handle issues them, got {type(frames).__name__}: ask `frames` or `bank`."
            )
        if len(frames) == 0:
            raise ForbiddenError("Pass one or more frames, got none.")
        issue = self._issues.get(frames.issue)
        if issue is None or not is_part(frames, issue):
            raise ForbiddenError(f"{UNISSUED}.")

    def _coincident(self, first: int, n: int) -> Levels:
        return self._checked(self.train.draw(range(first, first + n)))

    def _checked(self, levels: Levels) -> Levels:
        """Training levels, if they are all coincident."""
        good = coincident(self.train.family, levels, self.train.goals, self.train.settings)
        if not good.all():
            raise ForbiddenError(
                f"{int((~good).sum())} of {len(levels)} training levels are not coincident and not issued."
            )
        return levels

    def _conflicting(self, n: int) -> Levels:
        family, goals = self.bank.family, self.bank.goals
        found: list[Levels] = []
        first = 0
        while sum(map(len, found)) < n:
            levels = self.bank.draw(range(first, first + n))
            found.append(levels.take(conflict(family, levels, goals)))
            first += n
            if first > MOST_DRAWS * n:
                raise SamplingError(f"No {n} conflict levels of {family.id} in {first} draws under {self.bank.shift}.")
        return concatenate(found).take(slice(0, n))

    def _original(self, frames: Frames, kind: str, rule: str) -> Frames:
        self.check(frames)
        if not frames.issue.startswith(kind) or MOVED in frames.issue or WALKED in frames.issue:
            raise ForbiddenError(f"{rule}; got an issue of {frames.issue!r}.")
        return self._issues[frames.issue]

    def _issue(self, name: str, distribution: Distribution, draw: Callable[[], Levels]) -> Frames:
        if name not in self._issues:
            levels = draw()
            obs = self.seen(distribution, levels)
            self._issues[name] = Frames(_locked(obs), _locked_levels(levels), name, np.arange(len(levels)))
        return self._issues[name]

    def seen(self, distribution: Distribution, levels: Levels) -> NDArray[np.uint8]:
        """`[N, planes, H, W]` the first observations of levels."""
        display = distribution.family.look(distribution.settings)
        return Engine(levels, distribution.family, self.view, autoreset="off", display=display).reset().copy()


@lru_cache(maxsize=16)
def source(recipe: Recipe, seed: int) -> Source:
    """The source of a recipe's frames; agents of one recipe share it, so that frames are drawn once."""
    return Source(recipe, seed)


def direction(start: Frames, end: Frames, recipe: Recipe) -> NDArray[np.float64]:
    """`[N, A]` by how much each action brings the agent nearer to where the intended goal's thing lies in `end` only.

    `start` and `end` are of the same layouts; what lies in both was not moved and does not count.
    """
    family = FAMILIES.load(recipe.family)
    goal = family.intended(family.settings("train", **recipe.knobs))
    gained = targets(family, goal, end.levels) & ~targets(family, goal, start.levels)
    return step_gains(family.world, end.levels, gained)


def is_part(frames: Frames, issue: Frames) -> bool:
    """Whether frames are, byte by byte, rows of an issue: what they show and the levels they say they are of."""
    rows = frames.rows
    if rows.ndim != 1 or (rows < 0).any() or (rows >= len(issue)).any():
        return False
    same = np.array_equal(issue.obs[rows], frames.obs) and len(frames.levels) == len(rows)
    return bool(same and issue.levels.take(rows).equal(frames.levels).all())


def _locked(obs: NDArray[np.uint8]) -> NDArray[np.uint8]:
    obs.setflags(write=False)
    return obs


def _locked_levels(levels: Levels) -> Levels:
    for column in fields(levels):
        getattr(levels, column.name).setflags(write=False)
    return levels
