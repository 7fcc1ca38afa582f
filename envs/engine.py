"""The engine: B environments of one world, stepped together by compiled kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from goalscope.envs.arguments import as_actions, as_external, as_rows, as_slots, as_streams
from goalscope.envs.display import Display, default_display, make_lens
from goalscope.envs.family import Family
from goalscope.envs.kernels import step as kernels
from goalscope.envs.kernels.columns import (
    AUTORESET,
    BODY,
    CARRIED,
    CARRIED_CONTENTS,
    EPISODE,
    EVENTS,
    GAINS,
    HEADING,
    IN_PLACE,
    KEEP_FINAL,
    LAST_HEADING,
    LAST_LENGTH,
    LAST_RETURN,
    LAST_SLOT,
    LAST_TALLY,
    MAX_STEPS,
    MOVER,
    MOVER_PLACE,
    NEXT_STEP,
    OFF,
    OVER,
    SAME_STEP,
    SLOT,
    STRIDE,
    Pool,
    Scratch,
    State,
    X,
)
from goalscope.envs.levels import Levels, validate
from goalscope.envs.program import make_pool, make_program, observation_shape
from goalscope.envs.world import World
from goalscope.errors import GoalscopeError, LevelError, unknown_name
from goalscope.seeding import stream

MOST_THREADS: int = getattr(numba.config, "NUMBA_NUM_THREADS")  # noqa: B009  (set at import, unknown to the stubs)

AUTORESETS = {"off": OFF, "same": SAME_STEP, "next": NEXT_STEP}


@dataclass(frozen=True)
class Step:
    """What one step gave. The arrays are the engine's own and change with the next step: copy what you keep."""

    obs: NDArray[np.uint8]
    """`[B, …]`"""
    reward: NDArray[np.float32]
    """`[B]`"""
    terminated: NDArray[np.bool_]
    """`[B]`"""
    truncated: NDArray[np.bool_]
    """`[B]`"""


