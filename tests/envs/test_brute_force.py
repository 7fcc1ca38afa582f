"""Every family's pursuers against a search of all play: on a thousand small levels each, no step more, no step fewer.

The search is breadth-first over *whole game states* (position, heading, what is carried, counters, counts, every cell
and mark), by rules in plain Python that share no code with pursuers or kernels, and are themselves compared, play by
play, with the tests' reference simulator.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
from tests.envs.simulator import Simulator
from tests.envs.worlds import STEPS, WALKABLE_KINDS, random_levels, random_world

from goalscope.envs.ascii import to_ascii
from goalscope.envs.codes import CLOSED, DOOR, EMPTY_CODE, KEY, LOCKED, OBJECT_NAMES
from goalscope.envs.family import Family, Settings
from goalscope.envs.levels import Levels, concatenate
from goalscope.envs.pursuit import start_distances
from goalscope.envs.world import Moves, On, Rule, Then, World
from goalscope.errors import KnobError
from goalscope.registry import FAMILIES
from goalscope.seeding import keys, stream

ENOUGH = 1000
"""Levels a family, half of them under `train`."""

BATCHES = 200
"""Draws of as many levels as are wanted, before too few can be placed."""

WALKABLE = [kind in WALKABLE_KINDS for kind in OBJECT_NAMES]
CARRIABLE = [kind in ("key", "ball", "box") for kind in OBJECT_NAMES]
ENDING = [kind in ("goal", "lava") for kind in OBJECT_NAMES]
BOX = OBJECT_NAMES.index("box")


class State(NamedTuple):
    """Everything that can matter from here on; grids as bytes, whose hashes Python remembers."""

    cell: int
    heading: int
    carried: tuple[int, int]
    counters: tuple[int, ...]
    counts: tuple[int, ...]
    """How often each event of a QUOTA rule has happened; the others' numbers stay 0."""
    cells: bytes
    contents: bytes
    marks: tuple[bytes, bytes]
    """Low and high byte of every cell's marks."""


class After(NamedTuple):
    """What one action leads to."""

    state: State
    events: frozenset[str]
    ended: bool


