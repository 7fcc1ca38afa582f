"""A method from outside, on T2, tries to rebuild frames under the shift by patches: each way is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from tests.suites.made_up import DISH, population
from torch import Tensor, nn

from goalscope.agents.agent import Agent
from goalscope.agents.network import Network
from goalscope.agents.sites import Site
from goalscope.detectors.answers import checked_evidence
from goalscope.detectors.base import ReferenceCase
from goalscope.detectors.handle import AgentHandle
from goalscope.detectors.sandbox import Limits, Outside, sandboxed
from goalscope.detectors.sandbox.walls import has_walls
from goalscope.detectors.tracks import Budget, Track
from goalscope.suites.case import Case, attempt

POPULATION = population()
REBUILDERS = '''
from dataclasses import replace

import numpy as np

from goalscope.detectors import Frames, detector


def before_the_first_nonlinearity(agent, query):
    """Patches before it add up like pixels: the coin of one frame, the dish of another."""
    frames = agent.frames(8)
    return agent.patched(frames, agent.together(frames), "linear").values


def the_observation_itself(agent, query):
    frames = agent.frames(8)
    return agent.patched(frames, agent.together(frames), "input").values


def from_the_bank(agent, query):
    return agent.patched(agent.frames(8), agent.bank(8), "bent").values


def from_twins(agent, query):
    frames = agent.frames(8)
    return agent.patched(frames, agent.twins(frames, "coin"), "bent").values


def from_query_levels(agent, query):
    frames = agent.frames(8)
    donor = Frames(frames.obs, query.levels.take(slice(8)), "bank 0 to 8", np.arange(8))
    return agent.patched(frames, donor, "bent").values


def under_an_issued_name(agent, query):
    """Other pixels and levels as donors, called as issued ones are: nothing of them may arrive."""
    frames = agent.frames(8)
    donor = agent.together(frames)
    forged = replace(donor, obs=255 - donor.obs, levels=query.levels.take(slice(8)))
    return np.abs(agent.patched(frames, forged, "bent").values - agent.patched(frames, donor, "bent").values).max()


def along_a_line_into_the_shift(agent, query):
    frames = agent.frames(8)
    return agent.line_gradients(frames, replace(frames, issue="bank 0 to 8"), lambda logits, values: values)


def after_it(agent, query):
    """What the track allows."""
    frames = agent.frames(8)
    return agent.patched(frames, agent.together(frames), "bent").values


WAYS = (NAMES)


@detector(track="whitebox")
def rebuild(agent, query):
    return WAYS[agent.tally.budget.rollouts](agent, query)


DETECTOR = rebuild
'''
NAMES = [line[4:].partition("(")[0] for line in REBUILDERS.splitlines() if line.startswith("def ")][:-1]
REFUSED = {
    "before_the_first_nonlinearity": "before the first nonlinearity",
    "the_observation_itself": "observation cannot be patched",
    "from_the_bank": "Frames under the shift are for track T3",
    "from_twins": "Frames under the shift are for track T3",
    "from_query_levels": "issued",
    "along_a_line_into_the_shift": "issued|under the shift|not sent|functional",
}


class Linear(Network):
    """A network with a site at which patches would add up like pixels, and one at which they do not."""

    def __init__(self) -> None:
        super().__init__()
        self.input, self.linear, self.bent = Site(), Site(), Site()
        self.layer1 = nn.Linear(4 * 7 * 7, 16)
        self.layer2 = nn.Linear(16, 4)

    def step(self, obs: Tensor, memory: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        planes = self.input(obs if obs.is_floating_point() else obs / 255)
        added = self.linear(self.layer1(planes.flatten(1)))
        bent = self.bent(added.relu())
        return self.layer2(bent), bent.sum(1), memory


@pytest.fixture(scope="module")
def rebuilder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    file = tmp_path_factory.mktemp("outside") / "rebuilder.py"
    file.write_text(REBUILDERS.replace("NAMES", "".join(f"{name}, " for name in NAMES)))
    with sandboxed(str(file), Limits(walled=has_walls())) as found:
        yield found


def case(outside: Outside, way: str) -> Case:
    network = Linear()
    agent = Agent(replace(DISH, name="linear"), 0, network, network.state_dict(), ())
    handle = AgentHandle(agent, Track.WHITEBOX, Budget(rollouts=NAMES.index(way)), 0)
    if not outside._fit:
        reference = ReferenceCase(handle, POPULATION.query, POPULATION.truths[0])
        outside.fit([reference], np.random.default_rng(0))
    found = Case(0, 0)
    found.evidence = attempt(found, np.inf, lambda: checked_evidence(outside.evidence(handle, POPULATION.query)))
    return found


@pytest.mark.parametrize("way", REFUSED)
def test_a_frame_under_the_shift_is_not_rebuilt(rebuilder: Outside, way: str) -> None:
    found = case(rebuilder, way)
    assert (found.flag, found.evidence) == ("forbidden", None), (found.flag, found.message)
    assert any(part in found.message for part in REFUSED[way].split("|")), found.message


def test_pixels_under_an_issued_name_do_not_arrive(rebuilder: Outside) -> None:
    found = case(rebuilder, "under_an_issued_name")
    assert found.evidence is not None and found.evidence.tolist() == [0.0], (found.flag, found.message)


def test_what_the_track_allows_is_answered(rebuilder: Outside) -> None:
    found = case(rebuilder, "after_it")
    assert found.evidence is not None and found.evidence.std() > 0, (found.flag, found.message)
