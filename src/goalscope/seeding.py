"""One seed in, independent streams out.

Every random draw in Goalscope is addressed by a *key*: a pair ``(stream, index)`` of 64-bit integers.
A stream is a hash of names (family, knobs, split, seed …), an index counts within it. What is drawn under a key
depends on nothing else, so any subset of draws, in any order, on any number of threads, gives the same bytes.
"""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]
"""`[N, 2]` uint64: stream and index of N independent draws."""

MASK64 = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15


def stream(*parts: Any) -> int:
    """Hash names, numbers and JSON-able mappings into a 64-bit stream number."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def keys(stream_number: int, indices: Any) -> Keys:
    """Keys ``(stream_number, i)`` for every i of `indices` (`[N]` integers): `[N, 2]` uint64."""
    index = np.atleast_1d(np.asarray(indices)).astype(np.uint64)
    out = np.empty((len(index), 2), np.uint64)
    out[:, 0] = stream_number & MASK64
    out[:, 1] = index
    return out


def substream(parents: Keys, tag: int) -> Keys:
    """Independent keys derived from `parents`, one family of draws for each `tag`: `[N, 2]` uint64.

    The stream is re-mixed (the finaliser of SplitMix64, Steele et al. 2014) and the index kept.
    """
    out = parents.copy()
    with np.errstate(over="ignore"):
        z = out[:, 0] + np.uint64((GOLDEN * (tag + 1)) & MASK64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        out[:, 0] = z ^ (z >> np.uint64(31))
    return out


def generator(*parts: Any) -> np.random.Generator:
    """A NumPy generator for host-side draws, seeded by the hash of `parts`."""
    return np.random.Generator(np.random.Philox(key=stream(*parts)))
