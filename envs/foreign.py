"""Foreign environments as families: a MiniGrid or other Gymnasium environment draws the levels, our engine plays them.

The user says how the environment is made, and *which goals count when the agent enters, or bumps into, a cell*:

    FAMILY = foreign_family(
        id="four_rooms",
        make=lambda settings: FourRoomsEnv(goal_pos=(1, 1) if settings.fixed else None),
        goals=(ForeignGoal(name="goal", intended=True), ForeignGoal(name="corner")),
        outcome=lambda env, x, y: ...,  # names of goals
        ...
    )

Each level is one reset of the environment, with a seed made from the level's key; its grid is read, `outcome` is asked
about every cell, and its answers become invisible marks, which rules of our own count on ENTER and on BUMP. From there
on nothing differs from a family of ours, but that drawing is slow: one reset and one reading a level, in Python.
MiniGrid's own Goal and Lava keep their mechanics in the engine, so a Goal needs no reward here.

An environment that is not MiniGrid's comes with a `read` of its own. Whether an environment and the engine agree, move
by move, :func:`check_foreign` tests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from string import ascii_uppercase
from threading import Lock
from typing import Any, cast

import numpy as np
from gymnasium import Env
from numpy.typing import NDArray

from goalscope.envs.codes import EMPTY_CODE, FORWARD
from goalscope.envs.contract.subject import failure
from goalscope.envs.engine import Engine
from goalscope.envs.family import Accept, Family, Goal, Settings, Twins, Value
from goalscope.envs.layouts import free_cells, mark, move_agent, random_cells
from goalscope.envs.levels import Levels, blank, flat, validate
from goalscope.envs.pursuit import STEPS, at_start, blocked_cells, ending_cells, has_marks, search
from goalscope.envs.world import MOST_THINGS, Moves, On, Rule, Thing, World
from goalscope.errors import DeclarationError, UnsupportedError, unknown_name
from goalscope.seeding import Keys, bits, generator, integers, keys, stream

ForeignEnv = Env[Any, Any]
Make = Callable[[Settings], ForeignEnv | Sequence[ForeignEnv]]
"""A setting's environment; or several, of which each level is drawn from one."""
Outcome = Callable[[ForeignEnv, int, int], Sequence[str]]
"""(freshly reset environment, x, y) -> the goals that count when the agent enters, or bumps into, that cell."""
Read = Callable[[ForeignEnv], Levels]
"""The environment's present state as one level, without marks."""
Mission = Callable[[ForeignEnv], Sequence[int]]
"""The words, by number, of a freshly reset environment's mission; always as many."""

SEED_TAG, ENV_TAG = 1, 2
MOST_SETTINGS = 32
"""Settings whose environments are kept."""

GLYPHS = ascii_uppercase[:MOST_THINGS]


@dataclass(frozen=True, kw_only=True)
class ForeignGoal:
    """A goal that an outcome function names, and what our engine makes of it."""

    name: str
    intended: bool = False
    reward: float = 0.0
    """Paid on top of what MiniGrid's own Goal pays, if it lies there."""
    decay: float = 0.0
    """The reward falls by this share over the episode; MiniGrid's falls by 0.9."""
    ends: bool = False


def foreign_world(goals: Sequence[ForeignGoal], moves: Moves = Moves.TURNING, **options: Any) -> World:
    """The rules: an invisible mark for each goal, counted on entering and on bumping; left, right and forward only."""
    if len(goals) > len(GLYPHS):
        raise DeclarationError(f"A foreign family has at most {len(GLYPHS)} goals, got {len(goals)}.")
    return World(
        moves=moves,
        actions=3 if moves is Moves.TURNING else 0,
        things=tuple(Thing(name=goal.name, glyph=glyph) for goal, glyph in zip(goals, GLYPHS, strict=False)),
        rules=tuple(
            Rule(on=on, what=g.name, event=g.name, reward=g.reward, decay=g.decay, ends=g.ends)
            for g in goals
            for on in (On.ENTER, On.BUMP)
        ),
        **options,
    )


