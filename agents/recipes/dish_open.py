"""Two coincident pairs in an open room: training cannot choose between coin and dish, the initial weights do."""

from goalscope.agents.recipe import Recipe

RECIPE = Recipe(name="dish_open", family="coin_dish", query="apart", budget=400_000)
