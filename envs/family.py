"""A family: a world, its goals, its knobs and shifts, and the distribution of its levels."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goalscope.envs.display import Display, Shows, default_display
from goalscope.envs.levels import Levels
from goalscope.envs.world import World
from goalscope.errors import DeclarationError, KnobError, unknown_name
from goalscope.seeding import Keys, keys

Value = int | float | bool | str


class Settings(Mapping[str, Value]):
    """A value for every knob of a family; read as a mapping or by attribute (``settings.size``)."""

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._values = dict(values)

    def __getitem__(self, name: str) -> Value:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in self._values:
            raise unknown_name("knob", name, self._values)
        return self._values[name]

    def __hash__(self) -> int:
        return hash(tuple(sorted(self._values.items())))

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{k}={v!r}' for k, v in self._values.items())})"


@dataclass(frozen=True, kw_only=True)
class Knob:
    """A named, typed, bounded parameter of a family."""

    name: str
    default: Value
    doc: str
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()

    @property
    def kind(self) -> type:
        return type(self.default)

    @property
    def expected(self) -> str:
        """What a value must be, in words."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.kind is bool:
            return "true or false"
        word = "an integer" if self.kind is int else "a number"
        return f"{word} from {self.low:g} to {self.high:g}"

    def parse(self, value: object) -> Value:
        """Return `value` in the knob's type (text from a command line included), or raise a KnobError."""
        try:
            parsed = self._convert(value)
        except (TypeError, ValueError, OverflowError):
            parsed = None
        if parsed is None or (self.choices and parsed not in self.choices):
            raise self._error(value)
        if not self.choices and self.kind is not bool and not self.low <= float(parsed) <= self.high:
            raise self._error(value)
        return parsed

    def _convert(self, value: object) -> Value | None:
        if self.kind is bool:
            if isinstance(value, str):
                return {"true": True, "1": True, "false": False, "0": False}.get(value.lower())
            return bool(value) if isinstance(value, bool | np.bool_) else None
        if self.kind is str:
            return value if isinstance(value, str) else None
        if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | str | np.number):
            return None
        number = float(value)
        if self.kind is int:
            return int(number) if number.is_integer() else None
        return number if math.isfinite(number) else None

    def _error(self, value: object) -> KnobError:
        return KnobError(f"Knob {self.name!r} must be {self.expected}, got {value!r}. ({self.doc})")


@dataclass(frozen=True, kw_only=True)
class Shift:
    """A named setting of knobs, with how far it goes from training (0) to the full shift (1)."""

    name: str
    strength: float
    knobs: Mapping[str, Value] = field(default_factory=dict)
    goals: tuple[str, ...] = ()
    """The goals whose pursuit is asked about under this shift; empty for all of the family's."""


@dataclass(frozen=True, kw_only=True)
class Goal:
    """An event that an agent may pursue."""

    name: str
    event: str
    intended: bool = False
    pursuer: Callable[[Levels], NDArray[np.int16]] | None = None
    """Distances `[N, D, H, W]` of an optimal policy (D = 1 cardinal, 4 headings turning), −1 where the event is out of
    reach; left out, breadth-first search to the marks whose ENTER rules count the event."""
    planes: tuple[str, ...] = ()
    """Names of the planes that show the goal's feature; left out, those that show the marks which count its event."""


Generate = Callable[[Keys, Settings], Levels]
Twins = Callable[[Levels, str, Keys, Settings], Levels]
Accept = Callable[[Levels, Settings], NDArray[np.bool_]]