class Engine:
    """Runs a batch of environments of one world from a pool of levels.

    Environment b begins with level ``starts[b]`` and goes on, episode by episode, with every `stride`-th level of the
    pool. What an environment does depends on its level, its actions and its stream, never on the batch around it or on
    the number of threads.

    Parameters
    ----------
    levels: the pool, N levels.
    world: the rules, usually a family.
    view: "full" `[W, H, 3]`, "ego" `[7, 7, 3]` (both MiniGrid's) or "planes" `[C, H, W]`, all uint8.
    batch: number of environments, by default one a level.
    threads: with 1 the serial kernel runs on the calling thread and no thread is ever started.
    autoreset: "same" starts the next episode in the step that ends one, "next" in the step after, "off" never.
    display: planes and look; by default the world's own.
    starts: `[B]` first level of each environment, by default 0, 1, 2 …
    stride: levels between two episodes of one environment, by default the batch.
    seed, streams: what stochastic worlds draw from; stream b `[B]` belongs to environment b.
    keep_final: also write the last observation of finished episodes (autoreset "same") to :attr:`final`.
    """

    def __init__(
        self,
        levels: Levels,
        world: World | Family,
        view: str = "full",
        batch: int | None = None,
        *,
        threads: int = 1,
        autoreset: str = "same",
        display: Display | None = None,
        starts: NDArray[np.integer] | None = None,
        stride: int | None = None,
        seed: int = 0,
        streams: NDArray[np.integer] | None = None,
        keep_final: bool = False,
    ) -> None:
        validate(levels)
        if autoreset not in AUTORESETS:
            raise unknown_name("autoreset", autoreset, AUTORESETS)
        if threads < 1:
            raise GoalscopeError(f"threads must be at least 1, got {threads}.")
        self.world = world if isinstance(world, World) else world.world
        self.display = display or (default_display(world) if isinstance(world, World) else world.look(world.settings()))
        self.canvas = levels.canvas
        if len(levels) == 0:
            raise LevelError("An engine needs at least one level.")
        if keep_final and autoreset != "same":
            raise GoalscopeError(f"keep_final needs autoreset 'same': with {autoreset!r} the last observation stays.")
        self.batch = len(levels) if batch is None else batch
        if self.batch < 1:
            raise GoalscopeError(f"batch must be at least 1, got {batch}.")
        self.threads = min(threads, self.batch, MOST_THREADS)
        self._levels = levels.take(slice(None))  # replaced in place when levels stream
        self._pool = make_pool(self._levels, self.world, self.display)
        self._program = make_program(self.world, self.canvas, view, self.display)
        self._program.config[AUTORESET] = AUTORESETS[autoreset]
        self._program.config[KEEP_FINAL] = keep_final and autoreset == "same"
        self._program.config[STRIDE] = self.batch if stride is None else stride
        self._lens = make_lens(self.world, self.display)
        first = np.arange(self.batch) % len(levels) if starts is None else starts
        self._starts = as_slots("starts", first, self.batch, len(levels))
        self._streams = as_streams(np.arange(self.batch) if streams is None else streams, self.batch)
        self._seed = seed
        self._state = self._new_state()
        self.obs_shape = observation_shape(view, self.canvas, self.display)
        self._batch_shape = (self.batch, *self.obs_shape)
        self._rows = np.zeros((self.batch, int(np.prod(self.obs_shape))), np.uint8)
        self._last_rows = self._rows
        self._final = np.zeros_like(self._rows) if keep_final else self._rows
        self._reward = np.zeros(self.batch, np.float32)
        self._ended = np.zeros((2, self.batch), np.bool_)
        self._stay = np.full((self.batch, levels.movers.shape[1]), -1, np.int64)
        self._scratch = self._new_scratch()
        self._claimed = np.zeros(1, np.int64)
        self._tables: tuple[Any, ...] = ()
        self._started = False

    def _new_state(self) -> State:
        batch, events = self.batch, len(self.world.events)
        rng = np.zeros((batch, 2), np.uint64)
        for b in range(batch):
            rng[b, 0] = stream("engine", self._seed, int(self._streams[b])) if self._is_stochastic else 0
        return State(
            world=np.zeros((batch, self.canvas[0] * self.canvas[1]), np.uint32),
            body=np.zeros((batch, BODY), np.int32),
            tally=np.zeros((batch, 2 * events + len(self.world.counters)), np.int32),
            gains=np.zeros((batch, GAINS), np.float64),
            movers=np.zeros((batch, self._levels.movers.shape[1], MOVER), np.int16),
            rng=rng,
            last=np.zeros((batch, LAST_TALLY + 2 * events), np.int32),
        )

    def _new_scratch(self) -> Scratch:
        cells = self.canvas[0] * self.canvas[1]
        shape = (self.threads, cells)
        return Scratch(
            dirty=np.zeros((self.threads, 2 * cells + 8), np.int32),
            distance=np.empty(shape, np.int16),
            queue=np.empty(shape, np.int16),
            before=np.zeros((self.threads, len(self.world.events)), np.int32),
        )

    @property
    def _is_stochastic(self) -> bool:
        return bool(self.world.movers or self.world.spawns or any(r.then == 2 for r in self.world.rules))

    def reset(
        self,
        *,
        out: NDArray[np.uint8] | None = None,
        starts: NDArray[np.integer] | None = None,
        streams: NDArray[np.integer] | None = None,
    ) -> NDArray[np.uint8]:
        """Start every environment afresh at its first level; returns the observations `[B, …]` (in `out` if given).

        New `starts` and `streams` `[B]` replace those the engine was made with.
        """
        if starts is not None:
            self._starts = as_slots("starts", starts, self.batch, len(self._levels))
        if streams is not None:
            self._streams = as_streams(streams, self.batch)
        self._state = self._new_state()
        self._state.body[:, SLOT] = self._starts
        # The kernels' leading arguments, in their order.
        self._tables = (*self._state, *self._pool, *self._program, *self._lens, *self._scratch)
        self._ended[:] = False
        rows = self._rows if out is None else as_rows(out, self._batch_shape)
        kernels.reset_all(*(*self._tables, rows))
        self._last_rows = rows
        self._started = True
        return rows.reshape(self._batch_shape)

    def step(
        self,
        actions: NDArray[np.integer],
        *,
        external: NDArray[np.integer] | None = None,
        out: NDArray[np.uint8] | None = None,
    ) -> Step:
        """Act in every environment.

        Parameters
        ----------
        actions: `[B]` integers: 0–3 (right, down, left, up) or MiniGrid's 0–6.
        external: `[B, M]` directions of EXTERNAL movers, −1 to stay.
        out: `[B, …]` uint8, contiguous; where the observations go instead of the engine's own buffer, for instance a
            slice of a trainer's `[T, B, …]` storage. The previous observations must still be where they were written.
        """
        if not self._started:
            raise GoalscopeError("Call reset() before step().")
        acts = as_actions(actions, self.batch, self.world.n_actions)
        moves = self._stay if external is None else as_external(external, self._stay.shape)
        rows = self._rows if out is None else as_rows(out, self._batch_shape)
        same = rows is self._last_rows or (out is not None and rows.ctypes.data == self._last_rows.ctypes.data)
        self._program.config[IN_PLACE] = same
        self._launch(acts, moves, self._last_rows, rows)
        self._last_rows = rows
        return Step(rows.reshape(self._batch_shape), self._reward, self._ended[0], self._ended[1])

    def _launch(self, *arrays: NDArray[Any]) -> None:
        tail = (*arrays, self._final, self._reward, self._ended)
        if self.threads == 1:
            kernels.step_serial(*self._tables, *tail)
            return
        before = numba.get_num_threads()
        if before != self.threads:
            numba.set_num_threads(self.threads)
        try:
            kernels.step_parallel(self.threads, self._claimed, *self._tables, *tail)
        finally:
            if before != self.threads:
                numba.set_num_threads(before)

    def carry_over(self, source: NDArray[np.uint8], target: NDArray[np.uint8]) -> None:
        """Copy the latest observations from where they were written to where the next step shall find them."""
        target[:] = source
        self._last_rows = as_rows(target, self._batch_shape)

    def replace_levels(self, slots: NDArray[np.integer], levels: Levels) -> None:
        """Overwrite pool slots, for pools that stream new levels. Slots of running episodes must not be among them."""
        slots = as_slots("slots", slots, len(levels), len(self._levels))
        if levels.canvas != self.canvas:
            raise LevelError(f"The pool's canvas is {self.canvas}, the new levels' is {levels.canvas}.")
        validate(levels)
        running = np.zeros(len(self._levels), bool)
        running[self._state.body[:, SLOT]] = True
        if running[slots].any():
            raise LevelError("A level cannot be replaced while an environment is on it.")
        fresh = make_pool(levels, self.world)
        for name in Pool._fields:
            getattr(self._pool, name)[slots] = getattr(fresh, name)
        self._levels.put(slots, levels)

    @property
    def observations(self) -> NDArray[np.uint8]:
        """`[B, …]` the latest observations."""
        return self._last_rows.reshape(self._batch_shape)

    @property
    def final(self) -> NDArray[np.uint8]:
        """`[B, …]` last observation of each environment's last episode (needs ``keep_final=True``)."""
        if self._final is self._rows:
            raise GoalscopeError("Make the engine with keep_final=True to keep the last observations of episodes.")
        return self._final.reshape(self._batch_shape)

    @property
    def headings(self) -> NDArray[np.int32]:
        """`[B]` 0–3: right, down, left, up."""
        return self._state.body[:, HEADING]

    @property
    def slots(self) -> NDArray[np.int32]:
        """`[B]` the level each environment is on."""
        return self._state.body[:, SLOT]

    @property
    def over(self) -> NDArray[np.bool_]:
        """`[B]` whether the episode has ended and no new one has begun."""
        return np.asarray(self._state.body[:, OVER] != 0)

    @property
    def episodes(self) -> NDArray[np.int32]:
        """`[B]` episodes finished."""
        return self._state.body[:, EPISODE]

    @property
    def counts(self) -> NDArray[np.int32]:
        """`[B, E]` how often each event has happened in the running episode."""
        return self._state.tally[:, : len(self.world.events)]

    @property
    def first(self) -> NDArray[np.int32]:
        """`[B, E]` the step of each event's first time in the running episode, −1 for never."""
        events = len(self.world.events)
        return self._state.tally[:, events : 2 * events]

    @property
    def counters(self) -> NDArray[np.int32]:
        """`[B, C]`"""
        return self._state.tally[:, 2 * int(self._program.config[EVENTS]) :]

    @property
    def last_episodes(self) -> Episodes:
        """How the last finished episode of every environment went (meaningless before its first end)."""
        events, last = len(self.world.events), self._state.last
        tally = last[:, LAST_TALLY:]
        gains = self._state.gains[:, LAST_RETURN]
        return Episodes(
            last[:, LAST_LENGTH], last[:, LAST_SLOT], last[:, LAST_HEADING], tally[:, :events], tally[:, events:], gains
        )

    def snapshot(self) -> Levels:
        """The current states as levels: where everything stands now, with the full deadline ahead."""
        if not self._started:
            raise GoalscopeError("Call reset() before snapshot().")
        s, (height, width) = self._state, self.canvas
        levels = self._levels.take(s.body[:, SLOT])
        world = s.world.reshape(self.batch, height, width)
        levels.cells[:] = world & 0xFF
        levels.contents[:] = world >> 8 & 0xFF
        levels.marks[:] = world >> 16
        levels.agent[:] = s.body[:, X : CARRIED + 1]
        levels.carried_contents[:] = s.body[:, CARRIED_CONTENTS]
        levels.movers[:] = s.movers[:, :, :4]
        if levels.counters.shape[1]:
            levels.counters[:] = self.counters
        length = levels.scripts.shape[2]
        for b, m in np.argwhere(s.movers[:, :, MOVER_PLACE] > 0):  # what a leader has visited is behind it
            place = int(s.movers[b, m, MOVER_PLACE])
            levels.scripts[b, m] = np.append(levels.scripts[b, m, place:], np.full(min(place, length), -1))[:length]
        levels.max_steps[:] = s.body[:, MAX_STEPS]
        return levels


@dataclass(frozen=True)
class Episodes:
    """Finished episodes, one an environment."""

    length: NDArray[np.int32]
    """`[B]`"""
    slot: NDArray[np.int32]
    """`[B]` pool index of the level."""
    heading: NDArray[np.int32]
    """`[B]` the agent's heading at the end."""
    count: NDArray[np.int32]
    """`[B, E]`"""
    first: NDArray[np.int32]
    """`[B, E]` −1 for never."""
    gain: NDArray[np.float64]
    """`[B]` undiscounted return."""
