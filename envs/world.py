"""What a world is made of: things, rules, movers and spawns, declared as data.

A :class:`World` says how a gridworld *behaves*; which levels exist is a family's business. Rules test the 16 mark bits
of a cell, one bit a thing, so a new world needs no kernel code.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from goalscope.envs.codes import COLOUR_NAMES, OBJECT_NAMES
from goalscope.errors import DeclarationError, unknown_name

MOST_THINGS = 16
MOST_EVENTS = 30
"""Events are told apart by the bits of a 32-bit integer."""


class Moves(IntEnum):
    """How the agent moves: four cardinal steps, or MiniGrid's turns and forward steps."""

    CARDINAL = 0
    TURNING = 1


ALL_ACTIONS = {Moves.CARDINAL: 4, Moves.TURNING: 7}


class On(IntEnum):
    """What makes a rule fire, in the order in which a step tests them."""

    ENTER = 0  # the agent moved onto a cell with the mark
    BUMP = 1  # it tried to move onto a blocked cell with the mark
    PICKUP = 2  # it picked an object up from a cell with the mark
    DROP = 3  # it dropped an object on a cell with the mark
    TOGGLE = 4  # it opened or closed the object on a cell with the mark
    MEET = 5  # a mover of the kind and the agent share a cell, or have swapped cells
    STEP = 6  # every step
    QUOTA = 7  # an event's count has just reached the level's quota


class Then(IntEnum):
    """What happens to the mark or mover that made a rule fire."""

    KEEP = 0
    REMOVE = 1
    RESPAWN = 2  # moves to a random free cell


class Policy(IntEnum):
    """How a mover moves."""

    RANDOM = 0
    CHASE = 1  # softmax over path distance to the agent
    SCRIPT = 2  # exact shortest paths to the cells of its script, in order
    EXTERNAL = 3  # actions given to `Engine.step`


class Where(IntEnum):
    """Where a spawn puts its thing: on a cell where the level began with one, or on any free cell."""

    SAME = 0
    FREE = 1


@dataclass(frozen=True, kw_only=True)
class Thing:
    """One mark: a bit that rules test and, where it has a shape or a colour, something to see."""

    name: str
    glyph: str
    """The character that stands for it in ASCII."""
    shape: str = ""
    """The MiniGrid object it looks like ("ball"); empty leaves the shape to other things on the cell."""
    colour: str = ""
    """MiniGrid colour; empty leaves the colour to other things on the cell. Neither shape nor colour: invisible."""
    priority: int = 0
    """On one cell the highest priority gives the shape and, separately, the colour of the MiniGrid view."""
    salience: int | str = 1
    """How many copies of its plane an observation holds: a number, or the knob that says it."""
    intensity: float | str = 1.0
    """How bright its plane is lit, in [0, 1]: a number, or the knob that says it."""

    @property
    def visible(self) -> bool:
        return bool(self.shape or self.colour)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """If something happens (while a counter lies in a range): count, pay, end, add to a counter, change the mark."""

    on: On
    what: str | tuple[str, ...] = ()
    """Thing names (any of them), the mover kind (MEET) or the event (QUOTA); empty for STEP."""
    event: str = ""
    reward: float = 0.0
    """Paid × the level's `value` of the event."""
    decay: float = 0.0
    """The reward falls by this share over the episode: × (1 − decay · t / max_steps); MiniGrid's is 0.9."""
    ends: bool = False
    need: tuple[str, int, int] | None = None
    """Fires only while this counter lies in [low, high]."""
    add: tuple[str, int] | None = None
    then: Then = Then.KEEP

    @property
    def names(self) -> tuple[str, ...]:
        return (self.what,) if isinstance(self.what, str) else self.what


@dataclass(frozen=True, kw_only=True)
class Mover:
    """A kind of creature. Its number is its place in `World.movers`."""

    kind: str
    policy: Policy
    glyph: str
    temperature: float = 1.0
    """CHASE: softmax temperature in cells of path distance; small is greedy."""
    p_double: float = 0.0
    """Probability of a second move in the same step."""
    p_reliable: float = 1.0
    """Probability, each move, of following the policy; else a random move."""
    shape: str = "ball"
    colour: str = "purple"


@dataclass(frozen=True, kw_only=True)
class Spawn:
    """At most one new thing a step, with a probability that depends on how many there are."""

    thing: str
    p: tuple[float, ...]
    """Probability by number of such things on the level now; the last entry holds for any larger number."""
    where: Where = Where.SAME