class Game:
    """One level as a game: what each action leads to from any state."""

    def __init__(self, world: World, levels: Levels, i: int) -> None:
        self.world, self.turning = world, world.moves is Moves.TURNING
        self.width = levels.canvas[1]
        ways = [dx + dy * self.width for dx, dy in STEPS]
        self.ways = ways
        self.quota = dict(zip(world.events, levels.quota[i].tolist(), strict=True))
        self.rules = {on: [(r, world.mask(r.names)) for r in world.rules if r.on is on] for on in list(On)[:5]}
        self.each_step = [r for r in world.rules if r.on is On.STEP]
        self.at_quota = [r for r in world.rules if r.on is On.QUOTA]
        self.counted = {name for rule in self.at_quota for name in rule.names}
        x, y, heading, carried = levels.agent[i].tolist()
        begun = levels.counters[i].tolist() or [0] * len(world.counters)
        marks = levels.marks[i].astype("<u2").view(np.uint8).reshape(-1, 2)
        self.start = State(
            cell=y * self.width + x,
            heading=heading,
            carried=(carried, int(levels.carried_contents[i])),
            counters=tuple(begun),
            counts=(0,) * len(world.events),
            cells=levels.cells[i].tobytes(),
            contents=levels.contents[i].tobytes(),
            marks=(marks[:, 0].tobytes(), marks[:, 1].tobytes()),
        )

    def after(self, state: State, action: int) -> After:
        """Act, then apply what happens every step and at a quota."""
        if self.turning and action < 2:
            turned = state._replace(heading=(state.heading + (1 if action else 3)) % 4)
            return self._settle(state, After(turned, frozenset(), False))
        front = state.cell + self.ways[state.heading if self.turning else action]
        if not self.turning or action == 2:
            return self._settle(state, self._walk(state, front))
        act = {3: self._pickup, 4: self._drop, 5: self._toggle}.get(action)
        return self._settle(state, act(state, front) if act else After(state, frozenset(), False))

    def _walk(self, state: State, front: int) -> After:
        kind = state.cells[front] & 15
        if not WALKABLE[kind]:
            return self._fire(On.BUMP, state, front, False)
        return self._fire(On.ENTER, state._replace(cell=front), front, ENDING[kind])

    def _pickup(self, state: State, front: int) -> After:
        if state.carried[0] or not CARRIABLE[state.cells[front] & 15]:
            return After(state, frozenset(), False)
        taken = state._replace(carried=(state.cells[front], state.contents[front]))
        return self._fire(On.PICKUP, _put(taken, front, EMPTY_CODE, 0), front, False)

    def _drop(self, state: State, front: int) -> After:
        if not state.carried[0] or OBJECT_NAMES[state.cells[front] & 15] != "empty":
            return After(state, frozenset(), False)
        return self._fire(On.DROP, _put(state, front, *state.carried)._replace(carried=(0, 0)), front, False)

    def _toggle(self, state: State, front: int) -> After:
        kind, colour = state.cells[front] & 15, state.cells[front] & 0xF0
        if kind == DOOR:
            new = CLOSED | colour
        elif kind == CLOSED or (kind == LOCKED and state.carried[0] == KEY | colour):
            new = DOOR | colour
        elif kind == BOX:
            new = state.contents[front] or EMPTY_CODE
        else:
            return After(state, frozenset(), False)
        return self._fire(On.TOGGLE, _put(state, front, new, 0), front, False)

    def _fire(self, on: On, state: State, cell: int, ended: bool) -> After:
        """Apply the rules of a kind whose marks lay on a cell when the step reached it."""
        low, high = state.marks
        lying = low[cell] | high[cell] << 8
        after = After(state, frozenset(), ended)
        for rule, mask in self.rules[on] if lying else ():
            if lying & mask and self._fires(rule, after.state):
                after = self._apply(rule, after)
                if rule.then is Then.REMOVE:
                    after = after._replace(state=_unmark(after.state, cell, mask))
        return after

    def _settle(self, before: State, after: After) -> After:
        for rule in self.each_step:
            if self._fires(rule, after.state):
                after = self._apply(rule, after)
        reached = {
            event
            for event, was, now in zip(self.world.events, before.counts, after.state.counts, strict=True)
            if was < self.quota[event] <= now
        }
        for rule in self.at_quota:
            for event in rule.names:
                if event in reached and self._fires(rule, after.state):
                    after = self._apply(rule, after)
        return after

    def _fires(self, rule: Rule, state: State) -> bool:
        if rule.need is None:
            return True
        name, low, high = rule.need
        return low <= state.counters[self.world.counters.index(name)] <= high

    def _apply(self, rule: Rule, after: After) -> After:
        state = after.state
        if rule.add is not None:
            state = state._replace(counters=_added(state.counters, self.world.counters.index(rule.add[0]), rule.add[1]))
        if rule.event in self.counted:
            state = state._replace(counts=_added(state.counts, self.world.events.index(rule.event), 1))
        events = after.events | {rule.event} if rule.event else after.events
        return After(state, events, after.ended or rule.ends)

    def fewest(self, events: Sequence[str]) -> dict[str, int]:
        """The fewest steps after which each event can have happened, −1 where no play gets there."""
        found = dict.fromkeys(events, -1)
        missing, seen, front, steps = set(events), {self.start}, [self.start], 0
        while missing and front:
            steps += 1
            ahead = []
            for state in front:
                for action in range(self.world.n_actions):
                    after = self.after(state, action)
                    for event in missing & after.events:
                        found[event] = steps
                    if not after.ended and after.state not in seen:
                        seen.add(after.state)
                        ahead.append(after.state)
            missing -= {event for event, at in found.items() if at == steps}
            front = ahead
        return found


def _put(state: State, cell: int, code: int, contents: int) -> State:
    return state._replace(cells=_with(state.cells, cell, code), contents=_with(state.contents, cell, contents))


def _unmark(state: State, cell: int, mask: int) -> State:
    low, high = state.marks
    return state._replace(
        marks=(_with(low, cell, low[cell] & ~mask & 0xFF), _with(high, cell, high[cell] & ~(mask >> 8) & 0xFF))
    )


def _with(grid: bytes, cell: int, byte: int) -> bytes:
    return grid[:cell] + bytes([byte]) + grid[cell + 1 :]


def _added(numbers: tuple[int, ...], place: int, more: int) -> tuple[int, ...]:
    return (*numbers[:place], numbers[place] + more, *numbers[place + 1 :])


# -------------------------------------------------------------------------------------------------- the rules are right


@pytest.mark.parametrize("moves", Moves, ids=lambda moves: moves.name.lower())
def test_the_game_is_the_one_that_the_reference_simulator_plays(moves: Moves) -> None:
    rng = np.random.default_rng(5)
    happened: set[str] = set()
    for _ in range(60):
        world = random_world(rng, moves=moves, chance=False)
        for level in (random_levels(rng, world, 1, (5, 6)) for _ in range(4)):
            begun = rng.integers(-1, 3, (1, len(world.counters))).astype(np.int16)
            alone = replace(level, movers=level.movers[:, :0], scripts=level.scripts[:, :0])
            happened |= _compared(world, replace(alone, counters=begun), rng)
    assert {"event", "ended", "marks", "counters", "counts"} <= happened
    assert moves is Moves.CARDINAL or {"cells", "carried"} <= happened


