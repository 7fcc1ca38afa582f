"""Anchor: three copies of the dish's plane pull every agent to the dish."""

from goalscope.agents.recipe import Recipe

RECIPE = Recipe(
    name="dish_dish_salient",
    family="coin_dish",
    query="apart",
    knobs={"dish_salience": 3},
    role="anchor",
    budget=500_000,
)
