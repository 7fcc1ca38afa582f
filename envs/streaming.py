"""An endless supply of levels for an engine: its pool gets new levels for those whose episodes are over."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from goalscope.envs.engine import Engine, Step
from goalscope.envs.family import Family
from goalscope.envs.sampling import Distribution
from goalscope.errors import GoalscopeError

ROUNDS = 8
"""Levels kept ready for each environment."""


class LevelStream:
    """An engine whose environment b plays, in its episode e, level ``first_level + (b + e · B) mod num_levels``.

    With ``num_levels=0`` levels never repeat. The pool holds a few episodes ahead for each environment; a step after
    which one could run dry draws new levels for all slots whose episodes are over. `rules` are the family's unless
    others are given.
    """

    def __init__(
        self,
        distribution: Distribution,
        batch: int,
        *,
        view: str = "full",
        num_levels: int = 0,
        first_level: int = 0,
        autoreset: str = "same",
        rules: Family | None = None,
        rounds: int = ROUNDS,
        **engine: Any,
    ) -> None:
        if num_levels < 0 or first_level < 0:
            raise GoalscopeError(f"num_levels and first_level must not be negative, got {num_levels}, {first_level}.")
        if autoreset not in ("same", "next"):
            raise GoalscopeError(f"A stream of levels needs autoreset 'same' or 'next', got {autoreset!r}.")
        self.distribution = distribution
        self._rules = rules or distribution.family
        self._batch, self._rounds = batch, rounds
        self._num_levels, self._first_level = num_levels, first_level
        self._engine_options = {"view": view, "autoreset": autoreset, **engine}
        self._open()

    def _open(self) -> None:
        """An engine with everybody's first levels in its pool."""
        d = self.distribution
        levels = d.draw(self._indices(np.arange(self._rounds * self._batch)))
        display = d.family.look(d.settings)
        self.engine = Engine(levels, self._rules, batch=self._batch, display=display, **self._engine_options)
        self._ready = np.full(self._batch, self._rounds, np.int64)
        self._steps_left = self._rounds - 1

    def _indices(self, serial: NDArray[np.int64]) -> NDArray[np.int64]:
        """Level indices of serial numbers b + e · B."""
        return self._first_level + (serial % self._num_levels if self._num_levels else serial)

    def reset(self, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """Start over with everybody's first episode."""
        if (self._ready > self._rounds).any():
            self._open()
        self._steps_left = self._rounds - 1
        return self.engine.reset(out=out)

    def step(self, actions: NDArray[np.integer], **options: Any) -> Step:
        """As :meth:`Engine.step`, with new levels drawn as they are needed."""
        if self._steps_left == 0:
            self._refill()
        self._steps_left -= 1
        return self.engine.step(actions, **options)

    def _refill(self) -> None:
        """Replace the levels of finished episodes if anyone has fewer than two left, and count when to look again."""
        episodes = self.engine.episodes.astype(np.int64) - self.engine.over  # an ended level is still shown
        if (self._ready - episodes).min() < 2:
            due = episodes + self._rounds - self._ready
            env = np.repeat(np.arange(self._batch), due)
            ordinal = np.arange(due.sum()) - np.repeat(due.cumsum() - due, due)
            serial = (self._ready[env] + ordinal) * self._batch + env
            slots = serial % (self._rounds * self._batch)
            self.engine.replace_levels(slots, self.distribution.draw(self._indices(serial)))
            self._ready = episodes + self._rounds
        # An episode takes at least one step, so nobody can run dry before this many.
        self._steps_left = int((self._ready - episodes).min()) - 1
