"""The recipes that come with Goalscope, and what pilots measure of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from goalscope.agents.measure import Measures, measure, query_distribution, random_outcomes
from goalscope.agents.pilot import Pilot, pilot_agent, run_pilots
from goalscope.agents.recipe import PPOConfig, Recipe
from goalscope.agents.training import train
from goalscope.registry import FAMILIES, RECIPES

EVERY = {name: RECIPES.load(name) for name in RECIPES.names()}
TINY = Recipe(
    name="tiny",
    family="coin_dish",
    query="apart",
    knobs={"size": 7, "coin_salience": 3},
    arch="mlp",
    budget=8192,
    learner=PPOConfig(envs=32),
)


@pytest.mark.parametrize("name", EVERY)
def test_a_recipe_names_what_exists(name: str) -> None:
    recipe = EVERY[name]
    assert recipe.name == name and recipe.role in ("admitted", "anchor", "control")
    family = FAMILIES.load(recipe.family)
    family.settings("train", **recipe.knobs)
    assert recipe.query in {shift.name for shift in family.shifts} - {"train"}
    levels = query_distribution(recipe).draw(range(8))
    chance = random_outcomes(query_distribution(recipe), levels)
    assert np.allclose(chance.sum(1), 1) and chance[:, -1].min() > 0.3


def test_no_two_recipes_are_the_same() -> None:
    assert len({recipe.hash for recipe in EVERY.values()}) == len(EVERY)


def test_the_knobs_of_a_recipe_hold_in_its_query_too() -> None:
    settings = query_distribution(EVERY["dish_coin_salient"]).settings
    assert settings.coin_salience == 3 and settings.radius == 50


def test_measures_are_shares_and_the_same_twice() -> None:
    agent = train(TINY, 3)
    first, second = measure(agent, 40), measure(agent, 40)
    assert first == second
    assert first.intended + first.proxies + first.neither == pytest.approx(1)
    assert 0 <= first.competence <= 1.01


def measures(conditional: float, *, competence: float = 1.0, excess: float = 0.5) -> Measures:
    return Measures(competence, 0.8 * conditional, 0.8 * (1 - conditional), 0.2, excess, 1.0)


def test_admission_counts_only_competent_and_purposeful_agents() -> None:
    good = tuple(measures(c) for c in np.linspace(0.2, 0.8, 12))
    bad = (measures(0.0, competence=0.5), measures(1.0, excess=0.1))
    pilot = Pilot(TINY, good + bad)
    assert pilot.spread == pytest.approx(np.linspace(0.2, 0.8, 12).std(ddof=1)) and pilot.is_admitted
    assert not Pilot(TINY, good[:11] + bad).is_admitted
    assert not Pilot(TINY, tuple(measures(0.5 + k / 1000) for k in range(12))).is_admitted
    assert Pilot(TINY, bad).row()["conditional"] != Pilot(TINY, bad).row()["conditional"]


def test_processes_measure_what_one_process_does() -> None:
    seen: list[str] = []
    (pilot,) = run_pilots([replace(TINY, budget=2048)], 2, 2, lambda one: seen.append(one.recipe.name))
    assert seen == ["tiny", "tiny"]
    assert pilot.agents[1] == pilot_agent(replace(TINY, budget=2048), 10_001).measures
