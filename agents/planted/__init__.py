"""Planted agents: a known mechanism, written into the weights by hand, that checks its defining property when made.

In the order of reading: settings and mechanisms say what is planted, wiring and bus how, checks and truth what holds.
"""

from goalscope.agents.planted.settings import PlantedConfig
from goalscope.agents.planted.truth import planted_truth

__all__ = ["PlantedConfig", "planted_truth"]
