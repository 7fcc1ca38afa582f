"""One person at one level: keys in, pictures out. Knows nothing of terminals, so that tests can play too."""

from __future__ import annotations

import numpy as np

from goalscope.envs.engine import Engine
from goalscope.envs.pursuit import start_distances
from goalscope.envs.render import ansi
from goalscope.envs.sampling import Distribution
from goalscope.envs.world import Moves

CARDINAL_KEYS = {"right": 0, "down": 1, "left": 2, "up": 3, "d": 0, "s": 1, "a": 2, "w": 3}
TURNING_KEYS = {"left": 0, "right": 1, "up": 2, "a": 0, "w": 2, "p": 3, "d": 4, "t": 5, "enter": 6}

CARDINAL_HELP = "arrows or wasd: move"
TURNING_HELP = "left, right: turn   up: forward   p: pick up   d: drop   t: toggle   enter: done"
COMMON_HELP = "n: next level   r: restart   q: quit"


class Game:
    """A walk through the levels of a distribution, one after another."""

    def __init__(self, source: Distribution, index: int = 0) -> None:
        self.source = source
        self.index = index
        is_cardinal = source.family.world.moves is Moves.CARDINAL
        self._actions = CARDINAL_KEYS if is_cardinal else TURNING_KEYS
        self._help = CARDINAL_HELP if is_cardinal else TURNING_HELP
        self.start()

    def start(self) -> None:
        """Begin the level of the present index, afresh."""
        self._levels = self.source.draw([self.index])
        self.deadline = int(self._levels.max_steps[0])
        self._engine = Engine(
            self._levels,
            self.source.family,
            batch=1,
            autoreset="off",
            seed=self.source.seed,
            streams=np.array([self.index]),
        )
        self._engine.reset()
        self.steps = 0
        self.gain = 0.0
        self.ending = ""
        self.events: list[str] = []
        """One line a step in which anything happened."""

    def press(self, key: str) -> None:
        """Act on a key; those that mean nothing here are ignored."""
        if key == "n":
            self.index += 1
        if key in ("n", "r"):
            self.start()
        elif key in self._actions and not self.ending:
            self._act(self._actions[key])

    def _act(self, action: int) -> None:
        before = self._engine.counts[0].copy()
        step = self._engine.step(np.array([action]))
        self.steps += 1
        self.gain += float(step.reward[0])
        happened = np.flatnonzero(self._engine.counts[0] > before)
        if len(happened):
            names = ", ".join(self.source.family.world.events[e] for e in happened)
            self.events.append(f"step {self.steps}: {names}")
        if step.terminated[0]:
            self.ending = "the episode has ended"
        elif step.truncated[0]:
            self.ending = "the deadline has passed"

    @property
    def outcome(self) -> str:
        """The goal whose event came first, or "neither"; goals that came in one step are all named."""
        events = self.source.family.world
        first = {g.name: int(self._engine.first[0, events.event_index(g.event)]) for g in self.source.goals}
        came = [step for step in first.values() if step >= 0]
        return " and ".join(name for name, step in first.items() if came and step == min(came)) or "neither"

    def status(self) -> str:
        """How far the episode is, in one line."""
        line = f"step {self.steps}/{self.deadline}   return {self.gain:g}"
        return f"{line}   {self.ending}: outcome {self.outcome}" if self.ending else line

    def picture(self) -> str:
        """Everything there is to see, for a terminal."""
        family, now = self.source.family, self._engine.snapshot()
        title = f"{family.id}   {self.source.shift}   {self.source.split} level {self.index}   seed {self.source.seed}"
        return "\n".join(
            [
                title,
                "",
                ansi(family.world, now, 0, family.look(self.source.settings)),
                "",
                self._glyphs(),
                self.status(),
                self._distances(),
                *self.events[-6:],
            ]
            + ["", self._help, COMMON_HELP, ""]
        )

    def _glyphs(self) -> str:
        """What the characters stand for, of all things that began on this level."""
        bits = np.bitwise_or.reduce(self._levels.marks, axis=None)
        things = [thing for k, thing in enumerate(self.source.family.world.things) if bits >> k & 1]
        return "   ".join(f"{thing.glyph} {thing.name}" for thing in things)

    def _distances(self) -> str:
        """Steps that each goal's pursuer would still need."""
        goals = self.source.goals
        far = start_distances(self.source.family, self._engine.snapshot(), goals)[0].tolist()
        return "steps to   " + "   ".join(f"{g.name} {'-' if d < 0 else d}" for g, d in zip(goals, far, strict=True))
