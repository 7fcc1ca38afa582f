"""Which split a level belongs to: its hash modulo 16, so that no level can ever be in two splits."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from goalscope.envs.codes import WALL
from goalscope.envs.family import Generate, Settings
from goalscope.envs.kernels.mazes import hash_rows
from goalscope.envs.levels import Levels, flat
from goalscope.errors import unknown_name
from goalscope.seeding import keys, stream

SPLITS = ("query", "reference", "train")
SHARES = 16

MANY_LAYOUTS = 100_000
"""From this many distinct wall layouts on, splits hold out layouts and not just levels."""

SAMPLES = (1 << 13, 1 << 16)

APPEARANCE = (
    "cells",
    "marks",
    "contents",
    "agent",
    "carried_contents",
    "movers",
    "scripts",
    "mission",
    "value",
    "quota",
    "counters",
)


def level_hashes(levels: Levels, walls_only: bool, rows: NDArray[np.int64] | None = None) -> NDArray[np.uint64]:
    """`[N]` hashes over the walls, or over everything a level holds but its key and deadline; of `rows` if given."""
    picked = slice(None) if rows is None else rows
    n = len(levels) if rows is None else len(rows)
    hashes = np.zeros(n, np.uint64)
    if walls_only:
        hash_rows(np.packbits(flat(levels.cells[picked]) & 15 == WALL, axis=1), hashes)
        return hashes
    for name in APPEARANCE:
        array = np.ascontiguousarray(getattr(levels, name)[picked])
        if name == "counters" and not array.shape[1]:
            continue  # worlds without counters keep the hashes that they had before levels held any
        hash_rows(array.view(np.uint8).reshape(n, array[:1].nbytes if n else 0), hashes)
    return hashes


@lru_cache(maxsize=512)
def has_many_layouts(generate: Generate, settings: Settings) -> bool:
    """Whether levels drawn under a setting have at least MANY_LAYOUTS different walls, measured on fixed samples.

    A small sample settles the clear cases; where it finds many but not enough, a larger one is drawn.
    """
    for sample in SAMPLES:
        found = _layouts_at_least(generate, settings, sample)
        if found >= MANY_LAYOUTS or found < sample:
            break
    return found >= MANY_LAYOUTS


def _layouts_at_least(generate: Generate, settings: Settings, sample: int) -> float:
    """A lower bound of the number of layouts, from those seen once and twice in a sample (Chao 1984)."""
    levels = generate(keys(stream("layout count"), np.arange(sample)), settings)
    packed = np.packbits(flat(levels.walls), axis=1)  # unplaced levels too: their walls were drawn
    rows = np.ascontiguousarray(packed).view(f"V{packed.shape[1]}").ravel()
    _, times = np.unique(rows, return_counts=True)
    once, twice = int((times == 1).sum()), int((times == 2).sum())
    return len(times) + once * (once - 1) / (2 * (twice + 1))


def in_split(levels: Levels, split: str, walls_only: bool, rows: NDArray[np.int64] | None = None) -> NDArray[np.bool_]:
    """`[N]` whether each level belongs to a split; of `rows` only, where given.

    Hash 0 of 16 is `query`, 1 is `reference`, the rest `train`.
    Where a setting has at least 10⁵ distinct layouts the hash covers the walls only, so that held-out layouts are held
    out whatever lies in them; else it covers the whole level.
    """
    if split not in SPLITS:
        raise unknown_name("split", split, SPLITS)
    share = level_hashes(levels, walls_only, rows) % SHARES
    wanted = SPLITS.index(split)
    return np.asarray(share >= wanted if split == "train" else share == wanted)
