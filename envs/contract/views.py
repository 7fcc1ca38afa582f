"""What observations, texts and Gymnasium environments promise: everything visible, nothing hidden, nothing lost."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from goalscope.envs.ascii import from_ascii, to_ascii
from goalscope.envs.contract.subject import Subject, failure, require, where
from goalscope.envs.display import Display, Plane, Shows
from goalscope.envs.engine import Engine
from goalscope.envs.levels import Levels, blank
from goalscope.envs.program import VIEWS
from goalscope.envs.world import Thing, World

FEW = 16
SIDE, CENTRE = 7, 3
"""The canvas on which one thing is shown in front of the agent."""

Images = dict[str, NDArray[np.uint8]]


def check_observations(subject: Subject) -> None:
    """A visible thing shows in every view and lights its planes; an invisible one, key and deadline never do."""
    for shift in ("train", *subject.shifts):
        display, some = subject.family.look(subject.distribution(shift).settings), subject.drawn(shift).take(slice(FEW))
        _require_something_to_show(subject, display, some)
        for thing in subject.world.things:
            _require_shown(subject, display, thing, some)
        _require_nothing_hidden(subject, display, some)


def _require_something_to_show(subject: Subject, display: Display, levels: Levels) -> None:
    """Refuse planes of counters, events and words that levels do not have: kernels read them without asking."""
    world, words = subject.world, levels.mission.shape[1]
    for plane in display.planes:
        index, high = plane.operand & 0xFF, plane.operand >> 8
        has = {
            Shows.COUNTER: index < len(world.counters),
            Shows.VALUE: index < len(world.events),
            Shows.OWN_VALUE: index + high.bit_count() <= len(world.events),
            Shows.WORD: high < words and (not subject.family.words or index < len(subject.family.words)),
        }
        if not has.get(plane.shows, True):
            found = f"{len(world.counters)} counters, {len(world.events)} events and missions of {words} words"
            cause = "the plane's operand is put together wrongly; `Shows` says what it must be."
            expected = f"what plane {plane.name!r} shows ({plane.shows.name}, operand {plane.operand:#x}) to exist"
            raise failure(expected, found, cause, world, levels)


def _images(world: World, display: Display, levels: Levels) -> Images:
    """By view, `[N, …]` the first observations."""
    return {view: Engine(levels, world, view, display=display).reset().copy() for view in VIEWS}


def _require_shown(subject: Subject, display: Display, thing: Thing, like: Levels) -> None:
    """Put one thing in front of the agent, and compare with the empty room. Missions are as long as in `like`."""
    world = subject.world
    events, counters, words = len(world.events), len(world.counters), like.mission.shape[1]
    room = blank(2, (SIDE, SIDE), events=events, counters=counters, mission=words)
    room.agent[:, :2] = CENTRE
    room.marks[1, CENTRE, CENTRE + 1] = world.bit(thing.name)
    images = _images(world, display, room)
    for view, (empty, shown) in images.items():
        expected = f"thing {thing.name!r}, which is {'' if thing.visible else 'in'}visible, to "
        expected += (
            f"show in the {view!r} view in its own cell" if thing.visible else f"leave the {view!r} view as it is"
        )
        good = _shows_right(world, display, thing, view, empty, shown)
        cause = (
            "a plane of the display shows the mark of something else, or the thing has no plane or no look of its own. "
            "Planes show `world.bit(name)`; a thing without shape and colour is hidden and must have none."
        )
        if not good:
            found = f"{int((empty != shown).sum())} values changed"
            raise failure(expected, found, cause, world, room, 1)


def _shows_right(
    world: World, display: Display, thing: Thing, view: str, empty: NDArray[np.uint8], shown: NDArray[np.uint8]
) -> bool:
    changed = empty != shown
    if view != "planes":
        cells = changed.any(-1)
        at = (CENTRE + 1, CENTRE) if view == "full" else (SIDE // 2, SIDE - 2)  # x first; the agent looks up from below
        return bool(cells[at]) == thing.visible and int(cells.sum()) == int(thing.visible)
    own = np.array([_is_own(plane, world.bit(thing.name)) for plane in display.planes], bool)
    values = np.array([_shows_value(plane, world.bit(thing.name)) for plane in display.planes], bool)
    may = own | values & thing.visible
    lit = changed[:, CENTRE, CENTRE + 1]
    elsewhere = int(changed.sum()) - int(lit.sum())
    has_plane = may.any() or not thing.visible or not any(p.name == thing.name for p in display.planes)
    return bool(has_plane and (lit[own] == thing.visible).all() and not lit[~may].any() and not elsewhere)


def _is_own(plane: Plane, bit: int) -> bool:
    return plane.shows is Shows.MARKS and bool(plane.operand & bit) and plane.level > 0


def _shows_value(plane: Plane, bit: int) -> bool:
    return plane.shows in (Shows.VALUE, Shows.OWN_VALUE) and bool(plane.operand >> 8 & bit)


def _require_nothing_hidden(subject: Subject, display: Display, levels: Levels) -> None:
    """Without its invisible marks, its key and its deadline a level must look the same."""
    bare = levels.take(slice(None))
    hidden = sum(subject.world.bit(t.name) for t in subject.world.things if not t.visible)
    bare.marks[:] &= np.uint16(~hidden & 0xFFFF)
    bare.key[:] = 0
    bare.max_steps[:] += 1
    images, without = (_images(subject.world, display, some) for some in (levels, bare))
    for view in VIEWS:
        same = (images[view] == without[view]).reshape(len(levels), -1).all(1)
        expected = f"invisible marks, key and deadline to leave the {view!r} view as it is"
        cause = "a plane of the display shows an invisible mark, so that agents see what they should have to infer."
        require(same, levels, subject.world, expected=expected, found="look different without them", cause=cause)


def check_ascii(subject: Subject) -> None:
    """A level written as text is read back as the same level."""
    for distribution, sample in subject.samples("train", "query"):
        levels = sample.take(slice(FEW))
        back = from_ascii([to_ascii(levels, i, subject.world) for i in range(len(levels))], subject.world)
        same = levels.equal(back) & (levels.key == back.key).all(1)
        expected = f"every {where(distribution)} to survive being written as text and read again"
        cause = "two things look alike in text. Give things and movers glyphs and names of their own."
        require(same, levels, subject.world, expected=expected, found="came back different", cause=cause)


def check_gymnasium(subject: Subject) -> None:
    """Gymnasium's own checker accepts the environment, in every view, without a warning."""
    from gymnasium.utils.env_checker import check_env

    from goalscope.envs.single_env import GridEnv

    for view in VIEWS:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            check_env(GridEnv(family=subject.family, view=view), skip_render_check=True)
        if warned:
            found = "; ".join(str(w.message) for w in warned)
            cause = "observations outside the declared space, or a mission that is not plain text."
            raise failure(f"Gymnasium's checker to accept the {view!r} environment silently", found, cause)
