"""What a page says about one family: everything is drawn and measured here, from fixed seeds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from inspect import cleandoc

import numpy as np
from numpy.typing import NDArray

from goalscope.envs.ascii import to_ascii
from goalscope.envs.captions import unpictured
from goalscope.envs.display import Display
from goalscope.envs.family import Family, Goal, Shift
from goalscope.envs.gallery.measured import MeasuredAgent, Setting, by_setting
from goalscope.envs.levels import Levels
from goalscope.envs.pursuit import margin, path
from goalscope.envs.render import Paths
from goalscope.envs.reports import (
    DiversityReport,
    NullReport,
    SupportReport,
    diversity_report,
    null_report,
    support_report,
)
from goalscope.envs.rollout import pursuer_outcomes
from goalscope.envs.sampling import Distribution
from goalscope.errors import unknown_name
from goalscope.registry import FAMILIES

NO_CELLS: NDArray[np.int16] = np.empty(0, np.int16)


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How many levels and episodes a card rests on; slow generators may be given fewer."""

    training: int = 2000
    """Training levels behind the reports on support and diversity."""
    queries: int = 256
    """Query levels of each shift, which chance and the pursuers play."""
    episodes: int = 64
    """Episodes of the random policy on each."""
    pursued: int = 4
    """Episodes of each pursuer on each."""
    strip: int = 4
    """Levels in a picture."""


@dataclass(frozen=True, kw_only=True)
class Strip:
    """Levels to draw side by side."""

    levels: Levels
    paths: tuple[Paths, ...]
    """By level, what each pursuer walks. All levels name the same goals, so that a goal has one colour on all strips of
    a family; a goal without cells is not asked about or out of reach."""
    captions: tuple[str, ...]
    """Empty: none."""
    display: Display


@dataclass(frozen=True, kw_only=True)
class ShiftCard:
    """What happens on the query levels of one shift."""

    shift: Shift
    goals: tuple[str, ...]
    """The goals asked about."""
    intended: str
    null: NullReport
    pursuers: NDArray[np.float64]
    """`[K, K + 1]` by pursuer its mean outcomes, "neither" last."""
    own: NDArray[np.float64]
    """`[K]` share of levels on which a pursuer's outcome was its own goal in every episode."""
    strip: Strip


@dataclass(frozen=True, kw_only=True)
class Card:
    """One family."""

    id: str
    family: Family
    introduction: str
    """The docstring of the module that declares it."""
    seed: int
    sizes: Sizes
    support: SupportReport
    diversity: DiversityReport
    training: Strip
    shifts: tuple[ShiftCard, ...]
    """All but training, as declared."""
    agents: tuple[Setting, ...]

    @property
    def furthest(self) -> ShiftCard | None:
        """The last of the strongest shifts; None if there is training only."""
        return max(reversed(self.shifts), key=lambda card: card.shift.strength, default=None)

    @property
    def texts(self) -> list[tuple[str, str]]:
        """(what it is, level as text): the first training level, and the first query level of the furthest shift."""
        world, furthest = self.family.world, self.furthest
        texts = [("A training level", to_ascii(self.training.levels, 0, world))]
        if furthest:
            texts.append((f"A query level of `{furthest.shift.name}`", to_ascii(furthest.strip.levels, 0, world)))
        return texts

    @property
    def constant(self) -> list[str]:
        """The goals whose place never varies in training, or is nowhere."""
        varying = {factor.factor for factor in self.support.factors if factor.varies}
        return [goal for goal, place in self.support.goals.items() if place not in varying]


def collect(id: str, agents: Iterable[MeasuredAgent] = (), sizes: Sizes | None = None, seed: int = 0) -> Card:
    """Draw and measure all that a page says about a registered family."""
    sizes = sizes or Sizes()
    family, introduction = FAMILIES.load(id), documentation(id)
    source = Distribution(family, seed=seed)
    training = strip(source, source.draw(range(sizes.strip)), bare=1)
    shifts = tuple(_shift_card(family, shift, sizes, seed) for shift in family.shifts if shift.name != "train")
    return Card(
        id=id,
        family=family,
        introduction=introduction,
        seed=seed,
        sizes=sizes,
        support=support_report(family, levels=sizes.training, seed=seed),
        diversity=diversity_report(family, levels=sizes.training, seed=seed),
        training=training,
        shifts=shifts,
        agents=tuple(by_setting(agents, id)),
    )


def documentation(id: str) -> str:
    """The docstring of the module in which a registered family is declared."""
    if id not in FAMILIES.sources:
        raise unknown_name("family", id, FAMILIES.sources)
    FAMILIES.load(id)  # for its error, should the module be broken
    return cleandoc(import_module(FAMILIES.sources[id].target.partition(":")[0]).__doc__ or "")


def _shift_card(family: Family, shift: Shift, sizes: Sizes, seed: int) -> ShiftCard:
    source = Distribution(family, shift.name, split="query", seed=seed)
    levels, goals = source.draw(range(max(sizes.queries, sizes.strip))), source.goals
    shares = pursuer_outcomes(family, levels, goals, sizes.pursued, seed)  # [K, N, K + 1]
    margins = margin(family, levels, goals, source.settings)[: sizes.strip]
    return ShiftCard(
        shift=shift,
        goals=tuple(goal.name for goal in goals),
        intended=family.intended(source.settings).name,
        null=null_report(family, shift.name, levels=sizes.queries, episodes=sizes.episodes, seed=seed),
        pursuers=shares.mean(1),
        own=np.array([(shares[k, :, k] == 1).mean() for k in range(len(goals))]),
        strip=strip(
            source, levels.take(range(sizes.strip)), [f"margin {m:+.0f}" if m else "margin 0" for m in margins.tolist()]
        ),
    )


def strip(source: Distribution, levels: Levels, captions: Sequence[str] = (), bare: int = 0) -> Strip:
    """Levels of a distribution with the path of every goal's pursuer; the first `bare` ones without."""
    asked = source.goals
    last = source.family.goals.index(asked[-1])
    drawn = source.family.goals[: last + 1]
    paths = [
        {goal.name: NO_CELLS if i < bare else _cells(source, levels, i, goal) for goal in drawn}
        for i in range(len(levels))
    ]
    display = source.family.look(source.settings)
    beside = [unpictured(source.family, levels, i, display) for i in range(len(levels))]
    titles = [", ".join(filter(None, both)) for both in zip(captions or [""] * len(levels), beside, strict=True)]
    return Strip(levels=levels, paths=tuple(paths), captions=tuple(titles) if any(titles) else (), display=display)


def _cells(source: Distribution, levels: Levels, i: int, goal: Goal) -> NDArray[np.int16]:
    """A shortest path from the start; no cells where the goal is not asked about or out of reach."""
    if goal not in source.goals:
        return NO_CELLS
    cells = path(source.family, levels, i, goal)
    return cells if len(cells) > 1 else NO_CELLS
