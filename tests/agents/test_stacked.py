"""Agents trained together: each is what it is alone, whoever is beside it."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from functools import cache, partial

import pytest
import torch
from torch import Tensor

from goalscope.agents.agent import Agent
from goalscope.agents.descent import Descent
from goalscope.agents.learners.ppo import Batch, ppo_slopes
from goalscope.agents.network import Network, make_network
from goalscope.agents.recipe import PPOConfig, Recipe
from goalscope.agents.stacked import train_together
from goalscope.agents.stacked_network import Stack
from goalscope.agents.training import train
from goalscope.errors import UnsupportedError

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
SHAPE, ACTIONS = (4, 9, 9), 3
SMALL = Recipe(
    name="small",
    family="coin_dish",
    query="apart",
    knobs={"size": 5, "pairs": 1, "max_steps": 12},
    arch="mlp",
    arch_options={"width": 32},
    budget=3 * 1024,
    learner=PPOConfig(envs=32, steps=32, precision="float32"),
)


def networks(arch: str, n: int) -> list[Network]:
    return [make_network(arch, SHAPE, ACTIONS, seed) for seed in range(n)]


def frames(n: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (n, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def assert_alike(one: Agent, other: Agent) -> None:
    """The same agent up to rounding: so short a training does not let rounding grow."""
    assert one.id == other.id
    assert len(one.curve) == len(other.curve) == 3
    for own, its in zip(one.curve, other.curve, strict=True):
        assert own == pytest.approx(its, abs=1e-4)
    torch.testing.assert_close(one.network.state_dict(), other.network.state_dict(), atol=1e-4, rtol=1e-4)
    assert all(torch.equal(weights, other.initial[name]) for name, weights in one.initial.items())


@cache
def alone(seed: int) -> Agent:
    return train(SMALL, seed)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2), (2, 1)])
def test_every_agent_is_what_it_is_alone(seeds: tuple[int, ...], device: str) -> None:
    for seed, agent in zip(seeds, train_together(SMALL, seeds, device), strict=True):
        assert_alike(agent, alone(seed))
        untrained, trained = agent.initial["policy.weight"], agent.network.state_dict()["policy.weight"]
        assert (trained - untrained).abs().max() > 0.01


@pytest.mark.parametrize("change", [{"arch": "conv", "arch_options": {"channels": 4}}, {"learner": PPOConfig(envs=32)}])
def test_so_it_is_with_convolutions_and_in_half_precision(change: dict[str, object]) -> None:
    recipe = replace(SMALL, **change)  # type: ignore[arg-type]
    for seed, agent in zip((4, 5), train_together(recipe, (4, 5)), strict=True):
        assert_alike(agent, train(recipe, seed))


@pytest.mark.parametrize("device", DEVICES)
def test_the_same_seeds_give_the_same_bytes_twice(device: str) -> None:
    for one, other in zip(*(train_together(SMALL, (7, 8), device) for _ in range(2)), strict=True):
        assert one.curve == other.curve
        pairs = zip(one.network.parameters(), other.network.parameters(), strict=True)
        assert all(torch.equal(own, its) for own, its in pairs)


def test_agents_part_from_the_stack() -> None:
    agents = train_together(SMALL, (0, 1))
    for own in agents[0].network.parameters():
        assert own.untyped_storage().nbytes() == own.numel() * own.element_size()
    before = deepcopy(agents[1].network.state_dict())
    with torch.no_grad():
        agents[0].network.get_parameter("policy.weight").fill_(7.0)
    assert all(torch.equal(before[name], now) for name, now in agents[1].network.state_dict().items())


def test_progress_is_a_row_an_agent_after_every_update() -> None:
    seen: list[Sequence[dict[str, float]]] = []
    agents = train_together(SMALL, (0, 1), progress=seen.append)
    assert [[row["steps"] for row in rows] for rows in seen] == [[1024.0] * 2, [2048.0] * 2, [3072.0] * 2]
    assert [list(agent.curve) for agent in agents] == [[rows[k] for rows in seen] for k in range(2)]
    assert train_together(SMALL, ()) == []


@pytest.mark.parametrize("arch", ["mlp", "conv", "residual", "transformer"])
@pytest.mark.parametrize("device", DEVICES)
def test_a_stack_answers_and_learns_as_its_networks_do(arch: str, device: str) -> None:
    config = PPOConfig(precision="float32")
    apart, obs = networks(arch, 3), frames(3 * 8).view(3, 8, *SHAPE)
    by_themselves = deepcopy(apart)
    stack = Stack(apart, config, torch.device(device))
    with torch.no_grad():
        logits, values = stack.answers(list(obs))
    stack.step(partial(stack.answers, list(obs)), towards_the_first)
    stack.part()
    for k, network in enumerate(by_themselves):
        torch.testing.assert_close((logits[k].cpu(), values[k].cpu()), network(obs[k]), atol=1e-5, rtol=1e-5)
        Descent(network, config).step(partial(network, obs[k]), towards_the_first)
        torch.testing.assert_close(apart[k].state_dict(), network.state_dict(), atol=1e-5, rtol=1e-5)


def towards_the_first(logits: Tensor, values: Tensor) -> tuple[list[Tensor], Tensor]:
    """Slopes of a loss that is less the higher the first logit and the nearer the values to 1."""
    return [-torch.eye(ACTIONS, device=logits.device)[0].expand_as(logits), values - 1], torch.zeros(3)


def stepped(scale: float) -> list[dict[str, Tensor]]:
    """Two networks after a step each, down slopes of which the first's are multiplied by `scale`."""
    apart, obs = networks("mlp", 2), frames(16).view(2, 8, *SHAPE)
    stack = Stack(apart, PPOConfig(precision="float32", max_grad_norm=0.5), torch.device("cpu"))
    factor = torch.tensor([scale, 1.0])[:, None]

    def slopes(logits: Tensor, values: Tensor) -> tuple[list[Tensor], Tensor]:
        return [factor[..., None] * torch.ones_like(logits), factor * torch.ones_like(values)], torch.zeros(2, 3)

    stack.step(partial(stack.answers, list(obs)), slopes)
    stack.part()
    return [network.state_dict() for network in apart]


def test_gradients_are_clipped_for_every_agent_by_itself() -> None:
    small, large = stepped(1.0), stepped(1e6)
    assert all(torch.equal(weights, large[1][name]) for name, weights in small[1].items())
    torch.testing.assert_close(small[0], large[0])  # clipped either way: of the same direction, and as long


def test_the_slopes_of_several_agents_are_each_ones_own() -> None:
    random = torch.Generator().manual_seed(3)
    logits, values, *rest = (torch.randn(2, 64, *tail, generator=random) for tail in ((4,), (), (), (), ()))
    columns = (torch.randint(0, 4, (2, 64), generator=random), rest[0] - 1.4, *rest[1:])
    config = PPOConfig(value_weight=0.7)
    found, parts = ppo_slopes(logits, values, Batch(torch.empty(0), *columns), config, 0.03)
    for k in range(2):
        own = Batch(torch.empty(0), *(column[k] for column in columns))
        wanted, its = ppo_slopes(logits[k], values[k], own, config, 0.03)
        torch.testing.assert_close([found[0][k], found[1][k], parts[k]], [*wanted, its])


@pytest.mark.parametrize(
    "recipe, device, message",
    [
        (replace(SMALL, arch="lstm", arch_options={}), "cpu", "networks without memory"),
        (SMALL, "abacus", "no device 'abacus'"),
    ],
)
def test_what_cannot_be_trained_together_is_refused(recipe: Recipe, device: str, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        train_together(recipe, (0, 1), device)