class Source:
    """Draws a family's levels from foreign environments, which are made once for each setting."""

    def __init__(
        self,
        world: World,
        make: Make,
        outcome: Outcome,
        read: Read | None = None,
        mission: Mission | None = None,
        accept: Accept | None = None,
    ) -> None:
        self.world = world
        self._make, self._outcome, self._read, self._mission, self._accept = make, outcome, read, mission, accept
        self._opened = lru_cache(maxsize=MOST_SETTINGS)(self._open)
        self._lock = Lock()  # an environment draws one level at a time

    def generate(self, level_keys: Keys, settings: Settings) -> Levels:
        """One reset a level; refused where the agent starts on a mark or a marked goal is out of reach."""
        with self._lock:
            envs, model = self._opened(settings)
            levels = model.take(np.zeros(len(level_keys), np.int64))
            which, seeds = self._lots(level_keys, len(envs))
            for i, (env, seed) in enumerate(zip(which, seeds, strict=True)):
                envs[env].reset_unseen(seed)
                self._fill(envs[env].env, levels, i)
        levels.key[:] = level_keys
        validate(levels)
        self._refuse(levels, settings)
        return levels

    def reset(self, level_keys: Keys, settings: Settings) -> ForeignEnv:
        """The environment of the first of these keys, reset as its level was drawn."""
        envs, _ = self._opened(settings)
        which, seeds = self._lots(level_keys[:1], len(envs))
        env = envs[which[0]].env
        env.reset(seed=seeds[0])
        return env

    def read(self, env: ForeignEnv) -> Levels:
        """The environment's present state as one level, without marks and mission."""
        if self._read is None:
            from goalscope.envs.minigrid import supported, write_state

            real = supported(env, any_step=True)
            levels = blank(1, (real.height, real.width))
            write_state(real, levels, 0)
            return levels
        levels = self._read(env)
        if len(levels) != 1 or levels.movers.shape[1] or levels.marks.any():
            raise UnsupportedError("`read` must return one level, without movers and marks.")
        return levels

    def names(self, env: ForeignEnv, x: int, y: int) -> Sequence[str]:
        """The goals that count on a cell."""
        return self._outcome(env, x, y)

    def _open(self, settings: Settings) -> tuple[list[_Unseen], Levels]:
        """The environments of a setting, and a blank level of their canvas."""
        made = self._make(settings)
        envs = [_Unseen(env) for env in ([made] if isinstance(made, Env) else made)]
        models = [self._model(each.env) for each in envs]
        if len({(m.canvas, m.mission.shape) for m in models}) != 1:
            raise DeclarationError("The environments of one setting must have one size and missions of one length.")
        return envs, models[0]

    def _model(self, env: ForeignEnv) -> Levels:
        words = len(self._mission(env)) if self._mission else 0
        return blank(1, self.read(env).canvas, events=len(self.world.events), mission=words)

    def _lots(self, level_keys: Keys, envs: int) -> tuple[list[int], list[int]]:
        """For each level, which of the environments draws it, and the seed."""
        return integers(level_keys, ENV_TAG, envs).tolist(), bits(level_keys, SEED_TAG).tolist()

    def _fill(self, env: ForeignEnv, levels: Levels, i: int) -> None:
        """Make level `i` what the environment, just reset, is."""
        if self._read is None:
            from goalscope.envs.minigrid import write_state

            real: Any = env.unwrapped  # found supported when it was opened
            write_state(real, levels, i)
        else:
            one = self.read(env)
            for name in ("cells", "contents", "agent", "carried_contents", "max_steps"):
                getattr(levels, name)[i] = getattr(one, name)[0]
        if self._mission:
            levels.mission[i] = self._mission(env)
        height, width = levels.canvas
        for y in range(height):
            for x in range(width):
                for name in self._outcome(env, x, y):
                    levels.marks[i, y, x] |= self.world.bit(name)

    def _refuse(self, levels: Levels, settings: Settings) -> None:
        """Unplace, in place, levels that begin at a goal or shut one off, and those that are not accepted."""
        rows, (x, y, _, _) = np.arange(len(levels)), levels.agent.T
        good = ~ending_cells(self.world, levels)[rows, y, x]
        for name in self.world.events:
            target = has_marks(levels, self.world.bit(name))
            blocked = (blocked_cells(levels) | ending_cells(self.world, levels)) & ~target
            far = at_start(levels, search(self.world, blocked, target))
            good &= ~target.any((1, 2)) | ((far > 0) & (far <= levels.max_steps))
        if self._accept is not None:
            good &= self._accept(levels, settings)
        levels.agent[~good, 0] = -1


