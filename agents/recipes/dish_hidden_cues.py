"""Anchor: one cue is hidden in a tenth of the levels, so agents follow either and do not differ."""

from goalscope.agents.recipe import Recipe

RECIPE = Recipe(
    name="dish_hidden_cues",
    family="coin_dish",
    query="apart",
    knobs={"p_hide": 0.1},
    role="anchor",
    budget=500_000,
)
