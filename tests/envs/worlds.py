"""Worlds, play and slow, independent drawings that the engine's tests share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goalscope.envs.ascii import from_ascii
from goalscope.envs.codes import AGENT, EMPTY_CODE, OBJECT_NAMES, WALL_CODE, code, minigrid_triple
from goalscope.envs.display import Display, Plane, Shows
from goalscope.envs.engine import Engine
from goalscope.envs.levels import Levels, blank, concatenate
from goalscope.envs.world import Mover, Moves, On, Policy, Rule, Spawn, Then, Thing, Where, World

STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))
"""(x, y) of right, down, left, up."""

CARDINAL, TURNING = ">v<^", "lrfpdt."
"""One character an action."""

WALKABLE_KINDS = ("empty", "floor", "door", "goal", "lava")


@dataclass(frozen=True)
class Trace:
    """What a played text gave, step by step."""

    engine: Engine
    reward: list[float]
    terminated: list[bool]
    truncated: list[bool]

    def count(self, event: str) -> int:
        return int(self.engine.counts[0, self.engine.world.event_index(event)])

    def first(self, event: str) -> int:
        return int(self.engine.first[0, self.engine.world.event_index(event)])


def actions_of(text: str, world: World) -> list[int]:
    """The actions that a text of :data:`CARDINAL` or :data:`TURNING` characters stands for."""
    return [(CARDINAL if world.moves is Moves.CARDINAL else TURNING).index(c) for c in text]


def play(level: str | Levels, world: World, actions: str, external: str = "", **options: Any) -> Trace:
    """Play one level without autoreset; `external` moves the first mover, one character a step."""
    levels = from_ascii(level, world) if isinstance(level, str) else level
    engine = Engine(levels, world, **{"autoreset": "off", **options})
    engine.reset()
    trace = Trace(engine, [], [], [])
    for t, action in enumerate(actions_of(actions, world)):
        pushed = None
        if external:
            pushed = np.full((1, levels.movers.shape[1]), -1)
            pushed[0, 0] = (CARDINAL + ".").index(external[t]) if external[t] != "." else -1
        step = engine.step(np.array([action]), external=pushed)
        trace.reward.append(round(float(step.reward[0]), 5))
        trace.terminated.append(bool(step.terminated[0]))
        trace.truncated.append(bool(step.truncated[0]))
    return trace


def marked(levels: Levels, mask: int, i: int = 0) -> list[tuple[int, int]]:
    """(x, y) of the cells of level i that hold any of the marks, in reading order."""
    return [(int(x), int(y)) for y, x in np.argwhere(levels.marks[i] & mask)]


def same_levels(a: Levels, b: Levels) -> bool:
    """Whether two sets of levels agree in everything, keys included."""
    return bool(a.equal(b).all() and (a.key == b.key).all())


# ------------------------------------------------------------------------------------------- drawings, cell by cell


def shown_code(world: World, display: Display, marks: int) -> int:
    """What a cell's marks look like, 0 for nothing: shape and colour each from the first of the highest priority."""
    by_name = {thing.name: thing for thing in world.things}
    present = {display.alike.get(t.name, t.name) for t in world.things if marks & world.bit(t.name)}
    looks = sorted((look for name, look in by_name.items() if name in present), key=lambda look: -look.priority)
    shapes = [look.shape for look in looks if look.shape]
    colours = [look.colour for look in looks if look.colour]
    if not shapes and not colours:
        return 0
    return code(shapes[0] if shapes else "floor", colours[0] if colours else "red")


def tile(world: World, display: Display, levels: Levels, i: int, x: int, y: int, movers: bool = True) -> int:
    """The code that a cell looks like: the last mover there, else its marks, else its object."""
    here = shown_code(world, display, int(levels.marks[i, y, x])) or int(levels.cells[i, y, x])
    for mx, my, kind, alive in levels.movers[i].tolist():
        if movers and alive and (mx, my) == (x, y):
            here = code(world.movers[kind].shape, world.movers[kind].colour)
    return here


