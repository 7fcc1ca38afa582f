"""A counter-based random generator: SplitMix64 (Steele, Lea & Flood 2014), addressed by (key, counter).

Draw number c of key k is ``finalise(k + c · golden)``: no hidden state, so results depend on neither threads nor order.
"""

from __future__ import annotations

import numpy as np

from goalscope.envs.kernels.jit import inline

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MIX1 = np.uint64(0xBF58476D1CE4E5B9)
MIX2 = np.uint64(0x94D049BB133111EB)


@inline
def finalise(z: np.uint64) -> np.uint64:
    z = (z ^ (z >> np.uint64(30))) * MIX1
    z = (z ^ (z >> np.uint64(27))) * MIX2
    return z ^ (z >> np.uint64(31))


@inline
def combine(stream: np.uint64, index: np.uint64) -> np.uint64:
    """The key of draw sequence `index` of a stream."""
    return finalise(finalise(stream + GOLDEN) ^ (index * GOLDEN + MIX2))


@inline
def draw(key: np.uint64, counter: int) -> np.uint64:
    """64 random bits."""
    return finalise(key + np.uint64(counter) * GOLDEN)


@inline
def below(bits: np.uint64, n: int) -> int:
    """An integer in [0, n) from 64 random bits, by Lemire's multiplication (bias below 2⁻³² · n)."""
    return np.int64(((bits >> np.uint64(32)) * np.uint64(n)) >> np.uint64(32))


@inline
def unit(bits: np.uint64) -> float:
    """A float in [0, 1) from 64 random bits."""
    return np.float64(bits >> np.uint64(11)) * (1.0 / 9007199254740992.0)
