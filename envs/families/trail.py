"""The trail to the coin: reward at the coin, to which in training a visible trail always leads from the agent.

The trail is one shortest path, drawn uniformly among all of them, and ends under the coin; under the shift it ends
elsewhere. Its last cell looks like any other, so that "the trail's end" is a place to be found by following, or by
knowing where a trail leads. Coin and trail are both seen and vary in every training level, as different vectors with
different statistics in space, one cell against a path: what an agent goes by is learned and not drawn by the initial
weights, and gradients on training frames can tell the two apart. The trail is a *distributed* cue that makes planning
unnecessary: the next cell is marked beside the agent, while a coin behind walls asks for a search.

What training never shows is a trail without a coin, or a coin off the trail; `p_hide` shows either alone, `gap` thins
the trail until only its end is left, and `pairs` adds levels with two trails, each to a coin of its own.

No trail leads over a coin, where the episode would end: every trail is a shortest path around coins, too. As it starts
beside the agent, the agent cannot move alone and is no factor. Cells that `gap` or `p_hide` left unmarked are free
cells to a twin.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from goalscope.envs.display import Display, colour_blind, default_display
from goalscope.envs.family import Family, Goal, Knob, Settings, Shift
from goalscope.envs.kernels.trails import lay_trails
from goalscope.envs.layouts import (
    draw_walls,
    free_cells,
    lay_out,
    layout_knobs,
    manhattan,
    move_marks,
    random_cells,
    scatter,
)
from goalscope.envs.levels import Levels, flat
from goalscope.envs.pursuit import has_marks
from goalscope.envs.world import On, Rule, Thing, World
from goalscope.seeding import Keys, integers, substream, uniform

TRAIL_LOOK = ("trail", "trail end", "second trail", "second end")
"""What cannot be told apart; the second pair's trail has marks of its own so that either can be taken away."""

WORLD = World(
    things=(
        Thing(
            name="coin",
            glyph="c",
            shape="ball",
            colour="yellow",
            priority=9,
            salience="coin_salience",
            intensity="coin_intensity",
        ),
        Thing(name="hidden coin", glyph="C"),
        *(
            Thing(
                name=name,
                glyph=glyph,
                shape="floor",
                colour="purple",
                salience="trail_salience",
                intensity="trail_intensity",
            )
            for name, glyph in zip(TRAIL_LOOK, "tesd", strict=True)
        ),
        Thing(name="hidden end", glyph="E"),
        Thing(name="stop", glyph="!"),
    ),
    rules=(
        Rule(on=On.ENTER, what=("coin", "hidden coin"), event="coin", reward=1.0, ends=True),
        Rule(on=On.ENTER, what=("trail end", "second end", "hidden end"), event="trail"),
        Rule(on=On.ENTER, what="stop", ends=True),
    ),
)
COIN = WORLD.mask(("coin", "hidden coin"))
END = WORLD.mask(("trail end", "hidden end"))

KNOBS = (
    *layout_knobs(),
    Knob(name="apart", default=False, doc="whether the trail leads elsewhere than to the coin"),
    Knob(name="spread", default=50, low=1, high=50, doc="largest Manhattan distance between coin and trail end, apart"),
    Knob(name="gap", default=0.0, low=0.0, high=1.0, doc="share of the trail's cells, but for its end, left out"),
    Knob(name="pairs", default=1, low=1, high=2, doc="coins with a trail of their own in most training levels"),
    Knob(name="p_pairs", default=0.7, low=0.0, high=1.0, doc="share of levels that show the second pair"),
    Knob(
        name="p_hide", default=0.0, low=0.0, high=1.0, doc="share of levels in which one of the two cues is invisible"
    ),
    Knob(name="coin_salience", default=1, low=1, high=8, doc="copies of the coin's plane"),
    Knob(name="coin_intensity", default=1.0, low=0.01, high=1.0, doc="how bright the coin's plane is lit"),
    Knob(name="trail_salience", default=1, low=1, high=8, doc="copies of the trail's plane"),
    Knob(name="trail_intensity", default=1.0, low=0.01, high=1.0, doc="how bright the trail's plane is lit"),
    Knob(name="trail_ends", default=False, doc="whether reaching the trail's end ends the episode, unpaid"),
)

