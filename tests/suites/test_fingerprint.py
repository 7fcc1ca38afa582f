"""The audit's parts: a copy that does the same and has no number of the agent's own, and what has a say in it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from tests.suites.made_up import DISH, untrained

from goalscope.suites.case import Case
from goalscope.suites.fingerprint import shaken, told_apart


def cases(evidence: list[float]) -> list[Case]:
    shares = np.full((4, 3), 1 / 3)
    return [replace(Case(i, 0), forecast=shares, evidence=np.array([each])) for i, each in enumerate(evidence)]


def test_every_weight_is_changed_a_little_also_one_that_stands_alone_and_the_agent_is_left_as_it_was() -> None:
    agent = untrained(DISH, 0)
    agent.network.register_parameter("lone", torch.nn.Parameter(torch.tensor(2.0)))
    before = {name: weights.clone() for name, weights in agent.network.state_dict().items()}
    copy = shaken(agent, np.random.default_rng(0))
    assert all(torch.equal(weights, before[name]) for name, weights in agent.network.state_dict().items())
    for name, weights in copy.network.named_parameters():
        own = before[name] != 0  # biases begin at zero
        moved = (weights / before[name] - 1)[own].abs()
        assert not own.any() or 0 < moved.max() < 6e-3, name


def test_evidence_that_tells_agents_apart_may_change_by_less_than_they_differ() -> None:
    known = cases([0.0, 1.0, 2.0])
    assert told_apart(np.array([1.0]), np.array([1.5]), known) == ""
    assert "changed by 5 where 0.816 is allowed" in told_apart(np.array([1.0]), np.array([6.0]), known)
    assert "where 0 is allowed" in told_apart(np.array([1.0]), np.array([1.0, 2.0]), known)


def test_evidence_that_differs_by_rounding_has_no_say_as_in_calibration() -> None:
    assert told_apart(np.array([0.3]), np.array([0.4]), cases([0.3, 0.3 + 1e-16, 0.3 - 1e-16])) == ""
    hidden = cases([1e6, 1e6 + 0.1, 1e6 + 0.2])  # a table of answers behind a large number
    assert told_apart(np.array([1e6]), np.array([1e6 + 50]), hidden) != ""
