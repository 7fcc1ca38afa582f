"""Agents that see a window in MiniGrid's codes: what they are shown, and methods on networks whose goal is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from goalscope.agents.agent import Agent
from goalscope.agents.layers import OneHot
from goalscope.agents.network import Network
from goalscope.agents.recipe import Recipe
from goalscope.agents.sites import Site
from goalscope.detectors import AgentHandle, Track
from goalscope.detectors.bench import one_thread, untrained_agent
from goalscope.detectors.calibration import Shares
from goalscope.detectors.contrast import LEAST_SHARE, feature_sizes, inputs_of
from goalscope.detectors.controls import load_detector
from goalscope.detectors.features import CODES, feature_changes, lit_planes, one_hot
from goalscope.detectors.frames import Frames
from goalscope.detectors.handle import INPUT
from goalscope.detectors.query import Query, query_for
from goalscope.detectors.tracks import Budget
from goalscope.envs.codes import BALL, COLOUR_NAMES, FLOOR
from goalscope.envs.pursuit import coincident, conflict
from goalscope.errors import DeclarationError, ForbiddenError, UnsupportedError

RUN = Recipe(name="run", family="coin_run", query="off_end", budget=0, view="ego")
PLANES = sum(CODES)
GREEN, YELLOW = (CODES[0] + COLOUR_NAMES.index(name) for name in ("green", "yellow"))
SIDE = 7
LARGEST = np.log((1 + LEAST_SHARE) / LEAST_SHARE)
COMPARING = ("path_attribution", "endpoint_attribution", "policy_gradient", "value_gradient", "linear_probe")


@pytest.fixture(autouse=True)
def as_in_a_run() -> Iterator[None]:
    with one_thread():
        yield


class Nose(Network):
    """Walks on while it sees ahead what it looks for, by planes' weights, and turns to it where it lies beside."""

    def __init__(self, ball: float, green: float) -> None:
        super().__init__()
        self.encode, self.input, self.smelt = OneHot(), Site(), Site()
        self.layer1 = nn.Conv2d(PLANES, 3, SIDE, bias=False)
        aside, ahead = torch.meshgrid(torch.arange(SIDE) - SIDE // 2, SIDE - 1 - torch.arange(SIDE), indexing="ij")
        sides = torch.stack([(ahead == 0) & (aside < 0), (ahead == 0) & (aside > 0), ahead > 0]).float()
        with torch.no_grad():
            self.layer1.weight.zero_()
            self.layer1.weight[:, BALL] = ball * sides
            self.layer1.weight[:, GREEN] = green * sides

    def step(self, obs: Tensor, memory: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        planes = self.input(obs if obs.is_floating_point() else self.encode(obs))
        smelt = self.smelt(torch.tanh(self.layer1(planes).flatten(1)))
        return 3 * smelt, smelt.mean(1), memory


def nose(ball: float, green: float) -> Agent:
    network = Nose(ball, green)
    return Agent(RUN, 0, network, network.state_dict(), ())


@cache
def query() -> Query:
    return query_for(RUN, 16)


def handle(agent: Agent, track: Track = Track.STATIC, seed: int = 0) -> AgentHandle:
    return AgentHandle(agent, track, Budget(), seed)


def evidence(name: str, agent: Agent) -> Shares:
    method = load_detector(name)
    return np.asarray(method.evidence(handle(agent, method.track), query()))


def value(logits: Tensor, values: Tensor) -> Tensor:
    return values


# What they are shown


def added(agent: AgentHandle, frames: Frames) -> np.ndarray:
    return feature_changes(agent.recipe, agent.goals, frames.levels, "ego", frames.obs)


def test_training_frames_show_the_coin_and_are_on_the_support() -> None:
    agent = handle(untrained_agent(RUN, 0))
    frames = agent.frames(64)
    source = agent._source
    assert (frames.obs[..., 0] == BALL).any((1, 2)).all()
    assert coincident(agent.family, frames.levels, agent.goals, source.train.settings).all()
    begun = source.train.draw(range(64))
    assert np.array_equal(frames.levels.marks, begun.marks) and np.array_equal(frames.levels.cells, begun.cells)
    assert (frames.levels.agent[:, 0] > begun.agent[:, 0]).all()  # what is in sight now was not when they set out
    assert np.array_equal(agent._source.seen(source.train, frames.levels), frames.obs)


def test_frames_of_the_bank_are_conflict_levels_the_first_of_more_and_show_something() -> None:
    agent = handle(untrained_agent(RUN, 0))
    many, few = agent.bank(48), agent.bank(12)
    assert np.array_equal(many.obs[:12], few.obs)
    assert conflict(agent.family, many.levels, agent.goals).all()
    changed = added(agent, many).any((2, 3, 4))
    assert changed.any(0).mean() > 0.9 and changed.all(0).mean() > 0.3
    for factor in ("coin", "end"):
        assert (agent.twins(many, factor).obs != many.obs).any((1, 2, 3)).mean() > 0.4


def test_where_nothing_is_usable_on_the_way_a_level_is_seen_from_where_it_begins() -> None:
    recipe = replace(RUN, knobs={"length": 4})  # the end is three steps away at the most
    agent = handle(untrained_agent(recipe, 0))
    frames = agent.frames(32)
    begun = agent._source.train.draw(range(32))
    near = (frames.levels.agent[:, :2] == begun.agent[:, :2]).all(1)
    assert near.any() and coincident(agent.family, frames.levels, agent.goals, agent._source.train.settings).all()


def test_a_feature_is_what_a_thing_adds_to_the_cell_that_both_share() -> None:
    agent = handle(untrained_agent(RUN, 0))
    coin, end = added(agent, agent.frames(32)).sum((1, 3, 4)) / 32
    wanted = np.zeros((2, PLANES))
    wanted[0, [BALL, FLOOR]] = 1, -1  # a green ball instead of a green tile
    wanted[1, [GREEN, YELLOW]] = 1, -1  # and instead of a yellow ball
    assert np.array_equal(coin, wanted[0]) and np.array_equal(end, wanted[1])
    assert lit_planes(agent.recipe, agent.goals) == [[BALL], [GREEN]]


def test_codes_are_encoded_as_the_networks_do() -> None:
    frames = handle(untrained_agent(RUN, 0)).frames(16)
    assert np.array_equal(one_hot(frames.obs), OneHot()(torch.from_numpy(frames.obs.copy())).numpy())


# Gradients


@pytest.mark.parametrize("arch", ["conv", "lstm"])
def test_gradients_are_autograds_by_the_planes(arch: str) -> None:
    built = untrained_agent(replace(RUN, arch=arch), 0)
    agent = handle(built)
    frames = agent.frames(8)
    planes = OneHot()(torch.from_numpy(frames.obs.copy())).requires_grad_()
    (wanted,) = torch.autograd.grad(built.network(planes)[1].sum(), planes)
    found = agent.gradients(frames, value)
    assert found.shape == (8, *agent.sites[INPUT]) == (8, PLANES, SIDE, SIDE)
    assert np.allclose(found, wanted.numpy(), atol=1e-7)
    along = agent.line_gradients(frames, agent.together(frames), value, 2)
    assert along.shape == found.shape and np.isfinite(along).all()
    histories = agent.frames(4, 3)
    assert agent.gradients(histories, value).shape == (4, 3, PLANES, SIDE, SIDE)


def test_integrated_gradients_add_up_to_what_changed() -> None:
    agent = handle(untrained_agent(RUN, 0))
    start = agent.frames(32)
    end = agent.together(start)
    change = inputs_of(agent, end) - inputs_of(agent, start)
    found = (agent.line_gradients(start, end, value, 100) * change).sum((1, 2, 3))
    wanted = agent.outputs(end).values - agent.outputs(start).values
    assert found == pytest.approx(wanted, abs=0.01 * np.abs(wanted).max())


def test_sizes_are_of_derivatives_along_the_change() -> None:
    agent = handle(untrained_agent(RUN, 0))
    frames = agent.frames(16)
    gradients = np.zeros((16, PLANES, SIDE, SIDE))
    gradients[:, [BALL, FLOOR, GREEN]] = np.array([2.0, 0.5, 4.0])[:, None, None]
    assert feature_sizes(agent, frames, gradients) == pytest.approx([2 - 0.5, 4])


# Methods


@pytest.mark.parametrize("name", ["path_attribution", "endpoint_attribution"])
def test_attribution_is_all_of_the_goal_that_alone_is_read(name: str) -> None:
    assert evidence(name, nose(1, 0)) == pytest.approx([1])
    assert evidence(name, nose(0, 1)) == pytest.approx([-1])


@pytest.mark.parametrize("name", ["policy_gradient", "value_gradient", "weight_norms", "linear_probe"])
def test_ratios_are_largest_where_one_feature_alone_is_read(name: str) -> None:
    assert evidence(name, nose(1, 0))[0] == pytest.approx(LARGEST)
    assert evidence(name, nose(0, 1))[0] == pytest.approx(-LARGEST)


@pytest.mark.parametrize("name", [*COMPARING, "weight_norms"])
def test_a_contrast_is_nothing_where_both_features_weigh_the_same(name: str) -> None:
    assert evidence(name, nose(0.5, 0.5))[0] == pytest.approx(0, abs=1e-4)


def test_twins_and_steps_under_the_shift_tell_what_is_walked_to() -> None:
    assert evidence("interchange_twins", nose(1, 0))[0] > 0.5 and evidence("interchange_twins", nose(0, 1))[0] < -0.5
    coin, end = evidence("ask_the_policy", nose(1, 0)), evidence("ask_the_policy", nose(0, 1))
    assert coin[0] - coin[1] > end[0] - end[1] + 0.1


def test_a_probe_on_the_observation_cannot_tell_features_apart_that_share_a_cell() -> None:
    assert evidence("linear_probe~raw", nose(1, 0))[0] == pytest.approx(0, abs=1e-6)


def test_an_untrained_network_takes_codes_and_has_initial_weights_of_its_own() -> None:
    coin, end = (evidence("initial_weight_norms~untrained", replace(nose(*w), recipe=RUN)) for w in ((1, 0), (0, 1)))
    assert np.array_equal(coin, end)
    agent = handle(nose(1, 0)).untrained()
    assert np.isfinite(agent.outputs(agent.frames(4)).values).all()
    now, before = agent.weight_norms(), agent.weight_norms(initial=True)
    assert all(np.array_equal(now[name], before[name]) for name in now)


def test_planes_of_codes_cannot_be_rebuilt_by_patches_before_the_first_nonlinearity() -> None:
    class Affine(Nose):
        def step(self, obs: Tensor, memory: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            planes = self.input(obs if obs.is_floating_point() else self.encode(obs))
            smelt = self.smelt(self.layer1(planes).flatten(1))
            return smelt, smelt.mean(1), memory

    network = Affine(1, 0)
    agent = handle(Agent(RUN, 0, network, network.state_dict(), ()), Track.WHITEBOX)
    frames = agent.frames(4)
    with pytest.raises(ForbiddenError, match="before the first nonlinearity"):
        agent.patched(frames, frames, "smelt")


# Where it makes no sense


@pytest.mark.parametrize("name", [*COMPARING, "weight_norms"])
def test_a_network_that_takes_codes_for_numbers_is_refused_before_anything_is_spent(name: str) -> None:
    method = load_detector(name)
    agent = handle(untrained_agent(replace(RUN, arch="mlp"), 0), method.track)
    with pytest.raises(UnsupportedError, match="reads MiniGrid's codes as numbers"):
        method.evidence(agent, query())
    assert agent.tally.frames == agent.tally.passes == agent.tally.values == 0


@pytest.mark.parametrize("family", ["coin_dish", "colour_blind"])  # the dish lies under the coin; a role has no look
def test_a_goal_that_views_never_show_is_refused_before_anything_is_spent(family: str) -> None:
    shift = {"coin_dish": "apart", "colour_blind": "full_colour"}[family]
    recipe = Recipe(name=family, family=family, query=shift, budget=0, view="ego")
    agent = handle(untrained_agent(recipe, 0), Track.WHITEBOX)
    with pytest.raises(DeclarationError, match="look"):
        load_detector("path_attribution").evidence(agent, query_for(recipe, 4))
    assert agent.tally.frames == 0
