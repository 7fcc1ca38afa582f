"""Which split a level belongs to: its hash modulo 16, so that no level can ever be in two splits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goalscope.envs.family import Settings
from goalscope.envs.kernels.mazes import hash_rows
from goalscope.envs.layouts import has_many_layouts
from goalscope.envs.levels import Levels
from goalscope.errors import unknown_name

SPLITS = ("query", "reference", "train")
SHARES = 16

APPEARANCE = ("cells", "marks", "contents", "agent", "carried_contents", "movers", "mission", "value", "quota")


def level_hashes(levels: Levels, walls_only: bool) -> NDArray[np.uint64]:
    """`[N]` hashes over the walls, or over everything a level holds but its key and deadline."""
    hashes = np.zeros(len(levels), np.uint64)
    if walls_only:
        hash_rows(np.packbits(levels.walls.reshape(len(levels), -1), axis=1), hashes)
        return hashes
    for name in APPEARANCE:
        array = np.ascontiguousarray(getattr(levels, name))
        hash_rows(array.view(np.uint8).reshape(len(levels), array[:1].nbytes if len(levels) else 0), hashes)
    return hashes


def in_split(levels: Levels, split: str, settings: Settings) -> NDArray[np.bool_]:
    """`[N]` whether each level belongs to a split: hash 0 of 16 is `query`, 1 is `reference`, the rest `train`.

    Where a setting has at least 10⁵ distinct layouts the hash covers the walls, so held-out layouts are held out
    whatever lies in them; else it covers the whole level.
    """
    if split not in SPLITS:
        raise unknown_name("split", split, SPLITS)
    share = level_hashes(levels, has_many_layouts(settings)) % SHARES
    wanted = SPLITS.index(split)
    return np.asarray(share >= wanted if split == "train" else share == wanted)
