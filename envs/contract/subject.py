"""The family under check, with the samples that checks share, and how a broken promise is told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from goalscope.envs.ascii import to_ascii
from goalscope.envs.family import Family
from goalscope.envs.levels import Levels
from goalscope.envs.sampling import MOST_DRAWS, Distribution
from goalscope.envs.world import Policy, Then, World
from goalscope.errors import CheckFailure, GoalscopeError, SamplingError
from goalscope.seeding import keys

EXAMPLES = 16
"""Levels proposed in order to show one that was refused."""

REFUSALS = {
    "placement": "`generate` leaves (nearly) every level unplaced, agent x = -1. Give it more room or fewer objects.",
    "split": (
        "`generate` ignores its keys, so that every draw is the same level, or has few layouts. "
        "Draw everything from the keys it is given."
    ),
    "conflict": (
        "under this shift the goals are not apart: their triggers share a cell, one lies on a shortest way to another, "
        "or one is out of reach or fewer than 3 steps away. Let the shift's knobs set them apart, and let each goal "
        "have things and an event of its own."
    ),
    "query rule": (
        "the family's `query` refuses every level whose goals are apart. Loosen it, or draw levels that satisfy it."
    ),
}
"""Who refused the draws -> the likely cause."""


@dataclass
class Subject:
    """A family under check and its samples, each drawn once; checks must not change them."""

    family: Family
    levels: int = 256
    """Levels in a sample."""
    seed: int = 0
    _drawn: dict[tuple[str, str], Levels | CheckFailure] = field(default_factory=dict)

    @property
    def shifts(self) -> tuple[str, ...]:
        """The shifts away from training."""
        return tuple(s.name for s in self.family.shifts if s.name != "train")

    @property
    def world(self) -> World:
        return self.family.world

    def distribution(self, shift: str = "train", split: str = "train") -> Distribution:
        return Distribution(self.family, shift, split=split, seed=self.seed)

    def drawn(self, shift: str = "train", split: str = "train") -> Levels:
        """The sample of a shift and split; a :class:`CheckFailure`, the same each time, if it cannot be drawn."""
        if (shift, split) not in self._drawn:
            self._drawn[shift, split] = self._draw(shift, split)
        sample = self._drawn[shift, split]
        if isinstance(sample, CheckFailure):
            raise sample
        return sample

    def _draw(self, shift: str, split: str) -> Levels | CheckFailure:
        distribution = self.distribution(shift, split)
        try:
            return distribution.draw(range(self.levels))
        except SamplingError as error:
            return refusal(error, f"{split} levels under {shift!r}", self.world, self._example(distribution))

    def _example(self, distribution: Distribution) -> Levels | None:
        """One level that the family proposes, placed if any is: what the splits' tests have to choose from."""
        levels = self.family.generate(keys(distribution.stream, np.arange(EXAMPLES)), distribution.settings)
        return levels.take([int(np.argmax(levels.placed))]) if levels.placed.any() else None

    def samples(self, *splits: str) -> Iterator[tuple[Distribution, Levels]]:
        """The samples of these splits, under every shift; query levels exist only away from training."""
        for split in splits:
            for shift in (("train",) if split != "query" else ()) + self.shifts:
                yield self.distribution(shift, split), self.drawn(shift, split)


def refusal(error: SamplingError, what: str, world: World | None = None, example: Levels | None = None) -> CheckFailure:
    """The failure of a distribution that gives no level, explained by the test that let nothing through.

    `example` is a level that was proposed, to show.
    """
    # A test sees what the ones before it let through, so the last that refused anything let nothing through.
    refused = re.findall(r"(placement|split|conflict|query rule) refused [1-9]", str(error))
    cause = REFUSALS[refused[-1]] if refused else "`generate` never gives what this split asks for."
    return failure(f"{what} that can be drawn within {MOST_DRAWS} tries", str(error), cause, world, example)


def failure(
    expected: str, found: str, cause: str, world: World | None = None, levels: Levels | None = None, i: int = 0
) -> CheckFailure:
    """A broken promise in words: what was expected and found, the offending level, the likely cause and remedy."""
    picture = ""
    if world is not None and levels is not None:
        picture = f"\nLevel:\n{_picture(levels, i, world)}"
    return CheckFailure(f"Expected {expected}.\nFound {found.rstrip('.')}.{picture}\nLikely cause: {cause}")


def _picture(levels: Levels, i: int, world: World) -> str:
    try:
        return to_ascii(levels, i, world)
    except (GoalscopeError, IndexError) as error:
        return f"(level {i} cannot be drawn: {error})"


def require(
    good: NDArray[np.bool_] | np.bool_, levels: Levels, world: World, *, expected: str, found: str, cause: str
) -> None:
    """Raise for the first level (of `[N]` `good`) that is not good, with the count of those like it."""
    if not good.all():
        i = int(np.argmin(good))
        count = f"{int((~good).sum())} of {len(levels)} levels {found}, the first being level {i}"
        raise failure(expected, count, cause, world, levels, i)


def is_deterministic(world: World) -> bool:
    """Whether a level and the actions fix everything that happens."""
    chance = any(m.policy is not Policy.SCRIPT or m.p_reliable < 1 or 0 < m.p_double < 1 for m in world.movers)
    return not (chance or world.spawns or any(rule.then is Then.RESPAWN for rule in world.rules))


def word_for_query(family: Family) -> str:
    """What the family's query levels are called."""
    return "choice point" if family.choice else "conflict level"


def kind_of_query(family: Family) -> str:
    """What that means."""
    if family.choice:
        return (
            "a choice point: no shortest path of a pursuer, who walks around what ends the episode, meets another goal"
        )
    return "a conflict level: no shortest path to one goal meets another"


def where(distribution: Distribution) -> str:
    """A distribution in words."""
    return f"{distribution.split} level under {distribution.shift!r}"
