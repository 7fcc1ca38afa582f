"""Tracks say what a detector may look at, budgets how much of it, tallies how much it was."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, fields
from enum import IntEnum

from goalscope.errors import OverspentError


class Track(IntEnum):
    """What a detector may look at; each track includes the ones before it."""

    RECIPE = 0
    """The recipe, the geometry of levels, and reference cases."""
    BLACKBOX = 1
    """Outputs on coincident training frames, and episodes on training levels."""
    WHITEBOX = 2
    """Activations, gradients, weight norms and patches, on the same frames: the headline."""
    STATIC = 3
    """Frames drawn, not chosen, under the shift, with their twins."""
    ROLLOUT = 4
    """Episodes under the shift: the yardstick, not ranked."""

    @property
    def label(self) -> str:
        return f"T{self.value} {self.name.lower()}"


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The most a detector may use on one case."""

    frames: int = 4096
    """Training frames issued."""
    bank_frames: int = 64
    """Different frames issued under the shift: 16, 64 or 256; twins of them are free."""
    episodes: int = 256
    """Episodes on training levels."""
    rollouts: int = 16
    """Episodes under the shift."""
    passes: int = 65_536
    """Frames sent through the network, forward or backward; what is played counts as episodes instead."""
    values: int = 50_000_000
    """Numbers read."""
    seconds: float = 60.0


@dataclass
class Tally:
    """What a detector has used on one case."""

    budget: Budget
    frames: int = 0
    bank_frames: int = 0
    episodes: int = 0
    rollouts: int = 0
    passes: int = 0
    values: int = 0
    started: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.started

    def spend(self, what: str, amount: int) -> None:
        """Count; raise an :class:`OverspentError` before, not after, a budget is overspent."""
        used, most = getattr(self, what), getattr(self.budget, what)
        if used + amount > most:
            raise OverspentError(
                f"{amount} more {what.replace('_', ' ')} were asked for, {used} of {most} are used up: ask for less."
            )
        if self.seconds > self.budget.seconds:
            raise OverspentError(f"{self.seconds:.0f} s are used up, {self.budget.seconds:g} s allowed: do less.")
        setattr(self, what, used + amount)

    def counts(self) -> dict[str, int]:
        """Everything but the time."""
        known = {f.name for f in fields(Budget)}
        return {name: value for name, value in asdict(self).items() if name in known}
