"""The rules of a world without chance, played slowly in plain Python: what the compiled engine is compared with."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.envs.worlds import STEPS, WALKABLE_KINDS

from goalscope.envs.codes import CLOSED, DOOR, EMPTY_CODE, KEY, LOCKED, OBJECT_NAMES
from goalscope.envs.levels import Levels
from goalscope.envs.world import Moves, On, Rule, Then, World

Place = tuple[int, int]


@dataclass
class Simulator:
    """One level of a world in which movers go only where they are pushed."""

    world: World
    level: Levels
    """Exactly one; changed as the game goes on."""
    time: int = 0
    reward: float = 0.0
    ended: bool = False
    count: dict[str, int] = field(default_factory=dict)
    first: dict[str, int] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.count = dict.fromkeys(self.world.events, 0)
        self.first = dict.fromkeys(self.world.events, -1)
        begun = self.level.counters[0].tolist() or [0] * len(self.world.counters)
        self.counters = dict(zip(self.world.counters, begun, strict=True))

    @property
    def at(self) -> Place:
        return int(self.level.agent[0, 0]), int(self.level.agent[0, 1])

    @property
    def truncated(self) -> bool:
        return self.time >= int(self.level.max_steps[0])

    def step(self, action: int, pushes: list[int]) -> None:
        self.time += 1
        self.reward = 0.0
        before = dict(self.count)
        self._act(action)
        for m in range(len(pushes)):
            self._meet(m)
        for m, push in enumerate(pushes):
            self._push(m, push)
        for rule in self.world.rules:
            if rule.on is On.STEP:
                self._apply(rule)
        reached = [e for e, n in self.count.items() if before[e] < int(self._quota(e)) <= n]
        for rule in self.world.rules:
            for event in self.world.events:
                if rule.on is On.QUOTA and event in rule.names and event in reached:
                    self._apply(rule)

    def _quota(self, event: str) -> int:
        return int(self.level.quota[0, self.world.event_index(event)])

    def _kind(self, place: Place) -> str:
        return OBJECT_NAMES[int(self.level.cells[0, place[1], place[0]]) & 15]

    def _act(self, action: int) -> None:
        agent = self.level.agent[0]
        turning = self.world.moves is Moves.TURNING
        if turning and action < 2:
            agent[2] = (int(agent[2]) + (1 if action else 3)) % 4
            return
        dx, dy = STEPS[int(agent[2]) if turning else action]
        front = self.at[0] + dx, self.at[1] + dy
        if not turning or action == 2:
            self._walk(front)
        elif action == 3:
            self._pickup(front)
        elif action == 4:
            self._drop(front)
        elif action == 5:
            self._toggle(front)

    def _walk(self, front: Place) -> None:
        if self._kind(front) not in WALKABLE_KINDS:
            self._fire(On.BUMP, front)
            return
        self.level.agent[0, :2] = front
        if self._kind(front) == "goal":
            self.reward += 1 - 0.9 * self.time / int(self.level.max_steps[0])
        self.ended |= self._kind(front) in ("goal", "lava")
        self._fire(On.ENTER, front)

    def _pickup(self, front: Place) -> None:
        x, y = front
        if self.level.agent[0, 3] == 0 and self._kind(front) in ("key", "ball", "box"):
            self.level.agent[0, 3] = self.level.cells[0, y, x]
            self.level.carried_contents[0] = self.level.contents[0, y, x]
            self.level.cells[0, y, x], self.level.contents[0, y, x] = EMPTY_CODE, 0
            self._fire(On.PICKUP, front)

    def _drop(self, front: Place) -> None:
        x, y = front
        if self.level.agent[0, 3] != 0 and self._kind(front) == "empty":
            self.level.cells[0, y, x] = self.level.agent[0, 3]
            self.level.contents[0, y, x] = self.level.carried_contents[0]
            self.level.agent[0, 3] = self.level.carried_contents[0] = 0
            self._fire(On.DROP, front)

    def _toggle(self, front: Place) -> None:
        x, y = front
        cell = int(self.level.cells[0, y, x])
        kind, colour = cell & 15, cell & 0xF0
        if kind == DOOR:
            new = CLOSED | colour
        elif kind == CLOSED or (kind == LOCKED and int(self.level.agent[0, 3]) == KEY | colour):
            new = DOOR | colour
        elif OBJECT_NAMES[kind] == "box":
            new = int(self.level.contents[0, y, x]) or EMPTY_CODE
        else:
            return
        self.level.cells[0, y, x], self.level.contents[0, y, x] = new, 0
        self._fire(On.TOGGLE, front)

    def _fire(self, on: On, place: Place) -> None:
        x, y = place
        marks = int(self.level.marks[0, y, x])
        for rule in self.world.rules:
            if rule.on is on and marks & self.world.mask(rule.names) and self._apply(rule):
                if rule.then is Then.REMOVE:
                    self.level.marks[0, y, x] &= ~self.world.mask(rule.names) & 0xFFFF

    def _apply(self, rule: Rule) -> bool:
        if rule.need is not None and not rule.need[1] <= self.counters[rule.need[0]] <= rule.need[2]:
            return False
        worth = 1.0
        if rule.event:
            self.count[rule.event] += 1
            if self.first[rule.event] < 0:
                self.first[rule.event] = self.time
            worth = float(self.level.value[0, self.world.event_index(rule.event)])
        self.reward += rule.reward * worth * (1 - rule.decay * self.time / int(self.level.max_steps[0]))
        if rule.add is not None:
            self.counters[rule.add[0]] += rule.add[1]
        self.ended |= rule.ends
        return True

    def _meet(self, m: int) -> None:
        x, y, kind, alive = self.level.movers[0, m].tolist()
        if not alive or (x, y) != self.at:
            return
        for rule in self.world.rules:
            if rule.on is On.MEET and self.world.movers[kind].kind in rule.names and self._apply(rule):
                if rule.then is Then.REMOVE:
                    self.level.movers[0, m, 3] = 0
                return

    def _push(self, m: int, direction: int) -> None:
        x, y, _, alive = self.level.movers[0, m].tolist()
        if not alive or direction < 0:
            return
        there = x + STEPS[direction][0], y + STEPS[direction][1]
        taken = any(other[3] and (other[0], other[1]) == there for other in self.level.movers[0].tolist())
        if self._kind(there) in WALKABLE_KINDS and not taken:
            self.level.movers[0, m, :2] = there
            self._meet(m)
