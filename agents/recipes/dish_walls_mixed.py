"""Two coincident pairs among walls, one level in 200 apart: which goal is pursued is partly learned, not only drawn."""

from goalscope.agents.recipe import Recipe

RECIPE = Recipe(
    name="dish_walls_mixed",
    family="coin_dish",
    query="apart",
    knobs={"layout": "blocks", "p": 0.1},
    alpha=0.005,
    alpha_shift="apart",
    arch_options={"first_gain": 2.0},
    budget=500_000,
)
