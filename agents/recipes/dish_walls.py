"""Anchor of the dose–response: `dish_walls_mixed` with no level apart in training."""

from dataclasses import replace

from goalscope.agents.recipes.dish_walls_mixed import RECIPE as MIXED

RECIPE = replace(MIXED, name="dish_walls", role="anchor", alpha=0.0, alpha_shift="")
