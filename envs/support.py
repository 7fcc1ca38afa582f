"""Which goal factors vary in a distribution of levels, and which of them vary together.

Training frames are drawn from training levels. A factor that never varies there, or is always the same as another,
leaves no trace in what an agent does or computes on such frames, whatever the method that looks at them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from goalscope.envs.family import Family, Goal, Value
from goalscope.envs.levels import Levels
from goalscope.envs.pursuit import has_marks
from goalscope.envs.sampling import Distribution
from goalscope.seeding import generator

SHUFFLES = 16
"""Permutations behind the chance level of mutual information."""
CERTAIN = 1e-3
"""A factor determines another if the agreement seen would be rarer than this by chance."""
RELATED = 0.05
"""Share of the explainable information from which on two factors count as related."""

Labels = NDArray[np.int64]
"""`[N]` the number of the value that a factor takes in each level."""


class Factor(NamedTuple):
    """Something that may differ from level to level."""

    name: str
    cells: NDArray[np.uint8]
    """`[N, ·]` what identifies its value; for things the packed cells they lie on."""

    @property
    def labels(self) -> Labels:
        return np.unique(self.cells, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


@dataclass(frozen=True, kw_only=True)
class FactorSupport:
    """One factor in a sample."""

    factor: str
    distinct: int
    effective: float
    """How many equally frequent values would repeat as often; infinite if no value repeats."""
    varies: bool


@dataclass(frozen=True, kw_only=True)
class Relation:
    """Two factors that both vary."""

    factor: str
    other: str
    relation: str
    """"identical" (the same cells), "co-vary" (each determines the other), "determines", "determined by", "related",
    "independent", or "unclear" where values repeat too rarely to say."""
    information: float
    """Mutual information above that of shuffled levels, as a share of what could be explained (Vinh et al. 2010)."""


@dataclass(frozen=True, kw_only=True)
class SupportReport:
    """What the frames of a distribution can show about the goals in it."""

    family: str
    shift: str
    levels: int
    factors: tuple[FactorSupport, ...]
    relations: tuple[Relation, ...]
    goals: Mapping[str, str]
    """By goal, the factor that is its place; empty if nothing in the sample triggers it."""
    notes: tuple[str, ...]
    """What such frames cannot show, in words; empty if nothing stands against the family."""

    def rows(self) -> list[dict[str, Any]]:
        """One row a factor, for tables; "with" names the factors that are not independent of it."""
        return [{**asdict(f), "with": self._partners(f.factor)} for f in self.factors]

    def relation(self, factor: str, other: str) -> str:
        """The relation of two factors, "constant" if one of them never varies."""
        for r in self.relations:
            if {r.factor, r.other} == {factor, other}:
                swapped = {"determines": "determined by", "determined by": "determines"}
                return r.relation if r.factor == factor else swapped.get(r.relation, r.relation)
        return "constant"

    def _partners(self, factor: str) -> dict[str, str]:
        others = [f.factor for f in self.factors if f.factor != factor]
        found = {other: self.relation(factor, other) for other in others}
        return {other: said for other, said in found.items() if said not in ("independent", "constant", "unclear")}


def support_report(
    family: Family, shift: str = "train", knobs: Mapping[str, Value] | None = None, *, levels: int = 2000, seed: int = 0
) -> SupportReport:
    """Draw levels of the training split under a shift and say what varies in them."""
    distribution = Distribution(family, shift, knobs or {}, seed=seed)
    return support_of(family, distribution.draw(range(levels)), distribution.goals, shift)


def support_of(family: Family, levels: Levels, goals: Sequence[Goal], shift: str = "train") -> SupportReport:
    """What varies in these levels, which factors go together, and what that hides about these goals."""
    found = {factor.name: factor for factor in find_factors(family, levels)}
    places: dict[str, str] = {}
    for goal in goals:
        places[goal.name], made = _place(family, levels, goal, found)
        found |= made
    labels = {name: factor.labels for name, factor in found.items()}
    factors = tuple(_support(name, label) for name, label in labels.items())
    varying = [f.factor for f in factors if f.varies]
    relations = tuple(relate(found[a], found[b]) for a, b in combinations(varying, 2))
    return SupportReport(
        family=family.id,
        shift=shift,
        levels=len(levels),
        factors=factors,
        relations=relations,
        goals=places,
        notes=tuple(_notes(family, levels, places, varying, relations, shift)),
    )


def find_factors(family: Family, levels: Levels) -> list[Factor]:
    """Agent, walls, each thing that is there at all, and movers, mission and values where levels have them."""
    found = [_factor("agent", levels.agent[:, :3]), _factor("walls", levels.walls)]
    for thing in family.world.things:
        cells = has_marks(levels, family.world.bit(thing.name))
        if cells.any():
            found.append(_factor(thing.name, cells))
    for name in ("movers", "scripts", "mission", "value"):
        array = getattr(levels, name)
        if (array != array[:1]).any():
            found.append(_factor(name, array))
    return found


def _factor(name: str, values: NDArray[Any]) -> Factor:
    rows = np.ascontiguousarray(values.reshape(len(values), -1))
    return Factor(name, np.packbits(rows, axis=1) if rows.dtype == np.bool_ else rows.view(np.uint8))


def _place(family: Family, levels: Levels, goal: Goal, found: Mapping[str, Factor]) -> tuple[str, dict[str, Factor]]:
    """The factor that is a goal's place, and that factor itself if it is no single thing's."""
    mask = family.world.trigger_mask(goal.event)
    things = [t.name for t in family.world.things if mask & family.world.bit(t.name) and t.name in found]
    if len(things) < 2:
        return (things[0] if things else ""), {}
    name = f"any {goal.name}"
    return name, {name: _factor(name, has_marks(levels, mask))}


def _support(name: str, labels: Labels) -> FactorSupport:
    distinct = len(np.unique(labels))
    return FactorSupport(factor=name, distinct=distinct, effective=effective_number(labels), varies=distinct > 1)


def effective_number(labels: Labels) -> float:
    """How many equally frequent values would repeat as often: inverse Simpson, unbiased; infinite if none repeats."""
    counts = np.unique(labels, return_counts=True)[1].astype(np.float64)
    pairs, alike = len(labels) * (len(labels) - 1), float((counts * (counts - 1)).sum())
    return pairs / alike if alike else float("inf")


def relate(one: Factor, other: Factor) -> Relation:
    """How two factors go together in a sample."""
    a, b = one.labels, other.labels
    information, chance = _information(a, b)
    forth, back = determines(a, b), determines(b, a)
    if one.cells.shape == other.cells.shape and (one.cells == other.cells).all():
        relation = "identical"
    elif forth or back:
        relation = "co-vary" if forth and back else "determines" if forth else "determined by"
    elif np.isnan(information):
        relation = "unclear"
    else:
        relation = "related" if chance and information > RELATED else "independent"
    return Relation(factor=one.name, other=other.name, relation=relation, information=information)


def determines(a: Labels, b: Labels) -> bool:
    """Whether equal values of `a` always come with equal values of `b`, too often for chance.

    Only levels that repeat a value of `a` can tell; if each agreed by luck with the probability that two levels share a
    value of `b`, all of them would with that probability to the power of their number.
    """
    _, index, where = np.unique(a, return_index=True, return_inverse=True)
    if (b != b[index][where]).any():
        return False
    repeats = len(a) - len(index)
    alike = 1.0 / effective_number(b)
    return bool(repeats and (alike == 0 or repeats * np.log(alike) < np.log(CERTAIN)))


def _information(a: Labels, b: Labels) -> tuple[float, bool]:
    """Adjusted mutual information in [0, 1], NaN if values repeat too rarely; and whether it exceeds chance."""
    rng = generator("support", len(a))
    shuffled = [_entropy(a) + _entropy(b) - _entropy(a, rng.permutation(b)) for _ in range(SHUFFLES)]
    found = _entropy(a) + _entropy(b) - _entropy(a, b)
    base, most = float(np.mean(shuffled)), min(_entropy(a), _entropy(b))
    if most - base < RELATED * most:
        return float("nan"), False
    return float(np.clip((found - base) / (most - base), 0, 1)), found > base + 4 * float(np.std(shuffled))


def _entropy(a: Labels, b: Labels | None = None) -> float:
    """Entropy of a sample, in nats; of the pair if there are two."""
    both = a if b is None else a * (int(b.max()) + 1) + b
    share = np.unique(both, return_counts=True)[1] / len(both)
    return float(-(share * np.log(share)).sum())


def _notes(
    family: Family,
    levels: Levels,
    places: Mapping[str, str],
    varying: Collection[str],
    relations: Sequence[Relation],
    shift: str,
) -> Iterator[str]:
    """What frames of these levels cannot show about the goals."""
    n, frames = len(levels), "training frames" if shift == "train" else f"frames under {shift!r}"
    for goal, place in places.items():
        if not place:
            yield f"Nothing in {n} levels triggers {goal!r}: {frames} cannot show whether an agent goes for it."
        elif place not in varying:
            same = f"{goal!r} is at the same place in all of {n} levels"
            yield f"{same}: {frames} cannot show whether an agent looks for it or knows the place."
    if not any(place in varying for place in places.values()):
        yield f"No goal varies: {frames} cannot show which one an agent pursues. The setting is a negative control."
    known = {frozenset((r.factor, r.other)): r.relation for r in relations}
    for goal, other in combinations(places, 2):
        relation = known.get(frozenset((places[goal], places[other])), "")
        if relation == "identical":
            same = f"{goal!r} and {other!r} share their cells in all of {n} levels"
            if (_seen(family, levels, goal) == _seen(family, levels, other)).all():
                yield f"{same}: {frames} cannot show which of the two an agent pursues."
            else:
                yield f"{same}; only those {frames} in which one of them is hidden can show which an agent pursues."
        elif relation == "co-vary":
            yield f"{goal!r} and {other!r} fix each other's places: {frames} cannot show one of them moving alone."


def _seen(family: Family, levels: Levels, goal: str) -> NDArray[np.bool_]:
    """`[N, H, W]` where something that triggers a goal can be seen."""
    mask, world = family.world.trigger_mask(family.goal(goal).event), family.world
    return has_marks(levels, mask & world.mask(t.name for t in world.things if t.visible))
