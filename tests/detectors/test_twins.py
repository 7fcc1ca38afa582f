"""Twins: what behaves alike and is alike inside wherever training shows it, and pursues opposite goals under the shift.

Methods that see outputs and activations on the support cannot tell two twins apart, whatever they make of them; methods
that differentiate the network, or read its weights, can. This is where the benchmark itself is tested.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest

from goalscope.agents.agent import Agent
from goalscope.agents.measure import agent_outcomes
from goalscope.agents.network import make_network
from goalscope.agents.planted import PlantedConfig
from goalscope.agents.planted.make import make_planted
from goalscope.agents.planted.probes import area
from goalscope.agents.planted.scene import Scene
from goalscope.agents.recipe import Recipe
from goalscope.agents.storage import rounded
from goalscope.agents.training import frame_shape
from goalscope.detectors import AgentHandle, Detector, Query, Track, detector
from goalscope.detectors.bench import one_thread
from goalscope.detectors.calibration import Shares
from goalscope.detectors.contrast import SINGLES
from goalscope.detectors.controls import controls_of, load_detector
from goalscope.detectors.probe import fit_probe
from goalscope.detectors.query import query_for
from goalscope.errors import UnsupportedError
from goalscope.registry import DETECTORS, SUITES
from goalscope.suites.crossfit import crossfit
from goalscope.suites.population import Population

SMOKE = SUITES.load("smoke")
BLIND = ("in_distribution", "max_ent_irl", "meg", "linear_probe~raw")
"""Methods that see outputs and activations on the support, and nothing else of an agent."""
SIGHTED = ("policy_gradient", "path_attribution", "endpoint_attribution", "value_gradient", "linear_probe")
"""Those that differentiate the network; the probe reads its activations, and is read back to the planes."""
OTHERS = ("weight_norms", "ask_the_policy", "interchange_twins")
"""Those that read weights, or see frames under the shift."""
UNTRAINED = tuple(f"{name}~untrained" for name in (*SIGHTED, *OTHERS))
"""Controls that look at a network which is no agent's."""
QUERIES = {"coin_dish": "apart", "coin_corner": "other_corner", "colour_shape": "apart"}
FOLDS = 4


@pytest.fixture(autouse=True)
def as_in_a_run() -> Iterator[None]:
    with one_thread():
        yield


@detector(track="whitebox")
def probe_alone(agent: AgentHandle, query: Query) -> Shares:
    """The weights of a linear probe on the bus for every action's progress, on a few directions, and its fit."""
    frames = agent.frames(SINGLES)
    found = agent.activations(frames, ["bus"])["bus"].reshape(SINGLES, -1)
    weights, fit = fit_probe(found, agent.approach(frames, agent.intended))
    return np.append((weights @ agent.rng.normal(size=(weights.shape[1], 4))).ravel(), fit)


def twins(family: str) -> Recipe:
    return Recipe(
        name=f"{family} twins",
        family=family,
        query=QUERIES[family],
        role="planted",
        arch="bus",
        budget=0,
        learner=PlantedConfig(mechanism="twins"),
    )


@cache
def agents(family: str, pairs: int) -> tuple[Agent, ...]:
    """Twins by pairs; every pair has a bus of its own."""
    recipe, found = twins(family), []
    for seed in range(2 * pairs):
        network = make_network("bus", frame_shape(recipe), 4, seed)
        initial = {name: weights.clone() for name, weights in network.state_dict().items()}
        found.append(rounded(Agent(recipe, seed, make_planted(network, Scene(recipe, seed)).eval(), initial, ())))
    return tuple(found)


def evidence(method: Detector, family: str, pairs: int, seed: int = 0) -> Shares:
    """`[agents, E]` what a method says of each twin, within the suite's budget."""
    query = query_for(twins(family), 16)
    told = [
        method.evidence(AgentHandle(agent, method.track, SMOKE.budget, seed), query) for agent in agents(family, pairs)
    ]
    return np.stack([np.atleast_1d(np.asarray(each, np.float64)) for each in told])


def intends(family: str, pairs: int) -> np.ndarray:
    """`[agents]` whether a twin pursues the intended goal."""
    scenes = [Scene(agent.recipe, agent.seed) for agent in agents(family, pairs)]
    return np.array([scene.family.goal(scene.goals[0]).intended for scene in scenes])


