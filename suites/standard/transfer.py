"""The transfer suite: forecasts for recipes, and for families, of which no agent with known outcomes is at hand."""

from goalscope.suites.standard.core import SUITE as CORE
from goalscope.suites.suite import Suite

SUITE = Suite(
    name="transfer",
    zoo=CORE.zoo,
    recipes=CORE.recipes,
    detectors=(
        "in_distribution",
        "policy_gradient",
        "path_attribution",
        "endpoint_attribution",
        "value_gradient",
        "linear_probe",
        "interchange",
        "weight_norms",
        "initial_weight_norms",
        "ask_the_policy",
        "interchange_twins",
    ),
    settings=("recipe", "family"),
    contrasts=(
        ("path_attribution", "in_distribution"),
        ("path_attribution", "weight_norms"),
        ("interchange_twins", "ask_the_policy"),
    ),
)