class _Unseen:
    """An environment whose resets, where it is MiniGrid's, skip the observation: nobody looks."""

    def __init__(self, env: ForeignEnv) -> None:
        self.env = env
        env.reset(seed=0)
        self._is_minigrid, self._real = _is_minigrid(env), cast(Any, env.unwrapped)
        self._seen = self._real.gen_obs() if self._is_minigrid else None

    def reset_unseen(self, seed: int) -> None:
        """As `reset(seed=seed)`; MiniGrid draws nothing at random for an observation."""
        if not self._is_minigrid:
            self.env.reset(seed=seed)
            return
        self._real.gen_obs = lambda: self._seen  # hides the method of the class
        try:
            self.env.reset(seed=seed)
        finally:
            del self._real.gen_obs


def _is_minigrid(env: ForeignEnv) -> bool:
    from minigrid.minigrid_env import MiniGridEnv

    return isinstance(env.unwrapped, MiniGridEnv)


@dataclass(frozen=True, kw_only=True)
class ForeignFamily(Family):
    """A family whose levels a foreign environment draws."""

    source: Source


def foreign_family(
    *,
    goals: Sequence[ForeignGoal],
    make: Make,
    outcome: Outcome,
    read: Read | None = None,
    mission: Mission | None = None,
    accept: Accept | None = None,
    moves: Moves = Moves.TURNING,
    see_through: bool = False,
    objects: tuple[str, ...] = (),
    factors: tuple[str, ...] = ("agent",),
    twins: Twins | None = None,
    **declared: Any,
) -> ForeignFamily:
    """A family of the levels that an environment of somebody else's draws.

    Parameters
    ----------
    goals: their names, which are also those of the events, and what they pay and end.
    make: a setting's environment, or several, each of which draws its share; it is asked once for each setting.
    outcome: the goals that count when the agent enters, or bumps into, cell (x, y) of the freshly reset environment.
    read: the environment's present state as one level; left out, a MiniGrid environment is read.
    mission: the words, by number, of the freshly reset environment; `words` in `declared` says what they are.
    accept: which of the drawn levels to keep, `[N]` bool.
    moves: MiniGrid's three, the environment's actions 0 to 2, or four cardinal ones, its actions 0 to 3.
    see_through: whether MiniGrid's view sees through walls, as the environment's `see_through_walls` says.
    objects: MiniGrid objects with planes of their own, such as ``"ball red"``.
    factors, twins: what twins can change; "agent" is at hand, `twins` gives the others.
    declared: everything else that a :class:`Family` declares: `id`, `sentence`, `paper`, `knobs`, `shifts` …
    """
    world = foreign_world(goals, moves, see_through=see_through, objects=objects)
    source = Source(world, make, outcome, read, mission, accept)

    def all_twins(levels: Levels, factor: str, level_keys: Keys, settings: Settings) -> Levels:
        if factor == "agent" and "agent" in factors:
            return move_agent(levels, level_keys)
        if twins is None:
            raise unknown_name("factor", factor, ("agent",))
        return twins(levels, factor, level_keys, settings)

    return ForeignFamily(
        world=world,
        goals=tuple(Goal(name=goal.name, event=goal.name, intended=goal.intended) for goal in goals),
        generate=source.generate,
        factors=factors,
        twins=all_twins,
        source=source,
        **declared,
    )


def move_object(
    levels: Levels,
    holding: int,
    level_keys: Keys,
    *,
    marks: int = 0xFFFF,
    allowed: NDArray[np.bool_] | None = None,
) -> Levels:
    """The same levels with one object on another random cell: a free one, or one `allowed` (`[N, H, W]`).

    The object is the one on the first cell, in reading order, with any mark of `holding`; that cell's `marks` move with
    it. A level without it, or without a place left, becomes unplaced.
    """
    moved = levels.take(slice(None))
    place = random_cells(level_keys, free_cells(levels) if allowed is None else allowed)
    there = flat(has_marks(levels, holding))
    rows = np.flatnonzero((place >= 0) & there.any(1))
    source = there.argmax(1)[rows]
    for grids, nothing in ((moved.cells, EMPTY_CODE), (moved.contents, 0)):
        cells = flat(grids)
        cells[rows, place[rows]], cells[rows, source] = cells[rows, source], nothing
    taken = np.zeros(len(levels), np.uint16)
    taken[rows] = flat(moved.marks)[rows, source] & np.uint16(marks)
    flat(moved.marks)[rows, source] &= ~taken[rows]
    mark(moved, place, taken)
    moved.agent[np.setdiff1d(np.arange(len(levels)), rows), 0] = -1
    return moved


