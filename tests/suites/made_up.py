"""Populations, rows and a zoo that are made up, so that what is true about them is known beforehand."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goalscope.agents.agent import Agent, agent_id
from goalscope.agents.measure import query_distribution
from goalscope.agents.members import members
from goalscope.agents.network import make_network
from goalscope.agents.recipe import Recipe
from goalscope.agents.storage import rounded, save_agent
from goalscope.agents.zoo import build
from goalscope.detectors.calibration import forecast
from goalscope.detectors.query import query_for
from goalscope.envs import Engine
from goalscope.suites.population import Population, assign_folds
from goalscope.suites.suite import Suite
from goalscope.suites.truth import Truth

Shares = NDArray[np.float64]
GOALS = 2
LEVELS = 200
"""The fewest that fill five strata."""

DISH = Recipe(
    name="tiny_dish",
    family="coin_dish",
    query="apart",
    knobs={"size": 7},
    arch="mlp",
    arch_options={"width": 16},
    budget=0,
)
CORNER = Recipe(
    name="tiny_corner",
    family="coin_corner",
    query="other_corner",
    knobs={"size": 7},
    arch="mlp",
    arch_options={"width": 16},
    budget=0,
)


# What agents do


def outcome_shares(agents: int = 8, levels: int = LEVELS, *, seed: int = 0, own: float = 0.1) -> Shares:
    """`[A, L, 3]` one offset vector an agent on levels of their own odds, and `own` of what no offset explains."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(size=(levels, GOALS + 1))
    offsets = rng.normal(size=(agents, GOALS + 1)) * [1.0, 1.0, 0.3]
    shares = forecast(odds, offsets)
    return np.asarray((1 - own) * shares + own * rng.dirichlet(np.ones(GOALS + 1), size=shares.shape[:2]))


def truth(number: int = 0, agents: int = 8, *, name: str = "", shares: Shares | None = None) -> Truth:
    """One recipe's agents in two folds; levels in order of their strata."""
    found = outcome_shares(agents, seed=number) if shares is None else shares
    agents, levels, _ = found.shape
    return Truth(
        name=name or f"recipe {number}",
        ids=tuple(f"agent {number}.{i}" for i in range(agents)),
        shares=found,
        folds=np.arange(agents) % 2,
        strata=np.arange(levels) * 5 // levels,
        intended=0,
    )


def recipe_mean(known: Truth) -> Shares:
    """`[A, L, 3]` the mean over all agents of the recipe: its exact mean, which no forecaster knows."""
    return np.broadcast_to(known.shares.mean(0), known.shares.shape)


def fold_mean(known: Truth) -> Shares:
    """`[A, L, 3]` the mean over the agents of the other folds: what a forecaster may know."""
    means = {fold: known.shares[known.folds != fold].mean(0) for fold in np.unique(known.folds)}
    return np.stack([means[fold] for fold in known.folds])


def rows_of(
    known: Sequence[Truth], forecasts: Sequence[Shares], *, detector: str = "made up", track: int = 2, seed: int = 0
) -> list[dict[str, Any]]:
    """A detector's rows as they are read back; a forecast that is NaN is a case flagged."""
    return [
        {
            "detector": detector,
            "track": track,
            "seed": seed,
            "recipe": t.name,
            "agent_id": identity,
            "forecast": None if np.isnan(own).any() else own.ravel(),
            "flag": "raised" if np.isnan(own).any() else "",
            "seconds": 0.5,
        }
        for t, shares in zip(known, forecasts, strict=True)
        for identity, own in zip(t.ids, shares, strict=True)
    ]


# Agents that nobody trained


def untrained(recipe: Recipe, seed: int) -> Agent:
    """An agent as its initial weights made it, but with opinions: its logits are far apart."""
    shape, actions = _world(recipe)
    network = make_network(recipe.arch, shape, actions, seed, **recipe.arch_options)
    initial = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.policy.weight.detach().mul_(300)  # type: ignore[union-attr, operator]
    return rounded(Agent(recipe, seed, network.eval(), initial, []))


