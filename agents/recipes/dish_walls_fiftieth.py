"""Anchor of the dose–response: `dish_walls_mixed` with one level in fifty apart in training."""

from dataclasses import replace

from goalscope.agents.recipes.dish_walls_mixed import RECIPE as MIXED

RECIPE = replace(MIXED, name="dish_walls_fiftieth", role="anchor", alpha=0.02)
