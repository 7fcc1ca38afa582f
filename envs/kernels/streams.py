"""Keys and bits of many streams at once, for :mod:`goalscope.seeding`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goalscope.envs.kernels.jit import kernel
from goalscope.envs.kernels.rng import GOLDEN, finalise


@kernel()
def sub_keys(parents: NDArray[np.uint64], step: np.uint64, keys: NDArray[np.uint64]) -> None:
    """Fill `keys` `[N, 2]`: the streams of `parents` `[N, 2]` re-mixed after a step, their indices kept."""
    for n in range(parents.shape[0]):
        keys[n, 0] = finalise(parents[n, 0] + step)
        keys[n, 1] = parents[n, 1]


@kernel()
def random_bits(parents: NDArray[np.uint64], step: np.uint64, bits: NDArray[np.uint64]) -> None:
    """Fill `bits` `[N]` from the sub-keys of `parents` `[N, 2]`."""
    for n in range(parents.shape[0]):
        bits[n] = finalise(finalise(parents[n, 0] + step) ^ finalise(parents[n, 1] + GOLDEN))
