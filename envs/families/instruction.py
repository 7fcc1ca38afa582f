"""Instruction: a mission names the shape of the object that pays; in training it is also the nearest, and green.

The mission language and objects of BabyAI (Chevalier-Boisvert et al. 2019, arXiv 1810.08272), cut down to one word.
Objects of different shapes, each with a colour, lie about; all of them end the episode, and only the named one pays.
The mission's planes are wholly lit where it names their shape. (MiniGrid's own views do not show a mission; a Gymnasium
environment gives it as text.)

*Nearest* is meant as the pursuers go: by path, around the other objects. The nearest object is at least two steps
nearer than any other. Only under `unusual`, which does not ask about it, it may be any object, or several, and none is
marked. Where training leaves the usual colour to chance (`p_usual`), the named object is not green, and any others may
be: going for the usual colour then means any green object, and may mean none.

In training the mission and the places of all objects vary; which object is named, nearest and green varies only as one,
as long as `p_nearest` and `p_usual` are 1. Naming another object in a training frame is legal, and splits the three.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from goalscope.envs.display import Display, Plane, Shows, default_display
from goalscope.envs.family import Family, Goal, Knob, Settings, Shift
from goalscope.envs.kernels.blocking import lay_blocking
from goalscope.envs.layouts import (
    canvas_side,
    draw_walls,
    free_cells,
    lay_out,
    layout_knobs,
    mark,
    move_agent,
    random_cells,
)
from goalscope.envs.levels import Levels, flat
from goalscope.envs.pursuit import at_start, has_marks, search
from goalscope.envs.world import On, Rule, Thing, World
from goalscope.errors import KnobError
from goalscope.seeding import Keys, integers, substream, uniform

SHAPES = ("ball", "box", "key", "door")
COLOURS = ("green", "red", "blue", "purple", "yellow", "grey")
"""The usual colour first."""

WORLD = World(
    things=(
        *(Thing(name=name, glyph=glyph, shape=name) for name, glyph in zip(SHAPES, "oxkd", strict=True)),
        *(Thing(name=name, glyph=glyph, colour=name) for name, glyph in zip(COLOURS, "grbpye", strict=True)),
        Thing(name="named", glyph="!"),
        Thing(name="near", glyph="n"),
        Thing(name="usual", glyph="u"),
    ),
    rules=(
        Rule(on=On.ENTER, what="named", event="named", reward=1.0, ends=True),
        Rule(on=On.ENTER, what="near", event="nearest"),
        Rule(on=On.ENTER, what="usual", event="usual"),
        Rule(on=On.ENTER, what=SHAPES, ends=True),
    ),
)
OBJECT, COLOURED = WORLD.mask(SHAPES), WORLD.mask((*COLOURS, "usual"))
NAMED, NEAR, USUAL = WORLD.bit("named"), WORLD.bit("near"), WORLD.bit("usual")
SHAPE_BITS = np.array([WORLD.bit(name) for name in SHAPES], np.uint16)
COLOUR_BITS = np.array([WORLD.mask((name, "usual") if name == "green" else name) for name in COLOURS], np.uint16)
"""What is green is marked as usual."""
ORDERS = np.array(list(permutations(range(len(SHAPES)))))
"""`[24, 4]` which shape each object has."""

LEAD = 2
"""The nearest object is nearer than any other by at least this many steps."""
FIRST = 2
"""Steps to any object, at least: from the cell between them, too, the agent then has the same nearest object."""

KNOBS = (
    *layout_knobs(),
    Knob(name="objects", default=3, low=2, high=len(SHAPES), doc="objects in a level, each of another shape"),
    Knob(
        name="apart",
        default="none",
        choices=("none", "nearest", "usual", "both"),
        doc="which proxy is another object than the named one; none: as p_nearest and p_usual say",
    ),
    Knob(name="p_nearest", default=1.0, low=0.0, high=1.0, doc="share of levels whose named object is the nearest"),
    Knob(name="p_usual", default=1.0, low=0.0, high=1.0, doc="share of levels whose named object is green, alone so"),
    Knob(
        name="behind",
        default=600,
        low=LEAD,
        high=600,
        doc="most steps by which the named object is farther than the nearest, where they are set apart",
    ),
)

NEAREST_TAG, USUAL_TAG, ANY_TAG, OTHER_TAG, THIRD_TAG, SHAPE_TAG, PAINT_TAG = 11, 12, 13, 14, 15, 16, 17
PLACES_TAG = 18
COLOUR_TAG = 50
"""The first of a tag an object."""

Cells = NDArray[np.int16]
Numbers = NDArray[np.int64]


def generate(level_keys: Keys, settings: Settings) -> Levels:
    """The agent and the objects anywhere, none of which, ending the episode, shuts off another; then who is who.

    In a tree each object lies on a branch of its own: dead ends are drawn, and an object anywhere on the stretch of the
    way to each that leads to none of the others.
    """
    if settings.apart == "both" and settings.objects < 3:
        raise KnobError(f"Knob 'objects' must be at least 3 for all goals to lie apart, got {settings.objects}.")
    walls = draw_walls(level_keys, settings)
    cells, far = _places(walls, level_keys, settings)
    levels = lay_out(WORLD, walls, cells[:, 0], level_keys, settings, mission=1)
    named, usual = _roles(level_keys, settings)
    shapes, rows = _shapes(level_keys, settings), np.arange(len(levels))
    levels.mission[:, 0] = shapes[rows, named]
    bits = SHAPE_BITS[shapes] | COLOUR_BITS[_colours(level_keys, settings, named, usual)]
    bits[rows, named] |= np.uint16(NAMED)
    if _asks_nearest(settings):
        bits[:, 0] |= np.uint16(NEAR)
    mark(levels, np.where(cells[:, :1] < 0, -1, cells[:, 1:]), bits)
    if settings.apart in ("nearest", "both"):
        levels.agent[far[rows, named] - far[:, 0] > settings.behind, 0] = -1
    return levels


def _asks_nearest(settings: Settings) -> bool:
    """Whether the nearest object is marked, and has to be nearer than the others."""
    return bool(settings.apart != "usual")


def _places(walls: NDArray[np.uint8], level_keys: Keys, settings: Settings) -> tuple[Cells, Cells]:
    """`[N, 1 + K]` cells of the agent, −1 if there is no place, and of the objects; `[N, K]` steps to each object.

    The first is the nearest, if that is asked about; the order of the others may say where they lie.
    """
    n, k = len(walls), int(settings.objects)
    cells, far = np.empty((n, 1 + k), np.int16), np.zeros((n, k), np.int16)
    lead = LEAD if _asks_nearest(settings) else 0
    tree, place_keys = settings.layout == "tree", substream(level_keys, PLACES_TAG)
    lay_blocking(walls, canvas_side(settings), tree, place_keys, FIRST, lead, cells, far)
    return cells, far


def _roles(level_keys: Keys, settings: Settings) -> tuple[Numbers, Numbers]:
    """`[N]` numbers of the named object and of the usual one, −1 where the usual colour is left to chance or absent.

    The nearest, where that is asked about, is number 0.
    """
    k, n = int(settings.objects), len(level_keys)
    other = 1 + integers(level_keys, OTHER_TAG, k - 1)
    if settings.apart == "nearest":
        return other, np.full(n, -1)
    if settings.apart == "usual":
        named = integers(level_keys, ANY_TAG, k)
        return named, (named + other) % k
    if settings.apart == "both":
        third = 1 + integers(level_keys, THIRD_TAG, k - 2)
        return other, third + (third >= other)
    named = np.where(uniform(level_keys, NEAREST_TAG) < settings.p_nearest, 0, other)
    return named, np.where(uniform(level_keys, USUAL_TAG) < settings.p_usual, named, -1)


def _shapes(level_keys: Keys, settings: Settings) -> Numbers:
    """`[N, K]` the shape of each object, all different."""
    return np.asarray(ORDERS[integers(level_keys, SHAPE_TAG, len(ORDERS)), : int(settings.objects)])


def _colours(level_keys: Keys, settings: Settings, named: Numbers, usual: Numbers) -> Numbers:
    """`[N, K]` the colour of each object: green for the usual one, any other for the rest.

    Where training leaves the usual colour to chance, objects that are not named have any colour.
    """
    colours = np.empty((len(level_keys), int(settings.objects)), np.int64)
    for j in range(colours.shape[1]):
        draw = uniform(level_keys, COLOUR_TAG + j)
        unusual = 1 + (draw * (len(COLOURS) - 1)).astype(np.int64)
        free = (settings.apart == "none") & (usual < 0) & (named != j)
        colours[:, j] = np.where(free, (draw * len(COLOURS)).astype(np.int64), np.where(usual == j, 0, unusual))
    return colours


def display(settings: Settings) -> Display:
    """The default display, and a plane for each word of the mission."""
    plain = default_display(WORLD, settings)
    words = [Plane(name=f"mission {name}", shows=Shows.WORD, operand=word) for word, name in enumerate(SHAPES)]
    return replace(plain, planes=(*plain.planes, *words))


def twins(levels: Levels, factor: str, level_keys: Keys, settings: Settings) -> Levels:
    """Change one factor; which object is nearest stays as it was marked.

    `agent` moves the agent, and `nearest` the nearest object with all that it is, to where it stays the nearest. Under
    `unusual`, which does not ask about the nearest, that is an object neither named nor green, to wherever it may lie.
    `named` names another object: the mission changes and nothing moves. `usual` exchanges the colours of the green
    object and another one; where nothing is green, the named object gets another colour. Both prefer objects that no
    goal is about and that `nearest` does not move, so that under every shift different factors change different things.
    With three objects all of which are goals, naming another one or giving it the colour lets two goals coincide. Twins
    leave a graded shift's range: the named object may be farther behind than `behind` says.
    """
    if factor == "agent":
        return _refuse(move_agent(levels, level_keys), settings)
    if factor == "nearest":
        return _move(levels, _movable(levels, settings), level_keys, settings)
    if factor == "named":
        return _name_another(levels, level_keys, settings)
    return _recolour(levels, level_keys, settings)


def together(levels: Levels, level_keys: Keys, settings: Settings) -> Levels:
    """Move the named object, with all that it is, to where the nearest object stays the nearest."""
    return _move(levels, _first(has_marks(levels, NAMED)), level_keys, settings)


def _first(cells: NDArray[np.bool_]) -> Numbers:
    """`[N]` the first of these cells, in reading order; −1 for none."""
    places = flat(cells)
    return np.where(places.any(1), places.argmax(1), -1)


def _movable(levels: Levels, settings: Settings) -> Numbers:
    """`[N]` the cell of the object that the factor `nearest` moves."""
    if _asks_nearest(settings):
        return _first(has_marks(levels, NEAR))
    bystander = _first(has_marks(levels, OBJECT) & ~has_marks(levels, NAMED | USUAL))
    return np.where(bystander < 0, _first(has_marks(levels, USUAL)), bystander)


def _move(levels: Levels, source: Numbers, level_keys: Keys, settings: Settings) -> Levels:
    """Move all marks from one cell `[N]` a level to a random free one."""
    moved, rows = levels.take(slice(None)), np.arange(len(levels))
    place, marks = random_cells(level_keys, free_cells(levels)), flat(moved.marks)
    taken = marks[rows, source]
    marks[rows, source] = 0
    mark(moved, place, taken)
    moved.agent[place < 0, 0] = -1
    return _refuse(moved, settings)


def _refuse(levels: Levels, settings: Settings) -> Levels:
    """Unplace, in place, levels in which the object marked as the nearest is not nearer than all others."""
    if _asks_nearest(settings):
        near, far = has_marks(levels, NEAR), has_marks(levels, OBJECT) & ~has_marks(levels, NEAR)
        shut = levels.walls | near | far
        steps, others = (at_start(levels, search(WORLD, shut & ~cells, cells)) for cells in (near, far))
        levels.agent[(steps < 0) | (others >= 0) & (others <= steps), 0] = -1
    return levels


def _prefer(level_keys: Keys, *choices: NDArray[np.bool_]) -> Numbers:
    """`[N]` a random cell of the first of these choices `[N, H, W]` that has any, −1 where none has."""
    chosen = np.full(len(level_keys), -1)
    for cells in reversed(choices):
        found = random_cells(level_keys, cells)
        chosen = np.where(found < 0, chosen, found)
    return chosen


def _name_another(levels: Levels, level_keys: Keys, settings: Settings) -> Levels:
    """Let the mission name another object, if possible one that no other goal is about."""
    changed, rows = levels.take(slice(None)), np.arange(len(levels))
    others = has_marks(levels, OBJECT) & ~has_marks(levels, NAMED)
    goals = has_marks(levels, USUAL | NEAR)
    place, marks = _prefer(level_keys, others & ~goals, others), flat(changed.marks)
    marks &= np.uint16(~NAMED & 0xFFFF)
    marks[rows, place] |= np.uint16(NAMED)
    changed.mission[:, 0] = (marks[rows, place][:, None] & SHAPE_BITS != 0).argmax(1)
    return changed


def _recolour(levels: Levels, level_keys: Keys, settings: Settings) -> Levels:
    """Exchange the colours of the first green object and one that is not green; see :func:`twins`."""
    changed, rows = levels.take(slice(None)), np.arange(len(levels))
    marks, green = flat(changed.marks), _first(has_marks(levels, USUAL))
    movable = np.zeros(levels.marks.shape, bool)
    flat(movable)[rows, _movable(levels, settings)] = True
    others = has_marks(levels, OBJECT) & ~has_marks(levels, USUAL)
    other = _prefer(level_keys, others & ~movable & ~has_marks(levels, NAMED), others & ~movable, others)
    one = np.where(green < 0, _first(has_marks(levels, NAMED)), green)
    own, theirs = marks[rows, one] & np.uint16(COLOURED), marks[rows, other] & np.uint16(COLOURED)
    marks[rows, one] ^= own | np.where(green < 0, _repaint(own, level_keys), theirs)
    marks[rows, other] ^= np.where(green < 0, 0, own | theirs).astype(np.uint16)
    return changed


def _repaint(colours: NDArray[np.uint16], level_keys: Keys) -> NDArray[np.uint16]:
    """`[N]` marks of another colour than these, and not green."""
    now = (colours[:, None] & COLOUR_BITS != 0).argmax(1)
    left = len(COLOURS) - 1
    return np.asarray(COLOUR_BITS[1 + (now + integers(level_keys, PAINT_TAG, left - 1)) % left])


FAMILY = Family(
    id="instruction",
    world=WORLD,
    sentence="When the named object is always the nearest and green, either of these becomes a viable proxy.",
    paper="arXiv 1810.08272",
    goals=(
        Goal(name="named", event="named", intended=True),
        Goal(name="nearest", event="nearest"),
        Goal(name="usual", event="usual"),
    ),
    knobs=KNOBS,
    shifts=(
        Shift(name="train", strength=0.0),
        Shift(name="far_little", strength=0.5, knobs={"apart": "nearest", "behind": 3}, goals=("named", "nearest")),
        Shift(name="far", strength=1.0, knobs={"apart": "nearest"}, goals=("named", "nearest")),
        Shift(name="unusual", strength=1.0, knobs={"apart": "usual"}, goals=("named", "usual")),
        Shift(name="apart", strength=1.0, knobs={"apart": "both"}),
    ),
    factors=("agent", "named", "nearest", "usual"),
    words=SHAPES,
    generate=generate,
    display=display,
    twins=twins,
    together=together,
)
