"""Breadth-first search over cells, or over cells × headings where the agent turns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goalscope.envs.kernels.jit import inline, kernel

FAR = np.int16(-1)


@inline
def step_of(direction: int, width: int) -> int:
    """What a step to the right, down, left or up adds to a cell's number."""
    return 1 if direction == 0 else width if direction == 1 else -1 if direction == 2 else -width


@inline
def flood(
    blocked: NDArray[np.uint8],
    n: int,
    start: int,
    width: int,
    seen: NDArray[np.int32],
    stamp: int,
    queue: NDArray[np.int16],
) -> int:
    """Stamp `seen` on every cell that can be reached from `start`; returns how many. The border must be blocked."""
    seen[start] = stamp
    queue[0] = start
    head, tail = 0, 1
    while head < tail:
        here = queue[head]
        head += 1
        for direction in range(4):
            there = here + step_of(direction, width)
            if seen[there] != stamp and not blocked[n, there]:
                seen[there] = stamp
                queue[tail] = there
                tail += 1
    return tail


@kernel(allocates=True)
def cell_distances(
    blocked: NDArray[np.uint8], target: NDArray[np.uint8], width: int, distance: NDArray[np.int16]
) -> None:
    """Steps to the nearest target cell, −1 where out of reach.

    `blocked`, `target` `[N, H·W]` bytes, `distance` `[N, H·W]`; a blocked cell has no distance unless it is a target
    (a target may be entered but not passed: an agent that has arrived has arrived). The border must be blocked.
    """
    queue = np.empty(blocked.shape[1], np.int16)
    for n in range(blocked.shape[0]):
        tail = 0
        for cell in range(blocked.shape[1]):
            distance[n, cell] = FAR
            if target[n, cell]:
                distance[n, cell] = 0
                queue[tail] = cell
                tail += 1
        head = 0
        while head < tail:
            here = queue[head]
            head += 1
            for direction in range(4):
                there = here + step_of(direction, width)
                if 0 <= there < blocked.shape[1] and distance[n, there] == FAR and not blocked[n, there]:
                    distance[n, there] = distance[n, here] + 1
                    queue[tail] = there
                    tail += 1


@kernel(allocates=True)
def heading_distances(
    blocked: NDArray[np.uint8], target: NDArray[np.uint8], width: int, distance: NDArray[np.int16]
) -> None:
    """As :func:`cell_distances` for an agent that turns: `distance` `[N, 4, H·W]` counts turns and forward steps."""
    cells = blocked.shape[1]
    queue = np.empty(4 * cells, np.int32)
    for n in range(blocked.shape[0]):
        tail = 0
        for heading in range(4):
            for cell in range(cells):
                distance[n, heading, cell] = FAR
                if target[n, cell]:
                    distance[n, heading, cell] = 0
                    queue[tail] = heading * cells + cell
                    tail += 1
        head = 0
        while head < tail:
            heading, here = queue[head] // cells, queue[head] % cells
            head += 1
            reached = distance[n, heading, here] + 1
            back = here - step_of(heading, width)
            if 0 <= back < cells and distance[n, heading, back] == FAR and not blocked[n, back]:
                distance[n, heading, back] = reached
                queue[tail] = heading * cells + back
                tail += 1
            for turn in (1, 3):
                other = (heading + turn) & 3
                if distance[n, other, here] == FAR and not blocked[n, here]:
                    distance[n, other, here] = reached
                    queue[tail] = other * cells + here
                    tail += 1
