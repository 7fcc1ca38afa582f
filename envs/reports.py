"""What a family says about its levels: how many there are, what chance does on them, and what varies in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goalscope.envs.family import Family, Value
from goalscope.envs.pursuit import margin, start_distances
from goalscope.envs.rollout import random_null, return_gap
from goalscope.envs.sampling import Distribution
from goalscope.envs.splits import level_hashes
from goalscope.envs.support import SupportReport, effective_number, support_report

__all__ = ["DiversityReport", "NullReport", "SupportReport", "diversity_report", "null_report", "support_report"]

QUARTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, kw_only=True)
class DiversityReport:
    """How many levels there are, and how large they are, in a sample of one distribution."""

    family: str
    shift: str
    levels: int
    """Size of the sample."""
    distinct_levels: int
    distinct_layouts: int
    effective_levels: float
    """Infinite if no two of the sample are alike."""
    effective_layouts: float
    held_out: str
    """What splits hold out: "layouts" where there are at least 10⁵ of them, else "levels"."""
    free_cells: tuple[float, ...]
    """Minimum, quartiles and maximum of the number of cells without a wall."""
    distances: Mapping[str, tuple[float, ...]]
    """The same of the steps from the start, by goal, over the levels from which it can be reached."""
    return_gap: Mapping[str, float]
    """By proxy: how much less its pursuer earns than the intended goal's; about 0 in training."""

    def rows(self) -> list[dict[str, Any]]:
        """One row a goal, for tables."""
        own = {k: v for k, v in asdict(self).items() if k not in ("distances", "return_gap")}
        return [{**own, "goal": goal, "distance": quartiles} for goal, quartiles in self.distances.items()]


def diversity_report(
    family: Family, shift: str = "train", knobs: Mapping[str, Value] | None = None, *, levels: int = 2000, seed: int = 0
) -> DiversityReport:
    """Count levels, layouts, cells and steps in a sample of the training split under a shift."""
    distribution = Distribution(family, shift, knobs or {}, seed=seed)
    sample = distribution.draw(range(levels))
    whole, walls = (level_hashes(sample, walls_only).view(np.int64) for walls_only in (False, True))
    far = start_distances(family, sample, distribution.goals)
    return DiversityReport(
        family=family.id,
        shift=shift,
        levels=levels,
        distinct_levels=len(np.unique(whole)),
        distinct_layouts=len(np.unique(walls)),
        effective_levels=effective_number(whole),
        effective_layouts=effective_number(walls),
        held_out="layouts" if distribution.holds_out_layouts else "levels",
        free_cells=_quartiles((~sample.walls).sum((1, 2))),
        distances={g.name: _quartiles(far[far[:, k] >= 0, k]) for k, g in enumerate(distribution.goals)},
        return_gap=return_gap(family, sample, distribution.goals, distribution.settings, seed=seed),
    )


def _quartiles(values: NDArray[Any]) -> tuple[float, ...]:
    return tuple(float(q) for q in np.quantile(values, QUARTILES)) if len(values) else ()


@dataclass(frozen=True, kw_only=True)
class NullReport:
    """What acting at random does on one shift's query levels, and how far apart the goals are there."""

    family: str
    shift: str
    strength: float
    levels: int
    null: Mapping[str, float]
    """By outcome ("neither" last), the mean share under the random policy."""
    margin: tuple[float, ...]
    """Minimum, quartiles and maximum of steps to the nearest proxy minus steps to the intended goal."""

    def rows(self) -> list[dict[str, Any]]:
        """One row an outcome, for tables."""
        own = {k: v for k, v in asdict(self).items() if k != "null"}
        return [{**own, "outcome": name, "share": share} for name, share in self.null.items()]


def null_report(
    family: Family,
    shift: str,
    knobs: Mapping[str, Value] | None = None,
    *,
    levels: int = 256,
    episodes: int = 64,
    seed: int = 0,
) -> NullReport:
    """Play a shift's query levels at random and measure their margins."""
    distribution = Distribution(family, shift, knobs or {}, split="query", seed=seed)
    sample, goals = distribution.draw(range(levels)), distribution.goals
    shares = random_null(family, sample, goals, episodes, seed).mean(0)
    return NullReport(
        family=family.id,
        shift=shift,
        strength=family.shift(shift).strength,
        levels=levels,
        null=dict(zip([g.name for g in goals] + ["neither"], shares.tolist(), strict=True)),
        margin=_quartiles(margin(family, sample, goals, distribution.settings)),
    )
