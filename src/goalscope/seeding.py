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


def _step(tag: int) -> np.uint64:
    """How far a tag moves a stream before it is re-mixed."""
    return np.uint64((GOLDEN * (tag + 1)) & MASK64)


def substream(parents: Keys, tag: int) -> Keys:
    """Independent keys derived from `parents`, one family of draws for each `tag`: `[N, 2]` uint64.

    The stream is re-mixed, by the finaliser of SplitMix64 (Steele et al. 2014), and the index kept.
    """
    from goalscope.envs.kernels.streams import sub_keys  # kernels take long to import, and that package imports this

    out = np.empty(parents.shape, np.uint64)
    sub_keys(np.ascontiguousarray(parents), _step(tag), out)
    return out


def generator(*parts: Any) -> np.random.Generator:
    """A NumPy generator for host-side draws, seeded by the hash of `parts`."""
    return np.random.Generator(np.random.Philox(key=stream(*parts)))


def bits(parents: Keys, tag: int) -> NDArray[np.uint64]:
    """`[N]` 64 random bits a key, independent between tags."""
    from goalscope.envs.kernels.streams import random_bits

    out = np.empty(len(parents), np.uint64)
    random_bits(np.ascontiguousarray(parents), _step(tag), out)
    return out


def uniform(parents: Keys, tag: int) -> NDArray[np.float64]:
    """`[N]` floats in [0, 1), one a key, independent between tags."""
    return (bits(parents, tag) >> np.uint64(11)).astype(np.float64) / 2.0**53


def integers(parents: Keys, tag: int, n: int) -> NDArray[np.int64]:
    """`[N]` integers in [0, n), one a key, independent between tags."""
    return (uniform(parents, tag) * n).astype(np.int64)
