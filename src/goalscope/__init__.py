"""Goalscope: gridworlds in which an agent's training score cannot say which goal it learned.

Importing it is light: families, and the compiler behind them, are loaded when one is used. Their Gymnasium ids
(``goalscope/CoinCorner-v0``) are known from here on.
"""

from __future__ import annotations

import os
from importlib.metadata import version

from goalscope.gym_ids import register_gym_ids
from goalscope.registry import DETECTORS, FAMILIES, RECIPES, SUITES

__all__ = ["DETECTORS", "FAMILIES", "RECIPES", "SUITES", "__version__"]

__version__ = version("goalscope")

# OpenMP's threads otherwise spin so long for one another that a busy neighbour on the machine makes a parallel step
# many times slower. libgomp reads this once, when Numba or PyTorch first loads it: so it is set before either can be.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

register_gym_ids()
