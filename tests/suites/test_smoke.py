"""The bundled agents and the suite on them: labels are what agents do, and the headline is what the README says."""

from __future__ import annotations

import numpy as np
import pytest

from goalscope.agents.measure import agent_outcomes
from goalscope.agents.members import members
from goalscope.agents.verify import verify
from goalscope.agents.zoo import find_zoo
from goalscope.detectors.calibration import Shares
from goalscope.detectors.controls import load_detector
from goalscope.registry import RECIPES, SUITES
from goalscope.suites.crossfit import crossfit
from goalscope.suites.population import Population, load_population
from goalscope.suites.score import Losses
from goalscope.suites.scores import Interval
from goalscope.suites.standing import interval, kendall, pooled
from goalscope.suites.truth import Truth, truths

SMOKE = SUITES.load("smoke")


@pytest.fixture(scope="module")
def populations() -> list[Population]:
    zoo = find_zoo(SMOKE.zoo)
    return [load_population(zoo, name, SMOKE.levels, SMOKE.folds) for name in SMOKE.recipes]


@pytest.fixture(scope="module")
def known(populations: list[Population]) -> list[Truth]:
    return truths(populations)


def skill(known: list[Truth], forecasts: list[Shares]) -> Interval:
    parts: Losses = pooled(known, forecasts, "strata")
    return interval(parts, known)[0]


def forecasts_of(name: str, populations: list[Population]) -> list[Shares]:
    found = []
    for population in populations:
        cases = crossfit(load_detector(name), population, 0, SMOKE.budget)
        assert all(case.forecast is not None for case in cases), cases[0].message
        found.append(np.stack([case.forecast for case in cases if case.forecast is not None]))
    return found


def test_the_zoo_is_whole() -> None:
    wanted = members([RECIPES.load(name) for name in SMOKE.shown])
    assert len(wanted) == 80
    assert verify(find_zoo(SMOKE.zoo), wanted) == []


def test_labels_are_what_the_stored_agents_do(populations: list[Population]) -> None:
    for population in populations:
        levels = population.query.levels.take(slice(0, 32))
        for agent in (0, 7):
            again = agent_outcomes(population.agents[agent], population.query.distribution, levels)
            np.testing.assert_allclose(again, population.truths[agent, :32], atol=1e-5)


def test_known_forecasts_have_their_known_scores(populations: list[Population], known: list[Truth]) -> None:
    assert skill(known, [t.shares for t in known]).value == pytest.approx(1)
    assert skill(known, [t.leave_one_out for t in known]).value == pytest.approx(-1 / 15)
    mean = skill(known, forecasts_of("recipe_mean", populations))
    assert mean.high > -0.05 and -0.25 < mean.value < 0.05  # covers zero, or lies just below it
    opposite = [2 * t.shares.mean(0) - t.shares for t in known]
    assert skill(known, opposite).high < -2


def test_agents_of_every_admitted_recipe_differ(known: list[Truth]) -> None:
    for truth in known:
        shares = truth.shares.mean(1)
        conditional = shares[:, truth.intended] / shares[:, :-1].sum(1)
        assert conditional.std(ddof=1) >= 0.10, truth.name


def test_attribution_on_training_frames_forecasts_and_its_control_does_not(
    populations: list[Population], known: list[Truth]
) -> None:
    own = forecasts_of("path_attribution", populations)
    control = skill(known, forecasts_of("path_attribution~untrained", populations))
    found = skill(known, own)
    assert found.low > max(0, control.high)
    assert np.mean([kendall(t, f) for t, f in zip(known, own, strict=True)]) > 0.5
