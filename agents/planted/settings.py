"""Which mechanism is planted: a learner's settings, so that a planted agent is a recipe like all others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

Mechanism = Literal[
    "selected", "twins", "conditional", "dormant", "unused", "folded", "redundant", "split_critic", "broken"
]
"""
selected      the goal map is one goal's plane
twins         the same, and the seed decides whose: seeds 2k and 2k + 1 are twins with the same rotation
conditional   a trigger in the walls, lit on a share of the levels, swaps the goal for the other one
dormant       a trigger that no core level lights adds the other goal
unused        the other goal is on the bus, and nothing reads it
folded        the goal is on the bus times a sign that changes from frame to frame; the reader takes the size
redundant     the goal is on the bus twice, and either copy is enough
split_critic  the policy pursues the goal, the value foretells the other one
broken        a share of the moves is drawn at random: not competent
"""


@dataclass(frozen=True, kw_only=True)
class PlantedConfig:
    """Of agents that are made, not trained."""

    kind: ClassVar[str] = "planted"
    mechanism: Mechanism
    goal: str = ""
    """The goal that is pursued, where the trigger is dark; twins have none: the seed decides."""
    share: float = 0.5
    """conditional: the share of levels that light the trigger (λ)."""
    slip: float = 0.0
    """broken: the share of moves that are drawn at random (ε)."""
    gamma: float = 0.97
    """The discount of the return that the value foretells."""
