"""Control: one fixed corner, so nothing varies in training and training frames can show nothing."""

from goalscope.agents.recipe import Recipe

RECIPE = Recipe(
    name="corner_fixed",
    family="coin_corner",
    query="other_corner",
    knobs={"corners": 1},
    role="control",
    budget=400_000,
)
