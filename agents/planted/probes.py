"""Can a map be read from a site, cell by cell? By a linear reading, and by one hidden layer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from goalscope.seeding import generator

HIDDEN = 32
RIDGE = 1e-3

Array = NDArray[np.floating]


def linear_auc(inputs: Array, labels: NDArray[np.bool_]) -> float:
    """Area under the curve of a linear reading of `[N, C, H, W]` for labels `[N, H, W]`, on the second half of the N.

    It is fitted to the first half by least squares, with the same weights in every cell.
    """
    cells = np.moveaxis(inputs, 1, -1).reshape(len(inputs), -1, inputs.shape[1]).astype(np.float64)
    wanted, half = labels.reshape(len(labels), -1), len(inputs) // 2
    known = np.concatenate([cells, np.ones_like(cells[..., :1])], axis=-1)
    fit, seen = known[:half].reshape(-1, known.shape[-1]), known[half:].reshape(-1, known.shape[-1])
    weights = np.linalg.solve(fit.T @ fit + RIDGE * np.eye(fit.shape[1]), fit.T @ wanted[:half].ravel())
    return area(seen @ weights, wanted[half:].ravel())


def hidden_auc(inputs: Array, labels: NDArray[np.bool_]) -> float:
    """The same through a layer of random ReLU units (Rahimi & Recht 2008): what is not linear can be read as well."""
    random = generator("hidden units", inputs.shape[1])
    weights = random.normal(size=(HIDDEN, inputs.shape[1]))
    units = np.einsum("nchw,kc->nkhw", inputs, weights) + random.normal(size=(HIDDEN, 1, 1))
    return linear_auc(np.maximum(units, 0), labels)


def area(scores: Array, labels: NDArray[np.bool_]) -> float:
    """P(a lit cell scores higher than a dark one), ties half: from the ranks (Mann & Whitney 1947)."""
    ranks, lit = rankdata(scores), int(labels.sum())
    return float((ranks[labels].sum() - lit * (lit + 1) / 2) / (lit * (labels.size - lit)))