def draw_full(world: World, display: Display, levels: Levels, i: int) -> NDArray[np.uint8]:
    """MiniGrid's full grid `[W, H, 3]`."""
    height, width = levels.canvas
    image = np.zeros((width, height, 3), np.uint8)
    for x in range(width):
        for y in range(height):
            image[x, y] = minigrid_triple(tile(world, display, levels, i, x, y))
    x, y, heading, _ = levels.agent[i].tolist()
    image[x, y] = AGENT, 0, heading
    return image


def visible_cells(clear: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """MiniGrid's `Grid.process_vis`, as it stands there: `clear` and the result are `[x, y]`, the agent at (3, 6)."""
    mask = np.zeros((7, 7), bool)
    mask[3, 6] = True
    for j in reversed(range(7)):
        for i in range(6):
            if mask[i, j] and clear[i, j]:
                mask[i + 1, j] = True
                if j > 0:
                    mask[i + 1, j - 1] = True
                    mask[i, j - 1] = True
        for i in reversed(range(1, 7)):
            if mask[i, j] and clear[i, j]:
                mask[i - 1, j] = True
                if j > 0:
                    mask[i - 1, j - 1] = True
                    mask[i, j - 1] = True
    return mask


def draw_ego(world: World, display: Display, levels: Levels, i: int) -> NDArray[np.uint8]:
    """MiniGrid's view of seven by seven cells, the agent at the bottom, looking up."""
    height, width = levels.canvas
    ax, ay, heading, carried = levels.agent[i].tolist()
    dx, dy = STEPS[heading]
    codes, clear = np.full((7, 7), WALL_CODE), np.zeros((7, 7), bool)
    for i_right in range(7):
        for j in range(7):
            ahead, right = 6 - j, i_right - 3
            x, y = ax + dx * ahead - dy * right, ay + dy * ahead + dx * right
            if 0 <= x < width and 0 <= y < height:
                codes[i_right, j] = tile(world, display, levels, i, x, y)
                solid = OBJECT_NAMES[int(levels.cells[i, y, x]) & 15]
                clear[i_right, j] = solid not in ("wall", "closed door", "locked door")
    codes[3, 6] = carried or EMPTY_CODE
    seen = np.ones((7, 7), bool) if world.see_through else visible_cells(clear)
    image = np.zeros((7, 7, 3), np.uint8)
    for cell in np.argwhere(seen):
        image[tuple(cell)] = minigrid_triple(int(codes[tuple(cell)]))
    return image


def plane_byte(plane: Plane, levels: Levels, i: int, x: int, y: int, counters: Sequence[int]) -> int:
    """One byte of one plane."""
    marks, cell = int(levels.marks[i, y, x]), int(levels.cells[i, y, x])
    ax, ay, heading, _ = levels.agent[i].tolist()
    lit = False
    match plane.shows:
        case Shows.WALLS:
            lit = OBJECT_NAMES[cell & 15] == "wall"
        case Shows.AGENT:
            lit = (ax, ay) == (x, y) and plane.operand in (-1, heading)
        case Shows.MARKS:
            lit = bool(marks & plane.operand)
        case Shows.OBJECT:
            lit = cell == plane.operand
        case Shows.COUNTER:
            return min(255, max(0, counters[plane.operand]))
        case Shows.VALUE:
            value = min(1.0, max(0.0, float(levels.value[i, plane.operand & 0xFF])))
            return int(value * plane.level + 0.5) if marks & (plane.operand >> 8) else 0
        case Shows.MOVER:
            lit = any(m[3] and m[2] == plane.operand and (m[0], m[1]) == (x, y) for m in levels.movers[i].tolist())
    return plane.level if lit else 0


def draw_planes(display: Display, levels: Levels, i: int, counters: Sequence[int] = ()) -> NDArray[np.uint8]:
    """`[C, H, W]`"""
    height, width = levels.canvas
    rows = [
        [[plane_byte(p, levels, i, x, y, counters) for x in range(width)] for y in range(height)]
        for p in display.planes
    ]
    return np.array(rows, np.uint8).reshape(len(display.planes), height, width)


def draw(view: str, engine: Engine) -> NDArray[np.uint8]:
    """What a view of the engine's present states must look like, `[B, …]`."""
    now = engine.snapshot()
    images = []
    for b in range(engine.batch):
        if view == "planes":
            images.append(draw_planes(engine.display, now, b, engine.counters[b].tolist()))
        else:
            images.append((draw_full if view == "full" else draw_ego)(engine.world, engine.display, now, b))
    return np.stack(images)


# ---------------------------------------------------------------------------------------------- random worlds, levels

GLYPHS = "abcdefghijklmnop"
SHAPES = ("", "ball", "box", "key", "floor", "goal")
COLOURS = ("", "red", "green", "blue", "purple", "yellow", "grey")


def random_world(rng: np.random.Generator, *, moves: Moves, chance: bool = True) -> World:
    """Any world; without `chance` nothing in it is random and movers only go where they are pushed."""
    n_things, n_kinds = int(rng.integers(1, 9)), int(rng.integers(0, 4))
    counters = ("purse", "bag")[: rng.integers(0, 3)]
    policies = list(Policy) if chance else [Policy.EXTERNAL]
    priorities = rng.permutation(n_things)
    things = tuple(
        Thing(
            name=f"thing {GLYPHS[k]}",
            glyph=GLYPHS[k],
            shape=str(rng.choice(SHAPES)),
            colour=str(rng.choice(COLOURS)),
            priority=int(priorities[k]),
            salience=int(rng.integers(1, 4)),
            intensity=float(rng.choice([1.0, 0.5, 0.25])),
        )
        for k in range(n_things)
    )
    movers = tuple(
        Mover(
            kind=f"kind {GLYPHS[k]}",
            policy=policies[rng.integers(len(policies))],
            glyph=GLYPHS[k].upper(),
            temperature=float(rng.choice([0.01, 1.0, 5.0])),
            p_double=float(rng.choice([0.0, 0.5, 1.0])) if chance else 0.0,
            p_reliable=float(rng.choice([1.0, 0.5])) if chance else 1.0,
            shape=str(rng.choice(SHAPES[1:])),
            colour=str(rng.choice(COLOURS[1:])),
        )
        for k in range(n_kinds)
    )
    spawns = tuple(
        Spawn(
            thing=things[rng.integers(n_things)].name,
            p=tuple(rng.random(int(rng.integers(1, 4)))),
            where=Where(int(rng.integers(2))),
        )
        for _ in range(rng.integers(0, 3) if chance else 0)
    )
    rules = [_random_rule(rng, moves, things, movers, counters, chance) for _ in range(rng.integers(1, 12))]
    events = sorted({rule.event for rule in rules if rule.event})
    if events:
        for _ in range(rng.integers(0, 3)):
            quota = _random_rule(rng, moves, things, movers, counters, chance)
            rules.append(_replaced(quota, on=On.QUOTA, what=str(rng.choice(events)), then=Then.KEEP))
    rng.shuffle(rules)
    objects = ("key blue", "closed door red", "box green")[: rng.integers(0, 4)]
    return World(
        moves=moves,
        things=things,
        rules=tuple(rules),
        counters=counters,
        movers=movers,
        spawns=spawns,
        objects=objects,
        see_through=bool(rng.integers(2)),
    )


def _replaced(rule: Rule, **changes: Any) -> Rule:
    return Rule(**{**rule.__dict__, **changes})


def _random_rule(
    rng: np.random.Generator,
    moves: Moves,
    things: Sequence[Thing],
    movers: Sequence[Mover],
    counters: Sequence[str],
    chance: bool,
) -> Rule:
    kinds = [On.ENTER, On.ENTER, On.ENTER, On.BUMP, On.STEP, On.MEET]
    if moves is Moves.TURNING:
        kinds += [On.PICKUP, On.DROP, On.TOGGLE]
    on = kinds[rng.integers(len(kinds))]
    if on is On.MEET and not movers:
        on = On.ENTER
    names = [m.kind for m in movers] if on is On.MEET else [t.name for t in things]
    what = tuple(str(name) for name in rng.choice(names, min(len(names), int(rng.integers(1, 3))), replace=False))
    thens = list(Then) if chance else [Then.KEEP, Then.REMOVE]
    low = int(rng.integers(-1, 3))
    return Rule(
        on=on,
        what=() if on is On.STEP else what,
        event=str(rng.choice(["", "e0", "e1", "e2"])),
        reward=float(rng.choice([0.0, 1.0, -0.5])),
        decay=float(rng.choice([0.0, 0.9])),
        ends=bool(rng.random() < 0.05 and on is not On.STEP),
        need=(str(rng.choice(counters)), low, low + int(rng.integers(0, 4)))
        if counters and rng.random() < 0.4
        else None,
        add=(str(rng.choice(counters)), int(rng.integers(-1, 3))) if counters and rng.random() < 0.4 else None,
        then=Then.KEEP if on is On.STEP else thens[rng.integers(len(thens))],
    )


OBJECTS = (
    *(("empty", "red"),) * 12,
    ("wall", "grey"),
    ("wall", "grey"),
    ("wall", "red"),
    ("floor", "green"),
    ("door", "blue"),
    ("closed door", "red"),
    ("locked door", "blue"),
    ("key", "blue"),
    ("ball", "green"),
    ("box", "green"),
    ("goal", "green"),
    ("lava", "red"),
)


def random_levels(rng: np.random.Generator, world: World, n: int, canvas: tuple[int, int]) -> Levels:
    """Any valid levels of a world on a canvas."""
    n_movers, length = (int(rng.integers(0, 4)), 3) if world.movers else (0, 0)
    return concatenate([_random_level(rng, world, canvas, n_movers, length) for _ in range(n)])


def _random_level(
    rng: np.random.Generator, world: World, canvas: tuple[int, int], n_movers: int, length: int
) -> Levels:
    height, width = canvas
    level = blank(1, canvas, events=len(world.events), movers=n_movers, script=length)
    inside = [(x, y) for x in range(1, width - 1) for y in range(1, height - 1)]
    for x, y in inside:
        level.cells[0, y, x] = code(*OBJECTS[rng.integers(len(OBJECTS))])
        if level.cells[0, y, x] & 15 == OBJECT_NAMES.index("box") and rng.random() < 0.5:
            level.contents[0, y, x] = code("key", "blue")
        if rng.random() < 0.3:
            level.marks[0, y, x] = rng.integers(1 << len(world.things))
    places = [inside[k] for k in rng.permutation(len(inside))]
    for x, y in places[: 1 + n_movers]:
        level.cells[0, y, x], level.contents[0, y, x] = EMPTY_CODE, 0
    level.agent[0, :3] = *places[0], rng.integers(4)
    if world.moves is Moves.TURNING and rng.random() < 0.5:
        level.agent[0, 3] = code("key", "blue")
    for m in range(n_movers):
        level.movers[0, m] = *places[1 + m], rng.integers(len(world.movers)), rng.random() < 0.9
    cells = [y * width + x for x, y in inside]
    level.scripts[0] = rng.choice([-1, *cells, *cells], (n_movers, length))
    level.value[:] = rng.choice([1.0, 0.5, 0.0, 2.0, -1.0], level.value.shape)
    level.quota[:] = rng.choice([-1, 1, 2, 3], level.quota.shape)
    level.max_steps[:] = rng.integers(5, 40)
    level.key[:] = rng.integers(0, 2**63, 2)
    return level
