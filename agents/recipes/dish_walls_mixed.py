"""Two coincident pairs among walls, one level in a hundred apart: which goal is pursued is learned, not drawn."""

from goalscope.agents.recipe import Recipe

RECIPE = Recipe(
    name="dish_walls_mixed",
    family="coin_dish",
    query="apart",
    knobs={"layout": "blocks", "p": 0.1},
    alpha=0.01,
    alpha_shift="apart",
    budget=500_000,
)
