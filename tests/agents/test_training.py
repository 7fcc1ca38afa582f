"""Training: agents that build on others are what their recipes' hashes say, and stages are kept when they are due."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from goalscope.agents.agent import Agent
from goalscope.agents.learner import Task
from goalscope.agents.learners.dqn import DQNConfig
from goalscope.agents.learners.imitation import ImitationConfig
from goalscope.agents.learners.ppo import learn
from goalscope.agents.network import Network
from goalscope.agents.recipe import LearnerSettings, PPOConfig, Recipe, pinned, recipe_from
from goalscope.agents.storage import load_agent, rounded, save_agent
from goalscope.agents.training import Weights, find_agent, frame_shape, train, weights_id
from goalscope.errors import DeclarationError, UnknownNameError
from goalscope.registry import FAMILIES
from goalscope.seeding import stream

SMALL = Recipe(
    name="small",
    family="coin_dish",
    query="apart",
    knobs={"size": 5, "pairs": 1},
    arch="mlp",
    budget=2048,
    learner=PPOConfig(envs=32, steps=16, precision="float32"),
)
SHAPE = (4, 5, 5)
FILE = """
from dataclasses import replace
from tests.agents.test_training import SMALL
RECIPE = replace(SMALL, name="parent", budget={budget})
"""


@pytest.fixture
def parent(tmp_path: Path) -> str:
    """A recipe in a file, by its path, which stands in for an id."""
    path = tmp_path / "parent.py"
    path.write_text(FILE.format(budget=1024))
    return str(path)


def equal(first: Weights, second: Weights) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def weights(network: Network) -> Weights:
    return network.state_dict()


def test_training_on_is_going_on_from_the_parents_weights(parent: str) -> None:
    recipe = replace(SMALL, name="child", start=parent)
    child, first = train(recipe, 3), rounded(train(replace(SMALL, budget=1024), 3))
    assert equal(child.initial, weights(first.network))
    random = torch.Generator().manual_seed(stream("sampling", recipe.hash, 3) % 2**63)
    rows = list(learn(Task(recipe, 3, first.network.train(), random, {})))
    assert equal(weights(child.network), weights(first.network)) and len(rows) == len(child.curve) == 4
    assert not equal(weights(child.network), weights(train(SMALL, 3).network))


def test_a_parent_that_is_there_already_is_not_trained_again(parent: str, tmp_path: Path) -> None:
    recipe = replace(SMALL, name="child", start=parent)
    first = rounded(train(replace(SMALL, budget=1024), 3))
    save_agent(first, tmp_path, SHAPE, 4, competence=0.5)
    assert equal(weights(train(recipe, 3, folder=tmp_path).network), weights(train(recipe, 3).network))

    for tensor in first.network.state_dict().values():
        tensor.fill_(0.5)
    save_agent(first, tmp_path, SHAPE, 4, competence=0.5)
    assert all((tensor == 0.5).all() for tensor in train(recipe, 3, folder=tmp_path).initial.values())
    assert not any((tensor == 0.5).all() for tensor in train(recipe, 4, folder=tmp_path).initial.values())


def test_a_hash_is_of_what_an_agent_builds_on_too(parent: str) -> None:
    child = replace(SMALL, name="child", start=parent)
    student = replace(SMALL, learner=ImitationConfig(teacher=parent))
    assert child.start == pinned(parent) == f"{parent}@{replace(SMALL, budget=1024).hash[:12]}"
    Path(parent).write_text(FILE.format(budget=512))
    edited = replace(SMALL, name="child", start=parent)
    hashes = {SMALL.hash, child.hash, edited.hash, student.hash}
    assert len(hashes | {replace(SMALL, learner=ImitationConfig(teacher=parent)).hash}) == 5
    assert recipe_from(child.as_json()) == child != edited == recipe_from(edited.as_json())
    assert recipe_from(student.as_json()) == student


def test_a_parent_that_has_changed_is_refused(parent: str) -> None:
    child = replace(SMALL, name="child", start=parent)
    Path(parent).write_text(FILE.format(budget=512))
    with pytest.raises(DeclarationError, match="is no longer what it was: the recipe .* has changed"):
        train(child, 0)
    with pytest.raises(UnknownNameError, match="no recipe 'nobody'"):
        replace(SMALL, start="nobody")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"arch": "conv"}, r"network \(conv\) has body.layer1.weight of shape .*, the parent's \(mlp\) of shape none"),
        ({"arch_options": {"width": 32}}, r"of shape \(32, 100\), the parent's \(mlp\) of shape \(64, 100\)"),
        ({"knobs": {"size": 7}}, r"observations of the same shape"),
    ],
)
def test_weights_that_do_not_fit_are_refused(parent: str, changes: dict[str, object], said: str) -> None:
    with pytest.raises(DeclarationError, match=said):
        train(replace(SMALL, start=parent, **changes), 0)  # type: ignore[arg-type]


def test_an_agent_without_a_recipe_is_named_by_its_weights_and_must_be_given() -> None:
    given = train(replace(SMALL, budget=1024), 3)
    recipe = replace(SMALL, name="child", start=weights_id(given))
    assert equal(train(recipe, 8, given=[given]).initial, weights(given.network))
    with pytest.raises(DeclarationError, match="must be given, as train.* given: none"):
        train(recipe, 8)
    other = Agent(given.recipe, 3, train(replace(SMALL, budget=1024), 4).network, {}, [])
    assert weights_id(other) != weights_id(given)
    with pytest.raises(DeclarationError, match=f"given: {weights_id(other)}"):
        find_agent(recipe.start, 8, given=[other])


@pytest.mark.parametrize(
    "learner", [PPOConfig(envs=32, steps=16), DQNConfig(envs=32, steps=16, updates=4), ImitationConfig(levels=64)]
)
def test_stages_are_kept_when_they_are_due(learner: LearnerSettings) -> None:
    recipe = replace(SMALL, budget=8192, learner=learner, checkpoints=3)
    events: list[tuple[str, int]] = []
    kept: list[Weights] = []

    def keep(steps: int, found: Weights) -> None:
        events.append(("keep", steps))
        kept.append(found)

    agent = train(recipe, 0, lambda row: events.append(("row", int(row["steps"]))), keep)
    assert events == [
        event
        for steps in range(512, 8193, 512)
        for event in [("row", steps), ("keep", steps)][: 2 if steps in (1024, 2048, 4096) else 1]
    ]
    stages: list[Weights] = [agent.initial, *kept, weights(agent.network)]
    assert not any(equal(stages[i], stages[j]) for i in range(5) for j in range(i))


@pytest.mark.parametrize("view", ["planes", "ego"])
def test_a_trained_agent_answers_to_the_bit_as_it_will_when_it_is_loaded(view: str, tmp_path: Path) -> None:
    """Parameters that are views of one vector lie elsewhere, and with that a product's last bits can be others."""
    recipe = replace(SMALL, family="coin_run", query="off_end", knobs={}, arch="conv", view=view, budget=512)
    agent = rounded(train(recipe, 0))
    shape, own = frame_shape(recipe), agent.network.state_dict()
    assert all(parameter.storage_offset() == 0 for parameter in agent.network.parameters())
    save_agent(agent, tmp_path, shape, FAMILIES.load("coin_run").world.n_actions, competence=0.5)
    loaded = load_agent(tmp_path, agent.id).network
    frames = torch.randint(2, (64, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert all(torch.equal(a, b) for a, b in zip(agent.network(frames), loaded(frames), strict=True))
    assert equal(own, weights(loaded))
