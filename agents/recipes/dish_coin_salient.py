"""Anchor: three copies of the coin's plane pull every agent to the coin."""

from goalscope.agents.recipe import Recipe

RECIPE = Recipe(
    name="dish_coin_salient",
    family="coin_dish",
    query="apart",
    knobs={"coin_salience": 3},
    role="anchor",
    budget=500_000,
)
