"""Controls: which a method has, and that each takes away what it says it takes away."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import pytest
import torch
from torch import nn

from goalscope.agents.adopted import adopt
from goalscope.agents.agent import Agent
from goalscope.agents.training import frame_shape
from goalscope.detectors import AgentHandle, Detector, Query, ReferenceCase, Track, detector
from goalscope.detectors.bench import one_thread, untrained_agent
from goalscope.detectors.controls import controls_of, load_detector, with_controls
from goalscope.detectors.query import query_for
from goalscope.detectors.tracks import Budget
from goalscope.errors import DeclarationError, GoalscopeError, UnsupportedError
from goalscope.registry import RECIPES

RECIPE = RECIPES.load("dish_open")

FILE = """
from goalscope.detectors import Detector, detector
from goalscope.detectors.controls import with_controls


@detector(track="whitebox")
def mine(agent, query):
    return 1.0


@detector(track="blackbox")
def mine_raw(agent, query):
    return 2.0


DETECTOR = with_controls(mine, raw=mine_raw)
"""


@pytest.fixture(autouse=True)
def as_in_a_run() -> Iterator[None]:
    with one_thread():
        yield


def handle(agent: Agent, track: Track) -> AgentHandle:
    return AgentHandle(agent, track, Budget(), 0)


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("linear_probe", ["untrained", "shuffled", "random", "raw"]),
        ("interchange", ["untrained", "shuffled", "random"]),
        ("ask_the_policy", ["untrained", "shuffled"]),
        ("in_distribution", []),
        ("recipe_mean", []),
        ("rollouts", []),
    ],
)
def test_what_looks_inside_and_gives_evidence_has_controls(name: str, kinds: list[str]) -> None:
    assert controls_of(name) == tuple(f"{name}~{kind}" for kind in kinds)


def test_a_strangers_method_has_them_too(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    assert controls_of(str(path)) == tuple(f"{path}~{kind}" for kind in ("untrained", "shuffled", "raw"))
    agent = handle(untrained_agent(RECIPE, 0), Track.BLACKBOX)
    assert load_detector(f"{path}~raw").evidence(agent, query_for(RECIPE, 4)) == 2.0


def test_a_tilde_in_a_path_is_no_control(tmp_path: Path) -> None:
    folder = tmp_path / "~me"
    folder.mkdir()
    (folder / "mine.py").write_text(FILE)
    assert load_detector(str(folder / "mine.py")).track is Track.WHITEBOX


@pytest.mark.parametrize("target", ["linear_probe~untraned", "policy_gradient~raw", "recipe_mean~untrained"])
def test_a_control_that_is_not_there_is_named_with_those_that_are(target: str) -> None:
    with pytest.raises(DeclarationError, match=f"no control '{target}'"):
        load_detector(target)


def test_a_method_declares_only_kinds_that_are_known() -> None:
    with pytest.raises(GoalscopeError, match="at_random"):
        with_controls(Detector(), at_random=Detector())


def test_shuffled_outcomes_are_the_same_ones_dealt_out_anew() -> None:
    control, outcomes = load_detector("linear_probe~shuffled"), np.random.default_rng(0).random((12, 5, 3))
    dealt = control.reference_outcomes(outcomes, np.random.default_rng(1))
    order = [int(np.flatnonzero((outcomes == one).all((1, 2)))[0]) for one in dealt]
    assert sorted(order) == list(range(12)) and order != list(range(12))


class Learner(Detector):
    """Learns how weighty the reference agents are on average."""

    track = Track.WHITEBOX

    def __init__(self, weighty: float = 0.0) -> None:
        self.weighty = weighty

    def fit(self, reference: Sequence[ReferenceCase], rng: np.random.Generator) -> Self:
        return type(self)(float(np.mean([weight(case.agent) for case in reference])))

    def evidence(self, agent: AgentHandle, query: Query) -> float:
        return weight(agent) - self.weighty


def weight(agent: AgentHandle) -> float:
    return float(agent.weight_norms()["body.layer1.weight"].sum())


LEARNER = Learner()


@detector(track="whitebox")
def weights_of_inputs(agent: AgentHandle, query: Query) -> float:
    """The weight of the first layer."""
    return weight(agent)


def test_the_untrained_control_says_the_same_of_everybody() -> None:
    query = query_for(RECIPE, 4)
    cases = [handle(untrained_agent(RECIPE, seed), Track.WHITEBOX) for seed in range(2)]
    own, control = weights_of_inputs, load_detector(f"{__name__}:weights_of_inputs~untrained")
    assert own.evidence(cases[0], query) != own.evidence(cases[1], query)
    assert control.evidence(cases[0], query) == control.evidence(cases[1], query)


def test_a_method_that_learns_is_taught_by_untrained_networks() -> None:
    query = query_for(RECIPE, 4)
    known = [
        ReferenceCase(handle(untrained_agent(RECIPE, seed), Track.WHITEBOX), query, np.zeros(query.shape))
        for seed in range(3)
    ]
    control = load_detector(f"{__name__}:LEARNER~untrained")
    assert control.learns and not load_detector("linear_probe~untrained").learns
    fitted = control.fit(known, np.random.default_rng(0))
    assert fitted is not control
    assert fitted.evidence(handle(untrained_agent(RECIPE, 9), Track.WHITEBOX), query) == 0.0


# Strangers' networks


class Stranger(nn.Module):
    """As nobody registered it; with a part whose beginning nobody knows, if told to."""

    def __init__(self, seed: int, *, odd: bool = False) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.body = nn.Sequential(
            nn.Flatten(), nn.Linear(math.prod(frame_shape(RECIPE)), 8), nn.ReLU(), nn.LayerNorm(8)
        )
        self.head = nn.Linear(8, 5)
        self.scale = nn.Parameter(torch.ones(1)) if odd else 1.0

    def forward(self, obs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        found = self.head(self.scale * self.body(obs))
        return found[:, :4], found[:, 4]


def adopted(seed: int, **options: bool) -> AgentHandle:
    module = Stranger(seed, **options)
    return handle(adopt(module, family=RECIPE.family, query=RECIPE.query, knobs=RECIPE.knobs), Track.WHITEBOX)


def test_a_strangers_network_is_drawn_anew_the_same_for_all_agents_of_a_recipe() -> None:
    agents = [adopted(seed) for seed in range(2)]
    own, fresh = ([a.weight_norms() for a in those] for those in (agents, [a.untrained() for a in agents]))
    for name in fresh[0]:
        assert np.array_equal(fresh[0][name], fresh[1][name])
        assert not np.array_equal(own[0][name], own[1][name]) and not np.array_equal(own[0][name], fresh[0][name])
    one, other = (a.untrained() for a in agents)
    site = list(one.sites)[-1]
    found = [a.activations(a.frames(4), [site])[site] for a in (one, other)]
    assert list(one.sites) == list(agents[0].sites) and np.array_equal(found[0], found[1])


def test_the_untrained_control_of_a_stranger_whose_beginning_nobody_knows_says_so() -> None:
    with pytest.raises(UnsupportedError, match="its part 'outside' .Stranger. holds weights .* register"):
        adopted(0, odd=True).untrained()
