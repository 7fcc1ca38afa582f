"""What a handle answers, as data: also where the agent is in another process, and torch is not there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goalscope.envs import Levels

Array = NDArray[np.float64]
INPUT = "input"
"""The site of the observation itself, `[N, planes, H, W]` in [0, 1]: it can be differentiated, not patched."""


@dataclass(frozen=True)
class Outputs:
    """What the agent answers to N frames."""

    probabilities: Array
    """`[N, A]` of its actions."""
    values: Array
    """`[N]` discounted return it expects."""


@dataclass(frozen=True)
class Played:
    """Episodes that the agent played, one a level."""

    levels: Levels
    first: NDArray[np.int64]
    """`[N]` the goal whose event came first, K for neither."""
    lengths: NDArray[np.int32]
    """`[N]` steps."""
    returns: Array
    """`[N]` undiscounted."""
