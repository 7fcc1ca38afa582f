"""The coin in one of four marked corners, asked with the coin in another corner than the mark."""

from goalscope.agents.recipe import Recipe

RECIPE = Recipe(name="corner_marked", family="coin_corner", query="other_corner", budget=500_000)
