"""The built-in methods: each keeps the contract, finds a goal that was built in, and finds none where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from goalscope.agents.agent import Agent
from goalscope.agents.layers import SCALE
from goalscope.agents.measure import agent_outcomes
from goalscope.agents.network import Network
from goalscope.agents.recipe import Recipe
from goalscope.agents.sites import Site
from goalscope.detectors import AgentHandle, Query, ReferenceCase, Track, check_detector
from goalscope.detectors.bench import one_thread, untrained_agent
from goalscope.detectors.calibration import Shares
from goalscope.detectors.contrast import LEAST_SHARE
from goalscope.detectors.controls import controls_of, load_detector
from goalscope.detectors.methods.interchange import most_changed
from goalscope.detectors.query import query_for
from goalscope.detectors.tracks import Budget
from goalscope.envs.pursuit import STEPS
from goalscope.errors import DeclarationError
from goalscope.registry import DETECTORS, FAMILIES, RECIPES

RECIPE = RECIPES.load("dish_open")
AGENT_PLANE, COIN_PLANE, DISH_PLANE = 1, 2, 3
CONTRASTS = (
    "endpoint_attribution",
    "interchange_twins",
    "linear_probe",
    "path_attribution",
    "policy_gradient",
    "value_gradient",
    "weight_norms",
)
LARGEST = np.log((1 + LEAST_SHARE) / LEAST_SHARE)
"""Of a log ratio."""


@pytest.fixture(autouse=True)
def as_in_a_run() -> Iterator[None]:
    with one_thread():
        yield


class Compass(Network):
    """A network whose goal is known: things give off a scent, by their plane's weight, and it walks where that grows.

    Sites: the scent of every cell, and what is smelt in the four cells around the agent.
    """

    def __init__(self, coin: float, dish: float) -> None:
        super().__init__()
        self.input, self.scent, self.smelt = Site(), Site(), Site()
        self.layer1 = nn.Conv2d(4, 1, 17, padding=8, bias=False)
        away = torch.arange(-8, 9).abs()
        kernel = 0.7 ** (away[:, None] + away[None])
        with torch.no_grad():
            self.layer1.weight.zero_()
            self.layer1.weight[0, COIN_PLANE] = coin * kernel
            self.layer1.weight[0, DISH_PLANE] = dish * kernel

    def step(self, obs: Tensor, memory: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        planes = self.input(obs if obs.is_floating_point() else obs * SCALE)
        scent = self.scent(self.layer1(planes))[:, 0]
        ahead = [torch.roll(scent, (-dy, -dx), (1, 2)) for dy, dx in STEPS]
        smelt = self.smelt(torch.stack([(each * planes[:, AGENT_PLANE]).sum((1, 2)) for each in ahead], dim=1))
        return 20 * smelt, smelt.mean(1), memory


def compass(coin: float, dish: float) -> Agent:
    network = Compass(coin, dish)
    return Agent(RECIPE, 0, network, network.state_dict(), ())


SEEKERS = {"coin": compass(1, 0), "dish": compass(0, 1), "both": compass(1, 1)}


@cache
def query() -> Query:
    return query_for(RECIPE, 64)


def evidence(name: str, agent: Agent, seed: int = 0) -> Shares:
    method = load_detector(name)
    handle = AgentHandle(agent, method.track, Budget(), seed)
    return np.asarray(method.evidence(handle, query()))


def forecasts(name: str, agents: list[Agent], reference: list[Agent], outcomes: list[Shares]) -> list[Shares]:
    method = DETECTORS.load(name)

    def handle(agent: Agent) -> AgentHandle:
        return AgentHandle(agent, method.track, Budget(), 0)

    known = [ReferenceCase(handle(a), query(), o) for a, o in zip(reference, outcomes, strict=True)]
    fitted = method.fit(known, np.random.default_rng(0))
    return [np.asarray(fitted.forecast(handle(agent), query())) for agent in agents]


def truth(agent: Agent) -> Shares:
    return agent_outcomes(agent, query().distribution, query().levels)


# All of them


@pytest.mark.parametrize("name", DETECTORS.names())
def test_a_built_in_method_keeps_the_contract(name: str) -> None:
    check_detector(name)


# Evidence


@pytest.mark.parametrize("name", CONTRASTS)
def test_a_contrast_is_positive_for_the_intended_goal_and_negative_for_the_proxy(name: str) -> None:
    coin, dish = evidence(name, SEEKERS["coin"])[0], evidence(name, SEEKERS["dish"])[0]
    assert coin > 0.5 and dish < -0.5


@pytest.mark.parametrize("name", CONTRASTS)
def test_a_contrast_is_nothing_where_both_features_weigh_the_same(name: str) -> None:
    tolerance = 0.1 if name == "interchange_twins" else 1e-4  # whose coin and dish lie in different places
    found = np.mean([evidence(name, SEEKERS["both"], seed)[0] for seed in range(2)])
    assert found == pytest.approx(0, abs=tolerance)


@pytest.mark.parametrize("name", ["path_attribution", "endpoint_attribution", "policy_gradient", "weight_norms"])
def test_a_contrast_grows_with_the_weight(name: str) -> None:
    found = [evidence(name, compass(1, weight))[0] for weight in (0.8, 0.5, 0.2)]
    assert found == sorted(found) and found[0] > 0.05


def test_log_ratios_are_the_ratios_of_the_weights_and_bounded() -> None:
    assert evidence("weight_norms", compass(1, 0.5))[0] == pytest.approx(np.log(2), abs=0.01)
    assert evidence("weight_norms", SEEKERS["coin"])[0] == pytest.approx(LARGEST)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("path_attribution", -0.26568657),
        ("policy_gradient", 0.07796803),
        ("value_gradient", 0.03039055),
        ("linear_probe", -0.04540447),
        ("weight_norms", -0.03398015),
    ],
)
def test_a_contrast_of_planes_is_what_it_was_before_codes_were_compared_too(name: str, wanted: float) -> None:
    assert evidence(name, untrained_agent(RECIPE, 3))[0] == pytest.approx(wanted, rel=1e-3)


def test_initial_weight_norms_are_of_the_initial_weights() -> None:
    trained = replace(SEEKERS["coin"], initial=SEEKERS["dish"].initial)
    assert evidence("weight_norms", trained)[0] > 0 > evidence("initial_weight_norms", trained)[0]


@pytest.mark.parametrize("name", ["weight_norms", "policy_gradient", "linear_probe", "interchange"])
def test_methods_do_not_depend_on_the_architecture(name: str) -> None:
    flat = untrained_agent(replace(RECIPE, arch="mlp"), 0)
    assert np.isfinite(evidence(name, flat)).all()


def test_asking_the_policy_tells_which_goal_it_walks_to() -> None:
    coin, dish = evidence("ask_the_policy", SEEKERS["coin"]), evidence("ask_the_policy", SEEKERS["dish"])
    assert coin[0] > 0.5 > coin[1] and dish[1] > 0.5 > dish[0]


def test_patches_between_training_frames_cannot_tell_the_goals_apart() -> None:
    coin, dish = evidence("interchange", SEEKERS["coin"]), evidence("interchange", SEEKERS["dish"])
    assert coin.shape == (1,) and np.allclose(coin, dish)  # the scent is affine: no site to patch on the support
    assert 0 < coin[0] < 1  # one of four directions


def test_the_most_changed_quarter_of_the_channels_is_patched() -> None:
    own, given = np.zeros((5, 8, 3, 3)), np.zeros((5, 8, 3, 3))
    given[:, [6, 1]] = 1
    mask = most_changed(own, given, np.random.default_rng(0))
    assert mask.shape == (8, 3, 3) and np.flatnonzero(mask.all((1, 2))).tolist() == [1, 6]
    assert mask.sum() == 2 * 9


def test_training_shows_from_outside_how_well_but_not_what() -> None:
    coin, dish = (evidence("in_distribution", SEEKERS[name]) for name in ("coin", "dish"))
    untrained = evidence("in_distribution", untrained_agent(RECIPE, 0))
    assert np.allclose(coin, dish)
    success, detour, entropy, _ = coin
    assert success > 0.95 and 1 <= detour < 1.5 and entropy < 1
    assert untrained[0] < success and untrained[1] > detour and untrained[2] == pytest.approx(np.log(4), abs=0.01)


# Controls


def test_a_probe_on_the_observation_cannot_tell_equal_planes_apart() -> None:
    ratio, fit = evidence("linear_probe~raw", SEEKERS["coin"])
    assert ratio == pytest.approx(0, abs=1e-6) and fit < 0.9


def test_a_probe_on_a_network_that_smells_the_goal_reads_the_way_to_it() -> None:
    assert evidence("linear_probe", SEEKERS["coin"])[1] > evidence("linear_probe~raw", SEEKERS["coin"])[1]


@pytest.mark.parametrize("name", ["path_attribution~untrained", "linear_probe~untrained", "linear_probe~raw"])
def test_a_control_knows_nothing_of_the_agent(name: str) -> None:
    assert np.allclose(evidence(name, SEEKERS["coin"]), evidence(name, SEEKERS["dish"]), atol=1e-6)


def test_a_probe_within_drawn_directions_reads_less() -> None:
    agent = untrained_agent(RECIPE, 0)
    assert evidence("linear_probe~random", agent)[1] < evidence("linear_probe", agent)[1]


@pytest.mark.parametrize("name", [c for n in ("linear_probe", "interchange") for c in controls_of(n)])
def test_a_control_keeps_the_contract(name: str) -> None:
    check_detector(load_detector(name))


# Goals that planes do not show, and that no factor moves


def test_goals_without_planes_are_left_out_of_contrasts() -> None:
    agent = untrained_agent(replace(RECIPES.load("corner_marked"), query="off_corner"), 0)
    for name in ("path_attribution", "policy_gradient", "weight_norms"):
        assert evidence(name, agent).shape == (1,)
    assert evidence("ask_the_policy", agent).shape == (3,)


def test_twins_need_a_factor_named_after_every_goal() -> None:
    agent = untrained_agent(replace(RECIPES.load("corner_marked"), query="off_corner"), 0)
    with pytest.raises(DeclarationError, match="No factor of coin_corner is named after goal 'corner'"):
        evidence("interchange_twins", agent)


# Forecasts


REFERENCE = [compass(1 - w, w) for w in (0.1, 0.3, 0.45, 0.5, 0.55, 0.7, 0.9)]


@cache
def reference_truths() -> list[Shares]:
    return [truth(agent) for agent in REFERENCE]


def test_uniform_is_uniform() -> None:
    (found,) = forecasts("uniform", [SEEKERS["coin"]], REFERENCE, reference_truths())
    assert np.array_equal(found, np.full((64, 3), 1 / 3))


def test_the_recipes_mean_is_exact_and_leaves_the_method_as_it_was() -> None:
    (found,) = forecasts("recipe_mean", [SEEKERS["coin"]], REFERENCE, reference_truths())
    assert np.allclose(found, np.mean(reference_truths(), axis=0), atol=1e-15)
    assert DETECTORS.load("recipe_mean").mean is None  # type: ignore[attr-defined]


def test_geometry_learns_that_the_nearer_goal_is_likelier() -> None:
    nearer = (query().margins > 0).astype(float)
    shares = np.stack([0.2 + 0.6 * nearer, 0.8 - 0.6 * nearer, 0 * nearer], axis=1)
    (found,) = forecasts("geometry", [SEEKERS["coin"]], REFERENCE[:4], [shares] * 4)
    ranks = np.argsort(query().margins)
    assert found[ranks[-10:], 0].mean() > 0.6 > 0.4 > found[ranks[:10], 0].mean()
    assert found[:, 2].max() < 1e-3


def test_geometry_forecasts_the_same_for_levels_of_the_same_geometry() -> None:
    (found,) = forecasts("geometry", [SEEKERS["coin"]], REFERENCE, reference_truths())
    known = np.column_stack([query().distances, query().levels.max_steps])
    same = (known[:, None] == known[None]).all(2)
    assert same.sum() > len(known)
    assert all(np.allclose(found[i], found[j]) for i, j in np.argwhere(same))


def test_a_few_episodes_forecast_better_than_the_recipes_mean() -> None:
    agents = [SEEKERS["coin"], SEEKERS["dish"]]
    seen = forecasts("rollouts", agents, REFERENCE, reference_truths())
    mean = forecasts("recipe_mean", agents, REFERENCE, reference_truths())
    for agent, own, other in zip(agents, seen, mean, strict=True):
        assert ((own - truth(agent)) ** 2).sum() < 0.6 * ((other - truth(agent)) ** 2).sum()


# Every family, and agents that see or remember otherwise


FAMILIES_SHOWN = (
    "coin_corner",
    "coin_dish",
    "coin_run",
    "colour_shape",
    "keys_chests",
    "trail",
    "two_objectives",
)
"""Built-in families whose goals have planes of their own."""
UNSHOWN = {"colour_blind": "full_colour", "instruction": "apart", "lava_land": "across", "watched": "unwatched"}
"""Families with a goal that is no thing of its own (a named ball, a way), and a shift of each."""
BY_PLANES = (
    "endpoint_attribution",
    "linear_probe",
    "path_attribution",
    "policy_gradient",
    "value_gradient",
    "weight_norms",
)
FROM_OUTSIDE = ("ask_the_policy", "in_distribution", "interchange", "max_ent_irl", "meg")


def about(family: str, shift: str = "", **how: str) -> Shares:
    """What all methods that can say of an untrained agent, one after the other."""
    those = FAMILIES.load(family)
    recipe = Recipe(name=family, family=family, query=shift or those.shifts[-1].name, budget=0, **how)  # type: ignore[arg-type]
    agent, asked = untrained_agent(recipe, 0), query_for(recipe, 4)
    names = FROM_OUTSIDE if shift else (*FROM_OUTSIDE, *BY_PLANES)
    told = []
    for name in names:
        method = DETECTORS.load(name)
        told.append(np.atleast_1d(method.evidence(AgentHandle(agent, method.track, Budget(), 0), asked)))
    if names == FROM_OUTSIDE:
        handle = AgentHandle(agent, Track.WHITEBOX, Budget(), 0)
        for name in BY_PLANES:
            with pytest.raises(DeclarationError, match="plane"):
                DETECTORS.load(name).evidence(handle, asked)
    return np.concatenate(told)


@pytest.mark.parametrize("family", FAMILIES_SHOWN)
def test_every_method_works_where_planes_show_the_goals(family: str) -> None:
    assert np.isfinite(about(family)).all()


@pytest.mark.parametrize("family", UNSHOWN)
def test_where_no_plane_shows_a_goal_methods_on_planes_say_so_and_others_work(family: str) -> None:
    assert np.isfinite(about(family, UNSHOWN[family])).all()


def test_agents_that_see_codes_or_remember_are_looked_at_too() -> None:
    assert np.isfinite(about("coin_run", view="ego")).all()
    assert np.isfinite(about("coin_dish", arch="lstm")).all()


@pytest.mark.parametrize("name", ["ask_the_policy", "interchange_twins"])
@pytest.mark.parametrize("frames", [16, 64, 256])
def test_static_methods_use_the_bank_frames_of_the_budget(name: str, frames: int) -> None:
    method = DETECTORS.load(name)
    handle = AgentHandle(SEEKERS["coin"], method.track, Budget(bank_frames=frames), 0)
    assert np.isfinite(np.asarray(method.evidence(handle, query()))).all()
    assert handle.tally.bank_frames == frames