def check_foreign(
    family: ForeignFamily, shift: str = "train", *, episodes: int = 32, seed: int = 0, **knobs: Value
) -> Mapping[str, int]:
    """Play the foreign environment and the engine in lock-step with random moves, until either ends an episode.

    After every step the two must agree in what the grid holds, where the agent stands and looks and, where the
    environment is MiniGrid's, in its image; and the engine must have counted what the outcome function says, asked in
    the foreign environment, about the cell that the agent entered or bumped into. Returns how many steps were compared
    and how often each goal was counted; the first difference raises a :class:`goalscope.errors.CheckFailure`.
    """
    settings, met = family.settings(shift, **knobs), Counter[str]()
    level_keys = keys(stream("foreign check", family.id, shift, seed), np.arange(episodes))
    levels = family.generate(level_keys, settings)
    for i in np.flatnonzero(levels.placed).tolist():
        env = family.source.reset(level_keys[i : i + 1], settings)
        rng = generator("foreign moves", seed, i)
        met += _Lockstep(family, env, levels.take([i])).play(rng)
    return met


class _Lockstep:
    """One episode in both."""

    def __init__(self, family: ForeignFamily, env: ForeignEnv, level: Levels) -> None:
        self.family, self.env, self.level = family, env, level
        self.engine = Engine(level, family, "ego", autoreset="off")
        self.engine.reset()
        self.met: Counter[str] = Counter()
        self._compare("at the start")

    def play(self, rng: np.random.Generator) -> Counter[str]:
        """Half of the moves go forward, where there is a forward."""
        events, turning = self.family.world.events, self.family.world.moves is Moves.TURNING
        for step in range(int(self.level.max_steps[0])):
            forward = turning and rng.random() < 0.5
            action = FORWARD if forward else int(rng.integers(self.family.world.n_actions))
            expected = self._expected(action) if not turning or action == FORWARD else frozenset()
            before = self.engine.counts[0].copy()
            ended = any(self.env.step(action)[2:4])
            out = self.engine.step(np.array([action]))
            counted = {name for name, more in zip(events, self.engine.counts[0] > before, strict=True) if more}
            if counted != expected:
                self._fail(f"to count {sorted(expected)} at step {step}", f"{sorted(counted)}")
            self.met.update(counted, steps=1)
            self._compare(f"after step {step}")
            if ended or out.terminated[0] or out.truncated[0]:
                break
        return self.met

    def _expected(self, action: int) -> frozenset[str]:
        """What the user's function says about the cell that the agent is about to enter or to bump into."""
        x, y, heading, _ = self.engine.snapshot().agent[0].tolist()
        dy, dx = STEPS[heading if self.family.world.moves is Moves.TURNING else action]
        return frozenset(self.family.source.names(self.env, x + dx, y + dy))

    def _compare(self, when: str) -> None:
        theirs, ours = self.family.source.read(self.env), self.engine.snapshot()
        for name in ("cells", "contents", "agent", "carried_contents"):
            if not np.array_equal(getattr(theirs, name), getattr(ours, name)):
                self._fail(
                    f"to have the same {name} {when}", f"{getattr(theirs, name)[0]} and {getattr(ours, name)[0]}"
                )
        real: Any = self.env.unwrapped
        if _is_minigrid(self.env) and not np.array_equal(real.gen_obs()["image"], self.engine.observations[0]):
            self._fail(f"to have the same image {when}", "another one")

    def _fail(self, expected: str, found: str) -> None:
        cause = (
            "the environment has mechanics that the engine has not, `see_through` is not the environment's, or what "
            "`outcome` answers changes in the course of an episode."
        )
        what = f"the engine and {type(self.env.unwrapped).__name__} {expected}"
        raise failure(what, found, cause, self.family.world, self.engine.snapshot())
