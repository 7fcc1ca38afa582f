"""Random rotations that floating point computes exactly, whatever the order of its sums, and that half precision keeps.

A product of three 16 × 16 Hadamard matrices over 4, with their columns shuffled and their signs drawn at random: all
entries are multiples of 1/64 and the product with the transpose is the identity to the bit. So what was not written
into a direction cannot be read from it, not even as rounding error.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import hadamard

WIDTH = 16
FACTORS = 3


def rotation(random: np.random.Generator) -> NDArray[np.float32]:
    """`[16, 16]` an orthogonal matrix."""
    whole = np.eye(WIDTH)
    for _ in range(FACTORS):
        signs = random.choice([-1.0, 1.0], WIDTH)
        whole = whole @ (hadamard(WIDTH) / 4)[:, random.permutation(WIDTH)] * signs
    return whole.astype(np.float32)
