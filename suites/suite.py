"""A suite as data: which agents, which shifts, which methods, how much each may look at."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, StrictBool, StrictStr, TypeAdapter

from goalscope.detectors.tracks import Budget

Setting: TypeAlias = Literal["seed", "recipe", "family"]
"""What is held out of the reference: some seeds of a recipe, whole recipes, whole families."""
Count: TypeAlias = Annotated[int, Field(strict=True, ge=1)]
Names: TypeAlias = tuple[StrictStr, ...]
MOST_CONTRASTS = 5


@dataclass(frozen=True, kw_only=True)
class Suite:
    """Everything that decides a run, but for the code and the agents."""

    name: Annotated[str, Field(strict=True, pattern=r"^[\w.-]+$")]
    zoo: StrictStr
    """The bundled zoo, one in the user's cache folder, or the path of one."""
    recipes: Annotated[Names, Field(min_length=1)]
    """Admitted recipes, whose agents are the cases: ids, modules, files, or names in the zoo's own list."""
    anchors: Names = ()
    """Recipes that are flat, or vacuous, on purpose: shown in the report, not scored."""
    doses: Names = ()
    """Recipes that differ in α alone, in its order: the report's dose–response."""
    detectors: Names = ()
    controls: StrictBool = False
    """Whether every control that applies to a detector runs beside it."""
    settings: Annotated[tuple[Setting, ...], Field(min_length=1)] = ("seed",)
    budgets: tuple[Count, ...] = ()
    """Further numbers of frames under the shift that T3 detectors are run with, beside that of `budget`."""
    contrasts: Annotated[tuple[tuple[StrictStr, StrictStr], ...], Field(max_length=MOST_CONTRASTS)] = ()
    """Pairs (method, baseline) that carry the claims, fixed beforehand."""
    levels: Count = 256
    """Query levels of a case."""
    folds: Annotated[int, Field(strict=True, ge=2)] = 4
    """Each fold of a recipe's seeds is tested once, with the other folds as reference."""
    seeds: Count = 3
    """Detector seeds: each draws other frames."""
    budget: Budget = Budget()

    @property
    def shown(self) -> tuple[str, ...]:
        """All recipes that it asks about or shows."""
        return tuple(dict.fromkeys((*self.recipes, *self.anchors, *self.doses)))

    @property
    def hash(self) -> str:
        return sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def suite_from(data: dict[str, Any]) -> Suite:
    """A suite from plain data. Raises pydantic's ValidationError with everything that is wrong."""
    return TypeAdapter(Suite).validate_python(data)
