"""Two equal red balls, no distractors; the query lights planes that training never lit."""

from goalscope.agents.recipe import Recipe

RECIPE = Recipe(
    name="shape_two_targets",
    family="colour_shape",
    query="apart",
    arch_options={"first_gain": 3.0},
    budget=500_000,
)
