"""A bench to try a detector on: untrained agents of a built-in recipe, and outcomes that are made up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from goalscope.agents.agent import Agent
from goalscope.agents.network import make_network
from goalscope.agents.recipe import Recipe
from goalscope.detectors.answers import checked_evidence, checked_fit, checked_forecast
from goalscope.detectors.base import Detector, ReferenceCase
from goalscope.detectors.frames import source
from goalscope.detectors.handle import AgentHandle, Array
from goalscope.detectors.query import Query, query_for
from goalscope.detectors.tracks import Budget
from goalscope.registry import RECIPES
from goalscope.seeding import generator, stream

RECIPE = "dish_open"
LEVELS = 48
TESTED, REFERENCE = 2, 6
"""Agents asked about, and agents with outcomes."""


def untrained_agent(recipe: Recipe, seed: int) -> Agent:
    """An agent of a recipe that never saw a frame; for a real one see :func:`goalscope.agents.training.train`."""
    frames = source(recipe, 0)
    shape, actions = frames.training(0, 1).obs.shape[1:], frames.train.family.world.n_actions
    network = make_network(recipe.arch, shape, actions, stream("untrained agent", seed), **recipe.arch_options)
    initial = {name: weights.clone() for name, weights in network.state_dict().items()}
    return Agent(recipe, seed, network.eval(), initial, ())


@dataclass(frozen=True)
class Bench:
    """Agents, levels and made-up outcomes that a detector is put to."""

    agents: list[Agent]
    """The tested ones, then the reference."""
    query: Query
    outcomes: Array
    """`[reference, L, K + 1]`"""
    seed: int

    def answers(self, detector: Detector, order: Iterable[int]) -> list[Array]:
        """What a detector, fitted anew, says of the tested agents in an order: evidence, or a forecast."""
        known = [
            ReferenceCase(self.handle(detector, agent), self.query, outcomes)
            for agent, outcomes in zip(self.agents[TESTED:], self.outcomes, strict=True)
        ]
        fitted = checked_fit(deepcopy(detector).fit(known, generator("bench fit", self.seed)))
        return [self._answer(fitted, self.agents[i]) for i in order]

    def _answer(self, fitted: Detector, agent: Agent) -> Array:
        handle = self.handle(fitted, agent)
        if fitted.forecasts_itself:
            return checked_forecast(fitted.forecast(handle, self.query), self.query.shape)
        return checked_evidence(fitted.evidence(handle, self.query))

    def handle(self, detector: Detector, agent: Agent) -> AgentHandle:
        return AgentHandle(agent, detector.track, Budget(), self.seed)

    def changed(self) -> str:
        """What of the levels and frames handed out is no longer what it was; empty if nothing."""
        if not self.query.levels.equal(query_for(self.agents[0].recipe, LEVELS).levels).all():
            return "the query's levels"
        frames = source(self.agents[0].recipe, self.seed)
        for issue in frames._issues.values():
            distribution = frames.train if issue.is_training else frames.bank
            if not np.array_equal(frames.seen(distribution, issue.levels), issue.obs):
                return "frames or their levels"
        return ""


def make_bench(seed: int) -> Bench:
    """A bench; its frames are no run's."""
    recipe, own = RECIPES.load(RECIPE), stream("bench", seed)
    source(recipe, own)._issues.clear()  # a detector that was on the bench before may have changed them
    query = query_for(recipe, LEVELS)
    agents = [untrained_agent(recipe, i) for i in range(TESTED + REFERENCE)]
    outcomes = generator("bench outcomes", own).dirichlet(np.ones(query.shape[1]), (REFERENCE, LEVELS))
    return Bench(agents, query, outcomes, own)


@contextmanager
def one_thread() -> Iterator[None]:
    """As in a run, where parallelism is across agents: several threads only get in one another's way here."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)