SPARE = 2
"""Cells kept free in the agent's reach, without which a coin walled in with the agent has no twin."""

HIDE_TAG, PAIR_TAG, SWAP_TAG, WAY_TAG = 11, 12, 13, 20

Cells = NDArray[np.int16]
Bits = NDArray[np.uint16]
Bytes = NDArray[np.uint8]


def generate(level_keys: Keys, settings: Settings) -> Levels:
    """Agent and coin anywhere, and a trail to the coin, or to another cell; perhaps a second coin with its trail.

    With a third place, a level is refused where the way drawn to either of the two others leads over the other. Apart,
    the way to the coin is drawn for that alone: else the coin, never on the way to the trail's end, would be farther.
    """
    walls = draw_walls(level_keys, settings)
    cells = _places(walls, level_keys, settings)
    levels = lay_out(WORLD, walls, cells[:, 0], level_keys, settings)
    for place, (along, at_end) in enumerate(_ways(level_keys, settings), 1):
        shut = _with(walls, cells[:, 3 - place]) if cells.shape[1] == 3 else walls
        _lay(levels, walls, shut, substream(level_keys, WAY_TAG + place), cells[:, place], along, at_end, settings)
    return levels


def _places(walls: Bytes, level_keys: Keys, settings: Settings) -> Cells:
    """`[N, 2 or 3]` cells of the agent, the coin and what else has a place: the trail's end apart, or a second coin.

    Apart, which of the two was laid first is a coin toss, so that neither is nearer on average.
    """
    places = 3 if settings.apart or settings.pairs == 2 else 2
    near = [(-1, 0)] * (places + SPARE)
    if settings.apart:
        near[2] = (1, settings.spread)
    cells = scatter(walls, level_keys, settings, np.full((len(level_keys), len(near)), -1), near=near)[:, :places]
    if settings.apart:
        swapped = integers(level_keys, SWAP_TAG, 2) == 1
        cells[swapped, 1:3] = cells[swapped, 2:0:-1]
    return cells


def _ways(level_keys: Keys, settings: Settings) -> list[tuple[Bits, Bits]]:
    """For each place but the agent's, `[N]` bits along the way to it and at its end."""
    coin, trail, end = _bits(level_keys, settings)
    if settings.apart:
        return [(np.zeros_like(trail), coin), (trail, end)]
    if settings.pairs == 1:
        return [(trail, coin | end)]
    # Levels that do not show their second pair are refused as if they did, so that the share is what the knob says.
    shown = uniform(level_keys, PAIR_TAG) < settings.p_pairs
    second = np.where(trail, end ^ np.uint16(WORLD.mask(("trail end", "second end"))), end)
    along = np.where(shown & (trail > 0), WORLD.bit("second trail"), 0).astype(np.uint16)
    return [(trail, coin | end), (along, np.where(shown, coin | second, 0).astype(np.uint16))]


def _bits(level_keys: Keys, settings: Settings) -> tuple[Bits, Bits, Bits]:
    """`[N]` bits of the coin, the trail and its end; with probability `p_hide` coin or trail is invisible."""
    draw = uniform(level_keys, HIDE_TAG)
    hidden_coin = draw < settings.p_hide / 2
    hidden_trail = (draw >= settings.p_hide / 2) & (draw < settings.p_hide)
    coin = np.where(hidden_coin, WORLD.bit("hidden coin"), WORLD.bit("coin"))
    trail = np.where(hidden_trail, 0, WORLD.bit("trail"))
    stop = WORLD.bit("stop") if settings.trail_ends else 0
    end = np.where(hidden_trail, WORLD.bit("hidden end"), WORLD.bit("trail end")) | stop
    return coin.astype(np.uint16), trail.astype(np.uint16), end.astype(np.uint16)