def _world(recipe: Recipe) -> tuple[tuple[int, ...], int]:
    distribution = query_distribution(recipe)
    engine = Engine(distribution.draw(range(1)), distribution.family, recipe.view, autoreset="off")
    return engine.obs_shape, engine.world.n_actions


@cache
def population(agents: int = 12, folds: int = 3) -> Population:
    """Untrained agents, with outcomes that were made up for them: real handles, known truths."""
    query = query_for(DISH, LEVELS)
    those = tuple(untrained(DISH, number) for number in range(agents))
    return Population(DISH, query, those, outcome_shares(agents), assign_folds(agents, folds, DISH.hash))


def by_agent(known: Population, table: Shares) -> dict[str, Shares]:
    """Agent id -> its row of a table."""
    return {agent_id(a.recipe, a.seed): own for a, own in zip(known.agents, table, strict=True)}


# A zoo and a suite on disk

AGENTS = 8
"""Of every recipe in the tiny zoo: the fewest that leave, in two folds, enough reference agents to calibrate on."""


def save_zoo(folder: Path, recipes: Sequence[Recipe] = (DISH, CORNER), agents: int | None = None) -> None:
    """Untrained agents and what they do, exactly, as a zoo; without a number as many as a recipe's role asks for."""
    wanted = members(recipes, agents)
    for member in wanted:
        shape, actions = _world(member.recipe)
        save_agent(untrained(member.recipe, member.seed), folder / "agents", shape, actions, competence=0.5)
    build(folder, wanted, 1, lambda member: None)


GOOD = '''"""What an agent does on a few training frames."""

from goalscope.detectors import detector


@detector(track="blackbox")
def good(agent, query):
    return agent.outputs(agent.frames(16)).probabilities.mean(0)


DETECTOR = good
'''

STRANGER = '''"""On which goal's planes the value leans."""

import numpy as np

from goalscope.detectors import detector


def value(logits, values):
    return values


@detector(track="whitebox")
def leaning(agent, query):
    """The mean gradient of the value by the planes that show each goal."""
    slopes = agent.gradients(agent.frames(32), value)
    return [np.abs(slopes[:, planes]).mean() for planes in agent.planes]


DETECTOR = leaning
'''

BROKEN = """from goalscope.detectors import detector


@detector(track="blackbox")
def broken(agent, query):
    raise ZeroDivisionError("a pipe burst")


DETECTOR = broken
"""

SUITE = """from goalscope.suites.suite import Suite

SUITE = Suite(
    name="tiny",
    zoo="tiny",
    recipes=("./tiny_dish.py", "./tiny_corner.py"),
    detectors=("./good.py",),
    folds=2,
    seeds={seeds},
)
"""


TINY = Suite(
    name="tiny",
    zoo="./zoo",
    recipes=("./tiny_dish.py", "./tiny_corner.py"),
    detectors=("./good.py", "./stranger.py"),
    folds=2,
    seeds=2,
)
"""On what :func:`write_suite` and :func:`save_zoo` leave in a folder's ``zoo``."""


def write_suite(folder: Path, seeds: int = 1) -> None:
    """A suite on the tiny zoo, its recipes, and detectors: one that is good, a stranger's, and a broken one."""
    for recipe in (DISH, CORNER):
        text = f"from goalscope.agents.recipe import PPOConfig, Recipe\n\nRECIPE = {recipe!r}\n"
        (folder / f"{recipe.name}.py").write_text(text)
    for name, text in (("good", GOOD), ("stranger", STRANGER), ("broken", BROKEN)):
        (folder / f"{name}.py").write_text(text)
    (folder / "tiny_suite.py").write_text(SUITE.format(seeds=seeds))


def empty(folder: Path) -> None:
    """Leave a folder with nothing in it, but leave it: processes that wait for work may have been started there."""
    for entry in folder.iterdir():
        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
