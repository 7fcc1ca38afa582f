"""Fresh keys for levels that are drawn again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goalscope.envs.kernels.jit import kernel
from goalscope.envs.kernels.rng import GOLDEN, finalise


@kernel()
def retry_keys(parents: NDArray[np.uint64], first: int, keys: NDArray[np.uint64]) -> None:
    """Fill `keys` `[tries · N, 2]`: those of `parents` `[N, 2]` for the draws from `first` on, N a draw.

    The keys of one draw are those of :func:`goalscope.seeding.substream` with the draw's number for a tag.
    """
    n = parents.shape[0]
    for t in range(keys.shape[0] // max(n, 1)):
        step = GOLDEN * np.uint64(first + t + 1)
        for i in range(n):
            keys[t * n + i, 0] = finalise(parents[i, 0] + step)
            keys[t * n + i, 1] = parents[i, 1]