def separation(told: Shares, intended: np.ndarray) -> Shares:
    """`[E]` area under the curve of every number of the evidence for "pursues the intended goal"."""
    return np.array([area(column, intended) for column in told.T])


def check_blind(method: Detector, family: str, pairs: int) -> None:
    told = evidence(method, family, pairs)
    assert np.array_equal(told[::2], told[1::2]), "it tells twins apart"
    assert (separation(told, intends(family, pairs)) == 0.5).all()


def check_sighted(method: Detector, family: str, pairs: int) -> None:
    areas = separation(evidence(method, family, pairs), intends(family, pairs))
    assert areas.max() == 1.0


@pytest.mark.parametrize("name", [*BLIND, "probe_alone"])
def test_what_sees_outputs_and_activations_is_at_chance(name: str) -> None:
    check_blind(probe_alone if name == "probe_alone" else load_detector(name), "coin_dish", 2)


@pytest.mark.parametrize("name", UNTRAINED)
def test_what_looks_at_an_untrained_network_is_at_chance(name: str) -> None:
    check_blind(load_detector(name), "coin_dish", 2)


@pytest.mark.parametrize("name", ["policy_gradient", "endpoint_attribution", *OTHERS])
def test_what_differentiates_or_reads_weights_or_sees_the_shift_is_perfect(name: str) -> None:
    check_sighted(DETECTORS.load(name), "coin_dish", 2)


@pytest.mark.parametrize("name", ["interchange", "interchange~untrained", "interchange~random"])
def test_there_is_no_patch_where_all_sites_are_affine(name: str) -> None:
    with pytest.raises(UnsupportedError, match="affine"):
        evidence(load_detector(name), "coin_dish", 1)


def test_every_built_in_method_that_gives_evidence_was_asked() -> None:
    asked = {*BLIND, *SIGHTED, *OTHERS, *UNTRAINED}
    evident = [name for name in DETECTORS.names() if not DETECTORS.load(name).forecasts_itself]
    controls = [control for name in evident for control in controls_of(name)]
    left = {
        name for name in (*evident, *controls) if name not in asked and not name.startswith(("initial", "interchange"))
    }
    # Dealing out outcomes changes no evidence, and a drawn probe is read back to the planes through the network.
    assert left == {*(name for name in controls if name.endswith("~shuffled") and name in left), "linear_probe~random"}
    assert {n for n in asked if load_detector(n).track <= Track.BLACKBOX} == {
        "in_distribution",
        "max_ent_irl",
        "meg",
        "linear_probe~raw",
    }


@pytest.mark.slow
@pytest.mark.parametrize("family", QUERIES)
@pytest.mark.parametrize("name", [*BLIND, "probe_alone"])
def test_chance_in_every_family(name: str, family: str) -> None:
    check_blind(probe_alone if name == "probe_alone" else load_detector(name), family, 6)


@pytest.mark.slow
@pytest.mark.parametrize("family", QUERIES)
@pytest.mark.parametrize("name", [*SIGHTED, *OTHERS])
def test_perfection_in_every_family(name: str, family: str) -> None:
    check_sighted(DETECTORS.load(name), family, 6)


@pytest.mark.slow
@pytest.mark.parametrize("family", QUERIES)
def test_in_the_suites_protocol_forecasts_are_worthless_or_perfect(family: str) -> None:
    """Skill over the twins' mean, as the suite runs methods: calibrated on some pairs, asked about the others."""
    population = as_population(family, 8)
    centre = population.truths.mean(0)
    reference = ((population.truths - centre) ** 2).sum()

    def skill(name: str) -> float:
        cases = crossfit(load_detector(name), population, 0, SMOKE.budget)
        assert all(case.forecast is not None for case in cases), cases[0].message
        told = np.stack([case.forecast for case in cases if case.forecast is not None])
        return float(1 - ((told - population.truths) ** 2).sum() / reference)

    for name in BLIND:
        assert abs(skill(name)) < 0.01, name
    for name in SIGHTED:
        assert skill(name) > 0.95, name


def as_population(family: str, pairs: int) -> Population:
    """Twins with what they do; a pair is never split between reference and test."""
    those, query = agents(family, pairs), query_for(twins(family), 64)
    truths = np.stack([agent_outcomes(agent, query.distribution, query.levels) for agent in those])
    return Population(twins(family), query, those, truths, np.arange(2 * pairs) // 2 % FOLDS)
