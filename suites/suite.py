"""A suite as data: which agents, which shifts, which methods, how much each may look at."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from hashlib import sha256

from goalscope.detectors.tracks import Budget


@dataclass(frozen=True, kw_only=True)
class Suite:
    """Everything that decides a run, but for the code and the agents."""

    name: str
    zoo: str
    """The bundled zoo, or one in the user's cache folder."""
    recipes: tuple[str, ...]
    """Admitted recipes: their agents are the cases, seeds split into reference and test (setting S_seed)."""
    anchors: tuple[str, ...] = ()
    """Recipes that are flat, or vacuous, on purpose: shown in the report, not scored."""
    doses: tuple[str, ...] = ()
    """Recipes that differ in α alone, in its order: the report's dose–response."""
    detectors: tuple[str, ...] = ()
    levels: int = 256
    """Query levels of a case."""
    folds: int = 4
    """Each fold of a recipe's seeds is tested once, with the other folds as reference."""
    seeds: int = 3
    """Detector seeds: each draws other frames."""
    budget: Budget = Budget()

    @property
    def shown(self) -> tuple[str, ...]:
        """All recipes that it asks about or shows."""
        return tuple(dict.fromkeys((*self.recipes, *self.anchors, *self.doses)))

    @property
    def hash(self) -> str:
        return sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()