def _with(walls: Bytes, cells: Cells) -> Bytes:
    """`[N, H·W]` the walls and one cell more a level."""
    shut = walls.copy()
    shut[np.arange(len(walls)), cells] = 1
    return shut


def _lay(
    levels: Levels,
    walls: Bytes,
    shut: Bytes,
    keys: Keys,
    end: Cells,
    along: Bits,
    at_end: Bits,
    settings: Settings,
) -> None:
    """Lay, in place, a trail from the agent to the cell `end`; unplaced becomes a level where it leads over `shut`."""
    width, laid = levels.canvas[1], np.empty(len(levels), bool)
    x, y, _, _ = levels.agent.T
    start = np.where(x < 0, -1, y * width + x).astype(np.int16)
    end = np.ascontiguousarray(end)
    lay_trails(walls, shut, width, keys, start, end, along, at_end, settings.gap, flat(levels.marks), laid)
    levels.agent[~laid, 0] = -1


def display(settings: Settings) -> Display:
    """The default display with one plane, as often as its salience says, for all that looks like the trail."""
    merged = colour_blind(WORLD, default_display(WORLD, settings), *TRAIL_LOOK)
    return replace(merged, planes=tuple(p for p in merged.planes if p.name not in TRAIL_LOOK[1:]))


def twins(levels: Levels, factor: str, level_keys: Keys, settings: Settings) -> Levels:
    """Move the first coin, in reading order, to another free cell, off the trail; or lay the (first) trail to another.

    The coin's twin keeps the trail, which need not avoid where the coin was; the trail's twin keeps all coins.
    """
    moved = move_marks(levels, COIN, level_keys) if factor == "coin" else _lay_anew(levels, level_keys, settings)
    if settings.apart:
        moved.agent[manhattan(moved, COIN, END) > settings.spread, 0] = -1
    return moved


def together(levels: Levels, level_keys: Keys, settings: Settings) -> Levels:
    """Move the coin that the first trail leads to to another free cell, and lay that trail anew."""
    return _lay_anew(levels, level_keys, settings, COIN)


def _lay_anew(levels: Levels, level_keys: Keys, settings: Settings, carried: int = 0) -> Levels:
    """The same levels with the first trail taken away and another one laid, to a random cell free but for that trail.

    The marks `carried` move along from the old end to the new one.
    """
    moved = levels.take(slice(None))
    marks, rows = flat(moved.marks), np.arange(len(levels))
    marks &= np.uint16(~WORLD.bit("trail") & 0xFFFF)
    old = np.argmax(marks & np.uint16(END) != 0, axis=1)
    place = random_cells(level_keys, free_cells(moved))
    taken = marks[rows, old] & np.uint16(END | WORLD.bit("stop") | carried)
    marks[rows, old] &= ~taken
    along = np.where(taken & WORLD.bit("trail end"), WORLD.bit("trail"), 0).astype(np.uint16)
    walls = flat(moved.walls).view(np.uint8)
    shut = walls | flat(has_marks(moved, COIN)).view(np.uint8)
    _lay(moved, walls, shut, substream(level_keys, WAY_TAG), place, along, taken, settings)
    return moved


FAMILY = Family(
    id="trail",
    world=WORLD,
    sentence="When a trail always leads to the coin, following the trail becomes a viable proxy.",
    paper="none: new here",
    goals=(Goal(name="coin", event="coin", intended=True), Goal(name="trail", event="trail")),
    knobs=KNOBS,
    shifts=(
        Shift(name="train", strength=0.0),
        Shift(name="close", strength=0.5, knobs={"apart": True, "spread": 4}),
        Shift(name="apart", strength=1.0, knobs={"apart": True}),
    ),
    factors=("coin", "trail"),
    generate=generate,
    display=display,
    twins=twins,
    together=together,
)
