"""The smoke suite: the bundled agents, the whole protocol of setting S_seed, about a minute on two cores."""

from goalscope.suites.suite import Suite

SUITE = Suite(
    name="smoke",
    zoo="smoke",
    recipes=("corner_marked", "dish_open", "dish_walls_mixed", "shape_two_targets"),
    anchors=("dish_coin_salient", "dish_dish_salient", "dish_hidden_cues", "corner_fixed", "dish_one_pair"),
    doses=("dish_walls", "dish_walls_mixed", "dish_walls_fiftieth", "dish_walls_tenth"),
    detectors=(
        "uniform",
        "recipe_mean",
        "geometry",
        "pipeline_history",
        "in_distribution",
        "max_ent_irl",
        "meg",
        "policy_gradient",
        "path_attribution",
        "path_attribution~untrained",
        "endpoint_attribution",
        "value_gradient",
        "linear_probe",
        "linear_probe~raw",
        "linear_probe~untrained",
        "interchange",
        "weight_norms",
        "initial_weight_norms",
        "ask_the_policy",
        "interchange_twins",
        "rollouts",
    ),
    contrasts=(
        ("path_attribution", "in_distribution"),
        ("path_attribution", "path_attribution~untrained"),
        ("linear_probe", "linear_probe~raw"),
        ("interchange_twins", "ask_the_policy"),
    ),
)
