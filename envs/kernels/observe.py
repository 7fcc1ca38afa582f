"""What an agent sees: MiniGrid's full grid, MiniGrid's 7×7 view with its occlusion, and compact planes.

The full grid and the planes are patched: only cells that changed since the last observation are written.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goalscope.envs.kernels.columns import (
    AGENT_AT,
    CARRIED,
    COUNTED,
    EGO,
    EGO_SIDE,
    EVENTS,
    FULL,
    HEADING,
    HEIGHT,
    KIND_CODE,
    MARKED,
    MOVER_ALIVE,
    MOVER_KIND,
    MOVER_X,
    MOVER_Y,
    OBJECT_IS,
    OPAQUE,
    OWN_VALUED,
    PLANE_KIND,
    PLANE_LEVEL,
    PLANE_OPERAND,
    SEE_THROUGH,
    SLOT,
    START_QUOTA,
    VALUED,
    VIEW,
    WALLS,
    WIDTH,
    WORDED,
    Lens,
    Pool,
    Program,
    Scratch,
    State,
    X,
    Y,
)
from goalscope.envs.kernels.jit import helper, inline

AGENT_BYTE = 10
WALL_TILE = 2 | 5 << 4
EMPTY_TILE = 1
MIDDLE = EGO_SIDE // 2
EVERYTHING = (1 << EGO_SIDE) - 1


@inline
def _tile(cell: np.uint32, shown: NDArray[np.uint8]) -> int:
    """The code a cell looks like."""
    marks = cell >> np.uint32(16)
    if marks:
        seen = shown[marks]
        if seen:
            return np.int64(seen)
    return np.int64(cell & np.uint32(0xFF))


@inline
def _write(obs: NDArray[np.uint8], b: int, at: int, packed: np.uint32) -> None:
    row, place = (
        np.uint64(b),
        np.uint64(at),
    )  # unsigned: a signed index may count from the end, which must be tested for
    obs[row, place] = packed & np.uint32(0xFF)
    obs[row, place + np.uint64(1)] = (packed >> np.uint32(8)) & np.uint32(0xFF)
    obs[row, place + np.uint64(2)] = packed >> np.uint32(16)


@inline
def _full_cell(b: int, cell: int, s: State, g: Program, v: Lens, obs: NDArray[np.uint8]) -> None:
    width = g.config[WIDTH]
    at = ((cell % width) * g.config[HEIGHT] + cell // width) * 3
    _write(obs, b, at, v.look[_tile(s.world[b, cell], v.shown)])


@inline
def _full_overlay(b: int, s: State, g: Program, v: Lens, obs: NDArray[np.uint8]) -> None:
    """Movers and the agent, drawn over their cells."""
    height = g.config[HEIGHT]
    for m in range(s.movers.shape[1]):
        if s.movers[b, m, MOVER_ALIVE]:
            at = (s.movers[b, m, MOVER_X] * height + s.movers[b, m, MOVER_Y]) * 3
            _write(obs, b, at, v.look[g.kinds[s.movers[b, m, MOVER_KIND], KIND_CODE]])
    at = (s.body[b, X] * height + s.body[b, Y]) * 3
    obs[b, at] = AGENT_BYTE
    obs[b, at + 1] = 0
    obs[b, at + 2] = s.body[b, HEADING]


@helper
def _mover_at(b: int, kind: int, cell: int, s: State, width: int) -> bool:
    for m in range(s.movers.shape[1]):
        at = s.movers[b, m, MOVER_Y] * width + s.movers[b, m, MOVER_X]
        if s.movers[b, m, MOVER_ALIVE] and s.movers[b, m, MOVER_KIND] == kind and at == cell:
            return True
    return False


@helper
def _own_value(b: int, marks: np.uint32, operand: int, level: int, s: State, p: Pool) -> int:
    """The largest value, as a byte, among the things of a cell; the things' events follow one another."""
    event, best = operand & 0xFF, 0.0
    for bit in range(16):
        if (operand >> 8) >> bit & 1:
            if marks >> np.uint32(bit) & np.uint32(1):
                best = max(best, np.float64(p.value[s.body[b, SLOT], event]))
            event += 1
    return np.int32(min(1.0, best) * level + 0.5)