@dataclass(frozen=True, kw_only=True)
class World:
    """The behaviour of a gridworld, checked for contradictions when it is made."""

    moves: Moves = Moves.CARDINAL
    actions: int = 0
    """How many of the moves' actions an agent has, the first ones: 3 of MiniGrid's are left, right, forward. 0: all."""
    things: tuple[Thing, ...] = ()
    rules: tuple[Rule, ...] = ()
    counters: tuple[str, ...] = ()
    movers: tuple[Mover, ...] = ()
    spawns: tuple[Spawn, ...] = ()
    objects: tuple[str, ...] = ()
    """Codes of MiniGrid objects ("locked door red") that get planes of their own."""
    see_through: bool = False
    """Whether MiniGrid's egocentric view sees through walls."""

    def __post_init__(self) -> None:
        _check_things(self.things)
        if not 0 <= self.actions <= ALL_ACTIONS[self.moves]:
            raise DeclarationError(f"actions must be 0 (all) to {ALL_ACTIONS[self.moves]}, got {self.actions}.")
        if len(self.events) > MOST_EVENTS:
            raise DeclarationError(f"A world counts at most {MOST_EVENTS} events, got {len(self.events)}.")
        _check_movers(self.movers)
        for rule in self.rules:
            self._check_rule(rule)
        for spawn in self.spawns:
            self.bit(spawn.thing)
            if not spawn.p or not all(0 <= p <= 1 for p in spawn.p):
                raise DeclarationError(f"Spawn of {spawn.thing!r}: p must be probabilities, got {spawn.p}.")

    @property
    def events(self) -> tuple[str, ...]:
        """Names of all events, in the order in which the rules first name them."""
        return tuple(dict.fromkeys(rule.event for rule in self.rules if rule.event))

    @property
    def n_actions(self) -> int:
        return self.actions or ALL_ACTIONS[self.moves]

    @property
    def headings(self) -> int:
        """In how many directions an agent can look, as far as its moves depend on it."""
        return 4 if self.moves is Moves.TURNING else 1

    @property
    def need(self) -> tuple[int, int] | None:
        """(counter, least value) that some ENTER rule needs to count its event; None where no event needs any."""
        needs = {(r.need[0], r.need[1]) for r in self.rules if r.on is On.ENTER and r.event and r.need is not None}
        return (self.counters.index(min(needs)[0]), min(needs)[1]) if needs else None

    def bit(self, name: str) -> int:
        """The mark bit of a thing."""
        for i, thing in enumerate(self.things):
            if thing.name == name:
                return 1 << i
        raise unknown_name("thing", name, [t.name for t in self.things])

    def mask(self, names: str | Iterable[str]) -> int:
        """The mark bits of several things, or-ed."""
        bits = 0
        for name in (names,) if isinstance(names, str) else names:
            bits |= self.bit(name)
        return bits

    def event_index(self, event: str) -> int:
        if event not in self.events:
            raise unknown_name("event", event, self.events)
        return self.events.index(event)

    def trigger_mask(self, event: str, on: On = On.ENTER) -> int:
        """The marks that count `event` when the agent enters (or bumps into) their cell."""
        self.event_index(event)
        return self.mask(n for r in self.rules if r.on is on and r.event == event for n in r.names)

    def ending_mask(self) -> int:
        """The marks that end an episode when the agent enters their cell, whatever its counters."""
        return self.mask(n for r in self.rules if r.on is On.ENTER and r.ends and r.need is None for n in r.names)

    def _check_rule(self, rule: Rule) -> None:
        if not math.isfinite(rule.reward) or not math.isfinite(rule.decay):
            raise DeclarationError(f"A rule's reward and decay must be finite, got {rule.reward} and {rule.decay}.")
        if rule.on in (On.STEP, On.QUOTA) and rule.then is not Then.KEEP:
            raise DeclarationError(f"A {rule.on.name} rule has nothing to remove: its `then` must be KEEP.")
        if (rule.on is On.STEP) == bool(rule.names):
            raise DeclarationError(
                f"A rule on {rule.on.name} must name {'nothing' if rule.names else 'what it tests'}."
            )
        self._check_names(rule)
        for named in (rule.need, rule.add):
            if named is not None and named[0] not in self.counters:
                raise unknown_name("counter", named[0], self.counters)

    def _check_names(self, rule: Rule) -> None:
        known: tuple[str, ...] = tuple(t.name for t in self.things)
        kind = "thing"
        if rule.on is On.MEET:
            known, kind = tuple(m.kind for m in self.movers), "mover kind"
        elif rule.on is On.QUOTA:
            known, kind = self.events, "event"
        for name in rule.names:
            if name not in known:
                raise unknown_name(kind, name, known)


def _check_movers(movers: tuple[Mover, ...]) -> None:
    kinds = [m.kind for m in movers]
    if len(set(kinds)) < len(kinds):
        raise DeclarationError(f"Movers must have different kinds, got {kinds}.")
    for mover in movers:
        if not 0 < mover.temperature < math.inf:
            raise DeclarationError(f"Mover {mover.kind!r}: temperature must be positive, got {mover.temperature}.")
        if not (0 <= mover.p_double <= 1 and 0 <= mover.p_reliable <= 1):
            raise DeclarationError(f"Mover {mover.kind!r}: p_double and p_reliable must be probabilities.")


def _check_things(things: tuple[Thing, ...]) -> None:
    if len(things) > MOST_THINGS:
        raise DeclarationError(f"A world has at most {MOST_THINGS} things, got {len(things)}.")
    for field in ("name", "glyph"):
        seen = [getattr(t, field) for t in things]
        if len(set(seen)) < len(seen):
            raise DeclarationError(f"Things must have different {field}s, got {seen}.")
    for thing in things:
        if len(thing.glyph) != 1 or thing.glyph in "#.><^v \n" or thing.glyph.isdigit():
            raise DeclarationError(
                f"Thing {thing.name!r}: the glyph must be one character, no digit or #.><^v, got {thing.glyph!r}."
            )
        if thing.shape and thing.shape not in OBJECT_NAMES[3:10]:
            raise unknown_name("shape", thing.shape, OBJECT_NAMES[3:10])
        if thing.colour and thing.colour not in COLOUR_NAMES:
            raise unknown_name("colour", thing.colour, COLOUR_NAMES)