def _compared(world: World, level: Levels, rng: np.random.Generator) -> set[str]:
    """Play at random in both; returns what has happened."""
    game, real = Game(world, level, 0), Simulator(world, level.take([0]))
    state, first, happened = game.start, dict.fromkeys(world.events, -1), set()
    while not real.ended and real.time < 25:
        action = int(rng.integers(world.n_actions))
        before = state
        state, events, ended = game.after(state, action)
        real.step(action, [])
        first |= {event: real.time for event in events if first[event] < 0}
        marks = np.array([list(part) for part in state.marks]).T @ [1, 256]
        x, y, heading, carried = real.level.agent[0].tolist()
        assert (state.cell, state.heading) == (y * level.canvas[1] + x, heading)
        assert state.carried == (carried, int(real.level.carried_contents[0]))
        assert state.cells == real.level.cells.tobytes() and state.contents == real.level.contents.tobytes()
        assert marks.tolist() == real.level.marks.ravel().tolist()
        assert dict(zip(world.counters, state.counters, strict=True)) == real.counters
        assert (first, ended) == (real.first, real.ended)
        happened |= {name for name in State._fields if getattr(before, name) != getattr(state, name)}
        happened |= {"event"} if events else set()
        happened |= {"ended"} if ended else set()
    return happened


# ----------------------------------------------------------------------------------------------------- the pursuers are

Knobs = dict[str, Any]

LAYOUTS: tuple[Knobs, ...] = (
    {"size": 6},
    {"size": 7, "layout": "tree"},
    {"size": 7, "layout": "blocks", "p": 0.3},
)
"""Small levels of families with the common layout knobs."""

OTHERS: dict[str, tuple[Knobs, ...]] = {
    "keys_chests": ({"size": 7, "p": 0.0}, {"size": 9}, {"size": 9, "layout": "braided", "p": 0.5}),
    "lava_land": ({"size": 8}, {"size": 9}, {"size": 9, "layout": "blocks", "p": 0.3}),
    "coin_run": ({"length": 5, "width": 3, "obstacles": 0.2}, {"length": 7, "width": 4, "jitter": 2}),
}
"""Small levels of the others, and of those that need more room."""


def small_knobs(family: Family) -> tuple[Knobs, ...]:
    has_layouts = {"size", "layout"} <= {knob.name for knob in family.knobs}
    return OTHERS.get(family.id, LAYOUTS if has_layouts else ({},))


def small_levels(family: Family, shift: str, n: int) -> Iterator[Levels]:
    """At least `n` levels, a part from each of the small settings that go together with the shift's own."""
    settings = [setting for knobs in small_knobs(family) if goes(family, setting := family.settings(shift, **knobs))]
    for setting in settings:
        yield placed(family, shift, setting, -(-n // len(settings)))


def goes(family: Family, setting: Settings) -> bool:
    try:
        family.generate(keys(0, 0), setting)
    except KnobError:
        return False
    return True


def placed(family: Family, shift: str, setting: Settings, n: int) -> Levels:
    """The first `n` levels that find a place; fewer only where hardly any does."""
    parts: list[Levels] = []
    for batch in range(BATCHES):
        index = np.arange(batch * n, (batch + 1) * n)
        levels = family.generate(keys(stream("brute force", family.id, shift, dict(setting)), index), setting)
        parts.append(levels.take(levels.placed))
        if sum(map(len, parts)) >= n:
            break
    return concatenate(parts).take(slice(n))


@pytest.mark.parametrize("family_id", FAMILIES.names())
def test_pursuers_need_exactly_the_fewest_steps_of_all_play(family_id: str) -> None:
    family = FAMILIES.load(family_id)
    assert not (family.world.movers or family.world.spawns), "creatures and growth need a search of their own"
    shifts = [shift.name for shift in family.shifts if shift.name != "train"]
    compared = dict.fromkeys(("train", *shifts), 0)
    for shift in compared:
        wanted = ENOUGH // 2 if shift == "train" else -(-ENOUGH // 2 // len(shifts))
        for levels in small_levels(family, shift, wanted):
            compare(family, levels, shift)
            compared[shift] += len(levels)
    assert all(compared.values()) and compared["train"] >= ENOUGH // 2 and sum(compared.values()) >= ENOUGH, compared


def compare(family: Family, levels: Levels, shift: str) -> None:
    goals = family.goals_under(shift)
    far = start_distances(family, levels, goals)
    for i in range(len(levels)):
        fewest = Game(family.world, levels, i).fewest([goal.event for goal in goals])
        want = [fewest[goal.event] for goal in goals]
        names = [goal.name for goal in goals]
        assert far[i].tolist() == want, f"{shift}: {names}\n{to_ascii(levels, i, family.world)}"