@dataclass(frozen=True, kw_only=True)
class Family:
    """A procedural distribution of levels with rules, goals and knobs. One file declares one family."""

    id: str
    """Module name or entry-point name; a trailing ``_v1`` is the version (none: version 0)."""
    world: World
    sentence: str
    """"When …, … becomes a viable proxy."""
    paper: str
    goals: tuple[Goal, ...]
    knobs: tuple[Knob, ...]
    shifts: tuple[Shift, ...]
    factors: tuple[str, ...]
    """What `twins` can change, one at a time."""
    generate: Generate
    """Draw one level a key under a setting; a pure function. Levels it could not place have agent x = −1."""
    twins: Twins
    """For each level the same level with exactly one factor changed, legal under the same setting."""
    together: Callable[[Levels, Keys, Settings], Levels] | None = None
    """For each coincident level the same level with what coincides moved as one, so that it still coincides. Two such
    levels are the ends of the line along which attributions are taken; left out, methods that need it do not run."""
    choice: bool = False
    """Whether query levels are choice points instead of conflict levels: the pursuers' own shortest paths, which walk
    around what ends an episode, demand different next events, though a shortest way *over* another goal may exist."""
    words: tuple[str, ...] = ()
    """What the words of a level's mission mean, by number; empty: the mission is the intended goal's name."""
    holds_out: str = ""
    """What splits hold out, "layouts" or "levels"; empty: measured, which takes thousands of levels."""
    query: Accept | None = None
    """What a query level must satisfy beyond being a conflict level: `[N]` bool."""
    display: Callable[[Settings], Display] | None = None
    """Planes and look under a setting; left out, :func:`goalscope.envs.display.default_display`."""
    intended_knob: str = ""
    """A choice knob that names the intended goal, where roles can be swapped; empty: the goal marked `intended`."""

    def __post_init__(self) -> None:
        names = [s.name for s in self.shifts]
        if names.count("train") != 1 or self.shift("train").strength != 0:
            raise DeclarationError(
                f"Family {self.id!r} needs exactly one shift named 'train', of strength 0, got {names}."
            )
        if sum(g.intended for g in self.goals) != 1:
            raise DeclarationError(f"Family {self.id!r} needs exactly one intended goal.")
        if self.holds_out not in ("", "layouts", "levels"):
            raise DeclarationError(
                f"Family {self.id!r}: holds_out must be 'layouts', 'levels' or '', got {self.holds_out!r}."
            )
        for goal in self.goals:
            self.world.event_index(goal.event)
        for shift in self.shifts:
            self.settings(shift.name)
            for name in shift.goals:
                self.goal(name)

    @property
    def version(self) -> int:
        found = re.search(r"_v(\d+)$", self.id)
        return int(found.group(1)) if found else 0

    def goal(self, name: str) -> Goal:
        """The goal of that name."""
        for goal in self.goals:
            if goal.name == name:
                return goal
        raise unknown_name(f"goal of {self.id}", name, [g.name for g in self.goals])

    def shift(self, name: str) -> Shift:
        """The shift of that name."""
        for shift in self.shifts:
            if shift.name == name:
                return shift
        raise unknown_name(f"shift of {self.id}", name, [s.name for s in self.shifts])

    def unset_by(self, shift: str, overrides: Mapping[str, Value]) -> dict[str, Value]:
        """Those of a recipe's overrides that a shift leaves open: what it sets itself is what makes it that shift."""
        own = self.shift(shift).knobs
        return {name: value for name, value in overrides.items() if name not in own}

    def goals_under(self, shift: str) -> tuple[Goal, ...]:
        """The goals asked about under a shift, in the family's order."""
        named = self.shift(shift).goals
        return tuple(g for g in self.goals if not named or g.name in named)

    def intended(self, settings: Settings) -> Goal:
        """The goal that the reward is meant for under a setting."""
        if self.intended_knob:
            return self.goal(str(settings[self.intended_knob]))
        return next(g for g in self.goals if g.intended)

    def look(self, settings: Settings) -> Display:
        """The planes and looks of observations under a setting."""
        return self.display(settings) if self.display else default_display(self.world, settings)

    def feature_planes(self, goal: Goal, settings: Settings) -> list[int]:
        """The planes that show a goal's feature: those it names, else those of the marks that count its event."""
        planes, mask = self.look(settings).planes, self.world.trigger_mask(goal.event)
        if goal.planes:
            return [i for i, plane in enumerate(planes) if plane.name in goal.planes]
        return [i for i, plane in enumerate(planes) if plane.shows is Shows.MARKS and plane.operand & mask]

    def canvas(self, settings: Settings) -> tuple[int, int]:
        """Height and width of the levels under a setting, found by drawing one."""
        return self.generate(keys(0, 0), settings).canvas

    def settings(self, shift: str = "train", **overrides: Value) -> Settings:
        """All knobs: their defaults, then those of the shift, then `overrides`; each checked."""
        known = {k.name: k for k in self.knobs}
        for name in known:
            if hasattr(Mapping, name):  # settings.keys is a mapping's method
                raise DeclarationError(f"Knob {name!r} of {self.id!r} cannot be read by attribute: call it otherwise.")
        values: dict[str, Value] = {k.name: k.default for k in self.knobs}
        for name, value in {**self.shift(shift).knobs, **overrides}.items():
            if name not in known:
                raise unknown_name(f"knob of {self.id}", name, known)
            values[name] = known[name].parse(value)
        return Settings(values)
