"""What T2 may not do or see: rebuild a frame by patches, or read a goal off the recipe."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from goalscope.agents.recipe import Recipe
from goalscope.agents.sites import Site
from goalscope.detectors.bench import untrained_agent
from goalscope.detectors.handle import AgentHandle
from goalscope.detectors.linearity import affine_sites
from goalscope.detectors.readings import INPUT
from goalscope.detectors.shown_recipe import shown_recipe
from goalscope.detectors.tracks import Budget, Track
from goalscope.errors import ForbiddenError
from goalscope.registry import RECIPES

RECIPE = RECIPES.load("dish_open")


@pytest.mark.parametrize("arch", ["conv", "mlp", "residual", "lstm"])
def test_no_built_in_architecture_has_a_site_by_which_a_frame_could_be_rebuilt(arch: str) -> None:
    agent = AgentHandle(untrained_agent(replace(RECIPE, arch=arch, arch_options={}), 0), Track.WHITEBOX, Budget(), 0)
    assert agent._affine == {INPUT} and len(agent.sites) > 1
    with pytest.raises(ForbiddenError, match="observation cannot be patched"):
        agent.patched(agent.frames(4), agent.frames(4), INPUT)


class Net(nn.Module):
    """Sites with known answers: two affine maps, a ReLU, a map after it, and their sum with the first."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Linear(8, 6), nn.Linear(6, 6), nn.Linear(6, 6)
        self.relu, self.sum, self.skip = Site(), Site(), Site()
        self.one, self.two, self.three = Site(), Site(), Site()

    def forward(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        first = self.one(self.first(obs.flatten(1)))
        second = self.two(self.second(first))
        after = self.three(self.third(self.relu(second.relu())))
        total = self.sum(after + first)
        return total, self.skip(first + second).sum(1)


def test_affine_sites_of_a_network_that_is_known() -> None:
    torch.manual_seed(0)
    found = affine_sites(Net(), (2, 2, 2))
    assert found == {"one", "two", "skip"}


def test_of_a_larger_bank_the_first_frames_are_the_smaller_one() -> None:
    small, large = (AgentHandle(untrained_agent(RECIPE, 0), Track.STATIC, Budget(), 0).bank(n) for n in (16, 64))
    assert np.array_equal(small.obs, large.obs[:16]) and len(large) == 64


@pytest.mark.parametrize(
    "changed", [{"name": "other"}, {"role": "control"}, {"pays": "coin"}, {"start": "x"}, {"checkpoints": 2}]
)
def test_a_shown_recipe_hides_what_names_a_goal(changed: dict[str, object]) -> None:
    other: Recipe = RECIPE
    for name, value in changed.items():
        other = replace(other)
        object.__setattr__(other, name, value)
    assert shown_recipe(other) == shown_recipe(RECIPE)
