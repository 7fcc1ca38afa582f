"""Control: a single pair; agents that have only ever seen both together dither between two single things."""

from goalscope.agents.recipe import Recipe

RECIPE = Recipe(
    name="dish_one_pair",
    family="coin_dish",
    query="apart",
    knobs={"pairs": 1},
    role="control",
    budget=400_000,
)
