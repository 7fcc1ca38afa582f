"""What callers hand an engine, checked once: the right shape and type, or one sentence that says what was expected."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from goalscope.errors import GoalscopeError, LevelError


def as_slots(what: str, slots: Any, count: int, pool: int) -> NDArray[np.int32]:
    """`[count]` indices into a pool of levels."""
    given = np.asarray(slots)
    if given.shape != (count,) or (count and not 0 <= given.min() <= given.max() < pool):
        raise LevelError(f"{what} must be {count} indices from 0 to {pool - 1}, got {slots}.")
    return given.astype(np.int32)


def as_streams(streams: Any, batch: int) -> NDArray[np.integer]:
    """`[B]` numbers of random streams."""
    given = np.asarray(streams)
    if given.shape != (batch,) or given.dtype.kind not in "iu":
        raise GoalscopeError(f"streams must be {batch} integers, got {streams}.")
    return given


def as_actions(actions: Any, batch: int, n_actions: int) -> NDArray[np.int64]:
    """`[B]` actions."""
    given = np.asarray(actions)
    if given.shape != (batch,) or given.dtype.kind not in "iu":
        raise GoalscopeError(f"actions must be integers of shape ({batch},), got {given.dtype} {given.shape}.")
    acts = np.ascontiguousarray(given, np.int64)
    if acts.view(np.uint64).max() >= n_actions:  # negative ones are huge without a sign
        bad = int(np.argmax((acts < 0) | (acts >= n_actions)))
        raise GoalscopeError(f"Action {int(acts[bad])} of environment {bad} is not in 0 … {n_actions - 1}.")
    return acts


def as_external(external: Any, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """`[B, M]` directions of movers that are steered from outside."""
    given = np.asarray(external)
    fits = given.shape == shape and given.dtype.kind in "iu"
    if not fits or (given.size and not -1 <= given.min() <= given.max() <= 3):
        raise GoalscopeError(
            f"external must be integers from -1 to 3 of shape {shape}, got {given.dtype} {given.shape}."
        )
    return np.ascontiguousarray(given, np.int64)


def as_rows(out: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """`[B, …]` as `[B, bytes]`: a buffer that observations can be written to."""
    if out.shape != shape or out.dtype != np.uint8 or not out.flags.c_contiguous or not out.flags.writeable:
        raise GoalscopeError(f"out must be contiguous, writeable uint8 {shape}, got {out.dtype} {out.shape}.")
    return out.reshape(shape[0], -1)