@inline
def _plane_value(b: int, c: int, cell: int, s: State, p: Pool, g: Program, v: Lens) -> int:
    """The byte of plane c at a cell."""
    value = s.world[b, cell]
    operand, level = v.planes[c, PLANE_OPERAND], v.planes[c, PLANE_LEVEL]
    kind = v.planes[c, PLANE_KIND]
    if kind == WALLS:
        return level if (value & np.uint32(15)) == 2 else 0
    if kind == AGENT_AT:
        here = s.body[b, Y] * g.config[WIDTH] + s.body[b, X] == cell
        return level if here and (operand < 0 or operand == s.body[b, HEADING]) else 0
    if kind == MARKED:
        return level if ((value >> np.uint32(16)) & np.uint32(operand)) != 0 else 0
    if kind == OBJECT_IS:
        return level if (value & np.uint32(0xFF)) == np.uint32(operand) else 0
    if kind == COUNTED:
        return min(255, max(0, s.tally[b, 2 * g.config[EVENTS] + (operand & 0xFF)]) * max(1, operand >> 8))
    if kind == VALUED:
        if ((value >> np.uint32(16)) & np.uint32(operand >> 8)) == 0:
            return 0
        return np.int32(min(1.0, max(0.0, p.value[s.body[b, SLOT], operand & 0xFF])) * level + 0.5)
    if kind == OWN_VALUED:
        return _own_value(b, value >> np.uint32(16), operand, level, s, p)
    if kind == WORDED:
        counters = s.tally.shape[1] - 2 * g.config[EVENTS]
        word = p.start[s.body[b, SLOT], START_QUOTA + g.config[EVENTS] + counters + (operand >> 8)]
        return level if word == operand & 0xFF else 0
    return level if _mover_at(b, operand, cell, s, g.config[WIDTH]) else 0


@inline
def _ego_row(b: int, x: int, y: int, dx: int, dy: int, s: State, g: Program, v: Lens) -> tuple[np.uint64, int]:
    """Seven cells across, from the left: their tiles packed in bytes, and a bit for each one that light passes."""
    clear = 0
    tiles = np.uint64(0)
    width, height = np.int64(g.config[WIDTH]), np.int64(g.config[HEIGHT])
    for i in range(EGO_SIDE):
        tile = WALL_TILE
        solid = WALL_TILE
        if np.uint64(x) < np.uint64(width) and np.uint64(y) < np.uint64(height):
            cell = s.world[np.uint64(b), np.uint64(y * width + x)]
            solid = np.int64(cell & np.uint32(0xFF))
            tile = _tile(cell, v.shown)
            for m in range(s.movers.shape[1]):
                if s.movers[b, m, MOVER_ALIVE] and s.movers[b, m, MOVER_X] == x and s.movers[b, m, MOVER_Y] == y:
                    tile = g.kinds[s.movers[b, m, MOVER_KIND], KIND_CODE]
        if not v.props[np.uint64(solid)] & OPAQUE:
            clear |= 1 << i
        tiles |= np.uint64(tile) << np.uint64(8 * i)
        x -= dy
        y += dx
    return tiles, clear


@inline
def _ego(b: int, s: State, g: Program, v: Lens, obs: NDArray[np.uint8]) -> None:
    """MiniGrid's egocentric view: row by row outwards, the shadow casting of a row in one table look-up.

    What no light reaches is zero in MiniGrid, so everything starts at zero and rows behind the last lit one are left.
    """
    heading = s.body[b, HEADING]
    dx = 1 if heading == 0 else -1 if heading == 2 else 0
    dy = 1 if heading == 1 else -1 if heading == 3 else 0
    for at in range(obs.shape[1]):
        obs[np.uint64(b), np.uint64(at)] = 0
    lit = 1 << MIDDLE
    for ahead in range(EGO_SIDE):
        x = s.body[b, X] + dx * ahead + dy * MIDDLE
        y = s.body[b, Y] + dy * ahead - dx * MIDDLE
        tiles, clear = _ego_row(b, x, y, dx, dy, s, g, v)
        seen = EVERYTHING
        if not g.config[SEE_THROUGH]:
            entry = np.int64(v.sight[lit << EGO_SIDE | clear])
            seen, lit = entry & EVERYTHING, entry >> EGO_SIDE
        at = (EGO_SIDE - 1 - ahead) * 3
        for i in range(EGO_SIDE):
            if seen >> i & 1:
                _write(obs, b, at + i * EGO_SIDE * 3, v.look[(tiles >> np.uint64(8 * i)) & np.uint64(0xFF)])
        if lit == 0:
            break
    held = s.body[b, CARRIED]
    _write(obs, b, (MIDDLE * EGO_SIDE + EGO_SIDE - 1) * 3, v.look[held if held else EMPTY_TILE])


@inline
def observe(
    b: int, fresh: bool, s: State, p: Pool, g: Program, v: Lens, scratch: Scratch, obs: NDArray[np.uint8]
) -> None:
    """Write environment b's observation: all of it if `fresh`, else the dirty cells only."""
    view = g.config[VIEW]
    if view == EGO:
        _ego(b, s, g, v, obs)
        return
    cells = s.world.shape[1]
    whole = fresh or scratch.dirty[0] + 1 == scratch.dirty.shape[0]
    for i in range(cells if whole else scratch.dirty[0]):
        cell = i if whole else scratch.dirty[i + 1]
        if view == FULL:
            _full_cell(b, cell, s, g, v, obs)
        else:
            for c in range(v.planes.shape[0]):
                obs[b, c * cells + cell] = _plane_value(b, c, cell, s, p, g, v)
    if view == FULL:
        _full_overlay(b, s, g, v, obs)


@helper
def observe_anew(b: int, s: State, p: Pool, g: Program, v: Lens, scratch: Scratch, obs: NDArray[np.uint8]) -> None:
    """Write the whole of environment b's observation."""
    observe(b, True, s, p, g, v, scratch, obs)
